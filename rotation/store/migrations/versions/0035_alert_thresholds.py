"""Thresholds of alerts that people set by tier and class, and alerts of facts that do not add up."""

from alembic import op

from rotation.store.words import constrain

revision = "0035"
down_revision = "0033"


def upgrade() -> None:
    """Add the table and the kind."""
    op.execute("""
        CREATE TABLE alert_thresholds (
            threshold_id bigserial PRIMARY KEY, kind text NOT NULL, tier text NOT NULL DEFAULT '',
            class text NOT NULL DEFAULT '', value integer NOT NULL, who text NOT NULL, set_at timestamptz NOT NULL,
            ended_by text, ended_at timestamptz)""")
    op.execute(
        "CREATE UNIQUE INDEX alert_thresholds_one ON alert_thresholds (kind, tier, class) WHERE ended_at IS NULL"
    )
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")
    constrain(op.get_bind(), ("alert_thresholds", "alerts"))


COMMENTS = {
    "TABLE alert_thresholds": "From which figure on an alert opens, as people set it; what ended is history.",
    "COLUMN alert_thresholds.tier": "empty: of all",
    "COLUMN alert_thresholds.class": "empty: of all",
    "COLUMN alert_thresholds.value": "percent, days or hours, by the kind",
    "COLUMN alert_thresholds.set_at": "the network''s time",
    "COLUMN alert_thresholds.ended_by": "who set another, or went back to the usual",
    "COLUMN alert_thresholds.ended_at": "the network''s time",
}
