"""Key figures over a real PostgreSQL: counted from facts, shown with their formula; tables as spreadsheets."""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from openpyxl import load_workbook
from sqlalchemy import Engine, delete, insert, select

from rotation.accounts.permissions import Role
from rotation.facts.movements import CopyState
from rotation.night import day_figures
from rotation.store.clock import read_clock
from rotation.store.tables import city_counts, copies, daily_figures, decisions, hold_facts, movements
from rotation.views import kept_figures
from tests import web_city

SignedIn = Callable[[str], TestClient]
PLACE = "gudu"


@pytest.fixture(scope="module")
def counted(engine: Engine) -> Iterator[Engine]:
    """A city in which 40 copies were lent, a hold waited two days, and the figures were kept."""
    network = web_city.demo()
    with engine.begin() as connection:
        now = read_clock(connection).now()
        some = connection.execute(select(copies.c.copy_id, copies.c.place_id).limit(40)).all()
        fact = {"sequence": 0, "source": "a test"}
        lent = [
            {"copy_id": row.copy_id, "event_id": f"lent {row.copy_id}", "occurred_at": now - timedelta(days=73), **fact}
            | {"state": CopyState.ON_LOAN, "place_id": row.place_id}
            for row in some
        ]
        connection.execute(insert(movements), lent)
        place = network.places[0].id
        hold = {"hold_id": "h", "title_id": "t", "place_id": place, "copy_id": None, **fact}
        held = [("hold.placed", 5), ("hold.filled", 3)]
        connection.execute(
            insert(hold_facts),
            [
                {**hold, "event_id": kind, "type": kind, "occurred_at": now - timedelta(days=days)}
                for kind, days in held
            ],
        )
        month = now.date().replace(day=1) - timedelta(days=31)
        told = {"place_id": place, "month": month, "visits": 500, "satisfaction": 90, "answers": 8}
        kept_figures.tell_counts(connection, [told], "a test")
        day_figures.keep(connection, network, now, 8)
    yield engine
    with engine.begin() as connection:
        connection.execute(delete(daily_figures))
        connection.execute(delete(city_counts))


def _figures(engine: Engine) -> kept_figures.DayFigures:
    with engine.connect() as connection:
        day = kept_figures.last_day(connection)
        assert day
        return kept_figures.of_day(connection, day)


def test_loans_of_73_days_are_scaled_to_a_year(counted: Engine):
    found = {(one.figure, one.by): one for one in _figures(counted).values}
    turnover = found["turnover", "all"]
    assert turnover.amount == pytest.approx(40 * 365 / 73)
    with counted.connect() as connection:
        held = connection.execute(select(copies.c.state)).scalars().all()
    assert turnover.base == sum(state not in ("withdrawn", "missing") for state in held)


def test_parts_add_up_to_the_whole(counted: Engine):
    values = _figures(counted).values
    for by in ("tier", "place", "class"):
        assert sum(one.amount for one in values if (one.figure, one.by) == ("turnover", by)) == pytest.approx(40 * 5)


def test_a_hold_waits_from_its_placing_to_its_filling(counted: Engine):
    assert _figures(counted).of("holds_wait") == pytest.approx(2.0)


def test_the_citys_counts_are_figures_of_a_year(counted: Engine):
    found = _figures(counted)
    residents = web_city.demo().places[0].population
    assert found.of("satisfaction") == 90
    if residents:
        assert found.of("visits_per_head") == pytest.approx(6_000 / residents)


def test_equal_shares_have_no_gini_and_all_at_one_place_nearly_one():
    assert day_figures.gini([(2.0, 1.0), (4.0, 2.0)]) == pytest.approx(0)
    assert day_figures.gini([(0.0, 99.0), (5.0, 1.0)]) == pytest.approx(0.99)
    assert day_figures.gini([(0.0, 3.0)]) is None


def test_the_page_shows_each_figure_with_its_formula(counted: Engine, signed_in: SignedIn):
    text = signed_in("viewer").get("/figures").text
    for said in ("Collection turnover", "ISO 11620: Collection Turnover", "No standard set", "Holds' wait", "By class"):
        assert said in text
    assert "city-counts" not in text.split("<main")[1], "who may not import sees no form"


