"""Who is asking: people by a signed cookie, machines by a bearer token; both looked up in the database at each request.

A cookie names a session. It is void once the session was ended, its time is over, its user is gone, or the password changed.
"""

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, Row, func, insert, null, or_, select, update

from rotation.accounts.names import key_of, tidy
from rotation.accounts.passwords import hashed
from rotation.accounts.permissions import DECIDES, Role, Scope
from rotation.store import outbox
from rotation.store.engine import driver
from rotation.store.locks import AdvisoryLock
from rotation.store.outbox import ENDED
from rotation.store.tables import sessions, tokens, users

FIRST_ADMINISTRATOR = "admin"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in person or machine, and its role."""

    name: str
    role: Role
    must_change: bool = False
    is_machine: bool = False
    handle: str = ""  # "session ..." or "token ...": what ends its live streams
    # The only places that the caller works at, for a driver hubs; None: everywhere.
    places: frozenset[str] | None = None
    # The only run that the caller may drive: of a link.
    run: str | None = None
    # Of a token: the only scopes of its role that it has; None: all.
    scopes: frozenset[Scope] | None = None

    @property
    def decides(self) -> bool:
        """Whether pages show this caller the controls that decide; each action checks the role again."""
        return self.role in DECIDES

    def works_at(self, place_id: str) -> bool:
        """Whether the caller may act at a place."""
        return self.places is None or place_id in self.places


def _places(row: Row[Any]) -> frozenset[str] | None:
    return None if row.places is None else frozenset(row.places)


# --- First start ---------------------------------------------------------------


def ensure_first_administrator(engine: Engine) -> str | None:
    """Create user `admin` where there is no user at all; return the one-time password, or None where users exist."""
    password = secrets.token_urlsafe(9)
    with engine.begin() as connection:
        connection.execute(
            select(func.pg_advisory_xact_lock(AdvisoryLock.FIRST_USER))
        )  # two processes may start at once
        if connection.scalar(select(func.count()).select_from(users)):
            return None
        add_user(connection, FIRST_ADMINISTRATOR, password, Role.ADMINISTRATOR)
    return password


def add_user(
    connection: Connection, name: str, password: str, role: Role, places: Collection[str] | None = None
) -> None:
    """Add a user who must choose another password at the first sign-in; `places` bind the user (None: works everywhere)."""
    kept = None if places is None else sorted(places)
    connection.execute(
        insert(users).values(
            name=tidy(name),
            key=key_of(name),
            password_hash=hashed(password),
            role=role,
            must_change=True,
            places=_json(kept),
        )
    )


def _json(places: list[str] | None) -> Any:
    """Return places for a JSONB column, where None is SQL's NULL."""
    return null() if places is None else places


def set_password(connection: Connection, name: str, password: str, *, must_change: bool = False) -> None:
    """Change a password; every session of that user ends."""
    set_password_hash(connection, name, hashed(password), must_change=must_change)


def set_password_hash(connection: Connection, name: str, password_hash: str, *, must_change: bool = False) -> None:
    """Change a password of which only the hash is at hand; every session of that user ends."""
    connection.execute(
        update(users).where(users.c.name == name).values(password_hash=password_hash, must_change=must_change)
    )
    end_sessions(connection, name)


# --- People ---------------------------------------------------------------


class Known(NamedTuple):
    """A user found by a name that was typed, and the hash of the right password."""

    caller: Caller
    password_hash: str


def user_named(connection: Connection, typed: str) -> Known | None:
    """Return the user that a typed name means: spelled exactly so, or with the same key."""
    name, key = tidy(typed), key_of(typed)
    known = select(users).where(users.c.removed_at.is_(None), or_(users.c.name == name, users.c.key == key))
    user = connection.execute(known.order_by((users.c.name == name).desc()).limit(1)).first()
    return Known(_person(user), user.password_hash) if user else None


def open_session(connection: Connection, caller: Caller, address: str) -> dict[str, str]:
    """Open a session and return the content of its signed cookie."""
    secret = secrets.token_urlsafe(32)
    row = {"session_id": _digest(secret), "name": caller.name, "since": datetime.now(UTC), "address": address}
    connection.execute(insert(sessions).values(row))
    return {"session": secret}


