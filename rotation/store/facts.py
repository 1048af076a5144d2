"""Facts into the database, many at a time: sets grow by new facts, and the present is upserted where they are newer.

Rows come by binary COPY into temporary tables of the session, packed before the server is asked for anything; everything after
is a few statements over whole batches, in a transaction that the caller owns. Keys are written in their order, so that two
writers wait for each other instead of locking up.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any, NamedTuple

from psycopg import Copy, Cursor
from psycopg.copy import FileWriter

from rotation.facts.events import FACTS, TransferFact
from rotation.facts.lifecycle import CrateState, TransferKind
from rotation.store.locks import LockSpace
from rotation.store.old_values import locked_first, statement_for

Row = tuple[Any, ...]
SqlCursor = Cursor[tuple[Any, ...]]

ORDER = ("occurred_at", "sequence", "source", "event_id")
ORDER_TYPES = ("timestamptz", "int4", "text", "text")
SUBJECT_LOCKS = 64  # advisory locks that the subjects of one kind share: few enough for PostgreSQL's lock table
DEAD_ROWS_BYTES, DEAD_BATCHES = 512 * 1024, 4  # of deleted rows in a temporary table before it gets a new file


class FactSet(NamedTuple):
    """A set of facts: its table, the column of its subject, and the columns after identity."""

    table: str
    subject: str
    rest: tuple[str, ...]
    rest_types: tuple[str, ...]

    @property
    def columns(self) -> str:
        """All columns, for SQL."""
        return ", ".join((self.subject, *ORDER, *self.rest))

    @property
    def types(self) -> list[str]:
        """The columns' types, for COPY."""
        return ["text", *ORDER_TYPES, *self.rest_types]


MOVEMENTS = FactSet("movements", "copy_id", ("state", "place_id", "to_place_id"), ("text",) * 3)
HOLDS = FactSet("hold_facts", "hold_id", ("type", "title_id", "place_id", "copy_id"), ("text",) * 4)
TRANSFERS = FactSet(
    "transfer_facts", "transfer_id", ("type", "copy_id", "place_id", "to_place_id", "crate_id", "reason"), ("text",) * 6
)
CRATES = FactSet(
    "crate_facts", "crate_id", ("type", "place_id", "to_place_id", "run_id", "copies"), ("text",) * 4 + ("jsonb",)
)
MACHINES = FactSet("machine_facts", "place_id", ("bin_copies", "free_slots", "fault"), ("int4", "int4", "text"))

NEWER = (
    "(excluded.occurred_at, excluded.sequence, excluded.source, excluded.event_id)"
    " > (t.occurred_at, t.sequence, t.source, t.event_id)"
)
LISTING = "(b.added_at, b.title_id, b.class, coalesce(b.owner_id, ''), b.home_place_id, b.fixed)"
LISTED = LISTING.replace("b.", "t.")
LISTING_TYPES = ("timestamptz", "text", "text", "text", "text", "bool")
SHELVING_COLUMNS = ("told_at", "call_number", "room", "collection", "shelf", "barcode")


def prepare_session(cursor: SqlCursor) -> None:
    """Make the temporary tables of this session, and keep the planner from scanning a table of millions for a batch's rows."""
    for facts in (MOVEMENTS, HOLDS, TRANSFERS, CRATES, MACHINES):
        cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS batch_{facts.table} (LIKE {facts.table})")
    cursor.execute("ALTER TABLE batch_movements ADD COLUMN newest bool")
    cursor.execute(
        'CREATE TEMP TABLE IF NOT EXISTS batch_listings (copy_id text COLLATE "C", added_at timestamptz,'
        " title_id text, class text, owner_id text, home_place_id text, fixed bool, title_name text, volume_of text)"
    )
    cursor.execute("CREATE TEMP TABLE IF NOT EXISTS batch_shelvings (LIKE shelvings)")
    cursor.execute("SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off")


class Key(NamedTuple):
    """A fact's identity, in the order that decides the present."""

    subject: str
    occurred_at: datetime
    sequence: int
    source: str
    event_id: str


class NewFacts(NamedTuple):
    """The new facts of a batch: how many counted facts, how many of them older than a known fact, and their subjects."""

    counted: int
    late: int
    subjects: set[str]


NOTHING_NEW = NewFacts(0, 0, set())


class ClassMove(NamedTuple):
    """Copies of a class (None: unlisted) that went from a place to another, and where they were and are awaited."""

    from_place: str | None
    at_place: str
    was_awaited: str | None
    awaited: str | None
    cls: str | None
    copies: int


