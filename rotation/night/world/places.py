"""Places as the night plans with them: the network file's promises and limits, and figures that the database has learnt."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from config.figures import known
from rotation.facts.lifecycle import ANSWERED, TransferKind, TransferState, listed
from rotation.facts.movements import CopyState
from rotation.network import Network, Place, PlaceKind, Tier
from rotation.night import floors
from rotation.night.world.spells import WEEK_S
from rotation.night.world.touched_rows import STATES, Fields, Names, Rows, fetched
from rotation.rebalancing import snapshot as arrays
from rotation.rebalancing.way_costs import HANDLING_LOANS, WayCosts, way_costs

NOBODY = 0  # row of the owner that nobody told: such copies and places ask for no consent

# Of those that were asked for: refused, and all.
_PICKS = f"""
    SELECT p.row, (count(*) FILTER (WHERE t.status = '{TransferState.DECLINED}'))::int4, count(*)::int4
    FROM transfers t JOIN rows_places p ON p.id = t.from_place_id
    WHERE t.kind = '{TransferKind.PICK}' AND t.status IN ({listed(ANSWERED)})
      AND t.created_at > to_timestamp(%s)
    GROUP BY p.row"""
_PICKS_ROW: Fields = [("place", "<i4"), ("refused", "<i4"), ("all", "<i4")]


def consent(network: Network) -> arrays.Flags | None:
    """Return whose copies may stand at whose places, asked for first or not; row and column NOBODY may all."""
    if all("*" in owner.lends_to for owner in network.owners):
        return None
    allowed = np.ones((len(network.owners) + 1, len(network.owners) + 1), np.bool_)
    for i, owner in enumerate(network.owners, 1):
        allowed[i, 1:] = [owner.may_let(other.id) for other in network.owners]
    return allowed


def groups_of_titles(network: Network, names: Names, classes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return each title's float group, by its class; -1: everywhere."""
    of_class = {cls: i for i, group in enumerate(network.float_groups) for cls in group.classes}
    groups = np.array([*(of_class.get(cls, -1) for cls in names.classes), -1], np.int32)
    return groups[classes]


def new_stock(network: Network, names: Names, rows: Rows, copies: arrays.Copies) -> arrays.Copies:
    """Count copies that were added to a store and have not moved since as without a home: they wait to be placed."""
    stores = [names.place_row[place.id] for place in network.places if place.kind is PlaceKind.STORE]
    waits = np.isin(copies.place, stores) & (rows["unmoved"] != 0) & (copies.state == arrays.StockState.ON_SHELF)
    copies.state[waits & ~copies.fixed] = arrays.StockState.HOMELESS
    return copies


PICKS_REMEMBERED_WEEKS = 26  # over which a place's refused picks are counted
REFUSED_PRIOR, PICKS_PRIOR = 1.0, 20.0  # before any pick one in twenty is expected not to be found
ARRIVES_WITHIN_S = 2 * 86_400  # what was sent within two days is on today's and tomorrow's vans; older is late or lost


def places_of(
    connection: Connection[Any],
    network: Network,
    names: Names,
    visited: Collection[str],
    rows: Rows,
    came: NDArray[np.int64],
    at: datetime,
    trip: NDArray[np.float64],
) -> arrays.Places:
    """Return the places; `trip` is a copy's handling and way at each, in loans."""
    places = [network.place[name] for name in names.places]
    tiers = [list(Tier).index(place.tier) for place in places]
    room = np.array([[place.shelf.get(c, -1 if not place.shelf else 0) for c in names.classes] for place in places])
    daily = np.array([DAILY_COPIES[place.tier] if place.id in visited else 0 for place in places])
    tries = 1 / (1 - _refused(connection, len(places), at))
    minutes = np.array([STAFF_MINUTES[place.kind] for place in places]).reshape(-1, 2)
    quotas, shelves = _floors(network, names, came, at)
    return arrays.Places.of(
        tiers,
        [place.population for place in places],
        classes=len(names.classes),
        room=room.reshape(len(places), -1),
        in_copies=np.maximum(daily - _arriving(rows, len(places), at), 0),
        out_copies=daily,
        in_cost=trip,
        out_cost=trip + HANDLING_LOANS * (tries - 1),
        owner=_owners(network, places),
        groups=_groups(network, names),
        fresh_quota=quotas,
        class_floor=shelves,
        least_lot=[place.least_lot for place in places],
        room_total=[place.slots or -1 for place in places],
        visit_price=_visit_prices(network, places),
        out_minutes=minutes[:, 0] * tries,
        in_minutes=minutes[:, 1],
        van_minutes=_van_minutes(network, places),
    )


