"""The race: several searches on the given cores, and a single plan that is the best of their results.

Start: searches with different seeds from nothing, of sectors if the day is large. Exchange: the best goes on, and now and
then a core tries with a van less. Split: its runs in parts, each solved on a core of its own, along another cut every round.
Recombine: the best of all runs seen. Finish: rules that PyVRP cannot know are repaired by OR-Tools, and polished by the judge's
own clock.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from importlib.metadata import version
from math import inf
from time import monotonic

import numpy as np

from solver.alone import servable
from solver.construct import first_plan
from solver.decompose import Split, joined, positions, sectors, split
from solver.engines import Limits, PartlyFailedError, Plan, Report, engine
from solver.engines import pyvrp as pyvrp_engine
from solver.engines.pyvrp import SubProblem, alike
from solver.evaluate import UNSERVED_WEIGHT
from solver.instance import MANDATORY, Instance
from solver.rank import BROKEN_WEIGHT, rank
from solver.recombine import recombined
from solver.search import Taste, Until
from solver.timing_kernels import Bools
from solver.worker_pool import Polish, SearchResult, Task, WorkerPool

logger = logging.getLogger(__name__)

NAME = "race"
VERSIONS = {name: version(name) for name in ("pyvrp", "ortools")}

# In a search: fewer leave no time to turn the cut, more start over too often.
MOST_ROUNDS = 12
PART_S = 0.9  # at least, for each part in each round: shorter rounds end before a search has got anywhere
EXCHANGE_EVERY = 3  # rounds of searches of the whole: in between each goes its own way
SPLIT_ITEMS = 220  # a day with more is split after the start
LARGE_ITEMS = 700  # a day with more begins split
PART_ITEMS = 320  # about as many in a part of a large day
FEWEST_RUNS = 2  # in a part
FEWER_TRIES = 3  # to do with a van less
FEWER_SHARE = 0.5  # of the cost is vans, where it is tried: ways alone rarely save one
OPENING, OPENING_S = -1, 0.4  # before the first round: a plan is wanted within a second
TASTES = (Taste(20, memory=50), Taste(30, memory=100))  # core by core: quick, and thorough; each wins somewhere
STRICT = Taste(50, memory=50, strict=True)  # for shipments, fleets that are tight, and a van less
ANSWER_S = 1.2  # within which the searches of a large day's sectors have a first plan, on a machine that is ours
START_SHARE = 0.25  # of the time for the first searches, where a day is split after them
MENDING_SHARE = 0.4  # of the time to mend, where PyVRP was not told all
ORTOOLS_SHARE = 0.5  # of that for OR-Tools on one core; the rest is polished
RECOMBINE_EFFORT = 0.3  # seconds, about; beside the searches
POOL_RUNS = 3_000  # seen last
HOPE_SHARE = 0.75  # of the rounds in which a core looks for a plan that serves all it must, though none was found
TOO_LATE_S = 0.1  # before the end: a round would bring nothing
LAST_S, LAST_S_PER_ITEM = 0.03, 0.0002  # before the limit: to take the plans over and have them judged


def run(instance: Instance, limits: Limits, warm: Plan | None, report: Report) -> None:
    """Search until a limit or until `report` answers no; report each better plan."""
    if pyvrp_engine.refused(instance) and limits.iterations is not None:
        engine("ortools").run(instance, limits, warm, report)
        return
    with WorkerPool(instance, max(1, limits.threads)) as team:
        _Race(instance, limits, team, report, warm or []).run()


class _Race:
    def __init__(self, instance: Instance, limits: Limits, team: WorkerPool, report: Report, warm: Plan) -> None:
        self.instance, self.limits, self.team, self.report = instance, limits, team, report
        self.cores, self.begun = max(1, limits.threads), monotonic()
        self.late = self.begun + limits.time_s if limits.iterations is None else inf
        self.time_s = limits.time_s - LAST_S - LAST_S_PER_ITEM * len(instance.items)
        self.best, self.rank, self.going, self.failing = warm, rank(instance, warm), True, False
        each = max(1, round(len(instance.items) / PART_ITEMS / self.cores))
        self.parts = self.cores * max(each, 2 // self.cores)
        self.rounds = min(MOST_ROUNDS, max(4, int(self.time_s / PART_S * self.cores / self.parts)))
        self.told = not pyvrp_engine.left_out(instance)
        self.in_vain = not self.told and limits.iterations is None  # all that the searches found so far breaks rules
        self.servable, self.hoped = servable(instance, alike(instance)), False
        self.least_missing = missing_weight(instance, ~self.servable)
        self.tastes = (STRICT,) if _of_shipments(instance) else TASTES
        self.whole = SubProblem.whole(instance).possible(instance, self.servable)
        self.seen, self.tried, self.errors = list[tuple[int, list[int]]](), Counter[int](), dict[str, None]()

    @cached_property
    def where(self) -> np.ndarray:
        return positions(self.instance)

    @property
    def short(self) -> bool:
        """Whether the best plan lacks work that some van could do, or breaks a rule."""
        return self.rank[0] > self.least_missing

    def run(self) -> None:
        told = self.told
        rounds = self.rounds if told or self.limits.iterations is not None else round(self.rounds * (1 - MENDING_SHARE))
        if pyvrp_engine.refused(self.instance) or not (self.whole.items and self.whole.vans):
            told, rounds = False, 0
            self._construct()
        else:
            self._open()
        for turn in range(rounds):
            if self._goes_on() and not self.failing and not (self.in_vain and turn >= rounds * START_SHARE):
                self._in_parts(turn) if turn >= self._start(rounds) else self._together(turn)
        if (not told or self.failing) and self.limits.iterations is None:
            self._mend()
        if self.errors:
            raise PartlyFailedError("; ".join(self.errors))

    def _start(self, rounds: int) -> int:
        """How many rounds are searches of the whole, before the day is split."""
        items = len(self.instance.items)
        return rounds if items <= SPLIT_ITEMS else round(rounds * START_SHARE) if items <= LARGE_ITEMS else 0

    def _open(self) -> None:
        """A first plan at once, and a good plan soon: of the whole, or of sectors where the day is large."""
        if self.best or len(self.instance.items) <= LARGE_ITEMS:
            tasks = [[self._task(self.whole, self.best, OPENING, core)] for core in range(self.cores)]
            for found in self._ask(tasks, self._construct):
                self._take_found(found.plan)
        else:
            self._solve(sectors(self.instance, self.where, self.parts), OPENING, self._construct_if_late)
            self._construct()

    def _construct_if_late(self) -> None:
        """The searches of a large day have a plan as soon as we do, and a better plan; unless they keep us waiting."""
        if self.limits.iterations is None and not self.team.all_answer(self.begun + ANSWER_S):
            self._construct()

    def _construct(self) -> None:
        """However little of the machine is ours, there is a plan soon."""
        if self.short:
            self._take(first_plan(self.instance, self.late))

    def _goes_on(self) -> bool:
        """Whether nobody has stopped us and there is time for more than setting out."""
        timed = self.limits.iterations is None
        return self.going and not (timed and monotonic() > self.begun + self.time_s - TOO_LATE_S)

    def _together(self, turn: int) -> None:
        """Start and exchange: every core searches the whole; sometimes all continue from the best, or a core tries a van less."""
        fulfilled, self.hoped = self.hoped and not self.short, self.short
        plan = self.best if fulfilled or turn % EXCHANGE_EVERY == EXCHANGE_EVERY - 1 else []
        tasks = [[self._task(self.whole, plan, turn, core)] for core in range(self.cores)]
        if turn % EXCHANGE_EVERY == 1 and self._may_do_with_fewer():
            fewer = self._task(*with_fewer(self.instance, self.best), turn, self.cores - 1)
            tasks[-1] = [replace(fewer, taste=STRICT)]
        for found in self._ask(tasks, partial(self._recombine, turn) if self.seen else None):
            self._take_found(found.plan)
            self.seen = [*self.seen, *found.runs][-POOL_RUNS:]

    def _may_do_with_fewer(self) -> bool:
        """Whether a core can be spared for a smaller fleet: vans are most of the cost, and it has not been tried often."""
        self.tried[len(self.best)] += 1
        often = self.tried[len(self.best)] > FEWER_TRIES
        vans_cents = sum(self.instance.problem.vans[van].fixed_cents for van, _ in self.best)
        dear = not self.short and vans_cents > FEWER_SHARE * self.rank[1]
        return self.cores > 1 and len(self.best) > 1 and dear and not often

    def _in_parts(self, turn: int) -> None:
        """Split: the best plan's runs in parts, along another cut each turn."""
        if len(self.best) < FEWEST_RUNS * self.parts:
            self._together(turn)
        else:
            self._solve(split(self.instance, self.where, self.best, self.parts, turn), turn)

    def _solve(self, cut: Split, turn: int, meanwhile: Callable[[], None] | None = None) -> None:
        """Every part on a core, some in turn; the parts' plans together are a plan."""
        each = len(cut) // self.cores
        tasks = [
            [self._task(*cut[one * self.cores + core], turn, core, (one + 1) / each) for one in range(each)]
            for core in range(self.cores)
        ]
        self._take_found(joined(found.plan for found in self._ask(tasks, meanwhile)))

    def _recombine(self, turn: int) -> None:
        """The best plan from the runs seen so far, before the turn ends."""
        if self.best:
            until_at = self._until(turn, 1.0).at
            self._take(recombined(self.instance, self.best, self.seen, RECOMBINE_EFFORT, until_at))

    def _mend(self) -> None:
        """Finish: OR-Tools knows every rule, ruin and recreate the exact judgement too; then all continue from the best plan."""
        now, end = monotonic(), self.begun + self.time_s
        self._polish(self.cores - 1, now + ORTOOLS_SHARE * (end - now), self._by_ortools)
        self._polish(self.cores, end)

    def _polish(self, cores: int, until: float, meanwhile: Callable[[], None] | None = None) -> None:
        if self._goes_on():
            tasks = [[Polish(self.best, until, self.limits.seed * self.cores + core)] for core in range(cores)]
            for found in self._ask(tasks, meanwhile):
                self._take(found.plan)

    def _by_ortools(self) -> None:
        """OR-Tools beside the polishing; work that it cannot take is the others'."""
        try:
            self._search_by_ortools()
        except Exception as error:
            logger.exception("OR-Tools failed in the race")
            self.errors[f"ortools: {error!r}"] = None

    def _search_by_ortools(self) -> None:
        left_s = max(0.0, self.begun + self.time_s - monotonic())
        warm = self.best if self.best and not self.short else None
        engine("ortools").run(self.instance, replace(self.limits, time_s=ORTOOLS_SHARE * left_s), warm, self._take)

    def _ask(
        self, tasks: Sequence[Sequence[Task | Polish]], meanwhile: Callable[[], None] | None = None
    ) -> list[SearchResult]:
        """Return the searches' plans; where all of them failed, the rest of the time is OR-Tools' and the polishing's."""
        found = self.team.ask(tasks, self.late, meanwhile)
        errors = [one.error for one in found if one.error]
        self.errors |= dict.fromkeys(errors)
        self.failing = bool(errors) and len(errors) == len(found)
        return found

    def _task(self, part: SubProblem, plan: Plan, turn: int, core: int, share: float = 1.0) -> Task:
        """Return a task that ends after this share of the time until the turn ends."""
        seed = (self.limits.seed * (MOST_ROUNDS + 2) + turn + 1) * self.cores + core
        hopes = self._hopes(part, turn, core)
        soft = self.short and turn != OPENING and not hopes
        taste = STRICT if hopes else self.tastes[core % len(self.tastes)]
        part = replace(part.possible(self.instance, self.servable), soft=soft)
        return Task(part, plan, self._until(turn, share), seed, taste)

    def _hopes(self, part: SubProblem, turn: int, core: int) -> bool:
        """Whether a search of the whole still looks for a plan that serves all mandatory work, though none was found so far.

        All do at the start, and core 0 through most of the rounds, every other round where it is the only core. The other
        searches may leave out mandatory work, at a price.
        """
        if turn == OPENING or not self.short or part != self.whole:
            return False
        if turn < self.rounds * START_SHARE:
            return True
        return turn < self.rounds * HOPE_SHARE and (core == 0 if self.cores > 1 else turn % 2 == 0)

    def _until(self, turn: int, share: float) -> Until:
        if self.limits.iterations is not None:
            return Until(iterations=-(-self.limits.iterations // (MOST_ROUNDS + 1)))
        opening_s = OPENING_S * max(1.0, len(self.instance.items) / PART_ITEMS / self.cores)
        now, end = monotonic(), self.begun + self.time_s * (turn + 1) / self.rounds
        if turn == OPENING:
            return Until(now + min(opening_s, self.time_s * START_SHARE) * share)
        return Until(now + max(0.0, end - now) * share)

    def _take_found(self, plan: Plan) -> None:
        """Keep a search's plan where it is better; note whether it keeps the rules, also those that PyVRP does not know."""
        self.in_vain = self.in_vain and rank(self.instance, plan)[0] >= BROKEN_WEIGHT
        self._take(plan)

    def _take(self, plan: Plan) -> bool:
        """Keep a plan where it is better, and report it, until we are asked to stop."""
        found = rank(self.instance, plan)
        if found < self.rank and self.going:
            self.best, self.rank = plan, found
            self.going = self.report(plan)
        return self.going


def with_fewer(instance: Instance, plan: Plan) -> tuple[SubProblem, Plan]:
    """Return the day for the plan's vans except the least busy, and the others' runs to start from."""
    least = min(plan, key=lambda run: len(run[1]))
    others = [run for run in plan if run is not least]
    return replace(SubProblem.whole(instance), vans=tuple(van for van, _ in others)), others


def missing_weight(instance: Instance, missing: Bools) -> int:
    """Return the weight in `rank` of these items unserved: mandatory ones, by priority."""
    mandatory = missing & (instance.prize_cents == MANDATORY)
    return UNSERVED_WEIGHT * int((1 + instance.priority[mandatory]).sum())


def _of_shipments(instance: Instance) -> bool:
    """Whether most are shipments."""
    return 2 * sum(len(nodes) > 1 for nodes in instance.item_nodes) > len(instance.items)
