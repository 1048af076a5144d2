"""What is old is forgotten, and nothing else; a log is cut while its process writes on."""

import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from infra.child import Child
from rotation.store import retention
from rotation.store.audit import audit
from rotation.store.engine import connect, engine

OLD, NEW = "now() - interval '3 years'", "now() - interval '1 day'"
ROWS = (
    "INSERT INTO alerts (kind, place_id, class, numbers, opened_at, changed_at, closed_at)"
    " VALUES ('stale', 'a', '', '{{}}', {at}, {at}, {at})",
    "INSERT INTO alert_steps (alert_id, step, who, at) SELECT alert_id, 'assigned', 'a', {at} FROM alerts WHERE opened_at = {at}",
    "INSERT INTO scans (scan_id, work, place_id, code, who, at, received_at, answer)"
    " VALUES (md5(random()::text), 'return', 'p', 'c', 'a', {at}, {at}, '{{}}')",
    "INSERT INTO run_links VALUES (md5(random()::text), '', 'r', 'a', {at}, {at})",
    "INSERT INTO hub_orders VALUES ('sort', 'h', '', {at}, ({at})::date)",
    "INSERT INTO desk_answers VALUES ('c', 'p', ({at})::date, 't', {at}, 'shadow', 'p', 'q', 'stays')",
    'INSERT INTO rejections (topic, partition, "offset", index, reason, field, message, original, rejected_at)'
    " VALUES ('http', 0, extract(epoch FROM {at})::bigint, 0, 'data', '', '', '', {at})",
    "INSERT INTO sessions VALUES (md5(random()::text), 'n', {at}, 'a')",
    "INSERT INTO security_log (minute, what, who, address) VALUES ({at}, 'signed_in', 'n', 'a')",
    "INSERT INTO tokens (token_id, hash, role, about, created_by, revoked_at)"
    " VALUES (md5(random()::text), '', 'desk', 'd', 'a', {at})",
)
STAY = (
    f"INSERT INTO alerts (kind, place_id, class, numbers, opened_at, changed_at) VALUES ('stale', 'b', '', '{{}}', {OLD}, {OLD})",
    'INSERT INTO rejections (topic, partition, "offset", index, reason, field, message, original, rejected_at)'
    f" VALUES ('circulation.events', 0, 1, 0, 'data', '', '', '', {OLD})",
    f"INSERT INTO tokens (token_id, hash, role, about, created_by, created_at) VALUES ('open', '', 'desk', 'd', 'a', {OLD})",
)


def test_old_rows_go_and_new_open_and_kept_ones_stay(database: str) -> None:
    at = engine(database)
    with at.begin() as connection:
        for row in ROWS:
            connection.execute(text(row.format(at=OLD)))
            connection.execute(text(row.format(at=NEW)))
        for row in STAY:
            connection.execute(text(row))
        before = datetime.now(UTC) - timedelta(days=730)
        forgotten = [
            retention.forget(connection, one, before, before) for one in (retention.OF_THE_NIGHT, retention.OF_THE_PAGE)
        ]
        again = retention.forget(connection, {**retention.OF_THE_NIGHT, **retention.OF_THE_PAGE}, before, before)
        left = {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for table in (
                "alerts",
                "alert_steps",
                "scans",
                "run_links",
                "hub_orders",
                "rejections",
                "sessions",
                "security_log",
                "tokens",
            )
        }
    at.dispose()
    assert forgotten == [
        {
            "alerts": 1,
            "alert_steps": 1,
            "scans": 1,
            "hub_orders": 1,
            "desk_answers": 1,
            "rejections": 1,
        },
        {"sessions": 1, "security_log": 1, "run_links": 1, "tokens": 1},
    ]
    assert again == {}
    assert left == {
        "alerts": 2,
        "alert_steps": 1,
        "scans": 1,
        "run_links": 1,
        "hub_orders": 1,
        "rejections": 2,
        "sessions": 1,
        "security_log": 1,
        "tokens": 2,
    }


def test_ended_transfers_go_with_their_scans_and_those_of_sets_open_ones_and_new_ones_stay(database: str) -> None:
    transfers = (
        ("old", "received", None, OLD),
        ("of-a-set", "received", "set-1", OLD),
        ("open", "ordered", None, OLD),
        ("new", "received", None, NEW),
    )
    before = datetime.now(UTC) - timedelta(days=730)
    with connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        for name, status, of_set, at in transfers:
            cursor.execute(
                "INSERT INTO transfers (transfer_id, copy_id, from_place_id, to_place_id, kind, status, set_id, reason,"
                f" created_at, changed_at) VALUES (%s, 'c', 'a', 'b', 'pick', %s, %s, '{{}}', {at}, {at})",
                (name, status, of_set),
            )
            for number, kind in enumerate(("transfer.missed", "transfer.scanned")):
                cursor.execute(
                    "INSERT INTO transfer_facts (transfer_id, occurred_at, sequence, source, event_id, type, copy_id, place_id)"
                    f" VALUES (%s, {at}, %s, 's', %s, %s, 'c', 'a')",
                    (name, number, f"{name}-{number}", kind),
                )
        cursor.execute("INSERT INTO counts VALUES ('applied', 4)")  # the four that were missed
        assert retention.forget_scans(cursor, before) == 3
        assert retention.forget_scans(cursor, before) == 0
        at = engine(database)
        with at.begin() as session:
            assert retention.forget(session, retention.OF_THE_NIGHT, before, before) == {"transfers": 1}
        at.dispose()
        left = cursor.execute("SELECT transfer_id FROM transfers ORDER BY 1").fetchall()
        assert [name for (name,) in left] == ["new", "of-a-set", "open"]
        assert cursor.execute("SELECT DISTINCT transfer_id FROM transfer_facts").fetchall() == [("new",)]
        counted = "events counted otherwise than they stand in the sets"
        assert counted not in {one.check for one in audit(cursor)}


def test_a_log_is_cut_while_its_process_writes_on(tmp_path: Path) -> None:
    script = "import time\nfor n in range(10**6):\n    print(n, 'x' * 500, flush=True)\n    time.sleep(0.001)"
    log = tmp_path / "part.log"
    child = Child("part", [sys.executable, "-c", script], log, signal.SIGTERM, 1.0, log_bytes=50_000)
    child.start()
    sizes = []
    for _ in range(40):
        time.sleep(0.05)
        child.check()
        sizes.append(log.stat().st_size)
    child.stop()
    assert max(sizes) < 200_000
    assert min(sizes[10:]) < 50_000
    last = int(log.read_text().splitlines()[-1].split()[0]) if log.stat().st_size else 0
    assert last > 500
    assert b"\0" not in log.read_bytes()  # no hole where the cut part was
    assert log.with_suffix(".log.1").exists()
