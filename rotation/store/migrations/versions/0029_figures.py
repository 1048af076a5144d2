"""Key figures of each day, and cities' own counts."""

from alembic import op

revision = "0029"
down_revision = "0032"


def upgrade() -> None:
    """Add two tables."""
    op.execute("""
        CREATE TABLE daily_figures (
            day date NOT NULL, figure text NOT NULL, by text NOT NULL, subject text NOT NULL, class text NOT NULL DEFAULT '',
            amount double precision NOT NULL, base double precision NOT NULL, counted_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (day, figure, by, subject, class))""")
    op.execute("""
        CREATE TABLE city_counts (
            place_id text NOT NULL, month date NOT NULL, visits integer, satisfaction double precision, answers integer,
            who text NOT NULL, counted_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (place_id, month))""")
    for subject, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")


COMMENTS = {
    "TABLE daily_figures": "Key figures as they were counted each day.",
    "COLUMN daily_figures.by": "all, tier, place or class",
    "COLUMN daily_figures.subject": "tier, place or class; empty: of all",
    "COLUMN daily_figures.class": "of a shelf''s level",
    "COLUMN daily_figures.base": "a figure is its amount over its base",
    "TABLE city_counts": "What the city counts itself: visits at the gate, and what readers say.",
    "COLUMN city_counts.month": "its first day",
    "COLUMN city_counts.visits": "people who came in",
    "COLUMN city_counts.satisfaction": "0 to 100, the mean of those who answered",
    "COLUMN city_counts.answers": "how many answered",
}
