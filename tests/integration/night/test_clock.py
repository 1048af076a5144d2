"""A simulated clock that somebody needs to wait."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from rotation.facts.clock import Clock
from rotation.store.clock import clock_held, pause, read_clock, set_clock
from rotation.store.engine import engine

AT, SPEED = datetime(2026, 3, 18, tzinfo=UTC), 5760.0


@pytest.fixture
def store(database: str) -> Engine:
    store = engine(database)
    with store.begin() as connection:
        set_clock(connection, Clock(AT, datetime.now(UTC), SPEED))
    return store


def now(store: Engine) -> Clock:
    with store.connect() as connection:
        return read_clock(connection)


def test_a_held_clock_stands_and_goes_on_from_there_as_fast_as_before(store: Engine):
    with clock_held(store) as ours:
        held = now(store)
    after = now(store)
    assert ours
    assert held.speed == 0
    assert (after.network_at, after.speed) == (held.network_at, SPEED)
    assert after.wall_at > held.wall_at


def test_only_one_holds_it(store: Engine):
    with clock_held(store), clock_held(store) as second:
        assert not second
    with clock_held(store) as later:
        assert later


def test_a_clock_that_was_stopped_meanwhile_stays_stopped(store: Engine):
    with clock_held(store), store.begin() as connection:
        pause(connection)
    assert now(store).speed == 0


def test_a_real_clock_is_not_held(store: Engine):
    real = Clock(AT, datetime.now(UTC) - timedelta(days=1), 1.0)
    with store.begin() as connection:
        set_clock(connection, real)
    with clock_held(store):
        assert now(store) == real
