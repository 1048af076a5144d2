"""Answers the desk, the sorter and the self-service machine: where does this returned copy go next?

`placement` decides, from the last night's prices and the present levels; here it is given the world, its answer becomes
a transfer like any other, and the same question gets the same answer until the copy has left. A hub asks too: a copy that
passes through goes on where it was going, or to a reader who has asked for its title since.
"""

import logging
import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from config import Settings
from rotation.dispatch import return_rules
from rotation.dispatch.return_rules import RuleCode
from rotation.facts.lifecycle import MAY_BE_CANCELLED, ON_ITS_WAY, OURS, TransferKind, TransferState, listed
from rotation.facts.movements import CopyState
from rotation.hands.directions import Direction, ordered
from rotation.network import Network
from rotation.night import kept_prices, machines, place_notices
from rotation.night.settings import rebalancing_settings
from rotation.night.world.world import NightWorld, world
from rotation.rebalancing.placement import Placer
from rotation.store import desk_answers
from rotation.store.city_settings import decided
from rotation.store.clock import read_clock
from rotation.store.desk_answers import AnsweredBy, DeskAnswer
from rotation.store.engine import driver
from rotation.store.facts import hold_subjects
from rotation.store.locks import LockSpace
from rotation.store.networks import in_force
from rotation.store.tables import copies, holds, rates, transfers

log = logging.getLogger(__name__)
LOOK_S = 5.0  # how often a new night is looked for; at a simulated day of half a minute still within the first hour
STALE_S = 900.0  # levels that others moved are read again at least so often
REDIRECTED = "redirected"  # code of the reason
NEVER = datetime.max.replace(tzinfo=UTC)


class UnknownCopy(LookupError):
    """No copy of that id is known."""


class UnknownPlace(LookupError):
    """No place of that id is in the network."""


