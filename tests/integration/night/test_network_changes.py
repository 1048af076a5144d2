"""The night takes the network that holds on its day: closures, shelves and places from the day from which they hold."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select

from config import load
from rotation.facts.clock import standing_at
from rotation.facts.movements import CopyState
from rotation.network import NetworkError
from rotation.night.moves import Memory
from rotation.night.run import plan_night
from rotation.store import networks
from rotation.store.clock import set_clock
from rotation.store.engine import driver, engine
from rotation.store.network_text import NetworkChange
from rotation.store.networks import Author
from rotation.store.tables import holds, stops, targets
from streams.apply import Writer
from streams.watch import Thresholds, Watcher
from tests.integration.night.small_city import MONDAY, NETWORK, moved, weeks_ago, write

TUESDAY = MONDAY.date() + timedelta(days=1)
WEDNESDAY = TUESDAY + timedelta(days=1)
FREE = {"move_price": 0.0, "fresh_bonus": 0.0, "floor_bonus": 0.0}
SETTINGS = load(data_dir=Path("unused"), moves_per_day=20, planning=FREE, route_seconds=0.2)
LI = Author("li", MONDAY, "snow")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.json"
    path.write_text(NETWORK.model_dump_json(by_alias=True), encoding="utf-8")
    return path


@pytest.fixture
def city(database: str) -> Iterator[Engine]:
    """Readers at the centre wait for the copies of the branch and of the room."""
    at = engine(database)
    with at.begin() as connection:
        facts = [moved(f"c{n}", weeks_ago(30), CopyState.ON_SHELF, place) for n, place in enumerate(("branch", "room"))]
        write(connection, {"c0": "t0", "c1": "t1"}, facts)
        for n, place in enumerate(("centre", "centre")):
            placed = {
                "hold_id": f"h{n}",
                "title_id": f"t{n}",
                "place_id": place,
                "type": "hold.placed",
                "copy_id": None,
            }
            fact = {"occurred_at": weeks_ago(1), "sequence": 0, "source": "s", "event_id": f"h{n}"}
            connection.execute(insert(holds), placed | fact)
        set_clock(connection, standing_at(MONDAY))
    yield at
    at.dispose()


def changed(city: Engine, file: Path, *changes: NetworkChange, holds_from: Any = TUESDAY) -> None:
    with city.begin() as connection:
        networks.change(connection, file, changes, holds_from, LI, 99)


def stops_of(city: Engine, day: Any) -> set[str]:
    plan_night(city, NETWORK, SETTINGS, day)
    with city.connect() as connection:
        mine = stops.c.run_id.like(f"%{day:%Y%m%d}%")
        return set(connection.scalars(select(stops.c.place_id).where(mine)))


def closed(first: Any, last: Any, *places: str) -> NetworkChange:
    values = {"id": "snow", "first": str(first), "last": str(last), "places": list(places)}
    return NetworkChange("exception", "snow", values)


def test_without_a_closure_the_night_sends_vans_to_those_who_wait(city: Engine):
    assert stops_of(city, TUESDAY) == {"branch", "room"}


def test_a_place_closed_tomorrow_gets_no_stop_tomorrow_and_one_the_day_after(city: Engine, file: Path):
    changed(city, file, closed(TUESDAY, TUESDAY, "branch"))
    assert stops_of(city, TUESDAY) == {"room"}
    assert "branch" in stops_of(city, WEDNESDAY)


def test_a_change_holds_from_its_day_in_the_night_its_levels_and_the_worker(city: Engine, file: Path, database: str):
    shelf = NetworkChange("place", "room", {"shelf": {"children": 70}})
    school = {"id": "school", "name": "School", "tier": "room", "parent": "branch", "kind": "school"}
    changed(city, file, shelf, NetworkChange("place", "school", school), holds_from=WEDNESDAY)
    memory = Memory()
    for day, room, places in ((TUESDAY, None, 3), (WEDNESDAY, 70, 4)):
        with city.begin() as connection:
            set_clock(connection, standing_at(MONDAY + (day - MONDAY.date())))
        plan_night(city, NETWORK, SETTINGS, day, memory)
        with city.connect() as connection:
            high = connection.scalar(
                select(targets.c.high).where(targets.c.place_id == "room", targets.c["class"] == "children")
            )
            assert high == (room or 10)
            assert networks.in_force_by(driver(connection).cursor(), NETWORK, day).place.keys() >= NETWORK.place.keys()
        assert memory.world is not None
        assert len(memory.world.names.places) == places
        writer = Writer(database, NETWORK, lambda *_: [])  # type: ignore[arg-type]
        edge = writer._edge(writer._reading)
        assert ("school" in edge.places) == (places == 4)
        writer.close()


def test_a_network_with_a_mistake_on_a_later_day_is_refused_and_nothing_kept(city: Engine, file: Path):
    changed(city, file, NetworkChange("owner", "city", {"name": "Town"}), holds_from=WEDNESDAY)
    with pytest.raises(NetworkError, match="no owner 'city'"):
        changed(city, file, NetworkChange("owner", "city", None))
    with city.connect() as connection:
        assert len([one for one in networks.history(connection) if one.who]) == 1


def test_closures_that_hold_are_in_the_network_of_alerts_by_their_day(city: Engine, file: Path):
    changed(city, file, closed(WEDNESDAY, WEDNESDAY))
    with city.connect() as connection:
        network = networks.in_force(connection, NETWORK, TUESDAY)
        assert network.place["room"].open_spans(TUESDAY) != ()
        assert network.place["room"].open_spans(WEDNESDAY) == ()
        assert networks.in_force(connection, NETWORK, TUESDAY) is network
        assert networks.in_force(connection, NETWORK, MONDAY.date()) is NETWORK or network.exceptions


def test_alerts_are_counted_by_the_network_that_holds_now(
    city: Engine, file: Path, database: str, monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []
    monkeypatch.setattr(
        "streams.watch.rules.sweep", lambda _, network, __: seen.append(network.place["room"].population)
    )
    changed(city, file, NetworkChange("place", "room", {"population": 7}), holds_from=TUESDAY)
    for at in (MONDAY, MONDAY + timedelta(days=1)):
        with city.begin() as connection:
            set_clock(connection, standing_at(at))
        watcher = Watcher(database, NETWORK, Thresholds.of(SETTINGS))
        watcher._sweep_if_due()
    assert seen == [2000, 7]
