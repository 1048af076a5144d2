"""Visits by appointment: announced days ahead with their list, where they are worth the way, and on no other day."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, case, select, update

from config import load
from rotation.facts.clock import standing_at
from rotation.facts.movements import CopyState
from rotation.network import Network
from rotation.night import visits
from rotation.night.run import plan_night
from rotation.store.clock import set_clock
from rotation.store.engine import engine
from rotation.store.tables import copies, day_plans, legs, movements, outbox, transfers
from tests.integration.night.small_city import (
    LENT_IN_THE_ROOM_EVERY_MONTH,
    MONDAY,
    NETWORK,
    NEVER_LENT_AT_THE_CENTRE,
    moved,
    weeks_ago,
    write,
)

TODAY = MONDAY.date()
THURSDAY = TODAY + timedelta(days=3)
ROOM = {"lead_days": 3, "service_days": ("thu",)}
BY_APPOINTMENT = Network.model_validate(
    NETWORK.model_dump(by_alias=True)
    | {"place": [p.model_copy(update=ROOM if p.id == "room" else {}).model_dump() for p in NETWORK.places]}
)


@pytest.fixture
def city(database: str) -> Iterator[Engine]:
    at = engine(database)
    with at.begin() as connection:
        lent = moved("c1", weeks_ago(1), CopyState.ON_LOAN, "room")
        facts = [*LENT_IN_THE_ROOM_EVERY_MONTH, *NEVER_LENT_AT_THE_CENTRE, lent]
        write(connection, {f"c{number}": f"t{number}" for number in range(1, 10)}, facts)
        set_clock(connection, standing_at(MONDAY - timedelta(hours=8)))
    yield at
    at.dispose()


def planned(city: Engine, day: date = TODAY, **changes: Any) -> list[Any]:
    free = {"move_price": 0.0, "fresh_bonus": 0.0, "floor_bonus": 0.0}
    chosen = {"moves_per_day": 20, "desk_chance": 1.0, "planning": free, "route_seconds": 0.2} | changes
    plan_night(city, BY_APPOINTMENT, load(data_dir=Path("unused"), **chosen), day)
    with city.connect() as connection:
        return list(connection.execute(select(transfers).where(transfers.c.plan_id == f"plan-{day:%Y%m%d}")))


def announced(city: Engine) -> list[visits.AnnouncedVisit]:
    with city.connect() as connection:
        return visits.coming(connection, TODAY)


def orders(city: Engine) -> list[dict[str, Any]]:
    with city.connect() as connection:
        told = [orjson.loads(value) for value in connection.scalars(select(outbox.c.value))]
    return [one for one in told if one.get("type") == "order.visit"]


def travels(city: Engine, *names: str, place: str = "centre", to: str = "room") -> None:
    row = {"state": "in_transit", "place_id": place, "to_place_id": to}
    with city.begin() as connection:
        connection.execute(update(copies).where(copies.c.copy_id.in_(names)).values(row))


def test_the_night_that_lies_the_lead_time_before_announces_the_visit_with_its_list(city: Engine):
    coming = [row.copy_id for row in planned(city) if row.to_place_id == "room"]
    (visit,), (order,) = announced(city), orders(city)
    assert (visit.place_id, visit.day, visit.bring, visit.take) == ("room", THURSDAY, len(coming), 0)
    assert (order["place"], order["day"]) == ("room", THURSDAY.isoformat())
    assert sorted(one["copy"] for one in order["list"]["bring"]) == sorted(coming) != []


def test_another_night_moves_nothing_to_or_from_the_room(city: Engine):
    rows = planned(city, TODAY + timedelta(days=1))
    assert "room" not in {row.to_place_id for row in rows} | {row.from_place_id for row in rows}
    assert announced(city) == []


def test_what_leaves_the_room_leaves_on_the_day_of_the_visit(city: Engine):
    with city.begin() as connection:
        for table in (copies, movements):
            swapped = {"room": "centre", "centre": "room"}
            place = case(swapped, value=table.c.place_id)
            connection.execute(update(table).values(place_id=place))
    leaving = [row for row in planned(city) if row.from_place_id == "room"]
    assert {row.day for row in leaving} == {THURSDAY}
    assert [visit.take for visit in announced(city)] == [len(leaving)]


def test_a_visit_that_is_not_worth_the_way_is_not_made(city: Engine):
    assert "room" not in {row.to_place_id for row in planned(city, moves_per_day=1)}
    assert announced(city) == []


def test_what_waits_for_the_room_pays_its_part_of_the_way(city: Engine):
    travels(city, "c2", "c3", "c4")
    planned(city, moves_per_day=0)
    assert [(visit.day, visit.bring) for visit in announced(city)] == [(THURSDAY, 3)]


def days_of_collection(city: Engine) -> set[date]:
    with city.connect() as connection:
        return set(connection.scalars(select(legs.c.day).where(legs.c.kind == "collect")))


def test_a_van_calls_on_announced_days_only(city: Engine):
    travels(city, "c2", place="room", to="branch")
    planned(city, moves_per_day=0)
    with city.connect() as connection:
        left = [one for row in connection.scalars(select(day_plans.c.unserved)) for one in row]
    assert {(one["code"], one["place"]) for one in left} == {("not_announced", "room")}
    assert days_of_collection(city) == set()


def test_what_waits_in_the_room_is_fetched_when_it_is_worth_a_visit(city: Engine):
    travels(city, "c2", "c3", "c4", place="room", to="branch")
    planned(city, moves_per_day=0)
    planned(city, TODAY + timedelta(days=1), moves_per_day=0)  # a night announces when it has routed
    assert days_of_collection(city) == {THURSDAY}
