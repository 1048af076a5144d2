"""An engine's answer read back as people see it: runs of vans, stops at places, crates by name.

The idea: the answer is only an order of visits. Times, loads and costs are taken from `solver.evaluate`, so nothing
reaches people that the independent judge has not worked out itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from rotation.courier.calendar import Calendar
from rotation.courier.crates import Crate
from rotation.courier.problems import Errand, crates_of_visits, place_of
from rotation.facts.lifecycle import LegKind
from solver.evaluate import evaluate
from solver.explain import BrokenRule, Explanation, explain
from solver.problem import Problem
from solver.solution import Cause, Evaluation, RunReport, Solution, Visit

RESCUE = "rescue "  # before a stop's id: its crates, on a van that broke down (`solver.replan.broken_down`)
_FRAMES = ("start:", "end:", "break:", "reload:")  # visits that are no stop of anyone's


@dataclass(frozen=True, slots=True)
class PlannedStop:
    """A visit as people read it; `deliver` and `collect` are crate ids."""

    position: int
    place: str
    arrives_at: datetime
    begins_at: datetime
    departs_at: datetime
    deliver: tuple[str, ...]
    collect: tuple[str, ...]
    load_after_crates: int


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A van's day."""

    id: str
    van: str
    departs_at: datetime
    returns_at: datetime
    distance_m: int
    cost_cents: int
    largest_load_crates: int
    stops: tuple[PlannedStop, ...]


@dataclass(frozen=True, slots=True)
class Unserved:
    """A stop or direct crate in no run, and the crates that wait for another day."""

    visit: str
    place: str
    crates: tuple[str, ...]
    why: dict[str, Any] | None = None  # as `solver.explain` says it: codes and numbers
    copies: int = 0


@dataclass(frozen=True, slots=True)
class HubDay:
    """A hub's day: problem, solution, evaluation, and the runs and crates as people see them."""

    day: date
    hub: str
    problem: Problem
    solution: Solution
    evaluation: Evaluation
    runs: tuple[PlannedRun, ...]
    unserved: tuple[Unserved, ...]
    crates: tuple[Crate, ...]


class PlanRejected(RuntimeError):
    """An engine's plan that breaks a rule: nobody may see it."""


def read_back(
    calendar: Calendar, day: date, hub: str, crates: Sequence[Crate], problem: Problem, solution: Solution
) -> HubDay:
    """Judge a hub's solution and read it back as runs and stops.

    Raises
    ------
    PlanRejected
        When the plan breaks a rule other than leaving a stop out.
    """
    evaluation = evaluate(problem, solution)
    broken = [violation for violation in evaluation.violations if violation.cause is not Cause.UNSERVED]
    if broken:
        raise PlanRejected(f"{hub} {day}: {solution.engine} broke {', '.join(map(str, broken[:3]))}")
    own = tuple(crate for crate in crates if calendar.hub(crate.from_place) == hub)
    return seen_by_people(calendar, day, hub, own, problem, solution, evaluation)


def seen_by_people(
    calendar: Calendar,
    day: date,
    hub: str,
    own: tuple[Crate, ...],
    problem: Problem,
    solution: Solution,
    evaluation: Evaluation,
) -> HubDay:
    """Read a judged solution back as runs and stops, whatever it breaks: people may decide on more than an engine."""
    bags_per_crate = calendar.network.network.bags_per_crate
    visits = _Visits(own, crates_of_visits(own, max(van.crates for van in calendar.vans[hub])), bags_per_crate)
    at = partial(_instant, calendar, day)
    return HubDay(
        day=day,
        hub=hub,
        problem=problem,
        solution=solution,
        evaluation=evaluation,
        runs=tuple(_run(report, day, visits, at) for report in evaluation.runs if any(map(_is_stop, report.visits))),
        unserved=tuple(visits.unserved(why) for why in explain(problem, solution)) if evaluation.unserved else (),
        crates=own,
    )


def _instant(calendar: Calendar, day: date, seconds: int) -> datetime:
    """Return the instant of a second of a day's plan, which may lie in the night after."""
    days, rest = divmod(seconds, 86_400)
    return calendar.network.instant(day + timedelta(days=days), rest)


