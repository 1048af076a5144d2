"""The messages of `transfer.orders` as models: AsyncAPI has their JSON Schemas, and tests hold every order to them.

An order is a CloudEvent in Kafka's binary mode: its attributes are the message's `ce_` headers, the value is its data. It is
sent at least once; one whose `ce_id` was there before is a repetition. `type` and its key (transfer; run; hub, day and
instant; place and day) say what it is about.
Instants are RFC 3339 with their zone, days ISO dates of the network's zone.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from rotation.facts.lifecycle import AlertKind

SOURCE, SPECVERSION, PREFIX = "rotation", "1.0", "ce_"
# The headers' schema: CloudEvents' Kafka binding, binary mode.
HEADERS = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"],
    "properties": {
        "ce_specversion": {"const": SPECVERSION},
        "ce_id": {"type": "string", "description": "The same whenever this order is sent again"},
        "ce_source": {"const": SOURCE},
        "ce_type": {"type": "string", "description": "The order's own type"},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it was given"},
        "content-type": {"const": "application/json"},
    },
}


def headers(order_id: int, value: bytes, given_at: datetime) -> list[tuple[str, bytes]]:
    """Return the headers that make an order a CloudEvent; `given_at` with its zone."""
    attributes = {
        "specversion": SPECVERSION,
        "id": str(order_id),
        "source": SOURCE,
        "type": _type_of(value),
        "time": given_at.astimezone(UTC).isoformat(),
    }
    named = [(PREFIX + name, text.encode()) for name, text in attributes.items()]
    return [*named, ("content-type", b"application/json")]


def _type_of(value: bytes) -> str:
    """Return the order's type; "order" where the value is none, which must not hold up the orders behind it."""
    try:
        return str(orjson.loads(value)["type"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return "order"


class Order(BaseModel):
    """The base of all orders: no field beside those named."""

    model_config = ConfigDict(extra="forbid")


class OrderPick(Order):
    """Take a copy from the shelf at `from` and check it in for `to`; `by` says who does."""

    type: Literal["order.pick"]
    transfer: str
    # "copy" is a method of every model.
    copy_id: str = Field(alias="copy")
    title: str | None
    from_place: str = Field(alias="from")
    to: str
    day: date
    reason: dict[str, Any]
    by: Literal["driver", "staff"]


class OrderedMachineVisit(Order):
    """The reason for a van's call at a self-service machine, the machine's figures, and the crates that its bin fills."""

    why: AlertKind
    reported: dict[str, Any]
    bin_crates: list[str]


class OrderedStop(Order):
    """A stop of a run: numbers of crates to hand over and to take, and copies that the driver takes out of a machine."""

    position: int
    place: str
    begins_at: AwareDatetime
    departs_at: AwareDatetime
    deliver: list[str]
    collect: list[str]
    collect_crates: int
    take_out: list[str] = []
    machine: OrderedMachineVisit | None = None


class OrderRun(Order):
    """Drive a van's stops in order."""

    type: Literal["order.run"]
    run: str
    # A later order of the same run has a higher one and replaces it.
    revision: int = 1
    van: str
    hub: str
    day: date
    departs_at: AwareDatetime
    returns_at: AwareDatetime
    stops: list[OrderedStop]


class OrderedCrate(Order):
    """A crate that a hub makes for the day's van, with the copies for its place."""

    crate: str
    to: str
    copies: list[str]


class OrderSort(Order):
    """Open the mixed crates at `at` and close crates by destination."""

    type: Literal["order.sort"]
    hub: str
    day: date
    at: AwareDatetime
    crates: list[OrderedCrate] = []


class OrderTrunk(Order):
    """Send the crates for another hub through the night."""

    type: Literal["order.trunk"]
    day: date
    from_hub: str
    to_hub: str
    departs_at: AwareDatetime
    arrives_at: AwareDatetime


class ListedCopy(Order):
    """A copy of a visit's list; it comes `from` or goes `to` another place."""

    transfer: str
    copy_id: str = Field(alias="copy")
    title: str | None
    from_place: str | None = Field(default=None, alias="from")
    to: str | None = None


class VisitList(Order):
    """The copies that a visit is known to take and to bring."""

    take: list[ListedCopy]
    bring: list[ListedCopy]


class OrderVisit(Order):
    """A van comes by appointment on `day`: so many copies are taken and brought, with those known by name."""

    type: Literal["order.visit"]
    place: str
    day: date
    take: int
    bring: int
    lists: VisitList = Field(alias="list")


class OrderCancel(Order):
    """Do not: a transfer whose order was sent is called off."""

    type: Literal["order.cancel"]
    transfer: str


class OrderWithdraw(Order):
    """Do not drive a run whose order was sent."""

    type: Literal["order.withdraw"]
    run: str


AnyOrder = Annotated[
    OrderPick | OrderRun | OrderSort | OrderTrunk | OrderVisit | OrderCancel | OrderWithdraw,
    Field(discriminator="type"),
]
ORDERS: TypeAdapter[Any] = TypeAdapter(AnyOrder)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of an order; its definitions stand in the document's own schemas."""
    return ORDERS.json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
