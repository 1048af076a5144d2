"""A city whose truth is known: titles, copies, shelves and readers' interests, drawn from a network file and a seed.

Everything here is the truth that no library sees; the steps of a day (`city.day`) play it and tell only facts. There are no
readers in it, only rates: how often a title is sought at a place, and where such a book is returned.
"""

from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rotation.network import Network, Place, PlaceKind, Tier, distance_m

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Records = NDArray[np.void]

START = date(2026, 3, 3)  # a Tuesday, so that 26 weeks of history end on the first of September, when schools begin
DAY_S = 86_400
DAYS = 1100  # three years: further days have no calendar, and nobody opens
# Opening spans a day that are distinguished; a fourth would be ignored.
SPANS = 3

VISITS_A_HEAD = {  # visits a week for 1,000 residents, by what a place is: relative only, `Size` sets the sum
    PlaceKind.STAFFED: 1.0,
    PlaceKind.ROOM: 0.75,
    PlaceKind.MACHINE: 1.3,
    PlaceKind.MOBILE_STOP: 0.6,
    PlaceKind.SCHOOL: 6.0,
    PlaceKind.ENTERPRISE: 1.6,
    PlaceKind.WELFARE_HOME: 4.0,
    PlaceKind.STORE: 0.0,
}
TIER_PULL = {
    Tier.CENTRAL: 6.0,
    Tier.DISTRICT: 2.2,
    Tier.SUBDISTRICT: 1.5,
    Tier.ROOM: 1.0,
}  # people come from further away
TASTE_SPREAD = 0.5  # lognormal sigma of a class at a place, beyond what the special groups' shares explain
PAIR_SPREAD = 0.5  # the same of a title at a place
POPULARITY_SHAPE = 0.5  # gamma: few titles are wanted much, most seldom
NEAR_KM = 6.0  # returns elsewhere fade with distance: by e in this
BACK_WHERE_LENT = 0.66  # share of loans that come back where they were made
NEW_TITLES = 0.06  # share of the titles that come in the first year and a half
NEW_TITLES_DAYS = 546


class CitySize(NamedTuple):
    """The size of a city: titles, copies, and visits a week for a certain title."""

    titles: int = 8_000
    copies: int = 60_000
    visits_a_week: float = 58_000.0  # brings about 1,100 loans a day with the demonstration's stock


class Truth(NamedTuple):
    """How readers behave; all shares are from 0 to 1."""

    seen_floor: float = (
        0.3  # remaining interest in a title when everyone interested has seen it there; 1: no saturation
    )
    seen_weeks: float = 40.0  # the rest fades by e in this
    novelty: float = 1.25  # interest in a title that is new at the place, for its first eight weeks
    forgotten_weeks: float = 26.0  # a title absent for so long is new again
    hold_chance: float = 0.014  # a reader who does not find the title places a hold
    browse_chance: float = 0.45  # or takes another title of the class
    unfetched: float = 0.06  # holds that nobody fetches
    damaged: float = 0.0012  # returns that go to repair
    withdrawn: float = 0.0003  # and that are worn out


LANE = np.dtype([("km", "f4"), ("near", "i4")])
DAY = np.dtype([("opens", "?"), ("receives", "?")])
HOURS = np.dtype([("begin_s", "i4", SPANS), ("end_s", "i4", SPANS), ("receive_s", "i4")])
TRUTH = np.dtype([(name, "f8") for name in Truth._fields] + [("weekday", "i4")])


class Land(NamedTuple):
    """The compiled steps' knowledge of the city, in few arrays of records: P places, D days."""

    lanes: Records  # P x P: km of a copy's way through the hubs; near: the places by distance from the row's, nearest first
    days: Records  # P x D: whether it opens, and whether vans come
    hours: Records  # P x 7: opening spans (0, 0 where there is none), and when the first receiving span begins
    hub: Ints  # P: hub that serves it
    members: Ints  # titles ordered by class ...
    member_from: Ints  # K+1: ... from where
    truth: Records  # 1: how readers behave, and the weekday of day 0


