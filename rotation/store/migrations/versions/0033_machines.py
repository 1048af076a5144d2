"""Self-service machines: their reports, how each stands, why a van calls there, and their alerts."""

from alembic import op

from rotation.store.words import constrain

revision = "0033"
down_revision = "0030"

COLUMNS = """occurred_at timestamptz NOT NULL, sequence integer NOT NULL{default}, source text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL, bin_copies integer NOT NULL, free_slots integer NOT NULL, fault text"""


def upgrade() -> None:
    """Add three tables."""
    op.execute(f"""
        CREATE TABLE machine_facts (place_id text COLLATE "C" NOT NULL, {COLUMNS.format(default="")},
            PRIMARY KEY (place_id, occurred_at, sequence, source, event_id))""")
    op.execute(f'CREATE TABLE machines (place_id text COLLATE "C" PRIMARY KEY, {COLUMNS.format(default=" DEFAULT 0")})')
    op.execute("""
        CREATE TABLE machine_visits (
            day date, place_id text, why text NOT NULL, numbers jsonb NOT NULL, crates text[] NOT NULL,
            PRIMARY KEY (day, place_id))""")
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")
    constrain(op.get_bind(), ("machine_visits", "alerts", "scans"))


COMMENTS = {
    "TABLE machine_facts": "Every report of a self-service machine, once; old ones are forgotten.",
    "TABLE machines": "Each self-service machine as its last report has it.",
    "TABLE machine_visits": "Why a van calls at a self-service machine on a day, beside the copies that it brings or fetches.",
    "COLUMN machine_visits.numbers": "what the machine had reported",
    "COLUMN machine_visits.crates": "numbers of the crates that its bin fills",
}