class Desk:
    """Holds the day's `Placer`, for a web process. `refresh` after each night, and now and then for others' moves."""

    def __init__(self, engine: Engine, network: Network, settings: Settings) -> None:
        self._engine, self._network, self._settings = engine, network, settings
        self._given = network
        self._planning = rebalancing_settings(settings)
        self._lock = threading.Lock()  # answers count copies, so they are given one after the other
        self._lock_of_refresh = threading.Lock()
        self._looked_at = self._read_at = -STALE_S
        self._plan_id: str | None = None
        self._placer: Placer | None = None
        self._priced = False
        self._world: NightWorld | None = None

    def refresh(self) -> None:
        """Read the last night and the present levels; answers go on from the old ones meanwhile."""
        with self._engine.connect() as connection:
            clock = read_clock(connection)
            now = clock.now()
            self._network = in_force(connection, self._given, self._given.day_of(now))
            weeks, everywhere = self._settings.history_weeks, self._network.place
            found = world(
                driver(connection),
                self._network,
                now,
                history_weeks=weeks,
                visited=everywhere,
                loans_per_km=self._settings.loans_per_km,
                last=self._world,
                local_first_days=self._settings.local_first_days,
            )
            noticed = place_notices.heeded(connection, found, self._network.day_of(now))
            found = machines.heeded(connection, self._network, noticed)
            known = kept_prices.last(connection)
        rates, prices = known.of(found.names) if known else (None, None)
        plain = self._settings.placement_default
        placer = Placer(found.snapshot, rates, prices, self._planning, plain=plain)
        with self._lock:
            self._placer, self._world, self._priced = placer, found, known is not None
            self._plan_id, self._read_at = (known.plan_id if known else None), time.monotonic()

    def place(
        self, copy_id: str, place_id: str, connection: Connection | None = None, now: datetime | None = None
    ) -> Direction:
        """Say where a copy that was returned at `place_id` goes next, and order its transfer unless it stays.

        In the caller's transaction, or without one in its own; `now` is the network's time, if the caller has read it.

        Raises
        ------
        UnknownCopy, UnknownPlace
            When the copy is unknown, or the place is not in the network.
        """
        if place_id not in self._network.place:
            raise UnknownPlace(place_id)
        self._keep_fresh()
        with nullcontext(connection) if connection else self._engine.begin() as asking:
            # Who asks for the same copy at this moment waits until our order stands.
            hold_subjects(driver(asking).cursor(), LockSpace.COPY, [copy_id])
            with self._lock:
                return self._answer(asking, copy_id, place_id, now)

    def _keep_fresh(self) -> None:
        """Look beside the answers whether there is a new night; until the first is read, answers are plain."""
        if time.monotonic() - self._looked_at > LOOK_S and self._lock_of_refresh.acquire(blocking=False):
            self._looked_at = time.monotonic()
            threading.Thread(target=self._refresh_if_new, daemon=True).start()

    def _refresh_if_new(self) -> None:
        try:
            with self._engine.connect() as connection:
                plan_id = connection.execute(select(rates.c.plan_id)).scalar()
            if plan_id != self._plan_id or time.monotonic() - self._read_at > STALE_S:
                self.refresh()
        except SQLAlchemyError:
            log.warning("desk goes on from older prices", exc_info=True)
        finally:
            self._lock_of_refresh.release()

    def _answer(self, connection: Connection, copy_id: str, place_id: str, now: datetime | None) -> Direction:
        copy = connection.execute(select(copies).where(copies.c.copy_id == copy_id)).first()
        if copy is None:
            raise UnknownCopy(copy_id)
        now = now or read_clock(connection).now()
        if self._passes_through(copy, place_id):
            return self._sent_on(connection, copy, place_id, now)
        given = _trapped(connection, copy, place_id) or _given_before(connection, copy_id, place_id)
        if given is not None:
            return given
        waited = self._waited_for(connection, copy, place_id, now)
        direction = waited or self._ruled(connection, copy, place_id, now)
        return direction if direction.to == place_id else ordered(connection, copy, place_id, direction, now)

    def _waited_for(self, connection: Connection, copy: Row[Any], place_id: str, now: datetime) -> Direction | None:
        """A reader who waits comes first; the nearest hold in time that no other copy is on its way to.

        In its first days a hold is filled from its own district only (`local_first_days`).
        """
        days = self._settings.local_first_days
        near = self._network.district(place_id) if days else frozenset[str]()
        asked = {
            "title": copy.title_id,
            "copy": copy.copy_id,
            "near": sorted(near),
            "asked_by": now - timedelta(days=days) if days else NEVER,
        }
        hold = connection.execute(_NEXT_HOLD, asked).first() if copy.title_id else None
        if hold is None:
            return None
        reason = {"code": "readers_wait", "waiting": hold.waiting, "hold": hold.hold_id}
        return Direction(hold.place_id, None, reason, 0.0)

    def _passes_through(self, copy: Row[Any], place_id: str) -> bool:
        is_hub = self._network.place[place_id].hub is not None
        return is_hub and copy.state == CopyState.IN_TRANSIT and copy.to_place_id not in (None, place_id)

    def _sent_on(self, connection: Connection, copy: Row[Any], hub_id: str, now: datetime) -> Direction:
        """Send a copy on as it was sent, or by the same transfer to a reader who waits; once redirected it goes there."""
        sent = connection.execute(_SENT, {"copy": copy.copy_id}).first()
        if sent is None or sent.kind not in OURS:
            return Direction(copy.to_place_id, sent.transfer_id if sent else None, {"code": "system"}, 0.0)
        waited = None if "hold" in sent.reason else self._waited_for(connection, copy, hub_id, now)
        if waited is None:
            return Direction(sent.to_place_id, sent.transfer_id, sent.reason, sent.gain_loans or 0.0)
        reason = {**waited.reason, "code": REDIRECTED, "was": sent.to_place_id}
        new = {"to_place_id": waited.to, "reason": reason, "set_id": None, "changed_at": now}
        connection.execute(update(transfers).where(transfers.c.transfer_id == sent.transfer_id).values(new))
        return Direction(waited.to, sent.transfer_id, reason, sent.gain_loans or 0.0)

    def _ruled(self, connection: Connection, copy: Row[Any], place_id: str, now: datetime) -> Direction:
        """Ask the librarians' rules, and where they leave it open the prices."""
        rules, home = return_rules.standing(connection), copy.home_place_id or place_id
        if return_rules.stays_home(rules, copy, place_id):
            return Direction(home, None, {"code": str(RuleCode.HOME)}, 0.0)
        direction = self._placed(connection, copy, place_id, now)
        places = list(dict.fromkeys((direction.to, place_id, home)))
        to, at_most = return_rules.within_limits(connection, rules, copy, places)
        return (
            direction
            if at_most is None
            else Direction(to, None, {"code": str(RuleCode.AT_MOST), "copies": at_most}, 0.0)
        )

    def _placed(self, connection: Connection, copy: Row[Any], place_id: str, now: datetime) -> Direction:
        """Ask the night's prices; where they say nothing of the copy, or are measured, it goes home or stays, as set."""
        title = self._world.names.title_row.get(copy.title_id, -1) if self._world else -1
        plain = self._plain(copy, place_id)
        if copy.fixed or title < 0 or not (self._priced and self._placer and self._world):
            return plain
        ruled = self._priced_direction(self._placer, self._world, copy, title, place_id)
        day = self._network.day_of(now)
        by = desk_answers.answered_by(decided(connection, self._settings), place_id, day)
        if by is None:
            return ruled
        code = str(ruled.reason["code"])
        answer = DeskAnswer(copy.copy_id, copy.title_id, place_id, day, now, by, ruled.to, plain.to, code)
        desk_answers.keep(connection, answer)
        if by is AnsweredBy.DESK_RULE:
            return ruled
        row = self._world.names.place_row  # the copy counts where it really goes
        self._placer.moved(title, row.get(ruled.to, -1), row.get(plain.to, -1))
        return plain

    def _priced_direction(
        self, placer: Placer, found: NightWorld, copy: Row[Any], title: int, place_id: str
    ) -> Direction:
        """Return the place worth most at the night's prices, and count the copy there."""
        names = found.names
        counted = found.counted_at(copy.copy_id, otherwise=names.place_row.get(copy.place_id, -1))
        owner = found.owner_of(copy.owner_id)
        came_from = found.moved_from(copy.copy_id, self._planning.ping_pong_weeks)
        answer = placer.place(title, names.place_row[place_id], home=counted, owner=owner, came_from=came_from)
        numbers = {key: round(float(number), 4) for key, number in answer.reason.numbers.items()}
        return Direction(names.places[answer.place], None, {"code": str(answer.reason.code), **numbers}, answer.value)

    def _plain(self, copy: Row[Any], place_id: str) -> Direction:
        goes_home = (copy.fixed or self._settings.placement_default == "home") and copy.home_place_id is not None
        to = copy.home_place_id if goes_home else place_id
        return Direction(to, None, {"code": "goes_home" if to != place_id else "stays"}, 0.0)


