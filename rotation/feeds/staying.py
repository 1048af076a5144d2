"""A feed that stays up: a system that is away is waited for with growing pauses, named where people look, and its return too.

The library system, its Kafka, ours and the database may all restart; a login may expire. An attempt opens everything anew: a
connection or producer that failed once is not to be trusted again. Cursors make the next attempt go on where the last one was.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event
from typing import TypeVar

import psycopg
from httpx import HTTPError, HTTPStatusError
from kafka.errors import KafkaError
from pymysql.err import MySQLError
from sqlalchemy import Engine, delete
from sqlalchemy.exc import DBAPIError

from rotation.facts.parts import Needed
from rotation.store.heartbeats import TURN_S, Turned, unheard
from rotation.store.kept import OUTAGE, keep
from rotation.store.tables import settings

# A restart takes seconds; after a minute without success someone has to do something, and an attempt a minute disturbs nobody.
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
AWAY: tuple[type[Exception], ...] = (MySQLError, HTTPError, KafkaError, DBAPIError, psycopg.Error, OSError)
# Longest sentence that is kept: a driver's own words can be a page.
LONGEST_WORDS = 300
T = TypeVar("T")


class Outage:
    """Whether a source is away, kept in the database under its name once, and removed once it is back."""

    def __init__(self, engine: Engine, source: str) -> None:
        self.engine, self.name = engine, OUTAGE + source
        # Another process may have left one behind.
        self.noted: str | None = ""

    def begin(self, sentence: str, needed: Needed) -> None:
        """Note the system that is away, and the sentence, with the instant of the first."""
        if self.noted == sentence:
            return
        now = datetime.now(UTC).isoformat()
        with suppress(DBAPIError), self.engine.begin() as connection:
            keep(connection, self.name, {"since": now, "message": sentence, "needed": needed})
            self.noted = sentence

    def end(self) -> None:
        """Remove the note; does nothing without one."""
        if self.noted is None:
            return
        with self.engine.begin() as connection:
            connection.execute(delete(settings).where(settings.c.name == self.name))
        self.noted = None


Attempt = Callable[[Callable[[], None], Turned], T]
"""An attempt receives a function to call whenever all is well, and its feed's heartbeat to call at each turn."""


def stay_up(
    attempt: Attempt[T], stop: Event, outage: Outage, say: Callable[[str], None], turn: Turned = unheard
) -> T | None:
    """Return an attempt's result; None where `stop` is set while something is away."""
    wait_s = FIRST_WAIT_S

    def well() -> None:
        nonlocal wait_s
        wait_s = FIRST_WAIT_S
        outage.end()

    while True:
        try:
            return attempt(well, turn)
        except AWAY as error:
            sentence = in_words(error)
            outage.begin(sentence, needed_of(error))
            say(f"{sentence}; next try in {wait_s:.0f} s")
        turn(within_s=wait_s + TURN_S)
        if stop.wait(wait_s):
            return None
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def in_words(error: Exception) -> str:
    """Return the system that is away, and its words."""
    if isinstance(error, HTTPStatusError):
        return f"the library system answered {error.response.status_code} to {error.request.method} {error.request.url.path}"
    return f"{NAMES[needed_of(error)]} cannot be reached: {error}"[:LONGEST_WORDS].replace("\n", " ")


NAMES = {
    Needed.LIBRARY_DATABASE: "the library system's database",
    Needed.LIBRARY_SYSTEM: "the library system",
    Needed.KAFKA: "Kafka",
    Needed.DATABASE: "the database",
    Needed.NETWORK: "the network",
}


def needed_of(error: Exception) -> Needed:
    """Return which system an error is about."""
    kinds: tuple[tuple[type[Exception], Needed], ...] = (
        (MySQLError, Needed.LIBRARY_DATABASE),
        (HTTPError, Needed.LIBRARY_SYSTEM),
        (KafkaError, Needed.KAFKA),
        (OSError, Needed.NETWORK),
    )
    return next((needed for kind, needed in kinds if isinstance(error, kind)), Needed.DATABASE)
