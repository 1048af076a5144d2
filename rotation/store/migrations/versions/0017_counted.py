"""Events counted by partition, so that Kafka can be counted against them; refusals at the edge counted apart."""

from alembic import op

revision = "0017"
down_revision = "0016"

# Edges are "http" and "file:NAME", "folio:TOPIC", "koha:TABLE"; a topic that was rewound has a time in its name.
AT_THE_EDGE = "(topic = 'http' OR topic LIKE '%:%' AND topic NOT LIKE '% until %')"


def upgrade() -> None:
    """Count by partition from where each stands now, and take the edge's refusals out of the count of rejected events."""
    op.execute("ALTER TABLE progress ADD COLUMN counted_from bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE progress ADD COLUMN events bigint NOT NULL DEFAULT 0")
    op.execute("COMMENT ON COLUMN progress.counted_from IS 'the offset from which on events are counted'")
    op.execute(
        "COMMENT ON COLUMN progress.events IS 'those from there on whose outcome is known: applied, duplicate, late or rejected'"
    )
    op.execute("UPDATE progress SET counted_from = next_offset")
    op.execute(
        "INSERT INTO counts (name, value)"
        f" SELECT 'refused_at_edge', count(*) FROM rejections WHERE {AT_THE_EDGE} HAVING count(*) > 0"
    )
    op.execute(
        "UPDATE counts SET value = greatest(value - e.edge, 0)"
        " FROM (SELECT value AS edge FROM counts WHERE name = 'refused_at_edge') e WHERE name = 'rejected'"
    )
