"""How the night's time and memory grow with copies: two small charts from what `bench.planner` recorded, as one SVG.

    python -m bench.planner_chart [bench/results/planner.jsonl]

Both axes are logarithmic, so that growth in proportion is a line as steep as the grey one.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from math import log10
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/pictures/planner-growth.svg"
PANEL, HEIGHT, MARGIN = 380, 300, 56
LEAST_COPIES, MOST_COPIES = 30_000, 20_000_000


class Panel(NamedTuple):
    """One chart: a figure of each line, what its axis is called, its range, and its limits by size as asked."""

    figure: str
    label: str
    least: float
    most: float
    asked: dict[str, float]


PANELS = (
    Panel("cpu_s", "processor seconds", 0.1, 1_000, {"66k": 1, "1M": 30, "10M": 720}),  # 6 minutes on two cores
    Panel("peak_mb", "memory, MB", 100, 20_000, {"66k": 400, "1M": 1_000, "10M": 8_000}),
)
Line = dict[str, Any]


def latest(lines: Iterable[Line]) -> list[Line]:
    """Return the last plan without a budget of each size, in order of copies."""
    plans = {line["size"]: line for line in lines if line["figure"] == "plan" and line["budget"] is None}
    return sorted(plans.values(), key=lambda line: int(line["copies"]))


def chart(plans: Sequence[Line]) -> str:
    """Draw both panels side by side."""
    width = PANEL * len(PANELS)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" font-family="sans-serif" font-size="12">'
        f'<rect width="{width}" height="{HEIGHT}" fill="white"/>'
    )
    drawn = [mark for i, panel in enumerate(PANELS) for mark in _panel(panel, plans, i * PANEL)]
    return "\n".join([opening, *drawn, "</svg>\n"])


def _panel(panel: Panel, plans: Sequence[Line], left: int) -> list[str]:
    def x(copies: float) -> float:
        return left + MARGIN + _share(copies, LEAST_COPIES, MOST_COPIES) * (PANEL - 1.4 * MARGIN)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - _share(value, panel.least, panel.most) * (HEIGHT - 1.7 * MARGIN)

    found = [(x(line["copies"]), y(line[panel.figure]), f"{line[panel.figure]:,.4g}") for line in plans]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in found)
    dots = [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" fill="#1f77b4"/>' for a, b, _ in found]
    said = [f'<text x="{a - 6:.1f}" y="{b - 8:.1f}" text-anchor="end">{text}</text>' for a, b, text in found]
    asked = [
        f'<path d="M{x(line["copies"]) - 9:.1f} {y(panel.asked[line["size"]]):.1f}h18" stroke="#d62728" stroke-width="2"/>'
        for line in plans
        if line["size"] in panel.asked
    ]
    each = plans[0][panel.figure] / plans[0]["copies"]
    ends = [(n, n * each) for n in (max(LEAST_COPIES, panel.least / each), min(MOST_COPIES, panel.most / each))]
    (x0, y0), (x1, y1) = ((x(copies), y(value)) for copies, value in ends)
    slope = f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="#bbb" stroke-dasharray="4 4"/>'
    return [
        *_axes(panel, x, y),
        slope,
        f'<polyline points="{path}" fill="none" stroke="#1f77b4"/>',
        *dots,
        *said,
        *asked,
    ]


def _share(value: float, least: float, most: float) -> float:
    return log10(value / least) / log10(most / least)


def _axes(panel: Panel, x: Any, y: Any) -> list[str]:
    bottom, left, right = y(panel.least), x(LEAST_COPIES), x(MOST_COPIES)
    found = [f'<path d="M{left:.0f} {y(panel.most):.0f}V{bottom:.0f}H{right:.0f}" fill="none" stroke="#333"/>']
    for copies, name in ((100_000, "100 k"), (1_000_000, "1 M"), (10_000_000, "10 M")):
        found.append(f'<text x="{x(copies):.0f}" y="{bottom + 18:.0f}" text-anchor="middle">{name}</text>')
    powers = (10**power for power in range(-1, 5))
    found += [
        f'<text x="{left - 6:.0f}" y="{y(value) + 4:.0f}" text-anchor="end">{value:,g}</text>'
        for value in powers
        if panel.least <= value <= panel.most
    ]
    words = f"{panel.label} over copies; red: asked; grey: in proportion"
    return [*found, f'<text x="{left:.0f}" y="20">{words}</text>']


def main() -> None:
    """Draw what was recorded."""
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "bench/results/planner.jsonl"
    plans = latest(json.loads(line) for line in results.read_text(encoding="utf-8").splitlines())
    PICTURE.write_text(chart(plans), encoding="utf-8")


if __name__ == "__main__":
    main()
