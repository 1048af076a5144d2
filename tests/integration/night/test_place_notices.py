"""What places say of themselves, and the night that heeds it; copies that are looked for stay out of plans."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import Connection, insert

from rotation.facts.lifecycle import PlaceNoticeKind
from rotation.facts.movements import CopyState
from rotation.night import place_notices
from rotation.night.place_notices import PlaceNotice
from rotation.night.world.world import NightWorld, world
from rotation.store.engine import driver, engine
from rotation.store.tables import transfer_facts, transfers
from tests.integration.night.small_city import MONDAY, NETWORK, moved, weeks_ago, write

TODAY = NETWORK.day_of(MONDAY)
FACTS = [moved(f"c{n}", weeks_ago(20), CopyState.ON_SHELF, "branch") for n in range(4)]


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with engine(database).connect() as one:
        write(one, {f"c{n}": "t1" for n in range(4)}, FACTS)
        one.commit()
        yield one


def night(connection: Connection) -> NightWorld:
    return world(driver(connection), NETWORK, MONDAY, history_weeks=52, loans_per_km=0.03, visited=NETWORK.place)


def tell(connection: Connection, kind: PlaceNoticeKind, title_class: str = "", copies: int | None = None) -> None:
    notice = PlaceNotice("branch", kind, TODAY, TODAY + timedelta(days=2), title_class, copies)
    place_notices.tell(connection, NETWORK, notice, who="li", at=MONDAY)


def test_a_place_that_is_too_full_takes_nothing_in_and_one_that_is_too_empty_gives_nothing_away(connection: Connection):
    before = night(connection)
    row = before.names.place_row["branch"]
    tell(connection, PlaceNoticeKind.TOO_FULL)
    tell(connection, PlaceNoticeKind.TOO_EMPTY)
    places = place_notices.heeded(connection, before, TODAY).snapshot.places
    assert (places.in_copies[row], places.out_copies[row]) == (0, 0)
    assert before.snapshot.places.in_copies[row] > 0
    others = np.arange(len(places.in_copies)) != row
    assert (places.in_copies[others] == before.snapshot.places.in_copies[others]).all()


def test_a_class_said_to_be_too_full_has_room_for_so_many_fewer_than_stand_there(connection: Connection):
    title_class = NETWORK.classes[0].id
    before = night(connection)
    row, cls = before.names.place_row["branch"], before.names.classes.index(title_class)
    have = int((before.snapshot.copies.place == row).sum())
    tell(connection, PlaceNoticeKind.TOO_FULL, title_class, 3)
    assert place_notices.heeded(connection, before, TODAY).snapshot.places.room[row, cls] == have - 3
    tell(connection, PlaceNoticeKind.TOO_EMPTY, title_class, 5)
    assert place_notices.heeded(connection, before, TODAY).snapshot.places.class_floor[row, cls] == have + 5


def test_a_notice_that_is_over_or_withdrawn_says_nothing(connection: Connection):
    tell(connection, PlaceNoticeKind.TOO_FULL)
    before = night(connection)
    assert place_notices.heeded(connection, before, TODAY + timedelta(days=3)) is before
    (notice,) = place_notices.standing(connection, TODAY)
    assert place_notices.withdraw(connection, "branch", notice.notice_id, MONDAY)
    assert place_notices.heeded(connection, before, TODAY) is before


def test_no_van_comes_on_days_on_which_a_place_says_that_it_is_closed(connection: Connection):
    tell(connection, PlaceNoticeKind.CLOSED)
    network = place_notices.with_closures(connection, NETWORK, TODAY)
    closed = [TODAY + timedelta(days=n) for n in range(3)]
    assert all(network.place["branch"].receiving_spans(day) == () for day in closed)
    assert set(closed) <= set(network.place["branch"].closed)
    assert network.place["centre"] == NETWORK.place["centre"]


def test_a_copy_that_was_not_found_stays_out_of_plans_until_it_is_heard_of(connection: Connection):
    ages = {"c0": 40, "c1": 150}  # days since they were looked for; c1 has moved since
    for copy, days in ages.items():
        looked = MONDAY - timedelta(days=days)
        row = {"transfer_id": copy, "copy_id": copy, "from_place_id": "branch", "to_place_id": "room", "kind": "pick"}
        at = {"created_at": looked, "changed_at": looked, "status": "declined", "reason": {"code": "borrowed_more"}}
        connection.execute(insert(transfers), {**row, **at})
        fact = {"transfer_id": copy, "occurred_at": looked, "sequence": 0, "source": "s", "event_id": copy}
        said = {"type": "transfer.declined", "copy_id": copy, "place_id": "branch", "reason": "not_found"}
        connection.execute(insert(transfer_facts), {**fact, **said})
    found = night(connection)
    fixed = {copy: bool(found.snapshot.copies.fixed[found.names.copy_row[copy]]) for copy in ("c0", "c1", "c2")}
    assert fixed == {"c0": True, "c1": False, "c2": False}
