"""Tables as programs really write them: times as digits, JSON in envelopes, other encodings and line ends."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pytest

from config.settings import DEFAULTS
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.tables import read_map, translate

STOCK = DEFAULTS.parent / "maps" / "plain-stock.toml"
ROW = {"copy": "c1", "place": "central"}
TITLES = "copy,title,place\n" + "".join(f"c{n},书名本{n},central\n" for n in range(3))


def translated(tmp_path: Path, name: str, content: bytes, **changes: object) -> list[Any]:
    (tmp_path / name).write_bytes(content)
    chosen = read_map(STOCK).model_copy(update={"default_class": "fiction"} | changes)
    return list(translate(tmp_path / name, chosen, datetime(2026, 3, 5, tzinfo=UTC)))


def copies_in(records: list[Any]) -> list[str]:
    return list(dict.fromkeys(one["data"]["copy"] for one in records if isinstance(one, dict)))


def times_of(tmp_path: Path, word: str) -> set[str]:
    lines = f"copy,place,time\nc1,central,{word}\nc2,central,{word}\n"
    return {one["time"][:19] for one in translated(tmp_path, "t.csv", lines.encode()) if isinstance(one, dict)}


@pytest.mark.parametrize(
    ("word", "time"),
    [
        ("20260301", "2026-03-01T00:00:00"),
        ("202603011530", "2026-03-01T15:30:00"),
        ("20260301153012", "2026-03-01T15:30:12"),
    ],
)
def test_a_time_in_digits_is_read_by_their_number(tmp_path: Path, word: str, time: str) -> None:
    assert times_of(tmp_path, word) == {time}


@pytest.mark.parametrize("word", ["1772355600", "1772355600000", "2026030110930", "46082"])
def test_a_number_that_is_no_time_is_one_sentence(tmp_path: Path, word: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        times_of(tmp_path, word)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + orjson.dumps([ROW]),
        orjson.dumps([ROW]).decode().encode("utf-16"),
        orjson.dumps({"total": 1, "items": [ROW]}),
        orjson.dumps({"items": [ROW], "page": {"next": None}}, option=orjson.OPT_INDENT_2),
        orjson.dumps(ROW),
    ],
)
def test_json_in_its_envelope_is_read(tmp_path: Path, content: bytes) -> None:
    assert copies_in(translated(tmp_path, "t.json", content)) == ["c1"]


@pytest.mark.parametrize("content", [{"a": [ROW], "b": [ROW]}, {"a": 1, "b": ROW}])
def test_a_json_object_without_one_array_is_one_sentence(tmp_path: Path, content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="arrays; expected"):
        translated(tmp_path, "t.json", orjson.dumps(content, option=orjson.OPT_INDENT_2))


def test_json_numbers_keep_their_digits_or_cost_their_row(tmp_path: Path) -> None:
    rows = [ROW | {"copy": copy} for copy in (12345678901234567, 1.5e19, "2.5E13", "c4")]
    records = translated(tmp_path, "t.json", orjson.dumps(rows))
    assert copies_in(records) == ["12345678901234567", "c4"]
    assert [one.position for one in records if isinstance(one, RejectedRecord)] == [(0, 2), (0, 3)]


@pytest.mark.parametrize(("written", "declared"), [("gb18030", "utf-8"), ("utf-8", "gb18030"), ("big5", "utf-8")])
def test_rows_in_another_encoding_than_the_map_says_are_one_sentence(
    tmp_path: Path, written: str, declared: str
) -> None:
    with pytest.raises(ValueError, match=f"not in {declared}; "):
        translated(tmp_path, "t.csv", TITLES.replace("书", "書").encode(written), encoding=declared)


def test_one_row_in_another_encoding_costs_itself(tmp_path: Path) -> None:
    records = translated(tmp_path, "t.csv", TITLES.encode() + "c9,书名,central\n".encode("gb18030"))
    assert (copies_in(records), len([one for one in records if isinstance(one, RejectedRecord)])) == (
        ["c0", "c1", "c2"],
        1,
    )


def test_lines_may_end_by_a_carriage_return_alone(tmp_path: Path) -> None:
    assert copies_in(translated(tmp_path, "t.csv", TITLES.encode().replace(b"\n", b"\r"))) == ["c0", "c1", "c2"]


def workbook(*sheets: tuple[str, list[list[object]]]) -> bytes:
    book, content = openpyxl.Workbook(), BytesIO()
    book.remove(book.active)
    for name, rows in sheets:
        page = book.create_sheet(name)
        for row in rows:
            page.append(row)
    book.save(content)
    return content.getvalue()


COVER, DATA = ("Cover", [["Holdings of", "March"]]), ("Data", [["copy", "place"], ["c1", "central"]])


@pytest.mark.parametrize("name", ["t.xlsx", "t.csv", "t.xls"])
@pytest.mark.parametrize("sheets", [(COVER, DATA), (("Empty", []), DATA), (DATA, COVER)])
def test_the_sheet_that_names_the_columns_is_read(tmp_path: Path, name: str, sheets: Any) -> None:
    assert copies_in(translated(tmp_path, name, workbook(*sheets))) == ["c1"]


def test_a_sheet_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sheet 'data'; it has Cover, Data"):
        translated(tmp_path, "t.xlsx", workbook(COVER, DATA), sheet="data")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["t.txt", "t.tsv", "t.csv", "t.xls"])
def test_the_delimiter_is_that_of_the_header(tmp_path: Path, name: str, delimiter: str) -> None:
    content = f"Holdings\ncopy{delimiter}place\nc1{delimiter}central\n".encode()
    assert copies_in(translated(tmp_path, name, content)) == ["c1"]
