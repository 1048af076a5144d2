"""The migrated schema is the one that tables.py describes."""

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from rotation.store import migrate
from rotation.store.engine import engine
from rotation.store.tables import metadata


def test_the_migrations_lead_to_the_tables_as_they_are_written(database: str) -> None:
    with engine(database).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_upgrading_what_is_current_changes_nothing(database: str) -> None:
    with psycopg.connect(database) as connection:
        before = connection.execute("SELECT oid, relname, relfilenode FROM pg_class").fetchall()
    migrate.upgrade(database)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT oid, relname, relfilenode FROM pg_class").fetchall() == before


def test_keys_of_facts_are_compared_byte_by_byte_as_python_does(database: str) -> None:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT collname FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation"
            " WHERE attrelid = 'movements'::regclass AND attname IN ('copy_id', 'source', 'event_id')"
        ).fetchall()
    assert found == [("C",)] * 3
