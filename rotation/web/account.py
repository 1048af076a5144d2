"""Signing in and out, one's own password, and an administrator's users and tokens."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from rotation.store.tables import tokens, users
from rotation.web import auth
from rotation.web.context import CalledBy, Context, Database, InLanguage
from rotation.web.language import CATALOGUES, COOKIE
from rotation.web.permissions import Role
from rotation.web.render import page
from rotation.web.words import N_

router = APIRouter(include_in_schema=False)
Field = Annotated[str, Form(max_length=1000)]
Name = Annotated[str, Form(min_length=1, max_length=64, pattern=r"^[^\s/\\\x00-\x1f]+$")]
YEAR_S = 365 * 86_400
PEOPLE = (Role.VIEWER, Role.DISPATCHER, Role.ADMINISTRATOR)


@router.get("/sign-in")
def ask_sign_in(request: Request, next: str = "/", ended: bool = False) -> Response:
    """Ask for name and password."""
    words = N_("Your session has ended. Sign in again to go on.") if ended else ""
    return page(request, "sign_in.html", next=_own(next), message=words, name="")


@router.post("/sign-in")
def sign_in(
    request: Request,
    web: Context,
    connection: Database,
    language: InLanguage,
    name: Field,
    password: Field,
    next: Field = "/",
) -> Response:
    """Sign in, or say what is wrong and for how long to wait."""
    who = f"{request.client.host if request.client else ''} {name}"
    if wait_s := web.tries.wait_s(who):
        words = language.say(N_("Too many wrong passwords. Wait %(n)s seconds."), n=wait_s)
        response = page(request, "sign_in.html", 429, next=_own(next), message=words, name=name)
        response.headers["Retry-After"] = str(wait_s)
        return response
    caller = auth.sign_in(connection, name.replace("\0", ""), password)
    if caller is None:
        web.tries.add(who)
        return page(request, "sign_in.html", 401, next=_own(next), message=N_("Name or password is wrong."), name=name)
    web.tries.forget(who)
    return _signed_in(request, caller, "/password" if caller.must_change else _own(next))


def _signed_in(request: Request, caller: auth.Caller, to: str) -> Response:
    request.session.clear()
    request.session.update(auth.session_for(caller, datetime.now(UTC)))
    return RedirectResponse(to, 303)


def _own(address: str) -> str:
    """Return an address of ours: where another site's was slipped in, the first page."""
    parts = urlsplit(address)
    safe = not parts.scheme and not parts.netloc and address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if safe else "/"


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    """Forget who is signed in."""
    request.session.clear()
    return RedirectResponse("/sign-in", 303)


@router.get("/language/{language}")
def choose_language(request: Request, web: Context, language: str, next: str = "/") -> Response:
    """Keep the language that was chosen at the top of the page."""
    if language not in CATALOGUES:
        raise HTTPException(404, "language")
    response = RedirectResponse(_own(next), 303)
    response.set_cookie(
        COOKIE, language, max_age=YEAR_S, httponly=True, samesite="lax", secure=web.settings.secure_cookies
    )
    return response


@router.get("/password")
def ask_password(request: Request) -> Response:
    """Ask for a new password."""
    return page(request, "password.html", message="", tab="")


@router.post("/password")
def change_password(
    request: Request, connection: Database, caller: CalledBy, language: InLanguage, old: Field, new: Field, again: Field
) -> Response:
    """Change one's own password."""
    message = ""
    if auth.sign_in(connection, caller.name, old) is None:
        message = language.say(N_("The old password is wrong."))
    elif new != again:
        message = language.say(N_("The two new passwords differ."))
    elif not auth.fits(new) or new == old:
        message = language.say(N_("Choose another password of at least %(n)s signs."), n=auth.SHORTEST_PASSWORD)
    if message:
        return page(request, "password.html", 422, message=message, tab="")
    auth.set_password(connection, caller.name, new)
    connection.commit()
    return _signed_in(request, caller, "/")


# --- Administrators ---------------------------------------------------------------


@router.get("/users")
def ask_users(request: Request, connection: Database) -> Response:
    """Show users and tokens."""
    return _users(request, connection)


def _users(
    request: Request, connection: Connection, status: int = 200, *, message: str = "", secret: str = ""
) -> Response:
    people = connection.execute(select(users).where(users.c.removed_at.is_(None)).order_by(users.c.name)).all()
    machines = connection.execute(
        select(tokens).order_by(tokens.c.revoked_at.is_not(None), tokens.c.created_at.desc())
    ).all()
    return page(
        request, "users.html", status, people=people, machines=machines, message=message, secret=secret, tab="users",
        roles=PEOPLE, machine_roles=list(Role),
    )  # fmt: skip


@router.post("/users")
def add_user(
    request: Request, connection: Database, language: InLanguage, name: Name, role: Annotated[Role, Form()]
) -> Response:
    """Add a user with a one-time password, shown once."""
    password = secrets.token_urlsafe(9)
    if role not in PEOPLE:
        raise HTTPException(422, "role")
    try:
        with connection.begin_nested():
            auth.add_user(connection, name, password, role)
    except IntegrityError:
        message = language.say(
            N_("There is, or was, a user of that name. Names are not used twice: decisions are recorded by them.")
        )
        return _users(request, connection, 409, message=message)
    message = language.say(N_("One-time password of %(name)s:"), name=name)
    return _users(request, connection, message=message, secret=password)


@router.post("/users/{name}")
def change_user(
    request: Request, connection: Database, caller: CalledBy, language: InLanguage, name: str, action: Field
) -> Response:
    """Reset a user's password, remove the user, or give another role; nobody does it to oneself."""
    if name == caller.name:
        return _users(
            request, connection, 422, message=language.say(N_("Ask another administrator to change your own user."))
        )
    if connection.scalar(select(users.c.name).where(users.c.name == name, users.c.removed_at.is_(None))) is None:
        raise HTTPException(404, "user")
    if action == "reset":
        password = secrets.token_urlsafe(9)
        auth.set_password(connection, name, password, must_change=True)
        return _users(
            request, connection, message=language.say(N_("One-time password of %(name)s:"), name=name), secret=password
        )
    values = {"removed_at": datetime.now(UTC)} if action == "remove" else {"role": _role(action)}
    connection.execute(update(users).where(users.c.name == name).values(values))
    return _users(request, connection)


def _role(action: str) -> Role:
    if action not in PEOPLE:
        raise HTTPException(422, "role")
    return Role(action)


@router.post("/tokens")
def add_token(
    request: Request,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    about: Name,
    role: Annotated[Role, Form()],
    days: Annotated[int, Form(ge=1, le=3650)] = 365,
) -> Response:
    """Make a token for a machine; it is shown once."""
    expires_at = datetime.now(UTC) + timedelta(days=days)
    token = auth.add_token(connection, role, about, caller.name, expires_at)
    return _users(request, connection, message=language.say(N_("Token of %(name)s:"), name=about), secret=token)


@router.post("/tokens/{token_id}/revoke")
def revoke_token(request: Request, connection: Database, token_id: str) -> Response:
    """End a token."""
    ended = update(tokens).where(tokens.c.token_id == token_id, tokens.c.revoked_at.is_(None))
    if not connection.execute(ended.values(revoked_at=datetime.now(UTC))).rowcount:
        raise HTTPException(404, "token")
    return _users(request, connection)
