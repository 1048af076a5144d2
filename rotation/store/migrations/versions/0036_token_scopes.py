"""Scopes of machines' tokens."""

from alembic import op

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE tokens ADD COLUMN scopes jsonb")
    op.execute("COMMENT ON COLUMN tokens.scopes IS 'what it may do of what its role may; null: all'")
