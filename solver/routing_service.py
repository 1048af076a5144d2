"""Routing services: tables of driving, the way to the nearest road, and routes.

The idea: three questions, the same to each service. Failures are retried, then raised.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import numpy as np

from solver.problem import LARGEST, Roads
from solver.travel import Point, straight_lines

TIMEOUT_S = 60.0  # of one request; a block of 500 by 500 takes seconds on a city's graph
TRIES = 3  # of one request
PAUSE_S = 0.2  # before the second try; doubled before each next one
BUSY = (408, 429, 500, 502, 503, 504)  # worth trying again
TOO_LONG = (413, 414, 431)  # the request, not the service's state

Table = tuple[np.ndarray, np.ndarray]  # metres and seconds, from row to column; NaN: no way


class TravelError(RuntimeError):
    """The service gave no table: which service, and why."""


class TableTooLarge(TravelError):
    """The service takes no table of that size."""


class NoWay(TravelError):
    """The service refuses a whole table for a place in it that it does not name."""


class TravelSource(Protocol):
    """Anything that provides driving times."""

    @property
    def name(self) -> str:
        """Its name in messages where it fails or stands in."""

    def moved(self, points: Sequence[Point]) -> np.ndarray:
        """Return how far each point is from the road that stands for it, in metres; inf: there is none."""

    def table(self, rows: Sequence[Point], columns: Sequence[Point]) -> Table:
        """Return metres and seconds from each row to each column, in one request.

        Raises
        ------
        TableTooLarge
            When the service takes no request so large.
        NoWay
            When it refuses all for some place.
        TravelError
            When it cannot answer.
        """

    def route(self, points: Sequence[Point]) -> tuple[float, float] | None:
        """Return metres and seconds of a drive through the points in order; None: there is no way."""


@dataclass
class StraightLines:
    """The default: no network needed."""

    roads: Roads = field(default_factory=Roads)
    name: str = "straight lines"

    def moved(self, points: Sequence[Point]) -> np.ndarray:
        return np.zeros(len(points))

    def table(self, rows: Sequence[Point], columns: Sequence[Point]) -> Table:
        metres, seconds = straight_lines([*rows, *columns], self.roads)
        part = np.ix_(range(len(rows)), range(len(rows), len(rows) + len(columns)))
        return metres[part].astype(float), seconds[part].astype(float)

    def route(self, points: Sequence[Point]) -> tuple[float, float] | None:
        metres, seconds = self.table(points[:-1], points[1:])
        return float(np.trace(metres)), float(np.trace(seconds))


@dataclass
class Osrm:
    """OSRM's table, nearest and route services."""

    url: str
    profile: str = "driving"
    timeout_s: float = TIMEOUT_S
    name: str = "osrm"

    def moved(self, points: Sequence[Point]) -> np.ndarray:
        found = [self._get("nearest", [point], number="1") for point in points]
        return np.array([one["waypoints"][0]["distance"] if one.get("waypoints") else np.inf for one in found])

    def table(self, rows: Sequence[Point], columns: Sequence[Point]) -> Table:
        numbers = ";".join(map(str, range(len(rows)))), ";".join(map(str, range(len(rows), len(rows) + len(columns))))
        query = {"sources": numbers[0], "destinations": numbers[1], "annotations": "duration,distance"}
        answer = self._get("table", [*rows, *columns], **query)
        return _whole(self.name, answer.get("distances"), answer.get("durations"), (len(rows), len(columns)))

    def route(self, points: Sequence[Point]) -> tuple[float, float] | None:
        answer = self._get("route", points, overview="false")
        return (answer["routes"][0]["distance"], answer["routes"][0]["duration"]) if answer.get("routes") else None

    def _get(self, service: str, points: Sequence[Point], **query: str) -> dict[str, Any]:
        places = ";".join(f"{lon:.6f},{lat:.6f}" for lat, lon in points)
        address = f"{self.url.rstrip('/')}/{service}/v1/{self.profile}/{places}"
        answer = _asked(self.name, lambda: httpx.get(address, params=query, timeout=self.timeout_s))
        code = answer.get("code")
        if code == "TooBig":
            raise TableTooLarge(f"{self.name}: {answer.get('message', code)}")
        if code not in ("Ok", "NoRoute", "NoSegment"):
            raise TravelError(f"{self.name}: {code} {answer.get('message', '')}".strip())
        return answer


