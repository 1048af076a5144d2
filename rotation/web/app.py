"""The page's composition: settings in, an application out. Routes stand in the page's own files, rights in `permissions`."""

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from urllib.parse import quote, urlsplit

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware

from config import Settings, load
from rotation import network as networks
from rotation.accounts.passwords import TooMany
from rotation.accounts.permissions import unlisted
from rotation.facts.parts import Part
from rotation.language.labels import N_
from rotation.store import retention
from rotation.store.engine import engine
from rotation.store.heartbeats import Pulse
from rotation.views.balance import Recent
from rotation.web import flash
from rotation.web.api import events_in, health, placement, resources
from rotation.web.bodies import Bodies
from rotation.web.context import POOL, PasswordNeeded, SignInNeeded, Web, guard, language_of
from rotation.web.head import Heads
from rotation.web.live import LiveChanges
from rotation.web.pages import (
    account,
    alert_thresholds,
    branch,
    change,
    channels,
    city_settings,
    closures,
    decide,
    deliveries,
    desk_page,
    driver_page,
    figures,
    hands,
    header,
    hub_page,
    imbalance,
    journeys,
    labels,
    log_pages,
    manifest,
    network_file,
    oidc,
    photos,
    prices,
    questions,
    sets,
    sheet,
    today,
    upkeep,
    write_backs,
)
from rotation.web.render import ASSETS, HERE, page

PAGES = (
    header,
    hands,
    branch,
    desk_page,
    hub_page,
    driver_page,
    labels,
    manifest,
    photos,
    today,
    change,
    imbalance,
    figures,
    journeys,
    log_pages,
    prices,
    questions,
    sets,
    decide,
    deliveries,
    channels,
    city_settings,
    closures,
    upkeep,
    network_file,
    alert_thresholds,
    write_backs,
    sheet,
    account,
    oidc,
    health,
    placement,
    events_in,
    resources,
)
ROUTERS: tuple[APIRouter, ...] = tuple(module.router for module in PAGES)
COOKIE_AGE_S = 7 * 86_400  # the longest that settings allow; `session_hours` decides at each request
SECRET_FILE = "secret_key"
DAY_S = 86_400
LOOK_S = 2.0  # between looks whether another network holds

log = structlog.get_logger(__name__)
Next = Callable[[Request], Awaitable[Response]]


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application.

    Raises
    ------
    RuntimeError
        When the database's address or the page's assets are missing, or a route stands in no permission table.
    """
    settings = settings or load()
    app = FastAPI(
        title="Rotation",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(guard)],
        lifespan=_listening,
    )
    app.state.web = web_process(settings)
    _describe(app)
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(HTTPBearer(auto_error=False))], responses=resources.ERRORS)
    _serve_files(app)
    _answer_errors(app)
    _wrap(app, settings)
    if missing := unlisted(routes_of(app.router, *ROUTERS)):
        raise RuntimeError(f"no permission is set for {', '.join(missing)}")
    return app


def web_process(settings: Settings) -> Web:
    """Return the state that the process's routes share."""
    if settings.database_url is None:
        raise RuntimeError("the page needs a database: set DATABASE_URL, or start the whole with `rotation run`")
    url = settings.database_url.get_secret_value()
    network = networks.read(settings.network_file())
    stock = Recent()
    live = LiveChanges(url, settings.kafka_bootstrap, stock)
    return Web(settings, engine(url, pool_size=POOL), network, live, Pulse(url, Part.PAGE), balance=stock)


