"""The picture of a backtest: for each group the loans that came for each predicted, with its interval, as plain SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, ROW, TOP, LEFT, RIGHT = 860, 22, 60, 250, 120
MOST = 2.0  # loans that came for each that was told: what lies beyond is drawn at the edge


def picture(outcome: Mapping[str, Any]) -> str:
    """Return the chart."""
    groups: Sequence[Mapping[str, Any]] = outcome["groups"]
    height = TOP + ROW * (len(groups) + 2)
    rows = [part for i, group in enumerate(groups) for part in _row(group, TOP + ROW * i)]
    best = ", ".join(f"{method['method']} {method['deviance']:.4f}" for method in outcome["methods"])
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
            f'<text x="10" y="20" font-size="14">Loans that came for each that was told, {outcome["weeks"]} weeks from '
            f"{escape(str(outcome['cut'])[:10])}</text>",
            f'<text x="10" y="38">mean deviance a title at a place: {escape(best)}</text>',
            *_axis(height),
            *rows,
            "</svg>\n",
        ]
    )


def _x(ratio: float) -> float:
    return LEFT + min(max(ratio, 0.0), MOST) / MOST * (WIDTH - LEFT - RIGHT)


def _axis(height: int) -> list[str]:
    bottom = height - ROW
    lines = []
    for tick in (0.0, 0.5, 1.0, 1.5, 2.0):
        colour = "#333" if tick == 1 else "#ddd"
        lines.append(f'<path d="M{_x(tick):.0f} {TOP - 8}V{bottom}" stroke="{colour}"/>')
        lines.append(f'<text x="{_x(tick):.0f}" y="{bottom + 14}" text-anchor="middle">{tick:g}</text>')
    return lines


def _row(group: Mapping[str, Any], y: int) -> list[str]:
    ratio = group["loans"] / max(group["told"], 1e-9)
    name = escape(f"{group['group']}: {group['name']}")
    low, high, at = _x(group["low"]), _x(group["high"]), _x(ratio)
    return [
        f'<text x="{LEFT - 10}" y="{y + 12}" text-anchor="end">{name}</text>',
        f'<path d="M{low:.1f} {y + 8}H{high:.1f}" stroke="#1f77b4" stroke-width="2"/>',
        f'<circle cx="{at:.1f}" cy="{y + 8}" r="4" fill="#1f77b4"/>',
        f'<text x="{WIDTH - RIGHT + 10}" y="{y + 12}">{group["loans"]:,.0f} of {group["told"]:,.0f}</text>',
    ]
