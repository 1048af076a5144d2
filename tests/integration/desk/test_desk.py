"""The desk: one answer for a copy in hand, as a transfer, the same when asked again."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update

from config import Settings, load
from rotation.courier.store import open_transfers
from rotation.facts.clock import standing_at
from rotation.hands.desk import Desk, UnknownCopy, UnknownPlace
from rotation.network import Network, Tier
from rotation.night.run import plan_night
from rotation.store.clock import set_clock
from rotation.store.engine import engine
from rotation.store.tables import copies, holds, transfers
from tests.integration.night.small_city import (
    LENT_IN_THE_ROOM_EVERY_MONTH,
    MONDAY,
    NETWORK,
    NEVER_LENT_AT_THE_CENTRE,
    write,
)

TITLES = {f"c{number}": f"t{number % 3}" for number in range(1, 10)}


def settings(**changes: Any) -> Settings:
    return load(data_dir=Path("unused"), route_seconds=0.3, moves_per_day=20, **changes)


SETTINGS = settings()
APART = {"branch": {"tier": Tier.DISTRICT}, "room": {"parent": "centre"}}
TWO_DISTRICTS = Network.model_validate(
    NETWORK.model_dump(by_alias=True)
    | {"place": [place.model_copy(update=APART.get(place.id, {})).model_dump() for place in NETWORK.places]}
)


@pytest.fixture
def city(database: str) -> Iterator[Engine]:
    at = engine(database)
    with at.begin() as connection:
        write(connection, TITLES, [*LENT_IN_THE_ROOM_EVERY_MONTH, *NEVER_LENT_AT_THE_CENTRE])
        set_clock(connection, standing_at(MONDAY))
    yield at
    at.dispose()


@pytest.fixture
def desk(city: Engine) -> Desk:
    return Desk(city, NETWORK, SETTINGS)


def test_without_a_night_a_copy_goes_home(desk: Desk):
    answer = desk.place("c1", "room")
    assert (answer.to, answer.reason["code"]) == ("centre", "goes_home")


def test_the_answer_is_a_transfer_and_the_same_question_finds_it_again(desk: Desk, city: Engine):
    first, second = desk.place("c1", "room"), desk.place("c1", "room")
    assert first == second
    with city.connect() as connection:
        (row,) = connection.execute(select(transfers)).all()
    assert (row.transfer_id, row.status, row.from_place_id, row.to_place_id) == (
        first.transfer,
        "ordered",
        "room",
        "centre",
    )


def test_a_copy_that_stays_has_no_transfer(desk: Desk, city: Engine):
    assert desk.place("c2", "centre").transfer is None
    with city.connect() as connection:
        assert connection.execute(select(transfers)).all() == []


def waits(city: Engine, place: str = "branch", title: str = "t1", days: float = 1, **more: Any) -> None:
    row = {
        "hold_id": "h",
        "occurred_at": MONDAY - timedelta(days=days),
        "sequence": 0,
        "source": "test",
        "event_id": "h",
        "type": "hold.placed",
        "title_id": title,
        "place_id": place,
    }
    with city.begin() as connection:
        connection.execute(insert(holds), row | more)


def travels(city: Engine, copy: str, to: str, kind: str = "placement") -> None:
    """The copy was checked in at the centre, whose hub has not sorted it yet."""
    row = {
        "transfer_id": f"to-{to}",
        "copy_id": copy,
        "title_id": TITLES[copy],
        "from_place_id": "centre",
        "to_place_id": to,
        "kind": kind,
        "status": "sent",
        "reason": {"code": "borrowed_more"},
        "created_at": MONDAY,
        "changed_at": MONDAY,
    }
    with city.begin() as connection:
        sent = {"state": "in_transit", "place_id": "centre", "to_place_id": to}
        connection.execute(update(copies).where(copies.c.copy_id == copy).values(sent))
        connection.execute(insert(transfers), row)


def test_a_reader_who_waits_comes_before_everything(desk: Desk, city: Engine):
    waits(city)
    assert desk.place("c1", "room").to == "branch"
    assert desk.place("c4", "room").to != "branch"  # of the same title: the one hold is on its way already


def test_a_copy_that_travels_goes_on_through_the_hub_to_where_it_was_sent(desk: Desk, city: Engine):
    travels(city, "c1", "branch")
    answer = desk.place("c1", "centre")
    assert (answer.to, answer.transfer, answer.reason["code"]) == ("branch", "to-branch", "borrowed_more")


def test_a_hold_placed_meanwhile_redirects_it_at_the_hub_once(desk: Desk, city: Engine):
    travels(city, "c1", "branch")
    waits(city, "room")
    first, again = desk.place("c1", "centre"), desk.place("c1", "centre")
    assert first == again
    assert (first.to, first.transfer) == ("room", "to-branch")
    assert first.reason == {"code": "redirected", "hold": "h", "waiting": 1, "was": "branch"}
    with city.connect() as connection:
        (row,) = connection.execute(select(transfers)).all()
        (carried,) = open_transfers(connection, NETWORK, MONDAY.date())
    assert (row.to_place_id, row.status, carried.to_place) == ("room", "sent", "room")
    assert desk.place("c4", "room").to != "room"  # of the same title: the reader gets the other one


def test_what_the_library_system_ships_goes_where_it_says_and_fills_the_first_hold_there(desk: Desk, city: Engine):
    travels(city, "c1", "branch", kind="shipment")
    waits(city, "room")
    assert desk.place("c1", "centre").to == "branch"
    assert desk.place("c4", "centre").to == "room"
    waits(city, "branch", hold_id="h2", event_id="h2")
    assert desk.place("c7", "branch").to != "branch"  # c1 is on its way to that reader


def test_a_hold_of_one_copy_is_not_filled_by_another(desk: Desk, city: Engine):
    waits(city, copy_id="c4")
    assert desk.place("c1", "room").to == "centre"
    assert desk.place("c4", "room").to == "branch"


def test_in_its_first_days_a_hold_is_filled_from_its_own_district(city: Engine):
    waits(city, days=2)
    assert Desk(city, TWO_DISTRICTS, settings(local_first_days=3)).place("c1", "room").to == "centre"
    assert Desk(city, TWO_DISTRICTS, settings(local_first_days=1)).place("c4", "room").to == "branch"


def test_a_trapped_copy_stays_for_its_reader_until_the_hold_is_over(desk: Desk, city: Engine):
    waits(city, "room", type="hold.filled", copy_id="c1")
    with city.begin() as connection:
        connection.execute(update(copies).where(copies.c.copy_id == "c1").values(state="on_hold_shelf"))
    assert desk.place("c1", "room").to == "room"
    with city.begin() as connection:
        connection.execute(update(holds).values(type="hold.expired"))
    assert desk.place("c1", "room").to == "centre"


def test_after_a_night_a_copy_stays_where_it_is_read(desk: Desk, city: Engine):
    plan_night(city, NETWORK, SETTINGS, MONDAY.date())
    desk.refresh()
    answer = desk.place("c1", "room")
    assert (answer.to, answer.reason["code"]) == ("room", "stays")
    assert answer.reason["value_there"] > 0.5  # one copy that a loan a month finds on the shelf, over eight weeks


def test_a_copy_nobody_wants_here_goes_where_it_is_read(desk: Desk, city: Engine):
    plan_night(city, NETWORK, SETTINGS, MONDAY.date())
    desk.refresh()
    answer = desk.place("c7", "centre")  # a second copy of the title that the room lends every month
    assert answer.to in {"room", "branch"}
    assert answer.gain_loans > 0


@pytest.mark.parametrize(("weeks", "may_go_back"), [(8, False), (4, True)])
def test_a_copy_does_not_go_back_at_once_to_where_it_was_moved_from_for_as_long_as_is_set(
    city: Engine, weeks: int, may_go_back: bool
):
    five_weeks_ago = MONDAY - timedelta(weeks=5)
    row = {
        "transfer_id": "moved",
        "copy_id": "c7",
        "title_id": TITLES["c7"],
        "from_place_id": "branch",
        "to_place_id": "centre",
        "kind": "pick",
        "status": "received",
        "reason": {},
        "created_at": five_weeks_ago,
        "changed_at": five_weeks_ago,
    }
    with city.begin() as connection:
        connection.execute(insert(transfers), row)
    chosen = settings(planning={"ping_pong_weeks": weeks})
    plan_night(city, NETWORK, chosen, MONDAY.date())
    desk = Desk(city, NETWORK, chosen)
    desk.refresh()
    assert (desk.place("c7", "centre").to == "branch") is may_go_back


def test_reference_stock_goes_home_whatever_the_prices_say(desk: Desk, city: Engine):
    with city.begin() as connection:
        connection.execute(update(copies).where(copies.c.copy_id == "c1").values(fixed=True))
    plan_night(city, NETWORK, SETTINGS, MONDAY.date())
    desk.refresh()
    assert desk.place("c1", "room").to == "centre"


def test_what_was_never_heard_of_is_told_so(desk: Desk):
    with pytest.raises(UnknownCopy):
        desk.place("nobody", "room")
    with pytest.raises(UnknownPlace):
        desk.place("c1", "nowhere")
