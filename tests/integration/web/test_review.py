"""Approve or send back: decided once, recorded, ordered, or nothing at all."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, select

from rotation.dispatch import review
from rotation.dispatch.review import Action, DecidedMeanwhile, NothingThere, Subject, TooLate, WhyNeeded
from rotation.facts.clock import Clock
from rotation.store.clock import read_clock, set_clock
from rotation.store.engine import engine as engine_of
from rotation.store.tables import day_plans, decisions, outbox, runs, transfers
from tests import web_city

NETWORK = web_city.demo()
VAN = next(van for van in NETWORK.vans if NETWORK.place[van.hub].parent)  # the central library's go to hubs only


@pytest.fixture
def city(database: str) -> Iterator[Engine]:
    made = engine_of(database)
    with made.begin() as connection:
        web_city.fill(connection, NETWORK, transfers=60, copies_a_level=1)
    yield made
    made.dispose()


def seen(connection: Connection, hub: str | None = None) -> dict[str, int]:
    query = select(day_plans.c.day_plan_id, day_plans.c.version)
    return dict(connection.execute(query.where(day_plans.c.hub_id == hub) if hub else query).all())  # type: ignore[arg-type]


def decide(
    city: Engine, action: Action, subject: Subject, who: str = "li", why: str = "", **versions: int
) -> review.Outcome:
    with city.begin() as connection:
        now = read_clock(connection).now()
        asked = versions or seen(connection)
        return review.decide(connection, NETWORK, action, subject, who=who, why=why, at=now, seen=asked)


def statuses(city: Engine, column: object) -> set[str]:
    with city.connect() as connection:
        return set(connection.scalars(select(column)))  # type: ignore[call-overload]


def test_approving_the_day_orders_every_run_and_what_it_carries(city: Engine):
    outcome = decide(city, Action.APPROVE, Subject(web_city.DAY))
    assert outcome.runs == 8
    assert outcome.orders > outcome.runs
    assert statuses(city, runs.c.status) == {"ordered"}
    assert statuses(city, day_plans.c.status) == {"ordered"}
    assert "proposed" not in statuses(city, transfers.c.status)


def test_the_decision_is_recorded_with_who_when_and_why(city: Engine):
    decide(city, Action.APPROVE, Subject(web_city.DAY), who="王芳", why="looks right")
    with city.connect() as connection:
        row = connection.execute(select(decisions)).one()
    assert (row.who, row.what, row.subject, row.why) == ("王芳", "approve", "day:2026-03-12", "looks right")
    assert isinstance(row.decided_at, datetime)


def test_approving_one_run_leaves_the_others_to_decide_on(city: Engine):
    run = f"{web_city.DAY:%Y%m%d}-{VAN.id}"
    assert decide(city, Action.APPROVE, Subject(web_city.DAY, run_id=run)).runs == 1
    with city.connect() as connection:
        found = dict(connection.execute(select(runs.c.run_id, runs.c.status)).all())  # type: ignore[arg-type]
    assert found.pop(run) == "ordered"
    assert set(found.values()) == {"draft"}
    assert statuses(city, day_plans.c.status) == {"draft"}


def test_a_hub_is_decided_on_once_its_last_run_is(city: Engine):
    hub = VAN.hub
    for van in [van for van in NETWORK.vans if van.hub == hub]:
        decide(city, Action.APPROVE, Subject(web_city.DAY, run_id=f"{web_city.DAY:%Y%m%d}-{van.id}"))
    with city.connect() as connection:
        found = dict(connection.execute(select(day_plans.c.hub_id, day_plans.c.status)).all())  # type: ignore[arg-type]
    assert found.pop(hub) == "ordered"
    assert set(found.values()) == {"draft"}


def test_sending_back_a_hub_orders_nothing_and_leaves_the_others(city: Engine):
    hub = VAN.hub
    decide(city, Action.SEND_BACK, Subject(web_city.DAY, hub_id=hub), why="the yard is closed")
    with city.connect() as connection:
        assert connection.execute(select(outbox)).first() is None
        found = dict(connection.execute(select(day_plans.c.hub_id, day_plans.c.status)).all())  # type: ignore[arg-type]
    assert found.pop(hub) == "sent_back"
    assert set(found.values()) == {"draft"}


def test_who_sends_back_says_why(city: Engine):
    with pytest.raises(WhyNeeded):
        decide(city, Action.SEND_BACK, Subject(web_city.DAY), why="  ")
    assert statuses(city, runs.c.status) == {"draft"}


def at_hour(city: Engine, day: date, hour: float) -> None:
    with city.begin() as connection:
        set_clock(connection, Clock(NETWORK.instant(day, int(hour * 3600)), datetime.now(UTC), 0.0))


def test_yesterday_is_not_approved(city: Engine):
    at_hour(city, web_city.DAY + timedelta(days=1), 7)
    with pytest.raises(TooLate):
        decide(city, Action.APPROVE, Subject(web_city.DAY))
    assert statuses(city, runs.c.status) == {"draft"}


def test_a_run_whose_hour_has_gone_expires_and_the_others_are_approved(city: Engine):
    with city.connect() as connection:
        departures = sorted(connection.execute(select(runs.c.departs_at)).scalars())
    with city.begin() as connection:
        after_the_first = departures[0] + review.MAY_LEAVE_LATE + timedelta(minutes=1)
        set_clock(connection, Clock(after_the_first, datetime.now(UTC), 0.0))
    outcome = decide(city, Action.APPROVE, Subject(web_city.DAY))
    assert outcome.runs == len(departures) - 1
    assert statuses(city, runs.c.status) == {"expired", "ordered"}


def test_a_day_all_of_whose_runs_should_have_left_is_not_approved(city: Engine):
    at_hour(city, web_city.DAY, 23)
    with pytest.raises(TooLate):
        decide(city, Action.APPROVE, Subject(web_city.DAY))
    assert statuses(city, runs.c.status) == {"draft"}


@pytest.mark.parametrize("subject", [Subject(web_city.DAY, run_id="none"), Subject(web_city.DAY.replace(year=2001))])
def test_what_is_not_there_cannot_be_decided_on(city: Engine, subject: Subject):
    with pytest.raises(NothingThere):
        decide(city, Action.APPROVE, subject)


def test_a_plan_made_anew_since_it_was_seen_is_not_approved(city: Engine):
    with city.connect() as connection:
        old = seen(connection)
    with city.begin() as connection:
        connection.execute(day_plans.update().values(version=day_plans.c.version + 1))
    with pytest.raises(DecidedMeanwhile):
        decide(city, Action.APPROVE, Subject(web_city.DAY), **old)
    assert statuses(city, runs.c.status) == {"draft"}


def test_of_two_who_approve_at_once_one_does_and_the_other_is_told_who(city: Engine):
    with city.connect() as connection:
        same = seen(connection)
    together, told = threading.Barrier(2), []

    def approve(who: str) -> None:
        together.wait()
        try:
            decide(city, Action.APPROVE, Subject(web_city.DAY), who=who, **same)
        except DecidedMeanwhile as error:
            told.append((who, error.by))

    people = [threading.Thread(target=approve, args=(who,)) for who in ("li", "wang")]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert [{who, by} for who, by in told] == [{"li", "wang"}]
    with city.connect() as connection:
        assert len(connection.execute(select(decisions)).all()) == 1


def test_nothing_is_half_approved_when_ordering_fails(city: Engine, monkeypatch: pytest.MonkeyPatch):
    def fails(*_: object) -> int:
        raise RuntimeError("no order")

    monkeypatch.setattr(review, "order_day", fails)
    with pytest.raises(RuntimeError):
        decide(city, Action.APPROVE, Subject(web_city.DAY))
    assert statuses(city, runs.c.status) == {"draft"}
    assert statuses(city, day_plans.c.status) == {"draft"}
    with city.connect() as connection:
        assert connection.execute(select(decisions)).first() is None
