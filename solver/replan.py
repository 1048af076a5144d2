"""Re-plan a day already under way: executed work stays, the rest changes only as much as the gain justifies.

The idea: replanning is solving another problem. Each function takes a problem and returns a problem in which the
change is a fact: vans are under way, a road is slow, a van stands still, a stop is new, an order is kept.
"""

from collections.abc import Sequence

import numpy as np

from solver.evaluate import evaluate
from solver.instance import Instance, compiled
from solver.problem import (
    Apart,
    Call,
    Done,
    Lock,
    Name,
    Problem,
    Run,
    Shipment,
    Site,
    Stop,
    Travel,
    UnderWay,
    Van,
    Ways,
    Window,
)
from solver.solution import RunReport, Solution, Visit

# Price of a visit that changes van or order: some five minutes of a driver's time, for explaining and searching.
CHANGE_CENTS = 200


def at(problem: Problem, solution: Solution, now_s: int, change_cents: int = CHANGE_CENTS) -> Problem:
    """Return the problem as it stands at `now_s` of a day that followed the plan: vans out, visits done, crates on board.

    A begun visit is finished; a van on the road first reaches its destination; nobody else
    leaves before. The plan becomes the baseline, at
    `change_cents` for a visit that changes.
    """
    reports = {report.van: report for report in evaluate(problem, solution).runs}
    vans = [_as_it_stands(problem, van, reports.get(van.id), now_s) for van in problem.vans]
    costs = problem.costs.model_copy(update={"change_cents": change_cents})
    return problem.model_copy(update={"vans": vans, "baseline": solution.runs, "costs": costs})


def _as_it_stands(problem: Problem, van: Van, report: RunReport | None, now_s: int) -> Van:
    if report is None or not report.visits or report.begin_s > now_s or report.visits[-1].arrive_s <= now_s:
        out = report is not None and report.visits and report.begin_s <= now_s
        return _home(van, report) if out and report else _not_before(van, now_s)
    visits = [one for one in report.visits if not one.visit.startswith("start:")]
    done = [one for one in visits if one.done or one.begin_s <= now_s]
    ahead = visits[len(done) :]
    last = done[-1] if done else report.visits[0]
    rolling = bool(ahead) and last.leave_s < now_s and ahead[0].arrive_s > last.leave_s and ahead[0].place is not None
    reached = ahead[0] if rolling else last
    position = UnderWay(
        place=reached.place or _last_place(report.visits, last),
        now_s=max(now_s, min(reached.arrive_s, reached.begin_s) if rolling else last.leave_s),
        started_s=report.begin_s,
        metres=_driven(van, [*done, *ahead[:1]] if rolling else done),
        done=[Done(visit=one.visit, arrive_s=one.arrive_s, begin_s=one.begin_s, leave_s=one.leave_s) for one in done],
        on_board=_on_board(problem, [one.visit for one in ahead]),
    )
    return van.model_copy(update={"under_way": position})


def _not_before(van: Van, now_s: int) -> Van:
    """A van that has not left leaves now or later."""
    if van.under_way:
        return van
    shift = Window(from_s=max(van.shift.from_s, now_s), until_s=max(van.shift.until_s, now_s))
    return van.model_copy(update={"shift": shift})


def _home(van: Van, report: RunReport) -> Van:
    """A van that is back keeps its executed work."""
    visits = [one for one in report.visits if not one.visit.startswith(("start:", "end:"))]
    end = report.visits[-1]
    position = UnderWay(
        place=end.place or _last_place(report.visits, end),
        now_s=end.leave_s,
        started_s=report.begin_s,
        metres=report.metres,
        done=[Done(visit=one.visit, arrive_s=one.arrive_s, begin_s=one.begin_s, leave_s=one.leave_s) for one in visits],
    )
    return van.model_copy(update={"under_way": position})


def _last_place(visits: Sequence[Visit], last: Visit) -> Name | None:
    before = [one.place for one in visits[: list(visits).index(last) + 1] if one.place]
    return before[-1] if before else None


def _driven(van: Van, visits: Sequence[Visit]) -> int:
    before = van.under_way.metres if van.under_way else 0
    return before + sum(one.metres for one in visits)


def _on_board(problem: Problem, ahead: Sequence[str]) -> list[Name]:
    """Return the stops ahead, before the next reload, whose crates are on board."""
    trip = list[str]()
    for visit in ahead:
        if visit.startswith("reload:"):
            break
        trip.append(visit)
    return [stop.id for stop in problem.stops if stop.id in trip and _some(stop.deliver)]


def _some(amount: int | dict[str, int]) -> bool:
    return any(amount.values()) if isinstance(amount, dict) else amount > 0


def urgent(problem: Problem, stop: Stop) -> Problem:
    """Return the problem with a new stop."""
    return problem.model_copy(update={"stops": [*problem.stops, stop]})


