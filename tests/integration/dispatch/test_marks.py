"""Transfers that a person pinned or kept back: what the day's plan, the nights after it and the vans make of them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert, select, update

from config.settings import load
from rotation.courier.day import plan_days
from rotation.courier.problems import HIGHEST_PRIORITY
from rotation.dispatch import marks
from rotation.facts.lifecycle import TransferMarkKind, TransferState
from rotation.facts.movements import CopyState
from rotation.night.moves import Night
from rotation.night.run import _close_days_before
from rotation.night.vans import _Vans
from rotation.night.world.world import NightWorld, world
from rotation.store.engine import driver, engine
from rotation.store.tables import copies, day_plans, decisions, legs, outbox, transfers
from solver.problem import Problem
from solver.solution import Solution
from tests.integration.night.small_city import MONDAY, NETWORK, moved, weeks_ago, write
from tests.unit.courier.town import MONDAY as TOWNS_MONDAY
from tests.unit.courier.town import calendar, morning_of, waiting

TODAY = NETWORK.day_of(MONDAY)
FACTS = [moved(f"c{n}", weeks_ago(20), CopyState.ON_SHELF, "branch") for n in range(3)]
SETTINGS = load(loan_cents=100)
PIN, KEEP = TransferMarkKind.PINNED, TransferMarkKind.KEPT_BACK


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """Three copies with a pick each; the plan of their day may leave the stop of the branch out."""
    with engine(database).connect() as one:
        write(one, {f"c{n}": "t1" for n in range(3)}, FACTS)
        one.execute(insert(transfers), [pick(f"c{n}") for n in range(3)])
        leg = {"position": 1, "kind": "collect", "from_place_id": "branch", "to_place_id": "centre", "day": TODAY}
        one.execute(insert(legs), [leg | {"transfer_id": f"pick-c{n}", "status": "planned"} for n in range(3)])
        stops = [{"id": place, "prize_cents": 40} for place in ("branch", "branch#2", "room")]
        plan = {"day_plan_id": "d", "day": TODAY, "hub_id": "centre", "status": "draft", "problem": {"stops": stops}}
        one.execute(insert(day_plans), plan | {"solution": {}, "evaluation": {}, "unserved": [], "created_at": MONDAY})
        one.commit()
        yield one


def pick(copy: str) -> dict[str, object]:
    way = {"from_place_id": "branch", "to_place_id": "room", "kind": "pick", "status": "proposed", "day": TODAY}
    told = {"reason": {"code": "borrowed_more"}, "created_at": MONDAY, "changed_at": MONDAY, "plan_id": "p"}
    return {"transfer_id": f"pick-{copy}", "copy_id": copy, "title_id": "t1", **way, **told}


def mark(connection: Connection, copy: str, kind: TransferMarkKind) -> None:
    marks.mark(connection, f"pick-{copy}", kind, who="li", why="opening on Friday", at=MONDAY)


def night(connection: Connection) -> NightWorld:
    return world(driver(connection), NETWORK, MONDAY, history_weeks=52, loans_per_km=0.03, visited=NETWORK.place)


def status_of(connection: Connection, copy: str) -> tuple[str, object]:
    row = connection.execute(select(transfers).where(transfers.c.copy_id == copy)).one()
    return row.status, row.day


def test_the_visits_of_a_pinned_transfer_must_be_made_in_the_plan_of_its_day(connection: Connection):
    mark(connection, "c0", PIN)
    stops = connection.scalars(select(day_plans.c.problem)).one()["stops"]
    assert [(one["id"], one.get("prize_cents"), one.get("priority")) for one in stops] == [
        ("branch", None, HIGHEST_PRIORITY),
        ("branch#2", None, HIGHEST_PRIORITY),
        ("room", 40, None),
    ]
    decision = connection.execute(select(decisions)).one()
    assert (decision.who, decision.what, decision.subject) == ("li", "pinned", "transfer:pick-c0")
    assert decision.why == "opening on Friday"
    assert marks.pinned(connection) == {"pick-c0"}


def test_a_pinned_transfer_that_was_not_carried_goes_on_to_the_next_day_and_the_others_are_called_off(
    connection: Connection,
):
    mark(connection, "c0", PIN)
    mark(connection, "c2", PIN)
    trapped = copies.c.copy_id == "c2"  # a reader's hold comes before a person's pin
    connection.execute(update(copies).where(trapped).values(state=CopyState.ON_HOLD_SHELF))
    tomorrow = TODAY + timedelta(days=1)
    _close_days_before(Night(connection, NETWORK, SETTINGS, tomorrow, MONDAY + timedelta(days=1)))
    assert status_of(connection, "c0") == (TransferState.PROPOSED, tomorrow)
    assert status_of(connection, "c1") == (TransferState.CANCELLED, TODAY)
    assert status_of(connection, "c2") == (TransferState.CANCELLED, TODAY)
    found = night(connection)
    rows = [found.names.copy_row[copy] for copy in ("c0", "c1")]
    places = [found.names.places[found.snapshot.copies.place[row]] for row in rows]
    assert places == ["room", "branch"]  # c0 counts where it is to go: no other move takes it


def test_a_copy_kept_back_is_called_off_and_in_no_plan_until_it_is_released(connection: Connection):
    connection.execute(update(transfers).where(transfers.c.copy_id == "c0").values(status=TransferState.ORDERED))
    mark(connection, "c0", KEEP)
    assert status_of(connection, "c0")[0] == TransferState.CANCELLED
    assert b'"order.cancel"' in connection.scalars(select(outbox.c.value)).one()
    assert connection.execute(select(legs).where(legs.c.transfer_id == "pick-c0")).first() is None
    found = night(connection)
    assert found.snapshot.copies.fixed[found.names.copy_row["c0"]]
    connection.commit()
    marks.release(connection, "pick-c0", who="wang", at=MONDAY)
    found = night(connection)
    assert not found.snapshot.copies.fixed[found.names.copy_row["c0"]]
    with pytest.raises(marks.NotMarked):
        marks.release(connection, "pick-c0", who="wang", at=MONDAY)


def test_a_copy_has_one_mark_and_what_has_left_has_none(connection: Connection):
    mark(connection, "c0", PIN)
    mark(connection, "c0", KEEP)
    assert [one.kind for one in marks.standing(connection)] == [KEEP]
    connection.execute(update(transfers).where(transfers.c.copy_id == "c1").values(status=TransferState.SENT))
    for kind in (PIN, KEEP):
        with pytest.raises(marks.NotMarked):
            mark(connection, "c1", kind)


def test_a_van_must_call_for_a_pinned_transfer_and_for_others_where_it_is_worth_the_way(connection: Connection):
    asked: list[Problem] = []

    def search(problem: Problem) -> Solution:
        asked.append(problem)
        return Solution(runs=[])

    connection.execute(update(transfers).values(gain_loans=0.1))
    tonight = Night(connection, NETWORK, SETTINGS, TODAY, NETWORK.instant(TODAY, 5 * 3600))
    _Vans(tonight, None, search).route()
    mark(connection, "c0", PIN)
    _Vans(tonight, None, search).route()
    (before,), (after,) = ([stop for stop in problem.stops if stop.place == "branch"] for problem in asked)
    assert before.prize_cents is not None
    assert before.priority == 3
    assert after.prize_cents is None
    assert after.priority == HIGHEST_PRIORITY


def test_a_pin_outweighs_all_other_stops_together_where_not_all_fit():
    asked: list[Problem] = []

    def search(problem: Problem) -> Solution:
        asked.append(problem)
        return Solution(runs=[])

    pinned = waiting("quay", "hill")
    open_transfers = [pinned, *(waiting(place, "quay", n) for place in ("mill", "late", "hill") for n in range(2, 80))]
    plan_days(
        calendar(), [TOWNS_MONDAY], open_transfers, morning_of(TOWNS_MONDAY), search, None, pinned={pinned.transfer_id}
    )
    weights = {stop.place: stop.priority + 1 for problem in asked for stop in problem.stops}
    assert weights["quay"] > sum(weight for place, weight in weights.items() if place != "quay")
