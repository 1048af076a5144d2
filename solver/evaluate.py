"""The worth of a plan and its violations, whoever made it.

The idea: a run is judged alone (`_reports`), then the runs are combined (`_together`). After an edit of a run,
only that run is judged again and combined with the old reports of the others.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np

from solver.instance import MANDATORY, Instance, compiled
from solver.problem import Done, Problem, Run, Van
from solver.rules import rules_of, someone_receives
from solver.schedule import Schedule, drive, table
from solver.solution import Cause, Evaluation, Money, RunReport, Solution, Totals, Violation, Visit
from solver.timing_kernels import Ints

# In `infeasibility`: missing mandatory work outweighs any lateness of a day in seconds.
UNSERVED_WEIGHT = 100_000


def evaluate(problem: Problem | Instance, solution: Solution) -> Evaluation:
    """Judge a whole plan, however broken it is."""
    instance = compiled(problem)
    return _together(instance, _reports(instance, _with_vans_under_way(instance, solution.runs)))


def evaluate_change(problem: Problem | Instance, before: Evaluation, runs: Sequence[Run]) -> Evaluation:
    """Judge the plan of `before` with these runs replacing their vans' old ones (an empty run: the van stays in)."""
    instance = compiled(problem)
    changed = {run.van for run in runs}
    kept = [report for report in before.runs if report.van not in changed]
    fresh = _reports(instance, [run for run in runs if run.visits or _is_under_way(instance, run.van)])
    order = {van.id: number for number, van in enumerate(instance.problem.vans)}
    reports = sorted([*kept, *fresh], key=lambda report: order.get(report.van, len(order)))
    return _together(instance, reports)


def _is_under_way(instance: Instance, van: str) -> bool:
    number = instance.van_number.get(van)
    return number is not None and bool(instance.under_way[number])


def _with_vans_under_way(instance: Instance, runs: Sequence[Run]) -> list[Run]:
    """Add the runs of vans that are out but missing from the plan: they go home."""
    spoken = {run.van for run in runs}
    silent = [van for van in instance.problem.vans if van.under_way and van.id not in spoken]
    return [*runs, *(Run(van=van.id, visits=[one.visit for one in _done(van)]) for van in silent)]


def _done(van: Van) -> list[Done]:
    return van.under_way.done if van.under_way else []


# ---- one run


def _reports(instance: Instance, runs: Sequence[Run]) -> list[RunReport]:
    """Judge runs, each alone."""
    known = [run for run in runs if run.van in instance.van_number]
    unknown = [_of_no_van(run) for run in runs if run.van not in instance.van_number]
    if not known:
        return unknown
    vans = [instance.van_number[run.van] for run in known]
    parts = [ahead(instance, van, run) for van, run in zip(vans, known, strict=True)]
    rows = [(van, nodes) for van, (nodes, _) in zip(vans, parts, strict=True)]
    runs_driven = drive(instance, *table(instance, rows), np.array([run.not_before_s for run in known]))
    money = money_of(runs_driven)
    broken = violations_of(runs_driven)
    return [
        _report(
            runs_driven, row, {name: int(amounts[row]) for name, amounts in money.items()}, complaints + broken[row]
        )
        for row, (_, complaints) in enumerate(parts)
    ] + unknown


def _of_no_van(run: Run) -> RunReport:
    return RunReport(run.van, [], 0, 0, 0, 0, 0, 0, Money(), [Violation(Cause.UNKNOWN, 1, "vans", run.van)])


def ahead(instance: Instance, van: int, run: Run) -> tuple[list[int], list[Violation]]:
    """Return the nodes still ahead of the van, and complaints about the others."""
    done = [one.visit for one in _done(instance.problem.vans[van])]
    missing = len(done) - sum(1 for one, visit in zip(done, run.visits, strict=False) if one == visit)
    complaints = [Violation(Cause.EXECUTED, missing, "visits", run.van)] if missing else []
    nodes = list[int]()
    for key in run.visits if missing else run.visits[len(done) :]:
        node = instance.node(van, key)
        if node is None:
            complaints.append(Violation(Cause.UNKNOWN, 1, "visits", run.van, key))
        else:
            nodes.append(node)
    return nodes, complaints


