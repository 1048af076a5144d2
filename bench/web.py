"""How fast the page is: JSON lines.

    python -m bench.web [--only pages,latency] [--copies N] [--rate N] [--alerts N]

`pages`: each page's time at the server with 300 stops and 1,200 places, asked one after the other over HTTP.
`latency`: from a return event sent to Kafka to its alert in an open page in Chromium, through worker, relay and page, at
`rate` other events a second.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
from sqlalchemy import Engine, insert, text, update

from infra.kafka import embedded_kafka
from infra.ports import HOST, new_port
from infra.postgres import embedded_postgres
from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.facts.clock import wall_clock
from rotation.facts.events import CopyAdded, CopyLoaned, CopyReturned, cloud_event
from rotation.kafka import admin
from rotation.kafka.clients import producer
from rotation.network import Network
from rotation.store import migrate
from rotation.store.clock import set_clock
from rotation.store.engine import engine as engine_of
from rotation.store.tables import targets, users
from tests import web_city

PLACES, STOPS, CLASSES = 1_200, 300, 8
REPEATS, WARM = 40, 3
PAGES = (
    "/today",
    "/today?part=runs",
    "/imbalance",
    "/alerts",
    "/alerts?part=list",
    "/rejections",
    "/feeds",
    "/api/status",
)
PASSWORD = "a long password"
START_S = 120.0
POSTGRES = {"shared_buffers": "1GB", "max_wal_size": "4GB", "wal_compression": "on"}  # as docs/deploy.md has it
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
BATCH_S = 0.02  # events of the background are sent in batches of as many as fall into this time
SPOT_S = 0.4  # between two alerts


def tell(case: str, **figures: Any) -> None:
    """Print a line."""
    print(json.dumps({"bench": "web", "case": case, **figures}), flush=True)


def toml(network: Network) -> str:
    """Return a network as a file."""
    lines = [f'[network]\nid = "{network.network.id}"\nname = "{network.network.name.en}"\n']
    lines += [f'[[class]]\nid = "{one.id}"\nname = "{one.name.en}"\n' for one in network.classes]
    for place in network.places:
        lines.append(f'[[place]]\nid = "{place.id}"\nname = "{place.name.en}"\ntier = "{place.tier}"')
        lines.append(f"lat = {place.lat}\nlon = {place.lon}")
        lines += [f'parent = "{place.parent}"'] * bool(place.parent) + ["hub = {}"] * bool(place.hub) + [""]
    lines += [f'[[van]]\nid = "{van.id}"\nhub = "{van.hub}"\ncrates = {van.crates}\n' for van in network.vans]
    return "\n".join(lines)


@contextmanager
def processes(environment: dict[str, str], folder: Path, *modules: str) -> Iterator[list[int]]:
    """Run our processes while the context lasts; yield their ids."""
    started = []
    for module in modules:
        log = (folder / f"{module}.log").open("wb")
        command = [sys.executable, "-m", module]
        started.append(
            subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT)
        )
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(20)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"not in {START_S:.0f} s: {what}")
        time.sleep(0.1)


def ready(address: str) -> bool:
    """Whether the page answers."""
    try:
        return httpx.get(f"{address}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def add_viewer(engine: Engine) -> None:
    """Add a user who may look."""
    with engine.begin() as connection:
        auth.add_user(connection, "viewer", PASSWORD, Role.VIEWER)
        connection.execute(update(users).values(must_change=False))


def quantiles(values: list[float]) -> dict[str, float]:
    """Return p50, p95, p99 and the largest, in milliseconds."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    found = {"p50_ms": cuts[49], "p95_ms": cuts[94], "p99_ms": cuts[98], "max_ms": max(values)}
    return {name: round(value, 1) for name, value in found.items()}


# --- Pages ----------------------------------------------------------------------------------------------------------------------


