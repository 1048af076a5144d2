"""Distances and driving times from a routing service, where there is one; the network's matrix kept between days.

The idea: a service answers tables of limited size, so the matrix is asked for block by block and put together; whatever
fails is tried again, then told. Straight lines stand in only where the caller says that they may.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np

from solver.check import sites
from solver.problem import LARGEST, Problem, Roads, Travel
from solver.travel import Point, straight_lines

BLOCK = 50  # sources and destinations of one request: OSRM's servers refuse more than 100 places by default
TIMEOUT_S = 10.0  # of one request; a block of 50 by 50 takes a tenth of a second on a city's graph
TRIES = 3  # of one request
PAUSE_S = 0.2  # before the second try; doubled before each next one
BUSY = (408, 429, 500, 502, 503, 504)  # worth trying again

Table = tuple[np.ndarray, np.ndarray]  # metres and seconds, from row to column


class TravelError(RuntimeError):
    """The service gave no table: which one, and why."""


class Source(Protocol):
    """Whatever knows the way: asked for a whole matrix."""

    @property
    def name(self) -> str:
        """What it is called where it fails or stands in."""

    def matrix(self, points: Sequence[Point]) -> Table:
        """Return metres and seconds between all points.

        Raises
        ------
        TravelError
            When it cannot.
        """


@dataclass
class StraightLines:
    """The default: no network needed."""

    roads: Roads = field(default_factory=Roads)
    name: str = "straight lines"

    def matrix(self, points: Sequence[Point]) -> Table:
        return straight_lines(points, self.roads)


@dataclass
class Osrm:
    """OSRM's table service (`/table/v1`), distances included."""

    url: str
    profile: str = "driving"
    timeout_s: float = TIMEOUT_S
    block: int = BLOCK
    name: str = "osrm"

    def matrix(self, points: Sequence[Point]) -> Table:
        with httpx.Client(timeout=self.timeout_s) as client:
            return _in_blocks(points, self.block, lambda rows, columns: self._block(client, rows, columns))

    def _block(self, client: httpx.Client, rows: Sequence[Point], columns: Sequence[Point]) -> Table:
        places = ";".join(f"{lon:.6f},{lat:.6f}" for lat, lon in [*rows, *columns])
        sources = ";".join(map(str, range(len(rows))))
        destinations = ";".join(map(str, range(len(rows), len(rows) + len(columns))))
        query = {"sources": sources, "destinations": destinations, "annotations": "duration,distance"}
        address = f"{self.url.rstrip('/')}/table/v1/{self.profile}/{places}"
        answer = _asked(self.name, lambda: client.get(address, params=query))
        if answer.get("code") != "Ok":
            raise TravelError(f"{self.name}: {answer.get('code')} {answer.get('message', '')}".strip())
        return _whole(self.name, answer.get("distances"), answer.get("durations"), (len(rows), len(columns)))


@dataclass
class Valhalla:
    """Valhalla's matrix service (`/sources_to_targets`)."""

    url: str
    costing: str = "auto"
    timeout_s: float = TIMEOUT_S
    block: int = BLOCK
    name: str = "valhalla"

    def matrix(self, points: Sequence[Point]) -> Table:
        with httpx.Client(timeout=self.timeout_s) as client:
            return _in_blocks(points, self.block, lambda rows, columns: self._block(client, rows, columns))

    def _block(self, client: httpx.Client, rows: Sequence[Point], columns: Sequence[Point]) -> Table:
        asked = {
            "sources": [{"lat": lat, "lon": lon} for lat, lon in rows],
            "targets": [{"lat": lat, "lon": lon} for lat, lon in columns],
            "costing": self.costing,
            "units": "kilometers",
        }
        answer = _asked(self.name, lambda: client.post(f"{self.url.rstrip('/')}/sources_to_targets", json=asked))
        cells = answer.get("sources_to_targets")
        if not isinstance(cells, list):
            raise TravelError(f"{self.name}: {answer.get('error', 'no table in the answer')}")
        kilometres = [[cell.get("distance") for cell in row] for row in cells]
        metres = [[None if way is None else way * 1000 for way in row] for row in kilometres]
        seconds = [[cell.get("time") for cell in row] for row in cells]
        return _whole(self.name, metres, seconds, (len(rows), len(columns)))


