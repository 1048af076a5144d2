"""Koha's database into Kafka: its tables are followed, and compared with ours."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import count
from threading import Event
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

import pymysql
from sqlalchemy import Engine, select

from config import Settings
from rotation.facts.movements import CopyState
from rotation.facts.parts import Deed
from rotation.feeds import carrying, koha, maps, staying
from rotation.feeds.carrying import FeedReport
from rotation.feeds.destinations import Destinations, Say, cursor_of, destinations, keep_cursor
from rotation.store import items
from rotation.store.heartbeats import Turned, unheard
from rotation.store.items import Barcodes
from rotation.store.tables import copies, holds, item_copies, titles

KOHA_POLL_S = 30.0
# Between two cursors kept while many pages are read: with 30,000 open transfers one takes as long as a page.
KEEP_S = 1.0
# Items that vanished are looked for at a feed's start and once an hour: it takes seconds for millions.
VANISHED_LOOKS = 120


def koha_follower(
    settings: Settings, engine: Engine, chosen: koha.KohaMap, url: str, stop: Event, say: Say
) -> staying.Attempt[FeedReport]:
    """Return an attempt to follow Koha, with connections of its own: see `staying.stay_up`."""

    def attempt(well: Callable[[], None], turn: Turned) -> FeedReport:
        with destinations(settings, engine) as ends, closing(koha_connection(url)) as connection:
            for sentence in (*koha_inspected(connection), *take_map(engine, chosen)):
                say(sentence)
            return follow_koha(engine, connection, chosen, ends, stop, well=well, turn=turn)

    return attempt


def koha_inspected(connection: Any) -> Iterator[str]:
    """Yield sentences about a Koha before it is followed; raises ValueError where it is too old or not whole."""
    found = koha.version.inspected(connection)
    if found.version:
        yield f"Koha {found.version[0]}.{found.version[1]:02}"
    yield from found.warnings


def follow_koha(
    engine: Engine,
    connection: Any,
    chosen: koha.KohaMap,
    carried: Destinations,
    stop: Event,
    *,
    once: bool = False,
    keep: bool = True,
    well: Callable[[], None] = lambda: None,
    turn: Turned = unheard,
) -> FeedReport:
    """Send the facts of Koha's rows until `stop`, or `once` through all tables; with `keep` the cursors follow the sent facts.

    `well` is called after each round.
    """
    report, looks = FeedReport(), count()
    while not stop.is_set():
        turn()
        look = next(looks)
        for source in koha.SOURCES:
            _follow_table(engine, connection, source, chosen, carried, report, stop, look=look, keep=keep, turn=turn)
        if not stop.is_set() and look % VANISHED_LOOKS == 0:
            _follow_vanished(engine, connection, chosen, carried, report, turn)
        if not stop.is_set():
            _follow_holds(engine, connection, chosen, carried, report, keep=keep)
        well()
        if once:
            break
        stop.wait(KOHA_POLL_S)
    return report


def _follow_table(
    engine: Engine,
    connection: Any,
    source: koha.FollowedTable,
    chosen: koha.KohaMap,
    carried: Destinations,
    report: FeedReport,
    stop: Event,
    *,
    look: int,
    keep: bool,
    turn: Turned,
) -> None:
    name, known_of = f"koha.{chosen.source}.{source.name}", partial(_known_to_koha, engine)
    before, unkept, kept_at = cursor_of(engine, name), None, time.monotonic()
    for position, rows in koha.pages(connection, source, before, chosen.timezone, look):
        copies_of = _koha_copies(engine, chosen, {row["itemnumber"]: row["barcode"] for row in rows}, keep=keep)
        for row in rows:
            row["copy"] = copies_of[row["itemnumber"]]
        refused = report.rejected.total()
        carrying.carry(source.translate(rows, chosen, known_of), *carried, report)
        turn(deed=Deed.CARRIED, about=len(rows))
        if keep and report.rejected.total() > refused and cursor_of(engine, name + REFUSED) is None:
            keep_cursor(engine, name + REFUSED, [before])
        if keep and list(position) != before:
            unkept = position
        if unkept is not None and time.monotonic() > kept_at + KEEP_S:
            keep_cursor(engine, name, unkept)
            unkept, kept_at = None, time.monotonic()
        before = list(position)
        if stop.is_set():
            break
    if unkept is not None:
        keep_cursor(engine, name, unkept)


# Behind a cursor's name: where its table was before the first row that the present map refused.
REFUSED = ".refused"


def map_changes(engine: Engine, chosen: koha.KohaMap) -> list[str]:
    """Return in what a map differs from the one that this source had last."""
    before = cursor_of(engine, f"koha.{chosen.source}.map")
    return list(maps.changes(before, maps.said(chosen))) if before else []


def take_map(engine: Engine, chosen: koha.KohaMap) -> list[str]:
    """Return in what a map differs from the one that this source had last; then rows that the old one refused are read again.

    Their facts keep their dates, and those sent before their ids, so nothing happens twice.
    """
    name = f"koha.{chosen.source}.map"
    before, now = cursor_of(engine, name), maps.said(chosen)
    if before == now:
        return []
    sentences = map_changes(engine, chosen)
    for source in koha.SOURCES if before else ():
        cursor = f"koha.{chosen.source}.{source.name}"
        if refused := cursor_of(engine, cursor + REFUSED):
            keep_cursor(engine, cursor, refused[0])
            keep_cursor(engine, cursor + REFUSED, None)
            sentences.append(f"{source.name} is read again from the first row that the map before refused")
    keep_cursor(engine, name, now)
    return sentences


def read_koha_from(engine: Engine, chosen: koha.KohaMap, day: datetime) -> None:
    """Let the next round read Koha's rows again from a day on, in Koha's own time; transfers and holds as a whole."""
    for source in koha.SOURCES:
        local = day.replace(tzinfo=ZoneInfo(chosen.timezone)).astimezone(UTC) if source.utc else day
        position = None if source.pages else (local.isoformat(), "")
        keep_cursor(engine, f"koha.{chosen.source}.{source.name}", position)
    keep_cursor(engine, f"koha.{chosen.source}.reserves", None)


def _koha_copies(engine: Engine, chosen: koha.KohaMap, barcodes: Barcodes, *, keep: bool) -> dict[int, str]:
    """Return which copy each item is; a dry run gives new items theirs and keeps nothing."""
    with engine.connect() as connection, connection.begin() as transaction:
        copies_of = items.copies_of(connection, chosen.source, barcodes)
        if not keep:
            transaction.rollback()
    return copies_of


def _follow_vanished(
    engine: Engine, connection: Any, chosen: koha.KohaMap, carried: Destinations, report: FeedReport, turn: Turned
) -> None:
    after = -1
    while True:
        with engine.connect() as database:
            asked = items.items_after(database, chosen.source, after, koha.vanished.ASKED)
        if not asked:
            return
        known = _known_to_koha(engine, list(asked.values()))
        carrying.carry(koha.vanished.withdrawn(connection, asked, known, chosen), *carried, report)
        turn()
        after = max(asked)


def _follow_holds(
    engine: Engine, connection: Any, chosen: koha.KohaMap, carried: Destinations, report: FeedReport, *, keep: bool
) -> None:
    """Compare the holds where Koha's or the map differ from the last time."""
    name = f"koha.{chosen.source}.reserves"
    checksum = f"{koha.holds.checksum(connection, chosen)}/{maps.digest(chosen)}"
    if cursor_of(engine, name) == checksum:
        return
    with engine.connect() as database:
        told = items.holds_told(database, chosen.source)
    read = koha.holds.compared(connection, chosen, told, partial(_koha_copies, engine, chosen, keep=keep))
    carrying.carry(read.translated, *carried, report)
    if keep:
        with engine.begin() as database:
            items.keep_holds_told(database, chosen.source, read.told, read.ended)
        keep_cursor(engine, name, checksum)


