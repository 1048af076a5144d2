"""The night's world out of the database: copies, their stays on shelves, and who waits, as the arrays of `rebalancing.snapshot`.

Ids stop here: rows are numbered in the order of the ids, and `World` keeps the names. A column comes as one array, in the order
of the movements' primary key, so that a stay and what ended it are neighbours and no window is computed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from rotation import floors, sets
from rotation.demand import observed, season_of_week
from rotation.movements import State
from rotation.network import Network
from rotation.rebalancing import snapshot as arrays
from rotation.store.columns import STATES, WEEK_S, Fields, Names, Rows, rows_of
from rotation.store.places import NOBODY, consent, groups_of_titles, new_stock, places_of

SORT_MEMORY_MB = 256  # sorts a million movements without a file

PLANNED_AS = {
    State.ON_SHELF: arrays.State.ON_SHELF,
    State.ON_LOAN: arrays.State.ON_LOAN,
    State.ON_HOLD_SHELF: arrays.State.RESERVED,
    State.PICKED: arrays.State.RESERVED,
    State.IN_TRANSIT: arrays.State.IN_TRANSIT,
    State.DAMAGED: arrays.State.ABSENT,
    State.MISSING: arrays.State.ABSENT,
    State.WITHDRAWN: arrays.State.ABSENT,
}


@dataclass(frozen=True)
class World:
    """A night's arrays with their names, and the network's time they stand for."""

    snapshot: arrays.Snapshot
    names: Names
    at: datetime
    season: float = 1.0  # what the coming weeks are to the mean week

    def counted_at(self, copy_id: str, *, otherwise: int) -> int:
        """Return the row of the place whose shelf a copy counts on."""
        row = self._copy_row.get(copy_id)
        return otherwise if row is None else int(self.snapshot.copies.place[row])

    def owner_of(self, owner_id: str | None) -> int:
        """Return the row that consent is asked by for an owner's copies."""
        return self.names.owners.index(owner_id) + 1 if owner_id in self.names.owners else NOBODY

    def moved_from(self, copy_id: str) -> int:
        """Return the row of the place that a copy was moved from so lately that it must not go back; -1: none."""
        row, copies = self._copy_row.get(copy_id), self.snapshot.copies
        if row is None or copies.moved_weeks[row] >= arrays.Settings().ping_pong_weeks:
            return -1
        return int(copies.came_from[row])

    @cached_property
    def _copy_row(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names.copies)}


def world(
    connection: Connection[Any],
    network: Network,
    at: datetime,
    *,
    history_weeks: int,
    visited: Collection[str],
    horizon_weeks: int = 8,
) -> World:
    """Read the world as it is at the network's time `at`; moves are possible between the places that are `visited`.

    What left a place before the history begins counts as never held there: 104 weeks of it tell a title fresh as defined.
    """
    with connection.transaction():
        _freshen_statistics(connection)
        connection.execute(f"SET LOCAL work_mem = '{SORT_MEMORY_MB}MB'")
        names = _names(connection, network)
        _number_the_ids(connection, names)
        now_s, day = at.timestamp(), at.astimezone(network.timezone).date()
        classes = rows_of(connection, _TITLES, _TITLE_ROW)["class"]
        rows = _listed(rows_of(connection, _COPIES, _COPY_ROW), classes)
        since_s = now_s - history_weeks * WEEK_S
        stays = _stays(rows_of(connection, _MOVEMENTS, _MOVEMENT_ROW, since_s), since_s, now_s)
        moved = rows_of(connection, _MOVED, _MOVED_ROW)
        asked = _sets(connection, names, day)
        cells = _Cells.of(rows, stays, len(names.places))
        came = cells.fresh_since(network.instant(floors.quarter_began(day), 0).timestamp())
        allowed = consent(network)
        rows["owner"] = rows["owner"] + 1 if allowed is not None else NOBODY
        copies = _copies(rows, stays, moved, now_s)
        snapshot = arrays.Snapshot(
            titles=arrays.Titles.of(np.maximum(classes, 0), groups_of_titles(network, names, classes)),
            copies=_of_sets(connection, new_stock(network, names, rows, copies), names, visited, day),
            places=places_of(connection, network, names, visited, rows, came, at),
            exposure=_exposure(rows, stays, now_s),
            holds=_holds(connection),
            left=cells.left(now_s),
            requests=asked.titles,
            consent=allowed,
            asked=asked.classes,
        )
    return World(snapshot, names, at, _season(stays, since_s, at, horizon_weeks))


# What has grown by a fifth since PostgreSQL looked: after a flood of history its plans would take hours.
_OUTGROWN = """
    SELECT relname FROM pg_stat_user_tables
    WHERE relname IN ('movements', 'copies', 'titles', 'holds', 'transfers', 'crates')
      AND n_mod_since_analyze > 0.2 * n_live_tup"""


