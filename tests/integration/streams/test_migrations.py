"""The migrated schema is the one that tables.py describes."""

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from infra.postgres import Postgres
from rotation.accounts.auth import user_named
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


def test_a_folder_made_before_the_first_file_was_edited_gets_the_indexes_it_lacks(postgres: Postgres) -> None:
    url = postgres.url_of("indexes")
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE indexes")
    migrate.upgrade(url, "0039")
    with psycopg.connect(url) as connection:
        connection.execute("DROP INDEX transfers_under_way, copies_unlisted")
        connection.execute("CREATE INDEX copies_by_title ON copies (title_id)")
    migrate.upgrade(url)
    with engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_keys_of_facts_are_compared_byte_by_byte_as_python_does(database: str) -> None:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT collname FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation"
            " WHERE attrelid = 'movements'::regclass AND attname IN ('copy_id', 'source', 'event_id')"
        ).fetchall()
    assert found == [("C",)] * 3


def test_users_of_an_older_version_keep_their_names_and_the_older_of_two_that_look_alike_gets_the_key(
    postgres: Postgres,
) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as server:
        server.execute("CREATE DATABASE older_users")
    url = postgres.url_of("older_users")
    migrate.upgrade(url, "0015")
    with psycopg.connect(url) as connection:
        for name, day in (("Admin", 2), ("admin", 1), ("王芳", 3)):
            connection.execute(
                "INSERT INTO users (name, password_hash, role, created_at) VALUES (%s, 'h', 'viewer', %s)",
                (name, f"2026-01-0{day}"),
            )
    migrate.upgrade(url)
    with psycopg.connect(url) as connection:
        found = dict(connection.execute("SELECT name, key FROM users").fetchall())
    assert found == {"Admin": None, "admin": "admin", "王芳": "王芳"}
    with engine(url).connect() as connection:
        names = [known.caller.name for typed in ("Admin", "admin", "ADMIN") if (known := user_named(connection, typed))]
    assert names == ["Admin", "admin", "admin"]


def test_an_older_version_on_newer_tables_says_which_version_they_are_of(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(migrate.NewerTables, match="of a newer version \\(9999; this one knows up to"):
        migrate.upgrade(database)
