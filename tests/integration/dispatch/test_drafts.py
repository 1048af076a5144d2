"""Drafts over a real database: kept apart from the plan, told apart when two meet, and written by accepting them."""

from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import Connection, func, select

from rotation.courier.day import plan_days, solve_alone
from rotation.courier.edits import Edit, EditKind
from rotation.courier.store import write_days
from rotation.dispatch import drafts, review
from rotation.facts.lifecycle import RunState
from rotation.store.engine import engine
from rotation.store.tables import day_plans, decisions, legs, outbox, plan_drafts, runs, stops
from tests.unit.courier.town import MONDAY, calendar, morning_of, town, waiting

SEARCH = partial(solve_alone, time_s=30.0, seed=1, iterations=20)
COPIES = [waiting("mill", "quay"), waiting("quay", "hill"), waiting("hill", "mill")]
EARLY = town().instant(MONDAY, 5 * 3600)


@pytest.fixture
def connection(module_database: str) -> Iterator[Connection]:
    """A planned Monday in a transaction that is never committed."""
    with engine(module_database).connect() as connection:
        write_days(connection, plan_days(calendar(), [MONDAY], COPIES, morning_of(MONDAY), SEARCH, None), EARLY)
        yield connection


@pytest.fixture
def plan_id(connection: Connection) -> str:
    """The plan with the most stops."""
    most = select(runs.c.day_plan_id).join(stops, stops.c.run_id == runs.c.run_id).group_by(runs.c.day_plan_id)
    return str(connection.scalar(most.order_by(func.count().desc()).limit(1)))


def draft(connection: Connection, plan_id: str) -> drafts.Draft:
    return drafts.read(connection, town(), plan_id, EARLY, lock=True)


def out(connection: Connection, plan_id: str) -> Edit:
    """Taking the first stop of the plan out."""
    first = next(run for run in draft(connection, plan_id).base.runs.values() if run.visits)
    return Edit(kind=EditKind.REMOVE, visit=first.visits[0])


def accept(connection: Connection, plan_id: str, *, order: bool) -> None:
    one = draft(connection, plan_id)
    drafts.accept(
        connection, town(), one, who="li", why="", at=EARLY, seen=one.version, plan=one.plan_version, order=order
    )


def kept(connection: Connection) -> list[object]:
    return [connection.execute(select(table).order_by(*table.primary_key)).all() for table in (runs, stops, legs)]


def test_a_draft_changes_nothing_of_the_plan_and_survives(connection: Connection, plan_id: str):
    before = kept(connection)
    drafts.add(connection, draft(connection, plan_id), out(connection, plan_id), who="li", seen=0)
    assert kept(connection) == before
    assert draft(connection, plan_id).edits == (out(connection, plan_id),)


def test_undo_and_redo_go_back_and_forth(connection: Connection, plan_id: str):
    edit = out(connection, plan_id)
    drafts.add(connection, draft(connection, plan_id), edit, who="li", seen=0)
    drafts.step(connection, draft(connection, plan_id), -1, who="li", seen=1)
    assert draft(connection, plan_id).changed_vans == set()
    drafts.step(connection, draft(connection, plan_id), 1, who="li", seen=2)
    assert draft(connection, plan_id).plan.van_of(edit.visit) is None


def test_of_two_who_edit_at_once_the_second_is_told_who_was_first(connection: Connection, plan_id: str):
    seen_by_both = draft(connection, plan_id)
    edit = out(connection, plan_id)
    drafts.add(connection, seen_by_both, edit, who="li", seen=0)
    with pytest.raises(drafts.EditedMeanwhile) as met:
        drafts.add(connection, draft(connection, plan_id), edit, who="wang", seen=0)
    assert met.value.by == "li"
    assert len(draft(connection, plan_id).edits) == 1