def _freshen_statistics(connection: Connection[Any]) -> None:
    for (table,) in connection.execute(_OUTGROWN).fetchall():
        connection.execute(f"ANALYZE {table}")


# --- Rows as arrays ---------------------------------------------------------------------------------------------------------

_TITLES = """
    SELECT coalesce(c.row, -1) FROM titles t JOIN rows_titles r ON r.id = t.title_id
    LEFT JOIN rows_classes c ON c.id = t.class ORDER BY r.row"""
_TITLE_ROW: Fields = [("class", "<i4")]

# A copy on a shelf that is ordered elsewhere counts there, as if it were on its way.
_COPIES = """
    WITH promised AS (
        SELECT DISTINCT ON (copy_id) copy_id, to_place_id FROM transfers
        WHERE status IN ('proposed', 'asked', 'approved', 'ordered') ORDER BY copy_id, created_at DESC)
    SELECT coalesce(t.row, -1), coalesce(p.row, -1), s.row, coalesce(o.row, -1), c.fixed::int4,
           (c.occurred_at IS NOT DISTINCT FROM c.added_at)::int4, extract(epoch FROM c.occurred_at)::float8
    FROM copies c JOIN rows_copies r ON r.id = c.copy_id
    LEFT JOIN promised m ON m.copy_id = c.copy_id AND c.state = 'on_shelf'
    JOIN rows_states s ON s.id = CASE WHEN m.copy_id IS NOT NULL THEN 'in_transit' ELSE c.state END
    LEFT JOIN rows_titles t ON t.id = c.title_id LEFT JOIN rows_owners o ON o.id = c.owner_id
    LEFT JOIN rows_places p ON p.id = coalesce(m.to_place_id,
        CASE WHEN c.state IN ('in_transit', 'picked') THEN coalesce(c.to_place_id, c.place_id) ELSE c.place_id END)
    ORDER BY r.row"""
_COPY_ROW: Fields = [
    ("title", "<i4"),
    ("place", "<i4"),
    ("state", "<i4"),
    ("owner", "<i4"),
    ("fixed", "<i4"),
    ("unmoved", "<i4"),
    ("at_s", "<f8"),
]

_MOVEMENTS = """
    SELECT r.row, extract(epoch FROM m.occurred_at)::float8, s.row, coalesce(p.row, -1)
    FROM movements m JOIN rows_copies r ON r.id = m.copy_id JOIN rows_states s ON s.id = m.state
    JOIN copies c ON c.copy_id = m.copy_id LEFT JOIN rows_places p ON p.id = m.place_id
    WHERE m.occurred_at >= to_timestamp(%s) OR (m.occurred_at, m.sequence, m.source, m.event_id)
                                             = (c.occurred_at, c.sequence, c.source, c.event_id)
    ORDER BY r.row, m.occurred_at, m.sequence, m.source, m.event_id"""
_MOVEMENT_ROW: Fields = [("copy", "<i4"), ("at_s", "<f8"), ("state", "<i4"), ("place", "<i4")]

# A copy whose move was held back rests like one that was moved, or tomorrow's night would undo the comparison.
_MOVED = """
    SELECT DISTINCT ON (r.row) r.row, coalesce(p.row, -1), extract(epoch FROM t.changed_at)::float8
    FROM transfers t JOIN rows_copies r ON r.id = t.copy_id
    LEFT JOIN rows_places p ON p.id = t.from_place_id AND t.status <> 'held_back'
    WHERE (t.status = 'received' AND t.kind IN ('pick', 'placement')) OR t.status = 'held_back'
    ORDER BY r.row, t.changed_at DESC"""
_MOVED_ROW: Fields = [("copy", "<i4"), ("from", "<i4"), ("at_s", "<f8")]

_HOLDS = """
    SELECT t.row, p.row, count(*)::int4
    FROM holds h JOIN rows_titles t ON t.id = h.title_id JOIN rows_places p ON p.id = h.place_id
    WHERE h.type = 'hold.placed' GROUP BY t.row, p.row ORDER BY t.row, p.row"""
_PAIR_ROW: Fields = [("title", "<i4"), ("place", "<i4"), ("number", "<i4")]


def _listed(rows: Rows, classes: NDArray[np.int32]) -> Rows:
    """Return the copies with those of titles whose class the network no longer has as unlisted: shown, and not planned with."""
    listed = rows.copy()
    gone = np.append(classes < 0, True)[rows["title"]]
    listed["title"][gone] = -1
    return listed


def _names(connection: Connection[Any], network: Network) -> Names:
    def ids(query: str) -> list[str]:
        return [row[0] for row in connection.execute(query)]

    return Names(
        titles=ids('SELECT title_id FROM titles ORDER BY title_id COLLATE "C"'),
        places=sorted(network.place),
        classes=[c.id for c in network.classes],
        copies=ids('SELECT copy_id FROM copies ORDER BY copy_id COLLATE "C"'),
        owners=[owner.id for owner in network.owners],
    )


