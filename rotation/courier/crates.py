"""Dated legs to crates: the crates on the floor of a place, a hub or a van on a day.

The idea: a crate belongs to a leg's way and day. A place packs all its copies for its hub together (mixed). Only a
hub knows enough to make crates for another hub or a single destination. It merges all copies for a place, from every
source: a crate that stands is filled up under its own number, and others are emptied into it. A few copies for a place go
in a bag; several bags lie in a crate of the van. Where a lane alone fills a crate, the place makes it itself and it
goes direct, past the hub, on the run that calls at both.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import count, groupby
from typing import NamedTuple

from rotation.courier.calendar import SERVICE_S, Calendar
from rotation.courier.legs import Itinerary, Leg, LegReason, OpenTransfer, Where
from rotation.facts.lifecycle import LegKind
from rotation.network import Network


@dataclass(frozen=True, slots=True)
class Crate:
    """A crate of a day: `kind` is its leg's (collect: mixed, to the hub; deliver: for a single destination).

    `id` is its number on plan, sheet, label and scan. `room_bags` is the room that it takes in a van, in bags.
    """

    id: str
    kind: LegKind
    from_place: str
    to_place: str
    day: date
    transfers: tuple[str, ...]
    room_bags: int = 1


class Way(NamedTuple):
    """The journey that crates are made for."""

    day: date
    kind: LegKind
    from_place: str
    to_place: str


_LETTER = {LegKind.COLLECT: "c", LegKind.TRUNK: "t", LegKind.DELIVER: "d", LegKind.DIRECT: "x"}


def crates(itineraries: Iterable[Itinerary], network: Network) -> list[Crate]:
    """Return the crates that the legs need, in order of day and place; each carried copy is in a single crate of each leg.

    Equal input in any order makes equal crates: copies are packed by destination, then by transfer.
    """
    on_way: dict[Way, list[OpenTransfer]] = defaultdict(list)
    for itinerary in itineraries:
        for leg in itinerary.legs:
            if leg.kind is not LegKind.SORT:
                on_way[Way(leg.day, leg.kind, leg.from_place, leg.to_place)].append(itinerary.transfer)
    return list(_made(on_way, network))


def _made(on_way: Mapping[Way, list[OpenTransfer]], network: Network) -> Iterator[Crate]:
    """Yield the crates of each way; new numbers run on over all that leave (or, made by a hub, reach) a place on a day."""
    for label, ways in groupby(sorted(sorted(on_way), key=_label), key=_label):
        numbers = count(1)
        for way in ways:
            for own, transfers in _packed(way, on_way[way], network.network.copies_per_crate):
                name = own or f"{_LETTER[way.kind]}-{way.day:%Y%m%d}-{label[2]}-{next(numbers)}"
                yield Crate(
                    name,
                    way.kind,
                    way.from_place,
                    way.to_place,
                    way.day,
                    transfers,
                    _room_bags(way, transfers, network),
                )


def _room_bags(way: Way, transfers: Sequence[str], network: Network) -> int:
    return network.room_bags(len(transfers)) if way.kind is LegKind.DELIVER else network.network.bags_per_crate


Packed = tuple[str | None, tuple[str, ...]]  # a crate's number, None: it has none yet; the transfers in it


def _packed(way: Way, transfers: Iterable[OpenTransfer], size: int) -> Iterator[Packed]:
    """Yield the crates of a way: those that stand, filled up where they are open, and new crates for the rest.

    A hub opens its crates for a place again: as few as hold all the copies stay, the fullest, and the others go into them.
    """
    standing: dict[str, list[OpenTransfer]] = defaultdict(list)
    loose: list[OpenTransfer] = []
    for one in sorted(transfers, key=lambda one: (one.to_place, one.transfer_id)):
        (standing[one.crate] if _is_within(way, one) else loose).append(one)  # type: ignore[index]
    fullest = sorted(standing.items(), key=lambda item: (-len(item[1]), item[0]))
    if way.kind is LegKind.DELIVER:
        needed = -(-(sum(len(within) for _, within in fullest) + len(loose)) // size)
        loose = [one for _, within in fullest[needed:] for one in within] + loose
        fullest = fullest[:needed]
    for name, within in fullest:
        room = max(0, size - len(within)) if way.kind is LegKind.DELIVER or within[0].filling else 0
        yield name, tuple(one.transfer_id for one in [*within, *loose[:room]])
        loose = loose[room:]
    for first in range(0, len(loose), size):
        yield None, tuple(one.transfer_id for one in loose[first : first + size])


def _is_within(way: Way, transfer: OpenTransfer) -> bool:
    """Whether the copy's crate is for this way: the first way from where it stands."""
    first = (LegKind.COLLECT,) if transfer.where is Where.PLACE else (LegKind.TRUNK, LegKind.DELIVER)
    return transfer.crate is not None and way.from_place == transfer.at and way.kind in first


def _label(way: Way) -> tuple[date, str, str]:
    """Return a crate's label: the place at its other end from the hub, for a trunk the hub it leaves."""
    return way.day, way.kind, way.to_place if way.kind is LegKind.DELIVER else way.from_place


def crate_of(made: Iterable[Crate]) -> dict[tuple[str, LegKind, date], Crate]:
    """Return each transfer's crate by kind of leg and day."""
    return {(transfer, crate.kind, crate.day): crate for crate in made for transfer in crate.transfers}


def in_runs(crate: Crate) -> bool:
    """Whether a hub's vans carry it by day; trunks go by night."""
    return crate.kind is not LegKind.TRUNK


# --- Direct -----------------------------------------------------------------------------------------------------------


def direct(itineraries: Sequence[Itinerary], calendar: Calendar, fill_copies: int) -> list[Itinerary]:
    """Return the itineraries with those put direct that fill a crate on their own lane.

    A lane is two places of a hub, with calls on the day of collection that follow each other in time. Whole
    crates go direct, and the rest of a lane where it has at least `fill_copies`; other copies keep to the hub.
    """
    by_lane: dict[tuple[str, str, date], list[int]] = defaultdict(list)
    for index, itinerary in enumerate(itineraries):
        if lane := _lane(itinerary, calendar):
            by_lane[lane].append(index)
    changed = list(itineraries)
    size = calendar.network.network.copies_per_crate
    for (from_place, to_place, day), indices in by_lane.items():
        going = len(indices) if len(indices) % size >= fill_copies else len(indices) // size * size
        for index in sorted(indices, key=lambda i: itineraries[i].transfer.transfer_id)[:going]:
            leg = Leg(LegKind.DIRECT, from_place, to_place, day)
            changed[index] = replace(changed[index], legs=(leg,), reasons=_of_collection(changed[index], from_place))
    return changed


def _lane(itinerary: Itinerary, calendar: Calendar) -> tuple[str, str, date] | None:
    """Return from, to and day where a copy could go direct."""
    transfer, legs = itinerary.transfer, itinerary.legs
    if transfer.where is not Where.PLACE or len(legs) != 3 or legs[0].kind is not LegKind.COLLECT:
        return None
    first, then = calendar.call(transfer.at, legs[0].day), calendar.call(transfer.to_place, legs[0].day)
    if legs[-1].kind is not LegKind.DELIVER or first is None or then is None:
        return None
    there_s = first.earliest_s + SERVICE_S + calendar.drive_s(transfer.at, transfer.to_place)
    return (transfer.at, transfer.to_place, legs[0].day) if there_s <= then.spans[-1].end_s else None


def _of_collection(itinerary: Itinerary, from_place: str) -> tuple[LegReason, ...]:
    return tuple(reason for reason in itinerary.reasons if reason.place == from_place)