def violations_of(runs: Schedule) -> list[list[Violation]]:
    """Return the violations of each run, in the order of RULES."""
    found: list[list[Violation]] = [[] for _ in runs.rows]
    for rule in rules_of(runs.instance):
        amounts = rule.amounts(runs)
        for at in np.argwhere(amounts) if amounts.any() else ():
            row, column = int(at[0]), int(at[1])
            unit = runs.instance.problem.dimensions[int(at[2])] if amounts.ndim == 3 else rule.unit
            van, key = runs.instance.problem.vans[runs.van[row]].id, runs.instance.keys[runs.rows[row, column]]
            found[row].append(Violation(rule.cause, int(amounts[tuple(at)]), unit, van, key))
    return found


def money_of(runs: Schedule) -> dict[str, Ints]:
    """Return each run's costs, in cents, by `Money`'s names, and the amounts behind some of them."""
    costs, prices, van = runs.instance.problem.costs, runs.instance.prices, runs.van
    overtime_s = np.maximum(0, runs.work_s - prices.normal_s[van])
    energy_wh = _whole(runs.way_m * prices.wh_per_km[van] / 1000)
    co2_g = _whole(runs.way_m * prices.co2_g_per_km[van] / 1000)
    late_s = someone_receives(runs).sum(axis=1)
    changed = _changed(runs)
    not_preferred = runs.instance.not_preferred[van[:, None], runs.rows].sum(axis=1)
    return {
        "vans": prices.fixed_cents[van] * runs.used,
        "hours": _whole(runs.work_s * prices.hour_cents[van] / 3600),
        "kilometres": _whole(runs.way_m * prices.km_cents[van] / 1000),
        "energy": _whole(energy_wh * prices.cents_per_kwh[van] / 1000),
        "co2": _whole(co2_g * costs.co2_cents_per_kg / 1000),
        "overtime": _whole(overtime_s * prices.overtime_hour_cents[van] / 3600),
        "not_preferred": not_preferred * costs.not_preferred_cents,
        "change": changed * costs.change_cents,
        "late": _whole(late_s * costs.late_hour_cents / 3600),
        "_energy_wh": energy_wh,
        "_co2_g": co2_g,
        "_changed": changed,
        "_not_preferred": not_preferred,
    }


MONEY = tuple(one.name for one in fields(Money))


def cost_of(runs: Schedule) -> Ints:
    """Return each run's cost in cents (R), without prizes forgone and imbalance, which concern the whole plan."""
    total: Ints = np.zeros(len(runs.rows), dtype=np.int64)
    for name, amounts in money_of(runs).items():
        total = total + amounts if name in MONEY else total
    return total


def _whole(values: np.ndarray) -> Ints:
    return np.asarray(np.floor(values + 0.5), dtype=np.int64)


def _changed(runs: Schedule) -> Ints:
    """Count the visits of each run that the baseline has on another van, or in another order (R)."""
    places = _baseline(runs.instance)
    changes = [_changes(runs, row, places) for row in range(len(runs.rows))] if places else [0] * len(runs.rows)
    return np.array(changes, dtype=np.int64)


def _changes(runs: Schedule, row: int, places: dict[int, tuple[int, int]]) -> int:
    van = int(runs.van[row])
    known = [places[node] for node in runs.rows[row].tolist() if node in places]
    here = [position for owner, position in known if owner == van]
    return len(known) - len(longest_in_order(here))


def _baseline(instance: Instance) -> dict[int, tuple[int, int]]:
    """Return each baseline visit's van and place in the order, by node."""
    found = dict[int, tuple[int, int]]()
    for run in instance.problem.baseline:
        van = instance.van_number.get(run.van, -1)
        for position, key in enumerate(run.visits):
            if key in instance.task_number:
                found[instance.task_number[key]] = (van, position)
    return found


def longest_in_order(numbers: Sequence[int]) -> set[int]:
    """Return the positions of a longest increasing subsequence (patience sorting)."""
    tops, chain_of = list[int](), list[int]()  # smallest last number of a chain by length, and its position
    before = dict[int, int]()
    for at, number in enumerate(numbers):
        length = bisect_left(tops, number)
        before[at] = chain_of[length - 1] if length else -1
        tops[length : length + 1] = [number]
        chain_of[length : length + 1] = [at]
    kept, at = set[int](), chain_of[-1] if chain_of else -1
    while at >= 0:
        kept.add(at)
        at = before[at]
    return kept


