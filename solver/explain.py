"""Why something is not served: no van ever could, or the obstacles, van by van.

The idea: nothing is inferred, everything is tried. Each van's run is driven with the visit at every possible position,
in a table, and the best position is reported. A van's result depends on its own run alone, so after an edit only the
changed runs are tried again (`Explainer` remembers the others).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from solver.evaluate import ahead, cost_of, evaluate, evaluate_change, violations_of
from solver.insertion import insertions, to_do
from solver.instance import MANDATORY, Instance, compiled
from solver.problem import Name, Problem, Run
from solver.rules import broken
from solver.schedule import Schedule, drive, table
from solver.solution import Cause, Evaluation, Solution, Violation
from solver.timing_kernels import Ints

# Tried in one table: more would leave the processor's cache.
ROWS_AT_ONCE = 4_000
Attempt = tuple[int, int, tuple[int, ...]]  # item, van, and the nodes of its run


class Verdict(StrEnum):
    IMPOSSIBLE = "impossible"  # no van could, even with nothing else to do
    NO_ROOM = "no_room"  # some van could, but not beside the work in its plan
    COSTS_MORE = "costs_more"  # it fits, and serving it costs more than its prize
    WORTH_IT = "worth_it"  # it fits, and should be served: the plan can be made better


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule that serving it would break, and by how much."""

    cause: Cause
    amount: int
    unit: str
    at: Name  # the visit where it breaks most: often another than the inserted