class DrawnCity(NamedTuple):
    """The drawn city, all arrays: T titles, K classes, P places, C copies, D days."""

    cls: Ints  # T: class
    title: Ints  # C: title
    first_place: Ints  # C: where it is added
    born: Ints  # C: day on which it is added
    title_born: Ints  # T
    interest: Floats  # T x P: visits a week for the title there while it is new
    back: NDArray[np.float64]  # P x P: cumulative chance of where a loan made there is returned elsewhere
    weekday: int  # of day 0
    land: Land

    @property
    def km(self) -> Floats:
        """P x P: kilometres of a copy from place to place, by the hubs of both."""
        return np.asarray(self.land.lanes["km"])


def build(
    network: Network,
    seed: int,
    size: CitySize = CitySize(),
    truth: Truth = Truth(),
    start: date = START,
    days: int = DAYS,
) -> DrawnCity:
    """Draw the city of `network`: the same seed, the same city.

    Raises
    ------
    ValueError
        When a place has no coordinates, or there is no shelf for the copies.
    """
    draw = np.random.default_rng([seed, 1])
    places = network.places
    cls = draw.choice(len(network.classes), size.titles, p=_class_shares(network)).astype(np.int32)
    popularity = draw.gamma(POPULARITY_SHAPE, 1.0, size.titles) + 0.03
    taste = tastes(network, draw)
    interest = _interest(draw, cls, popularity, taste, size.visits_a_week)
    title_born = np.zeros(size.titles, np.int32)
    new = draw.random(size.titles) < NEW_TITLES
    title_born[new] = draw.integers(1, NEW_TITLES_DAYS, new.sum())
    title = _copies(draw, popularity, cls, np.round(_class_shares(network) * size.copies).astype(np.int64))
    first_place = _as_found(draw, cls[title], shelf_rooms(network))
    back = _convenient(places, draw)
    land = _land(network, cls, truth, start, days)
    return DrawnCity(cls, title, first_place, title_born[title], title_born, interest, back, start.weekday(), land)


def _land(network: Network, cls: Ints, truth: Truth, start: date, days: int) -> Land:
    lanes = np.zeros((len(network.places), len(network.places)), LANE)
    lanes["km"], lanes["near"] = lanes_km(network), np.argsort(_direct_km(network.places), axis=1, kind="stable")
    members = np.argsort(cls, kind="stable").astype(np.int32)
    member_from = np.searchsorted(cls[members], np.arange(len(network.classes) + 1)).astype(np.int32)
    behaviour = np.array([(*truth, start.weekday())], TRUTH)
    return Land(lanes, *calendar(network.places, start, days), _hubs(network), members, member_from, behaviour)


def shelf_rooms(network: Network) -> Ints:
    """Return P x K: copies of each class that a place has room for."""
    return np.array([[place.shelf.get(c.id, 0) for c in network.classes] for place in network.places], np.int32)


def _class_shares(network: Network) -> NDArray[np.float64]:
    room = shelf_rooms(network).sum(0).astype(float)
    if room.sum() == 0:
        raise ValueError("no place has a shelf; a city needs room for its copies")
    return np.asarray(room / room.sum())


def tastes(network: Network, draw: np.random.Generator) -> NDArray[np.float64]:
    """Return K x P: demand of each place's readers for each class, by its residents and how busy it is."""
    places, classes = network.places, network.classes
    bustle = np.array([p.population * VISITS_A_HEAD[p.kind] * TIER_PULL[p.tier] for p in places])
    taste = (
        draw.lognormal(0.0, TASTE_SPREAD, (len(classes), len(places))) * bustle * draw.lognormal(0.0, 0.3, len(places))
    )
    for k, title_class in enumerate(classes):
        group = title_class.special_group
        if group is not None:
            shares = np.array([p.special.get(group, 0.0) for p in places])
            taste[k] *= (shares + 0.2 * shares.mean()) / (1.2 * shares.mean() or 1.0)
    return np.asarray(taste)


def _interest(
    draw: np.random.Generator, cls: Ints, popularity: NDArray[np.float64], taste: NDArray[np.float64], visits: float
) -> Floats:
    share = taste / taste.sum(1, keepdims=True)
    pairs = draw.lognormal(-(PAIR_SPREAD**2) / 2, PAIR_SPREAD, (len(cls), taste.shape[1]))
    interest = popularity[:, None] * share[cls] * pairs
    return np.asarray(interest * (visits / interest.sum()), dtype=np.float32)