def pages(copies: int) -> None:
    """Time each page over a large network with `copies` copies on shelves."""
    network = web_city.large(PLACES, CLASSES)
    with (
        tempfile.TemporaryDirectory() as name,
        embedded_postgres(Path(name) / "postgres", settings=POSTGRES) as postgres,
    ):
        migrate.upgrade(postgres.url)
        engine = engine_of(postgres.url)
        with engine.begin() as connection:
            runs = len(network.vans)
            web_city.fill(connection, network, stops_a_run=STOPS // runs + 1, transfers=7_000, copies_a_level=1)
            connection.execute(_MORE_COPIES, {"copies": copies, "places": PLACES, "classes": CLASSES})
            stops = connection.execute(text("SELECT count(*) FROM stops")).scalar_one()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        add_viewer(engine)
        Path(name, "network.toml").write_text(toml(network), encoding="utf-8")
        port = new_port("page", set())
        environment = _environment(postgres.url, Path(name), port)
        with processes(environment, Path(name), "rotation.web") as (pid,):
            address = f"http://{HOST}:{port}"
            wait_for(lambda: ready(address), "the page")
            for page, times, figures in _timed(address, pid):
                tell(
                    "page",
                    page=page,
                    stops=stops,
                    places=PLACES,
                    copies=copies,
                    **figures,
                    asked_ms=300,
                    **quantiles(times),
                )


_MORE_COPIES = text("""
    INSERT INTO copies (copy_id, occurred_at, source, event_id, state, place_id, title_id, class)
    SELECT 'x' || n, now(), 'bench', 'x' || n, 'on_shelf', 'p' || (n % :places), 't' || (n % 60),
        'class' || (n / :places % :classes)
    FROM generate_series(1, :copies) n""")


def _environment(url: str, folder: Path, port: int, **more: str) -> dict[str, str]:
    (folder / "state").mkdir(exist_ok=True)
    network = str(folder / "network.toml")
    found = {
        "DATABASE_URL": url,
        "ROTATION_NETWORK": network,
        "ROTATION_DATA_DIR": str(folder / "state"),
        "ROTATION_WEB_PORT": str(port),
    }
    return {**found, **more}


def _timed(address: str, pid: int) -> Iterator[tuple[str, list[float], dict[str, float]]]:
    browser = httpx.Client(
        base_url=address, headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}, timeout=30
    )
    browser.post("/sign-in", data={"name": "viewer", "password": PASSWORD})
    for page in PAGES:
        times, used = [], 0.0
        for repeat in range(WARM + REPEATS):
            begin, before = time.perf_counter(), cpu_s(pid)
            answer = browser.get(page).raise_for_status()
            if repeat >= WARM:
                times.append((time.perf_counter() - begin) * 1000)
                used += cpu_s(pid) - before
        figures = {
            "bytes": len(answer.content),
            "cpu_ms": round(used / REPEATS * 1000, 1),
            "load": round(os.getloadavg()[0], 1),
        }
        yield page, times, figures


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


# --- From an event to the eye ---------------------------------------------------------------------------------------------------


def latency(rate: int, alerts: int) -> None:
    """Measure from sending a return to Kafka until its alert stands in the page; `rate` other events a second meanwhile."""
    network = web_city.large(PLACES, CLASSES)
    with (
        tempfile.TemporaryDirectory() as name,
        embedded_postgres(Path(name) / "postgres", settings=POSTGRES) as postgres,
    ):
        with embedded_kafka(Path(name) / "kafka") as kafka:
            migrate.upgrade(postgres.url)
            admin.create({"bootstrap_servers": kafka.bootstrap})
            engine = engine_of(postgres.url)
            _prepare(engine, network)
            Path(name, "network.toml").write_text(toml(network), encoding="utf-8")
            port = new_port("page", set())
            environment = _environment(postgres.url, Path(name), port, KAFKA_BOOTSTRAP=kafka.bootstrap)
            with processes(environment, Path(name), "streams.worker", "streams.relay", "rotation.web"):
                address = f"http://{HOST}:{port}"
                wait_for(lambda: ready(address), "the page")
                worker = Path(name, "streams.worker.log")
                wait_for(lambda: '"ready"' in worker.read_text(encoding="utf-8"), "the worker")
                _measure(kafka.bootstrap, address, engine, rate, alerts)


def _prepare(engine: Engine, network: Network) -> None:
    """Let the first copy of class0 at any place be one too many, and watch nothing else."""
    with engine.begin() as connection:
        set_clock(connection, wall_clock())
        rows = [{"place_id": place.id, "class": "class0", "low": 0, "high": 0} for place in network.places]
        connection.execute(insert(targets), rows)
    add_viewer(engine)


