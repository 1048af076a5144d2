"""The city's past: its days played one after the other, before anyone plans for it."""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from city import day as steps
from city import visits
from city.facts import Teller
from city.model import START, Records, Size, World, build
from rotation.network import Network

DAYS_A_WEEK = 7


class City(NamedTuple):
    """A city under way: its truth, its present, what is looked for in it, and who tells its facts."""

    world: World
    state: steps.State
    wanted: visits.Interest
    teller: Teller
    seed: int


def found(network: Network, seed: int, size: Size | None = None, start: date = START) -> City:
    """Return the city before its first day.

    Raises
    ------
    ValueError
        When the network has places without coordinates, or too little shelf for the copies.
    """
    world = build(network, seed, size or Size(), start=start)
    return with_state(network, world, steps.begin(world, seed), seed, start, 0)


def copied(network: Network, city: City) -> City:
    """Return a city that goes its own way from here."""
    arrays: Any = {name: array.copy() for name, array in city.state._asdict().items()}
    state = steps.State(**arrays)
    return with_state(network, city.world, state, city.seed, city.teller.start, city.teller.serial)


def with_state(network: Network, world: World, state: steps.State, seed: int, start: date, serial: int) -> City:
    """Return a city that goes on from a state, its next fact numbered after `serial`."""
    teller = Teller(network, world, seed, start)
    teller.serial = serial
    teller.hold_titles(lambda hold: int(state.holds[hold]["title"]))
    return City(world, state, visits.interest(world), teller, seed)


def days(city: City, weeks: int) -> Iterator[list[str]]:
    """Play the first weeks; yield each day's facts as events' JSON, in order of time."""
    for day in range(weeks * DAYS_A_WEEK):
        rows = steps.play(city.world.land, city.state, visits_of(city, day), day)
        yield city.teller.events(rows.tolist())


def visits_of(city: City, day: int) -> Records:
    """Return the day's visits; the same for every run of the seed."""
    return visits.of_day(city.world, city.seed, day, city.wanted)
