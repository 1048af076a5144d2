"""The worlds in which policies are compared: the city as found, and cities that differ from the planner's assumptions."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from city import visits
from city.arrays_driver import DAYS_A_WEEK, FeedLosses
from city.model import DrawnCity, Ints, Records, Truth
from rotation.network import Network

WARM_WEEKS, YEAR_WEEKS = 26, 52
CHANGE_WEEK = WARM_WEEKS + 13  # when demand shifts
# A city of 20,000 visits a week where the one as found has 58,000, and one of twice as many.
QUIET_VISITS, BUSY_VISITS = 20 / 58, 2.0
TREND_SPREAD = 0.5  # of a title's popularity, a quarter: lognormal sigma
MORE_PAIR_SPREAD = 0.87  # on top of the model's 0.5, so that a title's interest scatters over places with a sigma of 1
FAMILY_LOANS = 3  # titles that a household takes at once, and brings back at once
SCATTERED = 0.5  # of the loans that come back where they were made as found, so many come back anywhere
WRONG_CLASS = 0.2  # share of the titles that the library lists in another class
STALE_LOCATION = 0.2  # share of copies whose present the library knows as of last week
VANS_COME = 1 / 3  # of the days on which they come as found

Change = Callable[[DrawnCity, Network], tuple[visits.Interest, ...]]
Bend = Callable[[DrawnCity, np.random.Generator], DrawnCity]
Redraw = Callable[[DrawnCity, list[Records], np.random.Generator], list[Records]]


class Scenario(NamedTuple):
    """A variation of the city as found."""

    name: str
    truth: Truth = Truth()
    well_placed: bool = False
    interests: Change | None = None
    feed: FeedLosses = FeedLosses()
    visits: float = 1.0  # of the visits as found
    bend: Bend | None = None  # another city
    tape: Redraw | None = None  # other readers
    wrong_class: float = 0.0


def _shifted(world: DrawnCity, network: Network) -> tuple[visits.Interest, ...]:
    """A new estate in a district and a school year: children's classes are suddenly two and a half times as popular there."""
    factor = np.ones(world.interest.shape, np.float32)
    children = [k for k, c in enumerate(network.classes) if c.special_group == "children"]
    factor[np.ix_(np.isin(world.cls, children), _district(network, "xinbu"))] = 2.5
    return visits.interest(world), visits.interest(world, CHANGE_WEEK * DAYS_A_WEEK, factor)


def _growing(world: DrawnCity, network: Network) -> tuple[visits.Interest, ...]:
    """One district's demand doubles within the year, a quarter at a time."""
    quarters = []
    for quarter in range(4):
        factor = np.ones(world.interest.shape, np.float32)
        factor[:, _district(network, "xinbu")] = 1 + quarter / 3
        quarters.append(visits.interest(world, (WARM_WEEKS + quarter * 13) * DAYS_A_WEEK * (quarter > 0), factor))
    return tuple(quarters)


def _district(network: Network, owner: str) -> NDArray[np.bool_]:
    return np.array([place.owner == owner for place in network.places])


def _trends(world: DrawnCity, network: Network) -> tuple[visits.Interest, ...]:
    """Titles come into and go out of fashion: each one's popularity walks at random, a quarter at a time."""
    draw = np.random.default_rng([len(world.title), 5])
    factor, quarters = np.ones(len(world.cls)), []
    for quarter in range((WARM_WEEKS + YEAR_WEEKS) // 13):
        quarters.append(visits.interest(world, quarter * 13 * DAYS_A_WEEK, factor[:, None].astype(np.float32)))
        factor = factor * draw.lognormal(-(TREND_SPREAD**2) / 2, TREND_SPREAD, len(factor))
    return tuple(quarters)


def _pairs_differ(world: DrawnCity, draw: np.random.Generator) -> DrawnCity:
    more = draw.lognormal(-(MORE_PAIR_SPREAD**2) / 2, MORE_PAIR_SPREAD, world.interest.shape)
    interest = world.interest * more
    return world._replace(interest=(interest * (world.interest.sum() / interest.sum())).astype(np.float32))


def _slow_vans(world: DrawnCity, draw: np.random.Generator) -> DrawnCity:
    days = world.land.days.copy()
    days["receives"] &= draw.random(days.shape) < VANS_COME
    return world._replace(land=world.land._replace(days=days))


def _households(world: DrawnCity, tape: list[Records], draw: np.random.Generator) -> list[Records]:
    """Let a third of the readers come, each looking for titles of two others at the same place and time."""
    return [_of_families(day, draw) for day in tape]


def _of_families(day: Records, draw: np.random.Generator) -> Records:
    order = np.lexsort((draw.random(len(day)), day["place"]))
    family = day[order]
    head = np.arange(len(family)) // FAMILY_LOANS * FAMILY_LOANS
    same = family["place"][head] == family["place"]
    for name in ("at_s", "back", "back_day", "back_when"):
        family[name] = np.where(same, family[name][head], family[name])
    return family[np.argsort(family["at_s"], kind="stable")]


def _scattered(world: DrawnCity, tape: list[Records], draw: np.random.Generator) -> list[Records]:
    for day in tape:
        elsewhere = (day["back"] == day["place"]) & (draw.random(len(day)) < SCATTERED)
        point, place = draw.random(int(elsewhere.sum())), day["place"][elsewhere]
        day["back"][elsewhere] = np.minimum((world.back[place] < point[:, None]).sum(1), len(world.back) - 1)
    return tape


def listed_classes(world: DrawnCity, share: float, seed: int) -> Ints:
    """Return the class of each title as the library lists it."""
    draw = np.random.default_rng([seed, 6])
    wrong = draw.random(len(world.cls)) < share
    return np.where(wrong, draw.permutation(world.cls), world.cls).astype(np.int32)


SCENARIOS = (
    Scenario("as_found"),
    Scenario("quiet", visits=QUIET_VISITS),
    Scenario("busy", visits=BUSY_VISITS),
    Scenario("well_placed", well_placed=True),
    Scenario("no_saturation", Truth(seen_floor=1.0, novelty=1.0)),
    Scenario("slow_fading", Truth(seen_weeks=120.0)),
    Scenario("many_holds", Truth(hold_chance=0.15)),
    Scenario("shifted", interests=_shifted),
    Scenario("growing", interests=_growing),
    Scenario("trends", interests=_trends),
    Scenario("pairs_differ", bend=_pairs_differ),
    Scenario("households", tape=_households),
    Scenario("scattered_returns", tape=_scattered),
    Scenario("wrong_classes", wrong_class=WRONG_CLASS),
    Scenario("stale_locations", feed=FeedLosses(late=STALE_LOCATION)),
    Scenario("slow_vans", bend=_slow_vans),
    Scenario("poor_feed", feed=FeedLosses(lost=0.05, late=0.05)),
    Scenario("quiet_no_saturation", Truth(seen_floor=1.0, novelty=1.0), visits=QUIET_VISITS),
    Scenario("quiet_well_placed", Truth(seen_floor=1.0, novelty=1.0), well_placed=True, visits=QUIET_VISITS),
)
