"""What docker-compose.yml sets exists, and what it runs starts: as processes, over TLS and with passwords, without Docker."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml
from kafka import KafkaProducer
from kafka.errors import KafkaError

from config.kafka import client
from config.settings import Settings, load
from infra import java
from infra.jars import class_path
from infra.kafka import Security, embedded_kafka
from infra.kafka import answers as answers_requests
from infra.messages import silent
from infra.ports import HOST, new_port
from infra.postgres import DATABASE, SUPERUSER, Postgres, Tcp, binary, embedded_postgres
from rotation.facts.events import CopyAdded, cloud_event
from rotation.facts.parts import Part
from rotation.kafka import acls, admin
from rotation.network import read
from rotation.store import migrate
from rotation.system import roles
from tests.integration.infra.certificates import self_signed
from tests.integration.infra.tls_front import tls_front
from tests.web_city import DEMO

ROOT = Path(__file__).parent.parent.parent.parent
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
ONCE = ("migrations", "topics")
STAYING = sorted(set(OURS) - set(ONCE))
DATABASE_USERS = {name: {"feed": "feed", "write": "write_back"}.get(name.partition("-")[0], name) for name in STAYING}
KAFKA_USERS = {
    name: "source" if name.startswith("feed") else name for name in STAYING if not name.startswith(("deliver", "write"))
}
UNTIL_READY_S = 150  # six processes start at once, on a machine that may be busy
PASSWORD, CHOSEN = "of-the-database", "chosen-at-first-sign-in"


def settings_by_variable() -> set[str]:
    fields = Settings.model_fields
    aliases = {
        str(choice) for field in fields.values() if field.validation_alias for choice in field.validation_alias.choices
    }  # type: ignore[union-attr]
    return {f"ROTATION_{key.upper()}" for key in fields} | aliases


def variables_of_feeds() -> set[str]:
    source = (ROOT / "rotation" / "cli" / "feeds.py").read_text(encoding="utf-8")
    return set(re.findall(r'envvar="([A-Z0-9_]+)"', source))


def image_variables() -> set[str]:
    return set(re.findall(r"\b(ROTATION_[A-Z_]+)=", (ROOT / "Dockerfile").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", OURS)
def test_each_variable_of_a_service_is_a_setting_or_an_option_of_a_feed(name: str):
    options = variables_of_feeds() if {"feed", "write-back"} & set(OURS[name]["command"]) else set()
    assert set(OURS[name]["environment"]) - settings_by_variable() - options == set()


def test_each_variable_of_the_image_is_a_setting():
    assert image_variables()
    assert image_variables() - settings_by_variable() == set()


def test_the_processes_are_those_that_a_running_system_has():
    assert set(OURS) == {
        "migrations",
        "topics",
        "worker",
        "relay",
        "planner",
        "solver",
        "web",
        "deliver",
        "write-back-koha",
        "write-back-folio",
        "write-back-sip2",
        "feed-koha",
        "feed-folio",
    }


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_a_limit_of_memory_and_each_that_stays_a_health_check(name: str):
    assert re.fullmatch(r"\d+[mg]", SERVICES[name]["mem_limit"])
    assert ("healthcheck" in SERVICES[name]) == (name not in (*ONCE, "logins"))


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_no_capability_and_a_limit_of_processes(name: str):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert 0 < service["pids_limit"] <= 1024
    assert not {"privileged", "network_mode", "pid", "cap_add"} & set(service) or name == "postgres"
    assert ("ports" in service) == (name == "web")


@pytest.mark.parametrize("name", STAYING)
def test_each_process_signs_in_as_its_own_user_with_its_own_password(name: str):
    given = OURS[name]["environment"]
    database = re.fullmatch(r"postgresql://(\w+):\$\{(\w+):\?set (\w+)\}@postgres:5432/rotation", given["DATABASE_URL"])
    assert database
    assert database[1] == DATABASE_USERS[name]
    assert database[2] == database[3] == ("SOURCE" if name.startswith("feed") else database[1].upper()) + "_PASSWORD"
    assert given.get("KAFKA_SASL_USERNAME") == KAFKA_USERS.get(name)
    assert database[1] in roles.ROLES
    assert KAFKA_USERS.get(name, "relay") in acls.RIGHTS
    assert not {"POSTGRES_PASSWORD", "KAFKA_PASSWORD"} & set(re.findall(r"\w+_PASSWORD", json.dumps(given)))


@pytest.mark.parametrize("name", sorted(set(OURS) - {*ONCE, "web"}))
def test_a_parts_health_check_asks_for_its_own_heart(name: str):
    *command, part = SERVICES[name]["healthcheck"]["test"]
    assert command == ["CMD", "python", "-m", "rotation", "alive"]
    assert Part(part) == DATABASE_USERS[name]


def test_every_folder_that_the_image_copies_is_there():
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
    assert [path for line in copied for path in line.split() if not (ROOT / path).exists()] == []


def test_secrets_have_no_default():
    raw = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.findall(r"[^$]\$\{(?:[A-Z_]*PASSWORD|ROTATION_SECRET_KEY)(?!:\?|:-\})", raw) == []


def filled(text: str) -> str:
    """Return a text of the file as compose would pass it on, each secret being its own name in small letters."""
    return re.sub(r"\$\{([A-Z_]+)[^}]*\}", lambda found: found[1].lower(), text).replace("$$", "$")


def test_the_script_of_logins_gives_each_process_its_role_and_runs_twice(tmp_path: Path):
    with embedded_postgres(tmp_path / "postgres", settings={"fsync": "off"}) as postgres:
        migrate.upgrade(postgres.url)
        roles.grant(postgres.url)
        at = {"PGHOST": str(postgres.socket), "PGPORT": str(postgres.port), "PGUSER": SUPERUSER, "PGDATABASE": DATABASE}
        service = SERVICES["logins"]
        given = {name: filled(value) for name, value in service["environment"].items()} | at
        path = f"{Path(binary('psql')).parent}{os.pathsep}{os.environ['PATH']}"
        for _ in range(2):
            command = [*service["entrypoint"], filled(service["command"][0])]
            subprocess.run(command, env=os.environ | given | {"PATH": path}, check=True)
        with psycopg.connect(postgres.url) as connection:
            found = connection.execute(
                "SELECT l.rolname, r.rolname FROM pg_auth_members m JOIN pg_roles l ON l.oid = m.member"
                " JOIN pg_roles r ON r.oid = m.roleid WHERE l.rolcanlogin AND r.rolname LIKE 'rotation%'"
            ).fetchall()
    assert set(found) == {(user, f"rotation_{user}") for user in DATABASE_USERS.values()}


def test_kafka_as_the_file_sets_it_lets_in_its_users_with_their_rights_alone(tmp_path: Path):
    with compose_kafka(tmp_path) as address:
        administrator = by_password(address, "administrator", "kafka_password")
        admin.create(administrator)
        for role in acls.RIGHTS:
            acls.allow(administrator, role, role)
        for role, rights in acls.RIGHTS.items():
            seen = admin.names(by_password(address, role, f"{role}_password"))
            assert seen == sorted({*rights.reads, *rights.writes, *rights.looks_at})
        with pytest.raises(KafkaError):
            admin.names(by_password(address, "worker", "relay_password") | {"bootstrap_timeout_ms": 5_000})


def by_password(address: str, user: str, password: str) -> dict[str, object]:
    signed_in = {"sasl_mechanism": "PLAIN", "sasl_plain_username": user, "sasl_plain_password": password}
    return {"bootstrap_servers": [address], "security_protocol": "SASL_PLAINTEXT"} | signed_in


@contextmanager
def compose_kafka(folder: Path) -> Iterator[str]:
    """Run the broker with the file's settings, as the image makes properties of them; only ports and folder are others."""
    ports = {"9092": str(new_port("client", set())), "9093": str(new_port("controller", set()))}
    ports["9094"] = str(new_port("broker", {int(port) for port in ports.values()}))
    text = {name: filled(value) for name, value in SERVICES["kafka"]["environment"].items()}
    values = {name.removeprefix("KAFKA_").replace("_", ".").lower(): value for name, value in text.items()}
    moved = {
        key: re.sub(r"\b(9092|9093|9094)\b", lambda port: ports[port[1]], value).replace("kafka:", "localhost:")
        for key, value in values.items()
    }
    properties = folder / "server.properties"
    lines = (moved | {"log.dirs": str(folder / "log")}).items()
    properties.write_text("".join(f"{key}={value}\n" for key, value in lines))
    libraries = class_path(silent)
    formatted = java.command(
        libraries, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", str(properties)
    )
    subprocess.run(formatted, check=True, capture_output=True)
    with (folder / "broker.log").open("wb") as log:
        broker = subprocess.Popen(java.command(libraries, "kafka.Kafka", str(properties)), stdout=log, stderr=log)
    try:
        until(lambda: answers_requests(int(ports["9094"])), lambda: (folder / "broker.log").read_text())
        yield f"localhost:{ports['9092']}"
    finally:
        broker.terminate()
        broker.wait(30)


