"""Bring a database to the schema of this version: Alembic's revisions in `migrations/versions`, each a file of plain SQL."""

from collections.abc import Collection
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement, SetColumnComment, SetTableComment

from rotation.store.engine import engine
from rotation.store.tables import metadata

MIGRATIONS = Path(__file__).parent / "migrations"
ONE_AT_A_TIME = 7_276_001  # key of the advisory lock: processes that start together migrate one after the other


def upgrade(url: str) -> None:
    """Create or upgrade the tables; does nothing where they are up to date."""
    with engine(url).connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ONE_AT_A_TIME})
        connection.commit()
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ONE_AT_A_TIME})
        connection.commit()


def is_current(url: str) -> bool:
    """Whether the database is at this version's schema."""
    with engine(url).connect() as connection:
        return (
            MigrationContext.configure(connection).get_current_revision()
            == ScriptDirectory.from_config(_config()).get_current_head()
        )


def schema_sql(without: Collection[str] = ()) -> str:
    """Return the DDL of `tables.py` as it stands, but for some tables: a help for writing revisions."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    parts = [
        str(ddl.compile(dialect=dialect)).strip() + ";"
        for table in metadata.sorted_tables
        if table.name not in without
        for ddl in _ddl(table)
    ]
    return "\n\n".join(parts) + "\n"


def _ddl(table: Table) -> list[ExecutableDDLElement]:
    indexes = [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
    comments = [SetColumnComment(column) for column in table.columns if column.comment]
    return [CreateTable(table), *indexes, *([SetTableComment(table)] if table.comment else []), *comments]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
