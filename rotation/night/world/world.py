"""The night's world out of the database: copies, their stays on shelves, and who waits, as the arrays of `rebalancing.snapshot`.

Ids stop here: rows are numbered in the order of the ids, and `World` keeps the names. A column comes as an array, in the order
of the movements' primary key, so that a spell and the movement that ended it are neighbours and no window is computed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from rotation.facts.lifecycle import MAY_BE_CANCELLED, OURS, TransferKind, TransferMarkKind, TransferState, listed
from rotation.facts.movements import CopyState
from rotation.network import Network
from rotation.night import floors, requested_sets
from rotation.night.world.places import NOBODY, consent, groups_of_titles, new_stock, places_of, ways
from rotation.night.world.spells import (
    WEEK_S,
    Arrivals,
    Stays,
    arrivals,
    arrived_weeks,
    exposure,
    idle_weeks,
    reservable,
    stays_of,
)
from rotation.night.world.touched_rows import STATES, Fields, Names, Read, Rows, fetched, read
from rotation.rebalancing import snapshot as arrays
from rotation.rebalancing.demand import season_of_week
from rotation.store.desk_answers import AnsweredBy
from rotation.store.traces import TRACES

DAY_S = 86_400.0
SORT_MEMORY_MB = 256  # sorts a million movements without a file
# A copy that a place refused or did not find is asked for again after this long: libraries that trace lost copies look after
# 2, 14 and 30 days, and by the second look most have come back.
REFUSED_REST_DAYS = 14

PLANNED_AS = {
    CopyState.ON_SHELF: arrays.StockState.ON_SHELF,
    CopyState.ON_LOAN: arrays.StockState.ON_LOAN,
    CopyState.ON_HOLD_SHELF: arrays.StockState.RESERVED,
    CopyState.PICKED: arrays.StockState.RESERVED,
    CopyState.IN_TRANSIT: arrays.StockState.IN_TRANSIT,
    CopyState.DAMAGED: arrays.StockState.ABSENT,
    CopyState.MISSING: arrays.StockState.ABSENT,
    CopyState.UNKNOWN: arrays.StockState.ABSENT,
    CopyState.WITHDRAWN: arrays.StockState.ABSENT,
}


@dataclass(frozen=True)
class NightWorld:
    """A night's arrays with their names, and the network's time they stand for."""

    snapshot: arrays.Snapshot
    names: Names
    at: datetime
    read: Read
    season: float = 1.0  # what the coming weeks are to the mean week

    def counted_at(self, copy_id: str, *, otherwise: int) -> int:
        """Return the row of the place whose shelf a copy counts on."""
        row = self.names.copy_row.get(copy_id)
        return otherwise if row is None else int(self.snapshot.copies.place[row])

    def owner_of(self, owner_id: str | None) -> int:
        """Return the row that consent is asked by for an owner's copies."""
        return self.names.owners.index(owner_id) + 1 if owner_id in self.names.owners else NOBODY

    def moved_from(self, copy_id: str, within_weeks: float) -> int:
        """Return the row of the place that a copy was moved from so lately that it must not go back; -1: none."""
        row, copies = self.names.copy_row.get(copy_id), self.snapshot.copies
        if row is None or copies.moved_weeks[row] >= within_weeks:
            return -1
        return int(copies.came_from[row])


