"""A network file and a map from two exports: every guess marked with its reason, and what results can be used."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest
from typer.testing import CliRunner

from rotation.cli import app
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.new_network import branches_in, proposed
from rotation.feeds.suggesting import Holdings, names_in
from rotation.feeds.tables import read_map, translate
from rotation.network import Network, Tier, read

BRANCHES = """云泽市馆点一览,,,,
馆代码,名称,纬度,经度,开放时间,人口
ZG,云泽市图书馆,30.10,120.10,周二至周日 9:00-21:00,
HB,湖滨区图书馆,30.20,120.20,周一闭馆 周二至周五 9:00-18:00 周六至周日 9:00-20:00,50000
HB/SQ1,湖滨一社区书房,30.21,120.21,以现场公告为准,3000
DX,东溪街道分馆,,,周一至周五 8:30-17:00,
KONG,空馆,30.3,120.3,9:00-17:00,
"""
NAMES = """code,name
ZG/WJ,外借室
HB/WJ,外借室
HB/WL,物流中转书库
HB/TY,临江点（停用）
HB/CUN,白石村农家书屋
"""
ITEMS = """barcode,bookrecno,题名,cirtype,curlib,curlocal,orglib,orglocal,state
1,b1,甲,I247.5/1,ZG,WJ,ZG,WJ,在馆
2,b1,甲,I247.5/1,HB,WJ,HB,WJ,借出
3,b2,乙,TP312/9,HB,SQ1,HB,WJ,在馆
4,b2,乙,TP312/9,HB,WL,HB,WJ,在馆
5,b3,丙,K209/7,HB,TY,HB,WJ,在馆
6,b3,丙,K209/7,HB,CUN,HB,CUN,在馆
7,b3,丙,K209/7,DX,,DX,,吃了
"""
PRESET = """source = "interlib"
rows = "stock"
default_class = "fiction"

[columns]
copy = "barcode"
title = "bookrecno"
class = "cirtype"
place = "curlib"
location = "curlocal"
home = "orglib"
home_location = "orglocal"
says = "state"

