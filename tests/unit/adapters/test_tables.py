"""Tables by a column map: rows become facts, and faulty rows are rejected with their line."""

from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import DEFAULTS
from rotation.facts.events import RejectionReason
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.tables import TableMap, read, read_map, translate
from tests.unit.adapters.patron import CARD, NAME, PHONE, named_in

MAPS = DEFAULTS.parent / "maps"
TAKEN = datetime(2026, 3, 5, tzinfo=UTC)
HOLDINGS = [
    ("条码号", "书目记录号", "题名", "读者证号", "姓名", "所在馆", "所属馆", "状态"),
    ("0101", "b1", "红楼梦", CARD, NAME, "central", "central", "在馆"),
    ("0102", "b1", "红楼梦", CARD, NAME, "central", "hubin", "物流发送"),
    ("0103", "b2", "西游记", CARD, PHONE, "hubin", "hubin", "借出"),
]
SAYS = [
    ("0101", "copy.added"),
    ("0101", "copy.corrected"),
    ("0102", "copy.added"),
    ("0102", "transfer.sent"),
    ("0103", "copy.added"),
    ("0103", "copy.corrected"),
]


def csv_of(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(",".join(row) for row in rows) + "\n"


def write(folder: Path, kind: str) -> tuple[Path, TableMap]:
    """Write the holdings as a file of one kind; return it and its map."""
    chosen = read_map(MAPS / "interlib-stock.toml").model_copy(
        update={"encoding": "gb18030" if kind == "gb" else "utf-8"}
    )
    if kind == "xlsx":
        book = openpyxl.Workbook()
        for row in HOLDINGS:
            book.active.append(row)
        book.save(folder / "t.xlsx")
        return folder / "t.xlsx", chosen
    if kind == "jsonl":
        lines = [orjson.dumps(dict(zip(HOLDINGS[0], row, strict=True))) for row in HOLDINGS[1:]]
        (folder / "t.jsonl").write_bytes(b"\n".join(lines))
        return folder / "t.jsonl", chosen
    (folder / "t.csv").write_bytes(csv_of(HOLDINGS).encode("gb18030" if kind == "gb" else "utf-8-sig"))
    return folder / "t.csv", chosen


@pytest.mark.parametrize("kind", ["csv", "gb", "xlsx", "jsonl"])
def test_each_kind_of_file_says_the_same(tmp_path: Path, kind: str):
    events = list(translate(*write(tmp_path, kind), TAKEN))
    assert [(event["data"]["copy"], event["type"]) for event in events] == SAYS
    assert events[3]["data"] | {"place": "central", "to": "hubin"} == events[3]["data"]
    assert events[1]["data"]["now"] == "on_shelf"


@pytest.mark.parametrize("kind", ["csv", "gb", "xlsx", "jsonl"])
def test_no_reader_leaves_the_file(tmp_path: Path, kind: str):
    file, chosen = write(tmp_path, kind)
    assert (
        named_in(*translate(file, chosen, TAKEN), *translate(file, chosen.model_copy(update={"says": {}}), TAKEN)) == []
    )


def test_a_table_read_twice_says_the_same_events_with_the_same_ids(tmp_path: Path):
    file, chosen = write(tmp_path, "csv")
    assert list(translate(file, chosen, TAKEN)) == list(translate(file, chosen, TAKEN))


def refused(
    tmp_path: Path, content: bytes, name: str = "t.csv", **changes: object
) -> list[tuple[str, RejectionReason]]:
    """Return (field, reason) of what is refused of a file made for Rotation."""
    (tmp_path / name).write_bytes(content)
    chosen = read_map(MAPS / "plain-stock.toml").model_copy(update=changes)
    return [
        (one.rejection.field, one.rejection.reason)
        for one in translate(tmp_path / name, chosen, TAKEN)
        if isinstance(one, RejectedRecord)
    ]


def test_a_line_of_other_bytes_than_declared_is_refused_alone(tmp_path: Path):
    content = (
        b"copy,place,state\nc1,central,on_shelf\n"
        + "红楼梦,central,on_shelf\n".encode("gb18030")
        + b"c3,hubin,on_loan\n"
    )
    assert refused(tmp_path, content) == [("line 3", RejectionReason.NOT_UTF8)]
    (tmp_path / "t.csv").write_bytes(content)
    rows = [
        row.values["copy"]
        for row in read(tmp_path / "t.csv", read_map(MAPS / "plain-stock.toml"), datetime(2026, 3, 1, tzinfo=UTC))
        if not isinstance(row, RejectedRecord)
    ]
    assert rows == ["c1", "c3"]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("c1,central,nobody knows,,", "line 2 says"),
        ("c1,,on_shelf,,", "line 2 place"),
        (",central,on_shelf,,", "line 2 copy"),
        ("c1,central,in_transit,,", "line 2 to"),
        ("c1,central,on_shelf,yesterday,", "line 2 time"),
        ("c1,central,on_shelf,,2026-02-01,too,many", "line"),
    ],
)
def test_a_row_that_says_nothing_is_named_with_its_line_and_column(tmp_path: Path, row: str, field: str):
    assert refused(tmp_path, f"copy,place,state,time,added\n{row}\n".encode())[0][0] == field


