"""From the twin's JSON lines to docs/twin.md: tables with paired intervals, and charts drawn as plain SVG."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bench import twin_rivals
from city.laboratory import POLICIES, SEEDS_TUNED
from city.scenarios import SCENARIOS

DOCS = Path(__file__).parents[1] / "docs"
CONFIDENCE = 0.95
OURS = ("picks", "placement", "both")
LITTLE_GAIN = 0.5  # per cent: multiples of less say nothing
BEST, THAT_MOVE = "both", ("rota", "min_max", "proportional", "greedy")
COLOURS = {
    "none": "#888",
    "floating": "#b59b00",
    "rota": "#8c564b",
    "min_max": "#e377c2",
    "proportional": "#ff7f0e",
    "greedy": "#2ca02c",
    "picks": "#17a2b8",
    "placement": "#1f77b4",
    "both": "#d62728",
    "oracle": "#000",
}
Line = Mapping[str, Any]


def lines(file: Path) -> list[Line]:
    """Return a file's JSON lines; none where it does not exist."""
    return [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def write(results: Path) -> None:
    """Write docs/twin.md and its charts from the measurements: the whole comparison if present, else the small one."""
    whole = lines(results / "twin.jsonl")
    measured = whole or lines(results / "twin-small.jsonl")
    if not measured:
        raise SystemExit("nothing was measured yet: python -m bench.twin --small")
    for metric, file in (("copy_km", "twin-km.svg"), ("staff_minutes", "twin-minutes.svg")):
        (DOCS / file).write_text(frontier(measured, metric), encoding="utf-8")
    (DOCS / "twin.md").write_text(
        report(measured, bool(whole), lines(results / "twin-calibration.jsonl"), lines(results / "twin-rivals.jsonl")),
        encoding="utf-8",
    )


def report(measured: Sequence[Line], whole: bool, calibration: Sequence[Line], rivals: Sequence[Line] = ()) -> str:
    """Return the page."""
    seeds = sorted({line["seed"] for line in measured})
    command = "python -m bench.twin" if whole else "python -m bench.twin --small"
    parts = [
        INTRODUCTION.format(
            command=command,
            copies=measured[0]["copies"],
            seeds=f"{seeds[0]}–{seeds[-1]} ({len(seeds)})",
            tuned=f"{SEEDS_TUNED[0]}–{SEEDS_TUNED[-1]}",
            moves=measured[0]["middle"],
            weeks=measured[0]["weeks"],
        )
    ]
    if rivals:
        parts += [twin_rivals.report(rivals), BEFORE]
    parts.append(_asked(measured))
    parts += [_scenario(s.name, [line for line in measured if line["scenario"] == s.name]) for s in SCENARIOS]
    parts += [
        _curves([line for line in measured if line["scenario"] == "as_found"]),
        _at_equal_km([line for line in measured if line["scenario"] == "as_found"]),
        _calibration(calibration),
        _seconds(measured),
    ]
    return "\n".join(part for part in parts if part)


INTRODUCTION = """# The twin city: what each policy is worth

Made by `{command}`; {copies:,} copies, seeds {seeds}. Parameters were chosen on seeds {tuned}, never on these. Every policy meets
the same readers (one tape a seed); it sees loans, returns and shelves, never readers' fruitless searches. {weeks} weeks,
a third of them warm-up. Changes are against *none* (every copy goes home), paired by seed, with {moves} shelf moves a week
for whoever picks; ± is the half width of the 95 % interval. `city/laboratory.py` defines the columns and the scenarios.

*Kilometres* are copies' kilometres by the hubs, returns home included; a van carries many copies at once, so they compare
policies and do not measure a van's distance.
*Staff minutes*: {{picked}} for a pick, half a minute at each check-in. *The oracle* is the
same night and desk with the true rates instead of observations; its model of rates (title times class at the place) stays, so
it is not an upper bound. *Seeds*: the number of seeds behind a row's mean; with two, an interval says little.
""".replace("{{picked}}", "2.5")


BEFORE = """## The version before, without rivals that have a desk

All that follows was measured with the version before: a lower price of the way for picks, demand by title and class alone,
and fading that was set and not fitted. It is kept until the large city is measured again; claims rest on the section above.
"""

ASKED = (
    ("loans beside the best other", "above 0"),
    ("of *proportional*'s gain", "2, as found"),
    ("of *oracle*'s gain", "0.5"),
    ("km", "below 0, as found"),
    ("rooms per head", "above 0"),
    ("Gini", "no more"),
    ("ping-pong", "below 2 %"),
)


def _asked(measured: Sequence[Line]) -> str:
    """Compare *both* with the targets set before any measurement, a scenario for each row."""
    rows = ["| scenario | " + " | ".join(name for name, _ in ASKED) + " |", "|---" * (len(ASKED) + 1) + "|"]
    rows.append("| **asked** | " + " | ".join(asked for _, asked in ASKED) + " |")
    for scenario in SCENARIOS:
        at = (x for x in measured if x["scenario"] == scenario.name and x["moves_a_week"] == x["middle"])
        by = _by_policy(at)
        if {"none", "proportional", "oracle", BEST} <= by.keys():
            rows.append(f"| {scenario.name.replace('_', ' ')} | " + " | ".join(_seen(by)) + " |")
    return "## Targets of *both*\n\n" + "\n".join(rows) + "\n" if len(rows) > 3 else ""


def _seen(by: Mapping[str, Mapping[int, Line]]) -> Iterable[str]:
    base, ours = by["none"], by[BEST]
    gain = {name: float(np.mean(_change(of, base, "loans"))) for name, of in by.items()}
    rival = _most_loans(by, (name for name in by if name not in (*OURS, "oracle", "none")))
    yield f"{_interval(_change(ours, by[rival], 'loans'))} ({rival.replace('_', ' ')})"
    yield f"{gain[BEST] / gain['proportional']:.1f}" if gain["proportional"] > LITTLE_GAIN else "it gains nothing"
    same_seeds = {seed: line for seed, line in ours.items() if seed in by["oracle"]}
    yield f"{float(np.mean(_change(same_seeds, base, 'loans'))) / gain['oracle']:.2f} (of {len(same_seeds)})"
    yield _interval(_change(ours, base, "copy_km"))
    yield _interval(_change(ours, base, "rooms_per_head"))
    yield f"{np.mean([ours[seed]['gini'] - base[seed]['gini'] for seed in ours if seed in base]):+.3f}"
    yield f"{np.mean([line['ping_pong_share'] for line in ours.values()]):.1%}"


COLUMNS = (
    "loans",
    "rooms per head",
    "unmet",
    "days a hold waits",
    "km",
    "staff minutes",
    "Gini",
    "stale",
    "ping-pong",
    "floors missed",
    "picks",
    "seeds",
)


def _scenario(name: str, measured: Sequence[Line]) -> str:
    at = [line for line in measured if line["moves_a_week"] == line["middle"]]
    by = _by_policy(at)
    if "none" not in by:
        return ""
    head = "| policy | " + " | ".join(COLUMNS) + " |"
    rows = [head, "|---" * (len(COLUMNS) + 1) + "|", *(_row(policy, by) for policy in POLICIES if policy in by)]
    return f"## {name.replace('_', ' ')}\n\n" + "\n".join(rows) + "\n" + _verdict(by)


def _by_policy(measured: Iterable[Line]) -> dict[str, dict[int, Line]]:
    by: dict[str, dict[int, Line]] = defaultdict(dict)
    for line in measured:
        by[line["policy"]][line["seed"]] = line
    return by


def _row(policy: str, by: Mapping[str, Mapping[int, Line]]) -> str:
    of, base = by[policy], by["none"]
    relative = [
        _interval(_change(of, base, name))
        for name in ("loans", "rooms_per_head", "unmet", "hold_days", "copy_km", "staff_minutes")
    ]
    mean = {
        name: np.mean([line[name] for line in of.values()])
        for name in ("gini", "stale_share", "ping_pong_share", "floor_copies_missing", "picks")
    }
    rest = [f"{mean['gini']:.3f}", f"{mean['stale_share']:.1%}", f"{mean['ping_pong_share']:.1%}"]
    counts = [f"{mean['floor_copies_missing']:,.0f}", f"{mean['picks']:,.0f}", str(len(of))]
    first = f"{np.mean([line['loans'] for line in of.values()]):,.0f}" if policy == "none" else relative[0]
    return "| " + " | ".join([policy.replace("_", " "), first, *relative[1:], *rest, *counts]) + " |"


def _change(of: Mapping[int, Line], base: Mapping[int, Line], metric: str) -> list[float]:
    """Return the change in per cent, seed by seed."""
    return [100 * (of[seed][metric] / base[seed][metric] - 1) for seed in of if seed in base and base[seed][metric]]


def half_width(values: Sequence[float]) -> float:
    """Return the half width of the mean's 95 % interval by Student's t; infinite for a single value."""
    if len(values) < 2:
        return float("inf")
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error


def _interval(values: Sequence[float]) -> str:
    if not values or max(map(abs, values)) == 0:
        return "0"
    half = half_width(values)
    return f"{np.mean(values):+.1f} %" if np.isinf(half) else f"{np.mean(values):+.1f} ± {half:.1f} %"


def _most_loans(by: Mapping[str, Mapping[int, Line]], policies: Iterable[str]) -> str:
    return max(policies, key=lambda policy: np.mean([line["loans"] for line in by[policy].values()]))


def _verdict(by: Mapping[str, Mapping[int, Line]]) -> str:
    """Return the targets of our policies, and the results."""
    ours = [policy for policy in OURS if policy in by]
    others = [policy for policy in by if policy not in (*OURS, "oracle", "none")]
    if not ours or not others:
        return ""
    best, rival = _most_loans(by, ours), _most_loans(by, others)
    lead = _change(by[best], by[rival], "loans")
    names = best, rival.replace("_", " ")
    return f"\nBest of ours: *{names[0]}*; best of the others: *{names[1]}*; ours beside it: {_interval(lead)} loans.\n"


def _curves(measured: Sequence[Line]) -> str:
    if len({line["moves_a_week"] for line in measured}) < 2:
        return ""
    rows = ["| policy | moves a week | loans | km | staff minutes | seeds |", "|---|---|---|---|---|---|"]
    seeds = Counter((line["policy"], line["moves_a_week"]) for line in measured)
    for policy, points in _points(measured, "copy_km").items():
        minutes = {moves: x for moves, x, _ in _points(measured, "staff_minutes")[policy]}
        rows += [
            f"| {policy.replace('_', ' ')} | {moves} | {y:+.1f} % | {x:+.1f} % | {minutes[moves]:+.1f} % | "
            f"{seeds[policy, moves]} |"
            for moves, x, y in points
        ]
    charts = "![loans against kilometres](twin-km.svg)\n\n![loans against staff minutes](twin-minutes.svg)\n"
    return "## Over the budget, as found\n\n" + charts + "\n" + "\n".join(rows) + "\n"


def _points(measured: Iterable[Line], metric: str) -> dict[str, list[tuple[int, float, float]]]:
    """Return each policy's (moves, change of the metric, change of loans) in per cent against none."""
    found: dict[tuple[str, int], dict[int, Line]] = defaultdict(dict)
    for line in measured:
        if line["scenario"] == "as_found":
            found[line["policy"], line["moves_a_week"]][line["seed"]] = line
    base = next((of for (policy, _), of in found.items() if policy == "none"), {})
    points: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for (policy, moves), of in sorted(found.items()):
        x, y = _change(of, base, metric), _change(of, base, "loans")
        if x:
            points[policy].append((moves, float(np.mean(x)), float(np.mean(y))))
    return points


def _at_equal_km(measured: Sequence[Line]) -> str:
    """Set ours beside each other policy that moves, seed by seed, at its kilometres or fewer, on our curve over the budget."""
    rows = ["| policy | moves a week | of the seeds | loans of ours beside it |", "|---|---|---|---|"]
    ours = [line for line in measured if line["policy"] == BEST]
    if len({line["moves_a_week"] for line in ours}) < 2:
        return ""
    others = sorted({(line["policy"], line["moves_a_week"]) for line in measured if line["policy"] in THAT_MOVE})
    for policy, moves in others:
        of = {line["seed"]: line for line in measured if (line["policy"], line["moves_a_week"]) == (policy, moves)}
        leads = [lead for line in of.values() if (lead := _lead(line, ours)) is not None]
        said = _interval(leads) if leads else "drives less than ours ever does"
        rows.append(f"| {policy.replace('_', ' ')} | {moves} | {len(leads)} of {len(of)} | {said} |")
    note = "Where a policy drives more than ours at its largest budget, ours is compared at that budget, with fewer kilometres.\n"
    return f"## At equal kilometres, as found: *{BEST}* beside the others\n\n{note}\n" + "\n".join(rows) + "\n"


def _lead(line: Line, ours: Iterable[Line]) -> float | None:
    """Return by how many per cent our loans at a policy's kilometres or fewer pass its own; None where ours drives more."""
    curve = sorted((one["copy_km"], one["loans"]) for one in ours if one["seed"] == line["seed"])
    if not curve or line["copy_km"] < curve[0][0]:
        return None
    loans = np.interp(line["copy_km"], *zip(*curve, strict=True))
    return 100 * (float(loans) / line["loans"] - 1)


WIDTH, HEIGHT, MARGIN = 720, 420, 60


def frontier(measured: Iterable[Line], metric: str) -> str:
    """Return a chart of loans over a cost, a line for each policy and a point for each budget."""
    points = _points(measured, metric)
    xs, ys = ([p[i] for some in points.values() for p in some] or [0.0] for i in (1, 2))
    (x0, x1), (y0, y1) = _span(xs), _span(ys)

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            MARGIN + (x - x0) / (x1 - x0) * (WIDTH - 2.8 * MARGIN),
            HEIGHT - MARGIN - (y - y0) / (y1 - y0) * (HEIGHT - 1.6 * MARGIN),
        )

    marks = [mark for policy, some in sorted(points.items()) for mark in _marks(policy, [at(x, y) for _, x, y in some])]
    label = {"copy_km": "copies' kilometres", "staff_minutes": "staff minutes"}[metric]
    return "\n".join([_OPEN, *_axes(x0, x1, y0, y1, label), *marks, "</svg>\n"])


