"""Lanes: how long the way from a place to a place takes; and indexes by which a copy's way and a run's crates are found."""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Add a table and two indexes."""
    op.execute("""
        CREATE TABLE lanes (
            from_place_id text NOT NULL, to_place_id text NOT NULL, journeys integer NOT NULL,
            median_s double precision NOT NULL, nine_in_ten_s double precision NOT NULL, promised integer NOT NULL,
            kept integer NOT NULL, counted_at timestamptz NOT NULL, PRIMARY KEY (from_place_id, to_place_id))""")
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")
    op.execute("CREATE INDEX crate_facts_closed ON crate_facts (occurred_at) WHERE type = 'crate.closed'")
    op.execute("CREATE INDEX crate_facts_by_run ON crate_facts (run_id) WHERE run_id IS NOT NULL")


COMMENTS = {
    "TABLE lanes": "How long copies take from a place to a place, counted from the last quarter''s journeys.",
    "COLUMN lanes.median_s": "half of the journeys took no longer",
    "COLUMN lanes.nine_in_ten_s": "nine in ten took no longer",
    "COLUMN lanes.promised": "journeys for which a day was promised",
    "COLUMN lanes.kept": "and that came by that day",
    "COLUMN lanes.counted_at": "the network''s time",
}
