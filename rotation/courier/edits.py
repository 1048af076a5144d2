"""A person's changes to a hub's plan: each a small fact, applied to the plan in order.

The idea: a draft is a list of edits and no second plan. Undo applies one fewer, a reload applies the same ones again, and the
edits of two people stand in order. No edit is refused for a broken rule: `judged` says by how much, and people decide.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce

from pydantic import BaseModel, ConfigDict, Field

from rotation.facts.lifecycle import LegKind
from solver import replan
from solver.evaluate import evaluate, evaluate_change
from solver.instance import Instance, compiled
from solver.problem import Lock, Problem, Run, Stop
from solver.solution import Evaluation, Solution, Violation

# Visits that are no stop of anyone's: a break, another loading.
RELOAD = "reload:"
FRAMES = ("break:", RELOAD)
# Of a direct crate, as the solver names its two visits.
HALVES = (LegKind.COLLECT.value, LegKind.DELIVER.value)


class EditKind(StrEnum):
    """Changes by a person, or by the search on request."""

    MOVE = "move"
    REMOVE = "remove"
    SWAP_VANS = "swap_vans"
    # From a stop on, to another van, or as another tour of the same van.
    SPLIT = "split"
    START = "start"
    LOCK = "lock"
    UNLOCK = "unlock"
    # What a search found around the changes before it.
    SEARCH = "search"
    BROKEN = "broken"
    LATE = "delayed"
    URGENT = "urgent"


class Edit(BaseModel):
    """A change; which fields count, its kind says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: EditKind
    visit: str = ""
    # The run that it goes to, or is about.
    van: str = ""
    # It comes before this visit; empty: last.
    before: str = ""
    to_van: str = ""
    seconds: int = Field(default=0, ge=0, le=2 * 86_400)
    runs: tuple[Run, ...] = ()
    stop: Stop | None = None


@dataclass(frozen=True)
class ChangedPlan:
    """A hub's plan with some edits applied; a search leaves `locked` visits, and those `touched` by hand, on their vans."""

    problem: Problem
    runs: Mapping[str, Run]
    locked: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()

    @property
    def solution(self) -> Solution:
        """The plan as the solver reads it; vans without visits stay in."""
        return Solution(runs=[run for run in self.runs.values() if run.visits])

    def van_of(self, visit: str) -> str | None:
        """Return the van that a visit is on, None where nobody makes it."""
        return next((van for van, run in self.runs.items() if visit in run.visits), None)

    def visits(self, van: str) -> list[str]:
        """Return a van's visits in order."""
        return list(self.runs[van].visits) if van in self.runs else []

    def with_visits(self, changed: Mapping[str, Sequence[str]]) -> "ChangedPlan":
        """Return the plan with other visits on some vans."""
        runs = dict(self.runs)
        for van, visits in changed.items():
            runs[van] = runs.get(van, Run(van=van)).model_copy(update={"visits": list(visits)})
        return replace(self, runs=runs)


def begun(problem: Problem, solution: Solution, now_s: int | None = None) -> ChangedPlan:
    """Return a plan before any edit; with `now_s`, as it stands at that second of its day, vans under way and visits done."""
    stands = problem if now_s is None else replan.at(problem, solution, now_s)
    return ChangedPlan(stands, {run.van: run for run in solution.runs})


def changed(plan: ChangedPlan, edits: Iterable[Edit]) -> ChangedPlan:
    """Return a plan with edits applied in order."""
    return reduce(lambda one, edit: EDITS[edit.kind](one, edit), edits, plan)


# --- One function for each kind of edit -------------------------------------------------------------------------------