def test_a_file_without_the_columns_of_its_map_is_refused_whole(tmp_path: Path):
    with pytest.raises(ValueError, match="no column copy"):
        refused(tmp_path, b"barcode,place\nc1,central\n")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no workbook at all", b"\x00" * 100])
def test_what_is_no_workbook_is_one_clear_sentence(tmp_path: Path, content: bytes):
    with pytest.raises(ValueError, match="no workbook"):
        refused(tmp_path, content, "t.xlsx")


def test_a_barcode_that_a_spreadsheet_has_rounded_is_refused(tmp_path: Path):
    book = openpyxl.Workbook()
    for row in (("copy", "place"), (12345678901234567890, "central"), (101, "central")):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert refused(tmp_path, (tmp_path / "t.xlsx").read_bytes(), "t.xlsx") == [("copy", RejectionReason.DATA)]


def test_a_map_that_means_nothing_is_told_with_its_key(tmp_path: Path):
    (tmp_path / "m.toml").write_text(
        'source="x"\nrows="stock"\n[columns]\ncopy="a"\nplace="b"\n[says]\n"在馆"="at home"\n', encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"m\.toml: says: .*at home"):
        read_map(tmp_path / "m.toml")


@pytest.mark.parametrize("preset", sorted(path.stem for path in MAPS.glob("*.toml")))
def test_every_preset_is_a_map(preset: str):
    assert read_map(MAPS / f"{preset}.toml").columns.copy_id


@given(st.binary(max_size=400), st.sampled_from(["t.csv", "t.jsonl"]), st.sampled_from(["utf-8", "gb18030"]))
@settings(max_examples=150, deadline=None)
def test_no_bytes_do_more_than_be_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str, encoding: str
):
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(b"copy,place,state\n" + content if name.endswith("csv") else content)
    chosen = read_map(MAPS / "plain-stock.toml").model_copy(update={"encoding": encoding})
    for one in translate(file, chosen, TAKEN):
        assert isinstance(one, RejectedRecord | dict)


@pytest.mark.parametrize(
    ("preset", "says"), [("plain-stock", "no column time"), ("interlib-stock", "names no column for it")]
)
def test_a_table_that_nothing_dates_is_one_mistake_and_not_one_a_row(tmp_path: Path, preset: str, says: str):
    (tmp_path / "t.csv").write_text("copy,place,barcode,curlib\n" + "c1,central,c1,central\n" * 3000, encoding="utf-8")
    chosen = read_map(MAPS / f"{preset}.toml")
    with pytest.raises(ValueError, match=f"{says}.*add --at"):
        next(read(tmp_path / "t.csv", chosen))
    assert sum(1 for _ in read(tmp_path / "t.csv", chosen, datetime(2026, 3, 1, tzinfo=UTC))) == 3000


# --- Files as people have them ------------------------------------------------------------------------------------------------


def copies_of(tmp_path: Path, content: bytes, name: str = "t.csv", **changes: object) -> list[str]:
    """Return the copies that a file's events name, each once."""
    (tmp_path / name).write_bytes(content)
    chosen = read_map(MAPS / "plain-stock.toml").model_copy(update=changes)
    events = [one for one in translate(tmp_path / name, chosen, TAKEN) if isinstance(one, dict)]
    return list(dict.fromkeys(event["data"]["copy"] for event in events))


