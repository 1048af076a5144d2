"""Health for machines: alive, ready, and figures for Prometheus."""

from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from rotation.store.tables import outbox
from rotation.views import notices
from rotation.views.status import parts as parts_of
from rotation.views.status import standstill
from rotation.web.context import Context, Database, network_now, web_of

router = APIRouter(include_in_schema=False)
REGISTRY = CollectorRegistry()
SECONDS = Histogram(
    "rotation_web_seconds",
    "Time to answer a request.",
    ("method", "route", "status"),
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5),
)
REFUSED = Counter("rotation_web_refused_total", "Requests refused.", ("why",), registry=REGISTRY)


@router.get("/health/live")
def live() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "alive"}


@router.get("/health/ready")
def ready(request: Request, parts: bool = False) -> Response:
    """Say whether pages can be shown: 503 while the database is away, with `parts` also while something stands still.

    A balancer asks without: the page shows which part stands still, and must not be taken away for it. A monitor asks with.
    """
    web = web_of(request)
    try:
        with web.engine.connect() as connection:
            still = standstill(connection, web.network.timezone, web.settings.plan_at)
    except SQLAlchemyError:
        return JSONResponse({"status": "unready", "database": False, "kafka": web.live.state.kafka}, 503)
    found = {"database": True, "kafka": web.live.state.kafka, "standing_still": still}
    return JSONResponse({"status": "ready" if not still else "degraded", **found}, 503 if still and parts else 200)


@router.get("/metrics")
def metrics(web: Context, connection: Database) -> Response:
    """Give this process's figures and the system's, as Prometheus reads them."""
    lines = [generate_latest(REGISTRY), *(generate_latest(_Given(metric)) for metric in _of_system(connection))]
    lines.append(
        generate_latest(_Given(_gauge("rotation_web_pages_open", "Pages that listen.", len(web.live.subscribers))))
    )
    return Response(b"".join(lines), media_type="text/plain; version=0.0.4; charset=utf-8")


class _Given(CollectorRegistry):
    """A registry of a metric that was just read."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)


def _of_system(connection: Connection) -> Iterator[Metric]:
    events = GaugeMetricFamily("rotation_events", "Events read, by what became of them.", labels=["outcome"])
    for name, count in notices.counts_of(connection).items():
        events.add_metric([name], count)
    yield events
    is_open = GaugeMetricFamily("rotation_alerts_open", "Open alerts, by kind.", labels=["kind"])
    for kind, count in notices.open_alerts_by_kind(connection).items():
        is_open.add_metric([kind], count)
    yield is_open
    now = network_now(connection)
    behind = GaugeMetricFamily(
        "rotation_feed_behind_seconds", "Network time since a feed's last event.", labels=["source"]
    )
    for feed in notices.feeds_of(connection):
        if feed.last_event_at:
            behind.add_metric([feed.source], (now - feed.last_event_at).total_seconds())
    yield behind
    silent = GaugeMetricFamily(
        "rotation_part_silent_seconds", "Since a part's last heartbeat.", labels=["part", "name"]
    )
    for one in parts_of(connection):
        silent.add_metric([one["part"], one["name"]], one["silent_s"])
    yield silent
    waiting = connection.execute(text(f"SELECT count(*) FROM {outbox.name}")).scalar_one()
    yield _gauge("rotation_outbox_rows", "Messages that wait for Kafka.", waiting)
