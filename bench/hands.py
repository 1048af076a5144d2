"""Desks, drivers and hubs scanning at once, over a page that is killed in the middle: a JSON line.

    python -m bench.hands [--seconds 60 (0: only what a scan costs)] [--desks 50] [--drivers 100] [--hubs 20] [--alive]

Every sender is a bounded task over loopback that scans, thinks and scans again. At half time the page is killed (SIGKILL) and
started again; a scan that got no answer is sent again with its id until it has one, as the phone's queue does. Afterwards every
scan must be recorded once, and every fact of it written once.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx
import orjson
import psutil
from sqlalchemy import Connection, Engine, func, select, update

from infra.ports import HOST, new_port
from infra.postgres import embedded_postgres
from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.facts.movements import CopyState
from rotation.store import migrate
from rotation.store.engine import engine as engine_of
from rotation.store.tables import copies, outbox, scans
from tests import web_city

# Mean seconds between two scans of one person: a pile of returns, a stop's crates, a crate being sorted.
THINKS_S = {"desk": 3.0, "driver": 10.0, "hub": 2.0}
GIVE_UP_S = 60.0  # of a scan that gets no answer at all: it counts as an error of the bench
AGAIN_S = 0.5  # between tries of a scan that got no answer
ANSWER_S = 10.0
NEVER = (400, 403, 404, 422)  # will not be answered otherwise
START_S = 120.0
WARM_SCANS, COUNTED_SCANS = 30, 300
TRAVELLING = 500  # copies that hubs can sort
COPIES_A_LEVEL = 6
NETWORK = web_city.demo()


class Scan(NamedTuple):
    """A scan to be sent."""

    address: str
    work: str
    code: str
    tab: str


@dataclass
class Tally:
    """What the senders saw: seconds of scans answered at the first try, ids of all answered, and those sent again."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in THINKS_S})
    answered: set[str] = field(default_factory=set)
    again: int = 0
    unanswered: int = 0
    silences: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


@dataclass
class Town:
    """The codes that people scan."""

    copy_ids: list[str]
    travelling: list[str]
    stops: list[tuple[str, str]]

    def scan(self, kind: str, number: int) -> Scan:
        """Return a random scan of a sender."""
        if kind == "driver":
            run, place = self.stops[number % len(self.stops)]
            return Scan(f"/driver/{run}/scans", "crate", f"bench-{uuid.uuid4().hex}", place)
        if kind == "hub":
            hub = NETWORK.hubs[number % len(NETWORK.hubs)].id
            return Scan(f"/hub/{hub}/scans", "sort", random.choice(self.travelling), "hub")
        place = NETWORK.places[number % len(NETWORK.places)].id
        return Scan(f"/desk/{place}/scans", "return", random.choice(self.copy_ids), "desk")


def town(connection: Connection) -> Town:
    """Fill the database with a day, its runs ordered, and let some copies travel."""
    web_city.fill(connection, NETWORK, copies_a_level=COPIES_A_LEVEL, status="ordered")
    ids = list(connection.scalars(select(copies.c.copy_id).order_by(copies.c.copy_id)))
    away, places = ids[:TRAVELLING], [place.id for place in NETWORK.places if not place.hub]
    for number, copy in enumerate(away):
        to = places[number % len(places)]
        moved = {"state": CopyState.IN_TRANSIT, "to_place_id": to}
        connection.execute(update(copies).where(copies.c.copy_id == copy).values(moved))
    rows = connection.exec_driver_sql("SELECT run_id, place_id FROM stops ORDER BY run_id, position").all()
    return Town(ids[TRAVELLING:], away, [(row[0], row[1]) for row in rows])


# --- The page -----------------------------------------------------------------------------------------------------------------


