"""Arbitrary files and tables of library systems: what cannot be translated is rejected with its place, and nothing is raised."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotation.facts.events import Edge, Event, parse
from rotation.facts.movements import CopyState
from rotation.feeds import folio, koha, maps, sip2, tables
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.librarieswest import CopyLedger, TransitSnapshot, events, parse_snapshot
from tests.streams_world import EDGE

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine makes no input wrong
WORDS = st.text(max_size=20)
GOOD_LINE = "2020-03-02,Adult Fiction,Bath,BNES,Wells,Somerset"
HEADER = "date_transited,item_type,from_library,from_authority,to_library,to_authority"
FIELDS = st.lists(WORDS | st.sampled_from(["2020-02-31", "2020-03-01", "Bath", "x" * 200, "图书馆", '"']), max_size=7)


@given(st.lists(FIELDS.map(",".join), max_size=6))
@settings(BUSY, max_examples=200)
def test_no_line_of_a_snapshot_does_more_than_be_refused(lines: list[str]):
    shown = parse_snapshot([HEADER, GOOD_LINE, *lines], "file.csv")
    assert isinstance(shown, TransitSnapshot)
    told = list(events(CopyLedger(), shown))
    anywhere = {name for event in told for key in ("place", "to") if (name := event["data"].get(key))}
    edge = Edge(frozenset(anywhere), frozenset(event["data"].get("class", "") for event in told), EDGE.now)
    for event in told:
        (found,) = parse(orjson.dumps(event), edge)
        assert isinstance(found, Event) or found.field == "time"


FIRST, LAST = datetime(1900, 1, 1), datetime(2100, 1, 1)  # Koha's times have no zone  # noqa: DTZ001
LOCAL = st.datetimes(FIRST, LAST)
SQL_VALUE = st.none() | WORDS | st.integers(-1, 10**12) | LOCAL | st.dates(date(1900, 1, 1)) | st.just("0000-00-00")
COLUMNS = (
    "type",
    "branch",
    "copy",
    "branchtransfer_id",
    "frombranch",
    "tobranch",
    "datesent",
    "datearrived",
    "datecancelled",
    "reason",
    "cancellation_reason",
    "biblionumber",
    "itype",
    "homebranch",
    "holdingbranch",
    "dateaccessioned",
    "itemlost",
    "withdrawn",
    "damaged",
    "onloan",
    "on_the_way",
    "on_the_way_to",
    "waits",
    "location",
    "permanent_location",
    "ccode",
    "restricted",
    "type_not_for_loan",
    "lent_at",
)
SURE = {
    "at": LOCAL,
    "row_key": WORDS,
    "item_at": st.none() | LOCAL,
    "last_seen": st.none() | WORDS,
    "seen_since": st.none() | st.integers(0, 1),
    "notforloan": st.none() | st.integers(-128, 127),
}
ROWS = st.fixed_dictionaries(dict.fromkeys(COLUMNS, SQL_VALUE) | SURE)
KOHA = koha.KohaMap(default_class="fiction")


@given(st.sampled_from(koha.SOURCES), st.lists(ROWS, max_size=3), st.sampled_from(["issue", "return", "renew"]))
@settings(BUSY, max_examples=300)
def test_no_row_of_koha_does_more_than_be_refused(source: koha.FollowedTable, rows: list[dict[str, Any]], kind: str):
    rows = [{**row, "type": kind, "datesent": row["at"]} for row in rows]
    known = {str(row["copy"]): koha.KohaCopy(CopyState.ON_LOAN, "p1", None, None, None, None) for row in rows[:1]}
    for one in source.translate(rows, KOHA, lambda ids: known):
        assert isinstance(one, RejectedRecord | dict)


@given(st.binary(max_size=200) | WORDS.map(lambda word: f'default_class = "{word}"\ntimezone = "{word}"'.encode()))
@settings(BUSY, max_examples=100)
@pytest.mark.parametrize("model", [koha.KohaMap, folio.FolioMap, sip2.Sip2Map, tables.TableMap])
def test_no_map_does_more_than_be_refused(tmp_path_factory: pytest.TempPathFactory, model: Any, content: bytes):
    file: Path = tmp_path_factory.getbasetemp() / "map.toml"
    file.write_bytes(content)
    try:
        found = maps.read(file, model)
    except ValueError as refused:
        found = str(refused)
    assert isinstance(found, model) or found.startswith("map.toml: ")
