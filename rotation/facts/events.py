"""The facts that library systems, desks, vans and hubs send, as CloudEvents 1.0 whose `data` is a model below.

A Kafka message or an HTTP body is a CloudEvents batch (a JSON array; a lone event is a batch too). No reader's identity
has a field here, and unknown fields are refused, so none can come in.
"""

import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import reduce
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from rotation.facts.clock import Instant
from rotation.facts.lifecycle import CrateState, TransferState
from rotation.facts.movements import CopyState, Movement

SPEC_VERSION = "1.0"
SCHEMA_VERSION = 1
FUTURE_TOLERANCE = timedelta(minutes=5)  # clocks of library systems differ by minutes, not more
EARLIEST = datetime(
    1900, 1, 1, tzinfo=UTC
)  # no library system holds a circulation older than this; a mistyped year does
MAX_BATCH_BYTES = 1_000_000  # Kafka's own default for a message, less room for its headers
# Of less than a hundred bytes each no event has what an event needs; each would be a rejection of its own.
MAX_BATCH_EVENTS = 10_000

Text = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]  # PostgreSQL's text holds no NUL
Words = Annotated[str, Field(max_length=300, pattern=r"^[^\x00]*$")]
# Where a column has slipped, a reader's name or mail address stands for an id. An id has no space, comma or @, and letters of
# other scripts only beside a digit; a barcode has a digit. (A spreadsheet's titles are ids as they stand.)
Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^(?:[!-+\--?A-~]+|[^\s,@\x00]*[0-9][^\s,@\x00]*)$")]
Barcode = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^,@\x00]*[0-9][^,@\x00]*$")]
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def _code(value: object) -> object:
    """Return a reason that is a code; None for free text, which may name a reader and decides nothing."""
    return value if not isinstance(value, str) or _CODE.fullmatch(value) else None


Code = Annotated[str | None, BeforeValidator(_code)]
FaultCode = Annotated[
    str, Field(pattern=f"^{_CODE.pattern}$")
]  # a machine's fault decides something: free text is refused
MOST_IN_A_MACHINE = 10_000  # the largest hold some hundreds


