"""Floors, prices and lists of the last night on the page; sets asked for there; owners' answers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, insert, select, update

from rotation.night import placement_uplift
from rotation.store.clock import read_clock
from rotation.store.tables import (
    copies,
    crates,
    decisions,
    desk_answers,
    movements,
    plans,
    sets,
    shelf_prices,
    transfers,
    visits,
)
from tests.integration.web.conftest import SignedIn
from tests.web_city import DAY, demo

CHINESE = {"Accept-Language": "zh-CN"}
ROOM = demo().places[6].id
FLOORS = [
    {"kind": "fresh", "place": ROOM, "cls": None, "asked": 5, "missing": 2, "limit": "room", "price": 0.3},
    {"kind": "shelf", "place": "central", "cls": "large-print", "asked": 40, "missing": 0, "limit": "", "price": 0.21},
]
DETAILS = {
    "gap": 0.0003,
    "move_price": 0.83,
    "staff_minute_price": 0.045,
    "lost_to_owners": 0.0,
    "floors": FLOORS,
    "floors_unset": [{"floor": "fresh_per_quarter.room", "figure": "rural-reading-room-titles"}],
    "purchases": [{"title": "wanted-title", "worth": 1.75}],
    "weeding": [{"copy": "old-copy", "title": "old-title", "place": ROOM, "worth": 0.01}],
}
LATER = DAY + timedelta(days=9)


def test_the_desk_s_measured_and_watched_answers_stand_on_the_page_in_both_languages(
    signed_in: SignedIn, engine: Engine
):
    viewer, rows = signed_in("viewer"), []
    assert "desk_held_back_share" in viewer.get("/prices").text
    with engine.begin() as connection:
        now = read_clock(connection).now()
        for week in range(30):
            at = now - timedelta(weeks=9 + week)
            for rule, copies_lent in (("desk_rule", 3), ("own_rule", 1)):
                rows += [_answered(f"{rule}-{week}-{nth}", rule, at, nth < copies_lent) for nth in range(4)]
        rows.append(_answered("watched", "shadow", now - timedelta(days=1), False))
        connection.execute(insert(desk_answers), [answer for answer, _ in rows])
        connection.execute(insert(movements), [loan for _, loan in rows if loan])
        stock = {"occurred_at": now, "source": "measured", "event_id": "e", "state": "on_shelf", "place_id": ROOM}
        connection.execute(
            insert(copies), [stock | {"copy_id": c["copy_id"], "title_id": c["title_id"]} for c, _ in rows]
        )
        placement_uplift.keep(connection, weeks=8, now=now)
    english, chinese = viewer.get("/prices").text, viewer.get("/prices", headers=CHINESE).text
    with engine.begin() as connection:
        connection.execute(delete(desk_answers))
        placement_uplift.keep(connection, weeks=8, now=now)
        for table in (movements, copies):
            connection.execute(delete(table).where(table.c.source == "measured"))
    brought = english.partition("What the desk's rule brought")[2].partition("What the desk would have said")[0]
    assert "0.0625 loans a copy and week (±0.0000, 95 %): 0.0938 by the desk's rule, 0.0312 by" in brought, brought
    assert "每册每周多借出 0.0625 次" in chinese
    for said in ("It is borrowed more there.", "Not lent yet", "30 places"):
        assert said in english, said
    assert "还书台本会给出的答复" in chinese


def _answered(copy: str, rule: str, at: datetime, is_lent: bool) -> tuple[dict[str, object], dict[str, object] | None]:
    answer = {"copy_id": copy, "title_id": copy, "place_id": ROOM, "day": at.date(), "at": at, "answered_by": rule}
    loan = {
        "copy_id": copy,
        "occurred_at": at + timedelta(days=1),
        "sequence": 0,
        "source": "measured",
        "event_id": copy,
    }
    said = answer | {"desk_to": ROOM, "own_to": "central", "code": "borrowed_more"}
    return said, loan | {"state": "on_loan", "place_id": ROOM} if is_lent else None


@pytest.fixture
def night(engine: Engine) -> Iterator[None]:
    """A night with prices."""
    with engine.begin() as connection:
        row = {
            "plan_id": "priced",
            "day": DAY,
            "snapshot_at": "2026-03-12T04:00Z",
            "seed": 1,
            "moves": 12,
            "seconds": 1.0,
        }
        connection.execute(insert(plans), row | {"value_loans": 99.5, "bound_loans": 99.6, "details": DETAILS})
        priced = {"place_id": ROOM, "class": "children", "price_loans": 0.37, "plan_id": "priced"}
        connection.execute(insert(shelf_prices), priced)
    yield
    with engine.begin() as connection:
        connection.execute(delete(plans))
        connection.execute(delete(shelf_prices))


def test_without_a_night_the_page_says_so(signed_in: SignedIn):
    assert "No night has been planned yet." in signed_in("viewer").get("/prices").text
    assert signed_in("viewer").get("/api/night").status_code == 404


def test_prices_floors_and_lists_stand_on_the_page_in_both_languages(signed_in: SignedIn, night: None):
    viewer = signed_in("viewer")
    english, chinese = viewer.get("/prices").text, viewer.get("/prices", headers=CHINESE).text
    for said in ("0.83", "0.045", "0.37", "▼ 2", "wanted-title", "old-copy", "1.75", "rural-reading-room-titles"):
        assert said in english, said
        assert said in chinese, said
    assert "there is no room on the shelf" in english
    assert "特殊群体书架" in chinese
    assert "每册调运至少带来" in chinese


def test_prices_can_be_asked_for_one_place_and_as_json(signed_in: SignedIn, night: None):
    viewer = signed_in("viewer")
    assert "old-copy" not in viewer.get("/prices?place=central").text
    answer = viewer.get(f"/api/night?place={ROOM}").json()
    assert [floor["missing"] for floor in answer["floors"]] == [2]
    assert answer["shelves"] == [{"place": ROOM, "cls": "children", "price": 0.37}]


# --- Sets -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def dispatcher(signed_in: SignedIn, engine: Engine) -> Iterator[TestClient]:
    yield signed_in("dispatcher")
    with engine.begin() as connection:
        connection.execute(delete(sets))


ASKED = {"place": ROOM, "due": str(LATER), "cls": "picture-books", "copies": "60", "titles": "", "note": "六一展览"}


def test_a_set_is_asked_for_on_the_page_shown_and_cancelled(dispatcher: TestClient, engine: Engine):
    assert dispatcher.post("/sets", data=ASKED).status_code == 303
    html = dispatcher.get("/sets", headers=CHINESE).text
    assert "六一展览" in html
    assert "绘本" in html
    with engine.connect() as connection:
        (row,) = connection.execute(select(sets)).all()
    assert (row.place_id, row.copies, row.due, row.return_on, row.asked_by) == (ROOM, 60, LATER, None, "dispatcher")
    assert dispatcher.post(f"/sets/{row.set_id}/cancel").status_code == 303
    assert "Cancelled" in dispatcher.get("/sets").text
    assert dispatcher.post(f"/sets/{row.set_id}/cancel").status_code == 404


def test_announced_visits_are_shown_in_both_languages(dispatcher: TestClient, engine: Engine):
    assert "Announced visits" not in dispatcher.get("/sets").text
    with engine.begin() as connection:
        visit = {
            "place_id": ROOM,
            "day": LATER,
            "announced_at": datetime.now(UTC),
            "plan_id": "p",
            "take": 7,
            "bring": 41,
        }
        connection.execute(insert(visits), visit)
    english, chinese = dispatcher.get("/sets").text, dispatcher.get("/sets", headers=CHINESE).text
    assert all(said in english for said in ("Announced visits", str(LATER), "41"))
    assert "上门预告" in chinese
    assert [(one["take"], one["bring"]) for one in dispatcher.get("/api/visits").json()] == [(7, 41)]


def test_a_set_that_cannot_be_is_refused_in_the_reader_s_language(dispatcher: TestClient):
    wrong = ASKED | {"return_on": str(LATER - timedelta(days=1))}
    english, chinese = dispatcher.post("/sets", data=wrong), dispatcher.post("/sets", data=wrong, headers=CHINESE)
    assert (english.status_code, chinese.status_code) == (400, 400)
    assert "before it is due" in english.text
    assert "不晚于到位日期" in chinese.text


def test_the_api_asks_for_sets_too_and_who_only_looks_may_not(dispatcher: TestClient, signed_in: SignedIn):
    body = {"place": ROOM, "due": str(LATER), "class": "picture-books", "copies": 10}
    made = dispatcher.post("/api/sets", json=body)
    assert made.status_code == 200
    assert [one["set_id"] for one in dispatcher.get("/api/sets").json()] == [made.json()["set"]]
    assert "no place" in dispatcher.post("/api/sets", json=body | {"place": "moon"}).json()["detail"]
    assert signed_in("viewer").post("/api/sets", json=body).status_code == 403


# --- Owners ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("agreed", "status"), [("yes", "approved"), ("no", "cancelled")])
def test_an_owner_s_answer_is_given_on_the_transfer_s_page_once(
    dispatcher: TestClient, engine: Engine, agreed: str, status: str
):
    which = transfers.c.transfer_id == f"plan-{DAY:%Y%m%d}-c0"
    with engine.begin() as connection:
        before = connection.execute(select(transfers.c.status, transfers.c.day).where(which)).one()
        connection.execute(update(transfers).where(which).values(status="asked"))
    address = f"/transfers/plan-{DAY:%Y%m%d}-c0"
    assert "lends there only when asked" in dispatcher.get(address).text
    assert dispatcher.post(f"{address}/owner", data={"agreed": agreed}).status_code == 303
    assert dispatcher.post(f"{address}/owner", data={"agreed": agreed}).status_code == 404
    with engine.begin() as connection:
        row = connection.execute(select(transfers.c.status, transfers.c.day).where(which)).one()
        assert row.status == status
        assert (
            connection.scalars(select(decisions.c.who).where(decisions.c.subject.like("transfer:%"))).first()
            == "dispatcher"
        )
        connection.execute(update(transfers).where(which).values(status=before.status, day=before.day))
        connection.execute(delete(decisions))


def test_a_crate_is_received_whole_and_an_unknown_one_is_told_so(
    dispatcher: TestClient, signed_in: SignedIn, engine: Engine
):
    known = {"crate_id": "whole", "event_id": "whole", "type": "crate.delivered", "place_id": ROOM, "to_place_id": ROOM}
    with engine.begin() as connection:
        row = {"sequence": 0, "source": "test", "occurred_at": datetime(2026, 3, 12, tzinfo=UTC), "copies": []}
        connection.execute(insert(crates), known | row)
    assert (
        "holds 0 copies. Count them"
        in dispatcher.post("/receipts", data={"crate": " whole "}, follow_redirects=True).text
    )
    counted = {"crate": "whole", "counted": "true"}
    assert (
        "0 copies of crate whole are received."
        in dispatcher.post("/receipts", data=counted, follow_redirects=True).text
    )
    unknown = dispatcher.post("/receipts", data={"crate": "nobodys"}, headers=CHINESE)
    assert (unknown.status_code, "没有为任何服务点封装过周转箱 nobodys。" in unknown.text) == (404, True)
    assert signed_in("viewer").post("/receipts", data={"crate": "whole"}).status_code == 403


# --- Pins ------------------------------------------------------------------------------------------------------------------


def test_a_transfer_is_pinned_kept_back_and_released_from_the_list_with_who_and_why(
    dispatcher: TestClient, signed_in: SignedIn, engine: Engine
):
    number, viewer = f"plan-{DAY:%Y%m%d}-c0", signed_in("viewer")
    forms = {
        "pinned": {"kind": "pinned", "why": "opening on Friday"},
        "kept_back": {"kind": "kept_back", "why": "torn"},
    }
    for address, data in ((f"/transfers/{number}/mark", forms["pinned"]), (f"/transfers/{number}/release", {})):
        assert viewer.post(address, data=data).status_code == 403
    with engine.begin() as connection:
        which = transfers.c.transfer_id == number
        connection.execute(update(transfers).where(which).values(status="proposed", kind="pick"))
    assert "Pin or keep back…" in dispatcher.get(f"/today?day={DAY}&text={number}&part=transfers").text
    assert "Pin or keep back…" not in viewer.get(f"/today?day={DAY}&text={number}&part=transfers").text
    assert (
        "must be made" in dispatcher.post(f"/transfers/{number}/mark", data=forms["pinned"], follow_redirects=True).text
    )
    rows = dispatcher.get(f"/today?day={DAY}&table=marked&form=csv").text
    assert "Pinned" in rows
    assert "opening on Friday" in rows
    dispatcher.post(f"/transfers/{number}/mark", data=forms["kept_back"])
    kept = viewer.get(f"/transfers/{number}").text
    assert all(word in kept for word in ("Kept back", "dispatcher", "torn", "Cancelled"))
    assert dispatcher.post(f"/transfers/{number}/release").status_code == 303
    again = dispatcher.post(f"/transfers/{number}/release", follow_redirects=True, headers=CHINESE).text
    assert "未作任何更改" in again
    decided = viewer.get("/decisions?table=decisions&form=csv").text
    assert all(word in decided for word in ("Pinned", "Kept back", "Released"))