def world(
    connection: Connection[Any],
    network: Network,
    at: datetime,
    *,
    history_weeks: int,
    visited: Collection[str],
    loans_per_km: float,
    horizon_weeks: int = 8,
    local_first_days: int = 0,
    last: NightWorld | None = None,
) -> NightWorld:
    """Read the world as it is at the network's time `at`; moves are possible between the places that are `visited`.

    Holds that were placed in the last `local_first_days` are left to their own district.
    A copy that left a place before the history begins counts as never held there: 104 weeks of it tell a title fresh as defined.
    With `last`, an earlier world of the same database and network, only copies touched since are read; the result is the same.
    """
    now_s, day = at.timestamp(), network.day_of(at)
    since_s = round(now_s - history_weeks * WEEK_S, 6)  # PostgreSQL's times are whole microseconds
    with connection.transaction():
        _freshen_statistics(connection)
        connection.execute(f"SET LOCAL work_mem = '{SORT_MEMORY_MB}MB'")
        names, found = read(connection, network, since_s, (last.names, last.read) if last else None)
        titles, listed_rows = listed_titles(connection, found.copies)
        rows = _promised(connection, names, listed_rows)
        stays = stays_of(found.moves, since_s, now_s)
        arrived = arrivals(rows, stays, len(names.places), since_s)
        asked = _sets(connection, names, day)
        cells = _Cells.of(rows, stays, len(names.places))
        came = cells.fresh_since(network.instant(floors.quarter_began(day), 0).timestamp())
        allowed = consent(network)
        way = ways(network, names.places, loans_per_km)
        rows["owner"] = rows["owner"] + 1 if allowed is not None else NOBODY
        copies = _copies(rows, stays, arrived, _moved(connection, names), now_s)
        copies.fixed[_refused(connection, names, now_s)] = True
        resting = _measured(connection, names, now_s - horizon_weeks * WEEK_S)
        # Lent copies keep their wanted places.
        copies.fixed[resting] |= copies.state[resting] == arrays.StockState.ON_SHELF
        holds, local = _holds(connection, now_s - local_first_days * DAY_S)
        snapshot = arrays.Snapshot(
            titles=_titles(network, names, titles),
            exposure=exposure(rows, stays, arrived, now_s),
            reservable=reservable(rows, stays, arrived, len(names.titles), now_s).astype(np.float32),
            left=cells.left(now_s),
            copies=_of_sets(connection, new_stock(network, names, rows, copies), names, visited, day),
            places=places_of(connection, network, names, visited, rows, came, at, way.end),
            lane_cost=way.trunk,
            consent=allowed,
            holds=holds,
            local=local,
            requests=asked.titles,
            guard=_guard(connection, names),
            asked=asked.classes,
        )
    return NightWorld(snapshot, names, at, found, season(stays, since_s, at, horizon_weeks))


GUARD = "loans_guard"  # the name that `rotation.night.loans_guard` keeps its weights under
_GUARD = f"SELECT s.value FROM settings s WHERE s.name = '{GUARD}'"


