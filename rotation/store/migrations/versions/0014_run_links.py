"""Links that open a single run to its driver, until the day ends or they are withdrawn."""

from alembic import op

from rotation.store.words import constrain

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add a table."""
    op.execute("""
        CREATE TABLE run_links (
            link_id text PRIMARY KEY, hash bytea NOT NULL, run_id text NOT NULL, made_by text NOT NULL,
            made_at timestamptz NOT NULL, ends_at timestamptz NOT NULL, withdrawn_at timestamptz)""")
    constrain(op.get_bind(), ("scans",))
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")


COMMENTS = {
    "TABLE run_links": "Links that open a single run to whoever has them: for drivers of other companies.",
    "COLUMN run_links.hash": "SHA-256 of the secret: random, so that it needs no salt",
    "COLUMN run_links.made_at": "the network''s time",
    "COLUMN run_links.ends_at": "the network''s time: the end of the run''s day",
}
