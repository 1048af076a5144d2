"""`rotation serve`: everything but the city, for a network of one's own or an imported one, until told to stop.

The story: servers up where none are external, tables, topics, targets, then worker, relay, page and planner; when the page
answers, its address is told. Where one of them dies, the whole ends with a sentence: there is no half-running system.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event

import httpx
from sqlalchemy import Engine

from config import Settings, load
from config.kafka import client
from infra.messages import ServerError
from rotation import network as networks
from rotation.bootstrap import PARTS, System, running
from rotation.network import Network
from rotation.past import stands_still
from rotation.store import migrate
from rotation.store.clock import read_clock
from rotation.store.engine import engine as connect_to
from rotation.store.targets import set_targets
from rotation.web.auth import FIRST_ADMINISTRATOR, ensure_first_administrator
from streams import admin

PAGE_S = 60.0  # the page answers some 2 s after its start; on a loaded machine many times that
ASK_S = 2.0
LOOK_S = 0.25

Say = Callable[[str], None]


def serve(settings: Settings, say: Say, stop: Event) -> None:
    """Serve until `stop` is set.

    Raises
    ------
    ServerError, NetworkError
        With one sentence; everything that was started is stopped.
    """
    network = networks.read(settings.network_file())
    with running(settings, lambda message: say(message.text())) as system:
        url = system.environment.get("DATABASE_URL") or settings.database_address()
        engine = _prepared(settings, system, network, url, say)
        for part in PARTS:
            system.start(part)
        address = f"http://{settings.web_host}:{system.environment['ROTATION_WEB_PORT']}"
        if _answers(system, address, stop):
            say(f"{network.network.name.en} is served on {address} / {network.network.name.zh}：{address}")
            say(_of_nights(engine, settings))
        while not stop.wait(LOOK_S):
            system.check()
        say("Stopping / 正在停止")
        engine.dispose()


def _prepared(settings: Settings, system: System, network: Network, url: str, say: Say) -> Engine:
    """Make tables, topics and targets, and the first administrator where there is none."""
    say("Creating tables and topics / 创建数据表与主题")
    migrate.upgrade(url)
    broker = system.environment.get("KAFKA_BOOTSTRAP") or settings.kafka_bootstrap
    admin.create(client(load(kafka_bootstrap=broker)), replication=settings.kafka_replication)
    engine = connect_to(url)
    with engine.begin() as connection:
        set_targets(connection, network)
    password = ensure_first_administrator(engine)
    if password:
        say(f"First sign-in / 首次登录: {FIRST_ADMINISTRATOR} / {password}")
    return engine


def _answers(system: System, address: str, stop: Event) -> bool:
    """Wait until the page is ready; False where we are told to stop before."""
    end = time.monotonic() + PAGE_S
    while not stop.wait(LOOK_S):
        system.check()
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/health/ready", timeout=ASK_S, trust_env=False).is_success:
                return True
        if time.monotonic() > end:
            raise ServerError("server.slow", name="web", seconds=PAGE_S, log=system.logs / "web.log")
    return False


def _of_nights(engine: Engine, settings: Settings) -> str:
    """Return when days are planned."""
    with engine.connect() as connection:
        if not stands_still(connection):
            return f"Each day is planned at {settings.plan_at} / 每日 {settings.plan_at} 制定计划"
        day = read_clock(connection).now().date()
    return (
        f"The days end with {day}; plan those after it with `rotation routes --from DAY --days N --keep` / "
        f"数据截至 {day}，之后各日请用 rotation routes --keep 排定"
    )