def slower(problem: Problem, first: Name, second: Name, percent: int) -> Problem:
    """Return the problem with the drive between two places taking `percent` of its time, in both directions."""
    instance = compiled(problem)
    seconds = instance.kind_seconds[:, :-1, :-1].copy()
    a, b = instance.places.index(first), instance.places.index(second)
    for here, there in ((a, b), (b, a)):
        seconds[:, here, there] = -(-seconds[:, here, there] * percent // 100)
    return problem.model_copy(update={"travel": _travel(instance, seconds)})


def _travel(instance: Instance, seconds: np.ndarray) -> Travel:
    """Return the ways of all kinds of vehicle with these driving times (kinds by places squared)."""
    metres, names = instance.kind_metres[:, :-1, :-1], instance.problem.travel.kinds if instance.problem.travel else ()
    kinds = {name: Ways(metres=metres[at], seconds=seconds[at]) for at, name in enumerate(names, start=1)}
    return Travel(places=instance.places, metres=metres[0], seconds=seconds[0], kinds=kinds)


def order_kept(problem: Problem, solution: Solution) -> Problem:
    """Return the problem with every run of the plan kept on its van in its order: new stops may only come between."""
    known = {stop.id for stop in problem.stops}
    known |= {f"{half}:{one.id}" for one in problem.shipments for half in ("collect", "deliver")}
    runs = [(run.van, [visit for visit in run.visits if visit in known]) for run in solution.runs]
    locks = [Lock(visits=visits, van=van, order="kept") for van, visits in runs if visits]
    return problem.model_copy(update={"locks": locks})


def broken_down(problem: Problem, van: Name) -> Problem:
    """Return the problem (as `at` made it) with a van that goes no farther: others fetch its crates from where it is.

    Its crates become shipments "rescue ID" from there; the crates it collected stay on it until it is towed.
    """
    (broken,) = (one for one in problem.vans if one.id == van)
    if broken.under_way is None:  # it never left: it has no shift today
        still = broken.model_copy(update={"max_metres": 0, "max_duration_s": 0})
        return problem.model_copy(update={"vans": [still if one is broken else one for one in problem.vans]})
    carried = set(broken.under_way.on_board) - {one.visit for one in broken.under_way.done}
    here = Site(place=broken.under_way.place, lat=broken.under_way.lat, lon=broken.under_way.lon)
    stopped = _stopped(broken, broken.under_way)
    stops = [_without_delivery(stop) if stop.id in carried else stop for stop in problem.stops]
    rescues = [_rescue(problem, stop, here, broken.under_way.now_s) for stop in problem.stops if stop.id in carried]
    shipments = [_taken_over(problem, one, broken.under_way, here) for one in problem.shipments]
    return problem.model_copy(
        update={
            "vans": [stopped if one is broken else one for one in problem.vans],
            "stops": [stop for stop in stops if stop is not None],
            "shipments": [*shipments, *rescues],
            "locks": [lock for lock in problem.locks if lock.van != van],
            "apart": [_with_rescues(one, {stop.id for stop in stops if stop}, carried) for one in problem.apart],
        }
    )


def _stopped(van: Van, position: UnderWay) -> Van:
    taken_over = {one.visit for one in position.done if one.visit.startswith("collect:")}
    delivered = {one.visit.replace("deliver:", "collect:") for one in position.done if one.visit.startswith("deliver:")}
    done = [one for one in position.done if one.visit not in taken_over - delivered]
    still = position.model_copy(update={"on_board": [], "done": done})
    most = max(van.shift.until_s, position.now_s)
    return van.model_copy(
        update={
            "under_way": still,
            "open_end": True,
            "max_metres": position.metres,
            "max_duration_s": position.now_s - position.started_s,
            "breaks": [],
            "shift": Window(from_s=van.shift.from_s, until_s=most),
        }
    )


def _without_delivery(stop: Stop) -> Stop | None:
    """The amount still to be collected there, or nothing."""
    return stop.model_copy(update={"deliver": 0, "vans": []}) if _some(stop.collect) else None


def _rescue(problem: Problem, stop: Stop, here: Site, now_s: int) -> Shipment:
    fetched = Call(**here.model_dump(), windows=[Window(from_s=now_s, until_s=max(now_s, _day_s(problem)))])
    fields = set(Call.model_fields)
    target = {name: value for name, value in stop.model_dump().items() if name in fields}
    return Shipment(
        id=f"rescue {stop.id}",
        amount=stop.deliver,
        collect=fetched,
        deliver=Call.model_validate(target | {"place": stop.place or stop.id}),
        prize_cents=stop.prize_cents,
        priority=stop.priority,
        skills=stop.skills,
    )


def _with_rescues(apart: Apart, stops: set[Name], carried: set[Name]) -> Apart:
    """Rescued crates are kept apart as their stops are."""
    groups = [
        [
            *(name for name in group if name in stops or name not in carried),
            *(f"rescue {name}" for name in group if name in carried),
        ]
        for group in apart.groups
    ]
    return Apart(groups=groups)


def _day_s(problem: Problem) -> int:
    return max(van.shift.until_s for van in problem.vans)


def _taken_over(problem: Problem, shipment: Shipment, position: UnderWay, here: Site) -> Shipment:
    """A shipment on the broken van is collected there; any other stays as it is."""
    done = {one.visit for one in position.done}
    if f"collect:{shipment.id}" not in done or f"deliver:{shipment.id}" in done:
        return shipment
    window = Window(from_s=position.now_s, until_s=max(position.now_s, _day_s(problem)))
    return shipment.model_copy(update={"collect": Call(**here.model_dump(), windows=[window])})


def still_valid(problem: Problem, solution: Solution) -> Solution:
    """Return the plan without visits unknown to the problem, and with the executed part at the beginning of each run."""
    known = {stop.id for stop in problem.stops}
    known |= {f"{half}:{one.id}" for one in problem.shipments for half in ("collect", "deliver")}
    done_by = {van.id: [one.visit for one in van.under_way.done] if van.under_way else [] for van in problem.vans}
    done = {visit for visits in done_by.values() for visit in visits}
    stuck = {van.id for van in problem.vans if van.max_duration_s is not None and _at_limit(van)}
    runs = list[Run]()
    for run in solution.runs:
        own = ("break:", "reload:")
        ahead = [one for one in run.visits if (one in known or one.startswith(own)) and one not in done]
        runs.append(Run(van=run.van, visits=[*done_by.get(run.van, []), *([] if run.van in stuck else ahead)]))
    return solution.model_copy(update={"runs": runs})


def _at_limit(van: Van) -> bool:
    return van.under_way is not None and van.under_way.now_s - van.under_way.started_s >= (van.max_duration_s or 0)