[says]
"在馆" = "on_shelf"
"借出" = "on_loan"
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    for name, content in (
        ("branches.csv", BRANCHES),
        ("names.csv", NAMES),
        ("items.csv", ITEMS),
        ("preset.toml", PRESET),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
    arguments = ["network", "new", f"{tmp_path}/items.csv", "--map", f"{tmp_path}/preset.toml", "--name", "云泽"]
    arguments += ["--names", f"{tmp_path}/names.csv", "--branches", f"{tmp_path}/branches.csv"]
    done = CliRunner().invoke(app, [*arguments, "--timezone", "Asia/Shanghai", "--out", f"{tmp_path}/out"])
    assert done.exit_code == 0, done.output
    (tmp_path / "said").write_text(done.stderr)
    return tmp_path


def test_the_network_has_every_branch_and_point_and_marks_its_guesses(made: Path) -> None:
    network: Network = read(made / "out" / "network.toml")
    tiers = {place.id: place.tier for place in network.places}
    assert tiers == {
        "zg": Tier.CENTRAL,
        "hb": Tier.DISTRICT,
        "dx": Tier.SUBDISTRICT,
        "hb-sq1": Tier.ROOM,
        "hb-cun": Tier.ROOM,
        "kong": Tier.DISTRICT,
    }
    assert [place.id for place in network.hubs] == ["zg"]
    assert {one.id for one in network.classes} == {"clc-i", "clc-t", "clc-k"}
    assert network.place["hb"].shelf == {"clc-i": 2, "clc-t": 2}
    text = (made / "out" / "network.toml").read_text(encoding="utf-8")
    assert "default_hours = true" in text
    assert "# guess: '以现场公告为准' is not read; a working week" in text
    assert "# lat, lon: the table has none" in text
    assert any(guess.startswith("hours: ") for guess in network.network.guesses)


def test_the_counts_of_guesses_and_what_was_left_out_are_said(made: Path) -> None:
    said = (made / "said").read_text()
    assert "guessed: hours: 2" in said
    assert "2 of 6 places have no coordinates: no van can go there" in said
    assert "空馆: no copy of the export stands there" in said


def test_the_map_reads_the_export_it_was_made_from(made: Path) -> None:
    chosen = read_map(made / "out" / "map.toml")
    text = (made / "out" / "map.toml").read_text(encoding="utf-8")
    assert '# "吃了" = ...  # 1 copies' in text
    found = list(translate(made / "items.csv", chosen, datetime(2026, 3, 5, tzinfo=UTC)))
    refused = [one for one in found if isinstance(one, RejectedRecord)]
    assert [one.rejection.message for one in refused] == ["'吃了' is not in the map's [says]"]
    stands = {
        e["data"]["copy"]: (e["data"].get("now", e["type"]), e["data"]["place"]) for e in found if isinstance(e, dict)
    }
    assert stands == {
        "1": ("on_shelf", "zg"),
        "2": ("on_loan", "hb"),
        "3": ("on_shelf", "hb-sq1"),
        "4": ("unknown", "hb"),
        "5": ("withdrawn", "hb"),
        "6": ("on_shelf", "hb-cun"),
    }
    classes = {e["data"]["class"] for e in found if isinstance(e, dict) and e["type"] == "copy.added"}
    assert classes == {"clc-i", "clc-t", "clc-k"}


def test_files_that_are_there_are_not_replaced(made: Path) -> None:
    arguments = [
        "network",
        "new",
        f"{made}/items.csv",
        "--map",
        f"{made}/preset.toml",
        "--branches",
        f"{made}/branches.csv",
    ]
    again = CliRunner().invoke(app, [*arguments, "--name", "x", "--timezone", "UTC", "--out", f"{made}/out"])
    assert again.exit_code != 0


def test_a_suggested_map_says_why_for_every_place(made: Path) -> None:
    arguments = ["map", "suggest", f"{made}/items.csv", "--map", f"{made}/preset.toml", "--names", f"{made}/names.csv"]
    shown = CliRunner().invoke(app, arguments).stdout
    assert '"HB/TY" = "-"  # 1 copies; 临江点（停用）: by the word 停用, takes no part' in shown
    assert '"HB/WL" = "via:hb"  # 1 copies; 物流中转书库: by the word 物流, a transfer store' in shown
    assert '"HB/CUN" = "hb-cun"' in shown
    assert '"HB/WJ" = "hb"' in shown


WRITTEN = """图书馆名称,经纬度,开馆时间(夏季除外),常住人口
山前图书馆,"120.31,30.2",9:00-17:00,1.25万
山后分馆,"30.4, 120.32",9:00-17:00,"12,500"
山左分馆,不详,9:00-17:00,
合计,,,3个
"""


def test_a_table_of_branches_is_read_as_people_write_it(tmp_path: Path) -> None:
    (tmp_path / "branches.csv").write_text(WRITTEN, encoding="gb18030")
    rows = branches_in(tmp_path / "branches.csv")
    stock = Holdings(Counter({("山前图书馆", ""): 3}), Counter({("山前图书馆", "", "x"): 3}), Counter(), 0)
    (tmp_path / "n.toml").write_text(proposed("t", "Asia/Shanghai", rows, stock, {}).network, encoding="utf-8")
    network = read(tmp_path / "n.toml")
    assert {place.name.zh: (place.lat, place.lon, place.population) for place in network.places} == {
        "山前图书馆": (30.2, 120.31, 12_500),
        "山后分馆": (30.4, 120.32, 12_500),
        "山左分馆": (None, None, 0),
    }
    assert "'不详' is not read: no van can be sent there" in (tmp_path / "n.toml").read_text(encoding="utf-8")


def test_names_of_codes_that_a_workbook_has_as_numbers_are_found(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (("代码", "名称"), (33399, "流通车"), ("HB", "湖滨馆"), (None, None)):
        book.active.append(row)
    book.active["A2"].number_format = "000000"
    book.save(tmp_path / "names.xlsx")
    assert names_in(tmp_path / "names.xlsx") == {"033399": "流通车", "HB": "湖滨馆"}


def test_classes_and_owners_with_chinese_names_stay_apart(tmp_path: Path) -> None:
    kinds = Counter(
        {("ZG", "", "中文图书"): 9, ("ZG", "", "少儿图书A"): 5, ("ZG", "", "DVD"): 2, ("ZG", "", "I267/3"): 4}
    )
    stock = Holdings(Counter({("ZG", ""): 20}), kinds, Counter(), 0)
    rows = [{"name": "总馆", "code": "ZG", "owner": "东区"}, {"name": "二馆", "code": "Z2", "owner": "西区"}]
    made = proposed("t", "Asia/Shanghai", rows, stock, {})
    (tmp_path / "n.toml").write_text(made.network, encoding="utf-8")
    network = read(tmp_path / "n.toml")
    names = {one.id: one.name.zh for one in network.classes}
    assert names == {"class-1": "中文图书", "class-2": "少儿图书A", "clc-i": "文学", "dvd": "DVD"}
    assert made.classes == {"中文图书": "class-1", "少儿图书A": "class-2", "I*": "clc-i", "DVD": "dvd"}
    assert {one.id: one.name.zh for one in network.owners} == {"owner-1": "东区", "owner-2": "西区"}


def test_an_export_of_which_nothing_can_be_read_makes_no_network() -> None:
    with pytest.raises(ValueError, match="no row of the export can be read; 7 were refused"):
        proposed("t", "UTC", [{"name": "a"}], Holdings(Counter(), Counter(), Counter(), 7), {})


def test_the_central_library_is_the_largest_with_coordinates() -> None:
    stock = Holdings(Counter({("A", ""): 9, ("B", ""): 5}), Counter({("A", "", ""): 9, ("B", "", ""): 5}), Counter(), 0)
    rows = [
        {"name": "A", "code": "A"},
        {"name": "B", "code": "B", "lat": "30.1", "lon": "120.1"},
        {"name": "C", "code": "C"},
    ]
    made = proposed("t", "UTC", rows, stock, {}).network
    assert 'id = "b"\nname = "B"\ntier = "central"  # guess: of those with coordinates it has the most copies' in made


def test_without_a_tree_of_codes_a_branch_is_no_district() -> None:
    stock = Holdings(Counter({("main", ""): 9}), Counter({("main", "", ""): 9}), Counter(), 0)
    flat = proposed("t", "UTC", [{"name": "main"}, {"name": "quay"}, {"name": "mill"}], stock, {}).network
    tree = proposed(
        "t", "UTC", [{"name": "A", "code": "A"}, {"name": "B", "code": "B"}, {"name": "C", "code": "B1"}], stock, {}
    )
    assert flat.count('tier = "subdistrict"  # guess: no word and no code says it') == 2
    assert 'tier = "subdistrict"  # guess: by the tree of the codes' in tree.network


ANSWER = """{"_about": {"city": "x"}, "holdingList": [{"barcode": "1", "bookrecno": "b1", "curlib": "007", "curlocal": "007",
  "orglib": "007", "orglocal": "Q1", "state": 2}],
 "libcodeMap": {"007": "云溪馆", "Q1": "启明馆"}, "localMap": {"007": "云溪馆暂存处（不外借）", " Q1 ": "云溪一村书屋 "}}"""


def test_a_catalogues_answer_names_its_own_codes_libraries_and_locations_apart(tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(ANSWER, encoding="utf-8")
    arguments = [
        "map",
        "suggest",
        f"{tmp_path}/answer.json",
        "--map",
        "interlib-stock",
        "--names",
        f"{tmp_path}/answer.json",
    ]
    shown = CliRunner().invoke(app, arguments).stdout
    assert '"007/007" = "-"  # 1 copies; 云溪馆暂存处（不外借）: by the word 不外借, takes no part' in shown
    assert '"007/Q1" = "007-q1"  # 0 copies; 云溪一村书屋: by the word 村, a reading room of its own' in shown


def test_json_without_tables_of_codes_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text('{"holdingList": [], "_about": {"a": "b"}}', encoding="utf-8")
    with pytest.raises(ValueError, match="such as libcodeMap and localMap"):
        names_in(tmp_path / "answer.json")