class Served:
    """A page in a process of its own, which can be killed and started again."""

    def __init__(self, environment: dict[str, str], log: Path, address: str) -> None:
        self._environment, self._log, self.address = environment, log, address
        self.start()

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "rotation.web"]
            self._process = subprocess.Popen(
                command, env={**os.environ, **self._environment}, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def kill(self) -> None:
        """Kill it as a power cut does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    async def ready(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + START_S
        async with httpx.AsyncClient() as client:
            while time.monotonic() < end:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{self.address}/health/live")).status_code == httpx.codes.OK:
                        return
                await asyncio.sleep(AGAIN_S / 5)
        raise SystemExit(f"the page did not answer in {START_S:.0f} s")


@contextmanager
def served(folder: Path) -> Iterator[tuple[Served, Engine, Town, str]]:
    """Serve a day over a PostgreSQL of its own; yield also a token that may scan everywhere."""
    with embedded_postgres(folder / "postgres") as postgres:
        migrate.upgrade(postgres.url)
        engine = engine_of(postgres.url)
        with engine.begin() as connection:
            filled = town(connection)
            token = auth.add_token(connection, Role.DISPATCHER, "bench", "bench")
        port = new_port("page", set())
        environment = {
            "DATABASE_URL": postgres.url,
            "KAFKA_BOOTSTRAP": f"{HOST}:{new_port('kafka', set())}",
            "ROTATION_WEB_PORT": str(port),
            "ROTATION_DATA_DIR": str(folder),
        }
        page = Served(environment, folder / "page.log", f"http://{HOST}:{port}")
        try:
            yield page, engine, filled, token
        finally:
            page.kill()
            engine.dispose()


def processor_s(page: int, engine: Engine) -> tuple[float, float]:
    """Return the processor seconds so far of the page, and of PostgreSQL with all that it has started."""
    with engine.connect() as connection:
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    postmaster = psutil.Process(backend).parents()[0]
    ours, databases = psutil.Process(page), [postmaster, *postmaster.children()]
    return _used_s([ours]), _used_s(databases)


def _used_s(processes: list[psutil.Process]) -> float:
    found = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found += times.user + times.system
    return found


async def costs(page: Served, filled: Town, token: str, engine: Engine) -> dict[str, float]:
    """Return the processor milliseconds that a scan takes, by kind, for page and database: one sender, one scan at a time."""
    await page.ready()
    tally, found = Tally(), {}
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    async with httpx.AsyncClient(base_url=page.address, headers=headers, timeout=ANSWER_S) as client:
        for kind in THINKS_S:
            for number in range(WARM_SCANS):
                await send(client, kind, filled.scan(kind, number), tally)
            before = processor_s(page.pid, engine)
            for number in range(COUNTED_SCANS):
                await send(client, kind, filled.scan(kind, number), tally)
            both = zip(("page", "database"), before, processor_s(page.pid, engine), strict=True)
            found |= {f"{part}_ms_{kind}": round(1000 * (now - was) / COUNTED_SCANS, 1) for part, was, now in both}
    return found


# --- The senders --------------------------------------------------------------------------------------------------------------


async def send(client: httpx.AsyncClient, kind: str, scan: Scan, tally: Tally) -> None:
    """Send a scan until it is answered."""
    name, first, end = uuid.uuid4().hex, True, time.monotonic() + GIVE_UP_S
    fields = {"scan": name, "work": scan.work, "code": scan.code, "tab": scan.tab}
    while name not in tally.answered and time.monotonic() < end:
        begin = time.perf_counter()
        try:
            answer = await client.post(scan.address, data=fields)
        except httpx.TransportError as error:
            answer = None
            tally.silences[type(error).__name__] += 1
        if answer is not None and answer.status_code == httpx.codes.OK:
            tally.answered.add(name)
            if first:
                tally.seconds[kind].append(time.perf_counter() - begin)
        else:
            tally.again, first = tally.again + 1, False
            if answer is not None:
                tally.errors.append(f"{answer.status_code} {answer.text[:100]}")
            if answer is not None and answer.status_code in NEVER:
                return
            await asyncio.sleep(AGAIN_S)
    tally.unanswered += name not in tally.answered


async def person(client: httpx.AsyncClient, kind: str, scan: Callable[[], Scan], until: float, tally: Tally) -> None:
    """Scan, think, and scan again until the time has come."""
    await asyncio.sleep(random.uniform(0, THINKS_S[kind]))
    while time.monotonic() < until:
        await send(client, kind, scan(), tally)
        await asyncio.sleep(random.uniform(0, 2 * THINKS_S[kind]))


async def scanning(
    page: Served, filled: Town, token: str, people: dict[str, int], seconds: float, is_killed: bool
) -> Tally:
    """Let everyone scan for so long; where `is_killed`, kill the page and start it again at half time."""
    tally, everyone = Tally(), sum(people.values())
    await page.ready()
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    limits = httpx.Limits(max_connections=everyone, max_keepalive_connections=everyone)
    async with httpx.AsyncClient(base_url=page.address, headers=headers, limits=limits, timeout=ANSWER_S) as client:
        until = time.monotonic() + seconds
        tasks = [
            asyncio.create_task(person(client, kind, lambda k=kind, n=number: filled.scan(k, n), until, tally))  # type: ignore[misc]
            for kind, many in people.items()
            for number in range(many)
        ]
        if is_killed:
            await asyncio.sleep(seconds / 2)
            page.kill()
            page.start()
        await asyncio.gather(*tasks)
    return tally


def figures(engine: Engine, tally: Tally) -> dict[str, Any]:
    """Return what was seen, and what the database holds of it."""
    with engine.connect() as connection:
        kept = set(connection.scalars(select(scans.c.scan_id)))
        ids = [orjson.loads(value)["id"] for value in connection.scalars(select(outbox.c.value))]
        unanswered = connection.scalar(select(func.count()).where(scans.c.answer == {}))
    every = sorted(second for some in tally.seconds.values() for second in some)
    return {
        "scans": len(tally.answered),
        "p50_ms": round(statistics.median(every) * 1000),
        "p95_ms": p95(every),
        **{f"p95_{kind}_ms": p95(some) for kind, some in tally.seconds.items()},
        "p99_desk_ms": percentile(tally.seconds["desk"], 0.99),
        "sent_again": tally.again,
        "no_answer": dict(tally.silences),
        "errors": len(tally.errors),
        "unanswered": tally.unanswered,
        "lost": len(tally.answered - kept),
        "kept_without_an_answer": unanswered,
        "facts": len(ids),
        "facts_doubled": len(ids) - len(set(ids)),
    }


def p95(seconds: list[float]) -> int:
    """Return the 95th percentile in milliseconds."""
    return percentile(seconds, 0.95)


def percentile(seconds: list[float], share: float) -> int:
    """Return a percentile in milliseconds."""
    ordered = sorted(seconds)
    return round(ordered[int(share * (len(ordered) - 1))] * 1000) if ordered else 0


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    for kind, many in (("desks", 50), ("drivers", 100), ("hubs", 20)):
        parser.add_argument(f"--{kind}", type=int, default=many)
    parser.add_argument("--alive", action="store_true", help="do not kill the page")
    asked = parser.parse_args()
    people = {"desk": asked.desks, "driver": asked.drivers, "hub": asked.hubs}
    with TemporaryDirectory() as folder, served(Path(folder)) as (page, engine, filled, token):
        cost = asyncio.run(costs(page, filled, token, engine))
        load = psutil.getloadavg()[0]
        tally = (
            asyncio.run(scanning(page, filled, token, people, asked.seconds, not asked.alive))
            if asked.seconds
            else Tally()
        )
        seen = {**cost, "load": load, **(figures(engine, tally) if asked.seconds else {})}
    case = {"bench": "hands", "seconds": asked.seconds, **{f"{kind}s": many for kind, many in people.items()}}
    print(json.dumps({**case, **seen}), flush=True)
    for error in sorted(set(tally.errors))[:5]:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
