"""Channels: where alerts and digests go besides the page, and how their messages fare."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, text, update

from rotation.alerts.sending import check
from rotation.facts.lifecycle import AlertKind, ChannelKind
from rotation.store.tables import channel_messages, channel_secrets, channels


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """The alerts that a channel gets, and when. Times are local, HH:MM; an empty time is none."""

    kind: ChannelKind
    name: str
    language: str
    kinds: tuple[AlertKind, ...] = ()
    quiet_from: str = ""
    quiet_to: str = ""
    after_hours: int = 0
    digest_at: str = ""
    alerts: bool = True


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """A channel as pages show it, without its secrets: messages sent, waiting and given up, and the last answer."""

    channel_id: str
    kind: str
    name: str
    shown: str
    language: str
    kinds: Sequence[str]
    quiet_from: str
    quiet_to: str
    after_hours: int
    digest_at: str
    alerts: bool
    sent: int
    waiting: int
    dead: int
    answer: str


def add(connection: Connection, channel: ChannelSettings, address: str, who: str, now: datetime) -> str:
    """Add a channel in the caller's transaction; return its id. Alerts that opened before `now` are not sent.

    Raises
    ------
    ChannelAddressError
        When a channel of that kind cannot have the address.
    """
    shown, channel_id = check(channel.kind, address), secrets.token_hex(4)
    values = {name: getattr(channel, name) for name in channel.__slots__} | {"kinds": list(channel.kinds)}
    about = {"channel_id": channel_id, "shown": shown, "since": now, "added_by": who}
    connection.execute(insert(channels), values | about)
    connection.execute(insert(channel_secrets), {"channel_id": channel_id, "address": address})
    return channel_id


def end(connection: Connection, channel_id: str) -> bool:
    """End a channel and forget its address; return whether it stood."""
    mine = (channels.c.channel_id == channel_id) & channels.c.ended_at.is_(None)
    ended = bool(connection.execute(update(channels).where(mine).values(ended_at=func.now())).rowcount)
    forgotten = update(channel_secrets).where(channel_secrets.c.channel_id == channel_id).values(address="")
    connection.execute(forgotten)
    return ended


def write(connection: Connection, channel_id: str, subject: str, body: str) -> None:
    """Write a message to a channel, to be sent at once."""
    connection.execute(insert(channel_messages), {"channel_id": channel_id, "subject": subject, "body": body})


def send_again(connection: Connection, channel_id: str) -> int:
    """Let all that was given up for a channel be tried again; return how many."""
    mine = (channel_messages.c.channel_id == channel_id) & channel_messages.c.dead_at.is_not(None)
    again = update(channel_messages).where(mine).values(dead_at=None, tries=0, next_at=func.now())
    return connection.execute(again).rowcount


_STANDING = text("""
    SELECT c.channel_id, c.kind, c.name, c.shown, c.language, c.kinds, c.quiet_from, c.quiet_to, c.after_hours, c.digest_at,
        c.alerts, count(m.*) FILTER (WHERE m.done_at IS NOT NULL),
        count(m.*) FILTER (WHERE m.done_at IS NULL AND m.dead_at IS NULL), count(m.*) FILTER (WHERE m.dead_at IS NOT NULL),
        coalesce((SELECT answer FROM channel_messages l WHERE l.channel_id = c.channel_id AND l.tries > 0
            ORDER BY coalesce(l.done_at, l.next_at) DESC LIMIT 1), '')
    FROM channels c LEFT JOIN channel_messages m USING (channel_id) WHERE c.ended_at IS NULL
    GROUP BY c.channel_id ORDER BY c.name, c.channel_id""")


def standing(connection: Connection) -> list[ChannelStatus]:
    """Return the channels that have not ended."""
    return [ChannelStatus(*row) for row in connection.execute(_STANDING)]
