"""People's steps with alerts: acknowledge, snooze, assign, comment."""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add a table."""
    op.execute("""
        CREATE TABLE alert_steps (
            id bigserial PRIMARY KEY, alert_id bigint NOT NULL, step text NOT NULL, who text NOT NULL,
            at timestamptz NOT NULL, until timestamptz, assignee text, comment text NOT NULL DEFAULT '',
            CONSTRAINT alert_steps_step_known CHECK (step IN ('acknowledged', 'snoozed', 'assigned', 'commented')))""")
    op.execute("CREATE INDEX alert_steps_of ON alert_steps (alert_id, id)")
    op.execute(
        "COMMENT ON TABLE alert_steps IS"
        " 'What people did about alerts, in order; nothing is changed or deleted here but with its alert.'"
    )
    op.execute("COMMENT ON COLUMN alert_steps.step IS 'acknowledged, snoozed, assigned, commented'")
    op.execute("COMMENT ON COLUMN alert_steps.at IS 'the network''s time'")
    op.execute("COMMENT ON COLUMN alert_steps.until IS 'of snoozed: when it comes back'")
    op.execute("COMMENT ON COLUMN alert_steps.assignee IS 'of assigned: who has it'")
