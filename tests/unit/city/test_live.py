"""The living city: the effect of orders on copies and crates, and that its life can be replayed."""

from collections import Counter
from datetime import timedelta

import orjson
import pytest

from city import day as steps
from city.carriers import CarrierMemory
from city.facts import copy_id
from city.live import HOME, LiveCity, PlacementAnswer
from city.model import DAY_S, START, midnight
from rotation.facts.events import Edge, Event, parse
from rotation.network import PlaceKind
from tests.unit.city.conftest import NETWORK, WEEKS, days_orders, lived

FIRST_DAY = WEEKS * 7
DAYS = 6


def live(ask=lambda copy, place: HOME, seed: int = 7) -> LiveCity:
    return LiveCity(NETWORK, lived(seed), FIRST_DAY * DAY_S, ask)


def live_days(city: LiveCity, days: int = DAYS, extra: list[dict] | None = None) -> list[dict]:
    """Let days pass with each day's vans; return the facts."""
    told: list[str] = []
    for day in range(FIRST_DAY, FIRST_DAY + days):
        told += city.advance(day * DAY_S + 4 * 3600)
        city.take([*days_orders(START + timedelta(days=day)), *(extra or [])])
        told += city.advance((day + 1) * DAY_S)
    return [orjson.loads(event) for event in told]


def on_shelf(city: LiveCity, place: str, number: int) -> list[int]:
    row = [p.id for p in NETWORK.places].index(place)
    copies = city.city.state.copies
    return [int(c) for c in ((copies["state"] == steps.SHELF) & (copies["place"] == row)).nonzero()[0][:number]]


def pick(copy: int, to: str, place: str = "hubin", transfer: str | None = None) -> dict:
    day = START + timedelta(days=FIRST_DAY)
    name = copy_id(copy)
    return {
        "type": "order.pick",
        "transfer": transfer or f"t-{name}",
        "copy": name,
        "from": place,
        "to": to,
        "day": str(day),
    }


def of(facts: list[dict], copy: int) -> list[str]:
    return [fact["type"] for fact in facts if fact["data"].get("copy") == copy_id(copy)]


@pytest.fixture(scope="module")
def week():
    city = live()
    return city, live_days(city)


def test_every_fact_of_a_living_week_is_valid(week):
    edge = Edge(frozenset(NETWORK.place), frozenset(), midnight(NETWORK) + timedelta(days=FIRST_DAY + DAYS))
    parsed = list(parse(orjson.dumps(week[1]), edge))
    assert parsed
    assert [one for one in parsed if not isinstance(one, Event)] == []


def test_machines_report_their_slots_and_bins_every_two_hours(week):
    machines = {place.id: place.room for place in NETWORK.places if place.kind is PlaceKind.MACHINE}
    reports = [fact["data"] for fact in week[1] if fact["type"] == "machine.reported"]
    assert Counter(report["place"] for report in reports) == dict.fromkeys(machines, DAYS * 12)
    assert all(0 <= report["free_slots"] <= machines[report["place"]] for report in reports)
    assert len({report["free_slots"] for report in reports}) > 1
    assert max(report["bin_copies"] for report in reports) > 0


def test_facts_are_told_no_earlier_than_they_happen_and_soon_after(week):
    times = [fact["time"] for fact in week[1]]
    assert times[0] >= (midnight(NETWORK) + timedelta(days=FIRST_DAY)).isoformat()[:10]
    assert max(times) < (midnight(NETWORK) + timedelta(days=FIRST_DAY + DAYS, hours=1)).isoformat()


def test_every_copy_on_its_way_is_in_exactly_one_crate(week):
    city = week[0]
    memory, copies = city.carriers.memory, city.city.state.copies
    packed = Counter(c for crate in memory.crates.values() for c in crate.copies)
    packed.update(c for filling in memory.filling.values() for c in filling)
    on_the_way = (copies["state"] == steps.TRANSIT) & (copies["what"] != steps.ARRIVE)
    assert packed == Counter(map(int, on_the_way.nonzero()[0]))


def test_what_is_sent_arrives_within_days(week):
    sent = Counter(fact["type"] for fact in week[1])
    assert sent["transfer.received"] > 0.6 * sent["transfer.sent"] > 50


def test_a_crate_is_scanned_in_the_order_of_its_way(week):
    way = ["crate.closed", "crate.collected", "crate.at_hub", "crate.collected", "crate.delivered"]
    scans: dict[str, list[str]] = {}
    for fact in sorted(week[1], key=lambda fact: fact["time"]):
        if fact["type"].startswith("crate."):
            scans.setdefault(fact["data"]["crate"], []).append(fact["type"])
    for types in scans.values():
        assert types[0] == "crate.closed"
        assert [way.index(kind) for kind in dict.fromkeys(types)] == sorted(
            way.index(kind) for kind in dict.fromkeys(types)
        )


def test_collection_crates_go_to_the_hub_and_hubs_close_crates_for_one_destination(week):
    closed = [fact["data"] for fact in week[1] if fact["type"] == "crate.closed"]
    hubs = {hub.id for hub in NETWORK.hubs}
    assert all(one["to"] == NETWORK.hub_of(one["place"]) for one in closed if one["place"] not in hubs)
    assert all(1 <= len(one["copies"]) <= NETWORK.network.copies_per_crate for one in closed)


