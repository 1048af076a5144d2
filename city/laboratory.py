"""The laboratory: scenarios, policies and metrics, all fixed before any comparison, on the same readers for every policy."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from city import day as steps
from city import policies, visits
from city.arrays_driver import DAYS_A_WEEK, LOANS_PER_KM, Policy, Week, run
from city.model import CitySize, DrawnCity, Ints, Records, build, shelf_rooms
from city.scenarios import WARM_WEEKS, YEAR_WEEKS, Scenario, listed_classes
from rotation.network import Network, Place, Tier
from rotation.night.world.places import ways
from rotation.rebalancing.snapshot import Places, PlanningSettings

SEEDS_TUNED, SEEDS_REPORTED = (
    range(10),
    range(10, 20),
)  # parameters were chosen on the first, figures come from the second
# Shelf moves: the curves' points; equal for every policy that moves.
BUDGETS_A_WEEK = (40, 80, 160, 320)
MIDDLE_BUDGET = 160  # where policies are compared at equal moves

# Copies a week that desk and shelf can take in or give away.
IN_OUT_BY_TIER = (400, 160, 60, 20)
SPECIAL_SHELF = 0.4  # share of a special group's shelf that should be filled: the floor
MINUTES_PICKED, MINUTES_CHECKED_IN = 2.5, 0.5  # of staff, for a copy
STALE_WEEKS = 52.0
# The size that the comparison requires.
LARGE = CitySize(titles=8_000, copies=66_000)


@dataclass(frozen=True)
class Laboratory:
    """A city of one scenario and seed, with its tape: every policy starts from the same state and meets the same readers."""

    network: Network
    scenario: Scenario
    seed: int
    size: CitySize = LARGE
    weeks: int = WARM_WEEKS + YEAR_WEEKS
    world: DrawnCity = field(init=False)
    tape: list[Records] = field(init=False)
    places: Places = field(init=False)
    listed: Ints = field(init=False)  # T: classes as the library lists them

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", with_shelves_for(self.network, self.size.copies))
        size = self.size._replace(visits_a_week=self.size.visits_a_week * self.scenario.visits)
        world = build(self.network, self.seed, size, self.scenario.truth)
        draw = np.random.default_rng([self.seed, 4])
        if self.scenario.bend:
            world = self.scenario.bend(world, draw)
        if self.scenario.well_placed:
            world = world._replace(first_place=well_placed(world, shelf_rooms(self.network)))
        interests = self.scenario.interests(world, self.network) if self.scenario.interests else None
        days = range(self.weeks * DAYS_A_WEEK)
        object.__setattr__(self, "world", world)
        tape = visits.tape(world, self.seed, days, interests)
        object.__setattr__(self, "tape", self.scenario.tape(world, tape, draw) if self.scenario.tape else tape)
        object.__setattr__(self, "listed", listed_classes(world, self.scenario.wrong_class, self.seed))
        object.__setattr__(self, "places", seen_places(self.network))

    def measure(self, policy: Policy, warm_weeks: int = WARM_WEEKS) -> dict[str, float]:
        """Let a policy decide for the whole time, and return its metrics after the warm-up, by the year."""
        state = steps.begin(self.world, self.seed)
        weeks = run(self.world, state, self.tape, policy, self.places, self.scenario.feed, listed=self.listed)
        return metrics(self, state, weeks[warm_weeks - 1], weeks[-1], (len(weeks) - warm_weeks) / YEAR_WEEKS)


def with_shelves_for(network: Network, copies: int) -> Network:
    """Return the network with shelves as full as the whole city's are, for a city of fewer copies."""
    share = min(1.0, copies / LARGE.copies)
    return network.model_copy(update={"places": tuple(_smaller(place, share) for place in network.places)})


def _smaller(place: Place, share: float) -> Place:
    return place.model_copy(update={"shelf": {name: math.ceil(room * share) for name, room in place.shelf.items()}})


