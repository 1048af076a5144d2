"""Why a copy moved, moves, or does not: its transfers, newest first, each with the sentence of the numbers that decided it."""

from typing import Any

from sqlalchemy import Connection, select

from rotation.store.tables import copies, transfers
from rotation.web.language import CHINESE, ENGLISH, language
from rotation.web.reasons import sentence

OWN = {
    CHINESE: "图书馆系统自己的调运：预约或归还原馆。",
    ENGLISH: "A shipment of the library system's own: a hold, or a return home.",
}


class UnknownCopy(ValueError):
    """No copy of that id was ever heard of."""


def of_copy(connection: Connection, copy_id: str) -> dict[str, Any]:
    """Return where a copy is and its transfers with their reasons in both languages.

    Raises
    ------
    UnknownCopy
        When no fact ever named it.
    """
    copy = connection.execute(select(copies).where(copies.c.copy_id == copy_id)).first()
    if copy is None:
        raise UnknownCopy(f"no copy {copy_id!r} was ever heard of")
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
        "reason": row.reason,
    }


def _sentence(reason: dict[str, Any], code: str) -> str:
    return OWN[code] if reason.get("code") == "system" else sentence(reason, language(code))
