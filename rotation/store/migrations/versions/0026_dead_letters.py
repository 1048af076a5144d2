"""Messages that Kafka refuses for good."""

from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add a table."""
    op.execute("""
        CREATE TABLE dead_letters (
            id bigint PRIMARY KEY, topic text NOT NULL, key text, value bytea NOT NULL, created_at timestamptz NOT NULL,
            reason text NOT NULL, set_aside_at timestamptz NOT NULL DEFAULT now())""")
    op.execute(
        "COMMENT ON TABLE dead_letters IS"
        " 'Messages of the outbox that Kafka refuses for good: set aside, until a person sends them again or drops them.'"
    )
    op.execute("COMMENT ON COLUMN dead_letters.id IS 'the message''s id in the outbox'")
    op.execute("COMMENT ON COLUMN dead_letters.reason IS 'Kafka''s words'")
