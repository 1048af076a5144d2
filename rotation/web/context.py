"""The context of every page: settings, database, network, languages; and the request's own caller, language and connection."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated
from weakref import WeakKeyDictionary

from fastapi import Depends, HTTPException, Request
from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Connection, Engine, select

from config.settings import Settings
from rotation.accounts import auth, links, security
from rotation.accounts.passwords import HashingPool
from rotation.accounts.permissions import Role, allowed, scope_of
from rotation.accounts.security import SecurityEvent
from rotation.accounts.tries import Tries
from rotation.language.catalogues import Language, chosen
from rotation.network import Network
from rotation.store import city_settings
from rotation.store.clock import read_clock
from rotation.store.heartbeats import Pulse
from rotation.store.networks import in_force
from rotation.store.tables import runs
from rotation.views.balance import Recent
from rotation.web.background import Works
from rotation.web.live import LiveChanges

POOL = 12  # connections that stay open; as many more where that is not enough
AT_ONCE = POOL  # requests that hold a connection: the others are for those who ask who calls, for a moment each


@dataclass
class Web:
    """A web process."""

    own: Settings  # by environment and file
    engine: Engine
    given: Network  # the file's
    live: LiveChanges
    pulse: Pulse
    settings: Settings = field(init=False)  # with the city's in place of our own
    network: Network = field(init=False)  # that holds today
    tries: Tries = field(default_factory=Tries)
    hashing: HashingPool = field(default_factory=HashingPool)
    balance: Recent = field(default_factory=Recent)
    works: Works = field(default_factory=Works)
    turns: MutableMapping[asyncio.AbstractEventLoop, asyncio.Semaphore] = field(default_factory=WeakKeyDictionary)

    def __post_init__(self) -> None:
        """Begin with our own settings and the file's network."""
        self.settings = self.own
        self.network = self.given

    def look(self, connection: Connection) -> None:
        """Take the network that holds today, and the city's settings."""
        self.settings = city_settings.decided(connection, self.own)
        today = self.given.day_of(read_clock(connection).now())
        self.network = in_force(connection, self.given, today)


# Of a route's path: where the caller would act. Whoever is bound to other places gets 403.
PLACE = "place_id"
DRIVING = "/driver/{run_id}"


class SignInNeeded(Exception):
    """Nobody is signed in, or not any more."""


class PasswordNeeded(Exception):
    """Signed in with a one-time password: another must be chosen first."""


def web_of(request: Request) -> Web:
    """Return the process's own."""
    web: Web = request.app.state.web
    return web


def language_of(request: Request) -> Language:
    """Return the language of the answer."""
    return chosen(request.cookies, request.headers.get("accept-language", ""))


async def connection_of(request: Request) -> AsyncIterator[Connection]:
    """Open the request's transaction; it commits when the route returns and is rolled back when it raises.

    Requests beyond those that may hold a connection wait here and in no thread: a thread that waits for a connection, while those
    who hold one wait for a thread, would be a deadlock.
    """
    web = web_of(request)
    turns = web.turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))
    async with turns, contextmanager_in_threadpool(web.engine.begin()) as connection:
        yield connection


def guard(request: Request) -> None:
    """Let in who may call the route, by the table in `permissions`; runs before every route.

    Raises
    ------
    SignInNeeded, PasswordNeeded
        Answered with the page for it, or with 401 where a machine or a part of a page asks.
    HTTPException, RequestValidationError
        403 for another role, and for a change asked for by another site; 404 and 422 for a NUL in path or query.
    """
    path = request.scope["route"].path
    request.state.mark = web_of(request).live.mark()  # before anything is read
    _without_nul(request)
    if allowed(request.method, path, None):
        _from_our_page(request)
        return
    caller = _caller_or_sign_in(request, path)
    if not caller.is_machine:
        _from_our_page(request)
    if caller.must_change and path not in ("/password", "/sign-out", "/sign-out-everywhere"):
        raise PasswordNeeded
    _may_act(request, path, caller)
    request.state.caller = caller


