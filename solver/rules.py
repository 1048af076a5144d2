"""The rules of a run: each rule is a function that finds by how much it is broken, and a sentence that states it.

The idea: a rule looks at a whole table of runs and answers with a table of amounts (R, K), zero where nothing
is wrong; a capacity answers for each dimension (R, K, D). So the same rule judges a plan and ten thousand attempts to mend it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from solver.instance import Instance, NodeKind, has_rested
from solver.problem import Lock
from solver.schedule import Schedule, spares, too_long_on_board
from solver.solution import Cause
from solver.timing_kernels import Bools, Ints, columns


def load_fits(runs: Schedule) -> Ints:
    """At no point does the van hold more than it has room for; the worst point counts."""
    over = np.maximum(0, runs.load - runs.instance.capacity[runs.van][:, None])
    over[~runs.real] = 0
    worst = over == over.max(axis=1, keepdims=True)
    return np.asarray(over * (worst & (worst.cumsum(axis=1) == 1)))


def someone_receives(runs: Schedule) -> Ints:
    """Service begins inside a window; only the last window can be missed, as vans wait for the next."""
    zone = runs.instance.van_class[runs.van]
    close = runs.instance.close_s[zone[:, None], runs.rows, -1]
    return np.asarray(np.where(runs.kinds == NodeKind.BREAK, 0, np.maximum(0, runs.begin_s - close)) * runs.real)


def breaks_begin_in_time(runs: Schedule) -> Ints:
    """A rest begins inside any of its windows."""
    zone = runs.instance.van_class[runs.van]
    close = runs.instance.close_s[zone[:, None], runs.rows, -1]
    return np.asarray(np.where(runs.kinds == NodeKind.BREAK, np.maximum(0, runs.begin_s - close), 0))


def shift_ends(runs: Schedule) -> Ints:
    """The van is unloaded before the driver's shift is over."""
    return _at_end(runs, runs.ended_s - runs.instance.finish_s[runs.van])


def starts_in_time(runs: Schedule) -> Ints:
    """The van begins by its latest start."""
    late = np.maximum(0, runs.begin_s[:, 0] - runs.instance.latest_begin_s[runs.van]) * runs.used
    amounts = np.zeros(runs.rows.shape, dtype=np.int64)
    amounts[:, 0] = late
    return amounts


def short_enough(runs: Schedule) -> Ints:
    """From start to end no longer than the van's longest run."""
    return _at_end(runs, runs.work_s - runs.instance.max_duration_s[runs.van])


def near_enough(runs: Schedule) -> Ints:
    """No farther than the van's longest way."""
    return _at_end(runs, runs.way_m - runs.instance.max_metres[runs.van])


def few_enough(runs: Schedule) -> Ints:
    """No more stops and halves of shipments than the van makes on a run."""
    visits = runs.instance.past_visits[runs.van] + (runs.kinds <= NodeKind.DELIVER).sum(axis=1)
    return _at_end(runs, visits - runs.instance.max_visits[runs.van])


def legs_are_near(runs: Schedule) -> Ints:
    """From a place to the next no farther than the van's longest leg."""
    return _over_each(runs, runs.metres, runs.instance.max_leg_metres)


def legs_are_short(runs: Schedule) -> Ints:
    """From a place to the next no longer than the van's longest leg."""
    return _over_each(runs, runs.drive_s, runs.instance.max_leg_s)


def _over_each(runs: Schedule, legs: Ints, most: Ints) -> Ints:
    over = np.maximum(0, legs - most[runs.van][:, None])
    return np.asarray(over * (runs.real & runs.used[:, None]))


def waits_little(runs: Schedule) -> Ints:
    """On its run the van waits no longer than it may."""
    waits = (runs.begin_s - runs.arrive_s) * (runs.real & (runs.kinds != NodeKind.BREAK))
    waited_s = runs.instance.past_wait_s[runs.van] + waits[:, 1:].sum(axis=1)
    return _at_end(runs, waited_s - runs.instance.max_wait_s[runs.van])


def _at_end(runs: Schedule, over: Ints) -> Ints:
    amounts = np.zeros(runs.rows.shape, dtype=np.int64)
    amounts[np.arange(len(over)), runs.last] = np.maximum(0, over) * runs.used
    return amounts


def driver_is_able(runs: Schedule) -> Ints:
    """The van has the skills asked for."""
    return _barred(runs, Cause.SKILL)


def van_fits_the_yard(runs: Schedule) -> Ints:
    """The van is no larger than the yard admits."""
    return _barred(runs, Cause.SIZE)


def zone_is_open(runs: Schedule) -> Ints:
    """The zone is not barred to the van all day (barred hours are windows)."""
    return _barred(runs, Cause.ZONE)


def van_is_wanted(runs: Schedule) -> Ints:
    """Where only some vans may serve, one of them does."""
    return _barred(runs, Cause.VAN)


