"""A plausible day in a database, for tests and benchmarks of the page: plans, runs, stops, transfers, alerts, feeds."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import count, islice, pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select

from rotation.courier.calendar import Calendar
from rotation.courier.day import plan_days, solve_alone
from rotation.courier.legs import Now, OpenTransfer, Where
from rotation.courier.store import write_days
from rotation.facts.clock import Clock
from rotation.network import Network, Place, distance_m, from_tables, read
from rotation.store import tables as t
from rotation.store.clock import set_clock

DAY = date(2026, 3, 12)  # a Thursday
DEMO = Path(__file__).parent.parent / "config/networks/demo.toml"
REASONS = ("readers_wait", "borrowed_more", "stale_here", "goes_home", "floor")
PAGES = (  # that a person who signed in may open
    "/today",
    "/imbalance",
    "/alerts",
    "/alerts?state=closed",
    "/alerts/thresholds",
    "/rejections",
    "/feeds",
    "/prices",
    "/why-not",
    "/sets",
    "/decisions",
    "/password",
)
SPEED_M_S = 6.0
WHY = {"verdict": "no_room", "van": "van-gudu-1", "blocks": [{"cause": "window", "amount": 1130, "unit": "s"}]}
NUMBERS = {
    "overdue": {"count": 12, "days": 21, "count_over_365_days": 2, "oldest": "2026-01-02"},
    "stale": {"idle": 40, "on_shelf": 60, "days": 180},
    "silent": {"open_hours": 20.5, "allowed_hours": 16, "last": "2026-03-10"},
}


def demo() -> Network:
    """The demonstration's network."""
    return read(DEMO)


