"""What every page stands on: settings, database, network, languages; and the request's own caller, language and connection."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Connection, Engine

from config.settings import Settings
from rotation.network import Network
from rotation.store.clock import read_clock
from rotation.web import auth
from rotation.web.balance import Recent
from rotation.web.language import Language, chosen
from rotation.web.live import Live
from rotation.web.permissions import allowed
from rotation.web.work import Works


@dataclass
class Web:
    """One web process."""

    settings: Settings
    engine: Engine
    network: Network
    live: Live
    tries: auth.Tries = field(default_factory=auth.Tries)
    balance: Recent = field(default_factory=Recent)
    works: Works = field(default_factory=Works)


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


def connection_of(request: Request) -> Iterator[Connection]:
    """Open the request's transaction; it commits when the route returns and is rolled back when it raises."""
    with web_of(request).engine.begin() as connection:
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
    if "\0" in request.url.path:
        raise HTTPException(404, "NUL")  # which PostgreSQL's text cannot hold, so nothing is called so
    if "%00" in request.url.query:
        raise RequestValidationError([{"type": "nul", "loc": ("query",), "msg": "NUL is no text"}])
    if allowed(request.method, path, None):
        _from_our_page(request)
        return
    caller = _caller(request)
    if caller is None:
        raise SignInNeeded
    if not caller.is_machine:
        _from_our_page(request)
    if caller.must_change and path not in ("/password", "/sign-out"):
        raise PasswordNeeded
    if not allowed(request.method, path, caller.role):
        raise HTTPException(403, "role")
    request.state.caller = caller


def _from_our_page(request: Request) -> None:
    if not auth.is_from_our_page(request.method, request.headers):
        raise HTTPException(403, "another_site")


def _caller(request: Request) -> auth.Caller | None:
    web, now = web_of(request), datetime.now(UTC)
    header = request.headers.get("authorization")
    with web.engine.connect() as connection:
        if header is not None:
            return auth.of_token(connection, header, now)
        return auth.of_session(connection, request.session, now, web.settings.session_hours)


def caller_of(request: Request) -> auth.Caller:
    """Return who asks, as `guard` found."""
    caller: auth.Caller = request.state.caller
    return caller


Context = Annotated[Web, Depends(web_of)]
InLanguage = Annotated[Language, Depends(language_of)]
Database = Annotated[Connection, Depends(connection_of, scope="function")]  # committed before the answer leaves
CalledBy = Annotated[auth.Caller, Depends(caller_of)]


def network_now(connection: Connection) -> datetime:
    """Return the network's time."""
    return read_clock(connection).now()


def network_today(web: Web, connection: Connection) -> date:
    """Return the network's date."""
    return web.network.day_of(network_now(connection))