class Fact(BaseModel):
    """The `data` of an event."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: ClassVar[str]
    state: ClassVar[CopyState | None] = None  # the copy's state from then on; None where the fact moves no copy
    place_fields: ClassVar[tuple[str, ...]] = ()  # its fields that name places of the network

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.place_fields = tuple(name for name in ("place", "to") if name in cls.model_fields)


class CopyFact(Fact):
    """A fact about a copy at a place."""

    copy_id: Id = Field(alias="copy")
    place: Text


class ShelvedFact(CopyFact):
    """A fact that may say where the copy stands below its place, and which barcode it bears beside its id.

    The newest fact that says any of it replaces all of it.
    """

    call_number: Text | None = None
    room: Text | None = None
    collection: Text | None = None
    shelf: Text | None = None
    barcode: Barcode | None = None

    @property
    def shelving(self) -> tuple[str, ...]:
        """Call number, room, collection, shelf mark and barcode; empty where the fact says none of them."""
        found = (self.call_number, self.room, self.collection, self.shelf, self.barcode)
        return tuple(one or "" for one in found) if any(found) else ()


class CopyAdded(ShelvedFact):
    """A copy entered the stock: from here on its title is known and it can be planned with."""

    type: ClassVar[str] = "copy.added"
    state: ClassVar[CopyState | None] = CopyState.ON_SHELF
    title: Text
    title_class: Text = Field(alias="class")
    title_name: Words | None = None
    volume_of: Text | None = None  # the work of several volumes that the title belongs to; its volumes stand together
    owner: Text | None = None
    fixed: bool = False  # reference stock and the like, which never leaves its place


class CopyLoaned(CopyFact):
    """Lent at `place`."""

    type: ClassVar[str] = "copy.loaned"
    state: ClassVar[CopyState | None] = CopyState.ON_LOAN


class CopyReturned(CopyFact):
    """Came back at `place`, wherever it had been lent."""

    type: ClassVar[str] = "copy.returned"
    state: ClassVar[CopyState | None] = CopyState.ON_SHELF


class CopyRenewed(CopyFact):
    """The loan made at `place` goes on."""

    type: ClassVar[str] = "copy.renewed"
    state: ClassVar[CopyState | None] = CopyState.ON_LOAN


class CopyMissing(CopyFact):
    """Not found where it should be."""

    type: ClassVar[str] = "copy.missing"
    state: ClassVar[CopyState | None] = CopyState.MISSING


class CopyFound(CopyFact):
    """Turned up at `place`."""

    type: ClassVar[str] = "copy.found"
    state: ClassVar[CopyState | None] = CopyState.ON_SHELF


class CopyDamaged(CopyFact):
    """Taken off the shelf for repair."""

    type: ClassVar[str] = "copy.damaged"
    state: ClassVar[CopyState | None] = CopyState.DAMAGED


class CopyWithdrawn(CopyFact):
    """Left the stock."""

    type: ClassVar[str] = "copy.withdrawn"
    state: ClassVar[CopyState | None] = CopyState.WITHDRAWN


class CopyCorrected(ShelvedFact):
    """The library system states the present, whatever it sent before."""

    type: ClassVar[str] = "copy.corrected"
    now: CopyState


class HoldFact(Fact):
    """A fact about a hold of a title (or of a copy) to be fetched at `place`."""

    hold: Id
    title: Text
    place: Text
    copy_id: Id | None = Field(default=None, alias="copy")


class HoldPlaced(HoldFact):
    """A reader waits."""

    type: ClassVar[str] = "hold.placed"


class HoldSuspended(HoldFact):
    """The reader waits no longer for now; `hold.placed` says when again."""

    type: ClassVar[str] = "hold.suspended"


class HoldCancelled(HoldFact):
    """The reader no longer waits."""

    type: ClassVar[str] = "hold.cancelled"


class HoldExpired(HoldFact):
    """Waited too long, or was not fetched."""

    type: ClassVar[str] = "hold.expired"


class HoldFilled(HoldFact):
    """A copy stands on the hold shelf of `place`."""

    type: ClassVar[str] = "hold.filled"
    state: ClassVar[CopyState | None] = CopyState.ON_HOLD_SHELF
    copy_id: Id = Field(alias="copy")


class TransferFact(CopyFact):
    """A fact about a copy's transfer; `transfer` is ours where we ordered it, the library system's own otherwise."""

    transfer_state: ClassVar[TransferState]  # the transfer's state while this is its last fact
    transfer: Id | None = None
    reason: Code = None  # a code such as not_found; free text is dropped


class TransferPicked(TransferFact):
    """Taken from the shelf and put into `crate`."""

    type: ClassVar[str] = "transfer.picked"
    transfer_state: ClassVar[TransferState] = TransferState.PICKED
    state: ClassVar[CopyState | None] = CopyState.PICKED
    crate: Id | None = None


class TransferDeclined(TransferFact):
    """Not picked: not found, or the place says no."""

    type: ClassVar[str] = "transfer.declined"
    transfer_state: ClassVar[TransferState] = TransferState.DECLINED


class TransferSent(TransferFact):
    """Checked in at the sending desk `place` for `to`; only scans of its crate tell desk, van and hub apart."""

    type: ClassVar[str] = "transfer.sent"
    transfer_state: ClassVar[TransferState] = TransferState.SENT
    state: ClassVar[CopyState | None] = CopyState.IN_TRANSIT
    to: Text
    crate: Id | None = None


class TransferReceived(TransferFact):
    """Checked in at its destination."""

    type: ClassVar[str] = "transfer.received"
    transfer_state: ClassVar[TransferState] = TransferState.RECEIVED
    state: ClassVar[CopyState | None] = CopyState.ON_SHELF


class TransferMissed(TransferFact):
    """Should have left `place` and did not (no room, van did not come)."""

    type: ClassVar[str] = "transfer.missed"
    transfer_state: ClassVar[TransferState] = TransferState.MISSED


class TransferCancelled(TransferFact):
    """Called off; the copy stays at `place`."""

    type: ClassVar[str] = "transfer.cancelled"
    transfer_state: ClassVar[TransferState] = TransferState.CANCELLED
    state: ClassVar[CopyState | None] = CopyState.ON_SHELF


class TransferMisrouted(TransferFact):
    """Turned up at `place`, still meant for `to`."""

    type: ClassVar[str] = "transfer.misrouted"
    transfer_state: ClassVar[TransferState] = TransferState.SENT
    state: ClassVar[CopyState | None] = CopyState.IN_TRANSIT
    to: Text


class TransferLost(TransferFact):
    """Given up after a search."""

    type: ClassVar[str] = "transfer.lost"
    transfer_state: ClassVar[TransferState] = TransferState.LOST
    state: ClassVar[CopyState | None] = CopyState.MISSING


class CrateFact(Fact):
    """A scan of a crate's label at `place`."""

    crate: Id
    place: Text