# --- Into the session's temporary tables ------------------------------------------------------------------------------------


class Staged(NamedTuple):
    """Rows of a batch for a temporary table, as COPY takes them: packed while the server still writes the batch before."""

    target: str
    packed: bytes


def staged_movements(cursor: SqlCursor, rows: Mapping[Any, Row], newest: Mapping[str, Any]) -> Staged:
    """Pack movements, marking the newest of each copy."""
    last = set(newest.values())
    marked = [(*key, *rows[key], key in last) for key in sorted(rows)]
    return Staged(f"batch_movements ({MOVEMENTS.columns}, newest)", _packed(cursor, [*MOVEMENTS.types, "bool"], marked))


def staged_listings(cursor: SqlCursor, listings: Mapping[str, Row]) -> Staged:
    """Pack the listings of copy.added facts."""
    rows = [(copy, *listings[copy]) for copy in sorted(listings)]
    return Staged("batch_listings", _packed(cursor, ["text", *LISTING_TYPES, "text", "text"], rows))


def staged_shelvings(cursor: SqlCursor, shelvings: Mapping[str, Row]) -> Staged:
    """Pack facts about where copies stand below their places."""
    rows = [(copy, *shelvings[copy]) for copy in sorted(shelvings)]
    columns, types = ", ".join(("copy_id", *SHELVING_COLUMNS)), ["text", "timestamptz", *["text"] * 5]
    return Staged(f"batch_shelvings ({columns})", _packed(cursor, types, rows))


def staged_facts(cursor: SqlCursor, facts: FactSet, rows: Mapping[Any, Row]) -> Staged:
    """Pack the facts of a set."""
    ordered = [(*key, *rows[key]) for key in sorted(rows)]
    return Staged(f"batch_{facts.table} ({facts.columns})", _packed(cursor, facts.types, ordered))


def stage(cursor: SqlCursor, staged: Iterable[Staged]) -> None:
    """Copy packed rows into the session's temporary tables, in place of those of the batch before.

    Emptying all of them at each commit (ON COMMIT DELETE ROWS) took as long as writing ten events; none is read for which nothing
    was staged.
    """
    for target, packed in staged:
        _clear(cursor, target.partition(" ")[0], len(packed))
        with cursor.copy(f"COPY {target} FROM STDIN (FORMAT binary)") as copy:
            copy.write(packed)


def _clear(cursor: SqlCursor, table: str, batch_bytes: int) -> None:
    """Empty a temporary table; where reading past deleted rows would cost more, begin a new file."""
    (size,) = cursor.execute("SELECT pg_relation_size(%s::regclass)", (table,)).fetchone() or (0,)
    many = size > max(DEAD_ROWS_BYTES, DEAD_BATCHES * batch_bytes)
    cursor.execute(f"TRUNCATE {table}" if many else f"DELETE FROM {table}")


def _packed(cursor: SqlCursor, types: Sequence[str], rows: Iterable[Row]) -> bytes:
    buffer = BytesIO()
    copy = Copy(cursor, binary=True, writer=FileWriter(buffer))
    copy.set_types(types)
    for row in rows:
        copy.write_row(row)
    copy.finish(None)
    return buffer.getvalue()


# --- Copies -----------------------------------------------------------------------------------------------------------------


def add_movements(
    cursor: SqlCursor, behind: Collection[Any], several: bool, *, trusting: bool = True
) -> tuple[NewFacts, list[ClassMove]]:
    """Add the staged movements, and bring the copies to the newest of each.

    `behind` are the identities of movements that came after a later movement; `several` says that some copy moved more than once.
    Returns the new facts, and the copies that moved. A movement newer than its copy's last stands nowhere yet, so that only the
    others are looked for; where that does not hold, since someone has put a copy back by hand, psycopg.errors.UniqueViolation is
    raised, and without `trusting` all are looked for.
    """
    older = _add_older_movements(cursor, behind) if several else NOTHING_NEW
    move = statement_for(cursor, MOVE_COPIES, MOVE_COPIES_BEFORE_18)
    rows = [ClassMove(*row) for row in cursor.execute(move if trusting else _looking_for_all(move))]
    moved = [row for row in rows if row.copies]
    new, others = _copies(moved), [row.from_place for row in rows if not row.copies]
    if others:  # older than what is known, or known, or of copies never heard of
        new += cursor.execute(INSERT_OTHER_MOVEMENTS, (others,)).rowcount
        steps = statement_for(cursor, INSERT_COPIES, ADD_OTHER_COPIES), statement_for(cursor, "", MOVE_OTHER_COPIES)
        moved += [ClassMove(*row) for step in steps if step for row in cursor.execute(step, (others,))]
    return NewFacts(new + older.counted, new - _copies(moved) + older.late, set()), moved


