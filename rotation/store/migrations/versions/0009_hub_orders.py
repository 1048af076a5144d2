"""Orders to hubs, whether or not a van of theirs drives; by when a transfer should have arrived."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add a table, a column and an index."""
    op.execute("""
        CREATE TABLE hub_orders (
            kind text NOT NULL, hub_id text NOT NULL, to_hub_id text NOT NULL, due_at timestamptz NOT NULL,
            day date NOT NULL, PRIMARY KEY (kind, hub_id, to_hub_id, due_at))""")
    op.execute("COMMENT ON TABLE hub_orders IS 'What hubs were ordered to sort and send on, each once.'")
    op.execute("COMMENT ON COLUMN hub_orders.kind IS 'sort, trunk'")
    op.execute("COMMENT ON COLUMN hub_orders.to_hub_id IS 'empty: a sort'")
    op.execute("COMMENT ON COLUMN hub_orders.due_at IS 'when it is sorted, or the trunk leaves'")
    op.execute("ALTER TABLE transfers ADD COLUMN promised_on date")
    op.execute(
        "COMMENT ON COLUMN transfers.promised_on IS"
        " 'the day of its last leg as first planned: when it should have arrived'"
    )
    op.execute(
        "COMMENT ON COLUMN alerts.kind IS"
        " 'shortage, surplus, stale, overdue, unfair, silent, feed; unsorted, unsent, not_left, leg_late, slow'"
    )
    op.execute("CREATE INDEX crates_by_time ON crates (occurred_at)")