def _report(runs: Schedule, row: int, money: dict[str, int], violations: list[Violation]) -> RunReport:
    van = runs.instance.problem.vans[runs.van[row]]
    visits = [*_past(runs, row), *_ahead(runs, row)]
    visits = visits if runs.used[row] else []
    past_drive_s = van.under_way.now_s - van.under_way.started_s if van.under_way else 0
    return RunReport(
        van=van.id,
        visits=visits,
        begin_s=int(runs.started_s[row]) if visits else 0,
        end_s=int(runs.ended_s[row]) if visits else 0,
        drive_s=sum(one.drive_s for one in visits)
        + past_drive_s
        - sum(one.leave_s - one.arrive_s for one in visits if one.done),
        wait_s=sum(one.wait_s for one in visits),
        service_s=sum(one.leave_s - one.begin_s for one in visits),
        metres=int(runs.way_m[row]),
        money=Money(**{name: amount for name, amount in money.items() if name in MONEY}),
        violations=violations,
        energy_wh=money["_energy_wh"],
        co2_g=money["_co2_g"],
        changed=money["_changed"],
        not_preferred=money["_not_preferred"],
    )


def _past(runs: Schedule, row: int) -> list[Visit]:
    van, instance = runs.instance.problem.vans[runs.van[row]], runs.instance
    done = _done(van)
    place = {one.visit: _place(instance, instance.node(int(runs.van[row]), one.visit)) for one in done}
    return [
        Visit(one.visit, place[one.visit], one.arrive_s, one.begin_s, one.leave_s, 0, 0, {}, done=True) for one in done
    ]


def _place(instance: Instance, node: int | None) -> str | None:
    place = len(instance.places) if node is None else int(instance.place[node])
    return instance.places[place] if place < len(instance.places) else None


def _ahead(runs: Schedule, row: int) -> Iterator[Visit]:
    instance, stop = runs.instance, int(runs.last[row]) + 1
    nodes, loads, dimensions = runs.rows[row, :stop].tolist(), runs.load[row].tolist(), instance.problem.dimensions
    places = [*instance.places, None]
    times = (runs.arrive_s, runs.begin_s, runs.leave_s, runs.metres, runs.drive_s)
    columns = zip(nodes, loads, *(one[row].tolist() for one in times), strict=False)
    for column, (node, load, arrive, begin, leave, metres, driven) in enumerate(columns):
        yield Visit(
            visit=instance.keys[node],
            place=places[instance.place[node]],
            arrive_s=arrive if column else begin,
            begin_s=begin,
            leave_s=leave,
            metres=metres,
            drive_s=driven,
            load=dict(zip(dimensions, load, strict=True)),
        )


# ---- the runs together


def _together(instance: Instance, reports: Sequence[RunReport]) -> Evaluation:
    used = [report for report in reports if report.visits]
    served, missing = _served(instance, reports)
    across = [*what_must_be_is_served(instance, missing), *(one for find in ACROSS for one in find(instance, reports))]
    violations = [violation for report in reports for violation in report.violations] + across
    works = [report.work_s for report in used]
    imbalance_s = max(works, default=0) - min(works, default=0)
    prizes = sum(int(instance.prize_cents[item]) for item in missing if instance.prize_cents[item] != MANDATORY)
    whole = {
        "prizes_forgone": prizes,
        "imbalance": round(imbalance_s * instance.problem.costs.imbalance_hour_cents / 3600),
    }
    paid = {name: sum(getattr(report.money, name) for report in reports) for name in MONEY if name not in whole}
    return Evaluation(
        runs=list(reports),
        money=Money(**paid, **whole),
        totals=_totals(instance, used, len(served), missing, imbalance_s, violations),
        violations=violations,
        unserved=[instance.items[item].id for item in missing],
        infeasibility=sum(_weight(instance, violation) for violation in violations),
    )


def _weight(instance: Instance, violation: Violation) -> int:
    if violation.cause is not Cause.UNSERVED:
        return 1 + violation.amount
    item = instance.item_number[violation.visit or ""]
    return UNSERVED_WEIGHT * (1 + int(instance.priority[item]))


