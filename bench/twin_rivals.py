"""Ours beside rivals with a desk, in every world: the section of docs/twin.md that claims rest on."""

import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from city.scenarios import SCENARIOS

RIVAL_DESKS = ("greedy_desk", "greedy_desk_way_2", "greedy_desk_equity", "esr")
CURVE = ("both_way_2", "both")  # ours at two prices of the way: between them it is read at a rival's kilometres
FREE = "both_no_promises"
POLICIES = ("none", *RIVAL_DESKS, *CURVE, FREE)
CONFIDENCE = 0.95

Line = Mapping[str, Any]
ByPolicy = Mapping[str, Mapping[int, Line]]

INTRODUCTION = """## Beside rivals with a desk

Made by `python -m bench.twin --rivals`; a city of {copies:,} copies, seeds {seeds} ({number}: with so few an interval
is wide), {weeks} weeks, a third of them warm-up, {moves} picks a week for all. The rivals have our demand (each title
at each place, fitted fading, holds) and our worth of another copy. *greedy desk* sends each return where it is worth
most less its way, and picks likewise; it has no prices, no promises and no equity. *way 2* counts the way twice,
*equity* weighs places as we do. *esr* reduces the expected shortage most, less the way (van der Heide and Roodbergen,
EJOR 228, 2013, from its description). *both* keeps special groups' shelves and weighs places; *no promises* does
neither, as the rivals. Changes against *none*, in per cent: loans, in brackets copies' kilometres.

*Ours beside it*: loans of *both* at each rival's kilometres (read between *both* and *both way 2*; at most those of
*both*), seed by seed, beside the rival against which that is least. *Promises*: the loans that they cost, *both* beside
*no promises*.
"""


def report(measured: Sequence[Line]) -> str:
    """Return the section; empty where nothing was measured."""
    if not measured:
        return ""
    seeds = sorted({line["seed"] for line in measured})
    about = measured[0]
    head = INTRODUCTION.format(
        copies=about["copies"],
        seeds=", ".join(map(str, seeds)),
        number=len(seeds),
        weeks=about["weeks"],
        moves=about["middle"],
    )
    worlds = [(s.name, by) for s in SCENARIOS if "none" in (by := _by_policy(measured, s.name))]
    names = POLICIES[1:]
    rows = [_cells("world", *(name.replace("_", " ") for name in names), "seeds"), "|---" * (len(names) + 2) + "|"]
    rows += [_cells(_said(name), *(_gain(by, policy) for policy in names), str(len(by["none"]))) for name, by in worlds]
    lead = [
        _cells(
            "world", "best rival", "ours beside it", "promises", "rooms: ours", "rooms: rival", "Gini: ours", "rival"
        )
    ]
    lead += ["|---" * 8 + "|", *(row for name, by in worlds if (row := _lead(name, by)))]
    return "\n".join([head, *rows, "", *lead, "", _verdict([by for _, by in worlds]), ""])


def _verdict(worlds: Sequence[ByPolicy]) -> str:
    """Say in how many worlds ours leads, with its promises and without them."""
    leads = [min(float(np.mean(found)) for rival in RIVAL_DESKS if (found := at_equal_km(by, rival))) for by in worlds]
    free = [float(np.mean(_changes(by[FREE], by["greedy_desk"], "loans"))) for by in worlds if by.get(FREE)]
    km = [float(np.mean(_changes(by[FREE], by["greedy_desk"], "copy_km"))) for by in worlds if by.get(FREE)]
    least = min(float(np.mean(_changes(by["both"], by["none"], "loans"))) for by in worlds)
    said = (
        f"**With its promises, *both* leads the best rival in {sum(lead > 0 for lead in leads)} of {len(leads)} worlds at equal "
        f"kilometres** ({min(leads):+.1f} to {max(leads):+.1f} %). Without them it lends {min(free):+.1f} to "
        f"{max(free):+.1f} % beside *greedy desk* with {min(km):+.0f} to {max(km):+.0f} % kilometres: no lead. In every "
        f"world *both* lends more than *none* ({least:+.0f} % at least), and so do the greedy rivals: deciding at the desk with "
        "this demand is the gain. Prices and the night buy promises, budgets and a certificate, and no more loans."
    )
    return textwrap.fill(said, 125, break_long_words=False, break_on_hyphens=False)


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _said(name: str) -> str:
    return name.replace("_", " ")


def _by_policy(measured: Sequence[Line], scenario: str) -> dict[str, dict[int, Line]]:
    by: dict[str, dict[int, Line]] = defaultdict(dict)
    for line in measured:
        if line["scenario"] == scenario:
            by[line["policy"]][line["seed"]] = line
    return by


def _changes(of: Mapping[int, Line], base: Mapping[int, Line], metric: str) -> list[float]:
    return [100 * (line[metric] / base[seed][metric] - 1) for seed, line in of.items() if seed in base]


def _gain(by: ByPolicy, policy: str) -> str:
    of = by.get(policy, {})
    if not of:
        return "—"
    loans, km = (np.mean(_changes(of, by["none"], metric)) for metric in ("loans", "copy_km"))
    return f"{loans:+.1f} ({km:+.0f})"


def at_equal_km(by: ByPolicy, rival: str) -> list[float]:
    """Return by how many per cent our loans, at the rival's kilometres or fewer, pass its own, seed by seed."""
    leads = []
    for seed, line in by.get(rival, {}).items():
        ours = sorted((by[p][seed]["copy_km"], by[p][seed]["loans"]) for p in CURVE if seed in by.get(p, {}))
        if len(ours) == len(CURVE) and line["copy_km"] >= ours[0][0]:
            leads.append(100 * (float(np.interp(line["copy_km"], *zip(*ours, strict=True))) / line["loans"] - 1))
    return leads


def _lead(name: str, by: ByPolicy) -> str:
    leads = {rival: found for rival in RIVAL_DESKS if (found := at_equal_km(by, rival))}
    if not leads or not by.get(FREE):
        return ""
    best = min(leads, key=lambda rival: float(np.mean(leads[rival])))
    base, ours = by["none"], by["both"]
    rooms = [f"{np.mean(_changes(of, base, 'rooms_per_head')):+.0f} %" for of in (ours, by[best])]
    gini = [f"{np.mean([of[s]['gini'] - base[s]['gini'] for s in of if s in base]):+.3f}" for of in (ours, by[best])]
    return _cells(_said(name), _said(best), _mean(leads[best]), _mean(_changes(ours, by[FREE], "loans")), *rooms, *gini)


def _mean(values: Sequence[float]) -> str:
    if len(values) < 2:
        return f"{np.mean(values):+.1f} %"
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):+.1f} ± {half:.1f} %"