def _number_the_ids(connection: Connection[Any], names: Names) -> None:
    """Give each id its row, in temporary tables that go with the transaction."""
    tables = {
        "titles": names.titles, "places": names.places, "classes": names.classes, "copies": names.copies,
        "owners": names.owners, "states": STATES,
    }  # fmt: skip
    for name, ids in tables.items():
        connection.execute(f"CREATE TEMP TABLE rows_{name} (id text PRIMARY KEY, row int4 NOT NULL) ON COMMIT DROP")
        with connection.cursor() as cursor, cursor.copy(f"COPY rows_{name} FROM STDIN") as copy:
            for row, one in enumerate(ids):
                copy.write_row((one, row))
        connection.execute(f"ANALYZE rows_{name}")


# --- Stays: from one movement of a copy to its next -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stays:
    """One row a movement: how long it held, and whether a loan ended it. Seconds since 1970."""

    copy: NDArray[np.int32]
    place: NDArray[np.int32]
    since_s: NDArray[np.float64]
    until_s: NDArray[np.float64]
    on_shelf: NDArray[np.bool_]
    lent: NDArray[np.bool_]
    on_the_way: NDArray[np.bool_]


def _stays(moves: Rows, since_s: float, now_s: float) -> _Stays:
    """Pair movements with the next; a copy that has not moved since `since_s` comes with its present stay, cut off there."""
    copy, at_s, state = (np.ascontiguousarray(moves[name]) for name in ("copy", "at_s", "state"))
    last = np.append(copy[1:] != copy[:-1], True) if len(copy) else np.zeros(0, np.bool_)
    until_s = np.where(last, now_s, np.roll(at_s, -1))
    following = np.where(last, -1, np.roll(state, -1))
    return _Stays(
        copy.astype(np.int32), moves["place"].astype(np.int32), np.maximum(at_s, since_s), until_s.astype(np.float64),
        state == STATES.index(State.ON_SHELF), following == STATES.index(State.ON_LOAN),
        state == STATES.index(State.IN_TRANSIT),
    )  # fmt: skip


def _exposure(rows: Rows, stays: _Stays, now_s: float) -> arrays.Exposure:
    """Return loans and shelf-weeks by title and place, of the copies whose title and place are known."""
    title = rows["title"].astype(np.int32)[stays.copy]
    told = stays.on_shelf & (title >= 0) & (stays.place >= 0)
    weeks = (stays.since_s[told] / WEEK_S, stays.until_s[told] / WEEK_S)
    return observed(title[told], stays.place[told], *weeks, stays.lent[told], now_s / WEEK_S)


def _copies(rows: Rows, stays: _Stays, moved: Rows, now_s: float) -> arrays.Copies:
    size = len(rows)
    planned = np.array([PLANNED_AS[state] for state in STATES], np.int8)
    moved_weeks, came_from = np.full(size, arrays.NEVER_WEEKS), np.full(size, -1)
    moved_weeks[moved["copy"]] = (now_s - moved["at_s"]) / WEEK_S
    came_from[moved["copy"]] = moved["from"]
    return arrays.Copies.of(
        rows["title"], rows["place"], planned[rows["state"]], owner=rows["owner"], fixed=rows["fixed"] != 0,
        moved_weeks=moved_weeks, came_from=came_from, arrived_weeks=_arrived_weeks(rows, stays, now_s),
        idle_weeks=_idle_weeks(stays, size),
    )  # fmt: skip


def _arrived_weeks(rows: Rows, stays: _Stays, now_s: float) -> NDArray[np.float64]:
    """Return the weeks since each copy came to its present place: the first stay after its last one elsewhere."""
    here = stays.place == rows["place"].astype(np.int32)[stays.copy]
    starts = np.append(True, (stays.copy[1:] != stays.copy[:-1]) | ~here[:-1])[: len(here)] & here
    since = np.where(np.isin(np.arange(len(rows)), stays.copy), now_s, rows["at_s"].astype(np.float64))
    since[stays.copy[starts]] = stays.since_s[starts]  # in order of time, so the last start stands
    weeks: NDArray[np.float64] = (now_s - since) / WEEK_S
    return weeks


def _idle_weeks(stays: _Stays, size: int) -> NDArray[np.float64]:
    """Return each copy's weeks on shelves since its last loan ended."""
    weeks = np.where(stays.on_shelf, stays.until_s - stays.since_s, 0.0) / WEEK_S
    total = np.cumsum(weeks)
    until_last_loan = np.zeros(size)
    first = np.append(True, stays.copy[1:] != stays.copy[:-1])[: len(weeks)]
    until_last_loan[stays.copy[first]] = (total - weeks)[first]
    until_last_loan[stays.copy[stays.lent]] = total[stays.lent]
    end = np.zeros(size)
    end[stays.copy] = total
    return np.maximum(end - until_last_loan, 0.0)


