"""Orders out besides Kafka: targets, their signing secrets, and deliveries."""

from alembic import op

from rotation.store.words import constrain

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Add three tables."""
    op.execute("""
        CREATE TABLE order_targets (
            target_id text PRIMARY KEY, kind text NOT NULL, address text NOT NULL, added_by text NOT NULL,
            added_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz)""")
    op.execute("CREATE TABLE target_secrets (target_id text PRIMARY KEY, secret text NOT NULL)")
    op.execute("""
        CREATE TABLE deliveries (
            delivery_id bigserial PRIMARY KEY, target_id text NOT NULL, body bytea NOT NULL,
            written_at timestamptz NOT NULL DEFAULT now(), tries integer NOT NULL DEFAULT 0,
            next_at timestamptz NOT NULL DEFAULT now(), file text, answer text NOT NULL DEFAULT '', done_at timestamptz,
            dead_at timestamptz)""")
    op.execute(
        "CREATE INDEX deliveries_open ON deliveries (target_id, next_at) WHERE done_at IS NULL AND dead_at IS NULL"
    )
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")
    constrain(op.get_bind(), ("order_targets",))


COMMENTS = {
    "TABLE order_targets": "Where orders go besides Kafka.",
    "COLUMN order_targets.address": "a webhook''s URL, or a folder",
    "TABLE target_secrets": "What webhooks are signed with.",
    "COLUMN target_secrets.secret": "whsec_ and base64, as Standard Webhooks write it",
    "TABLE deliveries": "Orders on their way to each target: written with the order, deleted weeks after they were delivered.",
    "COLUMN deliveries.body": "the order as JSON",
    "COLUMN deliveries.next_at": "the wall clock",
    "COLUMN deliveries.file": "of a folder: the file that it is written in",
    "COLUMN deliveries.answer": "what the last try was answered",
    "COLUMN deliveries.dead_at": "given up: a person may send it again",
}
