"""Rules that librarians set for returned copies, beside the prices."""

from alembic import op

from rotation.store.words import constrain

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add a table."""
    op.execute("""
        CREATE TABLE return_rules (
            rule_id bigserial PRIMARY KEY, kind text NOT NULL, place_id text NOT NULL DEFAULT '',
            class text NOT NULL DEFAULT '', title_id text NOT NULL DEFAULT '', copies integer, who text NOT NULL,
            set_at timestamptz NOT NULL, ended_at timestamptz)""")
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")
    constrain(op.get_bind(), ("return_rules",))


COMMENTS = {
    "TABLE return_rules": "What librarians decided of returned copies, whatever the prices say.",
    "COLUMN return_rules.place_id": "where the copy is returned, for at_most where it would go; empty: everywhere",
    "COLUMN return_rules.class": "empty: of any class",
    "COLUMN return_rules.title_id": "empty: of any title",
    "COLUMN return_rules.copies": "at_most: so many of a title at a place",
    "COLUMN return_rules.set_at": "the network''s time",
}
