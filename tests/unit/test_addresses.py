"""Addresses of databases with any content: both libraries that read an address understand the same."""

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import make_url

from infra.child import Child
from infra.postgres import Postgres
from rotation.store.engine import conninfo

ODD = Path("/a folder, 流转/it's 100% + more?")


@pytest.fixture
def address() -> str:
    child = Child("PostgreSQL", [], ODD, 2, 1.0)  # type: ignore[arg-type]
    return Postgres(ODD, ODD, 5432, child).url


def test_libpq_reads_the_folder_that_was_meant(address: str):
    for form in (address, conninfo(address)):
        found = conninfo_to_dict(form)
        assert (found["host"], found["dbname"], found["user"]) == (str(ODD), "rotation", "postgres")


def test_sqlalchemy_reads_the_same(address: str):
    assert make_url(address).query["host"] == str(ODD)


def test_a_password_with_every_sign_reaches_libpq():
    found = conninfo_to_dict(conninfo("postgresql+psycopg://me:a%20b%40%2F%27c@db:5433/x?sslmode=verify-full"))
    assert found == {
        "user": "me",
        "password": "a b@/'c",
        "host": "db",
        "port": "5433",
        "dbname": "x",
        "sslmode": "verify-full",
    }
