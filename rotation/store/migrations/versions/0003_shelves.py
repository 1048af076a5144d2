"""A shelf's copies of one class are counted by an index of their own: only shelves that an event touched are counted again."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Widen the index on places by the class; a copy's class does not change as it moves, so its updates stay as cheap."""
    op.drop_index("copies_by_place", "copies")
    op.create_index("copies_by_place", "copies", ["place_id", "class"])