_OPEN = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">'
    f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.06 * (high - low or 1.0)
    return low - pad, high + pad


def _axes(x0: float, x1: float, y0: float, y1: float, label: str) -> list[str]:
    bottom, right = HEIGHT - MARGIN, WIDTH - 1.8 * MARGIN
    found = [f'<path d="M{MARGIN} {0.6 * MARGIN}V{bottom}H{right}" fill="none" stroke="#333"/>']
    for i in range(6):
        x, y = MARGIN + i / 5 * (right - MARGIN), bottom - i / 5 * (bottom - 0.6 * MARGIN)
        found.append(f'<text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle">{x0 + i / 5 * (x1 - x0):+.0f} %</text>')
        found.append(f'<text x="{MARGIN - 6}" y="{y + 4:.0f}" text-anchor="end">{y0 + i / 5 * (y1 - y0):+.0f} %</text>')
    found.append(
        f'<text x="{(MARGIN + right) / 2:.0f}" y="{HEIGHT - 14}" text-anchor="middle">{label}, against none</text>'
    )
    return [*found, f'<text x="{MARGIN}" y="20">loans, against none</text>']


def _marks(policy: str, at: Sequence[tuple[float, float]]) -> list[str]:
    colour = COLOURS.get(policy, "#444")
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in at]
    x, y = at[-1]
    name = f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{colour}">{policy.replace("_", " ")}</text>'
    return [f'<polyline points="{path}" fill="none" stroke="{colour}"/>', *dots, name]


