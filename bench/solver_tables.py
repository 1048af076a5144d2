"""The recorded runs as tables in Markdown: our race's cost beside the best peer's of the same turn.

The idea: a turn is one case, limit and seed; only the ratio within it counts. Peers without seeds run once, and stand
beside each of our seeds. Of a run that was made again, the last line holds.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from bench.solver_cases import best_known

OURS, SEEDED, UNSEEDED = "race", ("pyvrp",), ("vroom", "ortools", "vrp_cli")
PEERS = (*SEEDED, *UNSEEDED)
NOT_OURS = ("vrp_cli",)  # to install: only run where named
CLOSE_PCT = 1.0  # of the best known distance, with its vehicles: as good as known
SMALL = ("solomon", "homberger_200", "li_lim_100", "li_lim_200")  # up to 200 orders

Result = dict[str, Any]
Turn = dict[str, Result]  # by engine


def tables(results: Sequence[Result]) -> str:
    """Return all tables."""
    turns = _turns(results)
    parts = [_by_class(turns), _best_known(turns), _each_case(turns)]
    return "\n\n".join("\n".join(lines) for lines in parts if len(lines) > 2)


def _turns(results: Sequence[Result]) -> dict[tuple[str, float, int], Turn]:
    """Return our runs, each with the peers' of its case, limit and seed, or of no seed."""
    found = {_key(one["case"], one["time_s"], one["engine"], one["seed"]): one for one in results}
    return {
        (case, time_s, seed): {
            engine: found[key] for engine in (OURS, *PEERS) if (key := _key(case, time_s, engine, seed)) in found
        }
        for case, time_s, engine_found, seed in found
        if engine_found == OURS
    }


def _key(case: str, time_s: float, engine: str, seed: int) -> tuple[str, float, str, int]:
    return case, time_s, engine, 0 if engine in UNSEEDED else seed


# ---- by class


def _by_class(turns: dict[tuple[str, float, int], Turn]) -> list[str]:
    classes = defaultdict[tuple[str, float], list[Turn]](list)
    for (case, time_s, _), turn in turns.items():
        if len(turn) > 1:
            classes[case.rsplit("/", 1)[0], time_s].append(turn)
    peers = " | ".join(f"beside {peer}" for peer in PEERS)
    head = f"| class | limit | turns | mean beside best peer | worst | {peers} | infeasible (ours, all peers) | processor |"
    order = sorted(classes, key=lambda key: (_by_size(key[0]), key))
    return [
        head,
        "|---" * (7 + len(PEERS)) + "|",
        *(_class_line(name, time_s, classes[name, time_s]) for name, time_s in order),
    ]


def _by_size(name: str) -> list[int]:
    return [int(part) if part.isdigit() else -1 for part in name.split("/")]