def _measure(bootstrap: str, address: str, engine: Engine, rate: int, alerts: int) -> None:
    from playwright.sync_api import sync_playwright

    stop = threading.Event()
    sent = [0]
    background = threading.Thread(target=_background, args=(bootstrap, rate, stop, sent))
    with sync_playwright() as playwright:
        program = next(path for path in CHROMIUM if Path(path).exists())
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_page(base_url=address)
        page.goto("/sign-in")
        page.fill("[name=name]", "viewer")
        page.fill("[name=password]", PASSWORD)
        page.click("main button.primary")
        page.wait_for_url("**/today")
        page.goto("/alerts")
        page.evaluate(_WATCH)
        background.start()
        time.sleep(5)
        begin, before = time.monotonic(), sent[0]
        sent_at = _spots(bootstrap, alerts)
        per_s = (sent[0] - before) / (time.monotonic() - begin)
        time.sleep(3)
        seen_at: dict[str, float] = page.evaluate("window.seenAt")
        stop.set()
        background.join()
        browser.close()
    took = [seen_at[place] - at for place, at in sent_at.items() if place in seen_at]
    opened_at = _opened(engine)
    tell(
        "event to alert opened",
        **quantiles([opened_at[place] - at for place, at in sent_at.items() if place in opened_at]),
    )
    tell(
        "event to alert on an open page",
        events_per_s=round(per_s),
        alerts=alerts,
        seen=len(took),
        asked_p99_ms=400,
        **quantiles(took),
    )


def _opened(engine: Engine) -> dict[str, float]:
    """Return when each alert was opened, in milliseconds, by the place's name: the recount that found it began then."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT place_id, opened_at FROM alerts"))
        return {f"Branch {place[1:]}": at.timestamp() * 1000 for place, at in rows}


_WATCH = """() => {
  window.seenAt = {};
  const look = () => document.querySelectorAll("tr[data-alert]").forEach((row) => {
    const place = row.cells[1].textContent.trim();
    if (!(place in window.seenAt)) window.seenAt[place] = performance.timeOrigin + performance.now();
  });
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


def _spots(bootstrap: str, alerts: int) -> dict[str, float]:
    """Return a lent copy of class0 at each place in turn; return when each was sent, in milliseconds, by the place's name."""
    sender, sent_at = producer({"bootstrap_servers": bootstrap}), {}
    _lend(sender, alerts)
    for number in range(alerts):
        fact = CopyReturned(copy=f"spot{number}", place=f"p{number + 100}")
        event = cloud_event(fact, event_id=f"returned{number}", source="bench", time=datetime.now(UTC))
        sent_at[f"Branch {number + 100}"] = time.time() * 1000
        sender.send("circulation.events", orjson.dumps([event]))
        sender.flush()
        time.sleep(SPOT_S)
    return sent_at


def _lend(sender: Any, number: int) -> None:
    """Let copies of class0 be on loan, so that no shelf has any."""
    at = datetime.now(UTC) - timedelta(minutes=2)
    added = [CopyAdded(copy=f"spot{n}", place="p0", title="t0", **{"class": "class0"}) for n in range(number)]
    loaned = [CopyLoaned(copy=f"spot{n}", place="p0") for n in range(number)]
    facts = enumerate([*added, *loaned])
    events = [cloud_event(fact, event_id=f"spot{n}", source="bench", time=at, sequence=n) for n, fact in facts]
    sender.send("circulation.events", orjson.dumps(events)).get(30)
    time.sleep(2)


def _background(bootstrap: str, rate: int, stop: threading.Event, sent: list[int]) -> None:
    """Send loans and returns of class1 at `rate`."""
    sender, draw, numbers = producer({"bootstrap_servers": bootstrap}), random.Random(1), count()
    size, due = max(int(rate * BATCH_S), 1), time.monotonic()
    while not stop.is_set():
        events = [_loan_or_return(next(numbers), draw) for _ in range(size)]
        sender.send("circulation.events", orjson.dumps(events))
        sender.flush()
        sent[0] += size
        due += size / rate
        time.sleep(max(due - time.monotonic(), 0))


def _loan_or_return(number: int, draw: random.Random) -> dict[str, Any]:
    copy, place = f"b{draw.randrange(50_000)}", f"p{draw.randrange(PLACES)}"
    fact = CopyLoaned(copy=copy, place=place) if number % 2 else CopyReturned(copy=copy, place=place)
    return cloud_event(fact, event_id=f"b{number}", source="bench", time=datetime.now(UTC))


def main() -> None:
    """Run the cases on the command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", default="pages,latency")
    options.add_argument("--copies", type=int, default=1_000_000)
    options.add_argument("--rate", type=int, default=500)
    options.add_argument("--alerts", type=int, default=150)
    asked = options.parse_args()
    if "pages" in asked.only:
        pages(asked.copies)
    if "latency" in asked.only:
        latency(asked.rate, asked.alerts)


if __name__ == "__main__":
    main()