def seen_places(network: Network) -> Places:
    """Return the places as a library's planner has them."""
    tiers, room = [list(Tier).index(place.tier) for place in network.places], shelf_rooms(network)
    special = np.array([c.special_group is not None for c in network.classes])
    through = np.array(IN_OUT_BY_TIER)[tiers]
    floor = np.floor(room * special * SPECIAL_SHELF).astype(np.int32)
    trip = ways(network, [place.id for place in network.places], LOANS_PER_KM).end
    return Places.of(
        tiers,
        [place.population for place in network.places],
        classes=len(network.classes),
        room=room,
        in_copies=through,
        out_copies=through,
        in_cost=trip,
        out_cost=trip,
        class_floor=floor,
    )


# --- Metrics ------------------------------------------------------------------------------------------------------------


def metrics(lab: Laboratory, state: steps.CityState, begin: Week, end: Week, years: float) -> dict[str, float]:
    """Return the agreed metrics; counts by the year."""
    counts = (end.counts - begin.counts) / years
    loans = (end.loans - begin.loans) / years
    people = lab.places.population
    trips, picks, diverted = counts[steps.TRIPS], counts[steps.PICKS], counts[steps.DIVERTED]
    rooms = lab.places.tier == list(Tier).index(Tier.ROOM)
    found = {
        "loans": counts[steps.LOANS],
        "unmet": counts[steps.UNMET],
        "hold_days": counts[steps.HOLD_DAYS] / max(counts[steps.HOLDS_FILLED], 1),
        "rooms_per_head": loans[rooms].sum() / people[rooms].sum(),
        "gini": gini(loans / np.maximum(people, 1), people),
        "picks": picks,
        "diverted": diverted,
        "copy_km": (end.km - begin.km) / years,
        "handlings": 2 * trips,
        "staff_minutes": MINUTES_PICKED * picks + 2 * MINUTES_CHECKED_IN * trips,
        "stale_share": stale_share(lab, state),
        "ping_pong_share": counts[steps.BACK_AGAIN] / max(counts[steps.REHOMED], 1),
        "floor_copies_missing": floor_missing(lab, state),
    }
    return {name: round(float(value), 6) for name, value in found.items()}


def gini(access: NDArray[np.float64], people: NDArray[np.float64]) -> float:
    """Return the Gini coefficient of loans per head over residents, each counted at its place."""
    order = np.argsort(access)
    weight = people[order] / people.sum()
    share = np.cumsum(access[order] * weight)
    below = np.concatenate([[0.0], share[:-1]])
    return float(1 - (weight * (share + below)).sum() / share[-1])


def stale_share(lab: Laboratory, state: steps.CityState) -> float:
    """Return the share of copies on shelves that nobody took for a year there."""
    rows = state.copies[state.copies["state"] == steps.SHELF]
    idle = lab.weeks * DAYS_A_WEEK - np.maximum(rows["shelved"], rows["lent"])
    return float((idle > STALE_WEEKS * DAYS_A_WEEK).mean())


def floor_missing(lab: Laboratory, state: steps.CityState) -> float:
    """Return how many copies the special groups' shelves lack at the end."""
    here = state.copies[np.isin(state.copies["state"], (steps.SHELF, steps.LOAN, steps.TRANSIT))]
    have = np.zeros(lab.places.class_floor.shape)
    np.add.at(have, (here["home"], lab.world.cls[here["title"]]), 1)
    return float(np.maximum(lab.places.class_floor - have, 0).sum())


# --- Stock that stands where it is wanted -----------------------------------------------------------------------------------


def well_placed(world: DrawnCity, room: Ints, loan_weeks: float = 2.5) -> Ints:
    """Return places for the copies, best first by their true worth, within the shelves' room."""
    copies = np.bincount(world.title[world.born == 0], minlength=len(world.cls))
    worth, rows = world.interest.astype(np.float64), []
    blocked = np.ones_like(worth)
    for k in range(1, 4):
        following = worth * loan_weeks * blocked / (k + worth * loan_weeks * blocked)
        rows.append((worth * (blocked - following)).ravel())
        blocked = following
    value = np.concatenate(rows)
    order = np.argsort(-value, kind="stable") % worth.size
    first = _fill(order, copies, room.copy(), world.cls, worth.shape[1])
    return _stand(world, first)