def _may_act(request: Request, path: str, caller: auth.Caller) -> None:
    if not allowed(request.method, path, caller.role):
        _note(request, SecurityEvent.NOT_ALLOWED, caller.name, f"{request.method} {path}")
        raise HTTPException(403, "role")
    if caller.scopes is not None and scope_of(request.method, path) not in caller.scopes:
        _note(request, SecurityEvent.NOT_ALLOWED, caller.name, f"{request.method} {path}")
        raise HTTPException(403, "scope")
    if PLACE in request.path_params:
        at_place(caller, request.path_params[PLACE])
    if caller.role is Role.DRIVER:
        _may_drive(request, path, caller)


def _may_drive(request: Request, path: str, caller: auth.Caller) -> None:
    """Let a driver open the runs of the own hubs, and whoever has a link its run and nothing else."""
    if caller.run is not None and (not path.startswith(DRIVING) or request.path_params["run_id"] != caller.run):
        raise HTTPException(403, "run")
    if caller.run is None and path.startswith(DRIVING):
        with web_of(request).engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            hub = connection.scalar(select(runs.c.hub_id).where(runs.c.run_id == request.path_params["run_id"]))
        at_place(caller, hub or "")


def at_place(caller: auth.Caller, place_id: str) -> None:
    """Let a caller act at a place; 403 for a place that is not the caller's."""
    if not caller.works_at(place_id):
        raise HTTPException(403, "place")


def _without_nul(request: Request) -> None:
    """Refuse NUL, which PostgreSQL's text cannot hold, so that nothing is called so."""
    if "\0" in request.url.path:
        raise HTTPException(404, "NUL")
    if "%00" in request.url.query:
        raise RequestValidationError([{"type": "nul", "loc": ("query",), "msg": "NUL is no text"}])


def _caller_or_sign_in(request: Request, path: str) -> auth.Caller:
    caller = _caller(request)
    if caller is None:
        if "authorization" in request.headers:
            _note(request, SecurityEvent.BAD_TOKEN, "", path)
        raise SignInNeeded
    return caller


def address_of(request: Request) -> str:
    """Return the client's address, behind a named proxy as that says."""
    return request.client.host if request.client else ""


def _note(request: Request, what: SecurityEvent, who: str, about: str) -> None:
    with web_of(request).engine.begin() as connection:
        security.note(connection, what, who, address_of(request), about)


def _from_our_page(request: Request) -> None:
    if not auth.is_from_our_page(request.method, request.headers):
        raise HTTPException(403, "another_site")


def _caller(request: Request) -> auth.Caller | None:
    web, now = web_of(request), datetime.now(UTC)
    header = request.headers.get("authorization")
    with web.engine.connect().execution_options(
        isolation_level="AUTOCOMMIT"
    ) as connection:  # to look needs no transaction
        if header is not None:
            return auth.of_token(connection, header, now)
        if token := request.session.get("link"):
            return links.of_link(connection, str(token), read_clock(connection).now())
        return auth.of_session(connection, request.session, now, web.settings.session_hours)


def caller_of(request: Request) -> auth.Caller:
    """Return who asks, as `guard` found."""
    caller: auth.Caller = request.state.caller
    return caller


# As coroutines: FastAPI gives each function that is none a thread, which costs more than all that these do.
async def _web(request: Request) -> Web:
    return web_of(request)


async def _called_by(request: Request) -> auth.Caller:
    return caller_of(request)


Context = Annotated[Web, Depends(_web)]
InLanguage = Annotated[Language, Depends(language_of)]
Database = Annotated[Connection, Depends(connection_of, scope="function")]  # committed before the answer leaves
CalledBy = Annotated[auth.Caller, Depends(_called_by)]


def network_now(connection: Connection) -> datetime:
    """Return the network's time."""
    return read_clock(connection).now()


def network_today(web: Web, connection: Connection) -> date:
    """Return the network's date."""
    return web.network.day_of(network_now(connection))
