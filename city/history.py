"""The city's past: its days played in sequence, before anyone plans for it."""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from city import day as steps
from city import visits
from city.facts import FactWriter
from city.model import START, CitySize, DrawnCity, Records, build
from rotation.network import Network

DAYS_A_WEEK = 7


class City(NamedTuple):
    """A city in progress: its truth, its present, its readers' interests, and the writer of its facts."""

    world: DrawnCity
    state: steps.CityState
    wanted: visits.Interest
    teller: FactWriter
    seed: int


def found(network: Network, seed: int, size: CitySize | None = None, start: date = START) -> City:
    """Return the city before its first day.

    Raises
    ------
    ValueError
        When the network has places without coordinates, or too little shelf for the copies.
    """
    world = build(network, seed, size or CitySize(), start=start)
    return with_state(network, world, steps.begin(world, seed), seed, start, 0)


def copied(network: Network, city: City) -> City:
    """Return a city that goes its own way from here."""
    arrays: Any = {name: array.copy() for name, array in city.state._asdict().items()}
    state = steps.CityState(**arrays)
    return with_state(network, city.world, state, city.seed, city.teller.start, city.teller.serial)


def with_state(network: Network, world: DrawnCity, state: steps.CityState, seed: int, start: date, serial: int) -> City:
    """Return a city that continues from a state, its next fact numbered after `serial`."""
    teller = FactWriter(network, world, seed, start)
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
