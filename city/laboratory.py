"""The laboratory: scenarios, policies and metrics, all fixed before anything is compared, on the same readers for everyone."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from city import day as steps
from city import policies, visits
from city.arrays_driver import DAYS_A_WEEK, Feed, Policy, Week, run
from city.model import Ints, Records, Size, Truth, World, build, shelf_rooms
from rotation.network import Network, Place, Tier
from rotation.rebalancing.snapshot import Places, Settings
from rotation.store.places import PER_KM_LOANS

WARM_WEEKS, YEAR_WEEKS = 26, 52
CHANGE_WEEK = WARM_WEEKS + 13  # when demand shifts
SEEDS_TUNED, SEEDS_REPORTED = (
    range(10),
    range(10, 20),
)  # parameters were chosen on the first, figures come from the second
BUDGETS_A_WEEK = (40, 80, 160, 320)  # shelf moves: the curves' points; equal for all who move
MIDDLE_BUDGET = 160  # where policies are compared at equal moves

IN_OUT_BY_TIER = (400, 160, 60, 20)  # copies a week that desk and shelf can take in or give away
# Of a copy at either end, in loans; the way between there and the hub comes to it, as on the real network.
HANDLING = 0.05
SPECIAL_SHELF = 0.4  # share of a special group's shelf that should be filled: the floor
MINUTES_PICKED, MINUTES_CHECKED_IN = 2.5, 0.5  # of staff, for a copy
STALE_WEEKS = 52.0
LARGE = Size(titles=8_000, copies=66_000)  # what the comparison is asked for

Change = Callable[[World, Network], tuple[visits.Interest, ...]]


class Scenario(NamedTuple):
    """A city that differs from the one as found."""

    name: str
    truth: Truth = Truth()
    well_placed: bool = False
    interests: Change | None = None
    feed: Feed = Feed()


def _shifted(world: World, network: Network) -> tuple[visits.Interest, ...]:
    """A new estate in one district and a school year: children's classes there doubled and a half from one week to the next."""
    factor = np.ones(world.interest.shape, np.float32)
    children = [k for k, c in enumerate(network.classes) if c.special_group == "children"]
    factor[np.ix_(np.isin(world.cls, children), _district(network, "xinbu"))] = 2.5
    return visits.interest(world), visits.interest(world, CHANGE_WEEK * DAYS_A_WEEK, factor)


def _growing(world: World, network: Network) -> tuple[visits.Interest, ...]:
    """One district's demand doubles within the year, a quarter at a time."""
    quarters = []
    for quarter in range(4):
        factor = np.ones(world.interest.shape, np.float32)
        factor[:, _district(network, "xinbu")] = 1 + quarter / 3
        quarters.append(visits.interest(world, (WARM_WEEKS + quarter * 13) * DAYS_A_WEEK * (quarter > 0), factor))
    return tuple(quarters)


def _district(network: Network, owner: str) -> NDArray[np.bool_]:
    return np.array([place.owner == owner for place in network.places])


SCENARIOS = (
    Scenario("as_found"),
    Scenario("well_placed", well_placed=True),
    Scenario("no_saturation", Truth(seen_floor=1.0, novelty=1.0)),
    Scenario("shifted", interests=_shifted),
    Scenario("growing", interests=_growing),
    Scenario("poor_feed", feed=Feed(lost=0.05, late=0.05)),
)


