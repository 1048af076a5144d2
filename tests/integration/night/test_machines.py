"""Self-service machines in the night: their reports decide on visits, and on how many copies come and go."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, delete, insert, select

from rotation.courier.day import plan_day, solve_alone
from rotation.courier.machines import keep
from rotation.courier.store import crates_of_day
from rotation.facts.lifecycle import AlertKind
from rotation.facts.movements import CopyState
from rotation.network import PlaceKind
from rotation.night import machines as machines_
from rotation.night.world.world import world
from rotation.store.engine import driver, engine
from rotation.store.tables import machine_visits, machines
from tests.integration.night.small_city import MONDAY, NETWORK, moved, weeks_ago, write

SLOTS, BIN = 40, 60
MACHINE = NETWORK.place["branch"].model_copy(update={"kind": PlaceKind.MACHINE, "slots": SLOTS, "bin": BIN})
WITH_MACHINE = type(NETWORK).model_validate(
    NETWORK.model_copy(update={"places": tuple(MACHINE if one.id == "branch" else one for one in NETWORK.places)})
)
WITH_MACHINE.__dict__.pop("place", None)
TODAY = WITH_MACHINE.day_of(MONDAY)
FACTS = [moved(f"c{n}", weeks_ago(20), CopyState.ON_SHELF, "branch") for n in range(4)]


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with engine(database).connect() as one:
        write(one, {f"c{n}": "t1" for n in range(4)}, FACTS)
        one.commit()
        yield one


def report(connection: Connection, bin_copies: int, free_slots: int, fault: str | None = None) -> None:
    connection.execute(delete(machines))
    row = {"place_id": "branch", "occurred_at": MONDAY, "source": "m", "event_id": "e"}
    connection.execute(insert(machines), row | {"bin_copies": bin_copies, "free_slots": free_slots, "fault": fault})


def heeded(connection: Connection) -> tuple[int, int, float]:
    connection.commit()  # ends the tables that the world before was read by
    found = world(
        driver(connection), WITH_MACHINE, MONDAY, history_weeks=52, loans_per_km=0.03, visited=WITH_MACHINE.place
    )
    places = machines_.heeded(connection, WITH_MACHINE, found).snapshot.places
    row = found.names.place_row["branch"]
    return int(places.in_copies[row]), int(places.out_copies[row]), float(places.visit_price[row])


def test_a_nearly_empty_machine_gives_nothing_away_and_none_gets_more_than_it_has_slots_free(connection: Connection):
    report(connection, 0, 10)
    assert machines_.due(connection, WITH_MACHINE) == []
    into, out, _ = heeded(connection)
    assert into <= 10
    assert out > 0
    report(connection, 0, 35)
    (visit,) = machines_.due(connection, WITH_MACHINE)
    assert (visit.why, visit.bin_copies, visit.numbers["filled"]) == (AlertKind.NEARLY_EMPTY, 0, 5)
    assert heeded(connection)[1:] == (0, 0.0)
    report(connection, 0, 35, "door_jam")
    assert heeded(connection)[0] == 0


def test_a_full_bin_is_a_visit_that_must_be_and_its_crates_stay_when_people_change_the_day(connection: Connection):
    report(connection, 55, 10)
    (visit,) = machines_.due(connection, WITH_MACHINE)
    day = next(day for n in range(7) if WITH_MACHINE.place["branch"].receiving_spans(day := TODAY + timedelta(days=n)))

    def search(problem):  # type: ignore[no-untyped-def]
        (stop,) = problem.stops
        assert (stop.place, stop.prize_cents) == ("branch", None)
        return solve_alone(problem, time_s=5, seed=1, iterations=20)

    planned = plan_day(WITH_MACHINE, day, [], MONDAY, search=search, machines=[visit])
    (hub_day,) = planned.hubs
    crates = -(-55 // WITH_MACHINE.network.copies_per_crate)
    assert [stop.place for run in hub_day.runs for stop in run.stops] == ["branch"]
    assert len(hub_day.crates) == crates
    keep(connection, day, [visit], planned.crates)
    row = connection.execute(select(machine_visits)).one()
    assert (row.why, row.crates) == ("bin_full", [crate.id for crate in hub_day.crates])
    assert crates_of_day(connection, WITH_MACHINE, day, hub_day.hub) == hub_day.crates
    keep(connection, day, [], [])
    assert connection.execute(select(machine_visits)).first() is None
