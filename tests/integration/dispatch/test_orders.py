"""Orders: what is approved is told once, through the outbox, in one transaction."""

from collections.abc import Iterator
from datetime import date, timedelta

import orjson
import psycopg
import pytest
from sqlalchemy import Connection, insert, select

from rotation import dispatch
from rotation.kafka.orders import ORDERS
from rotation.network import Network, PlaceKind
from rotation.store.engine import engine
from rotation.store.outbox import CHANNEL
from rotation.store.tables import copies, day_plans, legs, outbox, runs, stops, titles, transfers
from tests.integration.night.small_city import MONDAY, NETWORK

DAY = date(2026, 3, 2)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with engine(database).connect() as one:
        yield one


def approved_transfer(
    connection: Connection,
    name: str,
    *,
    status: str = "approved",
    day: date = DAY,
    origin: str = "centre",
    title: str = "t1",
) -> None:
    row = {
        "transfer_id": name,
        "copy_id": f"copy-of-{name}",
        "title_id": title,
        "from_place_id": origin,
        "to_place_id": "room",
        "kind": "pick",
        "status": status,
        "day": day,
        "reason": {"code": "stale_here"},
        "plan_id": "p",
        "created_at": MONDAY,
        "changed_at": MONDAY,
    }
    connection.execute(insert(transfers), row)


def approved_run(connection: Connection) -> None:
    plan = {
        "day_plan_id": "p",
        "day": DAY,
        "hub_id": "centre",
        "status": "approved",
        "problem": {},
        "solution": {},
        "evaluation": {},
        "unserved": [],
        "created_at": MONDAY,
    }
    run = {
        "run_id": "r",
        "day_plan_id": "p",
        "day": DAY,
        "hub_id": "centre",
        "van_id": "v1",
        "status": "approved",
        "departs_at": MONDAY,
        "returns_at": MONDAY + timedelta(hours=3),
        "distance_m": 9000,
        "cost_cents": 900,
        "largest_load_crates": 2,
    }
    stop = {
        "run_id": "r",
        "position": 1,
        "place_id": "room",
        "arrives_at": MONDAY,
        "begins_at": MONDAY,
        "departs_at": MONDAY,
        "deliver_crates": 1,
        "collect_crates": 2,
        "load_after_crates": 2,
    }
    connection.execute(insert(day_plans), plan)
    connection.execute(insert(runs), run)
    connection.execute(insert(stops), stop)


def told(connection: Connection) -> list[dict[str, object]]:
    values = list(connection.execute(select(outbox.c.value).order_by(outbox.c.id)).scalars())
    for value in values:
        ORDERS.validate_json(value)
    return [orjson.loads(value) for value in values]


def test_an_approved_pick_is_ordered_once(connection: Connection):
    approved_transfer(connection, "t")
    assert dispatch.order_day(connection, NETWORK, DAY, MONDAY) == 1
    assert dispatch.order_day(connection, NETWORK, DAY, MONDAY) == 0
    (order,) = told(connection)
    assert (order["type"], order["copy"], order["from"], order["to"]) == ("order.pick", "copy-of-t", "centre", "room")


def test_an_order_wakes_the_relay_when_it_is_committed(connection: Connection, database: str):
    with psycopg.connect(database, autocommit=True) as relay:
        relay.execute(f"LISTEN {CHANNEL}")
        approved_transfer(connection, "t")
        dispatch.order_day(connection, NETWORK, DAY, MONDAY)
        connection.commit()
        assert [notice.channel for notice in relay.notifies(timeout=5, stop_after=1)] == [CHANNEL]


def test_what_nobody_approved_is_not_ordered(connection: Connection):
    approved_transfer(connection, "t", status="proposed")
    assert dispatch.order_day(connection, NETWORK, DAY, MONDAY) == 0


def test_a_pick_that_waited_for_its_place_to_open_is_ordered_with_the_day_that_carries_it(connection: Connection):
    approved_transfer(connection, "t", day=DAY - timedelta(days=1))
    assert dispatch.order_day(connection, NETWORK, DAY, MONDAY) == 1


def test_a_copy_trapped_for_a_hold_since_it_was_chosen_is_not_ordered(connection: Connection):
    for name in ("free", "trapped"):
        approved_transfer(connection, name)
        state = {"free": "on_shelf", "trapped": "on_hold_shelf"}[name]
        row = {"copy_id": f"copy-of-{name}", "occurred_at": MONDAY, "source": "test", "event_id": name}
        connection.execute(insert(copies), row | {"state": state, "place_id": "centre"})
    assert dispatch.order_day(connection, NETWORK, DAY, MONDAY) == 1
    assert [order["copy"] for order in told(connection)] == ["copy-of-free"]


