"""Signing in and out, changing a password, and an administrator's users and tokens."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from rotation.accounts import auth, security
from rotation.accounts.names import key_of, tidy
from rotation.accounts.passwords import SHORTEST, fits, hashed, is_right
from rotation.accounts.permissions import OF_PLACES, Role, Scope
from rotation.accounts.security import SecurityEvent
from rotation.language.catalogues import CATALOGUES, COOKIE, Language
from rotation.language.labels import N_
from rotation.language.natural import natural_sql
from rotation.store.tables import tokens, users
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web, address_of
from rotation.web.flash import back, refused
from rotation.web.render import page

router = APIRouter(include_in_schema=False)
Field = Annotated[str, Form(max_length=1000)]
# "Li Na" has a space; a slash would end the name in an address.
Name = Annotated[str, Form(min_length=1, max_length=64, pattern=r"^[^/\\\x00-\x1f]*[^\s/\\\x00-\x1f][^/\\\x00-\x1f]*$")]
Places = Annotated[tuple[str, ...], Form()]
YEAR_S = 365 * 86_400
PEOPLE = (Role.BRANCH, Role.HUB, Role.DRIVER, Role.VIEWER, Role.DISPATCHER, Role.ADMINISTRATOR)


@router.get("/sign-in")
def ask_sign_in(request: Request, next: str = "/", ended: bool = False) -> Response:
    """Ask for name and password."""
    words = N_("Your session has ended. Sign in again to continue.") if ended else ""
    return page(request, "sign_in.html", next=own_address(next), message=words, name="")


@router.post("/sign-in")
async def sign_in(
    request: Request, web: Context, language: InLanguage, name: Field, password: Field, next: Field = "/"
) -> Response:
    """Sign in, or say why not and how long to wait. No connection is held while the password waits to be hashed."""
    if wait_s := await _must_wait(request, web, name):
        words = language.say(N_("Too many wrong passwords. Wait %(n)s seconds."), n=wait_s)
        return _later(page(request, "sign_in.html", 429, next=own_address(next), message=words, name=name), wait_s)
    caller = await _judged(request, web, name, password)
    if caller is None:
        words = language.say(N_("Name or password is wrong."))
        return refused(
            request,
            words,
            lambda: page(request, "sign_in.html", 401, next=own_address(next), message=words, name=name),
            [("name", name)],
        )
    await run_in_threadpool(open_session, request, web, caller)
    return RedirectResponse("/password" if caller.must_change else own_address(next), 303)


async def _must_wait(request: Request, web: Web, name: str) -> int:
    """Count a try; return the seconds to wait, 0 where it may be judged."""
    wait_s = web.tries.take(key_of(name), address_of(request))
    if wait_s:
        await run_in_threadpool(note_alone, request, web, SecurityEvent.MADE_TO_WAIT, "")
    return wait_s


async def _judged(request: Request, web: Web, name: str, password: str) -> auth.Caller | None:
    """Return who a name and password are, None where either is wrong."""
    known = await run_in_threadpool(user_named, web, name)
    right = await web.hashing.run(is_right, password, known.password_hash if known else None)
    if known and right:
        web.tries.was_right(key_of(name), address_of(request))
        return known.caller
    who = known.caller.name if known else ""
    await run_in_threadpool(note_alone, request, web, SecurityEvent.WRONG_PASSWORD, who)
    return None


def user_named(web: Web, name: str) -> auth.Known | None:
    """Return the user of that name, by a connection of its own."""
    with web.engine.connect() as connection:
        return auth.user_named(connection, name)


def note_alone(request: Request, web: Web, what: SecurityEvent, who: str) -> None:
    """Write a line of the security log in a transaction of its own."""
    with web.engine.begin() as connection:
        security.note(connection, what, who, address_of(request))


def open_session(request: Request, web: Web, caller: auth.Caller) -> None:
    """Open a session in place of the browser's old one, and note it."""
    request.session.clear()
    with web.engine.begin() as connection:
        request.session.update(auth.open_session(connection, caller, address_of(request)))
        security.note(connection, SecurityEvent.SIGNED_IN, caller.name, address_of(request))


def _later(response: Response, wait_s: int) -> Response:
    response.headers["Retry-After"] = str(wait_s)
    return response