@dataclass(frozen=True)
class Laboratory:
    """One city of one scenario and seed, with its tape: every policy starts from the same and meets the same readers."""

    network: Network
    scenario: Scenario
    seed: int
    size: Size = LARGE
    weeks: int = WARM_WEEKS + YEAR_WEEKS
    world: World = field(init=False)
    tape: list[Records] = field(init=False)
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", with_shelves_for(self.network, self.size.copies))
        world = build(self.network, self.seed, self.size, self.scenario.truth)
        if self.scenario.well_placed:
            world = world._replace(first_place=well_placed(world, shelf_rooms(self.network)))
        interests = self.scenario.interests(world, self.network) if self.scenario.interests else None
        days = range(self.weeks * DAYS_A_WEEK)
        object.__setattr__(self, "world", world)
        object.__setattr__(self, "tape", visits.tape(world, self.seed, days, interests))
        object.__setattr__(self, "places", seen_places(self.network))

    def measure(self, policy: Policy, warm_weeks: int = WARM_WEEKS) -> dict[str, float]:
        """Let a policy decide for the whole time, and return its metrics after the warm-up, by the year."""
        state = steps.begin(self.world, self.seed)
        weeks = run(self.world, state, self.tape, policy, self.places, self.scenario.feed)
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
    trip = HANDLING + PER_KM_LOANS * np.array([network.km_to_hub(place.id) for place in network.places])
    return Places.of(
        tiers, [place.population for place in network.places], classes=len(network.classes), room=room,
        in_copies=through, out_copies=through, in_cost=trip, out_cost=trip, class_floor=floor,
    )  # fmt: skip


# --- Metrics ------------------------------------------------------------------------------------------------------------


def metrics(lab: Laboratory, state: steps.State, begin: Week, end: Week, years: float) -> dict[str, float]:
    """Return what was agreed to be looked at; counts by the year."""
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


def stale_share(lab: Laboratory, state: steps.State) -> float:
    """Return the share of copies on shelves that nobody took for a year there."""
    rows = state.copies[state.copies["state"] == steps.SHELF]
    idle = lab.weeks * DAYS_A_WEEK - np.maximum(rows["shelved"], rows["lent"])
    return float((idle > STALE_WEEKS * DAYS_A_WEEK).mean())


def floor_missing(lab: Laboratory, state: steps.State) -> float:
    """Return how many copies the special groups' shelves lack at the end."""
    here = state.copies[np.isin(state.copies["state"], (steps.SHELF, steps.LOAN, steps.TRANSIT))]
    have = np.zeros(lab.places.class_floor.shape)
    np.add.at(have, (here["home"], lab.world.cls[here["title"]]), 1)
    return float(np.maximum(lab.places.class_floor - have, 0).sum())


# --- Stock that stands where it is wanted -----------------------------------------------------------------------------------


def well_placed(world: World, room: Ints, loan_weeks: float = 2.5) -> Ints:
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
    for t in range(len(cls)):  # what found no place among the best stands wherever there is room
        for p in range(places):
            while left[t] > 0 and room[p, cls[t]] > 0:
                stand[t, p] += 1
                left[t] -= 1
                room[p, cls[t]] -= 1
    return stand


def _stand(world: World, stand: NDArray[np.int64]) -> Ints:
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


def _rotation(picks: bool, desk: bool, oracle: bool = False) -> Make:
    def make(lab: Laboratory, moves: int) -> Policy:
        settings = Settings(budget_moves=moves, desk_chance=0.5 if desk else 1.0, rounds=NIGHT_ROUNDS)
        return policies.Rotation(
            picks=picks, desk=desk, settings=settings, knows=lab.world.interest if oracle else None
        )

    return make


POLICIES: Mapping[str, Make] = {
    "none": lambda lab, moves: policies.Nobody(),
    "floating": lambda lab, moves: policies.Nobody(floating=True),
    "rota": lambda lab, moves: policies.Rota(moves_a_week=moves),
    "min_max": lambda lab, moves: policies.MinMax(moves_a_week=moves),
    "proportional": lambda lab, moves: policies.Proportional(moves_a_week=moves),
    "greedy": lambda lab, moves: policies.Greedy(moves_a_week=moves),
    "picks": _rotation(picks=True, desk=False),
    "placement": _rotation(picks=False, desk=True),
    "both": _rotation(picks=True, desk=True),
    "oracle": _rotation(picks=True, desk=True, oracle=True),
}
WITHOUT_BUDGET = ("none", "floating", "placement")  # nobody picks from shelves: the same at every budget


def compare(lab: Laboratory, names: tuple[str, ...], moves: int) -> dict[str, Any]:
    """Return each policy's metrics at `moves` shelf moves a week."""
    return {name: lab.measure(POLICIES[name](lab, moves)) for name in names}
