"""`rotation serve`: everything but the city, for your own or an imported network, until a signal stops it.

The story: servers up where none are external, tables, topics, targets, then worker, relay, page and planner; when the page
answers, its address is printed. Where any of them dies, the whole ends with a sentence: there is no half-running system.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event

import httpx
from sqlalchemy import Engine

from config import Settings
from infra.lan import lan_lines
from infra.messages import ServerError
from rotation import network as networks
from rotation.accounts.auth import FIRST_ADMINISTRATOR, ensure_first_administrator
from rotation.store.clock import read_clock
from rotation.store.planned import stands_still
from rotation.system.processes import PARTS, RunningSystem, connected, feeds_of, prepared, running

PAGE_S = 60.0  # the page answers some 2 s after its start; on a loaded machine many times that
ASK_S = 2.0
LOOK_S = 0.25

Say = Callable[[str], None]


def serve(settings: Settings, say: Say, stop: Event) -> None:
    """Serve until `stop` is set.

    Raises
    ------
    ServerError, NetworkError
        With a sentence; everything that was started is stopped.
    """
    network, feeds = networks.read(settings.network_file()), feeds_of(settings)
    with running(settings, lambda message: say(message.text())) as system:
        say("Creating tables and topics / 创建数据表与主题")
        engine = prepared(connected(system.environment), network)
        tell_first_sign_in(engine, say)
        for part in (*PARTS, *feeds):
            system.start(part)
        system.watch_hearts()
        address = page_address(settings, system)
        if page_answers(system, address, stop):
            say(f"{network.network.name.en} is served on {address} / {network.network.name.zh}：{address}")
            say(_of_nights(engine, settings))
            for line in lan_lines(system.environment):
                say(line)
        while not stop.wait(LOOK_S):
            system.check()
        say("Stopping / 正在停止")
        engine.dispose()


def tell_first_sign_in(engine: Engine, say: Say) -> None:
    """Make the first administrator where there is none, and print the one-time password."""
    password = ensure_first_administrator(engine)
    if password:
        say(f"First sign-in / 首次登录: {FIRST_ADMINISTRATOR} / {password}")


def page_address(settings: Settings, system: RunningSystem) -> str:
    """Return where the page is."""
    return str(httpx.URL(scheme="http", host=settings.web_host, port=int(system.environment["ROTATION_WEB_PORT"])))


def page_answers(system: RunningSystem, address: str, stop: Event) -> bool:
    """Wait until the page is shown; False if a signal stops us before."""
    end = time.monotonic() + PAGE_S
    while not stop.wait(LOOK_S):
        system.check()
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/sign-in", timeout=ASK_S, trust_env=False).is_success:
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
