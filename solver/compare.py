"""Two plans of a day side by side: the changes, and their savings or costs. For review before accepting.

The idea: a visit is defined by its position (van and neighbours) and its time. Every difference between two evaluations is
listed, and the totals are subtracted, second minus first.
"""

from dataclasses import dataclass, fields

from solver.evaluate import evaluate, longest_in_order
from solver.instance import Instance, compiled
from solver.problem import Name, Problem
from solver.solution import Evaluation, Solution, Totals, Visit


@dataclass(frozen=True, slots=True)
class MovedVisit:
    """A visit in both plans. Its van is None where it is not served."""

    visit: Name
    van_before: Name | None
    van_after: Name | None
    later_s: int | None  # difference of its service's begin, second minus first; None where a plan does not serve it
    reordered: bool  # on the same van, but in another order among the visits that stayed on it


@dataclass(frozen=True, slots=True)
class Comparison:
    """The changes of the second plan. Numbers are second minus first; `peak` is the fullest van, by dimension."""

    moved: list[MovedVisit]  # other van, other order, served or dropped
    shifted: list[MovedVisit]  # same place in the order, another time
    cost_cents: int
    money: dict[str, int]
    totals: dict[str, int]
    peak: dict[str, int]
    violations: int


def compare(problem: Problem | Instance, first: Solution, second: Solution) -> Comparison:
    """Compare two plans of a problem."""
    instance = compiled(problem)
    return compare_evaluations(evaluate(instance, first), evaluate(instance, second))


def compare_evaluations(before: Evaluation, after: Evaluation) -> Comparison:
    """Compare two judged plans."""
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


def _changes(before: Evaluation, after: Evaluation) -> list[MovedVisit]:
    was, now = _where(before), _where(after)
    disordered = _disordered(before, after)
    changes = list[MovedVisit]()
    for visit in dict.fromkeys([*was, *now]):
        (van_before, old), (van_after, new) = was.get(visit, (None, None)), now.get(visit, (None, None))
        later_s = new.begin_s - old.begin_s if old and new else None
        changes.append(MovedVisit(visit, van_before, van_after, later_s, visit in disordered))
    return changes


def _where(evaluation: Evaluation) -> dict[Name, tuple[Name, Visit]]:
    """Return van and visit of everything served; starts, ends, breaks and reloads belong to the van, not to the day."""
    own = ("start:", "end:", "break:", "reload:")
    return {
        visit.visit: (run.van, visit)
        for run in evaluation.runs
        for visit in run.visits
        if not visit.visit.startswith(own)
    }


def _disordered(before: Evaluation, after: Evaluation) -> set[Name]:
    """Return the fewest visits that must have moved to explain the new order of the visits that stayed on their van."""
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