@dataclass(frozen=True, slots=True)
class VanTrial:
    """The result of trying it on a van."""

    van: Name
    never: list[BrokenRule]  # broken even on an empty run: this van never could
    blocks: list[BrokenRule]  # broken at the best place of its present run; empty: it fits
    extra_cents: int = 0  # at that place
    extra_s: int = 0
    extra_m: int = 0
    run: Run | None = None  # the run with it there

    @property
    def fits(self) -> bool:
        return not self.never and not self.blocks


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a stop or shipment is not served. `findings` has every van, the best first."""

    id: Name
    verdict: Verdict
    prize_cents: int | None
    findings: list[VanTrial]

    @property
    def best(self) -> VanTrial:
        return self.findings[0]


def explain(problem: Problem | Instance, solution: Solution) -> list[Explanation]:
    """Return why each stop and shipment that the plan leaves out is not served."""
    return Explainer(problem).explain(solution)


class Explainer:
    """Explains plan after plan of the same problem; unchanged parts are not tried again."""

    def __init__(self, problem: Problem | Instance) -> None:
        self.instance = compiled(problem)
        self.alone: dict[tuple[int, int], list[BrokenRule]] = {}
        self.found: dict[Attempt, VanTrial] = {}

    def explain(self, solution: Solution, evaluation: Evaluation | None = None) -> list[Explanation]:
        """Explain a plan; pass its evaluation if available."""
        evaluation = evaluation or evaluate(self.instance, solution)
        number = {item.id: index for index, item in enumerate(self.instance.items)}
        left_out = [number[name] for name in evaluation.unserved]
        runs = self._runs(solution)
        self._try_all(left_out, runs)
        return [self._explanation(item, runs, evaluation) for item in left_out]

    def _runs(self, solution: Solution) -> dict[int, tuple[int, ...]]:
        """Each van's nodes ahead, () for a van that stays in."""
        runs: dict[int, tuple[int, ...]] = dict.fromkeys(range(len(self.instance.start)), ())
        for run in solution.runs:
            van = self.instance.van_number.get(run.van)
            if van is not None:
                runs[van] = tuple(ahead(self.instance, van, run)[0])
        return runs

    # ---- trying

    def _try_all(self, items: Sequence[int], runs: dict[int, tuple[int, ...]]) -> None:
        alone = [(item, van) for item in items for van in runs if (item, van) not in self.alone]
        self.alone.update(zip(alone, self._blocks_alone(alone), strict=True))
        missing = [
            (item, van, nodes)
            for item in items
            for van, nodes in runs.items()
            if (item, van, nodes) not in self.found and not self.alone[item, van]
        ]
        for batch in self._batches(missing):
            self._try(batch)

    def _blocks_alone(self, pairs: list[tuple[int, int]]) -> list[list[BrokenRule]]:
        """The rules broken when the van has nothing else to do, even if it loads first; a missing rest is not yet a reason."""
        tries = [(van, insertions(self.instance, van, (), to_do(self.instance, item))) for item, van in pairs]
        rows = [(van, row) for van, some in tries for row in some]
        found = iter(violations_of(drive(self.instance, *table(self.instance, rows)))) if rows else iter(())
        wrong = [[_blocks(_but_breaks(next(found)), []) for _ in some] for _, some in tries]
        return [min(blocks, key=_size) for blocks in wrong]

    def _batches(self, missing: list[Attempt]) -> list[list[Attempt]]:
        """Group attempts so that each table has runs of like length, and not too many rows."""
        batches: list[list[Attempt]] = []
        rows = ROWS_AT_ONCE
        for one in sorted(missing, key=lambda one: len(one[2])):
            halves = len(to_do(self.instance, one[0]))
            size = (len(one[2]) + 1) * (1 if halves == 1 else (len(one[2]) + 2) // 2 + 1)
            if rows + size > ROWS_AT_ONCE:
                batches.append([])
                rows = 0
            batches[-1].append(one)
            rows += size
        return batches

    def _try(self, batch: list[Attempt]) -> None:
        """Sketch each run of the batch with the item at every place, then drive the best of each beside the run as it is."""
        rows, bounds = list[tuple[int, list[int]]](), [0]
        for item, van, nodes in batch:
            rows += [(van, row) for row in insertions(self.instance, van, nodes, to_do(self.instance, item))]
            bounds.append(len(rows))
        runs = drive(self.instance, *table(self.instance, rows))
        cost, wrong = cost_of(runs), broken(runs)
        chosen = [rows[_least(cost, wrong, first, last)] for first, last in pairwise(bounds)]
        before = [(van, list(nodes)) for _, van, nodes in batch]
        self._settle(batch, chosen, drive(self.instance, *table(self.instance, before + chosen)))

    def _settle(self, batch: list[Attempt], chosen: list[tuple[int, list[int]]], runs: Schedule) -> None:
        """Record how each chosen row (the second half of `runs`) changes its run (the first half)."""
        half = len(batch)
        cost, wrong = cost_of(runs), violations_of(runs)
        for row, (one, (van, nodes)) in enumerate(zip(batch, chosen, strict=True)):
            self.found[one] = VanTrial(
                van=self.instance.problem.vans[van].id,
                never=[],
                blocks=_blocks(wrong[half + row], wrong[row]),
                extra_cents=int(cost[half + row] - cost[row]),
                extra_s=int(runs.work_s[half + row] - runs.work_s[row]),
                extra_m=int(runs.way_m[half + row] - runs.way_m[row]),
                run=self._run(van, nodes),
            )

    def _run(self, van: int, nodes: list[int]) -> Run:
        position = self.instance.problem.vans[van].under_way
        done = [one.visit for one in position.done] if position else []
        return Run(van=self.instance.problem.vans[van].id, visits=done + [self.instance.keys[node] for node in nodes])

    # ---- saying

    def _explanation(self, item: int, runs: dict[int, tuple[int, ...]], evaluation: Evaluation) -> Explanation:
        prize = int(self.instance.prize_cents[item])
        findings = [self._checked(self._found(item, van, nodes), evaluation) for van, nodes in runs.items()]
        findings.sort(key=lambda one: (bool(one.never), bool(one.blocks), _size(one.blocks), one.extra_cents))
        return Explanation(
            id=self.instance.items[item].id,
            verdict=_verdict(findings[0], prize),
            prize_cents=None if prize == MANDATORY else prize,
            findings=findings,
        )

    def _found(self, item: int, van: int, nodes: tuple[int, ...]) -> VanTrial:
        never = self.alone[item, van]
        return VanTrial(self.instance.problem.vans[van].id, never, []) if never else self.found[item, van, nodes]

    def _checked(self, finding: VanTrial, evaluation: Evaluation) -> VanTrial:
        """Try candidates that fit in the whole plan too, where docks or locks tie runs together."""
        problem = self.instance.problem
        tied = any(depot.docks for depot in problem.depots) or any(not lock.van for lock in problem.locks)
        if not tied or not finding.fits or not finding.run:
            return finding
        after = evaluate_change(self.instance, evaluation, [finding.run])
        before = {(one.cause, one.van, one.visit): one.amount for one in evaluation.violations}
        worse = [
            BrokenRule(one.cause, one.amount, one.unit, one.visit or "")
            for one in after.violations
            if one.amount > before.get((one.cause, one.van, one.visit), 0)
        ]
        return VanTrial(finding.van, [], worse, finding.extra_cents, finding.extra_s, finding.extra_m, finding.run)


def _blocks(after: list[Violation], before: list[Violation]) -> list[BrokenRule]:
    """Return the violations that are new, or larger than before: a violation for each cause, at its worst visit."""
    had, blocks = Counter[Cause](), list[BrokenRule]()
    for one in before:
        had[one.cause] += one.amount
    for cause in dict.fromkeys(one.cause for one in after):
        mine = [one for one in after if one.cause is cause]
        worst = max(mine, key=lambda one: one.amount)
        added = sum(one.amount for one in mine) - had[cause]
        if added > 0:
            blocks.append(BrokenRule(cause, added, worst.unit, worst.visit or ""))
    return blocks


def _least(cost: Ints, wrong: dict[Cause, Ints], first: int, last: int) -> int:
    """Return the row from `first` to before `last` that breaks fewest rules, by the least amount, then costs least."""
    none = np.zeros(last - first, dtype=np.int64)
    causes = sum(((amounts[first:last] > 0).astype(np.int64) for amounts in wrong.values()), none)
    amount = sum((amounts[first:last] for amounts in wrong.values()), none)
    return first + int(np.lexsort((cost[first:last], amount, causes))[0])


def _size(blocks: list[BrokenRule]) -> tuple[int, int]:
    return len(blocks), sum(block.amount for block in blocks)


def _verdict(best: VanTrial, prize: int) -> Verdict:
    if best.never:
        return Verdict.IMPOSSIBLE
    if best.blocks:
        return Verdict.NO_ROOM
    return Verdict.COSTS_MORE if prize != MANDATORY and best.extra_cents >= prize else Verdict.WORTH_IT


def _but_breaks(violations: list[Violation]) -> list[Violation]:
    return [one for one in violations if one.cause is not Cause.BREAK]
