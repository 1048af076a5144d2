"""A reader's name that came in by a slipped column: found and removed everywhere, and everything goes on as before."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import psycopg
import pytest

from rotation.kafka.recount import missing_events
from rotation.kafka.topics import Topic
from rotation.store import progress
from rotation.store.audit import audit
from rotation.system import purge
from tests.streams_line import PARTITIONS, Line
from tests.streams_process import topics
from tests.streams_world import history, standing

NAME = "Anna Mustermann"
IN_CHINESE = "欧阳小雨"


@pytest.fixture
def line(kafka: str, database: str, tmp_path: Path) -> Iterator[Line]:
    made = Line(kafka, database, tmp_path)
    yield made
    made.close()


def slipped(events: list[dict[str, object]]) -> list[bytes]:
    """The events a message each; a title bears a reader's name, and two events are refused for the name in their id."""
    events[0]["data"]["title_name"] = NAME  # type: ignore[index]
    events[1]["data"]["title_name"] = IN_CHINESE  # type: ignore[index]
    refused = [{**events[2], "id": NAME}, {**events[3], "id": IN_CHINESE}]
    escaped = orjson.dumps(events[1]).decode().encode("ascii", "backslashreplace")
    return [*map(orjson.dumps, events), *map(orjson.dumps, refused), escaped]


def everything(line: Line, wanted: list[Topic], logs: Path) -> list[purge.Finds]:
    return [purge.find(text, line.url, line.client, logs, wanted) for text in (NAME, IN_CHINESE)]


def test_a_purged_name_stands_nowhere_and_the_stream_goes_on(line: Line, tmp_path: Path, monkeypatch) -> None:
    events, name = history(seed=7, events=120), topics(line.prefix).events
    wanted = [Topic(name, "", PARTITIONS, -1, False, (), (), "")]
    values, logs, work = slipped(events), tmp_path / "logs", tmp_path / "purge"
    logs.mkdir()
    (logs / "page.log").write_text(f"before\nrefused: {NAME}\n", encoding="utf-8")
    line.start()
    line.send(values)
    line.until(lambda: line.heard() == len(values), "all of it")
    line.kill()
    before = standing(line.url)
    assert [bool(one) for one in everything(line, wanted, logs)] == [True, True]

    given = (line.url, line.client, logs, work, print)
    with monkeypatch.context() as killed:
        killed.setattr(purge, "send_partition", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            purge.purge(NAME, *given, topics=wanted)
    assert purge.unfinished(work) == [name]
    purge.purge(NAME, *given, topics=wanted)
    purge.purge(IN_CHINESE, *given, topics=wanted)

    assert [str(one) for one in everything(line, wanted, logs)] == ["nowhere", "nowhere"]
    assert standing(line.url) == before
    with psycopg.connect(line.url) as connection, connection.cursor() as cursor:
        assert audit(cursor) == []
        assert missing_events(line.client, progress.counted(cursor, name), name) == 0
        recorded = cursor.execute("SELECT about FROM security_log WHERE what = 'purged'").fetchall()
    assert len(recorded) == 2
    assert NAME not in str(recorded)
    line.start()
    line.send([orjson.dumps(event) for event in history(seed=8, events=60)[50:]])
    line.until(lambda: line.heard() == len(values) + 10, "what came after it")


def test_a_text_that_stands_in_everything_is_not_looked_for(line: Line, tmp_path: Path) -> None:
    with pytest.raises(purge.TooShort):
        purge.find("ab", line.url, line.client, tmp_path, [])
