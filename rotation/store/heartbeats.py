"""Each part says every few seconds that it goes on, and its last deed; whoever looks sees which part stands still.

A thread writes the row, so that a slow database holds up no part; it writes nothing once a loop of the part has said
nothing for longer than it may. So a frozen process and a loop that hangs both fall silent.
"""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple, Self

import psutil
import psycopg
import structlog
from psycopg import Cursor

from rotation.facts.parts import Deed, Part
from rotation.store.engine import Reconnecting
from rotation.store.unfit import UnfitDatabase, refuse_unfit_if_there

BEAT_S = 5.0
SILENT_S = 30.0  # six beats: on a machine with all processors busy, one or two of them come late
TURN_S = 60.0  # between two words of a loop: a batch, or a broker's restart, take less
KEPT = "1 day"  # rows of processes that were killed: their part is judged by its other members

log = structlog.get_logger(__name__)


def member() -> str:
    """Return this process's name among all machines."""
    return member_named(os.getpid())


def member_named(pid: int) -> str:
    """Return the name of a process of this machine."""
    return f"{socket.gethostname()}:{pid}"


class Doing(NamedTuple):
    """A part's last deed, and with how many or for which day."""

    deed: Deed
    about: str = ""


class Turn(NamedTuple):
    """A loop's last word, and by when it must say another."""

    said_at: float
    within_s: float


@dataclass
class Pulse:
    """A part's heartbeat, from `with` to its end."""

    url: str
    part: Part
    name: str = ""
    beat_s: float = BEAT_S
    _turns: dict[str, Turn] = field(default_factory=dict)
    _doing: Doing = field(default_factory=lambda: Doing(Deed.STARTED))
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def turn(self, loop: str = "", deed: Deed | None = None, about: object = "", *, within_s: float = TURN_S) -> None:
        """Say that a loop goes on, and its deed, if any; it says so again `within_s`."""
        self._turns[loop] = Turn(monotonic(), within_s)
        if deed:
            self._doing = Doing(deed, str(about))

    def goes_on(self) -> bool:
        """Whether every loop has said something of late."""
        now = monotonic()
        return all(now - turn.said_at <= turn.within_s for turn in self._turns.values())

    def start(self) -> None:
        """Begin to beat; a process whose database we cannot work with ends with a sentence."""
        try:
            refuse_unfit_if_there(self.url)
        except UnfitDatabase as unfit:
            raise SystemExit(str(unfit)) from None
        self._thread = threading.Thread(target=self._beat_for_ever, name="pulse", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and delete the row: a part that stopped in order does not stand still. A database that is away keeps the row."""
        self._stop.set()
        if self._thread:
            self._thread.join(self.beat_s)

    def __enter__(self) -> Self:
        """Begin to beat."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        """End in order; after an error the row stays, and its silence shows."""
        if kind is None:
            self.stop()

    def _beat_for_ever(self) -> None:
        database, key, last = Reconnecting(self.url), (self.part, self.name, member()), self._doing
        self._write(database, FORGET, (KEPT,))
        while not self._stop.is_set():
            doing = self._doing
            if self.goes_on() and self._write(database, BEAT, (*key, *doing, doing is not last)):
                last = doing
            self._stop.wait(self.beat_s)
        self._write(database, LEAVE, key)
        database.close()

    def _write(self, database: Reconnecting, statement: str, values: tuple[object, ...]) -> bool:
        """Execute a statement; False where the database does not answer: the next beat tries again."""
        try:
            with database.cursor() as cursor:
                cursor.execute(statement, values)
        except psycopg.Error as error:
            log.warning("no heartbeat", part=self.part, error=str(error).strip())
            return False
        return True


FORGET = "DELETE FROM heartbeats WHERE beat_at < now() - %s::interval"
LEAVE = "DELETE FROM heartbeats WHERE part = %s AND name = %s AND member = %s"
BEAT = """
INSERT INTO heartbeats (part, name, member, beat_at, deed, about, deed_at) VALUES (%s, %s, %s, now(), %s, %s, now())
ON CONFLICT (part, name, member) DO UPDATE SET beat_at = now(), deed = excluded.deed, about = excluded.about,
    deed_at = CASE WHEN %s THEN now() ELSE heartbeats.deed_at END
"""

Turned = Callable[..., None]
"""What a part's loop calls at each turn: `Pulse.turn`, or `unheard` where nobody listens."""


def unheard(*_: object, **__: object) -> None:
    """Say a turn to nobody."""


class Heartbeat(NamedTuple):
    """A part, its last beat `silent_s` ago, and its last deed; of several members the latest beat."""

    part: Part
    name: str
    silent_s: float
    deed: Deed
    about: str
    deed_s: float

    @property
    def stands_still(self) -> bool:
        """Whether it has been silent for longer than it may."""
        return self.silent_s > SILENT_S


def heartbeats(cursor: Cursor[Any]) -> list[Heartbeat]:
    """Return each part that runs, or was killed within a day, by part and name."""
    rows = cursor.execute(
        "SELECT DISTINCT ON (part, name) part, name, extract(epoch FROM now() - beat_at)::float8, deed, about,"
        " extract(epoch FROM now() - deed_at)::float8 FROM heartbeats ORDER BY part, name, beat_at DESC"
    )
    return [
        Heartbeat(Part(part), name, silent, Deed(deed), about, since) for part, name, silent, deed, about, since in rows
    ]


def goes_on_here(cursor: Cursor[Any], part: Part) -> bool:
    """Whether a process of this machine (or container) that is this part has beaten of late."""
    row = cursor.execute(
        "SELECT 1 FROM heartbeats WHERE part = %s AND starts_with(member, %s)"
        " AND beat_at > now() - make_interval(secs => %s)",
        (part, member_named(0).removesuffix("0"), SILENT_S),
    ).fetchone()
    return row is not None


def beats_of(cursor: Cursor[Any], members: Mapping[str, str]) -> dict[str, object]:
    """Return the time of the last beat of each member that beat, by the keys of `members`."""
    rows = cursor.execute("SELECT member, beat_at FROM heartbeats WHERE member = ANY(%s)", (list(members.values()),))
    found = dict(rows.fetchall())
    return {key: found[one] for key, one in members.items() if one in found}


def forget_dead(cursor: Cursor[Any]) -> None:
    """Delete the rows of this machine's processes that are gone: whoever starts a system knows that they were killed."""
    prefix = member_named(0).removesuffix("0")
    rows = cursor.execute("SELECT DISTINCT member FROM heartbeats WHERE starts_with(member, %s)", (prefix,)).fetchall()
    dead = [one for (one,) in rows if not psutil.pid_exists(int(one.removeprefix(prefix)))]
    cursor.execute("DELETE FROM heartbeats WHERE member = ANY(%s)", (dead,))
