"""Bring a database to the schema of this version: Alembic's revisions in `migrations/versions`, each a file of plain SQL."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from rotation.store.engine import engine

MIGRATIONS = Path(__file__).parent / "migrations"
ONE_AT_A_TIME = 7_276_001  # key of the advisory lock: processes that start together migrate one after the other


def upgrade(url: str) -> None:
    """Create or upgrade the tables; does nothing where they are up to date."""
    with engine(url).connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ONE_AT_A_TIME})
        connection.commit()
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ONE_AT_A_TIME})
        connection.commit()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
