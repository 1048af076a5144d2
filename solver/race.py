"""The race: several searches on the cores given, and one plan that is the best of what they find together.

Start: searches of different seeds from nothing, of sectors where the day is large. Exchange: the best goes on. Split: its
runs in parts, each solved on a core of its own, along another cut every round. Recombine: the best of all runs seen.
Finish: what PyVRP cannot be told is mended by OR-Tools.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from math import inf
from time import monotonic

import numpy as np

from solver.breaks import with_breaks
from solver.clock import Bools
from solver.construct import first_plan
from solver.decompose import Split, joined, positions, sectors, split
from solver.engines import Limits, Plan, Report, engine
from solver.engines import pyvrp as pyvrp_engine
from solver.engines.pyvrp import Part, alike
from solver.evaluate import UNSERVED_WEIGHT, cost_of, evaluate
from solver.instance import MANDATORY, Instance
from solver.recombine import recombined
from solver.rules import broken, keeps_all
from solver.schedule import drive, table
from solver.search import Taste, Until
from solver.solution import Solution
from solver.solve import runs_of
from solver.team import Found, Task, Team

NAME = "race"
VERSIONS = {name: version(name) for name in ("pyvrp", "ortools")}

MOST_ROUNDS = 12  # in a search: fewer leave no time to turn the cut, more begin anew too often
PART_S = 0.9  # at least, for each part in each round: shorter rounds end before a search has got anywhere
EXCHANGE_EVERY = 3  # rounds of searches of the whole: in between each goes its own way
SPLIT_ITEMS = 220  # a day with more is split after the start
LARGE_ITEMS = 700  # a day with more begins split
PART_ITEMS = 320  # about as many in a part of a large day
FEWEST_RUNS = 2  # in a part
OPENING, OPENING_S = -1, 0.4  # before the first round: a plan is wanted within a second
TASTES = (Taste(20, memory=50), Taste(30, memory=100))  # core by core: quick, and thorough; each wins somewhere
START_SHARE = 0.25  # of the time for the first searches, where a day is split after them
MENDING_SHARE = 0.4  # of the time for OR-Tools, where PyVRP was not told all
RECOMBINE_EFFORT = 0.3  # seconds, about; beside the searches
POOL_RUNS = 3_000  # seen last
TOO_LATE_S = 0.1  # before the end: a round would bring nothing
LAST_S, LAST_S_PER_ITEM = 0.03, 0.0002  # before the limit: to take the plans over and have them judged


def run(instance: Instance, limits: Limits, warm: Plan | None, report: Report) -> None:
    """Search until a limit or until `report` answers no; report each better plan."""
    if pyvrp_engine.refused(instance):
        _by_ortools(instance, limits, warm, report)
        return
    with Team(instance, max(1, limits.threads)) as team:
        _Race(instance, limits, team, report, warm or []).run()


def _by_ortools(instance: Instance, limits: Limits, warm: Plan | None, report: Report) -> None:
    """A first plan, as OR-Tools leaves one waiting for it, and the rest of the time for OR-Tools."""
    begun = monotonic()
    until = begun + limits.time_s if limits.iterations is None else inf
    if warm or report(first_plan(instance, until)):
        engine("ortools").run(instance, replace(limits, time_s=limits.time_s - (monotonic() - begun)), warm, report)


class _Race:
    def __init__(self, instance: Instance, limits: Limits, team: Team, report: Report, warm: Plan) -> None:
        self.instance, self.limits, self.team, self.report = instance, limits, team, report
        self.cores, self.begun = max(1, limits.threads), monotonic()
        self.late = self.begun + limits.time_s if limits.iterations is None else inf
        self.time_s = limits.time_s - LAST_S - LAST_S_PER_ITEM * len(instance.items)
        self.best, self.rank, self.going = warm, rank(instance, warm), True
        each = max(1, round(len(instance.items) / PART_ITEMS / self.cores))
        self.parts = self.cores * max(each, 2 // self.cores)
        self.rounds = min(MOST_ROUNDS, max(4, int(self.time_s / PART_S * self.cores / self.parts)))
        self.impossible = not all_can_be_served(instance)
        self.whole, self.seen = Part.whole(instance), list[tuple[int, list[int]]]()

    @cached_property
    def where(self) -> np.ndarray:
        return positions(self.instance)

    def run(self) -> None:
        mending = bool(pyvrp_engine.left_out(self.instance)) and self.limits.iterations is None
        rounds = self.rounds - round(self.rounds * MENDING_SHARE) if mending else self.rounds
        self._open()
        for turn in range(rounds):
            if self._goes_on():
                self._in_parts(turn) if turn >= self._start(rounds) else self._together(turn)
        if mending and self._goes_on():
            self._mend()

    def _start(self, rounds: int) -> int:
        """How many rounds are searches of the whole, before the day is split."""
        items = len(self.instance.items)
        return rounds if items <= SPLIT_ITEMS else round(rounds * START_SHARE) if items <= LARGE_ITEMS else 0

    def _open(self) -> None:
        """A first plan at once, and a good one soon: of the whole, or of sectors where the day is large."""
        if self.best or len(self.instance.items) <= LARGE_ITEMS:
            tasks = [[self._task(self.whole, self.best, OPENING, core)] for core in range(self.cores)]
            for found in self._ask(tasks, self._construct):
                self._take(found.plan)
        else:
            self._solve(sectors(self.instance, self.where, self.parts), OPENING, self._construct)

    def _construct(self) -> None:
        """However little of the machine is ours, there is a plan soon."""
        if self.rank[0] > 0:
            self._take(first_plan(self.instance, self.late))

    def _goes_on(self) -> bool:
        """Whether nobody has stopped us and there is time for more than setting out."""
        timed = self.limits.iterations is None
        return self.going and not (timed and monotonic() > self.begun + self.time_s - TOO_LATE_S)

    def _together(self, turn: int) -> None:
        """Start and exchange: every core searches the whole; now and then all go on from the best."""
        plan = self.best if turn % EXCHANGE_EVERY == EXCHANGE_EVERY - 1 else []
        tasks = [[self._task(self.whole, plan, turn, core)] for core in range(self.cores)]
        for found in self._ask(tasks, self._recombine if self.seen else None):
            self._take(found.plan)
            self.seen = [*self.seen, *found.runs][-POOL_RUNS:]

    def _in_parts(self, turn: int) -> None:
        """Split: the best plan's runs in parts, along another cut each turn."""
        if len(self.best) < FEWEST_RUNS * self.parts:
            self._together(turn)
        else:
            self._solve(split(self.instance, self.where, self.best, self.parts, turn), turn)

    def _solve(self, cut: Split, turn: int, meanwhile: Callable[[], None] | None = None) -> None:
        """Every part on a core, some one after the other; the parts' plans together are a plan."""
        each = len(cut) // self.cores
        tasks = [
            [self._task(*cut[one * self.cores + core], turn, core, (one + 1) / each) for one in range(each)]
            for core in range(self.cores)
        ]
        self._take(joined(found.plan for found in self._ask(tasks, meanwhile)))

    def _recombine(self) -> None:
        """The best plan that the runs seen so far make together."""
        if self.best:
            self._take(recombined(self.instance, self.best, self.seen, RECOMBINE_EFFORT))

    def _mend(self) -> None:
        """Finish: OR-Tools knows every rule, and goes on from the best plan."""
        warm = self.best if self.best and self.rank[0] == 0 else None
        engine("ortools").run(self.instance, self._rest(), warm, self._take)

    def _rest(self) -> Limits:
        return replace(self.limits, time_s=max(0.0, self.begun + self.time_s - monotonic()))

    def _ask(self, tasks: list[list[Task]], meanwhile: Callable[[], None] | None = None) -> list[Found]:
        return self.team.ask(tasks, self.late, meanwhile)

    def _task(self, part: Part, plan: Plan, turn: int, core: int, share: float = 1.0) -> Task:
        """Return a task that ends with this share of what is left until the turn ends."""
        seed = (self.limits.seed * (MOST_ROUNDS + 2) + turn + 1) * self.cores + core
        part = replace(part, soft=self.impossible or (turn != OPENING and self.rank[0] > 0))
        return Task(part, plan, self._until(turn, share), seed, TASTES[core % len(TASTES)])

    def _until(self, turn: int, share: float) -> Until:
        if self.limits.iterations is not None:
            return Until(iterations=-(-self.limits.iterations // (MOST_ROUNDS + 1)))
        opening_s = OPENING_S * max(1.0, len(self.instance.items) / PART_ITEMS / self.cores)
        now, end = monotonic(), self.begun + self.time_s * (turn + 1) / self.rounds
        if turn == OPENING:
            patient = self.begun + self.time_s * START_SHARE * share
            return Until(min(now + opening_s * share, patient), None, patient)
        return Until(now + max(0.0, end - now) * share)

    def _take(self, plan: Plan) -> bool:
        """Keep a plan where it is better, and report it, until we are told to stop."""
        found = rank(self.instance, plan)
        if found < self.rank and self.going:
            self.best, self.rank = plan, found
            self.going = self.report(plan)
        return self.going


def all_can_be_served(instance: Instance) -> bool:
    """Whether there is a van for each item that must be served, were it the only one."""
    kinds = sorted(set(alike(instance)))
    must = [item for item in range(len(instance.items)) if instance.prize_cents[item] == MANDATORY]
    rows = [(van, instance.item_nodes[item]) for item in must for van in kinds]
    return not rows or bool(_fine(instance, rows).reshape(len(must), len(kinds)).any(axis=1).all())


def _fine(instance: Instance, plan: Plan) -> Bools:
    return keeps_all(
        drive(instance, *table(instance, [(van, with_breaks(instance, van, nodes)) for van, nodes in plan]))
    )


def rank(instance: Instance, plan: Plan) -> tuple[int, int]:
    """Compare plans by this: rules broken and work missing first, then cents."""
    if pyvrp_engine.left_out(instance):  # docks, locks across runs, balance: the judge knows all, and takes longer
        return evaluate(instance, Solution(runs=runs_of(instance, plan))).rank
    runs = drive(instance, *table(instance, plan))
    made = {int(instance.item[node]) for _, nodes in plan for node in nodes}
    missing = [item for item in range(len(instance.items)) if item not in made]
    forgone = instance.prize_cents[missing]
    wrong = sum(int(amounts.sum()) for amounts in broken(runs).values()) if plan else 0
    unserved = int((forgone == MANDATORY).sum())
    return wrong + UNSERVED_WEIGHT * unserved, int(cost_of(runs).sum() + forgone[forgone != MANDATORY].sum())