def lock_holds(runs: Schedule) -> Ints:
    """An item locked to a van is on it."""
    return _barred(runs, Cause.LOCK_VAN)


def crates_stay_on_board(runs: Schedule) -> Ints:
    """A load that a van carries already is not served by another."""
    return _barred(runs, Cause.ON_BOARD)


def _barred(runs: Schedule, cause: Cause) -> Ints:
    return runs.instance.barred[cause][runs.van[:, None], runs.rows].astype(np.int64)


def trip_touches_the_depot(runs: Schedule) -> Ints:
    """Crates are loaded at their own depot, and brought back to it, on the same trip."""
    instance = runs.instance
    wanted, before, after = instance.wanted_depot[runs.rows], *_trip_depots(runs)
    delivers, collects = instance.deliver[runs.rows].any(axis=2), instance.collect[runs.rows].any(axis=2)
    loaded = instance.aboard[runs.van[:, None], runs.rows]
    wrong = (delivers & ~loaded & (before != wanted)) | (collects & (after != wanted))
    return np.asarray(wrong & (wanted >= 0), dtype=np.int64)


def _trip_depots(runs: Schedule) -> tuple[Ints, Ints]:
    """Return for each column the depots where its trip begins and ends."""
    depot, bounds = runs.instance.depot[runs.rows], runs.kinds
    before, after = np.full(runs.rows.shape, -1), np.full(runs.rows.shape, -1)
    here = np.full(len(runs.rows), -1)
    for column in range(runs.rows.shape[1]):
        here = np.where(np.isin(bounds[:, column], (NodeKind.START, NodeKind.RELOAD)), depot[:, column], here)
        before[:, column] = here
    for column in reversed(range(runs.rows.shape[1])):
        here = np.where(np.isin(bounds[:, column], (NodeKind.END, NodeKind.RELOAD)), depot[:, column], here)
        after[:, column] = here
    return before, after


def crates_are_loaded(runs: Schedule) -> Ints:
    """A van under way hands over only its load, until it has been at a depot again."""
    under_way = runs.instance.under_way[runs.van]
    reloaded = (runs.kinds == NodeKind.RELOAD).cumsum(axis=1) > 0
    delivers = runs.instance.deliver[runs.rows].any(axis=2)
    loaded = runs.instance.aboard[runs.van[:, None], runs.rows]
    return np.asarray(delivers & ~loaded & ~reloaded & under_way[:, None], dtype=np.int64)


def back_by_the_cut_off(runs: Schedule) -> Ints:
    """A collected load is unloaded by its due time; without a due time, before sorting ends."""
    return np.asarray(np.maximum(0, runs.leave_s - runs.due_s) * runs.real)


def reloads_are_allowed(runs: Schedule) -> Ints:
    """A van loads again only where and as often as it may."""
    reloads = runs.kinds == NodeKind.RELOAD
    most = np.array([van.max_reloads for van in runs.instance.problem.vans])[runs.van]
    too_many = reloads & (reloads.cumsum(axis=1) > most[:, None])
    return np.asarray(too_many | (_barred(runs, Cause.RELOAD) > 0), dtype=np.int64)


def halves_stay_together(runs: Schedule) -> Ints:
    """A shipment is collected before it is delivered, by the same van."""
    partner = runs.instance.partner[runs.rows]
    other = columns(runs.rows, partner)
    here = np.arange(runs.rows.shape[1])[None, :]
    carried = runs.instance.aboard[runs.van[:, None], runs.rows]
    collecting = runs.kinds == NodeKind.COLLECT
    wrong = np.where(collecting, other < here, (other < 0) | (other > here)) & (partner >= 0) & ~carried
    return np.asarray(wrong, dtype=np.int64)


def nothing_stays_long_on_board(runs: Schedule) -> Ints:
    """From the end of its collection to the beginning of its delivery a shipment is on board no longer than it may."""
    return too_long_on_board(runs)


def breaks_are_taken(runs: Schedule) -> Ints:
    """Each of the driver's breaks is in the run, unless it can be had before the run begins or after it ends."""
    missing = np.zeros(len(runs.rows), dtype=np.int64)
    for van, nodes in enumerate(runs.instance.breaks):
        mine = np.flatnonzero((runs.van == van) & runs.used) if nodes else ()
        for node in nodes if len(mine) else ():
            lacks = (runs.column(node)[mine] < 0) & ~spares(runs, node)[mine]
            missing[mine] += lacks & (not has_rested(runs.instance, van, node))
    amounts = np.zeros(runs.rows.shape, dtype=np.int64)
    amounts[np.arange(len(missing)), runs.last] = missing
    return amounts


