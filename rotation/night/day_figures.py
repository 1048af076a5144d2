"""Key figures, counted once a day and kept: pages show the last count at once, and its past as a line.

A figure is an amount over a base, for the whole network and by tier, place and class, so that every part adds up to the whole.
Flows are counted over the last WINDOW_DAYS, loans over a year; stocks are counted as they stand.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, text

from rotation.alerts.levels import STALE_AFTER_DAYS
from rotation.facts.events import HoldFilled, HoldPlaced, TransferReceived, TransferSent
from rotation.facts.lifecycle import SENT_OUT, TransferState, listed
from rotation.facts.movements import CopyState
from rotation.network import Network
from rotation.night import uplift
from rotation.night.coverage import reach
from rotation.store.tables import daily_figures

WINDOW_DAYS = 30  # a month's report, whenever it is asked for
YEAR_DAYS = 365
KEPT_DAYS = 3 * YEAR_DAYS  # a report looks two years back
LEVELS_DAYS = 13 * 7  # the line of a level on the page of imbalance: a quarter
ALL, TIER, PLACE, CLASS = "all", "tier", "place", "class"
GONE = (CopyState.WITHDRAWN, CopyState.MISSING)


class FigurePart(NamedTuple):
    """A figure of a part of the network: `amount` over `base`; of a level, `cls` is its class."""

    figure: str
    by: str
    subject: str
    amount: float
    base: float
    cls: str = ""


class Day(NamedTuple):
    """The day that figures are counted for; `since` is WINDOW_DAYS before `now`."""

    connection: Connection
    network: Network
    now: datetime
    horizon_weeks: int

    @property
    def since(self) -> datetime:
        """Return the window's begin."""
        return self.now - timedelta(days=WINDOW_DAYS)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Return the rows of a statement."""
        return list(self.connection.execute(text(statement), values).all())


def keep(connection: Connection, network: Network, now: datetime, horizon_weeks: int) -> int:
    """Count the figures of the day and keep them, in the caller's transaction; return how many."""
    day = network.day_of(now)
    rows = [
        {"day": day, **part._asdict(), "class": part.cls}
        for part in count(Day(connection, network, now, horizon_weeks))
    ]
    for row in rows:
        del row["cls"]
    connection.execute(delete(daily_figures).where(daily_figures.c.day == day))
    if rows:  # none of a city that has no copy yet; SQLAlchemy would insert a row of defaults
        connection.execute(insert(daily_figures), rows)
    _forget(connection, day)
    return len(rows)


def _forget(connection: Connection, day: date) -> None:
    days, is_level = daily_figures.c.day, daily_figures.c.figure == "level"
    connection.execute(delete(daily_figures).where(days < day - timedelta(days=KEPT_DAYS)))
    connection.execute(delete(daily_figures).where(is_level, days < day - timedelta(days=LEVELS_DAYS)))


def count(day: Day) -> Iterator[FigurePart]:
    """Yield every figure, the whole network first."""
    shelves = _shelves(day)
    loans, observed_days = _loans(day)
    yield from _by_all("turnover", day, _turnover(loans, shelves, observed_days))
    yield from _by_all("share_on_loan", day, ((one.place, one.cls, one.on_loan, one.held) for one in shelves))
    yield from _by_all("stale_stock", day, ((one.place, one.cls, one.idle, one.on_shelf) for one in shelves))
    yield from _per_head(day, "holdings_per_head", _sums(shelves))
    yield from _shares_of_tiers(day, shelves)
    yield from _special(day, shelves)
    yield from _coverage(day)
    yield from _waits(day)
    yield from _in_transit(day)
    yield from _moves(day)
    yield from _city_counts(day)
    yield from _levels(day)


# --- What stands ------------------------------------------------------------------------------------------------------------


class ShelfCount(NamedTuple):
    """Copies of a class that count at a place."""

    place: str
    cls: str
    held: int
    on_loan: int
    on_shelf: int
    idle: int


def _shelves(day: Day) -> list[ShelfCount]:
    """Count the copies by place and class; a lent copy counts where it was lent."""
    rows = day.rows(
        f"""
        SELECT place_id, coalesce(class, ''), count(*), count(*) FILTER (WHERE state = '{CopyState.ON_LOAN}'),
            count(*) FILTER (WHERE state = '{CopyState.ON_SHELF}'),
            count(*) FILTER (WHERE state = '{CopyState.ON_SHELF}' AND occurred_at < :idle)
        FROM copies WHERE state NOT IN ({listed(GONE)}) GROUP BY 1, 2""",
        idle=day.now - timedelta(days=STALE_AFTER_DAYS),
    )
    return [ShelfCount(*row) for row in rows if row.place_id in day.network.place]


