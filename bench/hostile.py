"""Do people feel a hostile sender? Their pages' p95 alone, with the desks, and with one hostile sender beside them: a JSON line.

    python -m bench.hostile [--seconds 60] [--people 50] [--desks 100] [--seed 1]

Kafka, PostgreSQL, a worker, the relay and a page are started in a folder of their own, with a day of the demonstration's city.
locust (bench/hostile_users.py) plays everyone, in a process of its own, once for each case. The ratio asked for is at most 2.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import psutil
from sqlalchemy import Engine, update

from bench.hands import NETWORK, town
from bench.web import PASSWORD, POSTGRES, processes, ready, wait_for
from infra.kafka import embedded_kafka
from infra.ports import HOST, new_port
from infra.postgres import embedded_postgres
from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.kafka import admin
from rotation.store import migrate
from rotation.store.engine import engine as engine_of
from rotation.store.tables import users

CASES = {"quiet": ("Person", "ReturnDesk"), "hostile": ("Person", "ReturnDesk", "Hostile")}
ASKED_RATIO = 2.0
USERS_FILE = Path(__file__).with_name("hostile_users.py")
SPAWN_S = 10.0  # everyone comes within it, and is counted from then on
WARM_S = 20.0  # before the first case: what is compiled and cached at first use


class RunningPage(NamedTuple):
    """A page that is up, and its processes by name."""

    address: str
    engine: Engine
    pids: dict[str, int]


def main() -> None:
    """Run the cases and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--desks", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    random.seed(asked.seed)
    with tempfile.TemporaryDirectory(prefix="bench-hostile-") as name, served(Path(name)) as page:
        listed = Path(name) / "town.json"
        listed.write_bytes(orjson.dumps(everyone(page, asked.people, asked.desks)))
        played(page.address, listed, CASES["quiet"], asked, min(WARM_S, asked.seconds))
        found = {
            case: figures(played(page.address, listed, kinds, asked, asked.seconds)) for case, kinds in CASES.items()
        }
    ratio = found["hostile"]["person"]["p95_ms"] / found["quiet"]["person"]["p95_ms"]
    line = {"bench": "hostile", **vars(asked), **found, "ratio_p95": round(ratio, 2), "asked_ratio": ASKED_RATIO}
    print(json.dumps({**line, "load": round(psutil.getloadavg()[0], 1)}), flush=True)


@contextmanager
def served(folder: Path) -> Iterator[RunningPage]:
    """Start everything over a filled day."""
    with (
        embedded_postgres(folder / "postgres", settings=POSTGRES) as postgres,
        embedded_kafka(folder / "kafka") as kafka,
    ):
        migrate.upgrade(postgres.url)
        admin.create({"bootstrap_servers": kafka.bootstrap})
        port = new_port("page", set())
        environment = {
            "DATABASE_URL": postgres.url,
            "KAFKA_BOOTSTRAP": kafka.bootstrap,
            "ROTATION_NETWORK": "demo.toml",
            "ROTATION_WEB_PORT": str(port),
            "ROTATION_DATA_DIR": str(folder),
        }
        modules = ("streams.worker", "streams.relay", "rotation.web")
        engine = engine_of(postgres.url)
        with processes(environment, folder, *modules) as pids:
            address = f"http://{HOST}:{port}"
            wait_for(lambda: ready(address), "the page")
            yield RunningPage(address, engine, dict(zip(modules, pids, strict=True)))
        engine.dispose()


def everyone(page: RunningPage, people: int, desks: int) -> dict[str, Any]:
    """Fill the day; return what locust's users need: sessions, tokens, places and copies."""
    with page.engine.begin() as connection:
        filled = town(connection)
        desk_token = auth.add_token(connection, Role.DISPATCHER, "desks", "bench")
        source_token = auth.add_token(connection, Role.SOURCE, "the hostile sender", "bench")
        auth.add_user(connection, "viewer", PASSWORD, Role.VIEWER)
        connection.execute(update(users).values(must_change=False))
    return {
        "people": people,
        "desks": desks,
        "desk_token": desk_token,
        "source_token": source_token,
        "cookies": [session(page.address) for _ in range(people)],
        "places": [place.id for place in NETWORK.places],
        "copies": filled.copy_ids,
    }


def session(address: str) -> str:
    """Sign in; return the session's cookie."""
    with httpx.Client(base_url=address, headers={"Sec-Fetch-Site": "same-origin"}, timeout=30) as browser:
        answer = browser.post("/sign-in", data={"name": "viewer", "password": PASSWORD})
        if answer.status_code != httpx.codes.SEE_OTHER:
            raise SystemExit(f"no session: {answer.status_code} {answer.text[:200]}")
        return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def played(address: str, listed: Path, kinds: tuple[str, ...], asked: argparse.Namespace, seconds: float) -> Any:
    """Let locust play; return its statistics, one entry for each name of a request."""
    total = asked.people + asked.desks + ("Hostile" in kinds)
    command = [sys.executable, "-m", "locust", "-f", str(USERS_FILE), *kinds, "--headless", "--host", address]
    command += [
        "--users",
        str(total),
        "--spawn-rate",
        str(total / SPAWN_S),
        "--reset-stats",
        "--run-time",
        f"{math.ceil(seconds + SPAWN_S)}s",
        "--json",
    ]
    given = os.environ | {"BENCH_HOSTILE_TOWN": str(listed)}
    ended = subprocess.run(
        [*command, "--skip-log", "--exit-code-on-error", "0"], env=given, capture_output=True, text=True
    )
    if ended.returncode:
        raise SystemExit(f"locust ended with {ended.returncode}: {ended.stderr[-2000:]}")
    for failure, times in Counter(line for line in ended.stderr.splitlines() if line.startswith("failed: ")).items():
        print(f"{times} x {failure}", file=sys.stderr)
    return json.loads(ended.stdout)


def figures(statistics: list[dict[str, Any]]) -> dict[str, Any]:
    """Return requests, failures and percentiles of people and desks, and how often the hostile sender got each answer."""
    found: dict[str, Any] = {}
    for entry in statistics:
        if entry["name"] in ("person", "desk"):
            times = Counter({float(took): many for took, many in entry["response_times"].items()})
            found[entry["name"]] = {
                "requests": entry["num_requests"],
                "failures": entry["num_failures"],
                **{f"p{share}_ms": percentile(times, share / 100) for share in (50, 95, 99)},
            }
        else:
            found[entry["name"]] = entry["num_requests"]
    return found


def percentile(times: Counter[float], share: float) -> float:
    """Return a percentile of counted times in milliseconds (locust rounds those over 100 ms to two digits)."""
    left = share * times.total()
    for took, many in sorted(times.items()):
        left -= many
        if left <= 0:
            return took
    return 0.0


if __name__ == "__main__":
    main()
