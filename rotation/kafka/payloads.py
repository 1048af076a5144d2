"""The messages of all topics but events and orders, as models: AsyncAPI has their JSON Schemas, and tests hold messages to them.

Instants are RFC 3339 with their zone. Each message may come twice; its key, or the `outbox-id` in its header, says so.
"""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel

from rotation.facts.events import RejectionReason
from rotation.facts.lifecycle import AlertKind, AlertState
from rotation.kafka.topics import (
    CIRCULATION_REJECTED,
    ROUTE_REQUESTS,
    ROUTE_RESULTS,
    STOCK_ALERTS,
    STOCK_TARGETS,
    STOCK_TOUCHED,
    Topic,
)
from solver.problem import Problem
from solver.solution import Solution


class Payload(BaseModel):
    """The base of all messages: no field beside those named."""

    model_config = ConfigDict(extra="forbid")


class RejectionNotice(Payload):
    """An event that could not be applied: where it stands, and why; the original is in the table `rejections`."""

    # A topic, or an edge before it: http, file:NAME, koha:TABLE.
    topic: str
    partition: int
    offset: int
    # Position in its batch.
    index: int
    reason: RejectionReason
    field: str
    message: str


class TouchedPlace(Payload):
    """A place where copies changed: levels of these classes (null: of all) may have, and so may the copies awaited there."""

    place: str
    classes: list[str] | None
    awaited: bool


class TouchedPlaces(RootModel[list[TouchedPlace]]):
    """The places of a batch of events."""


class AlertChange(Payload):
    """An alert that opened or closed, at the instant of the network's clock, with the numbers that decided it."""

    alert: int
    what: AlertState
    kind: AlertKind
    place: str
    # Empty where an alert is of no class.
    title_class: str = Field(alias="class")
    at: AwareDatetime
    numbers: dict[str, Any]


class WantedPlace(Payload):
    """The place to which a copy should go when it is next in someone's hand; `to` null takes an earlier wish back."""

    type: Literal["wanted"]
    copy_id: str = Field(alias="copy")
    to: str | None
    plan: str


class SolvingLimits(Payload):
    """Limits of a search, of which the first that is reached ends it."""

    time_s: float
    iterations: int | None
    threads: int
    seed: int


class RouteRequest(Payload):
    """A routing problem; `id` follows from the problem and its limits."""

    id: str
    problem: Problem
    limits: SolvingLimits


class RouteError(Payload):
    """The reason why a request has no solution."""

    code: Literal["bad_request", "failed"]
    text: str


class RouteResult(Payload):
    """The solution of a request, or the reason why there is none; `worker` is the process that answered."""

    id: str | None
    worker: int
    solution: Solution | None = None
    error: RouteError | None = None


PAYLOADS: dict[Topic, type[BaseModel]] = {
    CIRCULATION_REJECTED: RejectionNotice,
    STOCK_TOUCHED: TouchedPlaces,
    STOCK_ALERTS: AlertChange,
    STOCK_TARGETS: WantedPlace,
    ROUTE_REQUESTS: RouteRequest,
    ROUTE_RESULTS: RouteResult,
}


REFERENCE = "#/components/schemas/{model}"


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each message and of its parts by name, for the document's own schemas."""
    found: dict[str, dict[str, Any]] = {}
    for model in PAYLOADS.values():
        schema = model.model_json_schema(by_alias=True, ref_template=REFERENCE)
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found
