"""Visits by appointment, announced days ahead."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add a table."""
    op.execute("""
        CREATE TABLE visits (
            place_id text NOT NULL, day date NOT NULL, announced_at timestamptz NOT NULL, plan_id text NOT NULL,
            take integer NOT NULL, bring integer NOT NULL, PRIMARY KEY (place_id, day))""")
    op.execute("COMMENT ON TABLE visits IS 'Visits by appointment: a van calls at such a place on these days only.'")
    op.execute("COMMENT ON COLUMN visits.announced_at IS 'the network''s time'")
    op.execute("COMMENT ON COLUMN visits.take IS 'copies that the announced list has to fetch'")
    op.execute("COMMENT ON COLUMN visits.bring IS 'and to bring, with what was on its way'")
