"""The only door through which a stored thing changes its state.

A move is an UPDATE that compares before it sets: it takes only rows whose present state may come before the new state, as
`rotation.facts.lifecycle.TRANSITIONS` says. Of two who move a thing at once, the second finds that it has gone on. Transfers
that scans reach get their state from their last fact instead (`rotation.store.facts.update_transfers`).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from psycopg import Cursor
from sqlalchemy import Connection

from rotation.facts.lifecycle import DayPlanState, LegState, RunState, StopState, TransferState, before, listed

# Each lifecycle's table, and the column that names its rows: for a stop its run, for a leg its transfer.
TABLES: Mapping[type[StrEnum], tuple[str, str]] = {
    TransferState: ("transfers", "transfer_id"),
    DayPlanState: ("day_plans", "day_plan_id"),
    RunState: ("runs", "run_id"),
    StopState: ("stops", "run_id"),
    LegState: ("legs", "transfer_id"),
}


def move(
    by: Connection | Cursor[Any], to: StrEnum, where: str, *, beside: str = "", values: str = "", **parameters: Any
) -> list[str]:
    """Move rows to the state `to`, in the caller's transaction; return the name of each that moved, as TABLES has it.

    Parameters
    ----------
    where
        SQL over the row, which is `own` in it, and over the tables `beside`; `parameters` are its %(values)s.
    beside
        More tables, as in FROM.
    values
        More columns to set, as in SET.

    Raises
    ------
    ValueError
        When nothing may become `to`.
    """
    sql = statement(to, where, beside, values)
    rows = by.exec_driver_sql(sql, parameters) if isinstance(by, Connection) else by.execute(sql, parameters)
    return [name for (name,) in rows.fetchall()]


def statement(to: StrEnum, where: str, beside: str = "", values: str = "") -> str:
    """Return the SQL of a move."""
    states, (table, name) = before(to), TABLES[type(to)]
    if not states:
        raise ValueError(f"nothing becomes {to!r}: see rotation.facts.lifecycle.TRANSITIONS")
    also, source = f", {values}" if values else "", f" FROM {beside}" if beside else ""
    return (
        f"UPDATE {table} own SET status = '{to}'{also}{source}"
        f" WHERE own.status IN ({listed(states)}) AND ({where}) RETURNING own.{name}"
    )
