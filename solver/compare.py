"""Two plans of one day side by side: what moves, and what it saves or costs. For what-if before accepting.

The idea: a visit is where it is (van and neighbours) and when; whatever differs between two evaluations is listed, and the
totals are subtracted, second minus first.
"""

from dataclasses import dataclass, fields

from solver.evaluate import evaluate, longest_in_order
from solver.instance import Instance, compiled
from solver.problem import Name, Problem
from solver.solution import Evaluation, Solution, Totals, Visit


@dataclass(frozen=True, slots=True)
class Moved:
    """One visit in both plans. Its van is None where it is not served."""

    visit: Name
    van_before: Name | None
    van_after: Name | None
    later_s: int | None  # its service begins so much later in the second; None where one plan does not serve it
    reordered: bool  # on the same van, but in another order among those that stayed


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the second plan changes. Numbers are second minus first; `peak` is the fullest van, by dimension."""

    moved: list[Moved]  # other van, other order, served or dropped
    shifted: list[Moved]  # same place in the order, another time
    cost_cents: int
    money: dict[str, int]
    totals: dict[str, int]
    peak: dict[str, int]
    violations: int


def compare(problem: Problem | Instance, first: Solution, second: Solution) -> Comparison:
    """Compare two plans of one problem."""
    instance = compiled(problem)
    return compare_evaluations(evaluate(instance, first), evaluate(instance, second))


def compare_evaluations(before: Evaluation, after: Evaluation) -> Comparison:
    """Compare two plans that were judged."""
    changes = _changes(before, after)
    peaks = _peaks(before), _peaks(after)
    return Comparison(
        moved=[one for one in changes if one.van_before != one.van_after or one.reordered],
        shifted=[one for one in changes if one.van_before == one.van_after and not one.reordered and one.later_s],
        cost_cents=after.cost_cents - before.cost_cents,
        money={
            one.name: getattr(after.money, one.name) - getattr(before.money, one.name) for one in fields(after.money)
        },
        totals={one.name: getattr(after.totals, one.name) - getattr(before.totals, one.name) for one in fields(Totals)},
        peak={name: peaks[1].get(name, 0) - peaks[0].get(name, 0) for name in dict.fromkeys([*peaks[0], *peaks[1]])},
        violations=len(after.violations) - len(before.violations),
    )


def _changes(before: Evaluation, after: Evaluation) -> list[Moved]:
    was, now = _where(before), _where(after)
    disordered = _disordered(before, after)
    changes = list[Moved]()
    for visit in dict.fromkeys([*was, *now]):
        (van_before, old), (van_after, new) = was.get(visit, (None, None)), now.get(visit, (None, None))
        later_s = new.begin_s - old.begin_s if old and new else None
        changes.append(Moved(visit, van_before, van_after, later_s, visit in disordered))
    return changes


def _where(evaluation: Evaluation) -> dict[Name, tuple[Name, Visit]]:
    """Return van and visit of everything served; starts, ends, breaks and reloads are of the van, not of the day."""
    own = ("start:", "end:", "break:", "reload:")
    return {
        visit.visit: (run.van, visit)
        for run in evaluation.runs
        for visit in run.visits
        if not visit.visit.startswith(own)
    }


def _disordered(before: Evaluation, after: Evaluation) -> set[Name]:
    """Return the fewest visits that must have moved for the order of those that stayed on their van to be what it is."""
    was, disordered = _where(before), set[Name]()
    position = {visit.visit: at for run in before.runs for at, visit in enumerate(run.visits)}
    for run in after.runs:
        stayed = [one.visit for one in run.visits if one.visit in was and was[one.visit][0] == run.van]
        kept = longest_in_order([position[visit] for visit in stayed])
        disordered |= {visit for at, visit in enumerate(stayed) if at not in kept}
    return disordered


def _peaks(evaluation: Evaluation) -> dict[str, int]:
    peaks = dict[str, int]()
    for run in evaluation.runs:
        for visit in run.visits:
            for name, load in visit.load.items():
                peaks[name] = max(peaks.get(name, 0), load)
    return peaks
