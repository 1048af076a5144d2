"""Which process may do what in the database: a PostgreSQL role for each kind of process, with no more than its work needs.

The roles cannot sign in; whoever runs the database gives each process a login of its own that is a member of one. Everything
here may be applied again at any time: after an upgrade it must be, for tables that came with it.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rotation.store.engine import connect
from rotation.store.tables import metadata

PREFIX = "rotation_"  # of the roles' names: a database server has one set of roles for all its databases
SECRETS = frozenset({"users", "tokens"})  # hashes of passwords and of tokens: for the page alone
ALL_TABLES = frozenset(metadata.tables)
ANALYZED = ("movements", "copies", "titles", "holds", "transfers", "crates")  # by the night, after a flood of history
APPEND, UPSERT, EDIT = "INSERT", "INSERT, UPDATE", "INSERT, UPDATE, DELETE"


class Grant(NamedTuple):
    """Privileges, as SQL names them, on some tables."""

    privileges: str
    tables: Iterable[str]


class Role(NamedTuple):
    """What a kind of process reads and writes."""

    reads: frozenset[str]
    writes: tuple[Grant, ...]


ROLES: Mapping[str, Role] = {
    "worker": Role(
        ALL_TABLES - SECRETS,
        (
            Grant(APPEND, ("movements", "hold_facts", "transfer_facts", "crate_facts", "rejections", "outbox")),
            Grant(UPSERT, ("copies", "titles", "holds", "crates", "transfers")),
            Grant(UPSERT, ("progress", "counts", "feeds", "places_heard", "alerts")),
            Grant("UPDATE (status, done_at)", ("stops",)),
            Grant("UPDATE (status)", ("legs", "runs")),
        ),
    ),
    "relay": Role(frozenset({"outbox"}), (Grant("DELETE", ("outbox",)),)),
    "planner": Role(
        ALL_TABLES - SECRETS,
        (
            Grant(APPEND, ("plans", "decisions", "outbox")),
            Grant(UPSERT, ("transfers", "shelf_prices", "settings", "clock")),
            Grant(EDIT, ("rates", "day_plans", "runs", "stops", "legs", "wanted_places")),
            Grant("MAINTAIN", ANALYZED),
        ),
    ),
    "web": Role(
        ALL_TABLES,
        (
            Grant(APPEND, ("decisions", "outbox", "rejections")),
            Grant(UPSERT, ("users", "tokens", "transfers", "counts", "sets")),
            Grant(EDIT, ("day_plans", "runs", "stops", "legs")),
        ),
    ),
}


class Limit(NamedTuple):
    """What the rows that a role writes to a table must be, where not all may be written."""

    role: str
    table: str
    rows: str


LIMITS = (
    Limit("worker", "outbox", "topic IN ('stock.touched', 'stock.alerts', 'circulation.rejected')"),
    Limit("worker", "transfers", "status NOT IN ('proposed', 'approved', 'ordered')"),
    Limit("worker", "runs", "status IN ('under_way', 'done')"),
    Limit("planner", "outbox", "topic IN ('transfer.orders', 'stock.targets')"),
    Limit("web", "outbox", "topic IN ('transfer.orders', 'circulation.rejected')"),
)


def grant(url: str) -> list[str]:
    """Create the roles and give each exactly what stands above, in one transaction; return their names.

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


def _grants(name: str, role: Role) -> Iterable[str]:
    yield (
        f"DO $$ BEGIN CREATE ROLE {name} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {name}"
    yield f"GRANT USAGE ON SCHEMA public TO {name}"
    yield f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}"
    yield f"GRANT SELECT ON {', '.join(sorted(role.reads))} TO {name}"
    for privileges, tables in role.writes:
        yield f"GRANT {privileges} ON {', '.join(tables)} TO {name}"


def _policies(name: str, table: str) -> Iterable[str]:
    role, rows = PREFIX + name, [limit.rows for limit in LIMITS if limit[:2] == (name, table)]
    yield f"DROP POLICY IF EXISTS {role} ON {table}"
    yield f"CREATE POLICY {role} ON {table} TO {role} USING (true) WITH CHECK ({rows[0] if rows else 'true'})"
