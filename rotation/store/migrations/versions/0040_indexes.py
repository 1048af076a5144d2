"""Scans of hands by their age, so that old ones are forgotten without a look at all of them; and what old folders lack.

0001_first.sql was edited three times while it was the only file: a folder that was made before has not the indexes of now.
"""

from alembic import op

revision = "0040"
down_revision = "0039"

AS_0001_HAS_IT = (
    "CREATE INDEX IF NOT EXISTS transfers_under_way ON transfers (title_id) WHERE status IN ('ordered', 'picked', 'sent')",
    "CREATE INDEX IF NOT EXISTS copies_unlisted ON copies (copy_id) WHERE title_id IS NULL",
    "DROP INDEX IF EXISTS copies_by_title",
)


def upgrade() -> None:
    """Add indexes; scans come in the order of their time, so that one of a few pages will do for them."""
    for statement in AS_0001_HAS_IT:
        op.execute(statement)
    op.execute("CREATE INDEX scans_by_time ON scans USING brin (at)")
