"""Files as people's programs save them: known by content, in any encoding; times by the map; places by code and location."""

import struct
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from rotation.feeds import carrying
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.tables import TableMap, translate

TAKEN = datetime(2026, 3, 5, tzinfo=UTC)
FILES = Path(__file__).parent / "files"
HTML = """<html><head><meta charset="utf-8"></head><body><table><tr><th>条码号<th>所在馆<th>状态</tr>
<tr><td>00000017</td><td>p1</td><td>在馆</td></tr><tr><td>00000018<td>p2<td>借出</table></body></html>"""
TABBED = "条码号\t所在馆\t状态\n00000017\tp1\t在馆\n00000018\tp2\t借出\n"
MANIFEST = (
    '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry'
    ' manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/></manifest:manifest>'
)
ODS_ROW = "<table:table-row>{}</table:table-row>"
ODS_CELL = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
ODS = """<?xml version="1.0" encoding="UTF-8"?><office:document-content
 xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.2"><office:body><office:spreadsheet>
<table:table table:name="S">{}</table:table></office:spreadsheet></office:body></office:document-content>"""


def a_map(**changes: Any) -> TableMap:
    values: dict[str, Any] = {
        "source": "s",
        "rows": "stock",
        "columns": {"copy": "条码号", "place": "所在馆", "says": "状态"},
        "says": {"在馆": "on_shelf", "借出": "on_loan"},
    }
    return TableMap.model_validate(values | changes)


def said(path: Path, chosen: TableMap) -> list[tuple[str, str, str]]:
    found = []
    for one in translate(path, chosen, TAKEN):
        assert isinstance(one, dict), one
        found.append((one["data"]["copy"], one["data"]["place"], one["data"].get("now", one["type"])))
    return found


SAYS = [("00000017", "p1", "on_shelf"), ("00000018", "p2", "on_loan")]


def as_ods(path: Path) -> None:
    rows = [line.split("\t") for line in TABBED.splitlines()]
    body = "".join(ODS_ROW.format("".join(ODS_CELL.format(cell) for cell in row)) for row in rows)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        packed.writestr("META-INF/manifest.xml", MANIFEST)
        packed.writestr("content.xml", ODS.format(body))


def record(number: int, content: bytes = b"") -> bytes:
    """A record of a binary workbook (Excel's BIFF12): number and length in groups of seven bits."""
    head = bytes([number]) if number < 128 else bytes([number & 0x7F | 0x80, number >> 7])
    length = len(content)
    return head + (bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])) + content


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def as_xlsb(path: Path) -> None:
    rows = [line.split("\t") for line in TABBED.splitlines()]
    cells = b"".join(
        record(0, struct.pack("<IIHBBBI", number, 0, 300, 0, 0, 0, 0))
        + b"".join(record(6, struct.pack("<II", at, 0) + wide(cell)) for at, cell in enumerate(row))
        for number, row in enumerate(rows)
    )
    size = struct.pack("<IIII", 0, len(rows) - 1, 0, len(rows[0]) - 1)
    sheet = record(129) + record(148, size) + record(145) + cells + record(146) + record(130)
    named = record(156, struct.pack("<II", 0, 1) + wide("rId1") + wide("S"))
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("xl/workbook.bin", record(131) + record(143) + named + record(144) + record(132))
        packed.writestr("xl/worksheets/sheet1.bin", sheet)
        packed.writestr(
            "xl/_rels/workbook.bin.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"'
            f' Type="{relation}" Target="worksheets/sheet1.bin"/></Relationships>',
        )


@pytest.mark.parametrize(
    "name", ["holdings.xls", "page.xls", "tabs.xls", "book.ods", "book.csv", "binary.xlsb", "binary.xls"]
)
def test_a_file_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("binary"):
        as_xlsb(path)
    elif name == "holdings.xls":
        path.write_bytes((FILES / name).read_bytes())
    elif name.startswith("book"):
        as_ods(path)
    else:
        path.write_text(HTML if name == "page.xls" else TABBED, encoding="utf-8")
    assert said(path, a_map()) == SAYS


@pytest.mark.parametrize(("written", "told"), [("gb18030", "utf-8"), ("utf-8", "gb18030"), ("big5", "utf-8")])
def test_a_wrong_encoding_is_named_with_the_likely_one(tmp_path: Path, written: str, told: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        TABBED.replace("\t", ",")
        .replace("条码号", "條碼號")
        .replace("状态", "狀態")
        .replace("馆", "館")
        .encode(written)
    )
    columns = {"copy": "條碼號", "place": "所在館", "says": "狀態"}
    with pytest.raises(ValueError, match=f'set encoding = "{written}"'):
        said(path, a_map(encoding=told, columns=columns))


def test_utf_16_without_a_mark_is_read_where_the_map_says_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(TABBED.replace("\t", ",").encode("utf-16-le"))
    assert said(path, a_map(encoding="utf-16-le")) == SAYS