def test_an_accepted_draft_is_the_plan_and_the_decision_says_what_was_changed(connection: Connection, plan_id: str):
    edit = out(connection, plan_id)
    drafts.add(connection, draft(connection, plan_id), edit, who="li", seen=0)
    accept(connection, plan_id, order=False)
    visited = connection.scalars(
        select(stops.c.place_id).join(runs, runs.c.run_id == stops.c.run_id).where(runs.c.day_plan_id == plan_id)
    ).all()
    assert edit.visit not in visited
    unserved = connection.scalar(select(day_plans.c.unserved).where(day_plans.c.day_plan_id == plan_id)) or []
    assert [one["place"] for one in unserved if one["code"] == "no_van"] == [edit.visit]
    decision = connection.execute(select(decisions)).one()
    assert (decision.what, decision.who) == ("change", "li")
    assert decision.details["edits"] == [{"kind": "remove", "visit": edit.visit}]
    assert connection.execute(select(plan_drafts)).all() == []


def test_the_crates_of_a_stop_taken_out_are_on_no_run(connection: Connection, plan_id: str):
    edit = out(connection, plan_id)
    drafts.add(connection, draft(connection, plan_id), edit, who="li", seen=0)
    accept(connection, plan_id, order=False)
    its_legs = legs.c.kind.in_(["collect", "deliver"]) & (legs.c.day == MONDAY)
    of_stop = (legs.c.from_place_id == edit.visit) | (legs.c.to_place_id == edit.visit)
    assert set(connection.scalars(select(legs.c.run_id).where(its_legs, of_stop))) == {None}


def test_accepting_with_approval_orders_what_was_changed(connection: Connection, plan_id: str):
    drafts.add(connection, draft(connection, plan_id), out(connection, plan_id), who="li", seen=0)
    accept(connection, plan_id, order=True)
    states = connection.scalars(select(runs.c.status).where(runs.c.day_plan_id == plan_id)).all()
    assert set(states) <= {RunState.ORDERED}
    assert connection.execute(select(outbox)).all() or not states


def test_a_van_that_has_its_order_gets_a_new_one_with_a_higher_revision(connection: Connection, plan_id: str):
    subject = review.Subject(MONDAY)
    review.decide(connection, town(), review.Action.APPROVE, subject, who="li", why="", at=EARLY)
    run = connection.scalars(select(runs.c.run_id).where(runs.c.day_plan_id == plan_id)).first()
    van = connection.scalar(select(runs.c.van_id).where(runs.c.run_id == run))
    later = Edit(kind=EditKind.START, van=str(van), seconds=11 * 3600)
    drafts.add(connection, draft(connection, plan_id), later, who="li", seen=0)
    accept(connection, plan_id, order=False)
    row = connection.execute(select(runs).where(runs.c.run_id == run)).one()
    assert (row.revision, row.status) == (2, RunState.ORDERED)
    assert row.departs_at >= town().instant(MONDAY, 11 * 3600)


def test_an_approval_is_taken_back_until_the_van_leaves(connection: Connection, plan_id: str):
    subject = review.Subject(MONDAY)
    review.decide(connection, town(), review.Action.APPROVE, subject, who="li", why="", at=EARLY)
    review.decide(connection, town(), review.Action.TAKE_BACK, subject, who="li", why="", at=EARLY)
    assert set(connection.scalars(select(runs.c.status))) == {RunState.DRAFT}
    assert set(connection.scalars(select(day_plans.c.status))) == {"draft"}
    sent = [row.value for row in connection.execute(select(outbox))]
    assert any(b"order.withdraw" in bytes(value) for value in sent)
    review.decide(connection, town(), review.Action.APPROVE, subject, who="li", why="", at=EARLY)
    assert set(connection.scalars(select(runs.c.revision))) == {2}


def test_an_approval_is_not_taken_back_once_the_van_has_left(connection: Connection):
    subject = review.Subject(MONDAY)
    review.decide(connection, town(), review.Action.APPROVE, subject, who="li", why="", at=EARLY)
    evening = town().instant(MONDAY, 20 * 3600)
    with pytest.raises(review.TooLate):
        review.decide(connection, town(), review.Action.TAKE_BACK, subject, who="li", why="", at=evening)
