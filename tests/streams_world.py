"""A small city for the streams' tests: its network, seeded events with every disturbance, and a plain fold to compare with."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
import psycopg

from rotation.facts.events import (
    CopyAdded,
    CopyLoaned,
    CopyReturned,
    CrateClosed,
    CrateDelivered,
    Edge,
    Event,
    Fact,
    HoldFilled,
    HoldPlaced,
    TransferDeclined,
    TransferReceived,
    TransferSent,
    cloud_event,
    parse,
)
from rotation.facts.movements import CopyState, Movement, present, spells
from rotation.network import Network, from_tables
from rotation.store.audit import SPELLS

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
PLACES = tuple(f"p{number}" for number in range(6))
MOST_EVENTS = 10_000_000  # of a history, in which every minute has one
EDGE = Edge(frozenset(PLACES), frozenset({"fiction"}), MONDAY + timedelta(days=400))


def city() -> Network:
    """A central library that sorts, and five rooms under it."""
    rooms = [{"id": place, "name": place, "tier": "room", "parent": "p0", "population": 1000} for place in PLACES[1:]]
    return from_tables(
        {
            "network": {"id": "test", "name": "test", "timezone": "UTC"},
            "class": [{"id": "fiction", "name": "fiction"}],
            "place": [{"id": "p0", "name": "p0", "tier": "central", "hub": {}}, *rooms],
            "van": [{"id": "v1", "hub": "p0", "crates": 20}],
        },
        "test.toml",
    )


def told(fact: Fact, number: int, at: datetime | None = None, source: str = "koha") -> dict[str, Any]:
    """One CloudEvent; its time follows its number unless it is given."""
    return cloud_event(fact, event_id=f"e{number}", source=source, time=at or MONDAY + timedelta(minutes=number))


Maker = Callable[[random.Random, str, str], Fact]


def _sometimes_named(draw: random.Random, copy: str) -> str | None:
    return draw.choice([None, f"x{copy}"])


KINDS: dict[Maker, float] = {
    lambda draw, copy, place: CopyLoaned(copy=copy, place=place): 40,
    lambda draw, copy, place: CopyReturned(copy=copy, place=place): 30,
    lambda draw, copy, place: TransferSent(
        copy=copy, place=place, to=draw.choice(PLACES), transfer=_sometimes_named(draw, copy)
    ): 10,
    lambda draw, copy, place: TransferReceived(copy=copy, place=place, transfer=_sometimes_named(draw, copy)): 8,
    lambda draw, copy, place: TransferDeclined(copy=copy, place=place, transfer=f"x{copy}", reason="not found"): 2,
    lambda draw, copy, place: HoldPlaced(hold=f"h{copy}", title="t1", place=place): 4,
    lambda draw, copy, place: HoldFilled(hold=f"h{copy}", title="t1", place=place, copy=copy): 2,
    lambda draw, copy, place: CrateClosed(
        crate=f"k{draw.randrange(4)}", place=place, to=draw.choice(PLACES), copies=(copy,)
    ): 2,
    lambda draw, copy, place: CrateDelivered(crate=f"k{draw.randrange(4)}", place=place): 2,
}


def history(seed: int, events: int, copies: int = 40) -> list[dict[str, Any]]:
    """Facts of some weeks in the order they happened: every copy is added, then all kinds in the shares of KINDS."""
    draw = random.Random(seed)
    facts: list[Fact] = [
        CopyAdded(copy=f"c{n}", place=draw.choice(PLACES), title=f"t{n // 2}", **{"class": "fiction"})
        for n in range(min(copies, events))
    ]
    makers = draw.choices(list(KINDS), list(KINDS.values()), k=events - len(facts))
    facts += [make(draw, f"c{draw.randrange(copies)}", draw.choice(PLACES)) for make in makers]
    return [told(fact, number) for number, fact in enumerate(facts)]


def batches(events: Sequence[dict[str, Any]], seed: int, largest: int = 20) -> list[bytes]:
    """The events in batches of random sizes."""
    draw, found, rest = random.Random(seed), [], list(events)
    while rest:
        size = draw.randint(1, largest)
        found.append(orjson.dumps(rest[:size]))
        rest = rest[size:]
    return found


def disturbed(
    events: Sequence[dict[str, Any]], seed: int, *, twice: float = 0.05, late: float = 0.05
) -> list[dict[str, Any]]:
    """The same set with some told twice and some told long after they happened."""
    draw = random.Random(seed)
    keyed = [
        (number + (draw.uniform(0, len(events)) if draw.random() < late else 0), event)
        for number, event in enumerate(events)
    ]
    keyed += [(key + draw.uniform(0, len(events)), event) for key, event in keyed if draw.random() < twice]
    return [event for _, event in sorted(keyed, key=lambda pair: pair[0])]


class Standing(NamedTuple):
    """What holds after a set of facts: copies, spells, and the last fact of holds, transfers and crates."""

    copies: dict[str, tuple[CopyState, str, str | None]]
    spells: set[tuple[Any, ...]]
    titles: dict[str, str | None]
    last: dict[str, str]


def fold(events: Iterable[dict[str, Any]]) -> Standing:
    """The plain reference: everything in memory, in order."""
    edge = EDGE._replace(now=MONDAY + timedelta(minutes=MOST_EVENTS))
    parsed = [event for one in events for event in parse(orjson.dumps(one), edge) if isinstance(event, Event)]
    moves = [move for event in parsed if (move := event.movement())]
    added = {
        event.fact.copy_id: event.fact.title
        for event in sorted(parsed, key=_order)
        if isinstance(event.fact, CopyAdded)
    }
    holding = present(moves)
    last = {_subject(event): event.fact.type for event in sorted(parsed, key=_order) if _subject(event)}
    return Standing(
        {copy: (m.state, m.place_id, m.to_place_id) for copy, m in holding.items()},
        {(s.copy_id, s.state, s.place_id, s.since, s.until, s.ended_by) for s in spells(moves)},
        {copy: added.get(copy) for copy in holding},
        last,
    )


def _order(event: Event) -> tuple[Any, ...]:
    return event.time, event.sequence, event.source, event.id


def _subject(event: Event) -> str:
    fact: Any = event.fact
    kind = fact.type.split(".")[0]
    if kind == "transfer":
        return f"transfer {fact.transfer or 'own:' + fact.copy_id}"
    return f"{kind} {fact.hold if kind == 'hold' else fact.crate}" if kind in ("hold", "crate") else ""


def standing(url: str) -> Standing:
    """What stands in the database."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT copy_id, state, place_id, to_place_id, title_id FROM copies").fetchall()
        last = connection.execute(
            "SELECT 'hold ' || hold_id, type FROM holds UNION ALL SELECT 'crate ' || crate_id, type FROM crates UNION ALL"
            " SELECT 'transfer ' || transfer_id, 'transfer.' || status FROM transfers"
        ).fetchall()
        found = {tuple(row) for row in connection.execute(SPELLS).fetchall()}
    return Standing(
        {copy: (CopyState(state), place, to) for copy, state, place, to, _ in rows},
        {(c, CopyState(s), p, a, b, CopyState(e) if e else None) for c, s, p, a, b, e in found},
        {copy: title for copy, *_, title in rows},
        dict(last),
    )


def counts(url: str) -> Counter[str]:
    """What became of the events."""
    with psycopg.connect(url) as connection:
        return Counter(dict(connection.execute("SELECT name, value FROM counts").fetchall()))


def moved(copy: str, minute: int, state: CopyState, place: str) -> Movement:
    """One movement."""
    return Movement(copy, MONDAY + timedelta(minutes=minute), 0, "koha", f"{copy}-{minute}", state, place)