def routes_of(*routers: APIRouter) -> list[str]:
    """Return every route as "GET /today"."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    return [f"{method} {route.path}" for route in routes for method in route.methods or ()]


@asynccontextmanager
async def _listening(app: FastAPI) -> AsyncIterator[None]:
    web: Web = app.state.web
    tasks = [asyncio.create_task(step) for step in (web.live.run(), _turn(web.pulse), _forget_old(web), _look(web))]
    app.state.web.pulse.start()
    # All that was imported stays: the collector passes over it otherwise, for a tenth of a second in every ninth request or so.
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    app.state.web.pulse.stop()
    app.state.web.works.close()
    app.state.web.engine.dispose()


async def _turn(pulse: Pulse) -> None:
    """Say for ever that the loop which takes requests goes on."""
    while True:
        pulse.turn()
        await asyncio.sleep(pulse.beat_s)


async def _look(web: Web) -> None:
    """Take the network that holds now, for ever: whoever changed it, and as its day comes."""
    while True:
        with suppress(SQLAlchemyError):  # a database that is away, or whose tables are older, is asked again
            await run_in_threadpool(_look_once, web)
        await asyncio.sleep(LOOK_S)


def _look_once(web: Web) -> None:
    with web.engine.connect() as connection:
        web.look(connection)


async def _forget_old(web: Web) -> None:
    """Forget old sessions, tokens and lines of the security log, once a day; a database that is away is asked tomorrow."""
    while True:
        wall = datetime.now(UTC) - timedelta(days=web.settings.keep_days)
        with suppress(SQLAlchemyError):
            await run_in_threadpool(_forget, web, wall)
        await asyncio.sleep(DAY_S)


def _forget(web: Web, wall: datetime) -> None:
    with web.engine.begin() as connection:
        retention.forget(connection, retention.OF_THE_PAGE, wall, wall)


def _describe(app: FastAPI) -> None:
    @app.get("/api/openapi.json", include_in_schema=False)
    def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())


def _serve_files(app: FastAPI) -> None:
    folders = {
        "/static": HERE / "static",
        "/assets/htmx": ASSETS / "htmx.org/dist",
        "/assets/leaflet": ASSETS / "leaflet/dist",
        "/assets/zxing": ASSETS / "zxing-wasm/dist",
    }
    for address, folder in folders.items():
        if not folder.is_dir():
            raise RuntimeError(f"the page's assets are missing ({folder}): run `make assets`")
        app.mount(address, StaticFiles(directory=folder))


def secret_of(settings: Settings) -> str:
    """Return the key that signs cookies: as set, or made at first start and kept in data_dir."""
    if settings.secret_key:
        return settings.secret_key.get_secret_value()
    file = Path(settings.data_dir) / SECRET_FILE
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError), open(file, "x", opener=_private) as new:
            new.write(secrets.token_hex(32))
    return file.read_text(encoding="utf-8")


def _private(path: str, flags: int) -> int:
    import os

    return os.open(path, flags, 0o600)


# --- Around each request ---------------------------------------------------------------


def _wrap(app: FastAPI, settings: Settings) -> None:
    """Add the middleware that every request passes; the last added is the outermost."""
    app.add_middleware(GZipMiddleware, minimum_size=2_000, compresslevel=4)  # leaves event streams alone
    app.add_middleware(
        SessionMiddleware,
        secret_key=secret_of(settings),
        session_cookie="rotation",
        max_age=COOKIE_AGE_S,
        same_site="lax",
        https_only=settings.secure_cookies,
    )
    headers = security_headers(settings)

    @app.middleware("http")
    async def measured(request: Request, answer: Next) -> Response:
        begin = perf_counter()
        response = await answer(request)
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        _note(request, response, perf_counter() - begin)
        return response

    app.add_middleware(Heads)
    app.add_middleware(Bodies)


def security_headers(settings: Settings) -> dict[str, str]:
    """Return the content security policy: our own scripts and styles only, no frames, tiles from where they are set."""
    tiles = urlsplit(settings.map_tiles or "")
    images = f"'self' data: {tiles.scheme}://{tiles.netloc.replace('{s}', '*')}" if tiles.netloc else "'self' data:"
    # The packaged reader of barcodes is WebAssembly, of our own address.
    policy = (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; worker-src 'self'; "
        "font-src 'self'; "
        f"img-src {images}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }


def _note(request: Request, response: Response, seconds: float) -> None:
    route = getattr(request.scope.get("route"), "path", "other")
    health.SECONDS.labels(request.method, route, str(response.status_code)).observe(seconds)
    if not request.url.path.startswith(("/static", "/assets", "/health")):
        caller = getattr(request.state, "caller", None)
        log.info(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            ms=round(seconds * 1000, 1),
            who=caller.name if caller else None,
        )


# --- What goes wrong ---------------------------------------------------------------

SENTENCES = {
    403: N_("Your role does not allow this. Ask an administrator."),
    404: N_("This page does not exist (any more)."),
    405: N_("This address does not accept this method."),
    422: N_("The request is incomplete or not understood."),
    500: N_("Something went wrong on the server. The log has the details; try again."),
    429: N_("Too many requests at once. Wait a moment and try again."),
    503: N_("The database cannot be reached at the moment. Nothing is lost; the page will reconnect automatically."),
}


# Names of forms' fields, as their pages call them.
FIELDS = {
    "name": N_("Name"),
    "role": N_("Role"),
    "places": N_("Places (branch, hub, driver, desk)"),
    "about": N_("Machine"),
    "days": N_("Days"),
    "titles": N_("Titles"),
    "due": N_("Due"),
    "copies": N_("Copies"),
    "place": N_("Place"),
    "why": N_("Why"),
    "crate": N_("Crate"),
}


def _answer_errors(app: FastAPI) -> None:
    app.add_exception_handler(SignInNeeded, _sign_in_first)
    app.add_exception_handler(PasswordNeeded, _password_first)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(TooMany, _busy)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_exception_handler(PoolTimeout, _database_error)
    app.add_exception_handler(Exception, _unexpected)


def _wants_page(request: Request) -> bool:
    """Whether a person looks at the answer, and not a script or a machine."""
    asks_part = "part" in request.query_params or request.headers.get("hx-request")
    return not (
        request.url.path.startswith("/api") or asks_part or "text/html" not in request.headers.get("accept", "")
    )


def _error(request: Request, status: int, detail: object = None) -> Response:
    if not _wants_page(request):
        return JSONResponse({"detail": detail or SENTENCES.get(status, "error")}, status)
    message = SENTENCES.get(status, SENTENCES[500])
    return page(request, "error.html", status, message=message, tab="", part=None)


def _sign_in_first(request: Request, error: Exception) -> Response:
    if not _wants_page(request):
        return JSONResponse({"detail": "sign in, or send a valid token"}, 401, {"WWW-Authenticate": "Bearer"})
    ended = "&ended=1" if request.session.get("session") else ""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?next={quote(back if request.method == 'GET' else '/', safe='')}{ended}", 303)


def _password_first(request: Request, error: Exception) -> Response:
    return (
        RedirectResponse("/password", 303) if _wants_page(request) else _error(request, 403, "choose a password first")
    )


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 403:
        health.REFUSED.labels(str(error.detail)).inc()
    answer = _error(request, error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


def _busy(request: Request, error: Exception) -> Response:
    answer = _error(request, 429)
    answer.headers["Retry-After"] = "5"
    return answer


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [{key: fault[key] for key in ("type", "loc", "msg")} for fault in error.errors()]
    if request.method != "POST" or not _wants_page(request):
        return _error(request, 422, faults)
    spoken = language_of(request)
    fields = ", ".join(
        dict.fromkeys(spoken.say(FIELDS.get(str(fault["loc"][-1]), str(fault["loc"][-1]))) for fault in faults)
    )
    message = spoken.say(
        N_("Not accepted: %(fields)s. Nothing was changed; correct it and send it again."), fields=fields
    )
    typed = error.body.multi_items() if isinstance(error.body, FormData) else ()
    return flash.refused(request, message, lambda: _error(request, 422, faults), typed)


def _database_error(request: Request, error: Exception) -> Response:
    lost = isinstance(error, OperationalError | PoolTimeout) or getattr(error, "connection_invalidated", False)
    log.warning("database_error", route=request.url.path, lost=lost, error=str(error).split("\n")[0])
    response = _error(request, 503 if lost else 422 if isinstance(error, DataError) else 500)
    response.headers["Retry-After"] = "2"
    return response


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("unexpected", route=request.url.path, exc_info=error)
    return _error(request, 500)