def own_address(address: str) -> str:
    """Return an address of ours: where another site's was slipped in, the first page."""
    parts = urlsplit(address)
    safe = not parts.scheme and not parts.netloc and address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if safe else "/"


@router.post("/sign-out")
def sign_out(request: Request, connection: Database) -> Response:
    """End the session, at the server too."""
    if name := auth.end_session(connection, request.session):
        security.note(connection, SecurityEvent.SIGNED_OUT, name, address_of(request))
    request.session.clear()
    return RedirectResponse("/sign-in", 303)


@router.post("/sign-out-everywhere")
def sign_out_everywhere(request: Request, connection: Database, caller: CalledBy) -> Response:
    """End all sessions of the user, on every machine."""
    auth.end_sessions(connection, caller.name)
    security.note(connection, SecurityEvent.SIGNED_OUT_EVERYWHERE, caller.name, address_of(request))
    request.session.clear()
    return RedirectResponse("/sign-in", 303)


@router.get("/language/{language}")
def choose_language(web: Context, language: str, next: str = "/") -> Response:
    """Keep the language that was chosen at the top of the page."""
    if language not in CATALOGUES:
        raise HTTPException(404, "language")
    response = RedirectResponse(own_address(next), 303)
    response.set_cookie(
        COOKIE, language, max_age=YEAR_S, httponly=True, samesite="lax", secure=web.settings.secure_cookies
    )
    return response


@router.get("/password")
def ask_password(request: Request) -> Response:
    """Ask for a new password."""
    return page(request, "password.html", message="", tab="")


@router.post("/password")
async def change_password(
    request: Request, web: Context, caller: CalledBy, language: InLanguage, old: Field, new: Field, again: Field
) -> Response:
    """Change the user's own password; every other session of the user ends."""
    if caller.is_machine:
        raise HTTPException(403, "role")
    if wait_s := await _must_wait(request, web, caller.name):
        words = language.say(N_("Too many wrong passwords. Wait %(n)s seconds."), n=wait_s)
        return _later(page(request, "password.html", 429, message=words, tab=""), wait_s)
    if message := await _why_not(request, web, caller, language, old, new, again):
        return refused(request, message, lambda: page(request, "password.html", 422, message=message, tab=""))
    password_hash = await web.hashing.run(hashed, new)
    await run_in_threadpool(_set_password, request, web, caller, password_hash)
    await run_in_threadpool(open_session, request, web, caller)
    return RedirectResponse("/", 303)


async def _why_not(
    request: Request, web: Web, caller: auth.Caller, language: Language, old: str, new: str, again: str
) -> str:
    """Return why a password is not changed; empty where it may be."""
    if await _judged(request, web, caller.name, old) is None:
        return language.say(N_("The old password is wrong."))
    if new != again:
        return language.say(N_("The two new passwords differ."))
    if new == old or not await web.hashing.run(fits, new, caller.name):
        return language.say(
            N_("Choose another password of at least %(n)s characters, hard to guess and not among the known ones."),
            n=SHORTEST,
        )
    return ""


def _set_password(request: Request, web: Web, caller: auth.Caller, password_hash: str) -> None:
    with web.engine.begin() as connection:
        auth.set_password_hash(connection, caller.name, password_hash)
        security.note(connection, SecurityEvent.PASSWORD_CHANGED, caller.name, address_of(request))


# --- Administrators ---------------------------------------------------------------


@router.get("/users")
def ask_users(request: Request, connection: Database) -> Response:
    """Show users and tokens."""
    return _users(request, connection)


def _users(request: Request, connection: Connection, status: int = 200, *, message: str = "") -> Response:
    people = connection.execute(select(users).where(users.c.removed_at.is_(None)).order_by(natural_sql(users.c.name)))
    machines = connection.execute(
        select(tokens).order_by(tokens.c.revoked_at.is_not(None), tokens.c.created_at.desc())
    ).all()
    return page(
        request,
        "users.html",
        status,
        people=people.all(),
        machines=machines,
        message=message,
        tab="users",
        roles=PEOPLE,
        machine_roles=list(Role),
        scopes=list(Scope),
    )


def _done(request: Request, message: str, secret: str = "") -> Response:
    """Go back to the users with a message."""
    return back(request, "/users", message, secret=secret, is_bad=False)


