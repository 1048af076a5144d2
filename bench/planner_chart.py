"""Growth of the night's time and memory, from the records of `bench.planner`, as an SVG: whole cities, and each number apart.

    python -m bench.planner_chart [bench/results/planner.jsonl]

A row of charts for cities that grow in everything, one each for copies, titles and places alone. Both axes are logarithmic, so
that proportional growth is a line as steep as the grey one.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from math import log10
from pathlib import Path
from typing import Any, NamedTuple

from bench.snapshots import GROWTH, SIZES

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/pictures/planner-growth.svg"
PANEL, HEIGHT, MARGIN = 380, 300, 56
Line = dict[str, Any]


class Axis(NamedTuple):
    """The axis of a row of charts: the number, its range, and the names of the sizes that are its points."""

    over: str
    least: float
    most: float
    sizes: frozenset[str]


class ChartColumn(NamedTuple):
    """A column of charts: a figure of each line, its range, and its limits by size."""

    name: str
    label: str
    least: float
    most: float
    asked: dict[str, float]


AXES = (
    Axis("copies", 30_000, 20_000_000, frozenset(size.name for size in SIZES)),
    Axis("copies", 30_000, 2_000_000, frozenset(size.name for size in GROWTH["copies"])),
    Axis("titles", 10_000, 400_000, frozenset(size.name for size in GROWTH["titles"])),
    Axis("places", 30, 1_500, frozenset(size.name for size in GROWTH["places"])),
)
FIGURES = (
    ChartColumn("cpu_s", "processor seconds", 0.1, 1_000, {"66k": 1, "1M": 30, "10M": 720}),  # 6 minutes on two cores
    ChartColumn("peak_mb", "memory, MB", 100, 20_000, {"66k": 400, "1M": 1_000, "10M": 8_000}),
)


def latest(lines: Iterable[Line]) -> list[Line]:
    """Return the last plan without a budget of each size, in order of copies, titles and places."""
    plans = {line["size"]: line for line in lines if line["figure"] == "plan" and line["budget"] is None}
    return sorted(plans.values(), key=lambda line: (line["copies"], line["titles"], line["places"]))


def chart(plans: Sequence[Line]) -> str:
    """Draw a row of charts for each axis along which there are at least two points."""
    drawn = [(axis, of) for axis in AXES if len(of := [line for line in plans if line["size"] in axis.sizes]) > 1]
    width, height = PANEL * len(FIGURES), HEIGHT * len(drawn)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{height}" fill="white"/>'
    )
    marks = [
        mark
        for row, (axis, of) in enumerate(drawn)
        for column, figure in enumerate(FIGURES)
        for mark in _panel(axis, figure, of, column * PANEL, row * HEIGHT)
    ]
    return "\n".join([opening, *marks, "</svg>\n"])


def _panel(axis: Axis, figure: ChartColumn, plans: Sequence[Line], left: int, top: int) -> list[str]:
    def x(number: float) -> float:
        return left + MARGIN + _share(number, axis.least, axis.most) * (PANEL - 1.4 * MARGIN)

    def y(value: float) -> float:
        return top + HEIGHT - MARGIN - _share(value, figure.least, figure.most) * (HEIGHT - 1.7 * MARGIN)

    found = [(x(line[axis.over]), y(line[figure.name]), f"{line[figure.name]:,.4g}") for line in plans]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in found)
    dots = [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="#1f77b4"/>' for a, b, _ in found]
    said = [f'<text x="{a - 6:.1f}" y="{b - 8:.1f}" text-anchor="end">{text}</text>' for a, b, text in found]
    return [
        *_axes(axis, figure, x, y),
        _slope(axis, figure, plans[0], x, y),
        f'<polyline points="{path}" fill="none" stroke="#1f77b4"/>',
        *dots,
        *said,
        *_asked(axis, figure, plans, x, y),
    ]


def _asked(axis: Axis, figure: ChartColumn, plans: Sequence[Line], x: Any, y: Any) -> list[str]:
    """Mark the limits, on the chart of whole cities."""
    limits = [(line, figure.asked[line["size"]]) for line in plans if axis is AXES[0] and line["size"] in figure.asked]
    return [
        f'<path d="M{x(line[axis.over]) - 9:.1f} {y(limit):.1f}h18" stroke="#d62728" stroke-width="2"/>'
        for line, limit in limits
    ]


def _slope(axis: Axis, figure: ChartColumn, first: Line, x: Any, y: Any) -> str:
    each = first[figure.name] / first[axis.over]
    ends = [(n, n * each) for n in (max(axis.least, figure.least / each), min(axis.most, figure.most / each))]
    (x0, y0), (x1, y1) = ((x(number), y(value)) for number, value in ends)
    return f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="#bbb" stroke-dasharray="4 4"/>'


def _share(value: float, least: float, most: float) -> float:
    return log10(value / least) / log10(most / least)


def _axes(axis: Axis, figure: ChartColumn, x: Any, y: Any) -> list[str]:
    bottom, left, right = y(figure.least), x(axis.least), x(axis.most)
    found = [f'<path d="M{left:.0f} {y(figure.most):.0f}V{bottom:.0f}H{right:.0f}" fill="none" stroke="#333"/>']
    found += [
        f'<text x="{x(number):.0f}" y="{bottom + 18:.0f}" text-anchor="middle">{number:,}</text>'
        for number in (10**power for power in range(1, 8))
        if axis.least <= number <= axis.most
    ]
    powers = (10**power for power in range(-1, 5))
    found += [
        f'<text x="{left - 6:.0f}" y="{y(value) + 4:.0f}" text-anchor="end">{value:,g}</text>'
        for value in powers
        if figure.least <= value <= figure.most
    ]
    of = "whole cities, red: asked" if axis is AXES[0] else f"{axis.over} alone"
    words = f"{figure.label} over {axis.over} ({of})"
    return [*found, f'<text x="{left:.0f}" y="{y(figure.most) - 14:.0f}">{words}</text>']


def main() -> None:
    """Draw the recorded figures."""
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "bench/results/planner.jsonl"
    plans = latest(json.loads(line) for line in results.read_text(encoding="utf-8").splitlines())
    PICTURE.write_text(chart(plans), encoding="utf-8")


if __name__ == "__main__":
    main()