def _totals(
    instance: Instance,
    used: Sequence[RunReport],
    served: int,
    missing: Sequence[int],
    imbalance_s: int,
    violations: Sequence[Violation],
) -> Totals:
    normal = {van.id: van.normal_s for van in instance.problem.vans}
    left_out = sum(1 for item in missing if instance.prize_cents[item] != MANDATORY)
    summed = ("work_s", "drive_s", "wait_s", "service_s", "metres", "energy_wh", "co2_g", "changed")
    return Totals(
        vans=len(used),
        served=served,
        unserved=len(missing) - left_out,
        left_out=left_out,
        begin_s=min((report.begin_s for report in used), default=0),
        end_s=max((report.end_s for report in used), default=0),
        late_s=sum(one.amount for one in violations if one.cause is Cause.WINDOW),
        overtime_s=sum(max(0, report.work_s - (normal[report.van] or report.work_s)) for report in used),
        imbalance_s=imbalance_s,
        **{name: sum(getattr(report, name) for report in used) for name in summed},
    )


def _served(instance: Instance, reports: Sequence[RunReport]) -> tuple[list[int], list[int]]:
    """Return numbers of the items served (both halves of a shipment), and of the others."""
    number, void = instance.task_number, instance.void
    made = np.zeros(void + 1, dtype=bool)
    made[[number.get(visit.visit, void) for report in reports for visit in report.visits]] = True
    whole = made[instance.first_half] & made[instance.second_half]
    return np.flatnonzero(whole).tolist(), np.flatnonzero(~whole).tolist()


def what_must_be_is_served(instance: Instance, missing: Sequence[int]) -> Iterator[Violation]:
    """Every stop and shipment without a prize is served."""
    for item in missing:
        if instance.prize_cents[item] == MANDATORY:
            yield Violation(Cause.UNSERVED, 1, "visits", None, instance.items[item].id)


def nothing_on_two_runs(instance: Instance, reports: Sequence[RunReport]) -> Iterator[Violation]:
    """No visit is on two runs, and no van drives two."""
    visits = [visit for report in reports for visit in {one.visit for one in report.visits}]
    for visit, number in Counter(visits).items() if len(set(visits)) < len(visits) else ():
        if number > 1 and visit in instance.task_number:
            yield Violation(Cause.TWICE, number - 1, "visits", None, visit)
    for van, number in Counter(report.van for report in reports).items():
        if number > 1:
            yield Violation(Cause.VAN_TWICE, number - 1, "runs", van)


def locked_together(instance: Instance, reports: Sequence[RunReport]) -> Iterator[Violation]:
    """Visits locked in an order are on the same run."""
    on = {visit.visit: report.van for report in reports for visit in report.visits} if instance.problem.locks else {}
    for lock in instance.problem.locks:
        here = [visit for visit in lock.visits if visit in on] if lock.order != "free" and not lock.van else []
        yield from (
            Violation(Cause.LOCK_VAN, 1, "visits", on[visit], visit) for visit in here if on[visit] != on[here[0]]
        )


def docks_suffice(instance: Instance, reports: Sequence[RunReport]) -> Iterator[Violation]:
    """No more vans than docks load and unload at a depot at any time."""
    for depot in instance.problem.depots:
        stays = _stays(instance, reports, depot.id) if depot.docks else []
        number, busy = 0, 0
        for _, change in sorted([(begin, 1) for begin, _ in stays] + [(leave, -1) for _, leave in stays]):
            number += change
            busy = max(busy, number)
        if depot.docks and busy > depot.docks:
            yield Violation(Cause.DOCKS, busy - depot.docks, "vans", None, f"start:{depot.id}")


def _stays(instance: Instance, reports: Sequence[RunReport], depot: str) -> list[tuple[int, int]]:
    """Return the intervals in which vans stand at the docks of a depot."""
    number = [one.id for one in instance.problem.depots].index(depot)
    at = {instance.keys[node] for node in np.flatnonzero(instance.dock == number)}
    visits = (visit for report in reports for visit in report.visits if visit.visit in at and visit.place)
    return [(visit.begin_s, visit.leave_s) for visit in visits if visit.leave_s > visit.begin_s]


ACROSS = (nothing_on_two_runs, locked_together, docks_suffice)
