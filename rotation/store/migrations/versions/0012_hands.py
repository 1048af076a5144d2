"""Scans of the pages for hands, places' notices of themselves, and the places that users and tokens are bound to."""

from alembic import op

from rotation.store.words import constrain

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add two tables and two columns."""
    op.execute(SCANS)
    op.execute("CREATE INDEX scans_by_place ON scans (place_id, at)")
    op.execute("CREATE INDEX scans_by_subject ON scans (subject) WHERE subject <> ''")
    op.execute(PLACE_NOTICES)
    op.execute("CREATE INDEX place_notices_standing ON place_notices (last_day) WHERE withdrawn_at IS NULL")
    for table in ("users", "tokens"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN places jsonb")
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")
    constrain(op.get_bind(), ("alerts", "scans", "place_notices"))


SCANS = """
CREATE TABLE scans (
    scan_id text COLLATE "C" PRIMARY KEY, work text NOT NULL, place_id text NOT NULL, run_id text, code text NOT NULL,
    who text NOT NULL, at timestamptz NOT NULL, received_at timestamptz NOT NULL, subject text NOT NULL DEFAULT '',
    answer jsonb NOT NULL)"""
PLACE_NOTICES = """
CREATE TABLE place_notices (
    notice_id bigserial PRIMARY KEY, place_id text NOT NULL, kind text NOT NULL, class text NOT NULL DEFAULT '', copies integer,
    first_day date NOT NULL, last_day date NOT NULL, why text NOT NULL DEFAULT '', who text NOT NULL,
    told_at timestamptz NOT NULL, withdrawn_at timestamptz)"""
COMMENTS = {
    "TABLE scans": "Every scan and count of a page for hands, with who and where; its facts go the way of all events.",
    "COLUMN scans.scan_id": "made where it was scanned: the same scan sent twice counts once",
    "COLUMN scans.place_id": "where it was scanned",
    "COLUMN scans.code": "as scanned",
    "COLUMN scans.at": "the network''s time when it was scanned",
    "COLUMN scans.received_at": "the network''s time when it reached the server",
    "COLUMN scans.subject": "transfer, copy or crate that it was about",
    "COLUMN scans.answer": "what the page said: a code, its tone, and the words'' values",
    "TABLE place_notices": "What places said of themselves, which the next night heeds: too full, too empty, closed.",
    "COLUMN place_notices.class": "empty: of the whole place",
    "COLUMN place_notices.copies": "about how many too many, or too few",
    "COLUMN place_notices.told_at": "the network''s time",
    "COLUMN users.role": "branch, hub, driver, viewer, dispatcher, administrator",
    "COLUMN users.places": "the only places that the user works at, for a driver hubs; null: everywhere",
    "COLUMN tokens.places": "the only places that the machine works at; null: everywhere",
}
