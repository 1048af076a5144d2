"""A drained place's numbers are the copies it held before and holds now, instead of those it gave and got."""

from alembic import op

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    """Write the numbers of earlier alerts in the new form."""
    op.execute("""
        UPDATE alerts SET numbers = numbers - 'gave' - 'got' || jsonb_build_object('before',
            (numbers->>'held')::int + (numbers->>'gave')::int - (numbers->>'got')::int)
        WHERE kind = 'drained' AND numbers ? 'gave'""")