@pytest.mark.parametrize(
    "broken",
    ['c{n},"unclosed title,central', 'c{n},"unclosed title', '"c{n},title,central'],
)
@pytest.mark.parametrize("at", [2, 17, 50])
def test_an_unclosed_quotation_mark_costs_its_record_and_no_other(tmp_path: Path, broken: str, at: int) -> None:
    lines = [f'c{n},"a ""quoted"" title, {n}",central' if n % 5 == 0 else f"c{n},title,central" for n in range(2, 51)]
    lines[at - 2] = broken.format(n=at)
    content = "\n".join(["copy,title,place", *lines]).encode()
    assert refused(tmp_path, content, default_class="fiction") == [(f"line {at}", RejectionReason.DATA)]
    assert copies_of(tmp_path, content, default_class="fiction") == [f"c{n}" for n in range(2, 51) if n != at]


def test_a_title_over_two_lines_is_one_row(tmp_path: Path) -> None:
    content = b'copy,title,place\nc1,"one\nof two lines",central\nc2,"x, y",hubin\nc3,,nowhere,,,\n'
    assert copies_of(tmp_path, content, default_class="fiction") == ["c1", "c2", "c3"]


@pytest.mark.parametrize(
    "content",
    [
        b"sep=;\ncopy;place\nc1;central\n",
        b"SEP=\t\r\ncopy\tplace\r\nc1\tcentral\r\n",
        b"COPY,Place\nc1,central\n",
        b"Holdings of March\n\n,printed by,the office\ncopy,place\nc1,central\n",
        "copy,place\nc1,central\n".encode("utf-16"),
        b"\xfe\xff" + "copy,place\r\nc1,central\r\n".encode("utf-16-be"),
        b"\xef\xbb\xbfsep=|\ncopy|place\nc1|central\n",
    ],
)
def test_a_table_as_programs_save_it_is_read(tmp_path: Path, content: bytes) -> None:
    assert copies_of(tmp_path, content) == ["c1"]


def sheet(tmp_path: Path, rows: list[tuple[object, ...]], shown_as: str = "General") -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for cell in book.active["A"]:
        cell.number_format = shown_as
    book.save(tmp_path / "made.xlsx")
    return (tmp_path / "made.xlsx").read_bytes()


@pytest.mark.parametrize(
    ("shown_as", "copy"), [("00000000", "00012345"), ("000", "12345"), ("General", "12345"), ("0", "12345")]
)
def test_a_barcode_is_read_with_the_zeros_that_its_sheet_shows(tmp_path: Path, shown_as: str, copy: str) -> None:
    rows = [("Our holdings", None), ("Copy", "PLACE"), (12345, "central"), (None, None)]
    assert copies_of(tmp_path, sheet(tmp_path, rows, shown_as), "t.xlsx") == [copy]


@pytest.mark.parametrize("barcode", ["2.00012E+13", "3,1e+9", "7E+12"])
def test_a_barcode_in_scientific_notation_is_refused(tmp_path: Path, barcode: str) -> None:
    content = f'copy,place\n"{barcode}",central\n"{barcode}",hubin\n31E5,central\n'.encode()
    assert refused(tmp_path, content) == [("copy", RejectionReason.DATA)] * 2
    assert copies_of(tmp_path, content) == ["31E5"]


def test_a_copy_at_two_places_at_once_is_named(tmp_path: Path) -> None:
    content = (
        b"copy,place,time\nc1,central,2026-03-01\nc1,hubin,2026-03-01\nc1,hubin,2026-03-02\nc1,central,2026-03-01\n"
    )
    assert refused(tmp_path, content) == [("line 3 place", RejectionReason.DATA)]


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_a_json_array_is_read_row_by_row(tmp_path: Path, name: str) -> None:
    rows = [{"copy": f"c{n}", "place": "central"} for n in range(30)]
    for option in (0, orjson.OPT_INDENT_2):
        content = b"\n " + orjson.dumps([*rows, 7], option=option)
        assert copies_of(tmp_path, content, name) == [f"c{n}" for n in range(30)]
        assert refused(tmp_path, content, name) == [("line 31", RejectionReason.DATA)]


def test_a_json_array_cut_off_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"t\.json: begins as a JSON array"):
        refused(tmp_path, b'[\n{"copy": "c1", "place": "central"},\n{"copy"', "t.json")
