"""Every adapter that sends to Kafka, killed with -9 and started again: its events equal those of an undisturbed run."""

import csv
import json
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from openpyxl import Workbook

from rotation.feeds import koha_feed, librarieswest
from rotation.feeds.destinations import Destinations
from rotation.store.audit import audit
from rotation.store.engine import connect
from rotation.store.engine import engine as engine_of
from tests.folio_simulated import Folio, published, rest
from tests.integration.adapters.test_files import apply, in_kafka, lines_of_events, west
from tests.koha_simulated import mariadb, new_koha
from tests.sender_that_dies import ADAPTERS, killed, send
from tests.streams_world import PLACES, counts, fold, standing

ROWS = 700  # more than a page of Koha's or FOLIO's, fourteen messages


@contextmanager
def ingest(folder: Path, kafka: str) -> Iterator[str]:
    yield str(lines_of_events(folder)[0])


@contextmanager
def days(folder: Path, kafka: str) -> Iterator[str]:
    yield str(west(folder)[0])


HEAD = ("条码号", "书目记录号", "所在馆", "所属馆", "状态")
HOLDINGS = [
    (f"{n:05}", f"b{n // 2}", PLACES[n % 5], PLACES[n % 3], ("在馆", "借出", "丢失")[n % 3]) for n in range(ROWS)
] + [("x", "b1", "p1", "p1", "吃了")]  # one that cannot be told


@contextmanager
def a_csv(folder: Path, kafka: str) -> Iterator[str]:
    with (folder / "holdings.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEAD, *HOLDINGS])
    yield file.name


@contextmanager
def an_xlsx(folder: Path, kafka: str) -> Iterator[str]:
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in (HEAD, *HOLDINGS):
        sheet.append(row)
    book.save(folder / "holdings.xlsx")
    yield str(folder / "holdings.xlsx")


@contextmanager
def json_lines(folder: Path, kafka: str) -> Iterator[str]:
    file = folder / "holdings.jsonl"
    file.write_text("\n".join(json.dumps(dict(zip(HEAD, row, strict=True))) for row in HOLDINGS))
    yield str(file)


@contextmanager
def folios_topics(folder: Path, kafka: str) -> Iterator[str]:
    """Two weeks of sixty items, which FOLIO's Kafka holds in twelve partitions; where is the group that reads them."""
    folio = Folio(4, items=60, lost=0.0)
    folio.days(ROWS)
    with published(folio, kafka):
        yield f"test-{uuid.uuid4().hex[:8]}"


@contextmanager
def folios_api(folder: Path, kafka: str) -> Iterator[str]:
    with rest(Folio(5, items=ROWS)) as url:
        yield url


@contextmanager
def a_koha(folder: Path, kafka: str) -> Iterator[str]:
    """An item a minute, every third of them lent since."""
    with tempfile.TemporaryDirectory(prefix="koha-") as short, mariadb(Path(short)) as socket:
        url = new_koha(socket, "koha")
        connection = koha_feed.koha_connection(url)
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO biblio (biblionumber, title) SELECT seq, 'Momo' FROM seq_1_to_10000")
            cursor.execute(KOHAS_ITEMS, (ROWS,))
            cursor.execute(KOHAS_LOANS)
        connection.commit()
        connection.close()
        yield url


KOHAS_ITEMS = """
INSERT INTO items (biblionumber, barcode, dateaccessioned, homebranch, holdingbranch, itype, timestamp)
SELECT seq, concat('b', seq), '2026-01-05', 'BR1', 'BR1', 'BK', '2026-03-02 09:00:00' + INTERVAL seq MINUTE
FROM seq_1_to_10000 WHERE seq <= %s"""
KOHAS_LOANS = """
INSERT INTO statistics (datetime, branch, type, itemnumber)
SELECT timestamp + INTERVAL 1 DAY, 'BR1', 'issue', itemnumber FROM items WHERE itemnumber MOD 3 = 0"""


class Case(NamedTuple):
    """An adapter, where it finds something, before which of its messages it dies, and how many records it refuses."""

    adapter: str
    where: Any
    deaths: tuple[int, ...]
    refused: int = 0


CASES = (
    Case("ingest", ingest, (4,), 1),
    Case("librarieswest", days, (4,)),
    Case("table", a_csv, (4,), 1),
    Case("table", an_xlsx, (6,), 1),
    Case("table", json_lines, (4,), 1),
    Case("folio", folios_topics, (9,)),
    Case("folio-reconcile", folios_api, (4, 13)),
    Case("koha", a_koha, (12, 3)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.where.__name__)
def test_killed_with_9_in_the_middle_and_started_again_nothing_is_lost_and_nothing_has_a_double_effect(
    kafka: str, database: str, topic: str, tmp_path: Path, case: Case
) -> None:
    with case.where(tmp_path, kafka) as where:
        expected = undisturbed(case.adapter, kafka, database, where)
        arguments = (case.adapter, kafka, database, topic, where)
        assert all(killed(message, *arguments) for message in case.deaths)
        send(*arguments)
    messages = in_kafka(kafka, topic)
    told = by_id([event for message in messages for event in orjson.loads(message.value)])
    assert said(told) == said(by_id(expected))
    apply(database, messages)
    assert standing(database) == fold(told)
    found = counts(database)
    assert (found["applied"] + found["late"], found.get("refused_at_edge", 0)) == (len(told), case.refused)
    assert found["duplicates"] > 0, "nothing was told twice: this test would show nothing"
    with connect(database) as connection:
        assert audit(connection.cursor()) == []


def undisturbed(adapter: str, kafka: str, database: str, where: str) -> list[dict[str, Any]]:
    """What the adapter says in one run that leaves no trace."""
    if adapter == "ingest":
        return [orjson.loads(line) for line in Path(where).read_bytes().splitlines() if line.startswith(b"{")]
    if adapter == "librarieswest":
        return list(librarieswest.happened(librarieswest.snapshots(Path(where))))
    found, store = list[dict[str, Any]](), engine_of(database)
    ADAPTERS[adapter](
        {"bootstrap_servers": kafka.split(",")}, store, Destinations(found.extend, lambda _: None), where, False
    )
    store.dispose()
    return found


def by_id(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({event["id"]: event for event in events}.values())


def said(events: list[dict[str, Any]]) -> Counter[tuple[str, bytes]]:
    """What events say, without their times: a reconciliation's are those of its own beginning."""
    return Counter((event["type"], orjson.dumps(event["data"])) for event in events)