@router.post("/users")
def add_user(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    name: Name,
    role: Annotated[Role, Form()],
    places: Places = (),
) -> Response:
    """Add a user with a one-time password, shown once."""
    password = secrets.token_urlsafe(9)
    if role not in PEOPLE or not key_of(name):
        raise HTTPException(422, "role" if key_of(name) else "name")
    try:
        with connection.begin_nested():
            auth.add_user(connection, name, password, role, _bound(web, role, places))
    except IntegrityError:
        message = language.say(
            N_("This user name is or was in use. Names are never reused, because decisions are recorded under them.")
        )
        typed = [("name", name), ("role", role), *(("places", place) for place in places)]
        return refused(request, message, lambda: _users(request, connection, 409, message=message), typed)
    security.note(connection, SecurityEvent.USER_ADDED, caller.name, address_of(request), f"{tidy(name)} {role}")
    message = language.say(N_("One-time password of %(name)s:"), name=name)
    return _done(request, message, password)


@router.post("/users/{name}")
def change_user(
    request: Request, connection: Database, caller: CalledBy, language: InLanguage, name: str, action: Field
) -> Response:
    """Reset a user's password, remove the user, or give another role; nobody does it to oneself."""
    if name == caller.name:
        message = language.say(N_("Ask another administrator to change your own user."))
        return refused(request, message, lambda: _users(request, connection, 422, message=message))
    if connection.scalar(select(users.c.name).where(users.c.name == name, users.c.removed_at.is_(None))) is None:
        raise HTTPException(404, "user")
    if action == "reset":
        password = secrets.token_urlsafe(9)
        auth.set_password(connection, name, password, must_change=True)
        security.note(connection, SecurityEvent.PASSWORD_RESET, caller.name, address_of(request), name)
        return _done(request, language.say(N_("One-time password of %(name)s:"), name=name), password)
    if action == "remove":
        auth.remove_user(connection, name)
        security.note(connection, SecurityEvent.USER_REMOVED, caller.name, address_of(request), name)
    else:
        connection.execute(update(users).where(users.c.name == name).values(role=_role(action)))
        security.note(connection, SecurityEvent.ROLE_CHANGED, caller.name, address_of(request), f"{name} {action}")
    return _done(request, language.say(N_("Done: %(name)s"), name=name))


def _bound(web: Web, role: Role, places: Sequence[str]) -> list[str] | None:
    """Return the places that someone is bound to: those chosen, none for a branch, hub or driver without a choice, else all."""
    if unknown := set(places) - set(web.network.place):
        raise HTTPException(422, f"unknown places {sorted(unknown)}")
    if role is Role.DESK and not places:
        return None
    return sorted(set(places)) if role in OF_PLACES else None


def _role(action: str) -> Role:
    if action not in PEOPLE:
        raise HTTPException(422, "role")
    return Role(action)


@router.post("/tokens")
def add_token(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    about: Name,
    role: Annotated[Role, Form()],
    places: Places = (),
    scopes: Annotated[tuple[Scope, ...], Form()] = (),
    days: Annotated[int, Form(ge=1, le=3650)] = 365,
) -> Response:
    """Make a token for a machine; it is shown once. Without scopes it may do all that its role may."""
    expires_at = datetime.now(UTC) + timedelta(days=days)
    token = auth.add_token(connection, role, about, caller.name, expires_at, _bound(web, role, places), scopes or None)
    security.note(connection, SecurityEvent.TOKEN_MADE, caller.name, address_of(request), f"{about} {role}")
    return _done(request, language.say(N_("Token of %(name)s:"), name=about), token)


@router.post("/tokens/{token_id}/revoke")
def revoke_token(
    request: Request, connection: Database, caller: CalledBy, language: InLanguage, token_id: str
) -> Response:
    """End a token."""
    about = auth.end_token(connection, token_id)
    if about is None:
        raise HTTPException(404, "token")
    security.note(connection, SecurityEvent.TOKEN_ENDED, caller.name, address_of(request), about)
    return _done(request, language.say(N_("Done: %(name)s"), name=about))


@router.get("/security-log")
def security_log(request: Request, connection: Database) -> Response:
    """Show each attempt, permission and change, with person and address."""
    return page(request, "security_log.html", tab="users", found=lambda: security.lines(connection))