@dataclass
class Valhalla:
    """Valhalla's matrix, locate and route services."""

    # Of answers: a place without a road, places that no road joins, farther apart than the service looks.
    NO_WAY = (154, 170, 171, 442)
    TOO_MANY = (150, 157)

    url: str
    costing: str = "auto"
    timeout_s: float = TIMEOUT_S
    name: str = "valhalla"

    def moved(self, points: Sequence[Point]) -> np.ndarray:
        answer = self._post("locate", {"locations": [_at(point) for point in points], "verbose": True})
        located = answer.get("list") or []
        return np.array([min((edge["distance"] for edge in one.get("edges") or ()), default=np.inf) for one in located])

    def table(self, rows: Sequence[Point], columns: Sequence[Point]) -> Table:
        asked = {
            "sources": [_at(point) for point in rows],
            "targets": [_at(point) for point in columns],
            "units": "kilometers",
        }
        answer = self._post("sources_to_targets", asked)
        cells = answer.get("sources_to_targets")
        if (
            cells is None and "error" in answer
        ):  # refused whole, without a name: the caller asks for parts until the place is found
            raise NoWay(f"{self.name}: {answer.get('error')}")
        if not isinstance(cells, list):
            raise TravelError(f"{self.name}: no table in the answer")
        kilometres = [[cell.get("distance") for cell in row] for row in cells]
        metres = [[None if way is None else way * 1000 for way in row] for row in kilometres]
        seconds = [[cell.get("time") for cell in row] for row in cells]
        return _whole(self.name, metres, seconds, (len(rows), len(columns)))

    def route(self, points: Sequence[Point]) -> tuple[float, float] | None:
        through = [_at(point) | {"type": "break"} for point in points]
        trip = self._post("route", {"locations": through, "units": "kilometers"}).get("trip")
        return (trip["summary"]["length"] * 1000, trip["summary"]["time"]) if trip else None

    def _post(self, service: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the answer; where there is no way, or the request is too large, the error with its code."""
        address, body = f"{self.url.rstrip('/')}/{service}", asked | {"costing": self.costing}
        answer = _asked(self.name, lambda: httpx.post(address, json=body, timeout=self.timeout_s))
        code = answer.get("error_code")
        if code is not None and code not in (*self.NO_WAY, *self.TOO_MANY):
            raise TravelError(f"{self.name}: {answer.get('error', code)}")
        if code in self.TOO_MANY:
            raise TableTooLarge(f"{self.name}: {answer.get('error')}")
        return answer


def _at(point: Point) -> dict[str, float]:
    return {"lat": point[0], "lon": point[1]}


# --- Requests ----------------------------------------------------------------------------------------------------------


def _asked(name: str, request: Callable[[], httpx.Response]) -> dict[str, Any]:
    """Return the answer's JSON, a list as its `list`; temporary failures are retried."""
    reason = ""
    for attempt in range(TRIES):
        time.sleep(PAUSE_S * 2 ** (attempt - 1) if attempt else 0)
        try:
            response = request()
        except httpx.TransportError as error:
            reason = f"{type(error).__name__} {error}".strip()
            continue
        if response.status_code in TOO_LONG:
            raise TableTooLarge(f"{name}: answered {response.status_code}")
        if response.status_code not in BUSY:
            return _json(name, response)
        reason = f"answered {response.status_code}"
    raise TravelError(f"{name}: {reason} ({TRIES} tries)")


def _json(name: str, response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError as error:
        raise TravelError(f"{name}: answered {response.status_code} and no JSON") from error
    return answer if isinstance(answer, dict) else {"list": answer}


def _whole(name: str, metres: Any, seconds: Any, shape: tuple[int, int]) -> Table:
    """Return both tables, NaN for a null; raise TravelError for a cell that is no number of ours."""
    tables = []
    for what, cells in (("distance", metres), ("time", seconds)):
        try:
            table = np.array(cells, dtype=float)
        except (TypeError, ValueError) as error:
            raise TravelError(f"{name}: a {what} is no number") from error
        if table.shape != shape:
            raise TravelError(f"{name}: a table of {table.shape} came back, {shape} was asked for")
        bad = np.argwhere((table < 0) | (table > LARGEST))
        if len(bad):
            raise TravelError(
                f"{name}: {what} {table[tuple(bad[0])]} from place {bad[0][0]} to place {bad[0][1]} of a block"
            )
        tables.append(table)
    return tables[0], tables[1]
