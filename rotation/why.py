"""Why a copy moved, moves, or does not: its transfers, newest first, each with the sentence of the numbers that decided it."""

from typing import Any

from sqlalchemy import Connection, select

from rotation.rebalancing.outcome import Code, Reason
from rotation.rebalancing.reasons import EN, ZH, sentence
from rotation.store.tables import copies, transfers

OWN = {
    ZH: "图书馆系统自己的调运：预约或归还原馆。",
    EN: "A shipment of the library system's own: a hold, or a return home.",
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
    said = {language: _sentence(row.reason, language) for language in (ZH, EN)}
    return {
        "transfer": row.transfer_id,
        "kind": row.kind,
        "status": row.status,
        "from": row.from_place_id,
        "to": row.to_place_id,
        "day": row.day,
        "gain_loans": row.gain_loans,
        "why": said,
        "reason": row.reason,
    }


def _sentence(reason: dict[str, Any], language: str) -> str:
    code = reason.get("code")
    if code not in set(Code):
        return OWN[language]
    numbers = {name: float(number) for name, number in reason.items() if isinstance(number, int | float)}
    return sentence(Reason(Code(code), numbers), language)