def _known_to_koha(engine: Engine, ids: Sequence[str]) -> dict[str, koha.KohaCopy]:
    with engine.connect() as connection:
        rows = connection.execute(
            select(copies, titles.c.name.is_not(None).label("named"))
            .outerjoin(titles, titles.c.title_id == copies.c.title_id)
            .where(copies.c.copy_id.in_(ids))
        ).all()
    return {
        row.copy_id: koha.KohaCopy(
            CopyState(row.state),
            row.place_id,
            row.to_place_id,
            row.title_id,
            row._mapping["class"],
            row.home_place_id,
            row.fixed,
            row.source,
            row.named,
        )
        for row in rows
    }


def koha_differences(engine: Engine, connection: Any, chosen: koha.KohaMap) -> Iterator[koha.check.Difference]:
    """Yield every copy and hold that stands otherwise in Koha than here; nothing is sent or kept."""
    seen = set[str]()
    for rows in koha.check.pages(connection):
        copies_of = _koha_copies(engine, chosen, {row["itemnumber"]: row["barcode"] for row in rows}, keep=False)
        known = _known_to_koha(engine, list(copies_of.values()))
        seen.update(copies_of.values())
        yield from koha.check.differences(rows, copies_of, known, chosen)
    with engine.connect() as database:
        ours = database.execute(
            select(item_copies.c.copy_id, copies.c.state, copies.c.place_id)
            .join(copies, copies.c.copy_id == item_copies.c.copy_id)
            .where(item_copies.c.source == chosen.source, copies.c.state != CopyState.WITHDRAWN)
        )
        yield from (
            koha.check.Difference(row.copy_id, None, f"{row.state} at {row.place_id}")
            for row in ours
            if row.copy_id not in seen
        )
        stood = database.execute(select(holds).where(holds.c.source == chosen.source)).all()
    here = {row.hold_id: [row.type, row.title_id, row.place_id, row.copy_id] for row in stood if row.type in OPEN_HOLDS}
    read = koha.holds.compared(connection, chosen, {}, partial(_koha_copies, engine, chosen, keep=False))
    theirs = {f"{chosen.source}-{number}": told.stand for number, told in read.told.items()}
    for hold in sorted({*here, *theirs}):
        if here.get(hold) != theirs.get(hold):
            yield koha.check.Difference(hold, _hold_words(theirs.get(hold)), _hold_words(here.get(hold)))


OPEN_HOLDS = ("hold.placed", "hold.suspended", "hold.filled")


def _hold_words(stand: Sequence[str | None] | None) -> str | None:
    return " ".join(str(part) for part in stand if part) if stand else None


def koha_connection(url: str) -> Any:
    """Connect to Koha's database, `mysql://user:password@host:port/name` or `mysql://user@/name?socket=PATH`.

    Raises
    ------
    ValueError
        When the address is invalid.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("mysql", "mariadb") or len(parts.path) < 2:
        raise ValueError("expected mysql://user:password@host:port/database")
    where: dict[str, Any] = {"host": parts.hostname or "localhost", "port": parts.port or 3306}
    if socket := parse_qs(parts.query).get("socket"):
        where = {"unix_socket": socket[0]}
    return pymysql.connect(
        **where,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=parts.path[1:],
        charset="utf8mb4",
        # TIMESTAMP columns come in UTC, whatever the server's zone; DATETIME columns as Koha wrote them.
        init_command="SET time_zone = '+00:00'",
        cursorclass=pymysql.cursors.DictCursor,
    )
