"""The night's moves: picks are decided, proposed, and kept with the prices that they were decided at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select

from config import Settings
from config.figures import known
from rotation.facts.lifecycle import TransferKind, TransferState
from rotation.network import Network
from rotation.night import (
    floors,
    kept_prices,
    loans_guard,
    machines,
    place_notices,
    requested_sets,
    visits,
    wanted_places,
)
from rotation.night.requested_sets import OpenSet
from rotation.night.settings import rebalancing_settings
from rotation.night.uncharged_costs import beyond
from rotation.night.world.touched_rows import Names
from rotation.night.world.world import NightWorld, world
from rotation.rebalancing.outcome import Floor, Move, Plan, ReasonCode
from rotation.rebalancing.plan import plan
from rotation.rebalancing.snapshot import PlanningSettings
from rotation.store.engine import driver
from rotation.store.tables import legs, plans, transfers


@dataclass(frozen=True, slots=True)
class Night:
    """The night that is planned: its transaction, network and settings, the day it plans, and the network's time."""

    connection: Connection
    network: Network
    settings: Settings
    day: date
    now: datetime

    @property
    def plan_id(self) -> str:
        """The id of the day's plan."""
        return f"plan-{self.day:%Y%m%d}"


@dataclass
class Memory:
    """A night's state for the next night in the same process: its world, so that only rows touched since are read."""

    world: NightWorld | None = None
    ids: tuple[frozenset[str], ...] = ()  # that the world numbers

    def world_of(self, network: Network) -> NightWorld | None:
        """Return the last world, unless places, classes or owners have come or gone since."""
        last, self.ids = self.ids, ids_of(network)
        return self.world if last == self.ids else None


def ids_of(network: Network) -> tuple[frozenset[str], ...]:
    """Return the ids of places, classes and owners."""
    return tuple(frozenset(row.id for row in rows) for rows in (network.places, network.classes, network.owners))


class Decided(NamedTuple):
    """A night's decision, and the world and planner's settings that it was made with."""

    world: NightWorld
    chosen: PlanningSettings
    plan: Plan


def decide_moves(night: Night, memory: Memory) -> Decided | None:
    """Decide the day's picks and keep them with the night's prices; None if that was done before."""
    if night.connection.execute(select(plans).where(plans.c.day == night.day)).first() is not None:
        return None
    loans_guard.steer(night.connection, night.network, night.now)
    last = memory.world_of(night.network)
    memory.world = nights_world(night.connection, night.network, night.settings, night.day, night.now, last)
    chosen = rebalancing_settings(night.settings, memory.world.season)
    decided = Decided(memory.world, chosen, plan(memory.world.snapshot, chosen, night.settings.seed))
    keep(night, decided)
    propose(night, decided)
    return decided


def nights_world(
    connection: Connection,
    network: Network,
    settings: Settings,
    day: date,
    now: datetime,
    last: NightWorld | None = None,
) -> NightWorld:
    """Read the world that a night plans `day` with. Rows that `last` has read are read again only if touched since."""
    read = world(
        driver(connection),
        network,
        now,
        history_weeks=settings.history_weeks,
        visited=visits.planned_for(network, day),
        loans_per_km=settings.loans_per_km,
        horizon_weeks=settings.horizon_weeks,
        local_first_days=settings.local_first_days,
        last=last,
    )
    heeded = machines.heeded(connection, network, place_notices.heeded(connection, read, day))
    return visits.credited(connection, network, heeded, day)


def keep(night: Night, decided: Decided) -> None:
    """Write the night's prices and figures in place of those of the round before."""
    connection, plan_id, made, names = night.connection, night.plan_id, decided.plan, decided.world.names
    connection.execute(delete(plans).where(plans.c.plan_id == plan_id))
    connection.execute(
        insert(plans),
        {
            "plan_id": plan_id,
            "day": night.day,
            "snapshot_at": decided.world.at,
            "seed": night.settings.seed,
            "moves": len(made.moves),
            "value_loans": made.value,
            "bound_loans": made.bound,
            "seconds": sum(made.seconds.values()),
            "details": _details(night.network, made, names, night.settings.loans_per_km),
        },
    )
    kept_prices.keep(connection, plan_id, made, names)
    if night.settings.publish_targets:
        wanted_places.publish(driver(connection), plan_id, decided.world, made.rates, made.prices, decided.chosen)


def propose(night: Night, decided: Decided) -> None:
    """Write the night's moves in place of the round before's; a person, or the setting, approves them later.

    A move that its owner must agree to waits for the owner's answer. Moves held back are kept, to be compared with the others.
    """
    connection, network, made = night.connection, night.network, decided.plan
    before = select(transfers.c.transfer_id).where(transfers.c.plan_id == night.plan_id)
    connection.execute(delete(legs).where(legs.c.transfer_id.in_(before)))
    connection.execute(delete(transfers).where(transfers.c.plan_id == night.plan_id))
    visited = visits.DecidedVisits(night.plan_id, night.day, visits.planned_for(network, night.day))
    rows = _rows(night, decided.world, made, {**dict.fromkeys(network.place, night.day), **visited.on})
    visits.announce(connection, network, visited, decided.world, rows)  # before its own moves wait too
    if rows:
        connection.execute(insert(transfers), rows)


