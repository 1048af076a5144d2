"""A routing problem for each hub and day: the crates of that day become stops of its vans, named by their places.

The idea: a place is a single stop, delivery and collection in the same visit, split only where its crates are more than a van
holds; every stop's id begins with the place's, so that an answer is read back without a table.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from rotation.courier.calendar import LOADING_S, SERVICE_PER_CRATE_S, SERVICE_S, UNLOADING_S, Calendar
from rotation.courier.crates import Crate
from rotation.facts.lifecycle import LegKind
from rotation.network import Network, Place
from rotation.network import Van as NetworkVan
from solver.problem import Call, Depot, Problem, Shipment, Stop, Van, Window

MORE = "#"  # "riverside#2" is the second visit at riverside, whose crates no van holds at once
MAX_RELOADS = 2  # three trips in a shift; with the loading times a fourth would leave no time to drive
RELOAD_FROM = 0.5  # of what the fleet holds at once: with fewer crates a second trip gains nothing and slows the search


@dataclass
class Errand:
    """The crates that a visit at a place hands over and takes, and those of them that another stop of the run brings or gets."""

    place: str
    deliver: list[Crate] = field(default_factory=list)
    collect: list[Crate] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The stop's id: the place's own, unless a number was added."""
        return self.place


Worth = Mapping[str, int]  # the value that leaving a transfer for another day would forgo, in cents, by its id
HIGHEST_PRIORITY = 100  # that the solver knows; a visit counts one more than its priority
VISITS_OF_A_COPY = 2  # a visit fetches it and another brings it: each is worth half of the value of carrying it