# The library system's own shipments to a place fill its first holds.
_NEXT_HOLD = text(f"""
    WITH waits AS (
        SELECT h.hold_id, h.place_id, h.occurred_at, count(*) OVER () AS waiting,
               row_number() OVER (PARTITION BY h.place_id ORDER BY h.occurred_at, h.hold_id) AS nth
        FROM holds h
        WHERE h.title_id = :title AND h.type = 'hold.placed' AND coalesce(h.copy_id, :copy) = :copy
          AND NOT EXISTS (SELECT 1 FROM transfers t WHERE t.reason->>'hold' = h.hold_id
                          AND t.title_id = h.title_id AND t.status IN ({listed(ON_ITS_WAY)})))
    SELECT * FROM waits w
    WHERE nth > (SELECT count(*) FROM transfers t WHERE t.title_id = :title AND t.status = '{TransferState.SENT}'
                 AND t.kind = '{TransferKind.SHIPMENT}' AND t.to_place_id = w.place_id)
      AND (place_id = ANY(:near) OR occurred_at <= :asked_by)
    ORDER BY occurred_at, hold_id LIMIT 1""")
_SENT = text(f"""
    SELECT transfer_id, kind, to_place_id, reason, gain_loans FROM transfers
    WHERE copy_id = :copy AND status = '{TransferState.SENT}' ORDER BY changed_at DESC, transfer_id LIMIT 1""")


def _trapped(connection: Connection, copy: Row[Any], place_id: str) -> Direction | None:
    """A copy that stands on the hold shelf here stays for its reader; a copy whose hold is over is placed like any other."""
    if copy.state != CopyState.ON_HOLD_SHELF or copy.place_id != place_id:
        return None
    trapped_for = (holds.c.copy_id == copy.copy_id) & (holds.c.type == "hold.filled")
    hold = connection.scalar(select(holds.c.hold_id).where(holds.c.title_id == copy.title_id, trapped_for))
    return Direction(place_id, None, {"code": "readers_wait", "waiting": 1, "hold": hold}, 0.0) if hold else None


def _given_before(connection: Connection, copy_id: str, place_id: str) -> Direction | None:
    row = connection.execute(
        select(transfers).where(
            transfers.c.copy_id == copy_id,
            transfers.c.from_place_id == place_id,
            transfers.c.kind == TransferKind.PLACEMENT,
            transfers.c.status.in_(MAY_BE_CANCELLED),
        )
    ).first()
    return Direction(row.to_place_id, row.transfer_id, row.reason, row.gain_loans or 0.0) if row else None
