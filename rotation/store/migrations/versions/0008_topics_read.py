"""Which topic is read: its id and its cluster's, so that another under the same name is known."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add a table; the first worker that looks fills it with the topics that it reads then."""
    op.execute("""
        CREATE TABLE topics_read (
            topic text PRIMARY KEY, cluster_id text NOT NULL, topic_id text NOT NULL, partitions integer NOT NULL,
            findings jsonb NOT NULL DEFAULT '[]')""")
    op.execute(
        "COMMENT ON TABLE topics_read IS 'The topic that progress counts, as it was when a worker first read it.'"
    )
    op.execute("COMMENT ON COLUMN topics_read.findings IS 'what a worker found otherwise when it last looked'")
