"""Links that open one run and nothing else: for a driver without an account. They end with the run's day, or when withdrawn."""

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from rotation.accounts.auth import Caller
from rotation.accounts.permissions import Role
from rotation.store.tables import run_links


def add_link(connection: Connection, run_id: str, made_by: str, at: datetime, ends_at: datetime) -> str:
    """Make a link's secret part and return it; it is shown once. Times are the network's."""
    link_id, secret = secrets.token_hex(6), secrets.token_urlsafe(24)
    row = {
        "link_id": link_id,
        "hash": _hash(secret),
        "run_id": run_id,
        "made_by": made_by,
        "made_at": at,
        "ends_at": ends_at,
    }
    connection.execute(insert(run_links), row)
    return f"{link_id}.{secret}"


def of_link(connection: Connection, token: str, now: datetime) -> Caller | None:
    """Return the driver that a link stands for at the network's time `now`; None where it is forged, over or withdrawn."""
    link_id, _, secret = token.replace("\0", "").partition(".")
    standing = (run_links.c.link_id == link_id) & run_links.c.withdrawn_at.is_(None) & (run_links.c.ends_at > now)
    row = connection.execute(select(run_links).where(standing)).first()
    if row is None or not hmac.compare_digest(row.hash, _hash(secret)):
        return None
    return Caller(f"link {link_id}", Role.DRIVER, run=row.run_id)


def links_of(connection: Connection, run_id: str) -> list[Row[Any]]:
    """Return a run's links, the newest first."""
    return list(
        connection.execute(select(run_links).where(run_links.c.run_id == run_id).order_by(run_links.c.made_at.desc()))
    )


def withdraw(connection: Connection, run_id: str, link_id: str, at: datetime) -> bool:
    """End a link; return whether it stood."""
    mine = (run_links.c.run_id == run_id) & (run_links.c.link_id == link_id) & run_links.c.withdrawn_at.is_(None)
    return bool(connection.execute(update(run_links).where(mine).values(withdrawn_at=at)).rowcount)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
