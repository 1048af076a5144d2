"""Channels of alerts and digests, and three kinds of alerts."""

from alembic import op

from rotation.store.words import constrain

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Add four tables and the kinds."""
    op.execute("""
        CREATE TABLE channels (
            channel_id text PRIMARY KEY, kind text NOT NULL, name text NOT NULL, shown text NOT NULL, language text NOT NULL,
            kinds jsonb NOT NULL, quiet_from text NOT NULL DEFAULT '', quiet_to text NOT NULL DEFAULT '',
            after_hours integer NOT NULL DEFAULT 0, digest_at text NOT NULL DEFAULT '', alerts boolean NOT NULL DEFAULT true,
            since timestamptz NOT NULL, added_by text NOT NULL, ended_at timestamptz)""")
    op.execute("CREATE TABLE channel_secrets (channel_id text PRIMARY KEY, address text NOT NULL)")
    op.execute(
        "CREATE TABLE channel_alerts (channel_id text NOT NULL, alert_id bigint NOT NULL, PRIMARY KEY (channel_id, alert_id))"
    )
    op.execute("""
        CREATE TABLE channel_messages (
            message_id bigserial PRIMARY KEY, channel_id text NOT NULL, subject text NOT NULL, body text NOT NULL, day date,
            written_at timestamptz NOT NULL DEFAULT now(), tries integer NOT NULL DEFAULT 0,
            next_at timestamptz NOT NULL DEFAULT now(), answer text NOT NULL DEFAULT '',
            done_at timestamptz, dead_at timestamptz)""")
    op.execute(
        "CREATE INDEX channel_messages_open ON channel_messages (channel_id, next_at) WHERE done_at IS NULL AND dead_at IS NULL"
    )
    constrain(op.get_bind(), ("alerts", "channels"))
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")


COMMENTS = {
    "TABLE channels": "Where alerts and digests go besides the page.",
    "COLUMN channels.shown": "its address without what is secret",
    "COLUMN channels.language": "zh or en",
    "COLUMN channels.kinds": "of alerts; empty: all",
    "COLUMN channels.quiet_from": "local time; empty: never quiet",
    "COLUMN channels.after_hours": "only alerts that nobody took for so long: escalation",
    "COLUMN channels.digest_at": "local time of the daily digest; empty: none",
    "COLUMN channels.alerts": "false: the digest alone",
    "COLUMN channels.since": "the network''s time: older alerts are not sent",
    "TABLE channel_secrets": "Addresses of channels: no page shows them.",
    "COLUMN channel_secrets.address": "whole, with keys and passwords",
    "TABLE channel_alerts": "Which alerts were written to which channel: each once.",
    "TABLE channel_messages": "Messages on their way to channels; deleted weeks after they were sent.",
    "COLUMN channel_messages.day": "of a digest",
    "COLUMN channel_messages.next_at": "the wall clock",
    "COLUMN channel_messages.answer": "what the last try was answered",
    "COLUMN channel_messages.dead_at": "given up: a person may send it again",
}