def _guard(connection: Connection[Any], names: Names) -> arrays.Floats | None:
    """Return the weights that `night.loans_guard` keeps, a place each; None where no loans are promised."""
    row = connection.execute(_GUARD).fetchone()
    if not row or not row[0]:
        return None
    return np.array([row[0].get(place, {}).get("weight", 1.0) for place in names.places], np.float32)


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
    SELECT coalesce(c.row, -1), coalesce(w.row, -1)
    FROM rows_titles r LEFT JOIN rows_classes c ON c.id = r.class LEFT JOIN (
        SELECT title_id, (dense_rank() OVER (ORDER BY volume_of))::int4 AS row FROM titles WHERE volume_of IS NOT NULL) w
        ON w.title_id = r.id
    ORDER BY r.row"""
_TITLE_ROW: Fields = [("class", "<i4"), ("work", "<i4")]

_PROMISED = f"""
    SELECT DISTINCT ON (t.copy_id) t.copy_id, coalesce(p.row, -1)
    FROM transfers t LEFT JOIN rows_places p ON p.id = t.to_place_id
    WHERE t.status IN ({listed(MAY_BE_CANCELLED)}) ORDER BY t.copy_id, t.created_at DESC"""
_PROMISED_ROW: Fields = [("copy", "<i4"), ("to", "<i4")]

# A copy whose move was held back rests like one that was moved, or tomorrow's night would undo the comparison.
_MOVED = f"""
    SELECT DISTINCT ON (t.copy_id) t.copy_id, coalesce(p.row, -1), date_part('epoch', t.changed_at)
    FROM transfers t LEFT JOIN rows_places p ON p.id = t.from_place_id AND t.status <> '{TransferState.HELD_BACK}'
    WHERE (t.status = '{TransferState.RECEIVED}' AND t.kind IN ({listed(OURS)})) OR t.status = '{TransferState.HELD_BACK}'
    ORDER BY t.copy_id, t.changed_at DESC"""
_MOVED_ROW: Fields = [("copy", "<i4"), ("from", "<i4"), ("at_s", "<f8")]

# A place refused these or did not find them, and nothing has been heard of the copy since; or a person keeps them back.
_REFUSED = f"""
    SELECT DISTINCT t.copy_id FROM transfers t JOIN copies c USING (copy_id)
    WHERE t.kind = '{TransferKind.PICK}' AND t.status = '{TransferState.DECLINED}'
      AND t.changed_at > to_timestamp(%s) AND c.occurred_at <= t.changed_at
    UNION SELECT copy_id FROM ({TRACES}) traces
    UNION SELECT copy_id FROM transfer_marks WHERE kind = '{TransferMarkKind.KEPT_BACK}' AND released_at IS NULL"""

# A pick after an answer that is measured would be part of what is measured; copies of both rules rest alike.
_MEASURED = "SELECT DISTINCT copy_id FROM desk_answers WHERE answered_by <> %s AND at > to_timestamp(%s)"

_HOLDS = """
    SELECT t.row, p.row, count(*)::int4, (count(*) FILTER (WHERE h.occurred_at > to_timestamp(%s)))::int4
    FROM holds h JOIN rows_titles t ON t.id = h.title_id JOIN rows_places p ON p.id = h.place_id
    WHERE h.type = 'hold.placed' GROUP BY t.row, p.row ORDER BY t.row, p.row"""
_HOLDS_ROW: Fields = [("title", "<i4"), ("place", "<i4"), ("number", "<i4"), ("young", "<i4")]


def _titles(network: Network, names: Names, told: Rows) -> arrays.Titles:
    groups = groups_of_titles(network, names, told["class"])
    return arrays.Titles.of(np.maximum(told["class"], 0), groups, volume_of=told["work"])


def listed_titles(connection: Connection[Any], copies: Rows) -> tuple[Rows, Rows]:
    """Return the titles' classes and works, and the copies with those of unlisted classes marked."""
    titles = fetched(connection, _TITLES, _TITLE_ROW)
    return titles, _listed(copies, titles["class"])


def _listed(rows: Rows, classes: NDArray[np.int32]) -> Rows:
    """Return the copies with those of titles whose class the network no longer has as unlisted: shown, and not planned with."""
    listed = rows.copy()
    gone = np.append(classes < 0, True)[rows["title"]]
    listed["title"][gone] = -1
    return listed


def _of_copies(connection: Connection[Any], names: Names, query: str, row: Fields) -> Rows:
    """Return a query's rows, whose first column is a copy's id, of the copies that are known."""
    found = connection.execute(query).fetchall()
    known = [(names.copy_row[copy], *rest) for copy, *rest in found if copy in names.copy_row]
    return np.array(known, row)


def _promised(connection: Connection[Any], names: Names, rows: Rows) -> Rows:
    """Return the copies with those on a shelf that are ordered elsewhere as if they were on their way: they count there."""
    promised = _of_copies(connection, names, _PROMISED, _PROMISED_ROW)
    going = promised[rows["state"][promised["copy"]] == STATES.index(CopyState.ON_SHELF)]
    rows["place"][going["copy"]], rows["state"][going["copy"]] = going["to"], STATES.index(CopyState.IN_TRANSIT)
    return rows


def _moved(connection: Connection[Any], names: Names) -> Rows:
    """Return whence and when rotation last moved copies."""
    return _of_copies(connection, names, _MOVED, _MOVED_ROW)