class CrateClosed(CrateFact):
    """Closed at `place` for `to`, with the copies in it."""

    type: ClassVar[str] = CrateState.CLOSED.value
    to: Text
    copies: Annotated[tuple[Id, ...], Field(max_length=500)] = ()


class CrateCollected(CrateFact):
    """Put into a van."""

    type: ClassVar[str] = CrateState.COLLECTED.value
    run: Id | None = None


class CrateAtHub(CrateFact):
    """Set down at a hub."""

    type: ClassVar[str] = CrateState.AT_HUB.value


class CrateDelivered(CrateFact):
    """Handed over at its destination."""

    type: ClassVar[str] = CrateState.DELIVERED.value
    run: Id | None = None


class MachineReported(Fact):
    """A self-service machine says how it stands: copies in its return bin, free slots, and a fault as a code, if any."""

    type: ClassVar[str] = "machine.reported"
    place: Text
    bin_copies: Annotated[int, Field(ge=0, le=MOST_IN_A_MACHINE)]
    free_slots: Annotated[int, Field(ge=0, le=MOST_IN_A_MACHINE)]
    fault: FaultCode | None = None


FACTS: tuple[type[Fact], ...] = (
    CopyAdded,
    CopyLoaned,
    CopyReturned,
    CopyRenewed,
    CopyMissing,
    CopyFound,
    CopyDamaged,
    CopyWithdrawn,
    CopyCorrected,
    HoldPlaced,
    HoldSuspended,
    HoldCancelled,
    HoldExpired,
    HoldFilled,
    TransferPicked,
    TransferDeclined,
    TransferSent,
    TransferReceived,
    TransferMissed,
    TransferCancelled,
    TransferMisrouted,
    TransferLost,
    CrateClosed,
    CrateCollected,
    CrateAtHub,
    CrateDelivered,
    MachineReported,
)
FACT_OF_TYPE: dict[str, type[Fact]] = {fact.type: fact for fact in FACTS}


