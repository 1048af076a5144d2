"""What Prometheus is told of a real worker, and that the dashboard asks for nothing else."""

import json
import re
import time

import httpx
import orjson
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.ports import HOST, new_port
from rotation.facts.events import CopyReturned
from rotation.kafka.message import Message
from streams import metrics
from streams.app import Batch
from streams.apply import Written
from streams.rows import Rows
from tests.streams_line import Line
from tests.streams_world import history, told
from tests.web_city import DEMO

DASHBOARD = json.loads((DEMO.parents[2] / "docs" / "grafana" / "rotation.json").read_text(encoding="utf-8"))
OF_THE_PAGE = {
    "rotation_alerts_open",
    "rotation_feed_behind_seconds",
    "rotation_outbox_rows",
}  # rotation/web/api/health.py
EVENTS = 40
ALL = EVENTS + 5 + 3  # five told twice, three bad

Figures = dict[str, dict[str, float]]


def figures(port: int) -> Figures:
    """Every sample by its name and the value of its label."""
    found: Figures = {}
    for family in text_string_to_metric_families(httpx.get(f"http://{HOST}:{port}/metrics", timeout=20).text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[",".join(sample.labels.values())] = sample.value
    return found


def test_a_worker_tells_what_it_did_and_where_things_stand(line: Line) -> None:
    port = new_port("figures", set())
    worker = line.start(str(port))
    events = history(3, EVENTS)
    line.send([orjson.dumps(events[:30]), orjson.dumps(events[30:]), orjson.dumps(events[:5]), b"{", b"{"])
    line.send([orjson.dumps([told(CopyReturned(copy="c1", place="nowhere"), 99)])])
    line.until(lambda: line.heard() == ALL, "all events")
    line.until(lambda: sum(figures(port)["rotation_worker_events_total"].values()) == ALL, "all events in the figures")
    told_now = figures(port)
    assert told_now["rotation_worker_events_total"]["duplicates"] == 5
    assert told_now["rotation_rejected_total"] == {"not_json": 2, "unknown_place": 1}
    assert told_now["rotation_worker_batch_messages_sum"][""] == 6
    assert told_now["rotation_worker_batch_events_sum"][""] == ALL
    assert (
        0 < told_now["rotation_worker_write_seconds_sum"][""] <= told_now["rotation_worker_delay_seconds_sum"][""] + 1
    )
    assert told_now["rotation_worker_lag_messages"] == {"0": 0, "1": 0, "2": 0}
    assert told_now["rotation_table_bytes"]["movements"] > 0
    assert asked_for() - OF_THE_PAGE - told_now.keys() == set()
    worker.kill()


def test_what_waits_in_kafka_while_the_database_is_locked_is_lag(line: Line) -> None:
    port = new_port("figures", set())
    line.start(str(port))
    line.send([orjson.dumps(history(3, 3))])
    line.until(lambda: line.heard() == 3, "the first events")
    with psycopg.connect(line.url) as locking:
        locking.execute("LOCK TABLE counts")
        line.send([orjson.dumps(event) for event in history(4, 30)])
        line.until(
            lambda: sum(figures(port).get("rotation_worker_lag_messages", {}).values()) == 30, "a lag of 30 messages"
        )
    line.until(lambda: sum(figures(port)["rotation_worker_lag_messages"].values()) == 0, "no lag")


def test_a_port_that_others_have_is_told_in_one_sentence() -> None:
    port = new_port("figures", set())
    nowhere = metrics.LookedUp("postgresql://nobody@127.0.0.1:1/none", {"bootstrap_servers": ["127.0.0.1:1"]}, "t", set)
    metrics.serve(HOST, port, nowhere)
    with pytest.raises(SystemExit, match="set ROTATION_METRICS_PORT to another"):
        metrics.serve(HOST, port, nowhere)
    metrics.REGISTRY.unregister(nowhere)


def test_what_is_away_leaves_out_its_own_figures_alone() -> None:
    nowhere = metrics.LookedUp("postgresql://nobody@127.0.0.1:1/none", {"bootstrap_servers": ["127.0.0.1:1"]}, "t", set)
    metrics.REGISTRY.register(nowhere)
    begin = time.monotonic()
    told_now = {family.name for family in metrics.REGISTRY.collect()}
    metrics.REGISTRY.unregister(nowhere)
    assert time.monotonic() - begin < 9  # Prometheus waits ten seconds
    assert "rotation_worker_events" in told_now
    assert not {"rotation_table_bytes", "rotation_worker_lag_messages"} & told_now


def test_a_batch_that_was_written_before_counts_for_nothing(monkeypatch: pytest.MonkeyPatch, line: Line) -> None:
    monkeypatch.setattr(metrics.Writer, "write", lambda *_: Written(0, 0, 0, 0))
    before = metrics.BATCH_EVENTS.collect()
    writer = metrics.MeasuredWriter.__new__(metrics.MeasuredWriter)
    writer.write(Batch((Message(0, 0, b""),), Rows(), []))
    assert [f.samples for f in before] == [f.samples for f in metrics.BATCH_EVENTS.collect()]


# --- The dashboard ------------------------------------------------------------------------------------------------------------


def queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def asked_for() -> set[str]:
    """The names of metrics in the dashboard's queries."""
    return {name for query in queries() for name in re.findall(r"\b(?:rotation|process)_\w+", query)}


def test_every_panel_of_the_dashboard_asks_for_something_and_has_a_place_of_its_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["targets"] and panel["type"] in PANEL_TYPES for panel in panels)
    taken = [(x, y) for panel in panels for x, y in cells(panel["gridPos"])]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


PANEL_TYPES = {"timeseries", "stat", "table", "bargauge"}


def cells(at: dict[str, int]) -> list[tuple[int, int]]:
    return [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