@dataclass
class Kept:
    """A source whose last matrix is kept in a file: asked again only for places that are not in it."""

    source: Source
    file: Path

    @property
    def name(self) -> str:
        return self.source.name

    def matrix(self, points: Sequence[Point]) -> Table:
        known, metres, seconds = self._read()
        if not set(points) <= set(known):
            known = list(dict.fromkeys([*points, *known]))
            metres, seconds = self.source.matrix(known)
            self._write(known, metres, seconds)
        at = [known.index(point) for point in points]
        return metres[np.ix_(at, at)], seconds[np.ix_(at, at)]

    def _read(self) -> tuple[list[Point], np.ndarray, np.ndarray]:
        try:
            with np.load(self.file) as kept:
                if str(kept["name"]) == self._title():
                    return [(float(lat), float(lon)) for lat, lon in kept["points"]], kept["metres"], kept["seconds"]
        except (OSError, ValueError, KeyError, EOFError):
            pass  # no file yet, or not one of ours: asked anew, and written over
        nothing = np.zeros((0, 0), dtype=np.int64)
        return [], nothing, nothing

    def _write(self, points: list[Point], metres: np.ndarray, seconds: np.ndarray) -> None:
        part = self.file.with_suffix(".part.npz")
        np.savez_compressed(part, name=self._title(), points=np.array(points), metres=metres, seconds=seconds)
        part.replace(self.file)

    def _title(self) -> str:
        """The source with its settings, so that another profile or speed does not find this one's matrix."""
        settings = {key: str(value) for key, value in vars(self.source).items()}
        return f"{self.name} {hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]}"


def with_travel(problem: Problem, source: Source, *, fall_back: bool = False) -> tuple[Problem, str]:
    """Return the problem with the matrix of a source, and the name of the source that gave it.

    With `fall_back` straight lines stand in for a source that fails; the name says so.

    Raises
    ------
    TravelError
        When the source fails and nothing may stand in for it, or a place has no coordinates.
    """
    located = {name: (site.lat, site.lon) for _, name, site in sites(problem) if site.lat is not None}
    missing = [name for _, name, _ in sites(problem) if name not in located]
    if missing:
        raise TravelError(f"{source.name}: no coordinates of {', '.join(dict.fromkeys(missing))}")
    points = [(float(lat or 0), float(lon or 0)) for lat, lon in located.values()]
    used: Source = source
    try:
        metres, seconds = source.matrix(points)
    except TravelError:
        if not fall_back:
            raise
        used = StraightLines(problem.roads)
        metres, seconds = used.matrix(points)
    travel = Travel(places=list(located), metres=metres, seconds=seconds)
    return problem.model_copy(update={"travel": travel}), used.name


def _in_blocks(points: Sequence[Point], block: int, ask: Callable[[Sequence[Point], Sequence[Point]], Table]) -> Table:
    metres, seconds = (np.zeros((len(points), len(points)), dtype=np.int64) for _ in range(2))
    for rows in _slices(len(points), block):
        for columns in _slices(len(points), block):
            metres[rows, columns], seconds[rows, columns] = ask(points[rows], points[columns])
    return metres, seconds


def _slices(number: int, block: int) -> Iterator[slice]:
    yield from (slice(first, min(first + block, number)) for first in range(0, number, block))


def _asked(name: str, request: Callable[[], httpx.Response]) -> dict[str, Any]:
    """Return the answer's JSON; what may pass by itself is tried again."""
    reason = ""
    for attempt in range(TRIES):
        time.sleep(PAUSE_S * 2 ** (attempt - 1) if attempt else 0)
        try:
            response = request()
        except httpx.TransportError as error:
            reason = f"{type(error).__name__} {error}".strip()
            continue
        if response.status_code not in BUSY:
            return _json(name, response)
        reason = f"answered {response.status_code}"
    raise TravelError(f"{name}: {reason} ({TRIES} tries)")


def _json(name: str, response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError as error:
        raise TravelError(f"{name}: answered {response.status_code} and no JSON") from error
    return answer if isinstance(answer, dict) else {}


def _whole(name: str, metres: Any, seconds: Any, shape: tuple[int, int]) -> Table:
    """Round to whole metres and seconds up; a cell without a number is no way, and is told."""
    tables = []
    for what, cells in (("distance", metres), ("time", seconds)):
        try:
            table = np.array(cells, dtype=float)
        except (TypeError, ValueError) as error:
            raise TravelError(f"{name}: a {what} is no number") from error
        if table.shape != shape:
            raise TravelError(f"{name}: a table of {table.shape} came back, {shape} was asked for")
        bad = np.argwhere(~((table >= 0) & (table <= LARGEST)))
        if len(bad):
            raise TravelError(f"{name}: no {what} from place {bad[0][0]} to place {bad[0][1]} of a block")
        tables.append(np.ceil(table).astype(np.int64))
    return tables[0], tables[1]