def _loans(day: Day) -> tuple[dict[tuple[str, str], int], float]:
    """Return the loans of a year by place and class, and over how many days they were seen."""
    rows = day.rows(
        f"""
        SELECT m.place_id, coalesce(c.class, ''), count(*), min(m.occurred_at) FROM movements m JOIN copies c USING (copy_id)
        WHERE m.state = '{CopyState.ON_LOAN}' AND m.occurred_at > :since AND m.occurred_at <= :now GROUP BY 1, 2""",
        since=day.now - timedelta(days=YEAR_DAYS),
        now=day.now,
    )
    first = min((row[3] for row in rows), default=day.now)
    return {(row[0], row[1]): row[2] for row in rows}, max((day.now - first).total_seconds() / 86_400, 1.0)


def _turnover(
    loans: Mapping[tuple[str, str], int], shelves: Iterable[ShelfCount], observed_days: float
) -> Iterator[tuple[str, str, float, float]]:
    a_year = YEAR_DAYS / observed_days
    held = {(one.place, one.cls): one.held for one in shelves}
    for place, cls in sorted(held.keys() | loans.keys()):
        yield place, cls, loans.get((place, cls), 0) * a_year, held.get((place, cls), 0)


def _by_all(figure: str, day: Day, rows: Iterable[tuple[str, str, float, float]]) -> Iterator[FigurePart]:
    """Add up rows of place, class, amount and base: for all, by tier, place and class."""
    sums: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for place, cls, amount, base in rows:
        if place in day.network.place:
            for key in ((ALL, ""), (TIER, day.network.place[place].tier), (PLACE, place), (CLASS, cls)):
                sums[key][0] += amount
                sums[key][1] += base
    for (by, subject), (amount, base) in sums.items():
        if base:
            yield FigurePart(figure, by, subject, amount, base)


def _sums(shelves: Iterable[ShelfCount]) -> dict[str, float]:
    held: defaultdict[str, float] = defaultdict(float)
    for one in shelves:
        held[one.place] += one.held
    return held


def _per_head(day: Day, figure: str, amounts: Mapping[str, float]) -> Iterator[FigurePart]:
    """Put amounts of places over their residents; a class has none, so there is no part by class."""
    rows = ((place.id, "", amounts.get(place.id, 0.0), place.population) for place in day.network.places)
    yield from (part for part in _by_all(figure, day, rows) if part.by != CLASS)


def _shares_of_tiers(day: Day, shelves: Iterable[ShelfCount]) -> Iterator[FigurePart]:
    """Each tier's share of all copies, and how unevenly residents of places have copies: 0 alike, 1 all at one place."""
    held = _sums(shelves)
    all_copies = sum(held.values())
    by_tier: defaultdict[str, float] = defaultdict(float)
    for place, copies in held.items():
        by_tier[day.network.place[place].tier] += copies
    yield from (FigurePart("tier_share", TIER, tier, copies, all_copies) for tier, copies in by_tier.items())
    pairs = [(held.get(place.id, 0.0), place.population) for place in day.network.places if place.population]
    if (even := gini(pairs)) is not None:
        yield FigurePart("gini", ALL, "", even, 1.0)


def gini(pairs: Iterable[tuple[float, float]]) -> float | None:
    """Return the Gini coefficient of amounts over residents, from pairs of both; None where there are none."""
    ordered = sorted(pairs, key=lambda pair: pair[0] / pair[1])
    residents, amounts = sum(pair[1] for pair in ordered), sum(pair[0] for pair in ordered)
    if not residents or not amounts:
        return None
    below, area = 0.0, 0.0
    for amount, heads in ordered:
        area += heads / residents * (2 * below + amount) / amounts
        below += amount
    return 1 - area


def _special(day: Day, shelves: Iterable[ShelfCount]) -> Iterator[FigurePart]:
    """How full the shelves of special groups are: large print, braille, minority languages and the like."""
    special = {title_class.id for title_class in day.network.classes if title_class.special_group}
    on_shelf = {(one.place, one.cls): one.on_shelf for one in shelves}
    rooms = (
        (place.id, cls, room) for place in day.network.places for cls, room in place.shelf.items() if cls in special
    )
    rows = ((place, cls, min(on_shelf.get((place, cls), 0), room), room) for place, cls, room in rooms)
    yield from _by_all("special_shelves", day, rows)


def _coverage(day: Day) -> Iterator[FigurePart]:
    found = reach(day.network)
    if found.residents:
        yield FigurePart("coverage", ALL, "", found.within_15_minutes, found.residents)
    if found.units:
        yield FigurePart("units_served", ALL, "", found.units_served, found.units)


# --- What flows -------------------------------------------------------------------------------------------------------------


def _waits(day: Day) -> Iterator[FigurePart]:
    """Days from a hold to its copy on the hold shelf, of holds filled in the window, where they are fetched."""
    rows = day.rows(
        f"""
        SELECT f.place_id, extract(epoch FROM f.occurred_at - p.occurred_at) / 86400 FROM hold_facts f
        CROSS JOIN LATERAL (SELECT min(occurred_at) AS occurred_at FROM hold_facts p
            WHERE p.hold_id = f.hold_id AND p.type = '{HoldPlaced.type}') p
        WHERE f.type = '{HoldFilled.type}' AND f.occurred_at > :since AND f.occurred_at <= :now
        AND p.occurred_at <= f.occurred_at""",
        since=day.since,
        now=day.now,
    )
    yield from _medians("holds_wait", day, [(place, float(days)) for place, days in rows])


