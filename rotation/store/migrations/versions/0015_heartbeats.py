"""That each part goes on: a row each, and alerts for those that stand still."""

from alembic import op

from rotation.store.words import constrain

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add a table, and a kind of alert."""
    op.execute("""
        CREATE TABLE heartbeats (
            part text NOT NULL, name text NOT NULL, member text NOT NULL, beat_at timestamptz NOT NULL,
            deed text NOT NULL, about text NOT NULL DEFAULT '', deed_at timestamptz NOT NULL,
            PRIMARY KEY (part, name, member))""")
    op.execute(
        "COMMENT ON TABLE heartbeats IS"
        " 'That each part goes on: written by itself every few seconds, deleted when it stops in order.'"
    )
    op.execute("COMMENT ON COLUMN heartbeats.name IS 'of a feed: its source; else empty'")
    op.execute("COMMENT ON COLUMN heartbeats.member IS 'machine and process'")
    op.execute("COMMENT ON COLUMN heartbeats.beat_at IS 'when it last went on, by the database''s clock'")
    op.execute("COMMENT ON COLUMN heartbeats.about IS 'how many, or which day'")
    constrain(op.get_bind(), ("heartbeats", "alerts"))