# --- Started as processes -------------------------------------------------------------------------------------------------------


def left_out() -> list[str]:
    """Return the modules that the image does without."""
    packages = re.search(r"pip uninstall --yes \\\n((?:.*\\\n)*.*)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert packages
    return [name.replace("-", "_") for name in packages[1].replace("\\", "").split()]


REFUSE = """import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names}:
            raise ModuleNotFoundError(f"the image has no {{name}}", name=name)
sys.meta_path.insert(0, Refused())
"""


@dataclass
class Production:
    """External servers over TLS, and how processes reach them."""

    environment: dict[str, str]
    folder: Path
    postgres: Postgres

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a service by the command that stands in docker-compose.yml."""
        command = [
            sys.executable
            if word == "python"
            else word.replace("python -m", f"{shlex.quote(sys.executable)} -m").replace("$$", "$")
            for word in OURS[name]["command"]
        ]
        log = (self.folder / f"{name}.log").open("wb")
        return subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)

    def said(self, name: str) -> str:
        """Return what a service wrote."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8")

    @contextmanager
    def running(self, *names: str) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
        """Run services while the context lasts."""
        processes = {name: self.start(name) for name in names}
        try:
            yield processes
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                process.wait(15)


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """Kafka with TLS and SCRAM, PostgreSQL with TLS and a password, addressed as external ones; migrated, topics created."""
    folder = tmp_path_factory.mktemp("production")
    certificate, key = self_signed(folder)
    (folder / "state").mkdir()  # the image's home
    (folder / "sitecustomize.py").write_text(REFUSE.format(names=set(left_out())))
    security = Security(certificate, key, {"rotation": "of-kafka"}, super_users=("rotation",))
    with (
        embedded_kafka(folder / "kafka", security=security) as kafka,
        embedded_postgres(folder / "postgres", tcp=Tcp(PASSWORD), settings={"fsync": "off"}) as postgres,
        tls_front(postgres.port, certificate, key) as port,
    ):
        tls = f"sslmode=verify-full&sslrootcert={certificate}"
        given = {
            "DATABASE_URL": f"postgresql://{SUPERUSER}:{PASSWORD}@{HOST}:{port}/{DATABASE}?{tls}",
            "KAFKA_BOOTSTRAP": kafka.bootstrap,
            "KAFKA_TLS_CA": str(certificate),
            "KAFKA_SASL_USERNAME": "rotation",
            "KAFKA_SASL_PASSWORD": "of-kafka",
            "ROTATION_NETWORK": str(DEMO),
            "ROTATION_SECRET_KEY": "0123456789abcdef0123456789abcdef",
            "ROTATION_DATA_DIR": str(folder / "state"),
            "ROTATION_WEB_PORT": str(new_port("page", set())),
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        }
        made = Production({**os.environ, **given}, folder, postgres)
        for name in ONCE:
            assert made.start(name).wait(UNTIL_READY_S) == 0, made.said(name)
        yield made