def _in_transit(day: Day) -> Iterator[FigurePart]:
    """Days from a copy's sending to its check-in, of journeys that ended in the window, by destination."""
    rows = day.rows(
        f"""
        SELECT r.place_id, extract(epoch FROM r.occurred_at - s.occurred_at) / 86400 FROM transfer_facts r
        CROSS JOIN LATERAL (SELECT max(occurred_at) AS occurred_at FROM transfer_facts s
            WHERE s.transfer_id = r.transfer_id AND s.type = '{TransferSent.type}' AND s.occurred_at <= r.occurred_at) s
        WHERE r.type = '{TransferReceived.type}' AND r.occurred_at > :since AND r.occurred_at <= :now
        AND s.occurred_at IS NOT NULL""",
        since=day.since,
        now=day.now,
    )
    yield from _medians("in_transit_days", day, [(place, float(days)) for place, days in rows])


def _medians(figure: str, day: Day, rows: Iterable[tuple[str, float]]) -> Iterator[FigurePart]:
    parts: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for place, days in rows:
        if place in day.network.place:
            for key in ((ALL, ""), (TIER, day.network.place[place].tier), (PLACE, place)):
                parts[key].append(days)
    for (by, subject), some in parts.items():
        yield FigurePart(figure, by, subject, median(some), 1.0)


def _moves(day: Day) -> Iterator[FigurePart]:
    """The moves' gain and cost: vans' money and CO2 over the copies that arrived."""
    brought = uplift.measured(day.connection, weeks=day.horizon_weeks, now=day.now)
    if brought:
        yield FigurePart("loans_per_move", ALL, "", brought.a_move, 1.0)
        yield FigurePart("loans_per_move", "half_width", "", brought.half_width, 1.0)
    ((arrived,),) = day.rows(
        f"SELECT count(*) FROM transfers WHERE status = '{TransferState.RECEIVED}'"
        " AND changed_at > :since AND changed_at <= :now",
        since=day.since,
        now=day.now,
    )
    cents, grams = _driven(day)
    if not arrived:
        return
    for figure, amount in (("cost_per_move", cents / 100), ("co2_per_move", grams / 1000)):
        yield FigurePart(figure, ALL, "", amount, arrived)
        if brought and brought.a_move > 0:
            yield FigurePart(figure.replace("move", "loan"), ALL, "", amount, arrived * brought.a_move)


def _driven(day: Day) -> tuple[float, float]:
    """Return the cost of the window's runs in cents, and their CO2 in grams."""
    rows = day.rows(
        f"SELECT van_id, sum(cost_cents), sum(distance_m) FROM runs WHERE status IN ({listed(SENT_OUT)})"
        " AND departs_at > :since AND departs_at <= :now GROUP BY 1",
        since=day.since,
        now=day.now,
    )
    g_per_km = {van.id: van.co2_g_per_km for van in day.network.vans}
    return sum(float(row[1]) for row in rows), sum(float(row[2]) / 1000 * g_per_km.get(row[0], 0) for row in rows)


def _city_counts(day: Day) -> Iterator[FigurePart]:
    """Visits per head of a year and satisfaction, from the city's own counts."""
    rows = day.rows(
        "SELECT place_id, sum(visits), count(visits), sum(satisfaction * answers) FILTER (WHERE answers > 0), sum(answers)"
        " FROM city_counts WHERE month > :since AND month <= :until GROUP BY 1",
        since=day.network.day_of(day.now - timedelta(days=YEAR_DAYS)),
        until=day.network.day_of(day.now),
    )
    visits = {row[0]: float(row[1]) * 12 / row[2] for row in rows if row[2]}  # places that count in some months alone
    if visits:
        population = {place.id: place.population for place in day.network.places}
        yield from _without_class(
            _by_all("visits_per_head", day, ((place, "", n, population.get(place, 0)) for place, n in visits.items()))
        )
    satisfied = [(row[0], "", float(row[3]), float(row[4])) for row in rows if row[4]]
    yield from _without_class(_by_all("satisfaction", day, satisfied))


def _without_class(parts: Iterable[FigurePart]) -> Iterator[FigurePart]:
    return (part for part in parts if part.by != CLASS)


def _levels(day: Day) -> Iterator[FigurePart]:
    """How far each shelf is out of balance, for the line beside it: copies short (negative) or too many."""
    for place, cls, beyond in day.rows(_LEVELS):
        if beyond and place in day.network.place:
            yield FigurePart("level", PLACE, place, beyond, 1.0, cls)


_LEVELS = f"""
    SELECT t.place_id, t.class, least(coalesce(h.copies, 0) - t.low, 0) + greatest(coalesce(h.copies, 0) - t.high, 0) AS beyond
    FROM targets t LEFT JOIN (SELECT place_id, class, count(*) AS copies FROM copies WHERE state = '{CopyState.ON_SHELF}'
        GROUP BY 1, 2) h ON h.place_id = t.place_id AND h.class = t.class"""