def _looking_for_all(move: str) -> str:
    return move.replace("FROM moved)", "FROM moved ON CONFLICT DO NOTHING)")


def _copies(moved: Sequence[ClassMove]) -> int:
    return sum(one.copies for one in moved)


def _add_older_movements(cursor: SqlCursor, behind: Collection[Any]) -> NewFacts:
    rows = cursor.execute(_insert_new(MOVEMENTS, "WHERE NOT newest")).fetchall()
    return NewFacts(len(rows), sum(late or tuple(key) in behind for *key, _, late in rows), set())


# The last rows, of no copies, name those of the batch's copies that did not move: few, and looked at once more.
MOVE_COPIES = f"""
WITH moved AS (
    UPDATE copies t SET
        occurred_at = b.occurred_at, sequence = b.sequence, source = b.source, event_id = b.event_id,
        state = b.state, place_id = b.place_id, to_place_id = b.to_place_id
    FROM (SELECT * FROM batch_movements WHERE newest ORDER BY copy_id) b
    WHERE t.copy_id = b.copy_id AND {NEWER.replace("excluded.", "b.")}
    RETURNING {", ".join("t." + name for name in MOVEMENTS.columns.split(", "))},
        old.place_id AS from_place, old.to_place_id AS was_awaited, t.class),
added AS (INSERT INTO movements ({MOVEMENTS.columns}) SELECT {MOVEMENTS.columns} FROM moved)
SELECT from_place, place_id, was_awaited, to_place_id, class, count(*) FROM moved GROUP BY 1, 2, 3, 4, 5
UNION ALL SELECT copy_id, '', NULL, NULL, NULL, 0 FROM (
    SELECT copy_id FROM batch_movements WHERE newest EXCEPT SELECT copy_id FROM moved m) others
"""
MOVE_COPIES_BEFORE_18 = locked_first(MOVE_COPIES, "batch_movements", "WHERE newest")
OTHERS = "newest AND (copy_id IN (SELECT unnest(%s::text[]))) IS TRUE"  # hashed once; without IS TRUE a loop in a loop
INSERT_OTHER_MOVEMENTS = f"""
INSERT INTO movements ({MOVEMENTS.columns}) SELECT {MOVEMENTS.columns} FROM batch_movements WHERE {OTHERS}
ON CONFLICT DO NOTHING
"""
INSERT_COPIES = f"""
WITH new AS (
    INSERT INTO copies AS t ({MOVEMENTS.columns}) SELECT {MOVEMENTS.columns} FROM batch_movements b WHERE {OTHERS}
    AND NOT EXISTS (
        SELECT FROM copies t WHERE t.copy_id = b.copy_id AND NOT {NEWER.replace("excluded.", "b.")})
    ON CONFLICT (copy_id) DO UPDATE SET
        occurred_at = excluded.occurred_at, sequence = excluded.sequence, source = excluded.source,
        event_id = excluded.event_id, state = excluded.state, place_id = excluded.place_id, to_place_id = excluded.to_place_id
    WHERE {NEWER}
    RETURNING old.place_id AS from_place, t.place_id, old.to_place_id AS was_awaited, t.to_place_id, t.class)
SELECT *, count(*) FROM new GROUP BY 1, 2, 3, 4, 5
"""
# The same in two steps: those never heard of, and then those that came meanwhile.
ADD_OTHER_COPIES = f"""
WITH new AS (
    INSERT INTO copies AS t ({MOVEMENTS.columns}) SELECT {MOVEMENTS.columns} FROM batch_movements b WHERE {OTHERS}
    ON CONFLICT DO NOTHING
    RETURNING NULL AS from_place, t.place_id, NULL AS was_awaited, t.to_place_id, t.class)
SELECT *, count(*) FROM new GROUP BY 1, 2, 3, 4, 5
"""
MOVE_OTHER_COPIES = locked_first(
    f"""
WITH moved AS (
    UPDATE copies t SET
        occurred_at = b.occurred_at, sequence = b.sequence, source = b.source, event_id = b.event_id,
        state = b.state, place_id = b.place_id, to_place_id = b.to_place_id
    FROM (SELECT * FROM batch_movements WHERE {OTHERS} ORDER BY copy_id) b
    WHERE t.copy_id = b.copy_id AND {NEWER.replace("excluded.", "b.")}
    RETURNING old.place_id AS from_place, t.place_id, old.to_place_id AS was_awaited, t.to_place_id, t.class)
SELECT *, count(*) FROM moved GROUP BY 1, 2, 3, 4, 5
""",
    "batch_movements",
    f"WHERE {OTHERS}",
)