def test_the_report_is_a_workbook_csv_and_pdf(counted: Engine, signed_in: SignedIn):
    browser = signed_in("viewer")
    book = load_workbook(io.BytesIO(browser.get("/figures.xlsx").content))
    assert book.sheetnames == ["Whole network", "By tier", "By place", "By class"]
    rows = {row[0]: row[1] for row in book["Whole network"].values}
    assert rows["Holds' wait"] == pytest.approx(2.0)
    assert browser.get("/figures.csv").content.startswith(b"\xef\xbb\xbf")
    assert browser.get("/figures.pdf").content.startswith(b"%PDF")
    assert browser.get("/figures.doc").status_code == 422


def test_the_api_gives_the_same_and_takes_the_citys_counts(
    counted: Engine, app: object, token: Callable[[Role], dict[str, str]]
):
    machine = TestClient(app)  # type: ignore[arg-type]
    place = web_city.demo().places[1].id
    figures = machine.get("/api/figures", headers=token(Role.VIEWER)).json()["figures"]
    assert {"figure": "holds_wait", "by": "all", "subject": "", "amount": 2.0, "base": 1.0, "value": 2.0} in figures
    counts = {"counts": [{"place": place, "month": "2026-02", "visits": 12}]}
    assert machine.post("/api/city-counts", json=counts, headers=token(Role.VIEWER)).status_code == 403
    assert machine.post("/api/city-counts", json=counts, headers=token(Role.DISPATCHER)).json() == {"rows": 1}
    counts["counts"][0]["place"] = "nowhere"
    assert machine.post("/api/city-counts", json=counts, headers=token(Role.DISPATCHER)).status_code == 422


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("place,month,visits\nnowhere,2026-02,3\n", "Line 2: the network has no place nowhere"),
        ("place,month,visits\n{place},2026-02,many\n", "Line 2: visits is not as it should be"),
        ("place,month,visits\n{place},2026-02,3,4\n", "Line 2"),
        ("", "The file has no rows"),
        ("place,month,visits\n{place},2026-02,30\n", "Rows taken over: 1."),
    ],
)
def test_a_file_of_counts_is_taken_whole_or_refused_with_its_line(
    counted: Engine, signed_in: SignedIn, content: str, said: str
):
    browser = signed_in("dispatcher")
    file = {"file": ("counts.csv", content.format(place=web_city.demo().places[2].id), "text/csv")}
    assert browser.post("/figures/city-counts", files=file).status_code == 303
    assert said in browser.get("/figures").text


# --- Tables as spreadsheets -------------------------------------------------------------------------------------------------


def _csv(browser: TestClient, address: str) -> list[list[str]]:
    answer = browser.get(address)
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_a_table_goes_to_csv_sorted_and_filtered_as_the_address_says(signed_in: SignedIn):
    browser = signed_in("viewer")
    head, *rows = _csv(browser, "/imbalance?table=levels&form=csv&sort-levels=-4")
    assert head[3] == "On the shelf"
    numbers = [float(row[3]) for row in rows]
    assert numbers == sorted(numbers, reverse=True)
    assert len(rows) > 200, "a page shows the worst, a spreadsheet all"
    word = rows[0][0]
    assert {row[0] for row in _csv(browser, f"/imbalance?table=levels&form=csv&find-levels={word}")[1:]} == {word}


def test_numbers_are_numbers_in_a_workbook(signed_in: SignedIn):
    book = load_workbook(io.BytesIO(signed_in("viewer").get("/imbalance?table=levels&form=xlsx").content))
    rows = list(book.active.values)
    assert isinstance(rows[1][3], int)
    assert isinstance(rows[1][0], str)


def test_no_cell_is_a_formula(engine: Engine, signed_in: SignedIn):
    with engine.begin() as connection:
        connection.execute(
            insert(decisions), {"who": "=1+1", "what": "approve", "subject": "x", "why": "=cmd|' /C calc'!A0"}
        )
    browser = signed_in("viewer")
    assert any("'=1+1" in row for row in _csv(browser, "/decisions?table=decisions&form=csv"))
    book = load_workbook(io.BytesIO(browser.get("/decisions?table=decisions&form=xlsx").content))
    assert not [cell for row in book.active for cell in row if cell.data_type == "f"]


def test_a_table_that_is_not_there_is_not_found(signed_in: SignedIn):
    browser = signed_in("viewer")
    assert browser.get("/imbalance?table=nothing&form=csv").status_code == 404
    assert browser.get("/imbalance?table=levels&form=doc").status_code == 404
