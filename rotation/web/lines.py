"""Small charts as SVG paths: a figure's past as a line, shares as bars. Only geometry; the templates draw it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT, EDGE = 120.0, 40.0, 3.0
LEAST_SPAN = 0.12  # of the mean: nothing looks steep that is flat
MOST_POINTS = 60  # more than a pixel or two each nobody sees


@dataclass(frozen=True, slots=True)
class SparkLine:
    """The path, and where it ends."""

    path: str
    x: float
    y: float


def spark(points: Sequence[tuple[date, float]]) -> SparkLine | None:
    """Return a line over days; None with fewer than two points."""
    if len(points) < 2:
        return None
    step = max(1, len(points) // MOST_POINTS)
    some = [*points[::-1][::step]][::-1]  # the last is always among them
    values = [value for _, value in some]
    low, high = min(values), max(values)
    span = max(high - low, LEAST_SPAN * abs(sum(values) / len(values)), 1e-9)
    middle, first, days = (low + high) / 2, some[0][0], max((some[-1][0] - some[0][0]).days, 1)

    def at(day: date, value: float) -> tuple[float, float]:
        x = EDGE + (WIDTH - 2 * EDGE) * (day - first).days / days
        return round(x, 1), round(HEIGHT / 2 - (HEIGHT - 2 * EDGE) * (value - middle) / span, 1)

    places = [at(*point) for point in some]
    return SparkLine("M" + "L".join(f"{x} {y}" for x, y in places), *places[-1])


def together(courses: Sequence[Sequence[tuple[date, float]]]) -> list[str]:
    """Return the paths of several courses over the same days, from zero up to the largest of them all."""
    largest = max((value for course in courses for _, value in course), default=0.0) or 1.0
    return [_path(course, largest) for course in courses]


def _path(course: Sequence[tuple[date, float]], largest: float) -> str:
    step = (WIDTH - 2 * EDGE) / max(len(course) - 1, 1)
    places = [
        (EDGE + step * number, HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * value / largest)
        for number, (_, value) in enumerate(course)
    ]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