def of_session(connection: Connection, session: Mapping[str, Any], now: datetime, hours: float) -> Caller | None:
    """Return whose session it is, or None where it is none, ended, too old, or void."""
    session_id = _digest(str(session.get("session", "")))
    query = select(users, sessions.c.since).join(sessions, sessions.c.name == users.c.name)
    open_now = (sessions.c.session_id == session_id, sessions.c.ended_at.is_(None), users.c.removed_at.is_(None))
    user = connection.execute(query.where(*open_now)).first()
    if user is None or now - user.since > timedelta(hours=hours):
        return None
    return _person(user, f"session {session_id}")


def end_session(connection: Connection, session: Mapping[str, Any]) -> str | None:
    """End a session at the server, and its live streams; return whose it was."""
    session_id = _digest(str(session.get("session", "")))
    ours = (sessions.c.session_id == session_id, sessions.c.ended_at.is_(None))
    name: str | None = connection.scalar(
        update(sessions).where(*ours).values(ended_at=func.now()).returning(sessions.c.name)
    )
    if name is not None:
        _end_streams(connection, f"session {session_id}")
    return name


def end_sessions(connection: Connection, name: str) -> None:
    """End every session of a user, and their live streams."""
    connection.execute(
        update(sessions).where(sessions.c.name == name, sessions.c.ended_at.is_(None)).values(ended_at=func.now())
    )
    _end_streams(connection, f"user {name}")


def remove_user(connection: Connection, name: str) -> None:
    """Let nobody sign in under a name any more, and end its sessions."""
    connection.execute(update(users).where(users.c.name == name).values(removed_at=datetime.now(UTC)))
    end_sessions(connection, name)


def _end_streams(connection: Connection, handle: str) -> None:
    outbox.notify(driver(connection).cursor(), ENDED, [handle])


def _person(user: Row[Any], handle: str = "") -> Caller:
    return Caller(user.name, Role(user.role), must_change=user.must_change, handle=handle, places=_places(user))


# --- Machines ---------------------------------------------------------------


def add_token(
    connection: Connection,
    role: Role,
    about: str,
    created_by: str,
    expires_at: datetime | None = None,
    places: Collection[str] | None = None,
    scopes: Collection[Scope] | None = None,
) -> str:
    """Make a bearer token and return it; it is shown once, the database keeps its hash.

    `places` bind it (None: everywhere), `scopes` narrow its role's rights (None: all of them).
    """
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    connection.execute(
        insert(tokens).values(
            token_id=token_id,
            hash=_hash(secret),
            role=role,
            about=about,
            created_by=created_by,
            expires_at=expires_at,
            places=_json(None if places is None else sorted(places)),
            scopes=_json(None if scopes is None else sorted(scopes)),
        )
    )
    return f"rot_{token_id}_{secret}"


def of_token(connection: Connection, authorization: str, now: datetime) -> Caller | None:
    """Return whose token an Authorization header carries, or None where it is forged, expired or revoked."""
    kind, _, token = authorization.partition(" ")
    parts = token.strip().split("_", 2)
    if kind.lower() != "bearer" or len(parts) != 3 or parts[0] != "rot" or "\0" in token:
        return None
    row = connection.execute(select(tokens).where(tokens.c.token_id == parts[1], tokens.c.revoked_at.is_(None))).first()
    if row is None or not hmac.compare_digest(row.hash, _hash(parts[2])) or (row.expires_at and row.expires_at <= now):
        return None
    handle, scopes = f"token {row.token_id}", None if row.scopes is None else frozenset(map(Scope, row.scopes))
    return Caller(row.about, Role(row.role), is_machine=True, handle=handle, places=_places(row), scopes=scopes)


def end_token(connection: Connection, token_id: str) -> str | None:
    """End a token, and its live streams; return which machine used it, None where there is no such token."""
    ended = update(tokens).where(tokens.c.token_id == token_id, tokens.c.revoked_at.is_(None))
    about: str | None = connection.scalar(ended.values(revoked_at=datetime.now(UTC)).returning(tokens.c.about))
    if about is not None:
        _end_streams(connection, f"token {token_id}")
    return about


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


# --- Where a request comes from ---------------------------------------------------------------


def is_from_our_page(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request that changes something was sent by a page of ours and not by another site in the same browser.

    Browsers say so in Sec-Fetch-Site. Older browsers name the page's Origin, which must be the host of the request.
    """
    if method in SAFE_METHODS:
        return True
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")
