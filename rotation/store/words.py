"""The database holds columns of states and kinds to the words of `rotation.facts.lifecycle`: a CHECK and a comment for each."""

from collections.abc import Collection, Iterator

from sqlalchemy import Column, Connection, func, select

from rotation.store.tables import CHECKS, WORDS


class UnknownWord(RuntimeError):
    """Rows hold a state or kind that this version does not know, so that the database cannot be upgraded."""


def constrain(connection: Connection, tables: Collection[str]) -> None:
    """Replace the CHECKs and comments of all states and kinds in `tables`, in the caller's transaction.

    Raises
    ------
    UnknownWord
        When a row holds another word. Nothing is changed; the message names each table and column, the word, and the rows.
    """
    columns = [column for column in WORDS if column.table.name in tables]
    if unknown := [line for column in columns for line in _unknown(connection, column)]:
        raise UnknownWord(f"{'; '.join(unknown)}: correct these rows and start again")
    for column in columns:
        table, check = column.table.name, CHECKS[column]
        connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {check.name}")
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {check.name} CHECK ({check.sqltext})")
        connection.exec_driver_sql(f"COMMENT ON COLUMN {table}.{column.name} IS '{column.comment}'")


def _unknown(connection: Connection, column: Column[object]) -> Iterator[str]:
    query = select(column, func.count()).where(column.not_in(list(WORDS[column]))).group_by(column).order_by(column)
    for word, rows in connection.execute(query):
        yield f"{column.table.name}.{column.name} holds {word!r} in {rows} rows"