def list_copies(cursor: SqlCursor) -> set[tuple[str, str]]:
    """Give the copies of the staged listings their title, class, owner and home; return the places and classes that changed."""
    cursor.execute(UPSERT_TITLES)
    listed = cursor.execute(statement_for(cursor, UPDATE_LISTINGS, UPDATE_LISTINGS_BEFORE_18))
    return {(place, cls) for place, *classes in listed for cls in classes if cls}


UPSERT_TITLES = """
INSERT INTO titles AS t (title_id, class, name, told_at, volume_of)
SELECT DISTINCT ON (title_id) title_id, class, nullif(title_name, ''), added_at, nullif(volume_of, '') FROM batch_listings
ORDER BY title_id, added_at DESC, class DESC, title_name DESC, volume_of DESC
ON CONFLICT (title_id) DO UPDATE SET class = excluded.class, name = excluded.name, told_at = excluded.told_at,
    volume_of = excluded.volume_of
WHERE (excluded.told_at, excluded.class, coalesce(excluded.name, ''), coalesce(excluded.volume_of, ''))
    > (t.told_at, t.class, coalesce(t.name, ''), coalesce(t.volume_of, ''))
"""
UPDATE_LISTINGS = f"""
WITH listed AS (
    UPDATE copies t SET added_at = b.added_at, title_id = b.title_id, class = b.class, owner_id = nullif(b.owner_id, ''),
        home_place_id = b.home_place_id, fixed = b.fixed
    FROM batch_listings b WHERE t.copy_id = b.copy_id AND (t.added_at IS NULL OR {LISTING} > {LISTED})
    RETURNING t.place_id, old.class AS was, t.class)
SELECT DISTINCT * FROM listed
"""
UPDATE_LISTINGS_BEFORE_18 = locked_first(UPDATE_LISTINGS, "batch_listings")


def shelve_copies(cursor: SqlCursor) -> None:
    """Keep the staged words of where copies stand, where they are newer than the known ones."""
    cursor.execute(UPSERT_SHELVINGS)


_SHELVING = ", ".join(SHELVING_COLUMNS)
_NEW_SHELVING = ", ".join("excluded." + name for name in SHELVING_COLUMNS)
UPSERT_SHELVINGS = f"""
INSERT INTO shelvings AS t (copy_id, {_SHELVING}) SELECT copy_id, {_SHELVING} FROM batch_shelvings ORDER BY copy_id
ON CONFLICT (copy_id) DO UPDATE SET ({_SHELVING}) = ROW ({_NEW_SHELVING})
WHERE ({_NEW_SHELVING}) > ({", ".join("t." + name for name in SHELVING_COLUMNS)})
"""


# --- Holds, transfers, crates -----------------------------------------------------------------------------------------------


def add_facts(cursor: SqlCursor, facts: FactSet, behind: Collection[Any], counted: Collection[Any]) -> NewFacts:
    """Add staged facts to their set; those in `counted` are counted here, the others with the copy that they move."""
    found = [(tuple(key), late) for *key, _, late in cursor.execute(_insert_new(facts)).fetchall()]
    mine = [late or key in behind for key, late in found if key in counted]
    return NewFacts(len(mine), sum(mine), {key[0] for key, _ in found})


def _insert_new(facts: FactSet, which: str = "") -> str:
    """Return SQL that inserts a batch and returns its new facts: identity, a constant, whether a later fact was known already."""
    order = ", ".join(ORDER)
    return f"""
        WITH new AS (
            INSERT INTO {facts.table} ({facts.columns}) SELECT {facts.columns} FROM batch_{facts.table} {which}
            ON CONFLICT DO NOTHING RETURNING {facts.subject}, {order})
        SELECT new.*, 1, EXISTS (
            SELECT FROM {facts.table} t WHERE t.{facts.subject} = new.{facts.subject}
            AND (t.occurred_at, t.sequence, t.source, t.event_id) > (new.occurred_at, new.sequence, new.source, new.event_id))
        FROM new"""


