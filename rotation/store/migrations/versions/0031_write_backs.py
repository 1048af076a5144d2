"""Write-backs to library systems, their alert, and the heartbeats of the processes that deliver and write back."""

from alembic import op

from rotation.store.words import constrain

revision = "0031"
down_revision = "0026"


def upgrade() -> None:
    """Add two tables."""
    op.execute(
        "CREATE TABLE write_back_switches (system text PRIMARY KEY, kinds text[] NOT NULL, places text[] NOT NULL)"
    )
    op.execute("""
        CREATE TABLE write_backs (
            write_back_id bigserial PRIMARY KEY, system text NOT NULL, kind text NOT NULL, copy_id text COLLATE "C" NOT NULL,
            place_id text NOT NULL, transfer_id text, cause text NOT NULL, at timestamptz NOT NULL,
            asked_at timestamptz NOT NULL DEFAULT now(), tries integer NOT NULL DEFAULT 0,
            next_at timestamptz NOT NULL DEFAULT now(), before text, fault text, answer text NOT NULL DEFAULT '', answer_id text,
            done_at timestamptz, refused_at timestamptz, left_by text)""")
    op.execute("CREATE UNIQUE INDEX write_backs_cause ON write_backs (system, kind, copy_id, cause)")
    op.execute("CREATE INDEX write_backs_open ON write_backs (copy_id) WHERE done_at IS NULL")
    op.execute("CREATE INDEX write_backs_by_transfer ON write_backs (transfer_id) WHERE transfer_id IS NOT NULL")
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")
    constrain(op.get_bind(), ("write_backs", "heartbeats", "alerts"))


COMMENTS = {
    "TABLE write_back_switches": "What is written back to each library system: by its process from its map, at each start.",
    "COLUMN write_back_switches.kinds": "check_in, hold, drop_hold, relocate",
    "COLUMN write_back_switches.places": "the places that the library system knows",
    "TABLE write_backs": "Orders and scans as the library system''s own check-ins, holds and homes;"
    " deleted weeks after they were done.",
    "COLUMN write_backs.place_id": "where it is checked in, held for, or at home",
    "COLUMN write_backs.cause": "the event or transfer that asks for it: each asks once",
    "COLUMN write_backs.at": "the network''s time of its cause",
    "COLUMN write_backs.next_at": "the wall clock",
    "COLUMN write_backs.before": "what the library system said before it was first asked: begun where this is set",
    "COLUMN write_backs.answer": "the library system''s last words",
    "COLUMN write_backs.answer_id": "its id there; null: none was given",
    "COLUMN write_backs.refused_at": "a person must look",
    "COLUMN write_backs.left_by": "who left it undone",
}
