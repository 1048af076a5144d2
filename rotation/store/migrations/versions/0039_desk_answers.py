"""Answers of the desk that are measured against the library system's own rule, or only watched."""

from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    """Add a table."""
    op.execute("""
        CREATE TABLE desk_answers (
            copy_id text COLLATE "C", place_id text COLLATE "C", day date, title_id text NOT NULL, at timestamptz NOT NULL,
            answered_by text NOT NULL, desk_to text NOT NULL, own_to text NOT NULL, code text NOT NULL,
            PRIMARY KEY (copy_id, place_id, day))""")
    op.execute("CREATE INDEX desk_answers_by_time ON desk_answers (at)")
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")


COMMENTS = {
    "TABLE desk_answers": "The desk''s answers while its rule is measured or only watched.",
    "COLUMN desk_answers.place_id": "where the copy was returned",
    "COLUMN desk_answers.day": "the network''s",
    "COLUMN desk_answers.at": "the network''s time",
    "COLUMN desk_answers.answered_by": "desk_rule, own_rule (held back at random), shadow",
    "COLUMN desk_answers.desk_to": "where the desk''s rule sends it",
    "COLUMN desk_answers.own_to": "where the library system''s own rule sends it",
    "COLUMN desk_answers.code": "the desk rule''s reason",
}
