"""`POST /events`: a library system tells what happened, as CloudEvents 1.0, structured or batch.

202 when what is good of it stands in Kafka, with counts and the place of each event that was refused; 422 when nothing of it
is good. Whoever gets no answer sends again: the same ids have no second effect.
"""

from math import ceil
from threading import Lock
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from kafka import KafkaProducer
from kafka.errors import KafkaError

from config.kafka import client
from rotation.adapters.http import BATCH, STRUCTURED, Allowance, Checked, check, places
from rotation.events import FACTS, MAX_BATCH_BYTES, Edge, Reason, Rejection
from rotation.store import rejections
from rotation.store.clock import read_clock
from rotation.store.engine import driver
from rotation.web.auth import Caller
from rotation.web.context import CalledBy, Context, Web
from rotation.web.permissions import Role
from streams import clients
from streams.asyncapi import event_schema
from streams.topics import CIRCULATION_EVENTS

EDGE_NAME = "http"
ACK_S = 5.0  # longer, and the caller's own timeout comes first
CONTENT_TYPES = (STRUCTURED, BATCH, "application/json")
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


def sender_of(web: Web, request: Request) -> KafkaProducer:
    """Return the process's producer, made by the first events."""
    state = request.app.state
    with _making:
        if not hasattr(state, "sender"):
            state.sender = clients.producer(client(web.settings), max_block_ms=int(ACK_S * 1000))
        sender: KafkaProducer = state.sender
    return sender


def allowance_of(request: Request) -> Allowance:
    """Return what each source may still send to this process."""
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
    415: {"description": "Neither structured nor batch CloudEvents"},
    422: {"description": "Nothing of it can be applied; the place of each mistake"},
    429: {"description": "Too many events from this source; Retry-After says when to go on"},
    503: {"description": "Kafka or the database does not answer; send the same again"},
}

EVENT = {"oneOf": [event_schema(fact) for fact in FACTS]}
BODY = {
    "required": True,
    "content": {STRUCTURED: {"schema": EVENT}, BATCH: {"schema": {"type": "array", "items": EVENT}}},
}


@router.post("/events", status_code=202, responses=ANSWERS, openapi_extra={"requestBody": BODY})
def tell(
    request: Request,
    web: Context,
    caller: CalledBy,
    body: Annotated[bytes | None, Depends(body_of)],
    dry_run: bool = False,
) -> Response:
    """Take CloudEvents from a source; a dry run answers with what would be sent, and sends and keeps nothing."""
    kind = request.headers.get("content-type", "")
    if body is None:
        return _too_large(web, caller, dry_run)
    if kind.partition(";")[0].strip().lower() not in CONTENT_TYPES:
        raise HTTPException(415, f"expected {STRUCTURED} or {BATCH}")
    source = caller.name if caller.role is Role.SOURCE else None
    checked = check(body, kind, _edge(web), source)
    wait_s = allowance_of(request).wait_s(caller.name, len(checked.good) + len(checked.refused))
    if wait_s:
        return JSONResponse({"detail": f"wait {wait_s:.1f} s"}, 429, {"Retry-After": str(ceil(wait_s))})
    if dry_run:
        return JSONResponse(_said(checked) | {"would_send": checked.good}, 200 if checked.good else 422)
    if checked.good and not _sent(sender_of(web, request), checked.good):
        return JSONResponse({"detail": "Kafka does not answer; send the same again"}, 503, {"Retry-After": "5"})
    _record(web, checked.refused)
    return JSONResponse(_said(checked), 202 if checked.good else 422)


def _too_large(web: Web, caller: Caller, dry_run: bool) -> Response:
    if not dry_run:
        message = f"from {caller.name}: more than {MAX_BATCH_BYTES} bytes"
        _record(web, [Rejection(0, Reason.TOO_LARGE, "", message, b"")])
    return JSONResponse({"detail": f"at most {MAX_BATCH_BYTES} bytes; send smaller batches"}, 413)


def _said(checked: Checked) -> dict[str, Any]:
    refused = list(places(checked.refused))
    return {"accepted": len(checked.good), "refused": refused, "dropped_fields": checked.dropped}


def _edge(web: Web) -> Edge:
    with web.engine.connect() as connection:
        now = read_clock(connection).now()
    return Edge(frozenset(web.network.place), frozenset(one.id for one in web.network.classes), now)


def _sent(sender: KafkaProducer, good: list[dict[str, Any]]) -> bool:
    try:
        sender.send(CIRCULATION_EVENTS.name, orjson.dumps(good)).get(timeout=ACK_S)
    except KafkaError:
        return False
    return True


def _record(web: Web, refused: list[Rejection]) -> None:
    """Keep refused events beside those that the worker rejects, without what could name a reader."""
    if refused:
        with web.engine.begin() as connection:
            cursor = driver(connection).cursor()
            for one in refused:
                rejections.add_at_edge(cursor, EDGE_NAME, one)
