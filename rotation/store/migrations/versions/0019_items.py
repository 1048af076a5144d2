"""Items of library systems by their own numbers, and the holds that were sent."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add two tables."""
    op.execute("""
        CREATE TABLE item_copies (
            source text NOT NULL, item bigint NOT NULL, copy_id text COLLATE "C" NOT NULL, barcode text,
            PRIMARY KEY (source, item))""")
    op.execute("CREATE UNIQUE INDEX item_copies_by_copy ON item_copies (source, copy_id)")
    op.execute(
        "COMMENT ON TABLE item_copies IS 'Which copy an item of a library system is, whatever its barcode becomes.'"
    )
    op.execute("COMMENT ON COLUMN item_copies.item IS 'the library system''s own number, which never changes'")
    op.execute("COMMENT ON COLUMN item_copies.copy_id IS 'the barcode that the item had when it was first read'")
    op.execute("COMMENT ON COLUMN item_copies.barcode IS 'the present barcode'")
    op.execute("""
        CREATE TABLE told_holds (
            source text NOT NULL, hold bigint NOT NULL, told jsonb NOT NULL, told_at timestamptz NOT NULL,
            PRIMARY KEY (source, hold))""")
    op.execute(
        "COMMENT ON TABLE told_holds IS 'Open holds as last told, so that one that vanishes without a trace is missed.'"
    )
    op.execute("COMMENT ON COLUMN told_holds.hold IS 'the library system''s own number'")
    op.execute("COMMENT ON COLUMN told_holds.told IS 'event type, title, place and copy, as last sent'")
    op.execute("COMMENT ON COLUMN told_holds.told_at IS 'the time of that event'")
