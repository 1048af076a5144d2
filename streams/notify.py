"""Alerts and digests to channels: e-mail, webhooks, 企业微信, 钉钉 and others.

Alerts that opened since the last look become one message a channel, with one line a cause; in its quiet hours they wait for their
end. Each alert goes to a channel once. A message that is refused is tried later and later, then given up until a person sends it
again; the page of channels shows the last answer.
"""

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from rotation.alerts.sending import ChannelMessage, send
from rotation.facts.lifecycle import AlertStep, ChannelKind
from rotation.language.catalogues import language
from rotation.network import Network
from rotation.store.clock import read_clock
from rotation.store.engine import engine as engine_of
from rotation.store.locks import AdvisoryLock
from rotation.store.networks import in_force
from rotation.views import alert_messages, digest
from rotation.views.notices import Alert

log = structlog.get_logger()

LOOK_S = 1.0
PAUSE_S = 2.0  # after the database was away
RETRIES_S = (5, 60, 300, 1_800, 7_200, 18_000)  # eight hours in all, then somebody must look
AT_ONCE = 50
KEPT = "30 days"


def run(url: str, network: Network, stop: threading.Event) -> None:
    """Write and send until `stop`, waiting for the database where it is away."""
    engine = engine_of(url)
    while not stop.is_set():
        try:
            step(engine, network)
            stop.wait(LOOK_S)
        except SQLAlchemyError as error:
            log.warning("waiting", error=str(error).split("\n")[0])
            stop.wait(PAUSE_S)
    engine.dispose()


def step(engine: Engine, network: Network) -> int:
    """Write new messages, send those due; return how many messages were taken. A single process does so at a time."""
    with engine.connect() as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": AdvisoryLock.CHANNELS}):
            return 0
        try:
            write_due(connection, network)
            return send_due(connection)
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": AdvisoryLock.CHANNELS})
            connection.commit()


# --- What is to be said -----------------------------------------------------------------------------------------------------

_STANDING = "SELECT * FROM channels WHERE ended_at IS NULL ORDER BY channel_id"
# Open, of its kinds, old enough, taken by nobody where it escalates, in sight, and not written before.
_NEW = f"""
SELECT alert_id, kind, place_id, class AS title_class, opened_at, closed_at, changed_at, numbers FROM alerts a
WHERE closed_at IS NULL AND opened_at >= :since AND opened_at <= :until AND (:all OR kind = ANY(:kinds))
AND NOT EXISTS (SELECT FROM channel_alerts c WHERE c.channel_id = :channel AND c.alert_id = a.alert_id)
AND NOT EXISTS (SELECT FROM alert_steps s WHERE s.alert_id = a.alert_id
    AND (s.step = '{AlertStep.SNOOZED}' AND s.until > :now
        OR :escalates AND s.step IN ('{AlertStep.ACKNOWLEDGED}', '{AlertStep.ASSIGNED}')))
ORDER BY alert_id"""


def write_due(connection: Connection, network: Network) -> None:
    """Write messages about new alerts, and the digests whose hour has come; each channel in a transaction of its own."""
    now = read_clock(connection).now()
    network = in_force(connection, network, network.day_of(now))
    for channel in connection.execute(text(_STANDING)).all():
        if channel.alerts and not is_quiet(channel.quiet_from, channel.quiet_to, local_time(network, now)):
            _write_alerts(connection, network, channel, now)
        if channel.digest_at and local_time(network, now) >= channel.digest_at:
            _write_digest(connection, network, channel, now)
        connection.commit()


def local_time(network: Network, now: datetime) -> str:
    """Return the network's time of day, HH:MM."""
    return f"{now.astimezone(network.timezone):%H:%M}"


def is_quiet(begin: str, end: str, at: str) -> bool:
    """Whether a time of day is between two others, over midnight too; never where either is empty."""
    if not begin or not end or begin == end:
        return False
    return begin <= at < end if begin < end else at >= begin or at < end


def _write_alerts(connection: Connection, network: Network, channel: Any, now: datetime) -> None:
    values = {
        "since": channel.since,
        "until": now - timedelta(hours=channel.after_hours),
        "now": now,
        "all": not channel.kinds,
        "kinds": list(channel.kinds),
        "channel": channel.channel_id,
        "escalates": channel.after_hours > 0,
    }
    new = [Alert(**row) for row in connection.execute(text(_NEW), values).mappings()]
    if new:
        subject, body = alert_messages.message(network, language(channel.language), new)
        _put(connection, channel.channel_id, subject, body)
        rows = [{"channel": channel.channel_id, "alert": alert.alert_id} for alert in new]
        connection.execute(text("INSERT INTO channel_alerts VALUES (:channel, :alert)"), rows)


def _write_digest(connection: Connection, network: Network, channel: Any, now: datetime) -> None:
    day = network.day_of(now)
    written = text("SELECT EXISTS (SELECT FROM channel_messages WHERE channel_id = :channel AND day = :day)")
    if not connection.scalar(written, {"channel": channel.channel_id, "day": day}):
        spoken = language(channel.language)
        body = digest.message(connection, spoken, day, now)
        _put(connection, channel.channel_id, digest.subject(spoken, day), body, day)


def _put(connection: Connection, channel_id: str, subject: str, body: str, day: object = None) -> None:
    connection.execute(
        text("INSERT INTO channel_messages (channel_id, subject, body, day) VALUES (:channel, :subject, :body, :day)"),
        {"channel": channel_id, "subject": subject, "body": body, "day": day},
    )


# --- Sending ----------------------------------------------------------------------------------------------------------------

_DUE = """
SELECT m.message_id, c.kind, s.address, m.subject, m.body, m.tries, m.channel_id FROM channel_messages m
JOIN channels c USING (channel_id) JOIN channel_secrets s USING (channel_id)
WHERE c.ended_at IS NULL AND m.done_at IS NULL AND m.dead_at IS NULL AND m.next_at <= now() ORDER BY m.message_id LIMIT :most"""
_FORGET = f"""
WITH old AS (DELETE FROM channel_messages WHERE done_at < now() - interval '{KEPT}')
DELETE FROM channel_alerts c WHERE NOT EXISTS (SELECT FROM alerts a WHERE a.alert_id = c.alert_id)"""


def send_due(connection: Connection) -> int:
    """Send due messages, each in its own transaction; a channel that refuses rests until the next look."""
    taken, troubled = 0, set[str]()
    for row in connection.execute(text(_DUE), {"most": AT_ONCE}).all():
        if row.channel_id in troubled:
            continue
        result = send(
            ChannelKind(row.kind), row.address, ChannelMessage(row.subject, row.body, f"message_{row.message_id}")
        )
        if result.taken:
            taken += 1
            _note(connection, row.message_id, result.answer, "done_at = now()")
        else:
            troubled.add(row.channel_id)
            _refused(connection, row, result.answer)
        connection.commit()
    if taken:
        connection.execute(text(_FORGET))
        connection.commit()
    return taken


def _refused(connection: Connection, row: Any, answer: str) -> None:
    waits: Sequence[int] = RETRIES_S
    if row.tries >= len(waits):
        _note(connection, row.message_id, answer, "dead_at = now()")
    else:
        _note(connection, row.message_id, answer, f"next_at = now() + interval '{waits[row.tries]} s'")


def _note(connection: Connection, message_id: int, answer: str, what: str) -> None:
    statement = f"UPDATE channel_messages SET tries = tries + 1, answer = :answer, {what} WHERE message_id = :id"
    connection.execute(text(statement), {"answer": answer.replace("\0", ""), "id": message_id})
