"""Standstill: a part that is not heard of, messages that wait for Kafka or are refused by it, a day without its plan.

Judged where it is looked at, by the database's own clock, so that it shows whichever part has stopped. Where no part runs at
all, nothing is expected.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from psycopg import Cursor

from rotation.facts.parts import OUTBOX, PLAN, REFUSED, Deed, Part
from rotation.store.clock import clock_by
from rotation.store.heartbeats import SILENT_S, Heartbeat, heartbeats
from rotation.store.planned import NAME, STANDING

OUTBOX_S = 60.0  # twice what a broker's restart takes; a relay empties it within a second
PLAN_LATE = timedelta(hours=1)  # of the network's time, after which a day's plan is missing
PLAN_LATE_WALL = timedelta(
    minutes=1
)  # and at least so long by the wall clock: a demonstration's hour is over in a second

SENTENCES: Mapping[str, tuple[str, str]] = {
    "part": (
        "The {name} stands still: nothing heard of it for {seconds} s. Restart it, and look into its log",
        "{name_zh}停顿：已 {seconds} 秒没有动静。请重新启动并查看其日志",
    ),
    OUTBOX: (
        "{count} messages wait for Kafka, the oldest for {seconds} s: the relay is stopped, or Kafka refuses them",
        "有 {count} 条消息等待发往 Kafka，最早的已等 {seconds} 秒：转发进程已停止，或 Kafka 拒收",
    ),
    REFUSED: (
        "{count} messages for {topics} were refused by Kafka and are set aside: see `rotation outbox list`",
        "发往 {topics} 的 {count} 条消息被 Kafka 拒收，已搁置：请用 `rotation outbox list` 查看",
    ),
    PLAN: (
        "{day} has no plan although its planning time is over: look into the planner's log, or run `rotation plan`",
        "{day} 的计划时间已过而仍无计划：请查看计划进程的日志，或运行 `rotation plan`",
    ),
}
NAMES: Mapping[Part, tuple[str, str]] = {
    Part.WORKER: ("worker", "事件处理进程"),
    Part.RELAY: ("relay", "转发进程"),
    Part.PLANNER: ("planner", "计划进程"),
    Part.SOLVER: ("route solver", "路线求解进程"),
    Part.FEED: ("feed", "接入进程"),
    Part.PAGE: ("page", "页面进程"),
    Part.DELIVER: ("process that delivers orders", "指令外发进程"),
    Part.WRITE_BACK: ("write-back", "回写进程"),
}


class Standstill(NamedTuple):
    """Something that stands still: a part ("relay", "feed koha"), the outbox or the plan, with the facts of its sentence."""

    subject: str
    code: str
    facts: Mapping[str, Any]

    def words(self) -> dict[str, str]:
        """Return subject and sentences for those who show it."""
        en, zh = (sentence.format_map(self.facts) for sentence in SENTENCES[self.code])
        return {"code": self.subject, "en": en, "zh": zh}


def standing_still(cursor: Cursor[Any], zone: ZoneInfo, plan_at: str) -> list[Standstill]:
    """Return the standstills now, in a network that plans each day at `plan_at` ("04:30") in its time zone."""
    parts = heartbeats(cursor)
    plan = () if any(map(_plans, parts)) else _plan(cursor, zone, plan_at)
    return [*_parts(parts), *_outbox(cursor), *_refused(cursor), *plan] if parts else []


def _parts(parts: Iterable[Heartbeat]) -> Iterator[Standstill]:
    for one in parts:
        if one.stands_still:
            en, zh = (f"{name} {one.name}".strip() for name in NAMES[one.part])
            facts = {"name": en, "name_zh": zh, "seconds": round(one.silent_s), "bound_s": SILENT_S}
            yield Standstill(f"{one.part} {one.name}".strip(), "part", facts)


def _outbox(cursor: Cursor[Any]) -> Iterator[Standstill]:
    """Judge the outbox by its oldest message; while the network's clock stands nothing is expected of it."""
    row = cursor.execute(
        "SELECT count(*), extract(epoch FROM now() - min(created_at))::float8 FROM outbox HAVING count(*) > 0"
    ).fetchone()
    if row and row[1] > OUTBOX_S and _time_passes(cursor):
        yield Standstill(OUTBOX, OUTBOX, {"count": row[0], "seconds": round(row[1]), "bound_s": OUTBOX_S})


def _refused(cursor: Cursor[Any]) -> Iterator[Standstill]:
    row = cursor.execute(
        "SELECT count(*), string_agg(DISTINCT topic, ', ' ORDER BY topic) FROM dead_letters HAVING count(*) > 0"
    ).fetchone()
    if row:
        yield Standstill(REFUSED, REFUSED, {"count": row[0], "topics": row[1]})


def _plans(one: Heartbeat) -> bool:
    return one.part is Part.PLANNER and one.deed is Deed.PLANS and not one.stands_still


def _plan(cursor: Cursor[Any], zone: ZoneInfo, plan_at: str) -> Iterator[Standstill]:
    """Judge the day whose planning time was over an hour ago; days of the past that stand still have no night."""
    clock = clock_by(cursor)
    late = (clock.now() - max(PLAN_LATE, PLAN_LATE_WALL * clock.speed)).astimezone(zone)
    last, day = _kept(cursor, NAME) or "", late.date().isoformat()
    if f"{late:%H:%M}" >= plan_at and last < day and clock.speed > 0 and not _kept(cursor, STANDING):
        yield Standstill(PLAN, PLAN, {"day": day, "last": last})


def _time_passes(cursor: Cursor[Any]) -> bool:
    return clock_by(cursor).speed > 0


def _kept(cursor: Cursor[Any], name: str) -> Any:
    row = cursor.execute("SELECT value FROM settings WHERE name = %s", (name,)).fetchone()
    return row[0] if row else None
