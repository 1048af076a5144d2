"""Decisions stand in a chain that no writer forks and that the audit checks."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from rotation.store.audit import audit

WRITERS = 6
EACH = 10


def write(database: str, who: int) -> None:
    with psycopg.connect(database) as connection:
        for number in range(EACH):
            row = (f"person {who}", "approve", f"day:{number}", '{"runs": 1.50, "zh": "是"}')
            connection.execute("INSERT INTO decisions (who, what, subject, details) VALUES (%s, %s, %s, %s)", row)
            connection.commit()


def names(database: str) -> Sequence[str]:
    with psycopg.connect(database, options="-c TimeZone=Asia/Shanghai -c DateStyle=German") as connection:
        return [
            one for found in audit(connection.cursor()) if found.check.startswith("decisions") for one in found.subjects
        ]


def test_many_writers_make_a_single_chain_without_a_gap(module_database: str):
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda who: write(module_database, who), range(WRITERS)))
    with psycopg.connect(module_database) as connection:
        numbers = [n for (n,) in connection.execute("SELECT number FROM decisions ORDER BY number")]
        hashes = {h for (h,) in connection.execute("SELECT hash FROM decisions")}
    assert numbers == list(range(1, WRITERS * EACH + 1))
    assert len(hashes) == len(numbers)
    assert names(module_database) == []


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE decisions SET who = 'somebody else' WHERE number = 20",
        "UPDATE decisions SET details = '{}' WHERE number = 20",
        "UPDATE decisions SET decided_at = decided_at - interval '1 day' WHERE number = 20",
        "UPDATE decisions SET hash = repeat('0', 64) WHERE number = 20",
        "DELETE FROM decisions WHERE number = 19",
    ],
)
def test_the_audit_names_the_first_decision_that_was_tampered_with(module_database: str, forgery: str):
    with psycopg.connect(module_database) as connection:
        expected = connection.execute("SELECT id FROM decisions WHERE number = 20").fetchone()
        connection.execute(forgery)
        found = [one for one in audit(connection.cursor()) if one.check.startswith("decisions")]
        connection.rollback()
    assert expected is not None
    assert [one.subjects[0].split(" ")[0] for one in found] == [str(expected[0])]


def test_a_writer_cannot_choose_its_place_in_the_chain(module_database: str):
    with psycopg.connect(module_database) as connection:
        connection.execute(
            "INSERT INTO decisions (who, what, subject, number, hash) VALUES ('w', 'lock', 'd', 999, 'forged')"
        )
    assert names(module_database) == []
