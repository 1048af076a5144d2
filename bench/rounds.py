"""With the vans or before them: expected loans per van-hour of planning first and routing after, beside two or three rounds.

    python -m bench.rounds [--seeds 5] [--loan-cents 200] >> bench/results/rounds.jsonl

The demonstration's network with a tenth of its city's stock after half a year in which every copy went home. Its night is
planned, and the picks are routed on the same day as the library system's own shipments, which are drawn here between places in
proportion to residents and always go. Both ways are then driven out: three days of runs that must carry what was decided. One
JSON line a day: van-hours in all, those beyond the shipments' own, and expected loans for each of either. `loans` are the carried
picks' gains; `value_loans` the plan's value without what was left behind, floors met included. Trunks run every night and are
not counted, so what goes from hub to hub takes no van.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from bench.twin import NETWORK, TENTH
from city.arrays_driver import Moves
from city.laboratory import Laboratory
from city.policies import Nobody
from city.scenarios import SCENARIOS
from rotation.courier.calendar import Calendar
from rotation.courier.day import Solve, plan_day, plan_days, solve_alone
from rotation.courier.legs import Now, OpenTransfer, Where
from rotation.courier.problems import Worth
from rotation.network import Network, read
from rotation.night import rounds
from rotation.rebalancing.outcome import Move, Plan
from rotation.rebalancing.plan import plan
from rotation.rebalancing.snapshot import PlanningSettings, Snapshot

WEEKS = 26
DAY = date(2026, 3, 3)  # a Tuesday, when nearly all places are open
DRIVEN_DAYS = 3  # collected on the first, sorted, by trunk, delivered by the third
ITERATIONS, NO_LIMIT_S = 60, 60.0  # of each hub's search: the same on any machine
PICKS = (30, 100)  # a day; the demonstration's 300 for a tenth of its stock, and more than three times that
SHIPMENTS = (60, 300)  # the library system's own, a day: some places have a van anyway, or most


@dataclass
class Watching(Nobody):
    """Moves nothing, and keeps the library's last weekly view."""

    seen: list[Snapshot] = field(default_factory=list)

    def night(self, seen: Snapshot, week: int) -> Moves:
        """Keep the view."""
        self.seen[:] = [seen]
        return super().night(seen, week)


@dataclass(frozen=True)
class SyntheticDay:
    """A synthetic day: the night's world, the copies already waiting, and the number of picks."""

    network: Network
    snapshot: Snapshot
    waiting: Sequence[OpenTransfer]
    settings: PlanningSettings
    loan_cents: int
    seed: int

    def before_the_vans(self) -> rounds.Round:
        """Plan as if there were no vans, then send them wherever a pick is."""
        return self._attempt(rounds.Closed(), 0)

    def with_the_vans(self) -> tuple[rounds.Round, int]:
        """Plan and route in rounds; return the best, and the number of rounds."""
        first = self._attempt(rounds.Closed(), self.loan_cents)
        tried = rounds.together(
            first,
            lambda one: rounds.unvisited(one.routed, self._worth(one.decided), self.network),
            lambda closed: self._attempt(closed, self.loan_cents),
        )
        return rounds.best(tried), len(tried)

    def _attempt(self, closed: rounds.Closed, loan_cents: int) -> rounds.Round:
        row = {place.id: number for number, place in enumerate(self.network.places)}
        decided = plan(rounds.without(self.snapshot, closed, row), self.settings, self.seed)
        worth, waiting = self._worth(decided) if loan_cents else {}, [*self.waiting, *self._picks(decided.moves)]
        routed = plan_day(self.network, DAY, waiting, self._now, search=self._search, worth=worth)
        return rounds.judged(decided, routed, worth, loan_cents)

    def _worth(self, decided: Plan) -> Worth:
        return rounds.worth(((_id(one), str(one.reason.code), one.gain) for one in decided.moves), self.loan_cents)

    def _picks(self, moves: Iterable[Move]) -> Iterator[OpenTransfer]:
        places = self.network.places
        for one in moves:
            ends = places[one.destination].id, Where.PLACE, places[one.origin].id
            yield OpenTransfer(_id(one), f"copy-{one.copy}", *ends, self._now, "pick")

    @property
    def _now(self) -> datetime:
        return self.network.instant(DAY, 6 * 3600)

    @property
    def _search(self) -> Solve:
        return partial(solve_alone, time_s=NO_LIMIT_S, seed=self.seed, iterations=ITERATIONS)

    def carried(self, one: rounds.Round) -> list[Move]:
        """Return the moves that vans make."""
        left = {transfer for _, some in rounds.left_out(one.routed) for transfer in some}
        return [move for move in one.decided.moves if _id(move) not in left]

    def van_hours(self, moves: Iterable[Move]) -> float:
        """Return the time of all runs until these moves, and the copies waiting beside them, have arrived."""
        days, waiting = [DAY + timedelta(days=n) for n in range(DRIVEN_DAYS)], [*self.waiting, *self._picks(moves)]
        found = plan_days(Calendar(self.network), days, waiting, Now(DAY, self._now), self._search, None)
        runs = (run for hub_day in found.hubs for run in hub_day.runs)
        return sum((run.returns_at - run.departs_at).total_seconds() for run in runs) / 3600


