"""Copies by their present barcode, and the alert of a handover whose counts differ."""

from alembic import op

from rotation.store.words import constrain

revision = "0023"
down_revision = "0021"


def upgrade() -> None:
    """Add an index and a kind of alert."""
    op.execute("CREATE INDEX item_copies_by_barcode ON item_copies (barcode)")
    constrain(op.get_bind(), ("alerts",))