def test_a_picked_copy_travels_to_where_the_order_says():
    city = live()
    copies = on_shelf(city, "hubin", 8)
    facts = live_days(city, extra=[pick(copy, "kechuang") for copy in copies])
    travelled = [copy for copy in copies if "transfer.picked" in of(facts, copy)]
    assert len(travelled) >= 5
    for copy in travelled:
        assert of(facts, copy)[:3] == ["transfer.picked", "transfer.sent", "transfer.received"]
        received = next(
            f["data"] for f in facts if f["type"] == "transfer.received" and f["data"]["copy"] == copy_id(copy)
        )
        assert (received["place"], received["transfer"]) == ("kechuang", f"t-{copy_id(copy)}")


def test_a_copy_that_is_not_on_the_shelf_is_declined():
    city = live()
    lent = int((city.city.state.copies["state"] == steps.LOAN).nonzero()[0][0])
    facts = live_days(city, days=1, extra=[pick(lent, "kechuang")])
    declined = [fact["data"] for fact in facts if fact["type"] == "transfer.declined"]
    assert [(one["copy"], one["reason"]) for one in declined] == [(copy_id(lent), "not_on_shelf")]


def test_an_order_taken_twice_is_done_once():
    city = live()
    copy = on_shelf(city, "hubin", 1)[0]
    facts = live_days(city, days=2, extra=[pick(copy, "kechuang")] * 3)
    assert Counter(of(facts, copy))["transfer.sent"] + Counter(of(facts, copy))["transfer.declined"] == 1


def test_a_pick_called_off_is_not_made():
    city = live()
    copy = on_shelf(city, "hubin", 1)[0]
    orders = [pick(copy, "kechuang", transfer="t-1"), {"type": "order.cancel", "transfer": "t-1"}]
    facts = live_days(city, days=1, extra=orders)
    assert of(facts, copy)[:1] == ["transfer.cancelled"]
    assert "transfer.picked" not in of(facts, copy)


def test_a_returned_copy_goes_where_placement_says():
    city = live(ask=lambda copy, place: PlacementAnswer("hubin", f"p-{copy}"))
    facts = live_days(city, days=2)
    sent = [fact["data"] for fact in facts if fact["type"] == "transfer.sent" and "transfer" in fact["data"]]
    assert len(sent) > 10
    assert all(one["to"] == "hubin" and one["transfer"] == f"p-{one['copy']}" and one["crate"] for one in sent)


def test_placement_that_says_stay_keeps_the_copy_there():
    city = live(ask=lambda copy, place: PlacementAnswer(place))
    facts = live_days(city, days=2)
    returned = {f["data"]["copy"]: f["data"]["place"] for f in facts if f["type"] == "copy.returned"}
    sent = {fact["data"]["copy"] for fact in facts if fact["type"] == "transfer.sent"}
    assert len(set(returned) - sent) > 0.9 * len(returned)


def test_placement_is_not_asked_for_what_a_reader_waits_for():
    asked: list[str] = []
    city = live(ask=lambda copy, place: asked.append(copy) or HOME)
    returning = steps.returning(city.city.state, FIRST_DAY)
    for copy in returning[:5]:
        wait_for(city.city.state, copy)
    facts = live_days(city, days=1)
    filled = {f["data"]["copy"] for f in facts if f["type"] == "hold.filled"}
    assert {copy_id(copy) for copy in returning[:5]} <= filled
    assert set(asked) & filled == set()
    assert len(asked) > 5


def wait_for(state: steps.CityState, copy: int) -> None:
    """Let a reader wait for the copy's title where the copy comes back."""
    hold, title = int(state.counts[steps.HOLDS]), int(state.copies[copy]["title"])
    state.counts[steps.HOLDS] += 1
    place = state.copies[copy]["back"]
    state.holds[hold] = (0, title, place, place, 14, -1)
    state.titles["queue"][title] = state.titles["queue_end"][title] = hold


def test_the_size_of_the_steps_of_time_changes_nothing():
    whole, in_steps = live(), live()
    for city in (whole, in_steps):
        city.take(days_orders(START + timedelta(days=FIRST_DAY)))
    end = (FIRST_DAY + 1) * DAY_S + 7200
    small = [event for at in range(FIRST_DAY * DAY_S, end, 1811) for event in in_steps.advance(at)] + in_steps.advance(
        end
    )
    assert small == whole.advance(end)


def test_a_life_that_is_kept_goes_on_as_if_nothing_had_happened():
    city = live()
    live_days(city, days=2)
    kept = orjson.loads(orjson.dumps(city.carriers.memory.kept()))
    again = LiveCity(NETWORK, city.city, city.now_s, memory=CarrierMemory.read(kept))
    assert again.carriers.memory == city.carriers.memory


def test_the_same_orders_and_answers_give_the_same_facts():
    one, other = (live_days(live(ask=lambda copy, place: PlacementAnswer(place))) for _ in range(2))
    assert one == other