class Envelope(BaseModel):
    """CloudEvents 1.0 attributes as we use them; `sequence` orders events that carry the same time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    specversion: Literal["1.0"]
    id: Id
    source: Text
    type: Text
    time: Instant
    sequence: int = Field(default=0, ge=0, le=2**31 - 1)
    subject: str | None = Field(default=None, max_length=128)
    datacontenttype: str = Field(default="application/json", pattern=r"^application/json")
    dataschema: str | None = Field(default=None, max_length=200)
    data: dict[str, Any]


class Event(NamedTuple):
    """A valid event."""

    id: str
    source: str
    time: datetime
    sequence: int
    fact: Fact

    def movement(self) -> Movement | None:
        """Return the movement of a copy, or None where the fact moves none."""
        fact: Any = self.fact
        state = fact.now if fact.type == CopyCorrected.type else fact.state
        if state is None:
            return None
        to = fact.to if "to" in fact.place_fields else None
        return Movement(fact.copy_id, self.time, self.sequence, self.source, self.id, state, fact.place, to)


class RejectionReason(StrEnum):
    """Why an event is rejected: a closed list, each with its sentence for librarians in both languages in the catalogue."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_A_BATCH = "not_a_batch"
    TOO_LARGE = "too_large"
    ENVELOPE = "envelope"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_VERSION = "unknown_version"
    DATA = "data"
    NO_ZONE = "no_zone"
    IN_THE_FUTURE = "in_the_future"
    UNKNOWN_PLACE = "unknown_place"
    UNKNOWN_CLASS = "unknown_class"
    WRONG_HEADER = "wrong_header"
    REFUSED_BY_STORE = "refused_by_store"


