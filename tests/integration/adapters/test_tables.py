"""Tables into a real database: a dry run shows and keeps nothing, and an import that was killed is done again without harm."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import psycopg
import pytest
from sqlalchemy import Engine

from config.settings import DEFAULTS
from rotation.feeds import destinations, file_imports
from rotation.feeds.destinations import Destinations
from rotation.feeds.tables import TableMap, read_map
from rotation.system.importing import has_loans
from tests.streams_world import MONDAY, city, counts
from tests.unit.adapters.patron import CARD, NAME, PHONE, named_in

COPIES = 250  # more than two batches
PLACES = {"在馆": "on_shelf", "借出": "on_loan", "物流发送": "in_transit"}


@pytest.fixture
def holdings(tmp_path: Path) -> Path:
    """An export with readers in it, and one line that cannot be told."""
    rows = [f"{n:05},b{n // 2},{NAME},{CARD},{PHONE},p{n % 3},p{n % 3},p5,{[*PLACES][n % 3]}" for n in range(COPIES)]
    header = "条码号,书目记录号,姓名,读者证号,电话,所在馆,所属馆,目的馆,状态"
    (tmp_path / "holdings.csv").write_text("\n".join([header, *rows, f"x,b1,{NAME},,,p1,p1,p5,吃了"]), encoding="utf-8")
    return tmp_path / "holdings.csv"


@pytest.fixture
def chosen() -> TableMap:
    return read_map(DEFAULTS.parent / "maps" / "interlib-stock.toml").model_copy(
        update={"default_class": "fiction", "encoding": "utf-8"}
    )


def stands(url: str) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT copy_id, state FROM copies").fetchall())


def test_a_dry_run_shows_what_it_would_send_and_refuse_and_keeps_nothing(
    database: str, engine: Engine, holdings: Path, chosen: TableMap
) -> None:
    shown: list[str] = []
    report = file_imports.import_table(engine, city(), destinations.shown(shown.append), holdings, chosen, MONDAY)
    lines = [json.loads(line) for line in shown]
    assert sum("specversion" in line for line in lines) == report.sent.total() == 2 * COPIES
    assert [line["refused"] for line in lines if "refused" in line] == ["file:holdings.csv"]
    assert named_in(*shown) == []
    assert stands(database) == counts(database) == {}


def test_a_table_imported_twice_tells_each_copy_once_and_no_reader_comes_in(
    database: str, applied: Destinations, engine: Engine, holdings: Path, chosen: TableMap, everything: Any
) -> None:
    for _ in range(2):
        file_imports.import_table(engine, city(), applied, holdings, chosen, MONDAY)
    assert stands(database) == {f"{n:05}": [*PLACES.values()][n % 3] for n in range(COPIES)}
    told = counts(database)
    assert (told["applied"] + told["late"], told["refused_at_edge"]) == (2 * COPIES, 1)
    assert named_in(everything()) == []


def test_another_mistake_at_the_same_line_of_a_later_file_of_that_name_is_recorded_too(
    database: str, engine: Engine, applied: Destinations, holdings: Path, chosen: TableMap
) -> None:
    text = holdings.read_text(encoding="utf-8")
    for word in ("吃了", "吃了", "卖了"):
        holdings.write_text(text.replace("吃了", word), encoding="utf-8")
        file_imports.import_table(engine, city(), applied, holdings, chosen, MONDAY)
    assert counts(database)["refused_at_edge"] == 2


def test_every_row_of_a_workbook_is_in_a_count_and_its_other_sheets_are_named(
    engine: Engine, tmp_path: Path, chosen: TableMap
) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Adults"
    for row in (
        ("Holdings", None, None, None),
        ("条码号", "书目记录号", "所在馆", "状态"),
        ("01", "b1", "p1", "在馆"),
        ("02", "b1", "p1", "编目"),
        ("03", "b1", "away", "在馆"),
        ("04", "b1", "p1", "吃了"),
        ("合计", "4", None, None),
    ):
        book.active.append(row)
    for name in ("Children", "Notes"):
        book.create_sheet(name).append(("条码号", "所在馆") if name == "Children" else ("printed",))
    book.save(tmp_path / "holdings.xlsx")
    chosen = chosen.model_copy(update={"places": {"p1": "p1", "away": "-"}})
    ends = destinations.shown(lambda _: None)
    report = file_imports.import_table(engine, city(), ends, tmp_path / "holdings.xlsx", chosen, MONDAY)
    assert report.as_dict() == {
        "read": 4,
        "captions": 1,
        "passed_over": 2,
        "sheet": "Adults",
        "sheets_not_read": ["Children", "Notes"],
        "sheets_with_these_columns": ["Children"],
        "events": 2,
        "told": {"copy.added": 1, "copy.corrected": 1},
        "refused": {"data": 1},
        "not_in_the_map": {"'吃了' is not in the map's [says]": 1},
    }


def test_only_a_loan_after_a_stay_on_the_shelf_counts_as_a_known_loan(
    engine: Engine, applied: Destinations, holdings: Path, chosen: TableMap, tmp_path: Path
) -> None:
    file_imports.import_table(engine, city(), applied, holdings, chosen, MONDAY - timedelta(days=1))
    assert not has_loans(engine)
    (tmp_path / "loans.csv").write_text("条码号,操作馆,操作类型,操作时间\n00000,p0,借出,2026-03-02 10:00:00\n", "utf-8")
    loans = read_map(DEFAULTS.parent / "maps" / "interlib-events.toml").model_copy(update={"encoding": "utf-8"})
    file_imports.import_table(engine, city(), applied, tmp_path / "loans.csv", loans)
    assert has_loans(engine)
