"""Rules about shelves: shortage, surplus, stale stock, an unfair share, a drained place."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from statistics import median
from typing import NamedTuple

from rotation.alerts import levels
from rotation.alerts.findings import AlertFinding, Count
from rotation.facts.lifecycle import IMBALANCES, AlertKind, listed
from rotation.facts.movements import ON_ITS_WAY, CopyState
from rotation.network import PlaceKind, Tier


class OnShelf(NamedTuple):
    """Copies on the shelf and on their way to it, by place and class; by place those on the shelf, and those long idle."""

    of_class: Counter[tuple[str, str]]
    coming: Counter[tuple[str, str]]
    copies: Counter[str]
    idle: Counter[str]


COMING = f"""
    SELECT to_place_id, class, count(*) FROM copies
    WHERE to_place_id IS NOT NULL AND state IN ({listed(ON_ITS_WAY)}) AND class IS NOT NULL GROUP BY 1, 2"""


def count_shelves(count: Count) -> OnShelf:
    """Count the copies on all shelves, in the only pass over the copies that a sweep makes."""
    shelves = OnShelf(Counter(), Counter(), Counter(), Counter())
    for place, cls, copies, idle in count.cursor.execute(
        "SELECT place_id, class, count(*), count(*) FILTER (WHERE occurred_at < %s - make_interval(days => %s)) FROM copies"
        f" WHERE state = '{CopyState.ON_SHELF}' GROUP BY 1, 2",
        (count.now, levels.STALE_AFTER_DAYS),
    ):
        shelves.of_class[place, cls] = copies
        shelves.copies[place] += copies
        shelves.idle[place] += idle
    shelves.coming.update({(place, cls): copies for place, cls, copies in count.cursor.execute(COMING)})
    return shelves


def all_levels(count: Count, shelves: OnShelf) -> Iterator[AlertFinding]:
    """The shelf holds fewer or more copies of a class than its targets say."""
    targets = count.cursor.execute("SELECT place_id, class, low, high FROM targets").fetchall()
    yield from _judged(
        count,
        (
            (place, cls, low, high, shelves.of_class[place, cls], shelves.coming[place, cls])
            for place, cls, low, high in targets
        ),
    )


def touched_levels(count: Count) -> Iterator[AlertFinding]:
    """The same of the shelves that were touched, each counted by an index of its own."""
    shelves = [(place, cls) for place, one in count.touched.items() for cls in one.classes or ()]
    yield from _judged(
        count,
        count.cursor.execute(
            "SELECT t.place_id, t.class, t.low, t.high, (SELECT count(*) FROM copies c"
            f" WHERE c.place_id = t.place_id AND c.class = t.class AND c.state = '{CopyState.ON_SHELF}'),"
            " (SELECT count(*) FROM copies c"
            f" WHERE c.to_place_id = t.place_id AND c.class = t.class AND c.state IN ({listed(ON_ITS_WAY)})) FROM targets t"
            " WHERE (t.place_id, t.class) IN (SELECT * FROM unnest(%s::text[], %s::text[])) OR t.place_id = ANY(%s)",
            (
                [place for place, _ in shelves],
                [cls for _, cls in shelves],
                [place for place, one in count.touched.items() if one.classes is None],
            ),
        ).fetchall(),
    )


def _judged(count: Count, rows: Iterable[tuple[str, str, int, int, int, int]]) -> Iterator[AlertFinding]:
    for place, cls, low, high, level, coming in rows:
        numbers = {"level": level, "coming": coming, "low": low, "high": high}
        of_least, of_most = (count.threshold(kind, place, cls) for kind in IMBALANCES)
        verdict = levels.shortage(level, coming, low, high, of_least)
        yield AlertFinding(AlertKind.SHORTAGE, place, cls, verdict, numbers)
        yield AlertFinding(AlertKind.SURPLUS, place, cls, levels.surplus(level, low, high, of_most), numbers)


def stale(count: Count, shelves: OnShelf) -> Iterator[AlertFinding]:
    """Most of a shelf has stood there unread."""
    for place, copies in shelves.copies.items():
        idle = shelves.idle[place]
        numbers = {"idle": idle, "on_shelf": copies, "days": levels.STALE_AFTER_DAYS}
        verdict = levels.stale(idle, copies, count.threshold(AlertKind.STALE, place))
        yield AlertFinding(AlertKind.STALE, place, "", verdict, numbers)


def unfair(count: Count, shelves: OnShelf) -> Iterator[AlertFinding]:
    """A place's residents have far fewer copies within reach than others of its tier."""
    inhabited = [place for place in count.network.places if place.population] if shelves.copies else []
    per_head = {place.id: shelves.copies[place.id] / place.population for place in inhabited}
    peers = {tier: [per_head[place.id] for place in inhabited if place.tier == tier] for tier in Tier}
    for place in inhabited:
        middle, mine = median(peers[place.tier]), per_head[place.id]
        numbers = {"per_1000": round(1000 * mine, 1), "median_per_1000": round(1000 * middle, 1)}
        yield AlertFinding(AlertKind.UNFAIR, place.id, "", levels.unfair(mine, peers[place.tier]), numbers)


# Copies that each place held, on the shelf and on loan, at the first and the last night of some weeks, and the days between.
HELD = """
WITH nights AS (SELECT min(day) AS first, max(day) AS last FROM daily_figures WHERE figure = 'turnover' AND day > %s)
SELECT subject, coalesce(sum(base) FILTER (WHERE day = first), 0)::int, coalesce(sum(base) FILTER (WHERE day = last), 0)::int,
    last - first
FROM nights JOIN daily_figures ON day IN (first, last)
WHERE figure = 'turnover' AND by = 'place' AND first < last GROUP BY 1, 4"""


def drained(count: Count) -> Iterator[AlertFinding]:
    """A place holds many fewer copies than some weeks ago, whether moves or its readers' returns elsewhere took them."""
    since = count.network.day_of(count.now) - timedelta(days=levels.DRAINED_DAYS)
    for place_id, before, held, days in count.cursor.execute(HELD, (since,)).fetchall():
        place = count.network.place.get(place_id)
        if place and place.kind is not PlaceKind.STORE:
            numbers = {"before": before, "held": held, "days": days}
            yield AlertFinding(AlertKind.DRAINED, place_id, "", levels.drained(before, held), numbers)
