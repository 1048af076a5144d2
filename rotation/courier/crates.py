"""Dated legs to crates: what stands on the floor of a place, a hub or a van on a day.

The idea: a crate belongs to one leg's way and day. A place packs whatever it has for its hub together (mixed); only a
hub knows enough to make crates for one other hub or one destination. Where a lane alone fills a crate, the place makes
it itself and it goes direct, past the hub, on the run that calls at both.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from rotation.courier.calendar import SERVICE_S, Calendar
from rotation.courier.legs import Itinerary, Kind, Leg, OpenTransfer, Reason, Where


@dataclass(frozen=True, slots=True)
class Crate:
    """A crate of a day: `kind` is its leg's (collect: mixed, to the hub; deliver: for one destination)."""

    id: str
    kind: Kind
    from_place: str
    to_place: str
    day: date
    transfers: tuple[str, ...]


class Way(NamedTuple):
    """What crates are made for."""

    day: date
    kind: Kind
    from_place: str
    to_place: str


_LETTER = {Kind.COLLECT: "c", Kind.TRUNK: "t", Kind.DELIVER: "d", Kind.DIRECT: "x"}


def crates(itineraries: Iterable[Itinerary], copies_per_crate: int) -> list[Crate]:
    """Return the crates that the legs need, in order of day and place; each carried copy is in one crate of each leg.

    Equal input in any order makes equal crates: copies are packed by destination, then by transfer.
    """
    on_way: dict[Way, list[OpenTransfer]] = defaultdict(list)
    for itinerary in itineraries:
        for leg in itinerary.legs:
            if leg.kind is not Kind.SORT:
                way = Way(leg.day, leg.kind, leg.from_place, leg.to_place)
                on_way[way].append(itinerary.transfer)
    return [*_closed(on_way), *_numbered(on_way, copies_per_crate)]


def _closed(on_way: Mapping[Way, list[OpenTransfer]]) -> Iterator[Crate]:
    """Yield the crates that stand closed for their way already, under their own names."""
    for way, transfers in sorted(on_way.items()):
        closed = sorted((transfer.crate, transfer.transfer_id) for transfer in transfers if _is_closed(way, transfer))
        for crate, within in groupby(closed, key=itemgetter(0)):
            ids = tuple(transfer for _, transfer in within)
            yield Crate(str(crate), way.kind, way.from_place, way.to_place, way.day, ids)


def _is_closed(way: Way, transfer: OpenTransfer) -> bool:
    """Whether this way is the one that the copy's crate was closed for: its first from where it stands."""
    return transfer.crate is not None and way.from_place == transfer.at


def _numbered(on_way: Mapping[Way, list[OpenTransfer]], size: int) -> Iterator[Crate]:
    """Yield the crates of each way; numbers run on over all that leave (or, made by a hub, reach) a place on a day."""
    for _, ways in groupby(sorted(sorted(on_way), key=_label), key=_label):
        number = 0
        for way in ways:
            loose = [transfer for transfer in on_way[way] if not _is_closed(way, transfer)]
            copies = sorted((transfer.to_place, transfer.transfer_id) for transfer in loose)
            for first in range(0, len(copies), size):
                number += 1
                transfers = tuple(transfer for _, transfer in copies[first : first + size])
                name = f"{_LETTER[way.kind]}-{way.day:%Y%m%d}-{_label(way)[2]}-{number}"
                yield Crate(name, way.kind, way.from_place, way.to_place, way.day, transfers)


def _label(way: Way) -> tuple[date, str, str]:
    """Return what a crate is labelled by: the place at its other end from the hub, for a trunk the hub it leaves."""
    return way.day, way.kind, way.to_place if way.kind is Kind.DELIVER else way.from_place


def crate_of(made: Iterable[Crate]) -> dict[tuple[str, Kind, date], Crate]:
    """Return each transfer's crate by kind of leg and day."""
    return {(transfer, crate.kind, crate.day): crate for crate in made for transfer in crate.transfers}


def in_runs(crate: Crate) -> bool:
    """Whether a hub's vans carry it by day; trunks go by night."""
    return crate.kind is not Kind.TRUNK


# --- Direct -----------------------------------------------------------------------------------------------------------


def direct(itineraries: Sequence[Itinerary], calendar: Calendar, fill_copies: int) -> list[Itinerary]:
    """Return the itineraries with those put direct that fill a crate on their own lane.

    A lane is two places of one hub, both with a call on the day of collection in time one after the other. Whole
    crates go direct, and the rest of a lane where it has at least `fill_copies`; other copies keep to the hub.
    """
    by_lane: dict[tuple[str, str, date], list[int]] = defaultdict(list)
    for index, itinerary in enumerate(itineraries):
        if lane := _lane(itinerary, calendar):
            by_lane[lane].append(index)
    changed = list(itineraries)
    size = calendar.network.network.copies_per_crate
    for (from_place, to_place, day), indices in by_lane.items():
        count = len(indices) if len(indices) % size >= fill_copies else len(indices) // size * size
        for index in sorted(indices, key=lambda i: itineraries[i].transfer.transfer_id)[:count]:
            leg = Leg(Kind.DIRECT, from_place, to_place, day)
            changed[index] = replace(changed[index], legs=(leg,), reasons=_of_collection(changed[index], from_place))
    return changed


def _lane(itinerary: Itinerary, calendar: Calendar) -> tuple[str, str, date] | None:
    """Return from, to and day where a copy could go direct."""
    transfer, legs = itinerary.transfer, itinerary.legs
    if transfer.where is not Where.PLACE or len(legs) != 3 or legs[0].kind is not Kind.COLLECT:
        return None
    first, then = calendar.call(transfer.at, legs[0].day), calendar.call(transfer.to_place, legs[0].day)
    if legs[-1].kind is not Kind.DELIVER or first is None or then is None:
        return None
    there_s = first.earliest_s + SERVICE_S + calendar.drive_s(transfer.at, transfer.to_place)
    return (transfer.at, transfer.to_place, legs[0].day) if there_s <= then.spans[-1].end_s else None


def _of_collection(itinerary: Itinerary, from_place: str) -> tuple[Reason, ...]:
    return tuple(reason for reason in itinerary.reasons if reason.place == from_place)