@njit(cache=True)
def _fill(order: NDArray[np.int64], copies: NDArray[np.int64], room: Ints, cls: Ints, places: int) -> NDArray[np.int64]:
    """Return T x P: copies of the title that stand there, taking the best worth first."""
    left = copies.copy()
    stand = np.zeros((len(cls), places), np.int64)
    for i in range(len(order)):
        t, p = order[i] // places, order[i] % places
        if left[t] > 0 and room[p, cls[t]] > 0:
            stand[t, p] += 1
            left[t] -= 1
            room[p, cls[t]] -= 1
    for t in range(len(cls)):  # copies without a place among the best stand wherever there is room
        for p in range(places):
            while left[t] > 0 and room[p, cls[t]] > 0:
                stand[t, p] += 1
                left[t] -= 1
                room[p, cls[t]] -= 1
    return stand


def _stand(world: DrawnCity, stand: NDArray[np.int64]) -> Ints:
    place = world.first_place.copy()
    title, where = np.nonzero(stand)
    slots = np.repeat(where, stand[title, where])
    owners = np.repeat(title, stand[title, where])
    old = np.flatnonzero(world.born == 0)
    old = old[np.argsort(world.title[old], kind="stable")]
    if not np.array_equal(world.title[old], owners):
        raise ValueError("shelves have no room for every copy")
    place[old] = slots
    return place


# --- Policies ---------------------------------------------------------------------------------------------------------------

Make = Callable[[Laboratory, int], Policy]
# Of column generation: on seed 0 the loans of two (571,915 beside 571,776 of *both*, 431,567 beside 431,701 of *picks*) in four
# fifths of the time.
NIGHT_ROUNDS = 1


def _rotation(picks: bool, desk: bool, oracle: bool = False, way: float = 1.0, promises: bool = True) -> Make:
    """Rotation; without `promises` it keeps no special group's shelf and weighs every place alike, as rivals do."""

    def make(lab: Laboratory, moves: int) -> Policy:
        settings = PlanningSettings(budget_moves=moves, desk_chance=0.5 if desk else 1.0, rounds=NIGHT_ROUNDS)
        if not promises:
            settings = replace(settings, equity=0.0, floor_bonus=0.0)
        return policies.Rotation(
            picks=picks, desk=desk, settings=settings, knows=lab.world.interest if oracle else None, way=way
        )

    return make


POLICIES: Mapping[str, Make] = {
    "none": lambda lab, moves: policies.Nobody(),
    "floating": lambda lab, moves: policies.Nobody(floating=True),
    "rota": lambda lab, moves: policies.Rota(moves_a_week=moves),
    "min_max": lambda lab, moves: policies.MinMax(moves_a_week=moves),
    "proportional": lambda lab, moves: policies.Proportional(moves_a_week=moves),
    "greedy": lambda lab, moves: policies.Greedy(moves_a_week=moves),
    "greedy_desk": lambda lab, moves: policies.GreedyDesk(moves_a_week=moves),
    "greedy_desk_way_2": lambda lab, moves: policies.GreedyDesk(moves_a_week=moves, way=2.0),
    "greedy_desk_equity": lambda lab, moves: policies.GreedyDesk(moves_a_week=moves, equity=0.5),
    "esr": lambda lab, moves: policies.ShortageDesk(moves_a_week=moves),
    "picks": _rotation(picks=True, desk=False),
    "placement": _rotation(picks=False, desk=True),
    "both": _rotation(picks=True, desk=True),
    "both_way_2": _rotation(picks=True, desk=True, way=2.0),
    "both_no_promises": _rotation(picks=True, desk=True, promises=False),
    "oracle": _rotation(picks=True, desk=True, oracle=True),
}
WITHOUT_BUDGET = ("none", "floating", "placement")  # nobody picks from shelves: the same at every budget


def compare(lab: Laboratory, names: tuple[str, ...], moves: int) -> dict[str, Any]:
    """Return each policy's metrics at `moves` shelf moves a week."""
    return {name: lab.measure(POLICIES[name](lab, moves)) for name in names}