def order_is_kept(runs: Schedule) -> Ints:
    """Visits locked in an order are made in it; unbroken ones with nothing between."""
    amounts = np.zeros(runs.rows.shape, dtype=np.int64)
    for lock in runs.instance.problem.locks:
        if lock.order != "free":
            _add_disorder(runs, lock, amounts)
    return amounts


def _add_disorder(runs: Schedule, lock: Lock, amounts: Ints) -> None:
    number = runs.instance.task_number
    before = np.full(len(runs.rows), -1)
    for visit in lock.visits:
        here = runs.column(number[visit])
        gap = (here != before + 1) if lock.order == "unbroken" else (here < before)
        rows = np.flatnonzero((here >= 0) & (before >= 0) & gap)
        amounts[rows, here[rows]] = 1
        before = np.where(here >= 0, here, before)


def groups_stay_apart(runs: Schedule) -> Ints:
    """Work that must not meet is on different runs: the group that a run serves first is right, visits of others are wrong."""
    wrong = np.zeros(runs.rows.shape, dtype=bool)
    for groups, so_far in zip(runs.instance.apart, runs.instance.group_so_far, strict=True):
        here, before = groups[runs.rows], so_far[runs.van]
        first = np.where(before >= 0, before, here[np.arange(len(here)), (here >= 0).argmax(axis=1)])
        wrong |= (here >= 0) & (here != first[:, None])
    return wrong.astype(np.int64)


def each_visit_once(runs: Schedule) -> Ints:
    """No visit is made twice on a run."""
    here = np.arange(runs.rows.shape[1])[None, :]
    last = columns(runs.rows, runs.rows)
    single = (runs.kinds <= NodeKind.DELIVER) | (runs.kinds == NodeKind.BREAK)
    return np.asarray((last != here) & single, dtype=np.int64)


def past_stays_past(runs: Schedule) -> Ints:
    """Work already done is not planned again."""
    tasks = runs.kinds <= NodeKind.DELIVER
    return np.asarray(tasks & ~runs.instance.free[runs.rows], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Rule:
    cause: Cause
    unit: str  # of its amounts; "units" are of a dimension
    amounts: Callable[[Schedule], Ints]


RULES: tuple[Rule, ...] = (
    Rule(Cause.LOAD, "units", load_fits),
    Rule(Cause.WINDOW, "s", someone_receives),
    Rule(Cause.BREAK_LATE, "s", breaks_begin_in_time),
    Rule(Cause.SHIFT, "s", shift_ends),
    Rule(Cause.START, "s", starts_in_time),
    Rule(Cause.DURATION, "s", short_enough),
    Rule(Cause.DISTANCE, "m", near_enough),
    Rule(Cause.VISITS, "visits", few_enough),
    Rule(Cause.LEG_DISTANCE, "m", legs_are_near),
    Rule(Cause.LEG_TIME, "s", legs_are_short),
    Rule(Cause.WAIT, "s", waits_little),
    Rule(Cause.SKILL, "visits", driver_is_able),
    Rule(Cause.SIZE, "visits", van_fits_the_yard),
    Rule(Cause.ZONE, "visits", zone_is_open),
    Rule(Cause.VAN, "visits", van_is_wanted),
    Rule(Cause.LOCK_VAN, "visits", lock_holds),
    Rule(Cause.ON_BOARD, "visits", crates_stay_on_board),
    Rule(Cause.DEPOT, "visits", trip_touches_the_depot),
    Rule(Cause.READY, "visits", crates_are_loaded),
    Rule(Cause.CUTOFF, "s", back_by_the_cut_off),
    Rule(Cause.RELOAD, "visits", reloads_are_allowed),
    Rule(Cause.SPLIT, "visits", halves_stay_together),
    Rule(Cause.LONG_ON_BOARD, "s", nothing_stays_long_on_board),
    Rule(Cause.BREAK, "visits", breaks_are_taken),
    Rule(Cause.LOCK_ORDER, "visits", order_is_kept),
    Rule(Cause.APART, "visits", groups_stay_apart),
    Rule(Cause.TWICE, "visits", each_visit_once),
    Rule(Cause.EXECUTED, "visits", past_stays_past),
)


def rules_of(instance: Instance) -> Iterator[Rule]:
    """Yield the rules that a run of this problem can break."""
    return (rule for rule in RULES if rule.cause in instance.breakable)


def broken(runs: Schedule) -> dict[Cause, Ints]:
    """Return the causes found in any run, each with its total amount by run (R)."""
    found = dict[Cause, Ints]()
    for rule in rules_of(runs.instance):
        amounts = rule.amounts(runs)
        if amounts.any():
            found[rule.cause] = amounts.reshape(len(runs.rows), -1).sum(axis=1)
    return found


def keeps_all(runs: Schedule) -> Bools:
    """Return which runs (R) break no rule."""
    well = np.ones(len(runs.rows), dtype=bool)
    for amounts in broken(runs).values():
        well &= amounts == 0
    return well
