"""A judged plan for people and other programs: a table, CSV, GeoJSON, with clock times beside seconds.

The idea: every form is drawn from the same rows, a row for each visit, framed by the run's start and end.
"""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from typing import Any

from solver.check import sites
from solver.problem import Problem
from solver.solution import Evaluation, Visit

HOUR_S, MINUTE_S = 3600, 60


@dataclass(frozen=True, slots=True)
class Row:
    """A visit; times as clock times of the day served and in seconds from its midnight, metres since the visit before."""

    van: str
    number: int
    visit: str
    place: str
    arrive: str
    begin: str
    leave: str
    arrive_s: int
    begin_s: int
    leave_s: int
    wait_s: int
    metres: int
    load: str


def clock(seconds: int) -> str:
    """Return a time of the day served, with seconds only where there are some: "08:30", "26:00", "-01:00"."""
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    hours, rest = divmod(seconds, HOUR_S)
    minutes, rest = divmod(rest, MINUTE_S)
    return f"{sign}{hours:02}:{minutes:02}" + (f":{rest:02}" if rest else "")


def rows(evaluation: Evaluation) -> Iterator[Row]:
    """Yield the visits of all runs, in order."""
    for run in evaluation.runs:
        for number, visit in enumerate(run.visits):
            yield _row(run.van, number, visit)


def _row(van: str, number: int, visit: Visit) -> Row:
    return Row(
        van=van,
        number=number,
        visit=visit.visit,
        place=visit.place or "",
        arrive=clock(visit.arrive_s),
        begin=clock(visit.begin_s),
        leave=clock(visit.leave_s),
        arrive_s=visit.arrive_s,
        begin_s=visit.begin_s,
        leave_s=visit.leave_s,
        wait_s=visit.wait_s,
        metres=visit.metres,
        load=" ".join(f"{amount} {name}" for name, amount in visit.load.items() if amount),
    )


def as_csv(_: Problem, evaluation: Evaluation) -> str:
    """Return the rows as CSV with a head."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows(astuple(row) for row in rows(evaluation))
    return text.getvalue()


SHOWN = ("visit", "place", "arrive", "begin", "leave", "metres", "load")


def as_table(_: Problem, evaluation: Evaluation) -> str:
    """Return a table for a terminal, a block a run, and the work left out below."""
    lines = list[str]()
    all_rows = [[str(getattr(row, name)) for name in SHOWN] for row in rows(evaluation)]
    widths = [max(map(len, column)) for column in zip(SHOWN, *all_rows, strict=True)]
    for run in evaluation.runs:
        lines.append(f"{run.van}  {clock(run.begin_s)}-{clock(run.end_s)}  {run.metres / 1000:.1f} km")
        own, all_rows = all_rows[: len(run.visits)], all_rows[len(run.visits) :]
        lines += ["  " + _line(row, widths) for row in [list(SHOWN), *own]]
    lines += [f"not served: {', '.join(evaluation.unserved)}"] if evaluation.unserved else []
    return "\n".join(lines) + "\n"


def _line(row: list[str], widths: list[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def as_geojson(problem: Problem, evaluation: Evaluation) -> dict[str, Any]:
    """Return a feature collection (RFC 7946): a line each run, a point each visit, where places have coordinates."""
    where = {name: [site.lon, site.lat] for _, name, site in sites(problem) if site.lon is not None}
    features = list[dict[str, Any]]()
    for run in evaluation.runs:
        points = [where[visit.place] for visit in run.visits if visit.place in where]
        if len(points) > 1:
            features.append(_feature("LineString", points, {"van": run.van, "metres": run.metres}))
    for row in rows(evaluation):
        if row.place in where:
            shown = {field.name: getattr(row, field.name) for field in fields(Row)}
            features.append(_feature("Point", where[row.place], shown))
    return {"type": "FeatureCollection", "features": features}


def _feature(kind: str, coordinates: object, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


FORMS: dict[str, Callable[[Problem, Evaluation], object]] = {
    "table": as_table,
    "csv": as_csv,
    "geojson": as_geojson,
}
"""Forms of a plan besides its JSON; text, or an object to be written as JSON."""