def until(condition: Callable[[], object], what: Callable[[], str]) -> None:
    end = time.monotonic() + UNTIL_READY_S
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.2)


def answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.timeout(500)
def test_the_whole_set_of_processes_takes_an_event_from_kafka_to_the_page(production: Production):
    address = f"http://{HOST}:{production.environment['ROTATION_WEB_PORT']}"
    with production.running("worker", "relay", "planner", "solver", "web") as processes:
        until(lambda: answers(f"{address}/health/ready"), lambda: production.said("web"))
        send_copies(production, 1)
        page = signed_in(production, address)
        until(lambda: page.get("/api/status").json()["copies"] == 1, lambda: production.said("worker"))
        until(lambda: "city/test" in page.get("/feeds").text, lambda: production.said("web"))
        until(
            lambda: page.get("/api/status").json()["alerts_by_kind"].get("shortage"), lambda: production.said("worker")
        )
        assert {name: process.poll() for name, process in processes.items()} == dict.fromkeys(processes)
        ready = page.get("/health/ready").json()
        assert (ready["database"], ready["kafka"]) == (True, True)
    assert [word for word in (PASSWORD, CHOSEN, "of-kafka") if word in production.said("web")] == []


def send_copies(production: Production, number: int, called: str = "c") -> None:
    """Tell of new copies, as a library system over Kafka would."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in production.environment.items():
            patch.setenv(name, value)
        settings = load()
        producer = KafkaProducer(**client(settings))
        at = datetime.now(UTC) - timedelta(minutes=1)
        place = read(DEMO).places[0].id
        for copy in (f"{called}{n}" for n in range(number)):
            fact = CopyAdded(copy=copy, place=place, title="t1", **{"class": "fiction"})
            event = cloud_event(fact, event_id=copy, source="city/test", time=at)
            producer.send("circulation.events", json.dumps([event]).encode())
        producer.flush(30)
        producer.close()


def signed_in(production: Production, address: str) -> httpx.Client:
    """Sign in with the password that the page's first start printed, and choose another."""
    printed = re.search(r"admin / (\S+)", production.said("web"))
    assert printed
    browser = httpx.Client(base_url=address, headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"})
    browser.post("/sign-in", data={"name": "admin", "password": printed[1]})
    changed = {"old": printed[1], "new": CHOSEN, "again": CHOSEN}
    assert browser.post("/password", data=changed).status_code == 303
    return browser


# --- Backup and restore ---------------------------------------------------------------------------------------------------------


def rows(production: Production) -> list[tuple[object, ...]]:
    with psycopg.connect(production.postgres.url) as connection:
        return connection.execute("SELECT * FROM copies ORDER BY copy_id").fetchall()


def tool(production: Production, name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs as docs/deploy.md does in its container."""
    at = ["-h", str(production.postgres.socket), "-p", str(production.postgres.port), "-U", SUPERUSER]
    subprocess.run([binary(name), *at, *arguments], check=True, capture_output=True)


@pytest.mark.timeout(500)
def test_a_dump_that_is_restored_goes_on_from_kafka_without_a_difference(production: Production):
    dump = str(production.folder / "rotation.dump")
    with production.running("worker"):
        send_copies(production, 50, "before-")
        until(lambda: len(rows(production)) >= 50, lambda: production.said("worker"))
        known = len(rows(production))
        tool(production, "pg_dump", "-Fc", "-f", dump, DATABASE)
        send_copies(production, 70, "after-")
        until(lambda: len(rows(production)) == known + 70, lambda: production.said("worker"))
    everything = rows(production)
    tool(production, "dropdb", "--force", DATABASE)
    tool(production, "createdb", DATABASE)
    tool(production, "pg_restore", "-d", DATABASE, "--no-owner", dump)
    assert len(rows(production)) == known
    with production.running("worker"):
        until(lambda: len(rows(production)) == len(everything), lambda: production.said("worker"))
    assert rows(production) == everything