def _id(move: Move) -> str:
    return f"pick-{move.copy}"


def worlds(seed: int) -> tuple[Network, Snapshot]:
    """Return the library's view of the city after half a year."""
    lab, watching = Laboratory(read(NETWORK), SCENARIOS[0], seed, TENTH, WEEKS), Watching()
    lab.measure(watching, WEEKS - 1)
    return lab.network, watching.seen[0]


def shipments(network: Network, number: int, seed: int) -> list[OpenTransfer]:
    """Draw the library system's own shipments."""
    draw, places = np.random.default_rng(seed), [place for place in network.places if place.located]
    people = np.array([place.population + 1.0 for place in places])
    ends = draw.choice(len(places), (number, 2), p=people / people.sum())
    return [
        OpenTransfer(f"shipment-{n}", f"sent-{n}", places[b].id, Where.PLACE, places[a].id)
        for n, (a, b) in enumerate(ends.tolist())
        if a != b
    ]


def lines(seed: int, loan_cents: int) -> Iterator[dict[str, Any]]:
    """Yield a line for each number of picks and of shipments."""
    network, snapshot = worlds(seed)
    for picks in PICKS:
        for sent in SHIPMENTS:
            waiting = shipments(network, sent, seed)
            day = SyntheticDay(network, snapshot, waiting, PlanningSettings(budget_moves=picks), loan_cents, seed)
            about = {"bench": "rounds", "seed": seed, "places": len(network.places), "copies": len(snapshot.copies)}
            asked = {"picks_asked": picks, "shipments": len(waiting), "loan_cents": loan_cents}
            yield about | asked | compared(day)


def compared(day: SyntheticDay) -> dict[str, Any]:
    """Measure both ways of deciding a day."""
    begin = time.process_time()
    before = day.before_the_vans()
    between = time.process_time()
    together, count = day.with_the_vans()
    end, alone_h = time.process_time(), day.van_hours([])
    return {
        "own_van_hours": round(alone_h, 2),
        "before": _figures(day, before, alone_h) | {"processor_s": round(between - begin, 2)},
        "with": _figures(day, together, alone_h) | {"rounds": count, "processor_s": round(end - between, 2)},
    }


def _figures(day: SyntheticDay, one: rounds.Round, alone_h: float) -> dict[str, Any]:
    moves = day.carried(one)
    hours, loans = day.van_hours(moves), sum(move.gain for move in moves)
    return {
        "moves": len(moves),
        "loans": round(loans, 1),
        "value_loans": round(one.decided.value - sum(move.gain for move in one.decided.moves) + loans, 1),
        "van_hours": round(hours, 2),
        "loans_per_van_hour": round(loans / hours, 2) if hours else None,
        "loans_per_van_hour_more": round(loans / (hours - alone_h), 2) if hours > alone_h else None,
    }


def main() -> None:
    """Print a line for each day."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--loan-cents", type=int, default=200)
    asked = parser.parse_args()
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for line in lines(seed, asked.loan_cents):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
