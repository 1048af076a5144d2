"""Who is asking: people by a signed cookie, machines by a bearer token; both looked up in the database at each request.

A cookie says who signed in and when. It is void once its time is over, its user is gone, or the password changed after it.
"""

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from rotation.store.tables import tokens, users
from rotation.web.permissions import DECIDES, Role

FIRST_ADMINISTRATOR = "admin"
SHORTEST_PASSWORD = 10  # NIST SP 800-63B asks for at least 8; length counts, kinds of signs do not
LONGEST_PASSWORD = 200  # argon2 would hash a megabyte at our cost
PASSWORDS = PasswordHash((Argon2Hasher(),))
TRIES, TRIES_WITHIN_S = 5, 60.0  # wrong passwords from one address for one name, before it has to wait
MOST_REMEMBERED = 10_000  # addresses and names of failed tries; beyond, the oldest are forgotten
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what they may do."""

    name: str
    role: Role
    must_change: bool = False
    is_machine: bool = False

    @property
    def decides(self) -> bool:
        """Whether they are shown what decides: what they may do is judged again when they do it."""
        return self.role in DECIDES


# --- First start ---------------------------------------------------------------


def ensure_first_administrator(engine: Engine) -> str | None:
    """Create user `admin` where there is no user at all; return the one-time password, or None where somebody is there."""
    password = secrets.token_urlsafe(9)
    with engine.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(7_276_004)))  # two processes may start at once
        if connection.scalar(select(func.count()).select_from(users)):
            return None
        add_user(connection, FIRST_ADMINISTRATOR, password, Role.ADMINISTRATOR)
    return password


def add_user(connection: Connection, name: str, password: str, role: Role) -> None:
    """Add a user who must choose another password at the first sign-in."""
    connection.execute(
        insert(users).values(name=name, password_hash=PASSWORDS.hash(password), role=role, must_change=True)
    )


def set_password(connection: Connection, name: str, password: str, *, must_change: bool = False) -> None:
    """Change a password; every session of that user ends."""
    connection.execute(
        update(users)
        .where(users.c.name == name)
        .values(password_hash=PASSWORDS.hash(password), must_change=must_change, sessions_from=datetime.now(UTC))
    )


def fits(password: str) -> bool:
    """Whether a new password is long enough and not absurd."""
    return SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD


# --- People ---------------------------------------------------------------


@cache
def _no_such_user() -> str:
    """Return a hash that no password has: an unknown name takes as long to refuse as a known one."""
    return PASSWORDS.hash(secrets.token_urlsafe())


def sign_in(connection: Connection, name: str, password: str) -> Caller | None:
    """Return who signs in, or None where name or password is wrong."""
    user = _user(connection, name)
    right = PASSWORDS.verify(password[:LONGEST_PASSWORD], user.password_hash if user else _no_such_user())
    return _person(user) if user and right else None


def session_for(caller: Caller, now: datetime) -> dict[str, str]:
    """Return what the signed cookie says."""
    return {"user": caller.name, "since": now.isoformat()}


def of_session(connection: Connection, session: Mapping[str, Any], now: datetime, hours: float) -> Caller | None:
    """Return whose session it is, or None where it is none, too old, or void."""
    try:
        name, since = str(session["user"]), datetime.fromisoformat(session["since"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    user = _user(connection, name)
    if user is None or since < user.sessions_from or now - since > timedelta(hours=hours):
        return None
    return _person(user)


def _user(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(users).where(users.c.name == name, users.c.removed_at.is_(None))).first()


def _person(user: Row[Any]) -> Caller:
    return Caller(user.name, Role(user.role), must_change=user.must_change)


# --- Machines ---------------------------------------------------------------


def add_token(
    connection: Connection, role: Role, about: str, created_by: str, expires_at: datetime | None = None
) -> str:
    """Make a bearer token and return it; it is shown once, the database keeps its hash."""
    token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    connection.execute(
        insert(tokens).values(
            token_id=token_id, hash=_hash(secret), role=role, about=about, created_by=created_by, expires_at=expires_at
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
    return Caller(row.about, Role(row.role), is_machine=True)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


# --- Where a request comes from ---------------------------------------------------------------


def is_from_our_page(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request that changes something was sent by a page of ours and not by another site in the same browser.

    Browsers say so in Sec-Fetch-Site; older ones name the page's Origin, which must be the host that they ask.
    """
    if method in SAFE_METHODS:
        return True
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")


@dataclass
class Tries:
    """Wrong passwords of late, by address and name; in this process only, so n web processes allow n times as many."""

    failed: dict[str, deque[float]] = field(default_factory=dict)

    def wait_s(self, who: str, now: float | None = None) -> int:
        """Return the seconds that `who` must wait before another try; 0: may try."""
        now = monotonic() if now is None else now
        recent = [at for at in self.failed.get(who, ()) if now - at < TRIES_WITHIN_S]
        return 0 if len(recent) < TRIES else int(TRIES_WITHIN_S - (now - recent[0])) + 1

    def add(self, who: str, now: float | None = None) -> None:
        """Count a wrong password."""
        self.failed.setdefault(who, deque(maxlen=TRIES)).append(monotonic() if now is None else now)
        while len(self.failed) > MOST_REMEMBERED:
            del self.failed[next(iter(self.failed))]

    def forget(self, who: str) -> None:
        """Forget the tries of someone who got it right."""
        self.failed.pop(who, None)