class Rejection(NamedTuple):
    """An event that cannot be applied: its place in the batch, why, where in it, and the bytes as they came."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a rejection
    reason: RejectionReason
    field: str
    message: str
    original: bytes


class Named(Protocol):
    """A thing with an id."""

    @property
    def id(self) -> str:
        """The id."""


class PlaceIds(Protocol):
    """The parts of a network that an edge checks against: places by id, and classes."""

    @property
    def place(self) -> Mapping[str, Any]:
        """The places by their ids."""

    @property
    def classes(self) -> Sequence[Named]:
        """The classes."""


class Edge(NamedTuple):
    """The context of a check: the ids that exist, and the instant after which a time is the future."""

    places: frozenset[str]
    classes: frozenset[str]
    now: datetime

    @classmethod
    def of(cls, network: PlaceIds, now: datetime) -> "Edge":
        """Return the edge of a network (a `rotation.network.Network`, or its like) at an instant."""
        return cls(frozenset(network.place), frozenset(known.id for known in network.classes), now)


_ENVELOPE: TypeAdapter[Envelope] = TypeAdapter(Envelope)
_FACT: dict[str, TypeAdapter[Fact]] = {name: TypeAdapter(fact) for name, fact in FACT_OF_TYPE.items()}
Headers = Sequence[tuple[str, bytes]]


def _whole(fact: type[Fact]) -> Any:
    """Return the model of an envelope that holds this fact."""
    told: Any = Literal[fact.type]
    return create_model(fact.__name__ + "Event", __base__=Envelope, type=(told, ...), data=(fact, ...))


_BATCH: TypeAdapter[list[Any]] = TypeAdapter(
    list[Annotated[reduce(operator.or_, map(_whole, FACTS)), Field(discriminator="type")]]  # type: ignore
)


def parse(batch: bytes, edge: Edge, headers: Headers = ()) -> Iterator[Event | Rejection]:
    """Yield each event of a batch, valid or rejected, in its order; never raises on any bytes.

    `headers` are the message's own (Kafka's, HTTP's); a header that contradicts the content rejects the whole batch.
    """
    if len(batch) > MAX_BATCH_BYTES:
        yield Rejection(
            0, RejectionReason.TOO_LARGE, "", f"{len(batch)} bytes; at most {MAX_BATCH_BYTES}", batch[:MAX_BATCH_BYTES]
        )
        return
    if too_many := _too_many(batch):
        yield too_many
        return
    latest = edge.now + FUTURE_TOLERANCE
    good = None if headers else _all_good(batch, edge, latest)
    yield from _one_by_one(batch, edge, headers, latest) if good is None else good


def _all_good(batch: bytes, edge: Edge, latest: datetime) -> list[Event] | None:
    """Return the events of a batch without errors, as nearly all are: a single call reads it, in a third of the time."""
    try:
        told = _BATCH.validate_json(batch)
        events = [Event(one.id, one.source, one.time.astimezone(UTC), one.sequence, one.data) for one in told]
    except (ValidationError, OverflowError):  # a time at the end of the calendar has no UTC
        return None
    if any(map(_wrong_version, told)) or any(_wrong(one.time, one.fact, edge, latest) for one in events):
        return None
    return events or None


def _one_by_one(batch: bytes, edge: Edge, headers: Headers, latest: datetime) -> Iterator[Event | Rejection]:
    """Return the valid events and the rejections, member by member."""
    found, rejection = members(batch, headers)
    if rejection:
        yield rejection
    for index, member in enumerate(found):
        yield _event(index, member, edge, latest)


def count(batch: bytes, headers: Headers = ()) -> int:
    """Return how many events and rejections `parse` yields."""
    return 1 if len(batch) > MAX_BATCH_BYTES else max(len(members(batch, headers)[0]), 1)


def members(batch: bytes, headers: Headers = ()) -> tuple[list[dict[str, Any]], Rejection | None]:
    """Return the objects of a batch, which may be events, or why it is none."""
    try:
        value = orjson.loads(batch)
    except orjson.JSONDecodeError as error:
        return [], _unreadable(batch, error)
    found = value if isinstance(value, list) else [value]
    if too_many := _too_many(batch):
        return [], too_many
    if not found or not all(isinstance(member, dict) for member in found):
        return [], Rejection(0, RejectionReason.NOT_A_BATCH, "", "expected an event or an array of events", batch)
    wrong = next((wrong for key, told in headers if (wrong := _wrong_header(key.lower(), told, value))), None)
    return ([], Rejection(0, RejectionReason.WRONG_HEADER, *wrong, batch)) if wrong else (found, None)


def _too_many(batch: bytes) -> Rejection | None:
    """Return the rejection of a batch with more members than events fit in; where few commas are, none are counted."""
    if batch.count(b",") < MAX_BATCH_EVENTS:
        return None
    try:
        value = orjson.loads(batch)
    except orjson.JSONDecodeError:
        return None
    found = len(value) if isinstance(value, list) else 1
    told = f"{found} events; at most {MAX_BATCH_EVENTS}"
    return Rejection(0, RejectionReason.TOO_LARGE, "", told, batch) if found > MAX_BATCH_EVENTS else None


def _unreadable(batch: bytes, error: orjson.JSONDecodeError) -> Rejection:
    try:
        batch.decode("utf-8")
    except UnicodeDecodeError as not_text:
        return Rejection(0, RejectionReason.NOT_UTF8, f"byte {not_text.start}", "the bytes are not UTF-8", batch)
    return Rejection(0, RejectionReason.NOT_JSON, f"line {error.lineno} column {error.colno}", error.msg, batch)


def _wrong_header(key: str, told: bytes, value: Any) -> tuple[str, str] | None:
    """Return the first wrong header and its error, or None: another shape or charset, an attribute that differs."""
    text = told.decode("utf-8", "replace").strip()
    if key == "content-encoding" and text.lower() not in ("", "identity"):
        return key, f"says {text!r}, but the content is plain JSON"
    if key in ("content-type", "contenttype"):
        return _wrong_content_type(key, text.lower().replace(" ", ""), value)
    attribute = key.removeprefix("ce_").removeprefix("ce-")
    if attribute != key and isinstance(value, dict) and str(value.get(attribute, text)) != text:
        return key, f"says {text!r}, the event {str(value.get(attribute))!r}"
    return None


def _wrong_content_type(key: str, told: str, value: Any) -> tuple[str, str] | None:
    kind, _, parameters = told.partition(";")
    charset = parameters.partition("charset=")[2].split(";")[0].strip('"')
    if charset not in ("", "utf-8", "utf8"):
        return key, f"says charset {charset!r}, but JSON is UTF-8"
    shape = {"application/cloudevents-batch+json": list, "application/cloudevents+json": dict}.get(kind, list | dict)
    if "json" not in kind or not isinstance(value, shape):
        return (
            key,
            f"says {kind!r}, but the content is {'an array of events' if isinstance(value, list) else 'one event'}",
        )
    return None


def _event(index: int, member: dict[str, Any], edge: Edge, latest: datetime) -> Event | Rejection:
    """Check a member; the first thing wrong decides the reason."""
    try:
        envelope = _ENVELOPE.validate_python(member)
    except ValidationError as error:
        return _rejected(index, member, _envelope_reason(error), error)
    known = _FACT.get(envelope.type)
    if known is None:
        return _refused(index, member, RejectionReason.UNKNOWN_TYPE, "type", f"unknown event type {envelope.type!r}")
    if wrong := _wrong_version(envelope):
        return _refused(index, member, *wrong)
    try:
        fact = known.validate_python(envelope.data)
    except ValidationError as error:
        return _rejected(index, member, RejectionReason.DATA, error, "data.")
    if wrong := _wrong(envelope.time, fact, edge, latest):
        return _refused(index, member, *wrong)
    return Event(envelope.id, envelope.source, envelope.time.astimezone(UTC), envelope.sequence, fact)


Wrong = tuple[RejectionReason, str, str]


def _wrong(time: datetime, fact: Fact, edge: Edge, latest: datetime) -> Wrong | None:
    return _wrong_time(time, latest) or _wrong_place(fact, edge) or _wrong_class(fact, edge)


def _wrong_version(envelope: Envelope) -> Wrong | None:
    if envelope.dataschema and not envelope.dataschema.endswith(f"/{envelope.type}/{SCHEMA_VERSION}"):
        return RejectionReason.UNKNOWN_VERSION, "dataschema", f"only version {SCHEMA_VERSION} is known"
    return None


def _wrong_time(time: datetime, latest: datetime) -> Wrong | None:
    if time > latest:
        now = latest - FUTURE_TOLERANCE
        return (
            RejectionReason.IN_THE_FUTURE,
            "time",
            f"{time.isoformat()} is after the network's clock, {now.isoformat()}",
        )
    if time < EARLIEST:
        return RejectionReason.ENVELOPE, "time", f"{time.isoformat()} is before {EARLIEST.year}"
    return None


def _wrong_place(fact: Fact, edge: Edge) -> Wrong | None:
    for field in fact.place_fields:
        place = getattr(fact, field)
        if place not in edge.places:
            return RejectionReason.UNKNOWN_PLACE, f"data.{field}", f"no place {place!r} in the network"
    return None


def _wrong_class(fact: Fact, edge: Edge) -> Wrong | None:
    if isinstance(fact, CopyAdded) and fact.title_class not in edge.classes:
        return RejectionReason.UNKNOWN_CLASS, "data.class", f"no class {fact.title_class!r} in the network"
    return None


def _envelope_reason(error: ValidationError) -> RejectionReason:
    no_zone = any(e["type"] == "timezone_aware" for e in error.errors())
    return RejectionReason.NO_ZONE if no_zone else RejectionReason.ENVELOPE


def _rejected(
    index: int, member: dict[str, Any], reason: RejectionReason, error: ValidationError, under: str = ""
) -> Rejection:
    first = error.errors()[0]
    return _refused(index, member, reason, under + ".".join(map(str, first["loc"])), first["msg"])


def _refused(index: int, member: dict[str, Any], reason: RejectionReason, field: str, message: str) -> Rejection:
    return Rejection(index, reason, field, message, orjson.dumps(member))


def cloud_event(
    fact: Fact, *, event_id: str, source: str, time: datetime, sequence: int = 0, subject: str | None = None
) -> dict[str, Any]:
    """Return a fact as a structured CloudEvent, ready for `orjson.dumps` alone or in a batch."""
    envelope: dict[str, Any] = {
        "specversion": SPEC_VERSION,
        "id": event_id,
        "source": source,
        "type": fact.type,
        "time": time.isoformat(),
        "data": fact.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True),
    }
    if sequence:
        envelope["sequence"] = sequence
    if subject:
        envelope["subject"] = subject
    return envelope
