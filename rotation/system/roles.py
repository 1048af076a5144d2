"""The rights of each process in the database: a PostgreSQL role for each kind of process, with no more than its work needs.

The roles cannot sign in; whoever runs the database gives each process a login of its own that is a member of a role. Everything
here may be applied again at any time: after an upgrade it must be, for tables that came with it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rotation.facts.lifecycle import SCANNED, SCANNED_RUNS, listed
from rotation.kafka.topics import (
    CIRCULATION_EVENTS,
    CIRCULATION_REJECTED,
    STOCK_ALERTS,
    STOCK_TARGETS,
    STOCK_TOUCHED,
    TRANSFER_ORDERS,
    Topic,
)
from rotation.store.city_settings import NAME as CITY_SETTINGS
from rotation.store.engine import connect
from rotation.store.tables import metadata

PREFIX = "rotation_"  # of the roles' names: a database server has one set of roles for all its databases
# For the page alone, and of targets' secrets for whoever signs with them.
SECRETS = frozenset(
    {"users", "tokens", "sessions", "security_log", "answers", "run_links", "target_secrets", "photos"}
) | {"channel_secrets"}
VERSION_TABLE = "alembic_version"
ALL_TABLES = frozenset(metadata.tables)
ANALYZED = ("movements", "copies", "titles", "holds", "transfers", "crates")  # by the night, after a flood of history
MAINTAIN = "MAINTAIN"  # PostgreSQL 17's; before, autovacuum alone keeps the statistics, a minute or so later
APPEND, UPSERT, EDIT = "INSERT", "INSERT, UPDATE", "INSERT, UPDATE, DELETE"


class Grant(NamedTuple):
    """Privileges, as SQL names them, on some tables."""

    privileges: str
    tables: Iterable[str]


class DatabaseRole(NamedTuple):
    """The tables that a kind of process reads and writes."""

    reads: frozenset[str]
    writes: tuple[Grant, ...]


BEAT = Grant(EDIT, ("heartbeats",))
ROLES: Mapping[str, DatabaseRole] = {
    "worker": DatabaseRole(
        ALL_TABLES - SECRETS,
        (
            Grant(
                APPEND,
                ("movements", "hold_facts", "transfer_facts", "crate_facts", "machine_facts", "rejections", "outbox"),
            ),
            Grant(UPSERT, ("copies", "titles", "shelvings", "holds", "crates", "machines", "transfers")),
            Grant(UPSERT, ("progress", "topics_read", "counts", "feeds", "places_heard", "alerts")),
            Grant(EDIT, ("lanes",)),
            Grant("UPDATE (status, done_at)", ("stops",)),
            Grant("UPDATE (status)", ("legs", "runs")),
            Grant("UPDATE (replayed_at)", ("rejections",)),
            BEAT,
        ),
    ),
    "relay": DatabaseRole(
        frozenset({"outbox", "heartbeats"}), (Grant("DELETE", ("outbox",)), Grant(APPEND, ("dead_letters",)), BEAT)
    ),
    "deliver": DatabaseRole(
        frozenset({"order_targets", "target_secrets", "deliveries", "heartbeats"})
        | {"channels", "channel_secrets", "channel_messages", "channel_alerts", "alerts", "alert_steps", "clock"}
        | {"runs", "stops", "day_plans", "plans", "transfers", "daily_figures", "network_changes"},
        (
            Grant("UPDATE, DELETE", ("deliveries",)),
            Grant(EDIT, ("channel_messages",)),
            Grant("INSERT, DELETE", ("channel_alerts",)),
            BEAT,
        ),
    ),
    "write_back": DatabaseRole(
        frozenset({"write_backs", "write_back_switches", "copies", "shelvings", "item_copies", "heartbeats"}),
        (Grant("UPDATE, DELETE", ("write_backs",)), Grant(EDIT, ("write_back_switches",)), BEAT),
    ),
    "feed": DatabaseRole(
        frozenset(
            {
                "settings",
                "clock",
                "copies",
                "titles",
                "holds",
                "movements",
                "item_copies",
                "told_holds",
                "rejections",
                "counts",
            }
            | {"outbox", "heartbeats"}
        ),
        (
            Grant(EDIT, ("settings", "told_holds")),
            Grant(UPSERT, ("item_copies", "counts")),
            Grant(APPEND, ("rejections", "outbox")),
            BEAT,
        ),
    ),
    "solver": DatabaseRole(frozenset({"heartbeats"}), (BEAT,)),
    "planner": DatabaseRole(
        ALL_TABLES - SECRETS,
        (
            Grant(APPEND, ("plans", "decisions", "outbox")),
            Grant(UPSERT, ("transfers", "shelf_prices", "settings", "clock")),
            Grant(EDIT, ("rates", "day_plans", "runs", "stops", "legs", "wanted_places", "visits", "machine_visits")),
            Grant(APPEND, ("hub_orders", "deliveries", "write_backs")),
            Grant(EDIT, ("daily_figures", "targets")),
            Grant(MAINTAIN, ANALYZED),
            Grant(
                "DELETE",
                ("alerts", "hub_orders", "plans", "rejections", "transfers", "transfer_facts", "machine_facts"),
            ),
            Grant("DELETE", ("desk_answers", "alert_steps", "scans")),
            BEAT,
        ),
    ),
    "web": DatabaseRole(
        ALL_TABLES,
        (
            Grant(APPEND, ("decisions", "outbox", "rejections", "network_changes", "desk_answers")),
            Grant(UPSERT, ("users", "transfers", "counts", "sets", "scans", "place_notices", "return_rules")),
            Grant(UPSERT, ("transfer_marks",)),
            Grant(EDIT, ("tokens", "sessions", "security_log", "photos", "run_links")),
            Grant(UPSERT, ("order_targets", "target_secrets", "deliveries", "write_backs", "city_counts")),
            Grant(UPSERT, ("channels", "channel_secrets", "channel_messages", "alert_thresholds", "settings")),
            Grant(EDIT, ("day_plans", "runs", "stops", "legs", "answers")),
            BEAT,
        ),
    ),
}


class Limit(NamedTuple):
    """A condition that every row must meet that a role writes to a table."""

    role: str
    table: str
    rows: str


def _only(*topics: Topic) -> str:
    return f"topic IN ({', '.join(repr(topic.name) for topic in topics)})"


LIMITS = (
    Limit("worker", "outbox", _only(STOCK_TOUCHED, STOCK_ALERTS, CIRCULATION_REJECTED, CIRCULATION_EVENTS)),
    Limit("worker", "transfers", f"status IN ({listed(SCANNED)})"),
    Limit("worker", "runs", f"status IN ({listed(SCANNED_RUNS)})"),
    Limit("feed", "outbox", _only(CIRCULATION_REJECTED)),
    Limit("feed", "settings", "name ~ '^(koha|folio|outage)[.]'"),  # its places in the library systems
    Limit("web", "settings", f"name = '{CITY_SETTINGS}'"),
    Limit("planner", "outbox", _only(TRANSFER_ORDERS, STOCK_TARGETS)),
    Limit("web", "outbox", _only(TRANSFER_ORDERS, CIRCULATION_REJECTED, CIRCULATION_EVENTS)),  # of hands
)


def grant(url: str) -> list[str]:
    """Create the roles and give each exactly the rights above, in one transaction; return their names.

    The connection's user must own the tables and be allowed to create roles.
    """
    with connect(url) as connection:
        for statement in statements():
            connection.execute(statement)
    return [PREFIX + name for name in ROLES]


def statements() -> Iterable[str]:
    """Yield the SQL."""
    for name, role in ROLES.items():
        yield from _grants(PREFIX + name, role)
    for table in sorted({limit.table for limit in LIMITS}):
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
        yield from (policy for name in ROLES for policy in _policies(name, table))


def _grants(name: str, role: DatabaseRole) -> Iterable[str]:
    yield (
        f"DO $$ BEGIN CREATE ROLE {name} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {name}"
    yield f"GRANT USAGE ON SCHEMA public TO {name}"
    yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}"
    # Commands look whether the tables are of their version.
    yield f"GRANT SELECT ON {', '.join((*sorted(role.reads), VERSION_TABLE))} TO {name}"
    for privileges, tables in role.writes:
        grant = f"GRANT {privileges} ON {', '.join(tables)} TO {name}"
        yield _where_known(grant) if privileges == MAINTAIN else grant


def _where_known(grant: str) -> str:
    """Return a statement that grants only where the server knows MAINTAIN."""
    known = "current_setting('server_version_num')::int >= 170000"
    return f"DO $$ BEGIN IF {known} THEN EXECUTE '{grant}'; END IF; END $$"


def _policies(name: str, table: str) -> Iterable[str]:
    role, rows = PREFIX + name, [limit.rows for limit in LIMITS if limit[:2] == (name, table)]
    yield f"DROP POLICY IF EXISTS {role} ON {table}"
    yield f"CREATE POLICY {role} ON {table} TO {role} USING (true) WITH CHECK ({rows[0] if rows else 'true'})"
