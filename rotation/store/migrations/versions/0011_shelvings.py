"""Where copies stand below their places: call number, room, collection, shelf mark, and a barcode beside the id."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add a table."""
    words = ", ".join(f"{name} text COLLATE \"C\" NOT NULL DEFAULT ''" for name in COLUMNS)
    op.execute(f'CREATE TABLE shelvings (copy_id text COLLATE "C" PRIMARY KEY, told_at timestamptz NOT NULL, {words})')
    op.execute("CREATE INDEX shelvings_by_barcode ON shelvings (barcode) WHERE barcode <> ''")
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")


COLUMNS = ("call_number", "room", "collection", "shelf", "barcode")
COMMENTS = {
    "TABLE shelvings": "Where each copy stands below its place, as was said last; empty words where nothing was.",
    "COLUMN shelvings.told_at": "time of the copy.added or copy.corrected that said so",
    "COLUMN shelvings.shelf": "the mark of the shelf",
    "COLUMN shelvings.barcode": "empty: the copy''s id is its barcode",
}