def hold_subjects(cursor: SqlCursor, space: LockSpace, subjects: Iterable[str]) -> None:
    """Keep other writers from recounting the same subjects until we end: the last to recount must see all facts."""
    cursor.execute(
        "SELECT pg_advisory_xact_lock(%s, slot) FROM (SELECT DISTINCT abs(hashtext(s)) %% %s AS slot"
        " FROM unnest(%s::text[]) s ORDER BY 1) slots",
        (space, SUBJECT_LOCKS, list(subjects)),
    )


def update_holds(cursor: SqlCursor, subjects: Iterable[str]) -> None:
    """Set holds to their last fact."""
    cursor.execute(UPDATE_HOLDS, (list(subjects),))


def update_machines(cursor: SqlCursor, subjects: Iterable[str]) -> None:
    """Set machines to their last report."""
    cursor.execute(UPDATE_MACHINES, (list(subjects),))


def update_crates(cursor: SqlCursor, subjects: Collection[str]) -> None:
    """Set crates to their last scan; destination and contents are those of the last closing, the run that of the last van."""
    hold_subjects(cursor, LockSpace.CRATE, subjects)
    cursor.execute(UPDATE_CRATES, (list(subjects),))


def update_transfers(cursor: SqlCursor, subjects: Collection[str]) -> None:
    """Set transfers to their last fact; those that are not ours are the library system's own shipments and get a row as such."""
    hold_subjects(cursor, LockSpace.TRANSFER, subjects)
    cursor.execute(UPDATE_TRANSFERS, (list(subjects),))


NEWEST_FIRST = "ORDER BY f.occurred_at DESC, f.sequence DESC, f.source DESC, f.event_id DESC LIMIT 1"
UPDATE_HOLDS = f"""
INSERT INTO holds AS t (hold_id, occurred_at, sequence, source, event_id, type, title_id, place_id, copy_id)
SELECT last.* FROM (SELECT s FROM unnest(%s::text[]) s ORDER BY s) k
CROSS JOIN LATERAL (
    SELECT hold_id, occurred_at, sequence, source, event_id, type, title_id, place_id, copy_id
    FROM hold_facts f WHERE f.hold_id = k.s {NEWEST_FIRST}) last
ON CONFLICT (hold_id) DO UPDATE SET occurred_at = excluded.occurred_at, sequence = excluded.sequence, source = excluded.source,
    event_id = excluded.event_id, type = excluded.type, title_id = excluded.title_id, place_id = excluded.place_id,
    copy_id = excluded.copy_id
WHERE {NEWER}
"""
UPDATE_MACHINES = f"""
INSERT INTO machines AS t ({MACHINES.columns})
SELECT last.* FROM (SELECT s FROM unnest(%s::text[]) s ORDER BY s) k
CROSS JOIN LATERAL (SELECT {MACHINES.columns} FROM machine_facts f WHERE f.place_id = k.s {NEWEST_FIRST}) last
ON CONFLICT (place_id) DO UPDATE SET occurred_at = excluded.occurred_at, sequence = excluded.sequence, source = excluded.source,
    event_id = excluded.event_id, bin_copies = excluded.bin_copies, free_slots = excluded.free_slots, fault = excluded.fault
WHERE {NEWER}
"""
UPDATE_CRATES = f"""
INSERT INTO crates (crate_id, occurred_at, sequence, source, event_id, type, place_id, to_place_id, run_id, copies)
SELECT last.crate_id, last.occurred_at, last.sequence, last.source, last.event_id, last.type, last.place_id,
    closed.to_place_id, carried.run_id, closed.copies
FROM (SELECT s FROM unnest(%s::text[]) s ORDER BY s) k
CROSS JOIN LATERAL (SELECT * FROM crate_facts f WHERE f.crate_id = k.s {NEWEST_FIRST}) last
LEFT JOIN LATERAL (
    SELECT * FROM crate_facts f WHERE f.crate_id = k.s AND f.type = '{CrateState.CLOSED}' {NEWEST_FIRST}) closed ON true
LEFT JOIN LATERAL (SELECT * FROM crate_facts f WHERE f.crate_id = k.s AND f.run_id IS NOT NULL {NEWEST_FIRST}) carried ON true
ON CONFLICT (crate_id) DO UPDATE SET occurred_at = excluded.occurred_at, sequence = excluded.sequence, source = excluded.source,
    event_id = excluded.event_id, type = excluded.type, place_id = excluded.place_id, to_place_id = excluded.to_place_id,
    run_id = excluded.run_id, copies = excluded.copies
"""
_WHENS = (f"WHEN '{fact.type}' THEN '{fact.transfer_state}'" for fact in FACTS if issubclass(fact, TransferFact))
STATUS = f"CASE last.type {' '.join(_WHENS)} END"
OURS = "t.reason ->> 'code' IS DISTINCT FROM 'system'"
UPDATE_TRANSFERS = f"""
INSERT INTO transfers AS t (transfer_id, copy_id, title_id, from_place_id, to_place_id, kind, status, reason,
    created_at, changed_at, crate_id)
SELECT last.transfer_id, last.copy_id, c.title_id, coalesce(sent.place_id, last.place_id),
    coalesce(sent.to_place_id, last.place_id), '{TransferKind.SHIPMENT}', {STATUS}, '{{"code": "system"}}',
    coalesce(sent.occurred_at, last.occurred_at), last.occurred_at, coalesce(last.crate_id, sent.crate_id)
FROM (SELECT s FROM unnest(%s::text[]) s ORDER BY s) k
CROSS JOIN LATERAL (SELECT * FROM transfer_facts f WHERE f.transfer_id = k.s {NEWEST_FIRST}) last
LEFT JOIN LATERAL (
    SELECT * FROM transfer_facts f WHERE f.transfer_id = k.s AND f.to_place_id IS NOT NULL {NEWEST_FIRST}) sent ON true
LEFT JOIN copies c ON c.copy_id = last.copy_id
ON CONFLICT (transfer_id) DO UPDATE SET status = excluded.status, changed_at = excluded.changed_at,
    crate_id = coalesce(excluded.crate_id, t.crate_id), title_id = coalesce(t.title_id, excluded.title_id),
    from_place_id = CASE WHEN {OURS} THEN t.from_place_id ELSE excluded.from_place_id END,
    to_place_id = CASE WHEN {OURS} THEN t.to_place_id ELSE excluded.to_place_id END,
    created_at = CASE WHEN {OURS} THEN t.created_at ELSE excluded.created_at END
"""


