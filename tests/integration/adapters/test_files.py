"""Files of events and LibrariesWest's folders: shown first, killed in the middle and sent again; no reader comes in."""

import csv
import json
import logging
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from kafka import TopicPartition

from rotation.cli import historic_import
from rotation.facts.events import MAX_BATCH_BYTES, CopyReturned
from rotation.feeds import file_imports, librarieswest
from rotation.feeds.librarieswest import TransitRow
from rotation.kafka import clients
from rotation.kafka.message import Message
from streams.apply import Writer
from tests.needs import SAMPLE
from tests.sender_that_dies import send
from tests.streams_world import EDGE, city, counts, history, told
from tests.unit.adapters.patron import CARD, NAME, PHONE, named_in

FACTS = orjson.loads(orjson.dumps(history(41, 900, copies=100)))


def in_kafka(kafka: str, topic: str) -> list[Message]:
    """Everything that stands on the topic."""
    reader, whole = clients.consumer({"bootstrap_servers": kafka.split(",")}), TopicPartition(topic, 0)
    reader.assign([whole])
    end, found = reader.end_offsets([whole])[whole], []
    while len(found) < end:
        found += [clients.message_of(record) for some in reader.poll(500).values() for record in some]
    reader.close()
    return found


def apply(url: str, messages: list[Message]) -> None:
    writer = Writer(url, city(), lambda *_: [])
    writer.write(writer.prepare(messages))
    writer.close()


def lines_of_events(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A file of events, one line of which holds none."""
    file = folder / "day.jsonl"
    file.write_bytes(b"\n".join([b"no event", *map(orjson.dumps, FACTS)]))
    return file, FACTS


def west(folder: Path, *more: str) -> tuple[Path, list[dict[str, Any]]]:
    """Three days of 200 copies on their way, and what they say."""
    (folder / "in_transit").mkdir()
    for day in range(3):
        on = date(2020, 3, 2) + timedelta(days=day)
        rows = [TransitRow(str(on), "Fiction", f"p{n % 5}", "A", "p5", "A") for n in range(200)]
        with (folder / "in_transit" / f"{on}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([TransitRow._fields, *rows])
            file.writelines(more)
    return folder, list(librarieswest.happened(librarieswest.snapshots(folder)))


def with_readers(folder: Path) -> Path:
    """Lines that name a reader wherever one can be named: in fields, in a batch, in what is no event at all."""
    event = told(CopyReturned(copy="c1", place="p1"), 1) | {"subject": NAME, "borrower": CARD}
    event["data"] |= {"patron": CARD, "note": f"{NAME} {PHONE}"}
    unknown_place = event | {"id": "e2", "data": event["data"] | {"place": "nowhere"}}
    no_events = [f'{{"patron": "{CARD}"', f'["{NAME}"]', f'"{PHONE}', f'{{"a": "{CARD}{"x" * MAX_BATCH_BYTES}"}}']
    file = folder / "day.jsonl"
    file.write_text("\n".join([json.dumps(event), json.dumps([event, unknown_place]), *no_events]))
    return file


def test_no_reader_in_a_file_of_events_stands_in_any_topic_table_log_error_or_dry_run(
    kafka: str,
    database: str,
    topic: str,
    tmp_path: Path,
    everything: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    file, shown = with_readers(tmp_path), list[str]()
    send("ingest", kafka, database, topic, file)
    messages = in_kafka(kafka, topic)
    apply(database, messages)
    report = file_imports.show_lines(file.read_bytes().splitlines(), file.name, EDGE, shown.append)
    assert counts(database) == {"applied": 1, "duplicates": 1, "rejected": 1, "refused_at_edge": 4}
    assert (report.sent.total(), report.rejected.total()) == (2, 5)
    assert named_in(messages, everything(), caplog.text, *shown) == []


def test_no_reader_in_a_snapshot_stands_in_any_topic_table_log_error_or_dry_run(
    kafka: str,
    database: str,
    topic: str,
    tmp_path: Path,
    everything: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    day = "2020-03-02"
    folder, _ = west(tmp_path, f"{day},Fiction,p1,A,p2,A,{CARD}\n", f"{NAME},{day},Fiction,p1,A,p2\n", f'"{PHONE}\n')
    faults = librarieswest.send(
        clients.producer({"bootstrap_servers": kafka}), topic, librarieswest.snapshots(folder)
    ).faults
    messages = in_kafka(kafka, topic)
    apply(database, messages)
    assert len(faults) == 9
    assert named_in(messages, everything(), caplog.text, *faults) == []


def test_a_dry_run_of_a_file_shows_what_would_be_sent_and_refused_line_by_line(tmp_path: Path) -> None:
    file, _ = lines_of_events(tmp_path)
    shown: list[str] = []
    with file.open("rb") as lines:
        report = file_imports.show_lines(lines, file.name, EDGE._replace(places=EDGE.places - {"p0"}), shown.append)
    told_of = [json.loads(line) for line in shown]
    kept = [event for event in FACTS if "p0" not in (event["data"]["place"], event["data"].get("to"))]
    assert [one for one in told_of if "specversion" in one] == kept
    assert report.rejected == {"not_json": 1, "unknown_place": len(FACTS) - len(kept)}


def test_a_dry_run_of_librarieswests_days_shows_them_and_touches_nothing(tmp_path: Path) -> None:
    """On the real network, with two days of a copy or two."""
    for name in ("branches.csv", "hours.csv", "items_summary.csv"):
        (tmp_path / name).symlink_to(SAMPLE / name)
    (tmp_path / "in_transit").mkdir()
    for day, rows in {"2020-03-02": 2, "2020-03-03": 1}.items():
        lines = [
            ",".join(TransitRow._fields),
            *["2020-03-02,Adult Fiction,Bath Central Library,BNES,Taunton Library,Somerset"] * rows,
        ]
        (tmp_path / "in_transit" / f"{day}.csv").write_text("\n".join([*lines, f"{NAME},x"]))
    shown: list[str] = []
    report = historic_import.show_days(tmp_path, None, shown.append)
    assert report["told"] == {"copy.added": 2, "transfer.sent": 2, "transfer.received": 1}
    assert (report["files"], report["bad_lines"]) == (2, 2)
    assert len([line for line in shown if "specversion" in line]) == 5
    assert named_in(*shown) == []
