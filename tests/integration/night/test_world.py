"""The night's world: what stands in the database, as arrays."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, update

from rotation.facts.movements import CopyState
from rotation.network import Network, PlaceKind, from_tables
from rotation.night.world.world import NightWorld, world
from rotation.rebalancing.snapshot import StockState as Planned
from rotation.store.engine import driver, engine
from rotation.store.tables import copies, holds, sets, titles, transfers
from tests.integration.night.small_city import MONDAY, NETWORK, moved, weeks_ago, write

TITLES = {"c1": "t1", "c2": "t1", "c3": "t2", "c5": "t3"}
FACTS = [
    moved("c1", weeks_ago(20), CopyState.ON_SHELF, "centre"),
    moved("c1", weeks_ago(16), CopyState.ON_LOAN, "centre"),
    moved("c1", weeks_ago(13), CopyState.ON_SHELF, "branch"),
    moved("c2", weeks_ago(10), CopyState.ON_SHELF, "centre"),
    moved("c2", weeks_ago(2), CopyState.IN_TRANSIT, "centre", "room"),
    moved("c3", weeks_ago(90), CopyState.ON_SHELF, "room"),
    moved("c4", weeks_ago(1), CopyState.ON_SHELF, "room"),
    moved("c5", weeks_ago(2), CopyState.ON_SHELF, "branch"),
]


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with engine(database).connect() as one:
        write(one, TITLES, FACTS)
        one.commit()
        yield one


@pytest.fixture
def night(connection: Connection) -> NightWorld:
    return world(driver(connection), NETWORK, MONDAY, history_weeks=52, loans_per_km=0.03, visited=NETWORK.place)


def copy_row(night: NightWorld, copy: str) -> int:
    return list(night.names.copies).index(copy)


def test_a_copy_in_transit_counts_where_it_goes(night: NightWorld):
    row = copy_row(night, "c2")
    assert night.names.places[night.snapshot.copies.place[row]] == "room"
    assert night.snapshot.copies.state[row] == Planned.IN_TRANSIT


def test_an_unlisted_copy_has_no_title(night: NightWorld):
    assert night.snapshot.copies.title[copy_row(night, "c4")] == -1


def test_readers_of_the_first_days_are_told_apart(connection: Connection):
    rows = [
        {
            "hold_id": f"h{days}",
            "occurred_at": MONDAY - timedelta(days=days),
            "source": "test",
            "event_id": str(days),
            "type": "hold.placed",
            "title_id": "t1",
            "place_id": "room",
        }
        for days in (1, 2, 4)
    ]
    connection.execute(insert(holds), rows)
    connection.commit()

    def waiting(days: int) -> tuple[list[float], list[float]]:
        seen = world(
            driver(connection), NETWORK, MONDAY, history_weeks=52, loans_per_km=0.03, visited=(), local_first_days=days
        ).snapshot
        return seen.holds.number.tolist(), seen.local.number.tolist()

    assert waiting(0) == ([3], [0])
    assert waiting(3) == ([3], [2])


def test_a_machine_has_slots_for_all_classes_and_takes_the_drivers_minutes_only(connection: Connection):
    as_machine = {"kind": PlaceKind.MACHINE, "slots": 5}
    places = [p.model_copy(update=as_machine if p.id == "room" else {}).model_dump() for p in NETWORK.places]
    network = Network.model_validate(NETWORK.model_dump(by_alias=True) | {"place": places})
    before, after = (
        world(
            driver(connection), one, MONDAY, history_weeks=52, loans_per_km=0.03, visited=NETWORK.place
        ).snapshot.places
        for one in (NETWORK, network)
    )
    room = sorted(NETWORK.place).index("room")
    assert (before.room_total[room], after.room_total[room]) == (-1, 5)
    assert after.out_minutes[room] == after.in_minutes[room] == 0 < before.in_minutes[room]
    assert after.van_minutes[room] == pytest.approx(before.van_minutes[room] + 1)


def test_volumes_of_one_work_are_known_as_such(connection: Connection):
    connection.execute(update(titles).where(titles.c.title_id != "t2").values(volume_of="journey-to-the-west"))
    night = world(driver(connection), NETWORK, MONDAY, history_weeks=52, loans_per_km=0.03, visited=NETWORK.place)
    one, alone, other = night.snapshot.titles.volume_of.tolist()
    assert one == other >= 0 > alone


def test_time_on_loan_and_on_the_road_is_no_exposure(night: NightWorld):
    seen = night.snapshot.exposure
    at: dict[tuple[str, str], NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
    for t, p, lent, stood in zip(seen.title, seen.place, seen.loans, seen.shelf_weeks, strict=True):
        at[night.names.titles[t], night.names.places[p]] += (lent, stood)
    loans, weeks = at["t1", "centre"]
    assert 0 < loans < 1  # one loan sixteen weeks ago, discounted
    assert 9 < weeks < 12  # four weeks of c1 and eight of c2, discounted, and nothing of the three on loan
    assert ("t1", "room") not in at


def test_a_copy_that_has_not_moved_for_longer_than_the_history_is_exposed_all_along(night: NightWorld):
    seen = night.snapshot.exposure
    room = night.names.place_row["room"]
    weeks = seen.shelf_weeks[(seen.place == room) & (seen.title == night.names.title_row["t2"])]
    assert 42 < float(weeks.sum()) < 46  # 52 weeks, each a week further back weighing a little less


def test_a_copy_knows_when_it_came_and_how_long_nobody_wanted_it(night: NightWorld):
    row = copy_row(night, "c1")
    assert float(night.snapshot.copies.arrived_weeks[row]) == pytest.approx(13, abs=0.01)
    assert float(night.snapshot.copies.idle_weeks[row]) == pytest.approx(13, abs=0.01)


def test_rows_follow_the_ids_and_not_the_order_of_writing(night: NightWorld):
    assert list(night.names.copies) == sorted(night.names.copies)
    assert night.snapshot.copies.title.dtype == np.int32


def test_an_empty_city_is_an_empty_world(database: str):
    with engine(database).connect() as empty:
        found = world(driver(empty), NETWORK, MONDAY, history_weeks=52, loans_per_km=0.03, visited=NETWORK.place)
    assert len(found.snapshot.copies) == 0
    assert len(found.snapshot.places) == 3


# --- What the city set ------------------------------------------------------------------------------------------------


def city(**changes: object) -> Network:
    """The small city with other tables beside its own."""
    return from_tables({**NETWORK.model_dump(by_alias=True, exclude_defaults=True), **changes}, "small.toml")


def seen(connection: Connection, network: Network) -> NightWorld:
    return world(driver(connection), network, MONDAY, history_weeks=52, loans_per_km=0.03, visited=network.place)


def at(night: NightWorld, place: str) -> int:
    return night.names.place_row[place]


def test_floors_are_what_the_city_promised_less_what_came_this_quarter(connection: Connection):
    """On the second of March 61 of 90 days are over; t3 came to the branch in the quarter, and t1 is on its way to the room."""
    promised = {"fresh_per_quarter": {"subdistrict": 9, "room": 3}, "special_shelf_share": 0.5}
    special = [
        {"id": "children", "name": "Children", "special_group": "children"},
        {"id": "fiction", "name": "Fiction"},
    ]
    night = seen(connection, city(floors=promised, **{"class": special}))
    places = night.snapshot.places
    assert [int(places.fresh_quota[at(night, name)]) for name in ("centre", "branch", "room")] == [0, 7 - 1, 3 - 1]
    assert places.class_floor[at(night, "room")].tolist() == [5, 0]


def test_what_left_a_place_is_known_and_what_is_lent_from_there_has_not_left(connection: Connection, night: NightWorld):
    left = night.snapshot.left
    gone = {
        (night.names.titles[t], night.names.places[p]): float(n)
        for t, p, n in zip(left.title, left.place, left.number, strict=True)
    }
    assert gone == {("t1", "centre"): pytest.approx(2, abs=0.01)}


def test_owners_keep_their_copies_where_they_have_not_consented(connection: Connection):
    owners = [
        {"id": "city", "name": "City", "lends_to": ["county"]},
        {"id": "county", "name": "County"},
        {"id": "school", "name": "School"},
    ]
    rows = [
        place | {"owner": owner}
        for place, owner in zip(
            NETWORK.model_dump(by_alias=True, exclude_defaults=True)["place"], ("city", "county", "school"), strict=True
        )
    ]
    night = seen(connection, city(owner=owners, place=rows))
    consent, places = night.snapshot.consent, night.snapshot.places
    assert consent is not None
    mine = consent[night.snapshot.copies.owner[copy_row(night, "c1")]]
    assert [bool(mine[places.owner[at(night, name)]]) for name in ("centre", "branch", "room")] == [True, True, False]


def test_a_class_that_floats_in_a_group_keeps_to_it(connection: Connection):
    night = seen(connection, city(float_group=[{"id": "north", "classes": ["children"], "places": ["room", "branch"]}]))
    assert night.snapshot.titles.float_group.tolist() == [0, 0, 0]
    assert [name for name in night.names.places if night.snapshot.places.groups[0, at(night, name)]] == [
        "branch",
        "room",
    ]


def transfer(connection: Connection, copy: str, to: str, status: str, **more: object) -> None:
    row = {
        "transfer_id": f"{copy}-{to}-{status}",
        "copy_id": copy,
        "from_place_id": "centre",
        "to_place_id": to,
        "kind": "pick",
        "status": status,
        "reason": {},
        "created_at": weeks_ago(3),
        "changed_at": weeks_ago(3),
    }
    connection.execute(insert(transfers), row | more)


def test_a_place_that_refuses_picks_is_dearer_to_pick_from(connection: Connection, night: NightWorld):
    for number in range(30):
        transfer(connection, f"x{number}", "room", "declined" if number % 2 else "received", from_place_id="branch")
    after = seen(connection, NETWORK).snapshot.places
    before, branch = night.snapshot.places, at(night, "branch")
    assert after.out_minutes[branch] == pytest.approx(2.5 / (1 - 16 / 50))
    assert after.out_cost[branch] > before.out_cost[branch]
    assert after.out_cost[at(night, "room")] == before.out_cost[at(night, "room")]


@pytest.mark.parametrize(("refused_weeks_ago", "rests"), [(0.3, True), (2.1, False)])
def test_a_copy_that_a_place_did_not_find_rests_a_fortnight(
    connection: Connection, refused_weeks_ago: float, rests: bool
):
    transfer(connection, "c3", "branch", "declined", changed_at=weeks_ago(refused_weeks_ago))
    night = seen(connection, NETWORK)
    assert night.snapshot.copies.fixed[copy_row(night, "c3")] == rests


def test_a_refused_copy_that_was_seen_since_may_move_again(connection: Connection):
    transfer(connection, "c3", "branch", "declined", changed_at=weeks_ago(1))
    connection.execute(update(copies).where(copies.c.copy_id == "c3").values(occurred_at=weeks_ago(0.5)))
    night = seen(connection, NETWORK)
    assert not night.snapshot.copies.fixed[copy_row(night, "c3")]


def test_what_is_on_the_vans_already_takes_its_room(connection: Connection, night: NightWorld):
    assert night.snapshot.places.in_copies[at(night, "branch")] == 80
    connection.execute(
        update(copies)
        .where(copies.c.copy_id == "c2")
        .values(to_place_id="branch", occurred_at=MONDAY - timedelta(hours=20))
    )
    assert seen(connection, NETWORK).snapshot.places.in_copies[at(night, "branch")] == 79


# --- Sets -------------------------------------------------------------------------------------------------------------


def asked_for(connection: Connection, set_id: str, due: int, **more: object) -> None:
    row = {
        "set_id": set_id,
        "place_id": "branch",
        "copies": 3,
        "due": (MONDAY + timedelta(days=due)).date(),
        "asked_by": "tests",
        "asked_at": MONDAY,
    }
    connection.execute(insert(sets), row | more)


def test_open_sets_ask_for_what_they_still_lack(connection: Connection):
    asked_for(connection, "picture-books", 10, **{"class": "children"})
    asked_for(connection, "far-off", 40, **{"class": "children"})
    asked_for(connection, "exhibition", 3, titles=["t2", "t9"])
    transfer(connection, "c3", "branch", "ordered", set_id="picture-books")
    transfer(connection, "c4", "branch", "declined", set_id="picture-books")
    night = seen(connection, NETWORK)
    assert night.snapshot.asked is not None
    assert night.snapshot.asked.tolist() == [[2, 0], [0, 0], [0, 0]]
    asked = night.snapshot.requests
    assert [(night.names.titles[t], night.names.places[p]) for t, p in zip(asked.title, asked.place, strict=True)] == [
        ("t2", "branch")
    ]


@pytest.mark.parametrize(("days", "fixed", "state"), [(5, True, Planned.ON_SHELF), (-1, False, Planned.HOMELESS)])
def test_a_set_stays_until_its_return_and_then_has_no_home(
    connection: Connection, days: int, fixed: bool, state: Planned
):
    asked_for(connection, "deposit", -20, return_on=(MONDAY + timedelta(days=days)).date(), titles=["t1"])
    transfer(connection, "c1", "branch", "received", set_id="deposit")
    night = seen(connection, NETWORK)
    row = copy_row(night, "c1")
    assert (bool(night.snapshot.copies.fixed[row]), night.snapshot.copies.state[row]) == (fixed, state)


def test_what_was_added_to_a_store_and_has_not_moved_since_waits_to_be_placed(connection: Connection):
    tables = NETWORK.model_dump(by_alias=True, exclude_defaults=True)
    store = {"id": "store", "name": "Store", "tier": "subdistrict", "kind": "store", "parent": "centre"}
    about = {
        "sequence": 0,
        "source": "test",
        "state": "on_shelf",
        "place_id": "store",
        "title_id": "t1",
        "fixed": False,
    }
    for copy, at in (("new", weeks_ago(1)), ("back", weeks_ago(0))):
        row = {"copy_id": copy, "event_id": copy, "occurred_at": at, "added_at": weeks_ago(1), "class": "children"}
        connection.execute(insert(copies), about | row)
    night = seen(connection, city(place=[*tables["place"], store]))
    states = [night.snapshot.copies.state[copy_row(night, copy)] for copy in ("new", "back")]
    assert states == [Planned.HOMELESS, Planned.ON_SHELF]