def _rows(night: Night, found: NightWorld, made: Plan, on: Mapping[str, date]) -> list[dict[str, Any]]:
    """Return the moves as rows of transfers; `on` is the day on which each place gives copies away."""
    open_sets = requested_sets.still_open(driver(night.connection), night.day)
    needs_consent = _needs_consent(night.network, found)
    moved = [move for move in made.moves if move.origin != move.destination]  # a copy without a home may stay
    return [
        _transfer(
            move, found, night.plan_id, on, TransferState.ASKED if needs_consent(move) else TransferState.PROPOSED
        )
        | {"set_id": _set(open_sets, move, found)}
        for move in moved
    ] + [
        _transfer(move, found, night.plan_id, on, TransferState.HELD_BACK) | {"set_id": None} for move in made.held_back
    ]


def tell_of_visits(night: Night) -> None:
    """Tell rooms of the visits that the night announced, with the moves that remain."""
    of_plan = select(transfers).where(transfers.c.plan_id == night.plan_id).order_by(transfers.c.transfer_id)
    visits.tell(night.connection, night.plan_id, [dict(row) for row in night.connection.execute(of_plan).mappings()])


def _set(open_sets: Sequence[OpenSet], move: Move, found: NightWorld) -> str | None:
    """Return the set that a move fills, if it was made for a set."""
    if move.reason.code is not ReasonCode.REQUESTED:
        return None
    names, cls = found.names, int(found.snapshot.titles.cls[move.title])
    return requested_sets.filled(
        open_sets, names.places[move.destination], names.titles[move.title], names.classes[cls]
    )


def _needs_consent(network: Network, found: NightWorld) -> Callable[[Move], bool]:
    """Return a predicate: does this move need the owner's consent? It does if the owner lends there only when asked."""
    owners = dict(enumerate(network.owners, 1))
    copies, places = found.snapshot.copies, found.snapshot.places

    def needs_consent(move: Move) -> bool:
        owner, other = owners.get(int(copies.owner[move.copy])), owners.get(int(places.owner[move.destination]))
        return owner is not None and other is not None and not owner.lets(other.id)

    return needs_consent


def _transfer(
    move: Move, found: NightWorld, plan_id: str, on: Mapping[str, date], status: TransferState
) -> dict[str, Any]:
    names = found.names
    numbers = {key: round(float(number), 4) for key, number in move.reason.numbers.items()}
    interval = {"gain_low": round(move.gain_low, 4), "gain_high": round(move.gain_high, 4)}
    return {
        "transfer_id": f"{plan_id}-{names.copies[move.copy]}",
        "copy_id": names.copies[move.copy],
        "title_id": names.titles[move.title],
        "from_place_id": names.places[move.origin],
        "to_place_id": names.places[move.destination],
        "kind": TransferKind.PICK,
        "status": status,
        "plan_id": plan_id,
        "day": on[names.places[move.origin]],
        "gain_loans": move.gain,
        "reason": {"code": str(move.reason.code), **interval, **numbers},
        "created_at": found.at,
        "changed_at": found.at,
    }


def _details(network: Network, decided: Plan, names: Names, loans_per_km: float) -> dict[str, Any]:
    """Return the figures of a plan that the page shows beside its moves."""
    lanes = [(names.places[move.origin], names.places[move.destination]) for move in decided.moves]
    more = beyond(network, lanes, loans_per_km)
    return {
        "gap": decided.gap,
        "move_price": decided.prices.move,
        "staff_minute_price": decided.prices.staff_minute,
        "van_hour_price": decided.prices.van_hour,
        "rounds": decided.rounds,
        "seconds": dict(decided.seconds),
        "lost_to_owners": decided.lost_to_owners,
        "lost_to_lots": decided.lost_to_lots,
        "cost_of_crates": more.crates,
        "cost_of_lanes": more.lanes,
        "held_back": len(decided.held_back),
        "refused": {why: len(rows) for why, rows in decided.refused.items()},
        "floors": [_floor(one, names) for one in decided.floors],
        "floors_unset": [asdict(one) for one in floors.unset(network, known())],
        "purchases": [{"title": names.titles[one.title], "worth": one.worth} for one in decided.purchases],
        "weeding": [
            {
                "copy": names.copies[one.copy],
                "title": names.titles[one.title],
                "place": names.places[one.place],
                "worth": one.worth,
            }
            for one in decided.weeding
        ],
    }


def _floor(floor: Floor, names: Names) -> dict[str, Any]:
    cls = names.classes[floor.cls] if floor.cls >= 0 else None
    return {**asdict(floor), "place": names.places[floor.place], "cls": cls}
