"""Photos of faults at a stop."""

from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Add a table."""
    op.execute("""
        CREATE TABLE photos (
            photo_id text COLLATE "C" PRIMARY KEY, run_id text NOT NULL, place_id text NOT NULL, who text NOT NULL,
            at timestamptz NOT NULL, received_at timestamptz NOT NULL DEFAULT now(), note text NOT NULL DEFAULT '',
            jpeg bytea NOT NULL)""")
    op.execute("CREATE INDEX photos_by_run ON photos (run_id)")
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")


COMMENTS = {
    "TABLE photos": "Photos that drivers took where something was wrong: drawn anew, so that nothing but the picture is kept.",
    "COLUMN photos.photo_id": "made on the phone: the same photo sent twice counts once",
    "COLUMN photos.at": "the network''s time",
    "COLUMN photos.received_at": "the wall clock, by which it is forgotten",
}