@pytest.mark.parametrize("column", ["copy", "price"])
def test_formulas_that_were_never_computed_are_one_sentence_where_the_map_reads_them(
    tmp_path: Path, column: str
) -> None:
    book = openpyxl.Workbook()
    book.active.append(["条码号", "所在馆", "状态", "price"])
    for number in range(2, 60):
        copy = f"=A{number}" if column == "copy" else f"{number:08}"
        book.active.append([copy, "p1", "在馆", f"=B{number}*2" if column == "price" else None])
    book.save(tmp_path / "t.xlsx")
    if column == "price":
        assert len(said(tmp_path / "t.xlsx", a_map())) == 58
        return
    with pytest.raises(ValueError, match="formulas that no program has computed"):
        said(tmp_path / "t.xlsx", a_map())


EVENTS = {"copy": "copy", "place": "place", "says": "what", "time": "at"}
TIMES = [
    ("01/03/2026", "%d/%m/%Y", "2026-03-01T00:00:00"),
    ("3/1/2026 9:00:00 AM", "%m/%d/%Y %I:%M:%S %p", "2026-03-01T09:00:00"),
    ("01-MAR-26", "%d-%b-%y", "2026-03-01T00:00:00"),
    ("2026.03.01", "%Y.%m.%d", "2026-03-01T00:00:00"),
    ("46082.375", "excel", "2026-03-01T09:00:00"),
]


@pytest.mark.parametrize(("written", "format_of", "instant"), TIMES)
def test_times_are_read_in_the_maps_format_and_without_it_refused_in_one_sentence(
    tmp_path: Path, written: str, format_of: str, instant: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "copy,place,what,at\n" + f"1,p1,copy.loaned,{written}\n2,p1,copy.loaned,{written}\n", encoding="utf-8"
    )
    plain = a_map(rows="events", columns=EVENTS, timezone="UTC")
    with pytest.raises(ValueError, match="set its format in the map"):
        list(translate(path, plain))
    read = list(translate(path, plain.model_copy(update={"times": (format_of,)})))
    assert [event["time"] for event in read if isinstance(event, dict)] == [f"{instant}+00:00"] * 2


def test_rows_are_filtered_and_one_row_can_hold_a_loan_and_its_return(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "copy,place,at,back,kind\n1,p1,2026-03-01,2026-03-04,BOOK\n2,p1,2026-03-01,,BOOK\n3,p1,2026-03-01,,PC\n"
    )
    columns = {"copy": "copy", "place": "place", "time": "at", "returned": "back"}
    chosen = a_map(rows="events", columns=columns, default_says="copy.loaned", only={"kind": ["BOOK"]})
    events = [one for one in translate(path, chosen) if isinstance(one, dict)]
    assert [(one["type"], one["data"]["copy"]) for one in events] == [
        ("copy.loaned", "1"),
        ("copy.returned", "1"),
        ("copy.loaned", "2"),
    ]


PLACES = {
    "D1": "district",
    "D1/ROOM*": "room",
    "D1/STREET-7": "street",
    "*/TEMP?": "-",
    "D1/TRUCK": "bus",
    "D1/TRANSFER": "via:district",
    "999/*": "-",
}
ROWS = """copy,lib,loc,home,homeloc,state
1,D1,HALL,D1,HALL,on_shelf
2,D1,ROOM-3,D1,HALL,on_shelf
3,D1,STREET-7,D1,STREET-7,on_loan
4,D1,TEMP1,D1,HALL,on_shelf
5,D1,TRUCK,D1,TRUCK,on_shelf
6,D1,TRANSFER,D1,STREET-7,on_shelf
7,D1,TRANSFER,D1,HALL,on_shelf
8,999,X,999,X,on_shelf
9,D2,X,D1,HALL,on_shelf
10,D2,X,D1,HALL,on_shelf
"""


def test_a_place_is_a_code_and_a_location_below_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(ROWS)
    columns = {
        "copy": "copy",
        "place": "lib",
        "location": "loc",
        "home": "home",
        "home_location": "homeloc",
        "says": "state",
    }
    report = carrying.FeedReport()
    sent: list[dict[str, Any]] = []
    refused: list[RejectedRecord] = []
    carrying.carry(translate(path, a_map(columns=columns, places=PLACES), TAKEN), sent.extend, refused.extend, report)
    stands = {
        e["data"]["copy"]: (e["data"].get("now", e["type"]), e["data"]["place"], e["data"].get("to")) for e in sent
    }
    assert stands == {
        "1": ("on_shelf", "district", None),
        "2": ("on_shelf", "room", None),
        "3": ("on_loan", "street", None),
        "4": ("withdrawn", "district", None),
        "5": ("on_shelf", "bus", None),
        "6": ("transfer.sent", "district", "street"),
        "7": ("unknown", "district", None),
    }
    assert report.as_dict()["not_in_the_map"] == Counter({"'D2/X' is not in the map's [places]": 2})
