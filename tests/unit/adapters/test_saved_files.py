"""Files as library systems and people save them: Excel 2003's XML, pages in one file, totals, many sheets, barcodes as shown."""

import zipfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pytest

from rotation.feeds import ods_workbooks
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.number_formats import shown
from rotation.feeds.tables import TableMap, sheet_choice, translate

TAKEN = datetime(2026, 3, 5, tzinfo=UTC)
COLUMNS = {"copy": "条码", "place": "馆", "says": "状态", "title": "书目号", "time": "时间"}


def a_map(**changes: Any) -> TableMap:
    values = {
        "source": "s",
        "rows": "stock",
        "columns": COLUMNS,
        "default_says": "on_shelf",
        "default_class": "fiction",
    }
    return TableMap.model_validate(values | changes)


def read(path: Path, content: str | bytes, **changes: Any) -> list[tuple[str, str]]:
    """Return (copy, place) of each copy read, and (field, message) of each row refused."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = []
    for one in translate(path, a_map(**changes), TAKEN):
        if isinstance(one, RejectedRecord):
            found.append((one.rejection.field, one.rejection.message))
        else:
            found.append((one["data"]["copy"], one["data"]["place"]))
    return list(dict.fromkeys(found))


def sheet_xml(name: str, *rows: str) -> str:
    return f'<Worksheet ss:Name="{name}"><Table>{"".join(rows)}</Table></Worksheet>'


def row_xml(*cells: str, index: int | None = None) -> str:
    at = f' ss:Index="{index}"' if index else ""
    return f"<Row{at}>{''.join(cells)}</Row>"


def cell_xml(text: str, kind: str = "String", extra: str = "") -> str:
    return f'<Cell{extra}><Data ss:Type="{kind}">{text}</Data></Cell>'


def book_xml(*sheets: str) -> str:
    urn = "urn:schemas-microsoft-com:office:spreadsheet"
    styles = '<Styles><Style ss:ID="s62"><NumberFormat ss:Format="0000000000"/></Style></Styles>'
    head = f'<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n<Workbook xmlns="{urn}" xmlns:ss="{urn}">'
    return f"{head}{styles}{''.join(sheets)}</Workbook>"


HEADER = row_xml(cell_xml("条码"), cell_xml("馆"), cell_xml("状态"))
HOLDINGS = book_xml(
    sheet_xml("说明", row_xml(cell_xml("导出说明 &amp; 注意"))),
    sheet_xml(
        "馆藏",
        row_xml(cell_xml("馆藏清单", extra=' ss:MergeAcross="2"')),
        HEADER,
        row_xml(cell_xml("77", "Number", ' ss:StyleID="s62"'), cell_xml("p1"), cell_xml("on_loan")),
        row_xml(cell_xml("0078"), cell_xml("on_shelf", extra=' ss:Index="3"'), index=6),
    ),
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_excel_2003s_xml_is_read_with_shown_zeros_and_rows_where_they_stand(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path / "t.xls", HOLDINGS.encode(encoding)) == [("0000000077", "p1"), ("line 6 place", "empty")]


@pytest.mark.parametrize(
    "broken",
    [
        HOLDINGS[:-40],
        HOLDINGS.replace("&amp;", "&"),
        HOLDINGS.replace('ss:Index="6"', 'ss:Index="99999999"'),
        HOLDINGS.replace('ss:Index="6"', 'ss:Index="1"'),
        HOLDINGS.replace('ss:MergeAcross="2"', 'ss:MergeAcross="999999999"'),
    ],
)
def test_broken_xml_is_one_sentence(tmp_path: Path, broken: str) -> None:
    with pytest.raises(ValueError, match="no workbook that can be read"):
        read(tmp_path / "t.xls", broken)


def test_a_sheet_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sheet 'x'; it has 说明, 馆藏"):
        read(tmp_path / "t.xls", HOLDINGS, sheet="x")


def test_a_page_in_one_file_is_read(tmp_path: Path) -> None:
    page = "<html><table><tr><td>条码<td>馆</tr><tr><td>0007<td>总馆</tr></table></html>"
    mixed = 'Content-Type: multipart/related; boundary="=_b"'
    part = 'Content-Type: text/html; charset="utf-8"\r\nContent-Transfer-Encoding: 8bit'
    content = f"MIME-Version: 1.0\r\n{mixed}\r\n\r\n--=_b\r\n{part}\r\n\r\n{page}\r\n--=_b--\r\n"
    assert read(tmp_path / "t.xls", content) == [("0007", "总馆")]


@pytest.mark.parametrize(
    ("named", "written"), [("gb2312", "gb18030"), ("GBK", "gbk"), ("utf-8", "utf-8"), ("big5", "big5")]
)
def test_a_page_is_in_the_encoding_that_it_names(tmp_path: Path, named: str, written: str) -> None:
    head = f'<meta http-equiv="Content-Type" content="text/html; charset={named}">'
    page = f"<html>{head}<table><tr><td>copy<td>place</tr><tr><td>1<td>中山</tr></table>"
    columns = {"copy": "copy", "place": "place"}
    assert read(tmp_path / "t.xls", page.encode(written), columns=columns) == [("1", "中山")]


def test_a_page_in_another_encoding_than_it_says_is_one_sentence(tmp_path: Path) -> None:
    page = "<html><table><tr><td>条码<td>馆</tr><tr><td>1<td>总馆</tr></table>".encode("gb18030")
    with pytest.raises(ValueError, match="gb18030 fits"):
        read(tmp_path / "t.xls", page)


@pytest.mark.parametrize(
    "below",
    [
        "合计,,",
        "总计：2册,,",
        ",,\n,,小 计",
        "Total,,2",
        "Grand total: 2 copies,,",
        "共 2 条,,",
        "SUM,,",
        "制表人：某某,日期,",
        "第 1 页 共 3 页,,",
        "Printed by the office,on Monday,",
        "条码,馆,状态",
    ],
)
def test_a_total_a_foot_and_the_header_again_are_no_records(tmp_path: Path, below: str) -> None:
    content = f"条码,馆,状态\n1,p1,\n2,p1,\n{below}\n3,p1,\n"
    assert read(tmp_path / "t.csv", content) == [("1", "p1"), ("2", "p1"), ("3", "p1")]


@pytest.mark.parametrize("row", ["9,,on_shelf", ",p1,", "Totale9,,", "sum-1,,"])
def test_a_record_that_lacks_something_is_still_refused(tmp_path: Path, row: str) -> None:
    assert (
        len([field for field, _ in read(tmp_path / "t.csv", f"条码,馆,状态\n1,p1,\n{row}\n") if "line 3" in field]) == 1
    )


def test_a_book_called_total_is_a_book(tmp_path: Path) -> None:
    assert read(tmp_path / "t.csv", "书目号,条码,馆\nTotal,5,p1\n合计,6,p1\n") == [("5", "p1"), ("6", "p1")]


def book_of(**sheets: list[tuple[object, ...]]) -> bytes:
    book, saved = openpyxl.Workbook(), BytesIO()
    book.remove(book.active)
    for name, rows in sheets.items():
        page = book.create_sheet(name)
        for row in rows:
            page.append(row)
    book.save(saved)
    return saved.getvalue()


def test_the_sheet_read_and_the_others_are_known(tmp_path: Path) -> None:
    content = book_of(
        Notes=[("an export",)], Adults=[("条码", "馆"), ("1", "p1")], Children=[("条码", "馆"), ("2", "p1")]
    )
    path = tmp_path / "t.xlsx"
    assert read(path, content) == [("1", "p1")]
    assert sheet_choice(path, a_map()) == ("Adults", ["Notes", "Children"], ["Children"])
    assert read(path, content, sheet="Children") == [("2", "p1")]
    assert sheet_choice(path, a_map(sheet="Children")) == ("Children", ["Notes", "Adults"], ["Adults"])


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (77, '"B"000000', "B000077"),
        (77, "\\L00000", "L00077"),
        (1234567, "000-0000", "123-4567"),
        (77, "000-0000", "000-0077"),
        (77, "[Red]00000;-0", "00077"),
        (77, "00000_ ", "00077"),
        (123456, "000", "123456"),
        (77.0, "0000", "0077"),
    ],
)
def test_a_number_is_read_as_its_format_shows_it(value: float, number_format: str, text: str) -> None:
    assert shown(value, number_format) == text


@pytest.mark.parametrize(
    "number_format", ["General", "0", "@", "#,##0", "0.00", "0%", "0E+00", "yyyy-mm-dd", "???", None]
)
def test_other_formats_change_no_number(number_format: str | None) -> None:
    assert shown(77, number_format) == 77


@pytest.mark.parametrize(
    ("second", "field"),
    [("1,p1,on_loan,b1", "line 3 says"), ("1,p1,on_shelf,b2", "line 3 title"), ("1,p2,on_loan,b2", "line 3 place")],
)
def test_a_copy_that_is_two_things_at_once_is_named(tmp_path: Path, second: str, field: str) -> None:
    found = read(tmp_path / "t.csv", f"条码,馆,状态,书目号\n1,p1,on_shelf,b1\n{second}\n1,p1,on_shelf,b1\n")
    assert [name for name, _ in found] == ["1", field]


def test_events_of_one_day_happened_in_the_order_of_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [
        "1,p1,copy.returned",
        "1,p1,copy.loaned",
        "1,p2,copy.returned",
        "1,p1,copy.loaned",
        "1,p1,copy.loaned",
        "2,p1,copy.loaned",
    ]
    path.write_text("条码,馆,状态,时间\n" + "".join(f"{row},2026-3-1\n" for row in rows))
    events = [one for one in translate(path, a_map(rows="events")) if isinstance(one, dict)]
    assert [one.get("sequence", 0) for one in events] == [0, 2, 4, 6, 6, 0]
    assert len({one["id"] for one in events}) == 5


@pytest.mark.parametrize("written", ["2026-3-1 9:05", "2026/3/1 9:05", "2026年3月1日 09:05", "2026-03-01 09:05"])
def test_a_time_that_begins_with_its_year_needs_no_format(tmp_path: Path, written: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"条码,馆,状态,时间\n1,p1,copy.loaned,{written}\n")
    assert [one["time"][:16] for one in translate(path, a_map(rows="events")) if isinstance(one, dict)] == [
        "2026-03-01T09:05"
    ]


def test_a_spreadsheets_own_morning_and_afternoon_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("条码,馆,状态,时间\n1,p1,copy.loaned,2026/3/1 下午 2:30\n")
    chosen = a_map(rows="events", times="%Y/%m/%d %p %I:%M")
    assert [one["time"][:16] for one in translate(path, chosen) if isinstance(one, dict)] == ["2026-03-01T14:30"]


@pytest.mark.parametrize("name", ["t.json", "t.csv", "export"])
@pytest.mark.parametrize(
    "content", [[{"条码": "1", "馆": "p1"}], {"code": 0, "data": {"total": 1, "rows": [{"条码": "1", "馆": "p1"}]}}]
)
def test_json_is_known_by_its_content_and_read_from_its_envelope(tmp_path: Path, name: str, content: object) -> None:
    assert read(tmp_path / name, orjson.dumps(content)) == [("1", "p1")]


def test_jsons_names_are_in_capitals_or_not(tmp_path: Path) -> None:
    columns, only = {"copy": "barcode", "place": "Branch"}, {"kind": ["book"]}
    rows = [{"BARCODE": "1", "branch": "p1", "Kind": "book"}, {"BARCODE": "2", "branch": "p1", "Kind": "disc"}]
    assert read(tmp_path / "t.json", orjson.dumps(rows), columns=columns, only=only) == [("1", "p1")]


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_json_of_another_table_is_one_sentence(tmp_path: Path, name: str) -> None:
    rows = [orjson.dumps({"name": f"n{number}", "馆": "p1"}) for number in range(3000)]
    content = b"[" + b",".join(rows) + b"]" if name == "t.json" else b"\n".join(rows)
    with pytest.raises(ValueError, match=r"its first objects name no column 条码$"):
        read(tmp_path / name, content)


def test_a_title_is_named_with_its_author(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("条码,馆,书目号,题名,责任者\n1,p1,b1,甲 /,某某著\n2,p1,b2,乙,\n3,p1,b3,,某某\n", encoding="utf-8")
    chosen = a_map(columns={**COLUMNS, "name": "题名", "author": "责任者"})
    added = [
        one["data"] for one in translate(path, chosen, TAKEN) if isinstance(one, dict) and one["type"] == "copy.added"
    ]
    assert [one.get("title_name") for one in added] == ["甲 / 某某著", "乙", None]


def ods_cell(value: str, kind: str = "string", text: str | None = None, times: int = 1) -> str:
    repeated = f' table:number-columns-repeated="{times}"' if times > 1 else ""
    if not value:
        return f"<table:table-cell{repeated}/>"
    name = {"float": "value", "date": "date-value"}.get(kind)
    said = f' office:{name}="{value}"' if name else ""
    shown_text = value if text is None else text
    return (
        f'<table:table-cell office:value-type="{kind}"{said}{repeated}><text:p>{shown_text}</text:p></table:table-cell>'
    )


def ods_row(*cells: str, times: int = 1) -> str:
    repeated = f' table:number-rows-repeated="{times}"' if times > 1 else ""
    return f"<table:table-row{repeated}>{''.join(cells)}</table:table-row>"


def ods(path: Path, **sheets: list[str]) -> Path:
    """Write a workbook of sheets of rows."""
    urn = "urn:oasis:names:tc:opendocument:xmlns"
    spaces = " ".join(f'xmlns:{one}="{urn}:{one}:1.0"' for one in ("office", "table", "text"))
    tables = "".join(f'<table:table table:name="{name}">{"".join(rows)}</table:table>' for name, rows in sheets.items())
    content = f"<office:document-content {spaces}><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("content.xml", f'<?xml version="1.0"?>{content}</office:document-content>')
    return path


ODS_HEADER = ods_row(ods_cell("条码"), ods_cell("馆"), ods_cell("状态"), ods_cell("时间"))


def test_an_ods_is_read_with_barcodes_as_shown_dates_and_rows_where_they_stand(tmp_path: Path) -> None:
    rows = [
        ods_row(ods_cell("馆藏清单"), ods_cell("", times=1_000)),
        ODS_HEADER,
        ods_row(
            ods_cell("7077", "float", "00007077"),
            ods_cell("p1"),
            ods_cell(""),
            ods_cell("2026-03-02T09:30:00", "date", "x"),
        ),
        ods_row(times=2),
        ods_row(
            ods_cell("8088", "float", "B-8088"),
            ods_cell("p2"),
            ods_cell("on_loan"),
            ods_cell("2026-03-02", "date", "2 Mar"),
        ),
        ods_row(ods_cell("9099", "float", "9,099"), ods_cell("p2", times=2)),
        ods_row(ods_cell("", times=1_024), times=1_048_570),
    ]
    path = ods(tmp_path / "t.ods", Notes=[ods_row(ods_cell("printed"))], Holdings=rows)
    found = list(translate(path, a_map(), TAKEN))
    said = [(one["data"]["copy"], one["data"]["place"], one["time"][:16]) for one in found if isinstance(one, dict)]
    assert said == [("00007077", "p1", "2026-03-02T09:30"), ("B-8088", "p2", "2026-03-02T00:00")]
    assert [one.rejection.field for one in found if isinstance(one, RejectedRecord)] == ["line 7 says"]
    assert sheet_choice(path, a_map()) == ("Holdings", ["Notes"], [])


@pytest.mark.parametrize(
    ("value", "text", "read_as"),
    [
        ("0", "0000", "0000"),
        ("12", "12.00", 12),
        ("12", "€12", 12),
        ("0.5", "50%", 0.5),
        ("12", "13", 12),
        ("1.5e3", "1500", "1500"),
    ],
)
def test_a_number_of_an_ods_is_its_text_only_where_that_is_an_id(
    tmp_path: Path, value: str, text: str, read_as: object
) -> None:
    path = ods(tmp_path / "t.ods", S=[ods_row(ods_cell(value, "float", text))])
    assert list(ods_workbooks.rows_of(path, None)) == [(read_as,)]


@pytest.mark.parametrize(
    "content", ["<a", "no xml", '<a xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"']
)
def test_an_ods_that_is_none_is_one_sentence(tmp_path: Path, content: str) -> None:
    with zipfile.ZipFile(tmp_path / "t.ods", "w") as packed:
        packed.writestr("content.xml", content)
    with pytest.raises(ValueError, match=r"t\.ods: no workbook that can be read"):
        list(translate(tmp_path / "t.ods", a_map(), TAKEN))