def _calibration(found: Sequence[Line]) -> str:
    if not found:
        return ""
    names = [name for name in found[0] if name not in ("network", "still_out", "share_by_weekday")]
    head = "| | " + " | ".join(line["network"] for line in found) + " |\n" + "|---" * (len(found) + 1) + "|\n"
    rows = [f"| {name.replace('_', ' ')} | " + " | ".join(f"{line[name]:,}" for line in found) + " |" for name in names]
    rows += [
        f"| still on the way after {day} days | "
        + " | ".join(str(line["still_out"].get(day, "")) for line in found)
        + " |"
        for day in found[0]["still_out"]
    ]
    rows.append(
        "| sent by weekday, Monday first | "
        + " | ".join(" ".join(f"{s:.2f}" for s in line["share_by_weekday"]) for line in found)
        + " |"
    )
    return "## Beside a real network\n\nOne week's shipments.\n\n" + head + "\n".join(rows) + "\n"


def _seconds(measured: Sequence[Line]) -> str:
    spent: dict[str, list[float]] = defaultdict(list)
    for line in measured:
        spent[line["policy"]].append(line["processor_s"])
    rows = [f"| {policy.replace('_', ' ')} | {np.median(seconds):.1f} |" for policy, seconds in spent.items()]
    return "## Processor seconds a run, weekly plans\n\n| policy | median |\n|---|---|\n" + "\n".join(rows) + "\n"
