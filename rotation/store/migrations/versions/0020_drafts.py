"""How often a run was ordered; a draft of changes beside each hub's plan."""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add a column and a table."""
    op.execute("ALTER TABLE runs ADD COLUMN revision integer NOT NULL DEFAULT 0")
    op.execute("COMMENT ON COLUMN runs.revision IS 'how often it was ordered'")
    op.execute("UPDATE runs SET revision = 1 WHERE status IN ('ordered', 'under_way', 'incomplete', 'done')")
    op.execute("""
        CREATE TABLE plan_drafts (
            day_plan_id text PRIMARY KEY, plan_version integer NOT NULL, version integer NOT NULL DEFAULT 1,
            edits jsonb NOT NULL, applied integer NOT NULL, who text NOT NULL,
            changed_at timestamptz NOT NULL)""")
    op.execute("COMMENT ON TABLE plan_drafts IS 'Changes to a hub''s plan that nobody has accepted yet.'")
    op.execute("COMMENT ON COLUMN plan_drafts.plan_version IS 'of the plan that they began from'")
    op.execute("COMMENT ON COLUMN plan_drafts.version IS 'for edits that meet'")
    op.execute("COMMENT ON COLUMN plan_drafts.edits IS 'in order; those after the applied ones were undone'")
    op.execute("COMMENT ON COLUMN plan_drafts.applied IS 'how many of them count'")
    op.execute("COMMENT ON COLUMN plan_drafts.changed_at IS 'the network''s time'")
    op.execute("COMMENT ON COLUMN plan_drafts.who IS 'who made the last change'")