def _class_line(name: str, time_s: float, turns: list[Turn]) -> str:
    """Return a row; turns in which no peer has a feasible plan are counted, not compared."""
    bests = [(cost(turn[OURS]), min(cost(turn[peer]) for peer in PEERS if peer in turn)) for turn in turns]
    ratios = [ours / best for ours, best in bests if best < math.inf]
    beside = [
        _percent([cost(turn[OURS]) / cost(turn[peer]) for turn in turns if peer in turn and turn[peer]["feasible"]])
        for peer in PEERS
    ]
    failed = sum(ours == math.inf for ours, _ in bests), sum(best == math.inf for _, best in bests)
    worst = _percent([max(ratios)]) if ratios else "–"
    shares = f"{_processor(turns, OURS)}, {_processor(turns, SEEDED[0])}"
    cells = [
        name,
        f"{time_s:g} s",
        len(turns),
        f"**{_percent(ratios)}**",
        worst,
        *beside,
        f"{failed[0]}, {failed[1]}",
        shares,
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def cost(result: Result) -> float:
    """Return a plan's cost; infinite where it breaks a rule."""
    return float(result["cost"]) if result["feasible"] else math.inf


def _percent(ratios: Sequence[float]) -> str:
    return f"{100 * (statistics.mean(ratios) - 1):+.1f} %" if ratios else "–"


def _processor(turns: Sequence[Turn], engine: str) -> str:
    """Mean share of the cores that an engine had: the machine may have been busy."""
    shares = [
        turn[engine]["cpu_s"] / turn[engine]["wall_s"] / turn[engine]["cores"] for turn in turns if engine in turn
    ]
    return f"{statistics.mean(shares):.2f}" if shares else "–"


# ---- beside the best known


def _best_known(turns: dict[tuple[str, float, int], Turn]) -> list[str]:
    """Return, for each public instance, vehicles and distance: best known, ours and the best peer's, each its best seed."""
    known, runs = best_known(), defaultdict[tuple[str, float], list[Turn]](list)
    for (case, time_s, _), turn in turns.items():
        if case in known:
            runs[case, time_s].append(turn)
    head = "| instance | limit | best known | ours | best peer | ours beside best known |"
    lines = [_known_line(case, time_s, known[case], mine) for (case, time_s), mine in sorted(runs.items())]
    return [head, "|---" * 6 + "|", *lines, *_reached(runs, known)]


def _known_line(case: str, time_s: float, known: dict[str, float], turns: list[Turn]) -> str:
    ours = min((turn[OURS] for turn in turns), key=cost)
    peer = min((one for turn in turns for name, one in turn.items() if name != OURS), key=cost, default=None)
    beside = f"{ours['vehicles'] - known['vehicles']:+.0f} vans, {_further_pct(ours, known):+.1f} %"
    best = f"{known['vehicles']:.0f} / {known['distance']:.1f}"
    return f"| {case} | {time_s:g} s | {best} | {_plan(ours)} | {_plan(peer)} | {beside} |"


def _plan(result: Result | None) -> str:
    feasible = result is not None and result["feasible"]
    return f"{result['vehicles']} / {result['metres'] / 1000:.1f}" if result and feasible else "–"


def _further_pct(result: Result, known: dict[str, float]) -> float:
    return float(100 * (result["metres"] / 1000 / known["distance"] - 1))


def _reached(runs: dict[tuple[str, float], list[Turn]], known: dict[str, dict[str, float]]) -> Iterator[str]:
    """Yield, for each limit, how many instances up to 200 orders have the best known vehicles and nearly their distance."""
    for time_s in sorted({key[1] for key in runs}):
        small = [(case, mine) for (case, at_s), mine in runs.items() if at_s == time_s and case.split("/")[1] in SMALL]
        reached = sum(any(_as_known(turn[OURS], known[case]) for turn in mine) for case, mine in small)
        yield f"\n{reached} of {len(small)} instances up to 200 orders as known after {time_s:g} s."


def _as_known(result: Result, known: dict[str, float]) -> bool:
    few = result["feasible"] and result["vehicles"] <= known["vehicles"]
    return bool(few and _further_pct(result, known) <= CLOSE_PCT)


# ---- each case


def _each_case(turns: dict[tuple[str, float, int], Turn]) -> list[str]:
    """Return every turn of ours with its ratio, a line each."""
    head = "| case | seed | limit | cores | wall | cost | vans | best peer | ratio |"
    lines = [_turn_line(key, turn) for key, turn in sorted(turns.items())]
    return [head, "|---" * 9 + "|", *lines]


def _turn_line(key: tuple[str, float, int], turn: Turn) -> str:
    (case, time_s, seed), ours = key, turn[OURS]
    peers = {name: cost(one) for name, one in turn.items() if name != OURS}
    best = min(peers, key=lambda name: peers[name], default="–")
    ratio = f"{cost(ours) / peers[best]:.4f}" if peers and peers[best] < math.inf else "–"
    told = f"{ours['cost'] / 100:.2f}" if ours["feasible"] else "infeasible"
    cells = [case, seed, f"{time_s:g} s", ours["cores"], f"{ours['wall_s']} s", told, ours["vehicles"], best, ratio]
    return "| " + " | ".join(map(str, cells)) + " |"