# --- Counts of events, and the last event of sources and places -------------------------------------------------------------


def add_counts(cursor: SqlCursor, counts: Mapping[str, int]) -> None:
    """Add to the counts of events by outcome."""
    _add_up(
        cursor,
        "INSERT INTO counts AS t (name, value) SELECT * FROM unnest(%s::text[], %s::bigint[])"
        " ON CONFLICT (name) DO UPDATE SET value = t.value + excluded.value",
        sorted(counts.items()),
    )


def add_heard(cursor: SqlCursor, heard: Mapping[str, tuple[datetime, int]]) -> None:
    """Record each source's last event, and how many came."""
    _add_up(
        cursor,
        "INSERT INTO feeds AS t (source, last_event_at, last_heard_at, events)"
        " SELECT s, at, now(), n FROM unnest(%s::text[], %s::timestamptz[], %s::bigint[]) v(s, at, n)"
        " ON CONFLICT (source) DO UPDATE SET last_event_at = greatest(t.last_event_at, excluded.last_event_at),"
        " last_heard_at = excluded.last_heard_at, events = t.events + excluded.events",
        [(source, at, count) for source, (at, count) in sorted(heard.items())],
    )


def hear_places(cursor: SqlCursor) -> None:
    """Record the last event of each place in the staged movements, where that moves by ten minutes or more."""
    cursor.execute(HEAR_PLACES)


HEAR_PLACES = """
INSERT INTO places_heard AS t (place_id, last_event_at)
SELECT b.place_id, max(b.occurred_at) FROM batch_movements b GROUP BY 1
HAVING NOT EXISTS (
    SELECT FROM places_heard h WHERE h.place_id = b.place_id AND h.last_event_at > max(b.occurred_at) - interval '10 minutes')
ORDER BY 1
ON CONFLICT (place_id) DO UPDATE SET last_event_at = greatest(t.last_event_at, excluded.last_event_at)
"""


def _add_up(cursor: SqlCursor, sql: str, rows: Sequence[Row]) -> None:
    if rows:
        cursor.execute(sql, [list(column) for column in zip(*rows, strict=True)])
