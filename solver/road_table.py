"""The ways between a network's places by a routing service, kept between days.

The idea: the matrix is requested in the largest blocks that the service takes, and only the rows and columns of new places are
requested. A service answers for any place, so each is checked first: one far from every road, or cut off, is named and costs
the others nothing.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from solver.check import sites
from solver.evaluate import evaluate
from solver.instance import Instance, compiled
from solver.problem import Problem, Roads, Run, Travel, Ways
from solver.routing_service import NoWay, StraightLines, TableTooLarge, TravelError, TravelSource
from solver.solution import Solution
from solver.travel import Point, straight_lines

LARGEST_BLOCK, SMALLEST_BLOCK = (
    500,
    10,
)  # sources and destinations of one request; halved where the service takes no more
MOVED_M, REFUSED_M = 300.0, 5_000.0  # from a place to the nearest road: named, and refused
PROBES = 3  # places that a place without any way is tried with by route, before it is called cut off

Say = Callable[[int, int], object]  # cells that are known, of how many


class Driven(NamedTuple):
    """A run's driving by the matrix and by the service's route, where a van does not turn round at a stop."""

    van: str
    table_s: int
    route_s: int


class RoadTable(NamedTuple):
    """Ways between N points, and how far each was moved to its road."""

    points: list[Point]
    moved_m: np.ndarray  # N; inf: no road
    metres: np.ndarray  # N, N; NaN: no way
    seconds: np.ndarray  # N, N


NOTHING = RoadTable([], np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0)))


def road_table(
    source: TravelSource, points: Sequence[Point], known: RoadTable = NOTHING, say: Say | None = None
) -> RoadTable:
    """Return the ways between the points and those that are known; only the rows and columns of new points are requested.

    Raises
    ------
    TravelError
        When the source cannot answer.
    """
    before_us = set(known.points)
    new = [point for point in dict.fromkeys(points) if point not in before_us]
    if not new:
        return known
    everyone, before = [*known.points, *new], len(known.points)
    moved = np.concatenate([known.moved_m, source.moved(new)])
    cells = np.full((2, len(everyone), len(everyone)), np.nan)
    cells[:, :before, :before] = known.metres, known.seconds
    at_road = np.flatnonzero(moved <= REFUSED_M).tolist()
    fresh, old = [at for at in at_road if at >= before], [at for at in at_road if at < before]
    total = len(fresh) * (len(at_road) + len(old))
    asking = _Asking(source, everyone, cells, say or (lambda *_: None), total, LARGEST_BLOCK)
    asking.fill(fresh, at_road)
    asking.fill(old, fresh)
    cells[:, at_road, at_road] = 0
    _by_route(source, everyone, cells, at_road)
    return RoadTable(everyone, moved, *cells)


@dataclass
class _Asking:
    """Requests for parts of a table, as large as the service takes."""

    source: TravelSource
    points: list[Point]
    cells: np.ndarray  # 2, N, N: metres and seconds
    say: Say
    total: int
    block: int
    done: int = 0

    def fill(self, rows: list[int], columns: list[int]) -> None:
        """Request these rows and columns, block by block."""
        at = 0
        while at < len(rows):
            some, across = rows[at : at + self.block], 0
            while across < len(columns):
                others = columns[across : across + self.block]
                self._part(some, others)
                across += len(others)
            at += len(some)

    def _part(self, rows: list[int], columns: list[int]) -> None:
        """Request a part; where it is too large, or some place spoils it, its quarters."""
        try:
            found = self.source.table([self.points[at] for at in rows], [self.points[at] for at in columns])
        except (TableTooLarge, NoWay) as error:
            longest = max(len(rows), len(columns))
            if isinstance(error, TableTooLarge):
                if longest <= SMALLEST_BLOCK:
                    raise
                self.block = min(self.block, max(SMALLEST_BLOCK, longest // 2))
            if longest > 1:
                for some in _halves(rows):
                    for others in _halves(columns):
                        self._part(some, others)
                return
        else:
            self.cells[:, np.array(rows)[:, None], columns] = found
        self.done += len(rows) * len(columns)
        self.say(self.done, self.total)


def _halves(items: list[int]) -> list[list[int]]:
    middle = (len(items) + 1) // 2
    return [part for part in (items[:middle], items[middle:]) if part]


def _by_route(source: TravelSource, points: list[Point], cells: np.ndarray, at_road: list[int]) -> None:
    """Ask route for each pair without a way: it knows some that the table leaves out, such as through streets for residents.

    A place that has no way in a direction at all is tried with a few others only.
    """
    lacking = np.isnan(cells[0][np.ix_(at_road, at_road)])
    alone = lacking.sum(axis=1) >= len(at_road) - 1, lacking.sum(axis=0) >= len(at_road) - 1
    tried = np.zeros((2, len(at_road)), dtype=int)
    for row, column in np.argwhere(lacking).tolist():
        cut = (alone[0][row] and tried[0][row] >= PROBES) or (alone[1][column] and tried[1][column] >= PROBES)
        if cut:
            continue
        way = source.route([points[at_road[row]], points[at_road[column]]])
        if way:
            cells[:, at_road[row], at_road[column]] = way
            alone[0][row] = alone[1][column] = False
        else:
            tried[0][row] += 1
            tried[1][column] += 1


# --- Of places by name -------------------------------------------------------------------------------------------------


class RoadReport(NamedTuple):
    """Where the ways of a matrix come from; places that were moved far to their road (m), and those that have none (why)."""

    name: str
    moved: dict[str, int]
    refused: dict[str, str]

    def lines(self) -> Iterator[str]:
        """Yield a sentence for each place that somebody should look at."""
        for place, metres in self.moved.items():
            yield f"{place}: the nearest road is {metres} m away; are its coordinates right?"
        for place, reason in self.refused.items():
            yield f"{place}: {reason}; straight lines stand in"


def roads_between(
    places: dict[str, Point],
    source: TravelSource,
    *,
    kept: Path | None = None,
    fall_back: Roads | None = None,
    say: Say | None = None,
) -> tuple[Travel, RoadReport]:
    """Return the matrix of these places, and notes on it; `kept` is the file of the network's ways.

    With `fall_back`, straight lines stand in for a source that fails, and for places that no road reaches.

    Raises
    ------
    TravelError
        When the source fails, or names no way to some places, and nothing may stand in.
    """
    try:
        table = (
            _kept_table(source, list(places.values()), kept, say)
            if kept
            else road_table(source, list(places.values()), say=say)
        )
    except TravelError:
        if fall_back is None:
            raise
        return roads_between(places, StraightLines(fall_back))
    number = {point: at for at, point in enumerate(table.points)}
    at = [number[point] for point in places.values()]
    part = np.ix_(at, at)
    metres, seconds, moved = table.metres[part], table.seconds[part], table.moved_m[at]
    refused = _refused(list(places), moved, metres)
    if refused and fall_back is None:
        raise TravelError(f"{source.name}: " + "; ".join(f"{place}: {reason}" for place, reason in refused.items()))
    if refused and fall_back is not None:
        straight = straight_lines(list(places.values()), fall_back)
        metres, seconds = (np.where(np.isnan(a), b, a) for a, b in zip((metres, seconds), straight, strict=True))
    far = {place: round(away) for place, away in zip(places, moved, strict=True) if MOVED_M < away <= REFUSED_M}
    travel = Travel(places=list(places), metres=np.ceil(metres).astype(int), seconds=np.ceil(seconds).astype(int))
    return travel, RoadReport(source.name, far, refused)


def _refused(names: list[str], moved: np.ndarray, metres: np.ndarray) -> dict[str, str]:
    """Return why places have no ways: no road near, or none of those that reach the most others."""
    refused = {
        name: "no road" if np.isinf(away) else f"the nearest road is {away / 1000:.0f} km away"
        for name, away in zip(names, moved, strict=True)
        if away > REFUSED_M
    }
    left = [at for at, name in enumerate(names) if name not in refused]
    while len(left) > 1 and (lacking := np.isnan(metres[np.ix_(left, left)])).any():
        worst = left[int((lacking.sum(axis=0) + lacking.sum(axis=1)).argmax())]
        refused[names[worst]] = "no way to it or from it"
        left.remove(worst)
    return refused


def with_travel(
    problem: Problem,
    source: TravelSource,
    *,
    kind: str | None = None,
    kept: Path | None = None,
    fall_back: bool = False,
    say: Say | None = None,
) -> tuple[Problem, RoadReport]:
    """Return the problem with the matrix of a source, the common one or that of a kind of vehicle, and notes on it.

    Raises
    ------
    TravelError
        When the source fails and nothing may stand in for it, a place has no coordinates, or a kind's matrix is to join no
        common one of the same places.
    """
    located = {
        name: (float(site.lat), float(site.lon or 0)) for _, name, site in sites(problem) if site.lat is not None
    }
    missing = [name for _, name, _ in sites(problem) if name not in located]
    if missing:
        raise TravelError(f"{source.name}: no coordinates of {', '.join(dict.fromkeys(missing))}")
    roads = problem.roads if fall_back else None
    travel, report = roads_between(located, source, kept=kept, fall_back=roads, say=say)
    before = problem.travel if problem.travel and problem.travel.places == travel.places else None
    if kind is not None and before is None:
        raise TravelError(f"{source.name}: the common matrix is needed before that of {kind}")
    kinds = before.kinds if before else {}
    if before and kind is not None:
        kinds, travel = {**kinds, kind: Ways(metres=travel.metres, seconds=travel.seconds)}, before
    return problem.model_copy(update={"travel": travel.model_copy(update={"kinds": kinds})}), report


def driven(source: TravelSource, problem: Problem, plan: Solution) -> list[Driven]:
    """Return for each run its driving by the problem's matrix and by the service's route.

    A matrix starts each drive afresh; on a route a van does not turn round where it stops, so that a route takes longer.

    Raises
    ------
    TravelError
        When the source cannot answer.
    """
    where = {name: (float(site.lat), float(site.lon or 0)) for _, name, site in sites(problem) if site.lat is not None}
    return [_driven_run(source, compiled(problem), where, run) for run in plan.runs if run.visits]


def _driven_run(source: TravelSource, instance: Instance, where: dict[str, Point], run: Run) -> Driven:
    report = evaluate(instance, Solution(runs=[run])).runs[0]
    points = [where[visit.place] for visit in report.visits if visit.place in where]
    stops = [points[0], *(there for here, there in pairwise(points) if here != there)]
    way = source.route(stops) if len(stops) > 1 else (0.0, 0.0)
    if way is None:
        raise TravelError(f"{source.name}: no route for the run of {run.van}")
    return Driven(run.van, report.drive_s, round(way[1]))


# --- Kept --------------------------------------------------------------------------------------------------------------


def _kept_table(source: TravelSource, points: Sequence[Point], file: Path, say: Say | None) -> RoadTable:
    """Return the ways of a network, of which a file has those of yesterday."""
    known = _read(source, file)
    table = road_table(source, points, known, say)
    if table is not known:
        part = file.with_suffix(".part.npz")
        points_of, moved_m, metres, seconds = table
        kept = {"points": np.array(points_of), "moved_m": moved_m, "metres": metres, "seconds": seconds}
        np.savez_compressed(part, allow_pickle=False, name=np.array(_title(source)), **kept)
        part.replace(file)
    return table


def _read(source: TravelSource, file: Path) -> RoadTable:
    try:
        with np.load(file) as kept:
            if str(kept["name"]) == _title(source):
                points = [(float(lat), float(lon)) for lat, lon in kept["points"]]
                return RoadTable(points, kept["moved_m"], kept["metres"], kept["seconds"])
    except (OSError, ValueError, KeyError, EOFError):
        pass  # no file yet, or a foreign one: requested again, and overwritten
    return NOTHING


def _title(source: TravelSource) -> str:
    """Return the source with its settings, so that another profile or speed does not find this matrix."""
    settings = {key: str(value) for key, value in vars(source).items()}
    return f"{source.name} {hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]}"