def _floors(
    network: Network, names: Names, came: NDArray[np.int64], at: datetime
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return today's quotas of fresh copies (P), and how full special shelves should be (P x K)."""
    values = known()
    due = floors.fresh_due(network, values, network.day_of(at))
    quotas = np.array([due.get(place, 0) for place in names.places], np.int64)
    shelves = np.zeros((len(names.places), len(names.classes)), np.int32)
    for (place, cls), copies in floors.special_shelves(network, values).items():
        shelves[names.place_row[place], names.classes.index(cls)] = copies
    return np.maximum(quotas - came, 0), shelves


def _refused(connection: Connection[Any], places: int, at: datetime) -> NDArray[np.float64]:
    """Return the share of picks at each place that are refused, not found most of them."""
    since_s = at.timestamp() - PICKS_REMEMBERED_WEEKS * WEEK_S
    told = fetched(connection, _PICKS, _PICKS_ROW, since_s)
    refused, picks = np.full(places, REFUSED_PRIOR), np.full(places, PICKS_PRIOR)
    refused[told["place"]] += told["refused"]
    picks[told["place"]] += told["all"]
    return np.asarray(refused / picks)


def _arriving(rows: Rows, places: int, at: datetime) -> NDArray[np.int64]:
    """Count the copies about to arrive at each place: the library system's own shipments and returns home come first."""
    coming = (rows["state"] == STATES.index(CopyState.IN_TRANSIT)) & (rows["place"] >= 0)
    coming &= rows["at_s"] > at.timestamp() - ARRIVES_WITHIN_S
    return np.bincount(rows["place"][coming], minlength=places)


def _owners(network: Network, places: Sequence[Place]) -> list[int]:
    row = {owner.id: i for i, owner in enumerate(network.owners, 1)}
    return [row.get(place.owner or "", NOBODY) for place in places]


def _groups(network: Network, names: Names) -> NDArray[np.bool_]:
    within = [[place in group.places for place in names.places] for group in network.float_groups]
    return np.array(within, np.bool_).reshape(len(network.float_groups), len(names.places))


DAILY_COPIES = {
    Tier.CENTRAL: 400,
    Tier.DISTRICT: 200,
    Tier.SUBDISTRICT: 80,
    Tier.ROOM: 40,
}  # what a place's staff can pick or shelve

STAFF_MINUTES = {
    PlaceKind.STAFFED: (2.5, 0.5),
    PlaceKind.STORE: (2.0, 0.5),
    PlaceKind.ROOM: (3.0, 1.0),  # without a scanner: titles are ticked on a list
    PlaceKind.MACHINE: (0.0, 0.0),  # nobody is there: the driver empties and fills it
    PlaceKind.MOBILE_STOP: (1.0, 0.5),
    PlaceKind.SCHOOL: (3.0, 1.0),
    PlaceKind.ENTERPRISE: (3.0, 1.0),
    PlaceKind.WELFARE_HOME: (3.0, 1.0),
}  # to pick and send a copy, and to receive and shelve one; the twin city's at staffed places


def ways(network: Network, places: Sequence[str], loans_per_km: float) -> WayCosts:
    """Return the price of each place's way to its hub, and of the trunks between the hubs, as the crow flies."""
    hubs = [network.hub_of(place) for place in places]
    sorting = sorted({hub for hub in hubs if hub})
    row = {hub: i for i, hub in enumerate(sorting)}
    between = np.array([[network.km(one, other) for other in sorting] for one in sorting])
    at = np.array([row.get(hub or "", -1) for hub in hubs], np.int64)
    known = at >= 0
    trunk = np.zeros((len(places), len(places)))
    if known.any():
        trunk[np.ix_(known, known)] = between[np.ix_(at[known], at[known])]
    return way_costs([network.km_to_hub(place) for place in places], trunk, loans_per_km)


VAN_KM_H = 25.0  # on a round through a city, as the crow flies
SLOT_MINUTES = 1.0  # of the driver, to open a slot of a machine, take or put a copy, and scan it
LOANS_A_MINUTE = HANDLING_LOANS * 3  # as a copy's handling: 20 s of somebody's time
STOP_MINUTES = 5.0  # to park and to be signed for, as the courier's
COPIES_A_STOP = 50  # that a stop hands over and takes, hold shipments included: two crates


def _van_minutes(network: Network, places: Sequence[Place]) -> list[float]:
    """Return a copy's share of the drive to its place and of the stop there; a round serves some, so half the way counts."""
    return [
        (network.km_to_hub(place.id) / VAN_KM_H * 60 / 2 + STOP_MINUTES) / COPIES_A_STOP
        + (SLOT_MINUTES if place.kind is PlaceKind.MACHINE else 0.0)
        for place in places
    ]


def _visit_prices(network: Network, places: Sequence[Place]) -> list[float]:
    """Return the cost of a visit by appointment: the drive there and back, half of it shared, and the stop, in loans."""
    return [
        LOANS_A_MINUTE * (network.km_to_hub(place.id) / VAN_KM_H * 60 + STOP_MINUTES) if place.by_appointment else 0.0
        for place in places
    ]