# --- Titles at places: what was held when ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cells:
    """One row a title and place that held it within the history, ascending by `key` = title x places + place."""

    key: NDArray[np.int64]
    first_s: NDArray[np.float64]  # when it came
    last_s: NDArray[np.float64]  # until when a copy was last there; now where one still counts there
    coming: NDArray[np.int64]  # keys of what is on its way
    width: int

    @classmethod
    def of(cls, rows: Rows, stays: "_Stays", places: int) -> "_Cells":
        """Gather stays of all copies of a title at a place, on the shelf or lent from there."""
        title = rows["title"].astype(np.int64)
        key = title[stays.copy] * places + stays.place
        known = np.flatnonzero((title[stays.copy] >= 0) & (stays.place >= 0) & ~stays.on_the_way)
        order = known[np.argsort(key[known], kind="stable")]
        keys, first = np.unique(key[order], return_index=True)
        begin, end = (np.asarray(x[order], np.float64) for x in (stays.since_s, stays.until_s))
        if len(keys):
            begin, end = np.minimum.reduceat(begin, first), np.maximum.reduceat(end, first)
        on_the_way = (rows["state"] == STATES.index(State.IN_TRANSIT)) & (title >= 0) & (rows["place"] >= 0)
        return cls(keys, begin, end, np.unique(title[on_the_way] * places + rows["place"][on_the_way]), places)

    def fresh_since(self, since_s: float) -> NDArray[np.int64]:
        """Count by place the titles that came since then, or are on their way, and were not there before."""
        came = np.concatenate([self.key[self.first_s >= since_s], np.setdiff1d(self.coming, self.key)])
        return np.bincount(came % max(self.width, 1), minlength=self.width)

    def left(self, now_s: float) -> arrays.Pairs:
        """Return the weeks since the last copy left, where none is left."""
        gone = self.last_s < now_s
        title, place = np.divmod(self.key[gone], max(self.width, 1))
        return arrays.Pairs.of(title, place, (now_s - self.last_s[gone]) / WEEK_S)


def _season(stays: _Stays, since_s: float, at: datetime, horizon_weeks: int) -> float:
    """Compare the weeks ahead with the mean week, by the loans of whole weeks of the history."""
    lent_s = stays.until_s[stays.lent]
    weeks = int((at.timestamp() - since_s) // WEEK_S)
    counted = np.bincount(((lent_s - since_s) // WEEK_S).astype(np.int64), minlength=weeks)[:weeks]
    begun = [at - timedelta(weeks=weeks - week) for week in range(weeks + horizon_weeks)]
    of_year = [day.isocalendar().week for day in begun]
    told = np.flatnonzero(counted)  # a history that begins later has no loans before, and they tell nothing
    first = int(told[0]) if len(told) else weeks
    return season_of_week(counted[first:], of_year[first:weeks], of_year[weeks:])


# --- Sets that were asked for ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sets:
    titles: arrays.Pairs
    classes: arrays.Ints | None  # P x K


def _sets(connection: Connection[Any], names: Names, day: date) -> _Sets:
    """Return what open sets still ask for."""
    asked = np.zeros((len(names.places), len(names.classes)), np.int32)
    pairs: set[tuple[int, int]] = set()
    for one in sets.still_open(connection, day):
        place = names.place_row.get(one.place_id)
        if place is None:
            continue
        pairs |= {(names.title_row[title], place) for title in one.titles or () if title in names.title_row}
        if one.title_class in names.classes:
            asked[place, names.classes.index(one.title_class)] += one.missing
    title, at = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    return _Sets(arrays.Pairs.of(title, at), asked if asked.any() else None)


def _of_sets(
    connection: Connection[Any], copies: arrays.Copies, names: Names, visited: Collection[str], day: date
) -> arrays.Copies:
    """Keep the copies of a set where it stands until its return; then they have no home, once a van can fetch them."""
    placed = sets.placed(connection, day)
    row = {name: i for i, name in enumerate(names.copies)} if placed else {}
    for copy, over in placed:
        i = row[copy]
        if not over:
            copies.fixed[i] = True
        elif copies.state[i] == arrays.State.ON_SHELF and names.places[copies.place[i]] in visited:
            copies.state[i] = arrays.State.HOMELESS
    return copies


def _holds(connection: Connection[Any]) -> arrays.Pairs:
    waiting = rows_of(connection, _HOLDS, _PAIR_ROW)
    return arrays.Pairs.of(waiting["title"], waiting["place"], waiting["number"])
