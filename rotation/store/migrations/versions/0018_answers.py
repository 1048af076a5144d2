"""Answers to requests that named themselves, so that a request sent twice happens once."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add a table."""
    op.execute("""
        CREATE TABLE answers (
            key text PRIMARY KEY, content text NOT NULL, status integer, headers jsonb, body bytea,
            at timestamptz NOT NULL DEFAULT now())""")
    op.execute("CREATE INDEX answers_by_time ON answers (at)")
    op.execute(
        "COMMENT ON TABLE answers IS 'Answers of a day to requests with an Idempotency-Key: sent twice, done once.'"
    )
    op.execute("COMMENT ON COLUMN answers.key IS 'SHA-256 of credentials, address and key'")
    op.execute("COMMENT ON COLUMN answers.status IS 'none: it is being done'")