def _move(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    """Bring a visit to a run; both halves of a direct crate change vans together."""
    moving = [edit.visit] if plan.van_of(edit.visit) == edit.van else _both_halves(edit.visit)
    without = _without(plan, moving)
    visits = without.visits(edit.van)
    at = visits.index(edit.before) if edit.before in visits else len(visits)
    placed = without.with_visits({edit.van: [*visits[:at], *moving, *visits[at:]]})
    return replace(placed, touched=plan.touched | set(moving))


def _remove(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    moving = _both_halves(edit.visit)
    left = _without(plan, moving)
    return replace(left, touched=plan.touched - set(moving), locked=plan.locked - set(moving))


def _swap_vans(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    """Exchange the visits of two vans."""
    ours, theirs = plan.visits(edit.van), plan.visits(edit.to_van)
    swapped = plan.with_visits({edit.van: theirs, edit.to_van: ours})
    return replace(swapped, touched=plan.touched | {visit for visit in (*ours, *theirs) if is_stop(visit)})


def _split(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    """Give a run from a stop on to another van, or let its own van load again first; breaks stay with their van."""
    own = plan.van_of(edit.visit)
    if own is None:
        return plan
    visits = plan.visits(own)
    at = visits.index(edit.visit)
    if own == edit.van:
        return _loads_again(plan, own, at) if any(map(is_stop, visits[:at])) else plan
    tail = dict.fromkeys(half for visit in visits[at:] if is_stop(visit) for half in _both_halves(visit))
    moving = [visit for visit in visits if visit in tail]
    kept = [one for n, one in enumerate(visits) if one not in tail and (n < at or not one.startswith(RELOAD))]
    split = plan.with_visits({own: kept, edit.van: [*plan.visits(edit.van), *moving]})
    return replace(split, touched=plan.touched | set(moving))


def _loads_again(plan: ChangedPlan, own: str, at: int) -> ChangedPlan:
    """Let a van load at its depot before the visit at `at`: the night allows that on full days alone, a person on any."""
    visits = plan.visits(own)
    depot = next(van.start for van in plan.problem.vans if van.id == own) or plan.problem.depots[0].id
    toured = [*visits[:at], f"{RELOAD}{depot}", *visits[at:]]
    loads = sum(visit.startswith(RELOAD) for visit in toured)
    vans = [
        van.model_copy(
            update={
                "max_reloads": max(van.max_reloads, loads),
                "reload_depots": [*dict.fromkeys([*van.reload_depots, depot])],
            }
        )
        if van.id == own
        else van
        for van in plan.problem.vans
    ]
    split = replace(plan, problem=plan.problem.model_copy(update={"vans": vans})).with_visits({own: toured})
    return replace(split, touched=plan.touched | {visit for visit in visits[at:] if is_stop(visit)})


def _start(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    run = plan.runs.get(edit.van, Run(van=edit.van))
    return replace(plan, runs={**plan.runs, edit.van: run.model_copy(update={"not_before_s": edit.seconds})})


def _lock(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    return replace(plan, locked=plan.locked | _named(plan, edit))


def _unlock(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    return replace(plan, locked=plan.locked - _named(plan, edit))


def _search(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    """Take a search's runs; vans that it leaves out stay in."""
    empty = {van: Run(van=van) for van in plan.runs}
    return replace(plan, runs={**empty, **{run.van: run for run in edit.runs}})


def _broken(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    """Let a van go no farther: others fetch its load."""
    problem = replan.broken_down(plan.problem, edit.van)
    return replace(plan, problem=problem, runs=_still_valid(problem, plan))


def _late(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    """Let a van be so many seconds behind; a van that has not left leaves that much later."""
    vans = [
        van.model_copy(update=_behind(plan, van.id, edit.seconds)) if van.id == edit.van else van
        for van in plan.problem.vans
    ]
    return replace(plan, problem=plan.problem.model_copy(update={"vans": vans}))


def _behind(plan: ChangedPlan, van_id: str, seconds: int) -> dict[str, object]:
    van = next(van for van in plan.problem.vans if van.id == van_id)
    if van.under_way:
        return {"under_way": van.under_way.model_copy(update={"now_s": van.under_way.now_s + seconds})}
    report = next((report for report in evaluate(plan.problem, plan.solution).runs if report.van == van_id), None)
    leaves_s = (report.begin_s if report else van.shift.from_s) + seconds
    return {"shift": van.shift.model_copy(update={"from_s": min(leaves_s, van.shift.until_s)})}


def _urgent(plan: ChangedPlan, edit: Edit) -> ChangedPlan:
    """Add a stop that nobody serves yet."""
    return replace(plan, problem=replan.urgent(plan.problem, edit.stop)) if edit.stop else plan


EDITS: Mapping[EditKind, Callable[[ChangedPlan, Edit], ChangedPlan]] = {
    EditKind.MOVE: _move,
    EditKind.REMOVE: _remove,
    EditKind.SWAP_VANS: _swap_vans,
    EditKind.SPLIT: _split,
    EditKind.START: _start,
    EditKind.LOCK: _lock,
    EditKind.UNLOCK: _unlock,
    EditKind.SEARCH: _search,
    EditKind.BROKEN: _broken,
    EditKind.LATE: _late,
    EditKind.URGENT: _urgent,
}


def is_stop(visit: str) -> bool:
    """Whether a visit is somebody's stop: no break, no loading."""
    return not visit.startswith(FRAMES)


def _both_halves(visit: str) -> list[str]:
    half, _, crate = visit.partition(":")
    return [f"{one}:{crate}" for one in HALVES] if crate and half in HALVES else [visit]


def _without(plan: ChangedPlan, visits: Sequence[str]) -> ChangedPlan:
    return plan.with_visits({van: [one for one in run.visits if one not in visits] for van, run in plan.runs.items()})


def _named(plan: ChangedPlan, edit: Edit) -> set[str]:
    """Return the visits that a lock is about: one, or all of a run."""
    return {edit.visit} if edit.visit else {visit for visit in plan.visits(edit.van) if is_stop(visit)}


def _still_valid(problem: Problem, plan: ChangedPlan) -> dict[str, Run]:
    return {run.van: run for run in replan.still_valid(problem, plan.solution).runs}


# --- Judging and searching --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlanFigures:
    """A plan's figures: driven metres, seconds at work, cents (without the price of change itself), grams of CO₂."""

    metres: int
    work_s: int
    cost_cents: int
    co2_g: int


@dataclass(frozen=True)
class JudgedChange:
    """Two plans side by side; `broken` are limits that only the second breaks, `solved` those that only the first did."""

    before: Evaluation
    after: Evaluation

    @property
    def broken(self) -> list[Violation]:
        """Rules that the second plan breaks and the first did not, or not so much."""
        return _more(self.after, self.before)

    @property
    def solved(self) -> list[Violation]:
        """Rules that the first plan broke and the second does not, or not so much."""
        return _more(self.before, self.after)


def judged(before: ChangedPlan, after: ChangedPlan) -> JudgedChange:
    """Judge a plan before and after its edits, each by its own problem; most edits leave the problem as it is."""
    was = compiled(before.problem)
    now = was if after.problem is before.problem else compiled(after.problem)
    return JudgedChange(evaluate(was, before.solution), evaluate(now, after.solution))


def figures(of: Evaluation, co2_g_per_km: Mapping[str, int]) -> PlanFigures:
    """Return a plan's figures; `co2_g_per_km` by van."""
    co2_g = sum(run.metres * co2_g_per_km.get(run.van, 0) // 1000 for run in of.runs)
    return PlanFigures(of.totals.metres, of.totals.work_s, of.money.total - of.money.change, co2_g)


def _more(one: Evaluation, other: Evaluation) -> list[Violation]:
    known = {(violation.cause, violation.van, violation.visit): violation.amount for violation in other.violations}
    return [one for one in one.violations if one.amount > known.get((one.cause, one.van, one.visit), 0)]


@dataclass(frozen=True, slots=True)
class MoveChoice:
    """A place in a run where a visit could go: before which visit (empty: last), its number, and the next visit."""

    van: str
    before: str
    position: int
    judged: JudgedChange


def choices(plan: ChangedPlan, visit: str) -> list[MoveChoice]:
    """Return for each van the place where a visit fits best, the cheapest first; its own van's too, if it is planned."""
    instance = compiled(plan.problem)
    now = evaluate(instance, plan.solution)
    best = (_best(plan, instance, now, visit, van.id) for van in plan.problem.vans)
    return sorted((one for one in best if one), key=lambda one: _rank(one.judged.after))


def _best(plan: ChangedPlan, instance: Instance, now: Evaluation, visit: str, van: str) -> MoveChoice | None:
    places = [one for one in plan.visits(van) if one not in _both_halves(visit) and is_stop(one)]
    found = []
    for number, before in enumerate([*places, ""]):
        edit = Edit(kind=EditKind.MOVE, visit=visit, van=van, before=before)
        moved = _move(plan, edit)
        if moved.visits(van) != plan.visits(van):
            found.append(
                MoveChoice(van, before, number + 1, JudgedChange(now, _judged_again(plan, instance, moved, now)))
            )
    return min(found, key=lambda one: _rank(one.judged.after), default=None)


def _judged_again(was: ChangedPlan, instance: Instance, moved: ChangedPlan, now: Evaluation) -> Evaluation:
    touched = [run for van, run in moved.runs.items() if run.visits != was.visits(van)]
    return evaluate_change(instance, now, touched)


def _rank(of: Evaluation) -> tuple[int, int]:
    return of.infeasibility, of.cost_cents


Search = Callable[[Problem, Solution], Solution]


def searched(plan: ChangedPlan, search: Search) -> Edit:
    """Return a search's runs around the changes: visits locked or moved by hand stay on their vans."""
    kept = {van: [one for one in run.visits if one in plan.locked | plan.touched] for van, run in plan.runs.items()}
    locks = [Lock(visits=visits, van=van) for van, visits in kept.items() if visits]
    problem = plan.problem.model_copy(update={"locks": [*plan.problem.locks, *locks]})
    found = search(problem, replan.still_valid(problem, plan.solution))
    return Edit(kind=EditKind.SEARCH, runs=tuple(found.runs))
