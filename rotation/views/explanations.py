"""Why a copy moved or moves: its transfers, newest first, each with the sentence of its numbers; and why a title goes nowhere."""

from typing import Any

from sqlalchemy import Connection, select

from config import Settings
from rotation.facts.lifecycle import COMING
from rotation.language.catalogues import CHINESE, ENGLISH, language
from rotation.language.reasons import sentence, worth
from rotation.network import Network
from rotation.night import kept_prices
from rotation.night.moves import nights_world
from rotation.night.settings import rebalancing_settings
from rotation.rebalancing.outcome import Reason
from rotation.rebalancing.plan import KeptNight, why_not
from rotation.store.clock import read_clock
from rotation.store.tables import copies, transfers

OWN = {
    CHINESE: "图书馆系统自己的调运：预约或归还原馆。",
    ENGLISH: "A shipment of the library system's own: a hold, or a return home.",
}


class CopyNotFound(ValueError):
    """No copy of that id was ever heard of."""


class NoNight(ValueError):
    """Without a night there are no prices to judge by."""


def of_copy(connection: Connection, copy_id: str) -> dict[str, Any]:
    """Return where a copy is and its transfers with their reasons in both languages.

    Raises
    ------
    CopyNotFound
        When no fact ever named it.
    """
    copy = connection.execute(select(copies).where(copies.c.copy_id == copy_id)).first()
    if copy is None:
        raise CopyNotFound(f"no copy {copy_id!r} was ever heard of")
    rows = connection.execute(
        select(transfers).where(transfers.c.copy_id == copy_id).order_by(transfers.c.created_at.desc())
    )
    return {
        "copy": copy_id,
        "title": copy.title_id,
        "state": copy.state,
        "place": copy.place_id,
        "since": copy.occurred_at,
        "transfers": [_transfer(row) for row in rows],
    }


def not_there(
    connection: Connection, network: Network, settings: Settings, title_id: str, place_id: str
) -> dict[str, Any]:
    """Return why no copy of a title goes to a place, at the last night's prices, or the transfer that brings a copy.

    Raises
    ------
    NoNight
        When none has been planned yet.
    """
    coming = (transfers.c.title_id == title_id) & (transfers.c.to_place_id == place_id) & transfers.c.status.in_(COMING)
    row = connection.execute(select(transfers).where(coming).order_by(transfers.c.created_at.desc())).first()
    if row is not None:
        return {"title": title_id, "place": place_id, **_transfer(row)}
    reason = _reason_against(connection, network, settings, title_id, place_id)
    told = {"code": str(reason.code), **{name: round(float(value), 4) for name, value in reason.numbers.items()}}
    said = {code: sentence(told, language(code)) for code in (CHINESE, ENGLISH)}
    return {"title": title_id, "place": place_id, "transfer": None, "why": said, "reason": told}


def _reason_against(
    connection: Connection, network: Network, settings: Settings, title_id: str, place_id: str
) -> Reason:
    known = kept_prices.last(connection)
    if known is None:
        raise NoNight("no night has been planned yet, so nothing has a price: `rotation plan` makes one")
    now = read_clock(connection).now()
    found = nights_world(connection, network, settings, network.day_of(now), now)
    title, place = found.names.title_row.get(title_id, -1), found.names.place_row.get(place_id, -1)
    chosen = rebalancing_settings(settings, found.season)
    return why_not(found.snapshot, KeptNight(*known.of(found.names)), title, place, chosen)


def _transfer(row: Any) -> dict[str, Any]:
    return {
        "transfer": row.transfer_id,
        "kind": row.kind,
        "status": row.status,
        "from": row.from_place_id,
        "to": row.to_place_id,
        "day": row.day,
        "gain_loans": row.gain_loans,
        "why": {code: _sentence(row.reason, code) for code in (CHINESE, ENGLISH)},
        "worth": {code: worth(row.reason, row.gain_loans, language(code)) for code in (CHINESE, ENGLISH)},
        "reason": row.reason,
    }


def _sentence(reason: dict[str, Any], code: str) -> str:
    return OWN[code] if reason.get("code") == "system" else sentence(reason, language(code))