def _copies(draw: np.random.Generator, popularity: NDArray[np.float64], cls: Ints, copies: NDArray[np.int64]) -> Ints:
    """Every title has one copy; the rest of a class's `copies` were bought by popularity, less than proportionally."""
    number = np.ones(len(cls), np.int64)
    for k, of_class in enumerate(copies):
        titles = np.flatnonzero(cls == k)
        if len(titles):
            weight = popularity[titles] ** 0.8
            number[titles] += draw.multinomial(max(0, of_class - len(titles)), weight / weight.sum())
    return np.repeat(np.arange(len(cls)), number).astype(np.int32)


def _as_found(draw: np.random.Generator, cls: Ints, room: Ints) -> Ints:
    """Stand the copies where there is room for their class, regardless of demand: chance and habit."""
    filled = room * draw.lognormal(0.0, 0.25, room.shape)
    place = np.empty(len(cls), np.int32)
    for k in range(room.shape[1]):
        rows = np.flatnonzero(cls == k)
        slots = np.repeat(np.arange(len(room)), room[:, k])
        if len(slots) < len(rows):
            raise ValueError(f"shelves have room for {len(slots)} copies of class {k}; there are {len(rows)}")
        chance = np.repeat(filled[:, k] / np.maximum(room[:, k], 1), room[:, k])
        place[rows] = draw.choice(slots, len(rows), replace=False, p=chance / chance.sum())
    return place


def _direct_km(places: tuple[Place, ...]) -> NDArray[np.float64]:
    return np.array([[distance_m(a, b) / 1000 for b in places] for a in places])


def _hubs(network: Network) -> Ints:
    row = {place.id: i for i, place in enumerate(network.places)}
    return np.array([row[network.hub_of(place.id) or place.id] for place in network.places], np.int32)


def lanes_km(network: Network) -> Floats:
    """Return P x P: kilometres of a copy from place to place as it travels, by the hubs of both."""
    direct, hub = _direct_km(network.places), _hubs(network)
    first = direct[np.arange(len(hub)), hub]
    km = first[:, None] + direct[np.ix_(hub, hub)] + first[None, :]
    np.fill_diagonal(km, 0.0)
    return np.asarray(km, dtype=np.float32)


def _convenient(places: tuple[Place, ...], draw: np.random.Generator) -> NDArray[np.float64]:
    """Cumulative chances: near places, and busy ones (metro machines more than village rooms)."""
    bustle = np.array([VISITS_A_HEAD[p.kind] * TIER_PULL[p.tier] * p.population for p in places]) ** 0.7
    chance = np.exp(-_direct_km(places) / NEAR_KM) * bustle * draw.lognormal(0.0, 0.5, len(places)) + 1e-12
    np.fill_diagonal(chance, chance.diagonal() * 0.2)
    return np.asarray(np.cumsum(chance / chance.sum(1, keepdims=True), axis=1))


def calendar(places: tuple[Place, ...], start: date, days: int) -> tuple[Records, Records]:
    """Return which days each place opens and receives (P x D), and its hours by weekday (P x 7)."""
    dates = [start + timedelta(days=d) for d in range(days)]
    calendar_days, hours = np.zeros((len(places), days), DAY), np.zeros((len(places), 7), HOURS)
    for i, place in enumerate(places):
        calendar_days[i] = [(bool(place.open_spans(day)), bool(place.receiving_spans(day))) for day in dates]
        for weekday in range(7):
            for j, span in enumerate(place.hours.get(weekday, ())[:SPANS]):
                hours[i, weekday]["begin_s"][j], hours[i, weekday]["end_s"][j] = span
            windows = (place.hours if place.receiving is None else place.receiving).get(weekday, ())
            hours[i, weekday]["receive_s"] = windows[0].begin_s if windows else 9 * 3600
    return calendar_days, hours


def midnight(network: Network, start: date = START) -> datetime:
    """Return the instant from which the city counts its seconds."""
    return network.instant(start, 0)
