"""Each partition records the time of its last batch, so that half-read history is not judged."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add two columns that need no values for earlier rows."""
    op.execute("ALTER TABLE progress ADD COLUMN middle_at timestamptz, ADD COLUMN written_at timestamptz")
    op.execute("COMMENT ON COLUMN progress.middle_at IS 'when the middle one of the last batch''s events happened'")
    op.execute("COMMENT ON COLUMN progress.written_at IS 'when the last batch was written, by the wall clock'")
