"""One real Kafka and one real PostgreSQL for a test run, started by the first test that asks for them.

`kafka` is a bootstrap address, `database` the address of a fresh database of the test's own, `module_database` one that
a module's tests share, `new_database` makes more; all have rotation.store's tables, copied from one migrated template.
"""

import importlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from infra.kafka import Kafka, embedded_kafka
from infra.postgres import Postgres, embedded_postgres
from tests.needs import BROWSERS, data_folder, program

NO_FLUSH = {"fsync": "off", "full_page_writes": "off"}  # only a power cut would tell; commits outlive a kill -9
ORDER = ("unit", "golden", "integration", "scenarios", "e2e")  # quick ones first; a browser's loop hinders async tests
TEMPLATE = "rotation_template"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    kinds = [kind for kind in ORDER if kind in item.path.parts]
    return ORDER.index(kinds[0]) if kinds else len(ORDER)


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """Where the run's servers keep their files; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rotation-tests-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def kafka_server(servers_folder: Path) -> Iterator[Kafka]:
    """The run's Kafka."""
    with embedded_kafka(servers_folder / "kafka") as kafka:
        yield kafka


@pytest.fixture(scope="session")
def kafka(kafka_server: Kafka) -> str:
    """Bootstrap address of the run's Kafka, with no topics but those that tests made: use names of your own."""
    return kafka_server.bootstrap


@pytest.fixture(scope="session")
def postgres(servers_folder: Path) -> Iterator[Postgres]:
    """The run's PostgreSQL, with a migrated template database."""
    with embedded_postgres(servers_folder / "postgres", settings=NO_FLUSH) as server:
        _execute(server, f"create database {TEMPLATE}")
        _migrate(server.url_of(TEMPLATE))
        _close_to_all(server, TEMPLATE)
        yield server


@pytest.fixture(scope="session")
def new_database(postgres: Postgres) -> Callable[[], str]:
    """Makes a fresh database and returns its address; it goes with the run."""
    numbers = itertools.count(1)

    def make() -> str:
        name = f"test_{next(numbers)}"
        _execute(postgres, f"create database {name} template {TEMPLATE} strategy file_copy")
        return postgres.url_of(name)

    return make


@contextmanager
def _database(postgres: Postgres, make: Callable[[], str]) -> Iterator[str]:
    url = make()
    yield url
    _execute(postgres, f"drop database {psycopg.conninfo.conninfo_to_dict(url)['dbname']} with (force)")


@pytest.fixture
def database(postgres: Postgres, new_database: Callable[[], str]) -> Iterator[str]:
    """Address of a fresh database for this test."""
    with _database(postgres, new_database) as url:
        yield url


@pytest.fixture(scope="module")
def module_database(postgres: Postgres, new_database: Callable[[], str]) -> Iterator[str]:
    """Address of a fresh database for this module's tests together."""
    with _database(postgres, new_database) as url:
        yield url


@pytest.fixture(scope="session")
def rotation_data() -> Path:
    """Folder of real data beyond the committed sample."""
    folder = data_folder()
    if folder is None:
        pytest.skip("not run: the real data is not here (set ROTATION_DATA, or lay it at ../shared/data)")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser."""
    return program(*BROWSERS)


@pytest.fixture(scope="session")
def browser_type_launch_args(chromium: str) -> dict[str, object]:
    """How pytest-playwright starts the browser: the machine's own, as root too."""
    return {"executable_path": chromium, "args": ["--no-sandbox", "--disable-dev-shm-usage"]}


def _execute(server: Postgres, statement: str) -> None:
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        connection.execute(statement)


def _close_to_all(server: Postgres, database: str) -> None:
    """Send everyone away from the database: one in use cannot be copied."""
    _execute(server, f"alter database {database} allow_connections false")
    _execute(server, f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{database}'")


def _migrate(url: str) -> None:
    """Bring the database to the store's newest form."""
    try:
        migrate = importlib.import_module("rotation.store.migrate")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("rotation"):
            raise
    else:
        migrate.upgrade(url)
