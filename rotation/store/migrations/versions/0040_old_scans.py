"""Scans of hands by their age, so that old ones are forgotten without a look at all of them."""

from alembic import op

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    """Add an index; scans come in the order of their time, so that one of a few pages will do."""
    op.execute("CREATE INDEX scans_by_time ON scans USING brin (at)")
