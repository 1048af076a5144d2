"""Changes of the network that pages made, each with the day from which it holds."""

from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Add a table."""
    op.execute("""
        CREATE TABLE network_changes (
            number bigserial PRIMARY KEY, version text NOT NULL UNIQUE, holds_from date NOT NULL, made_at timestamptz NOT NULL,
            who text NOT NULL, text text, changes jsonb NOT NULL, file_digest text, why text NOT NULL DEFAULT '')""")
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")


COMMENTS = {
    "TABLE network_changes": "The network as pages changed it: no row, and the file holds; nothing is ever changed or removed.",
    "COLUMN network_changes.version": "random: no two databases share one",
    "COLUMN network_changes.made_at": "the network''s time",
    "COLUMN network_changes.text": "a whole network (TOML) that takes the place of what held before; null: changes alone",
    "COLUMN network_changes.changes": "tables, ids and their fields'' new values",
    "COLUMN network_changes.file_digest": "SHA-256 of ROTATION_NETWORK''s file that was taken, or looked at and left",
}
