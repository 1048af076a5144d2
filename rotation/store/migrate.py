"""Bring a database to the schema of this version: Alembic's revisions in `migrations/versions`, each a file of plain SQL."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from rotation.store.engine import engine
from rotation.store.locks import AdvisoryLock
from rotation.store.unfit import refuse_unfit

MIGRATIONS = Path(__file__).parent / "migrations"


class NewerTables(ValueError):
    """The tables are those of a newer version."""


def upgrade(url: str, revision: str = "head") -> None:
    """Create or upgrade the tables, to an older revision in tests; does nothing where they are up to date.

    Raises
    ------
    UnfitDatabase
        When the server is too old, or the address leads through a pool that shares sessions.
    NewerTables
        When a newer version has upgraded them: this version would write rows that the newer version does not understand.
    """
    refuse_unfit(url)
    with engine(url).connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": AdvisoryLock.MIGRATION})
        connection.commit()
        config = _config()
        config.attributes["connection"] = connection
        _refuse_newer(config, connection)
        command.upgrade(config, revision)
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": AdvisoryLock.MIGRATION})
        connection.commit()


def _refuse_newer(config: Config, connection: Connection) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    connection.commit()
    scripts = ScriptDirectory.from_config(config)
    if found and found not in {script.revision for script in scripts.walk_revisions()}:
        raise NewerTables(
            f"the tables are of a newer version ({found}; this one knows up to {scripts.get_current_head()}):"
            " start that version again, or restore a backup made before it"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