def _refused(connection: Connection[Any], names: Names, now_s: float) -> list[int]:
    """Return the rows of copies that rest because a place refused them or did not find them."""
    refused = connection.execute(_REFUSED, (now_s - REFUSED_REST_DAYS * DAY_S,)).fetchall()
    return [names.copy_row[copy] for (copy,) in refused if copy in names.copy_row]


def _measured(connection: Connection[Any], names: Names, since_s: float) -> list[int]:
    """Return the rows of copies whose last placement is still being measured."""
    measured = connection.execute(_MEASURED, (AnsweredBy.SHADOW, since_s)).fetchall()
    return [names.copy_row[copy] for (copy,) in measured if copy in names.copy_row]


def _copies(rows: Rows, stays: Stays, arrived: Arrivals, moved: Rows, now_s: float) -> arrays.Copies:
    size = len(rows)
    planned = np.array([PLANNED_AS[state] for state in STATES], np.int8)
    moved_weeks, came_from = np.full(size, arrays.NEVER_WEEKS), np.full(size, -1)
    moved_weeks[moved["copy"]] = (now_s - moved["at_s"]) / WEEK_S
    came_from[moved["copy"]] = moved["from"]
    return arrays.Copies.of(
        rows["title"],
        rows["place"],
        planned[rows["state"]],
        owner=rows["owner"],
        fixed=rows["fixed"] != 0,
        moved_weeks=moved_weeks,
        came_from=came_from,
        arrived_weeks=arrived_weeks(rows, stays, arrived, now_s),
        idle_weeks=idle_weeks(stays, size),
    )


# --- Titles at places: what was held when ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cells:
    """A row for each title and place that held it within the history, ascending by `key` = title x places + place."""

    key: NDArray[np.int64]
    first_s: NDArray[np.float64]  # when it came
    last_s: NDArray[np.float64]  # until when a copy was last there; now where one still counts there
    coming: NDArray[np.int64]  # keys of what is on its way
    width: int

    @classmethod
    def of(cls, rows: Rows, stays: Stays, places: int) -> "_Cells":
        """Gather stays of all copies of a title at a place, on the shelf or lent from there."""
        title = rows["title"].astype(np.int64)
        key = title[stays.copy] * places + stays.place
        known = np.flatnonzero((title[stays.copy] >= 0) & (stays.place >= 0) & ~stays.on_the_way)
        order = known[np.argsort(key[known], kind="stable")]
        keys, first = np.unique(key[order], return_index=True)
        begin, end = (np.asarray(x[order], np.float64) for x in (stays.since_s, stays.until_s))
        if len(keys):
            begin, end = np.minimum.reduceat(begin, first), np.maximum.reduceat(end, first)
        on_the_way = (rows["state"] == STATES.index(CopyState.IN_TRANSIT)) & (title >= 0) & (rows["place"] >= 0)
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


def season(stays: Stays, since_s: float, at: datetime, horizon_weeks: int) -> float:
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
    """Return the copies that open sets still lack."""
    asked = np.zeros((len(names.places), len(names.classes)), np.int32)
    pairs: set[tuple[int, int]] = set()
    for one in requested_sets.still_open(connection, day):
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
    placed = requested_sets.placed(connection, day)
    for copy, over in placed:
        i = names.copy_row[copy]
        if not over:
            copies.fixed[i] = True
        elif copies.state[i] == arrays.StockState.ON_SHELF and names.places[copies.place[i]] in visited:
            copies.state[i] = arrays.StockState.HOMELESS
    return copies


def _holds(connection: Connection[Any], young_s: float) -> tuple[arrays.Pairs, arrays.Pairs]:
    """Return how many wait for a title at a place, and how many of them since `young_s`."""
    told = fetched(connection, _HOLDS, _HOLDS_ROW, young_s)
    holds, young = (arrays.Pairs.of(told["title"], told["place"], told[name]) for name in ("number", "young"))
    return holds, young