def test_a_set_of_volumes_of_which_one_was_lent_since_is_not_ordered(connection: Connection):
    for name, work in (("first", "w"), ("second", "w"), ("alone", None)):
        approved_transfer(connection, name, title=name)
        state = "on_loan" if name == "second" else "on_shelf"
        row = {"copy_id": f"copy-of-{name}", "occurred_at": MONDAY, "source": "test", "event_id": name}
        connection.execute(insert(copies), row | {"state": state, "place_id": "centre"})
        connection.execute(insert(titles), {"title_id": name, "class": "children", "volume_of": work})
    assert dispatch.order_day(connection, NETWORK, DAY, MONDAY) == 1
    assert [order["copy"] for order in told(connection)] == ["copy-of-alone"]


def test_a_machine_is_filled_and_emptied_by_the_driver(connection: Connection):
    machine = [
        place.model_copy(update={"kind": PlaceKind.MACHINE} if place.id == "room" else {}).model_dump()
        for place in NETWORK.places
    ]
    network = Network.model_validate(NETWORK.model_dump(by_alias=True) | {"place": machine})
    approved_run(connection)
    approved_transfer(connection, "t", origin="room")
    leg = {"transfer_id": "t", "position": 1, "kind": "collect", "from_place_id": "room", "to_place_id": "centre"}
    connection.execute(insert(legs), leg | {"day": DAY, "run_id": "r"})
    dispatch.order_day(connection, network, DAY, MONDAY)
    pick, run, *_ = told(connection)
    assert (pick["by"], run["stops"][0]["take_out"]) == ("driver", ["copy-of-t"])  # type: ignore[index]


def test_a_run_is_told_with_its_stops_and_the_numbers_of_its_crates(connection: Connection):
    approved_run(connection)
    for position, (kind, origin, to) in enumerate((("collect", "room", "centre"), ("deliver", "centre", "room")), 1):
        leg = {"transfer_id": kind, "position": position, "kind": kind, "from_place_id": origin, "to_place_id": to}
        connection.execute(insert(legs), leg | {"day": DAY, "run_id": "r", "crate_id": f"crate-to-{kind}"})
    dispatch.order_day(connection, NETWORK, DAY, MONDAY)
    (run,) = told(connection)
    (stop,) = run["stops"]  # type: ignore[misc]
    assert (stop["place"], stop["deliver"], stop["collect"]) == ("room", ["crate-to-deliver"], ["crate-to-collect"])  # type: ignore[has-type]


def test_every_hub_sorts_morning_and_evening_and_sends_on_at_night_without_a_van_or_a_plan_of_its_own(
    connection: Connection,
):
    other = {"id": "second", "name": "Second", "tier": "district", "lat": 30.2, "lon": 120.2, "hub": {}}
    raw = NETWORK.model_dump(by_alias=True)
    network = Network.model_validate(raw | {"place": [*raw["place"], other]})
    assert dispatch.order_hubs(connection, network, DAY) == 6
    assert dispatch.order_hubs(connection, network, DAY) == 0
    orders = told(connection)
    sorts = [(order["hub"], str(order["at"])[:16]) for order in orders if order["type"] == "order.sort"]
    trunks = [(order["from_hub"], order["to_hub"]) for order in orders if order["type"] == "order.trunk"]
    assert sorts[:2] == [("centre", "2026-03-02T05:30"), ("centre", "2026-03-02T18:30")]
    assert {hub for hub, _ in sorts} == {"centre", "second"}
    assert trunks == [("centre", "second"), ("second", "centre")]


def test_a_morning_sort_names_the_crates_that_the_days_vans_take_with_their_copies(connection: Connection):
    approved_transfer(connection, "t", status="sent")
    for transfer in ("t", "shipment-c9"):
        leg = {
            "transfer_id": transfer,
            "position": 1,
            "kind": "deliver",
            "from_place_id": "centre",
            "to_place_id": "room",
        }
        connection.execute(insert(legs), leg | {"day": DAY, "crate_id": "d-1"})
    dispatch.order_hubs(connection, NETWORK, DAY)
    morning, evening = told(connection)
    assert morning["crates"] == [{"crate": "d-1", "to": "room", "copies": ["c9", "copy-of-t"]}]
    assert "crates" not in evening


def test_a_transfer_on_its_way_cannot_be_called_off(connection: Connection):
    approved_transfer(connection, "waiting", status="ordered")
    approved_transfer(connection, "gone", status="sent")
    assert dispatch.cancel(connection, ["waiting", "gone"], MONDAY) == 1
    assert [order["transfer"] for order in told(connection)] == ["waiting"]


def test_what_was_never_ordered_is_called_off_without_an_order(connection: Connection):
    approved_transfer(connection, "approved")
    approved_transfer(connection, "proposed", status="proposed")
    assert dispatch.cancel(connection, ["approved", "proposed"], MONDAY) == 2
    assert told(connection) == []
    statuses = connection.execute(select(transfers.c.status)).scalars().all()
    assert set(statuses) == {"cancelled"}