class _Priorities(NamedTuple):
    """Weights of stops where not all fit: their copies, at most `most`; a stop of a pinned transfer outweighs all others."""

    pinned: Set[str]
    most: int

    @classmethod
    def of(cls, crates: Iterable[Crate], pinned: Set[str], visits: int) -> "_Priorities":
        """Return the weights of a hub's day of so many visits."""
        here = {one for crate in crates for one in crate.transfers} & pinned
        return cls(here, max(HIGHEST_PRIORITY // visits - 1, 0) if here else HIGHEST_PRIORITY)

    def priority(self, crates: Iterable[Crate]) -> int:
        """Return the weight of a visit for these crates."""
        transfers = [transfer for crate in crates for transfer in crate.transfers]
        return HIGHEST_PRIORITY if not self.pinned.isdisjoint(transfers) else min(self.most, len(transfers))


def hub_problem(
    calendar: Calendar,
    hub: Place,
    day: date,
    crates: Sequence[Crate],
    worth: Worth | None = None,
    pinned: Set[str] = frozenset(),
) -> Problem:
    """Return the routing problem of a hub's vans on a day; crates of other hubs or days, and of trunks, are left aside.

    Loads are counted in bags, `bags_per_crate` to a crate: crates themselves, where the network has no bags.

    Every stop must be served but those whose crates hold only transfers that have a `worth`: where they are worth the way. Where
    not all fit, stops of `pinned` transfers come first.

    Raises
    ------
    ValueError
        When the hub has no van or no coordinates.
    """
    if hub.hub is None or not hub.located or not calendar.vans[hub.id]:
        raise ValueError(f"{hub.id} has no sorting, no coordinates or no van")
    own = [crate for crate in crates if crate.day == day and calendar.hub(crate.from_place) == hub.id]
    bags = calendar.network.network.bags_per_crate
    capacity = max(van.crates for van in calendar.vans[hub.id])
    errands, lone = list(_errands(own, capacity)), [crate for crate in own if crate.kind is LegKind.DIRECT]
    rank = _Priorities.of(own, pinned, len(errands) + len(lone))
    stops = [_stop(calendar, errand, number, day, worth, rank) for errand, number in errands]
    ends = [place for crate in lone for place in (crate.from_place, crate.to_place)]
    return Problem(
        name=f"{hub.id} {day}",
        weekday=day.weekday(),
        depots=[_depot(hub)],
        vans=[_van(van, _reloads(calendar, hub, own), bags) for van in calendar.vans[hub.id]],
        stops=stops,
        shipments=[_shipment(calendar, crate, day, rank) for crate in lone],
        travel=calendar.travel_between([hub.id, *(place_of(stop.id) for stop in stops), *ends]),
    )


def place_of(visit: str) -> str:
    """Return the place of a stop's id."""
    return visit.partition(MORE)[0]


def crates_of_visits(crates: Iterable[Crate], capacity_crates: int) -> dict[str, Errand]:
    """Return the crates that each stop of the problem hands over and takes, by its id."""
    return {_stop_id(errand, number): errand for errand, number in _errands(crates, capacity_crates)}


def _errands(crates: Iterable[Crate], capacity: int) -> Iterator[tuple[Errand, int]]:
    """Yield the visits of a day: a place's deliveries and collections in as few as a van's capacity allows."""
    at: dict[str, Errand] = defaultdict(lambda: Errand(""))
    for crate in sorted(crates, key=lambda crate: crate.id):
        if crate.kind is LegKind.DELIVER:
            at[crate.to_place].deliver.append(crate)
        elif crate.kind is LegKind.COLLECT:
            at[crate.from_place].collect.append(crate)
    for place in sorted(at):
        most = max(len(at[place].deliver), len(at[place].collect))
        for number, first in enumerate(range(0, most, capacity), 1):
            part = slice(first, first + capacity)
            yield Errand(place, at[place].deliver[part], at[place].collect[part]), number


def _stop_id(errand: Errand, number: int) -> str:
    return errand.place if number == 1 else f"{errand.place}{MORE}{number}"


def _depot(hub: Place) -> Depot:
    return Depot(id=hub.id, lat=hub.lat, lon=hub.lon, load_s=LOADING_S, unload_s=UNLOADING_S)


def _reloads(calendar: Calendar, hub: Place, crates: Sequence[Crate]) -> int:
    """Return how often a van may load again that day: only where crates are many, or some come after the cut-off."""
    bags: Counter[LegKind] = Counter()
    for crate in crates:
        bags[crate.kind] += crate.room_bags
    room = sum(van.crates for van in calendar.vans[hub.id]) * calendar.network.network.bags_per_crate
    many = max(bags[LegKind.DELIVER], bags[LegKind.COLLECT]) > RELOAD_FROM * room
    late = any(
        not calendar.makes_cutoff(crate.from_place, crate.day) for crate in crates if crate.kind is LegKind.COLLECT
    )
    return MAX_RELOADS if many or late else 0


def _van(van: NetworkVan, reloads: int, bags_per_crate: int) -> Van:
    return Van(
        id=van.id,
        start=van.hub,
        capacity=van.crates * bags_per_crate,
        shift=Window(from_s=van.shift.begin_s, until_s=van.shift.end_s),
        fixed_cents=van.fixed_cost_cents,
        hour_cents=van.cost_per_hour_cents,
        km_cents=van.cost_per_km_cents,
        max_reloads=reloads,
        reload_depots=[van.hub] if reloads else [],
    )


def _stop(calendar: Calendar, errand: Errand, number: int, day: date, worth: Worth | None, rank: _Priorities) -> Stop:
    place, bag_s = calendar.network.place[errand.place], _service_per_bag_s(calendar.network)
    deliver, collect = (sum(crate.room_bags for crate in some) for some in (errand.deliver, errand.collect))
    crates = [*errand.deliver, *errand.collect]
    return Stop(
        id=_stop_id(errand, number),
        place=place.id,
        lat=place.lat,
        lon=place.lon,
        windows=_windows(place, day, (deliver + collect) * bag_s),
        service_s=SERVICE_S,
        service_s_per_unit=bag_s,
        deliver=deliver,
        collect=collect,
        due_s=_due_s(calendar, place.id, day) if errand.collect else None,
        prize_cents=_prize(crates, worth or {}),
        priority=rank.priority(crates),
    )


def _prize(crates: Iterable[Crate], worth: Worth) -> int | None:
    """Return the value of visiting for these crates, in cents; None where a transfer in them, or a machine's bin, has to go."""
    crates = list(crates)
    transfers = [transfer for crate in crates for transfer in crate.transfers]
    if not all(crate.transfers for crate in crates) or not all(transfer in worth for transfer in transfers):
        return None
    return sum(worth[transfer] for transfer in transfers) // VISITS_OF_A_COPY


def _due_s(calendar: Calendar, place: str, day: date) -> int | None:
    """Return the hub's cut-off; None where no collection there can make it, and waits for the next day's sorting."""
    hub = calendar.network.place[calendar.hub(place) or ""].hub
    return hub.cutoff_s if hub and calendar.makes_cutoff(place, day) else None


def _service_per_bag_s(network: Network) -> int:
    """Return the time that a bag takes at a stop: its share of a crate's."""
    return -(-SERVICE_PER_CRATE_S // network.network.bags_per_crate)


def _windows(place: Place, day: date, handling_s: int) -> list[Window]:
    """Return when service may begin, so that it also ends while the place receives (or begins with a short window)."""
    length_s = SERVICE_S + handling_s
    spans = place.receiving_spans(day)
    return [Window(from_s=span.begin_s, until_s=max(span.begin_s, span.end_s - length_s)) for span in spans]


def _shipment(calendar: Calendar, crate: Crate, day: date, rank: _Priorities) -> Shipment:
    """Return a direct crate; it must be served, and goes through the hub where no run has room for it."""
    ends = [calendar.network.place[place] for place in (crate.from_place, crate.to_place)]
    bag_s = _service_per_bag_s(calendar.network)
    collect, deliver = (
        Call(
            place=place.id,
            lat=place.lat,
            lon=place.lon,
            windows=_windows(place, day, crate.room_bags * bag_s),
            service_s_per_unit=bag_s,
        )
        for place in ends
    )
    priority = rank.priority([crate]) if rank.pinned else 0
    return Shipment(id=crate.id, amount=crate.room_bags, collect=collect, deliver=deliver, priority=priority)