def _is_stop(visit: Visit) -> bool:
    return not visit.visit.startswith(_FRAMES)


def _run(report: RunReport, day: date, visits: "_Visits", at: Callable[[int], datetime]) -> PlannedRun:
    stops = [visit for visit in report.visits if _is_stop(visit)]
    return PlannedRun(
        id=f"{day:%Y%m%d}-{report.van}",
        van=report.van,
        departs_at=at(report.begin_s),
        returns_at=at(report.end_s),
        distance_m=report.metres,
        cost_cents=report.money.total,
        largest_load_crates=max(visits.load_crates(visit) for visit in report.visits),
        stops=tuple(_stop(position, visit, visits, at) for position, visit in enumerate(stops, 1)),
    )


def _stop(position: int, visit: Visit, visits: "_Visits", at: Callable[[int], datetime]) -> PlannedStop:
    errand = visits.errand(visit.visit)
    return PlannedStop(
        position=position,
        place=errand.place or visit.place or "",
        arrives_at=at(visit.arrive_s),
        begins_at=at(visit.begin_s),
        departs_at=at(visit.leave_s),
        deliver=tuple(crate.id for crate in errand.deliver),
        collect=tuple(crate.id for crate in errand.collect),
        load_after_crates=visits.load_crates(visit),
    )


class _Visits:
    """The meaning of a visit's id: a place's errand, or half of a direct crate's way."""

    def __init__(self, crates: Sequence[Crate], errands: dict[str, Errand], bags_per_crate: int) -> None:
        self.direct = {crate.id: crate for crate in crates if crate.kind is LegKind.DIRECT}
        self.errands, self.bags_per_crate = errands, bags_per_crate

    def load_crates(self, visit: Visit) -> int:
        """Return the crates that a van carries after a visit, those with bags in them included."""
        return -(-sum(visit.load.values()) // self.bags_per_crate)

    def errand(self, visit: str) -> Errand:
        """Return the crates that are handed over and taken at a visit."""
        half, _, crate = visit.partition(":")
        if half == "collect" and crate in self.direct:
            return Errand(self.direct[crate].from_place, collect=[self.direct[crate]])
        if half == "deliver" and crate in self.direct:
            return Errand(self.direct[crate].to_place, deliver=[self.direct[crate]])
        if crate.startswith(RESCUE):
            return self._fetched(half, crate.removeprefix(RESCUE))
        return self.errands.get(visit) or Errand(place_of(visit))

    def _fetched(self, half: str, visit: str) -> Errand:
        """Return half of the load that another van fetches from a van that broke down, for a stop."""
        errand = self.errands.get(visit) or Errand(place_of(visit))
        if half == LegKind.COLLECT:
            return Errand("", collect=errand.deliver)
        return Errand(errand.place, deliver=errand.deliver)

    def unserved(self, why: Explanation) -> Unserved:
        """Return the crates that wait where a stop or a direct crate was left out, with the solver's explanation."""
        if why.id in self.direct:
            return Unserved(
                why.id,
                self.direct[why.id].from_place,
                (why.id,),
                _said(why, self.bags_per_crate),
                len(self.direct[why.id].transfers),
            )
        errand = self.errand(f"{LegKind.DELIVER}:{why.id}" if why.id.startswith(RESCUE) else why.id)
        crates = tuple(crate.id for crate in [*errand.deliver, *errand.collect])
        copies = sum(len(crate.transfers) for crate in [*errand.deliver, *errand.collect])
        return Unserved(why.id, errand.place, crates, _said(why, self.bags_per_crate), copies)


def _said(why: Explanation, bags_per_crate: int) -> dict[str, Any]:
    """Return an explanation as codes and numbers: the verdict, and the blocks of the van that comes nearest."""
    blocks = why.best.never or why.best.blocks if why.findings else []
    return {
        "verdict": why.verdict.value,
        "van": why.best.van if why.findings else None,
        "blocks": [
            {"cause": block.cause.value, "amount": _amount(block, bags_per_crate), "unit": block.unit}
            for block in blocks
        ],
    }


def _amount(block: BrokenRule, bags_per_crate: int) -> int:
    """Return an excess as people count it: loads in crates."""
    return -(-block.amount // bags_per_crate) if block.cause is Cause.LOAD else block.amount
