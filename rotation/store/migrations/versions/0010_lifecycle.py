"""States and kinds are checked by the database, by the lists in `rotation.facts.lifecycle`.

A state that is added later needs a migration that calls `constrain` again for its table.
"""

from alembic import op

from rotation.store.words import constrain

revision = "0010"
down_revision = "0009"

TABLES = ("transfers", "day_plans", "runs", "stops", "legs", "hub_orders", "crates", "alerts")


def upgrade() -> None:
    """Check the stored rows, then let no other word in."""
    constrain(op.get_bind(), TABLES)