def large(places: int = 1_200, classes: int = 8) -> Network:
    """A province's network: a hub for every hundred places, in a square of about 80 km."""
    rng = random.Random(7)
    hubs = max(places // 100, 1)
    rows: list[dict[str, Any]] = []
    for n in range(places):
        row = {
            "id": f"p{n}",
            "name": {"zh": f"第{n}分馆", "en": f"Branch {n}"},
            "lat": 30 + rng.random() * 0.7,
            "lon": 104 + rng.random() * 0.8,
        }
        tier = {"tier": "central", "hub": {}} if n == 0 else {"tier": "district", "parent": "p0", "hub": {}}
        if n >= hubs:
            tier = {"tier": "room", "parent": f"p{n % hubs}"}
        rows.append({**row, **tier})
    vans = [{"id": f"van{n}", "hub": f"p{n % hubs}", "crates": 60} for n in range(hubs * 2)]
    named = [{"id": f"class{n}", "name": {"zh": f"类别{n}", "en": f"Class {n}"}} for n in range(classes)]
    about = {"id": "large", "name": {"zh": "大网", "en": "Large network"}}
    return from_tables({"network": about, "class": named, "place": rows, "van": vans}, "large.toml")


def fill(
    connection: Connection,
    network: Network,
    *,
    day: date = DAY,
    stops_a_run: int = 8,
    runs: int | None = None,
    transfers: int = 160,
    copies_a_level: int = 6,
    hour: int | None = None,
    status: str = "draft",
    seed: int = 1,
) -> None:
    """Write a day as it stands at `hour` local time; runs are `status`, and under way where that is "ordered".

    Without `hour`, drafts stand before their vans leave, and what is ordered in the middle of the morning.
    """
    rng = random.Random(seed)
    hour = hour or (7 if status == "draft" else 11)
    now = network.instant(day, hour * 3600).astimezone(UTC)
    set_clock(connection, Clock(now, datetime.now(UTC), 0.0))
    planned = list(_runs(network, day, runs, stops_a_run, now, status, rng))
    _plans(connection, network, day, planned, now, status)
    _transfers(connection, network, day, planned, transfers, now, rng)
    _levels(connection, network, copies_a_level, now, rng)
    _alerts(connection, network, now, rng)
    _rejections(connection, now)
    _feeds(connection, now)


def plan_really(connection: Connection, network: Network, *, day: date = DAY) -> None:
    """Plan the day's transfers as the night would, in place of the invented runs: with problem, solution, legs and crates."""
    for table in (t.legs, t.stops, t.runs, t.day_plans):
        connection.execute(delete(table))
    moves = connection.execute(select(t.transfers)).all()
    found = [
        OpenTransfer(one.transfer_id, one.copy_id, one.to_place_id, Where.PLACE, one.from_place_id, kind=one.kind)
        for one in moves
    ]
    sorted_out = [
        OpenTransfer(
            f"{one.transfer_id}-in",
            f"{one.copy_id}-in",
            one.from_place_id,
            Where.SORTED,
            hub,
            crate=f"in-{one.from_place_id}",
        )
        for one in moves
        if (hub := network.hub_of(one.from_place_id))
    ]
    search = partial(solve_alone, time_s=30.0, seed=1, iterations=5)
    now = Now(day, network.instant(day, 5 * 3600))
    plan = plan_days(Calendar(network), [day], [*found, *sorted_out], now, search, None)
    write_days(connection, plan, network.instant(day, 5 * 3600))


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


# --- Runs ---------------------------------------------------------------


def _runs(
    network: Network, day: date, wanted: int | None, size: int, now: datetime, status: str, rng: random.Random
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    served: set[str] = set()
    for number, van in enumerate(network.vans[:wanted]):
        hub = network.place[van.hub]
        near = [
            p
            for p in network.places
            if p.located and not p.hub and p.id not in served and network.hub_of(p.id) == van.hub
        ]
        visits = sorted(rng.sample(near, min(size, len(near))), key=lambda p: (p.lon or 0, p.lat or 0))
        served.update(p.id for p in visits)
        if visits:
            departs = network.instant(day, int(8.5 * 3600) + number * 300).astimezone(UTC)
            yield _run(day, van.id, van.crates, hub, visits, departs, now, status, rng)


def _run(
    day: date,
    van: str,
    crates: int,
    hub: Place,
    visits: list[Place],
    departs: datetime,
    now: datetime,
    status: str,
    rng: random.Random,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    run_id, at = f"{day:%Y%m%d}-{van}", departs
    deliver = [rng.randint(1, 4) for _ in visits]
    collect = [rng.randint(0, 3) for _ in visits]
    load, rows, driven = min(sum(deliver), crates), [], 0.0
    for position, (before, place) in enumerate(pairwise([hub, *visits]), 1):
        metres = distance_m(before, place) * 1.35
        driven, at = driven + metres, at + timedelta(seconds=metres / SPEED_M_S)
        begins = at + timedelta(minutes=rng.choice((0, 0, 0, 12)))
        leaves = begins + timedelta(minutes=6 + deliver[position - 1] * 2)
        load += collect[position - 1] - deliver[position - 1]
        done = status == "ordered" and leaves <= now
        rows.append(
            {
                "run_id": run_id,
                "position": position,
                "place_id": place.id,
                "arrives_at": at,
                "begins_at": begins,
                "departs_at": leaves,
                "deliver_crates": deliver[position - 1],
                "collect_crates": collect[position - 1],
                "load_after_crates": max(load, 0),
                "status": ("missed" if position == 5 else "done") if done else "planned",
                "done_at": leaves if done else None,
            }
        )
        at = leaves
    run = {
        "run_id": run_id,
        "day_plan_id": f"{day:%Y%m%d}-{hub.id}",
        "day": day,
        "hub_id": hub.id,
        "van_id": van,
        "status": status,
        "departs_at": departs,
        "returns_at": at + timedelta(minutes=25),
        "distance_m": int(driven),
        "cost_cents": 40_000,
        "largest_load_crates": max(sum(deliver), *(row["load_after_crates"] for row in rows)),
    }
    return run, rows


def _plans(connection: Connection, network: Network, day: date, planned: list[Any], now: datetime, status: str) -> None:
    closed = next(p for p in network.places if not p.hub)
    unserved = [
        {"code": "no_van", "place": closed.id, "crates": 2, "copies": 31, "why": WHY},
        {"code": "no_coordinates", "place": closed.id, "crates": 1, "copies": 4, "why": None},
    ]
    hubs = sorted({run["hub_id"] for run, _ in planned})
    _insert(
        connection,
        t.day_plans,
        [
            {
                "day_plan_id": f"{day:%Y%m%d}-{hub}",
                "day": day,
                "hub_id": hub,
                "status": status,
                "problem": {},
                "solution": {},
                "evaluation": {},
                "unserved": unserved if hub == hubs[0] else [],
                "created_at": now - timedelta(hours=7),
            }
            for hub in hubs
        ],
    )
    _insert(connection, t.runs, [run for run, _ in planned])
    _insert(connection, t.stops, [stop for _, stops in planned for stop in stops])


# --- Transfers and stock ---------------------------------------------------------------


def _transfers(
    connection: Connection,
    network: Network,
    day: date,
    planned: list[Any],
    wanted: int,
    now: datetime,
    rng: random.Random,
) -> None:
    visits = [(run["run_id"], stop["place_id"]) for run, stops in planned for stop in stops]
    classes = [c.id for c in network.classes] or ["fiction"]
    titles = [
        {"title_id": f"t{n}", "class": classes[n % len(classes)], "name": name} for n, name in enumerate(_titles(60))
    ]
    _insert(connection, t.titles, titles)
    moves, ways = [], []
    for number in range(wanted):
        (run, here), (other, there) = rng.sample(visits, 2)
        transfer = f"plan-{day:%Y%m%d}-c{number}"
        moves.append(
            {
                "transfer_id": transfer,
                "copy_id": f"c{number}",
                "title_id": f"t{number % 60}",
                "from_place_id": here,
                "to_place_id": there,
                "kind": ("pick", "placement", "shipment", "pick")[number % 4],
                "status": "proposed",
                "plan_id": "p",
                "day": day,
                "gain_loans": round(rng.random() * 2, 2),
                "created_at": now,
                "changed_at": now,
                "crate_id": None,
                "reason": {
                    "code": REASONS[number % len(REASONS)],
                    "waiting": 3,
                    "weeks": 14,
                    "copies": 2,
                    "gain_low": 0.2,
                    "gain_high": 1.1,
                },
            }
        )
        crate = f"k{number // 20}"
        ways += [
            {
                "transfer_id": transfer,
                "position": 1,
                "kind": "collect",
                "from_place_id": here,
                "to_place_id": "hub",
                "day": day,
                "run_id": run,
                "crate_id": None,
            },
            {
                "transfer_id": transfer,
                "position": 2,
                "kind": "deliver",
                "from_place_id": "hub",
                "to_place_id": there,
                "day": day,
                "run_id": other,
                "crate_id": crate,
            },
        ]
    _insert(connection, t.transfers, moves)
    _insert(connection, t.legs, ways)


def _titles(number: int) -> list[str]:
    names = (
        "平凡的世界",
        "草房子",
        "The Old Man and the Sea",
        "三体",
        "海错图笔记",
        "Charlotte's Web",
        "呼兰河传",
        "乡土中国",
        "活着",
        "小王子",
    )
    return [f"{names[n % len(names)]} {n // len(names) + 1}" for n in range(number)]


def _levels(connection: Connection, network: Network, size: int, now: datetime, rng: random.Random) -> None:
    numbers, targets, copies = count(), [], []
    for place in network.places:
        for title_class in network.classes:
            have = rng.randint(0, size * 2)
            targets.append({"place_id": place.id, "class": title_class.id, "low": size // 2, "high": size + size // 2})
            copies += [
                {
                    "copy_id": f"s{number}",
                    "occurred_at": now - timedelta(days=3),
                    "source": "city",
                    "event_id": f"e{number}",
                    "state": "on_shelf",
                    "place_id": place.id,
                    "title_id": f"t{number % 60}",
                    "class": title_class.id,
                }
                for number in islice(numbers, have)
            ]
    _insert(connection, t.targets, targets)
    _insert(connection, t.copies, copies)


# --- What asks for attention ---------------------------------------------------------------


def _alerts(connection: Connection, network: Network, now: datetime, rng: random.Random) -> None:
    places = [place.id for place in network.places]
    classes = [c.id for c in network.classes] or ["fiction"]
    rows = [
        {
            "kind": kind,
            "place_id": places[n % len(places)],
            "class": "" if kind in ("silent", "overdue") else classes[n % len(classes)],
            "opened_at": now - timedelta(hours=n),
            "changed_at": now,
            "closed_at": now - timedelta(minutes=5) if n % 5 == 0 else None,
            "numbers": NUMBERS.get(kind, {"level": 1, "low": 4, "high": 9}),
        }
        for n, kind in enumerate(("shortage", "surplus", "overdue", "silent", "shortage", "stale") * 6)
    ]
    _insert(connection, t.alerts, rows)


def _rejections(connection: Connection, now: datetime) -> None:
    bad = ("not_json", "unknown_place", "no_zone", "in_the_future", "data")
    _insert(
        connection,
        t.rejections,
        [
            {
                "topic": "circulation.events",
                "partition": 0,
                "offset": n,
                "index": 0,
                "reason": reason,
                "field": "data.place",
                "message": "no place 'x9' in the network",
                "original": b'{"id": "1", "data": {"place": "x9"}} \xff',
                "rejected_at": now,
            }
            for n, reason in enumerate(bad)
        ],
    )


def _feeds(connection: Connection, now: datetime) -> None:
    _insert(
        connection,
        t.feeds,
        [
            {
                "source": "city/centre",
                "last_event_at": now - timedelta(seconds=40),
                "last_heard_at": now,
                "events": 48_211,
            },
            {
                "source": "koha/east",
                "last_event_at": now - timedelta(hours=30),
                "last_heard_at": now - timedelta(hours=30),
                "events": 903,
            },
        ],
    )
    silent = {
        "kind": "feed",
        "place_id": "koha/east",
        "opened_at": now,
        "changed_at": now,
        "numbers": NUMBERS["silent"],
    }
    _insert(connection, t.alerts, [silent])
    _insert(
        connection,
        t.counts,
        [{"name": n, "value": v} for n, v in (("applied", 49_000), ("duplicates", 80), ("late", 29), ("rejected", 5))],
    )
