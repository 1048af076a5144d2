"""`POST /events`: a library system sends events, as CloudEvents 1.0, binary, structured or batch, plain or gzip.

202 when its valid events are in Kafka, with counts and the place of each event that was refused; 422 when nothing of it
is good. Whoever gets no answer sends again: the same ids have no second effect.
"""

from math import ceil
from threading import Lock
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from kafka.errors import KafkaError

from config.kafka import client
from rotation.accounts.auth import Caller
from rotation.accounts.permissions import Role
from rotation.facts.events import FACTS, MAX_BATCH_BYTES, Edge, Rejection, RejectionReason, count
from rotation.feeds.http import (
    BATCH,
    STRUCTURED,
    Allowance,
    Checked,
    TooLarge,
    check,
    is_binary,
    places,
    structured,
    unpacked,
)
from rotation.kafka import clients
from rotation.kafka.asyncapi import event_schema
from rotation.kafka.topics import CIRCULATION_EVENTS, CIRCULATION_REJECTED
from rotation.store import rejections
from rotation.store.clock import read_clock
from rotation.store.engine import driver
from rotation.web.context import CalledBy, Context, Web

EDGE_NAME = "http"
ACK_S = 5.0  # longer, and the caller's own timeout comes first
ACK_MS = int(1000 * ACK_S)
CONTENT_TYPES = (STRUCTURED, BATCH, "application/json")
EXPECTED = (
    f"content-type is {{!r}}; expected {STRUCTURED}, {BATCH}, or application/json with the attributes in ce- headers"
)
router = APIRouter()
_making = Lock()


async def body_of(request: Request) -> bytes | None:
    """Read the body, None where it is larger than a message may be."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > MAX_BATCH_BYTES:
        return None
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BATCH_BYTES:
            return None
    return bytes(body)


def sender_of(web: Web, request: Request) -> clients.MendingProducer:
    """Return the process's sender, made by the first events."""
    state = request.app.state
    with _making:
        if not hasattr(state, "sender"):
            state.sender = clients.MendingProducer(
                client(web.settings), max_block_ms=ACK_MS, bootstrap_timeout_ms=ACK_MS
            )
        sender: clients.MendingProducer = state.sender
    return sender


def allowance_of(request: Request) -> Allowance:
    """Return how many events each source may still send to this process."""
    state = request.app.state
    with _making:
        if not hasattr(state, "allowance"):
            state.allowance = Allowance()
        found: Allowance = state.allowance
    return found


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "A dry run: what would be sent"},
    202: {"description": "What is good of it stands in Kafka; the places of what is not"},
    413: {"description": "More bytes than a message may have; send smaller batches"},
    415: {"description": "Neither CloudEvents nor JSON, or packed otherwise than by gzip; which of them"},
    422: {"description": "Nothing of it can be applied; the place of each mistake"},
    429: {"description": "Too many events from this source; Retry-After says when to go on"},
    503: {"description": "Kafka or the database does not answer; send the same again"},
}

EVENT = {"oneOf": [event_schema(fact) for fact in FACTS]}
DATA = {"type": "object", "description": "An event's data alone, where its attributes stand in ce- headers"}
BODY = {
    "required": True,
    "content": {
        STRUCTURED: {"schema": EVENT},
        BATCH: {"schema": {"type": "array", "items": EVENT}},
        "application/json": {"schema": DATA},
    },
}


@router.post("/events", status_code=202, responses=ANSWERS, openapi_extra={"requestBody": BODY})
def tell(
    request: Request,
    web: Context,
    caller: CalledBy,
    body: Annotated[bytes | None, Depends(body_of)],
    dry_run: bool = False,
) -> Response:
    """Take CloudEvents from a source; a dry run answers with the events that would be sent, and sends and keeps nothing."""
    try:
        body, kind = _as_sent(request, body)
    except TooLarge:
        return _too_large(web, caller, dry_run)
    except ValueError as wrong:
        raise HTTPException(415, f"content-encoding {wrong}") from wrong
    source = caller.name if caller.role is Role.SOURCE else None
    wait_s = allowance_of(request).wait_s(caller.name, count(body), len(body))
    if wait_s:
        return JSONResponse({"detail": f"wait {wait_s:.1f} s"}, 429, {"Retry-After": str(ceil(wait_s))})
    checked = check(body, kind, _edge(web), source)
    if dry_run:
        return JSONResponse(_said(checked) | {"would_send": checked.good}, 200 if checked.good else 422)
    if checked.good and (unsent := _send(sender_of(web, request), checked.good)):
        return unsent
    _record(web, checked.refused)
    return JSONResponse(_said(checked), 202 if checked.good else 422)


def _as_sent(request: Request, body: bytes | None) -> tuple[bytes, str]:
    """Return the events as JSON, and their content type; an event of binary mode as structured mode has it.

    Raises
    ------
    TooLarge, ValueError
        When the body cannot be unpacked.
    HTTPException
        When its content type is none of ours.
    """
    if body is None:
        raise TooLarge
    plain, told = unpacked(body, request.headers.get("content-encoding", "")), request.headers.get("content-type", "")
    kind = told.partition(";")[0].strip().lower()
    binary = is_binary(request.headers, kind)
    if kind not in (*CONTENT_TYPES, *([""] if binary else [])):
        raise HTTPException(415, EXPECTED.format(told))
    return (structured(request.headers, plain), STRUCTURED) if binary else (plain, told)


def _too_large(web: Web, caller: Caller, dry_run: bool) -> Response:
    if not dry_run:
        message = f"from {caller.name}: more than {MAX_BATCH_BYTES} bytes"
        _record(web, [Rejection(0, RejectionReason.TOO_LARGE, "", message, b"")])
    return JSONResponse({"detail": f"at most {MAX_BATCH_BYTES} bytes; send smaller batches"}, 413)


def _said(checked: Checked) -> dict[str, Any]:
    refused = list(places(checked.refused))
    return {"accepted": len(checked.good), "refused": refused, "dropped_fields": checked.dropped}


def _edge(web: Web) -> Edge:
    with web.engine.connect() as connection:
        return Edge.of(web.network, read_clock(connection).now())


def _send(sender: clients.MendingProducer, good: list[dict[str, Any]]) -> Response | None:
    """Send the events; where that fails, return whether to send them again."""
    try:
        sender.send(CIRCULATION_EVENTS.name, orjson.dumps(good), ACK_S)
    except clients.RefusedByKafka as never:
        return JSONResponse({"detail": f"Kafka refuses these events, and would again: {never}"}, 422)
    except KafkaError:
        return JSONResponse({"detail": "Kafka does not answer; send the same again"}, 503, {"Retry-After": "5"})
    return None


def _record(web: Web, refused: list[Rejection]) -> None:
    """Keep refused events beside those that the worker rejects, without any part that could name a reader."""
    if refused:
        with web.engine.begin() as connection:
            rejections.add_at_edge(driver(connection).cursor(), EDGE_NAME, refused, CIRCULATION_REJECTED.name)
