"""States and kinds in the database: it takes the known ones alone, and a move only from where the lifecycle allows it."""

import psycopg
import pytest

from infra.postgres import Postgres
from rotation.facts.lifecycle import RunState, StopState, TransferState
from rotation.store import migrate
from rotation.store.engine import engine
from rotation.store.tables import CHECKS, WORDS
from rotation.store.transitions import move
from rotation.store.words import UnknownWord, constrain

A_TRANSFER = (
    "INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, reason, created_at, changed_at)"
    " VALUES (%s, 'c', 'a', 'b', 'pick', %s, '{}', now(), now())"
)
A_RUN = "INSERT INTO runs VALUES ('r', 'd', '2026-03-02', 'h', 'v', %s, now(), now(), 1, 1, 1)"
ANY = "true"


def test_every_column_of_states_and_kinds_is_checked_and_commented(database: str) -> None:
    with psycopg.connect(database) as connection:
        for column, words in WORDS.items():
            (check,) = connection.execute(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", (str(CHECKS[column].name),)
            ).fetchone() or ("",)
            assert [word for word in words if f"'{word}'" not in check] == []
            assert check.count("'") == 2 * len(list(words))


def test_the_database_takes_no_unknown_state(database: str) -> None:
    with psycopg.connect(database) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(A_TRANSFER, ("t", "on the moon"))


def test_an_upgrade_names_the_rows_that_hold_an_unknown_state(database: str) -> None:
    with engine(database).begin() as connection:
        for check in CHECKS.values():
            connection.exec_driver_sql(f"ALTER TABLE {check.table.name} DROP CONSTRAINT {check.name}")
        connection.exec_driver_sql(A_TRANSFER, ("t", "on the moon"))
        with pytest.raises(UnknownWord, match=r"transfers\.status holds 'on the moon' in 1 rows"):
            constrain(connection, {"transfers"})


def test_a_move_takes_only_rows_whose_state_may_come_before(database: str) -> None:
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.executemany(A_TRANSFER, [(state, state) for state in TransferState])
        assert sorted(move(cursor, TransferState.CANCELLED, ANY)) == ["approved", "asked", "ordered", "proposed"]
        assert move(cursor, TransferState.CANCELLED, ANY) == []


def test_of_two_who_move_a_run_the_second_moves_nothing(database: str) -> None:
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(A_RUN, ("draft",))
        assert move(cursor, RunState.APPROVED, "own.run_id = %(run)s", run="r") == ["r"]
        assert move(cursor, RunState.SENT_BACK, "own.run_id = %(run)s", run="r") == []


def test_nothing_is_moved_to_a_state_that_only_begins_a_life(database: str) -> None:
    with psycopg.connect(database) as connection, pytest.raises(ValueError, match="nothing becomes"):
        move(connection.cursor(), StopState.PLANNED, ANY)


def test_a_database_of_the_version_before_is_checked_after_its_upgrade(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as server:
        server.execute("CREATE DATABASE before_lifecycles")
    database = postgres.url_of("before_lifecycles")
    migrate.upgrade(database, "0009")
    with engine(database).begin() as connection:
        connection.exec_driver_sql(A_TRANSFER, ("t", TransferState.HELD_BACK))
    migrate.upgrade(database)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT status FROM transfers").fetchall() == [("held_back",)]
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE transfers SET status = 'on the moon'")
