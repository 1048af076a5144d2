"""A title may be one volume of a work."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add a column that is empty for earlier rows."""
    op.execute("ALTER TABLE titles ADD COLUMN volume_of text")
    op.execute("COMMENT ON COLUMN titles.volume_of IS 'the work of several volumes that it is one of'")
