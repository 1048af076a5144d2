"""A change that is asked for twice happens once: `Idempotency-Key` (a header, or a field of a form) names the request.

The first answer is kept for a day and given to whoever asks again with the same key, credentials and content. Keys of other
people are other keys.
"""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qs

from fastapi import HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from rotation.store.tables import answers
from rotation.web.context import Web, guard, web_of

HEADER, FIELD = "idempotency-key", "idempotency_key"
LONGEST_KEY = 200
KEPT = "1 day"
DONE_WITHIN = "10 minutes"  # else the process that did it was killed
FORM = "application/x-www-form-urlencoded"
KEPT_HEADERS = ("content-type", "location", "retry-after")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class OnceRoute(APIRoute):
    """A route whose posts heed the key."""

    def get_route_handler(self) -> Handler:
        """Return the route's handler, asked once for each key."""
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = await _key_of(request) if request.method == "POST" else ""
            if not key:
                return await handle(request)
            await run_in_threadpool(guard, request)
            return await _once(request, key, handle)

        return once


async def _key_of(request: Request) -> str:
    key = request.headers.get(HEADER, "")
    if not key and request.headers.get("content-type", "").startswith(FORM):
        fields = parse_qs((await request.body()).decode("utf-8", "replace"))
        key = fields.get(FIELD, [""])[0]
    if len(key) > LONGEST_KEY:
        raise HTTPException(422, f"{HEADER}: at most {LONGEST_KEY} characters")
    return key


async def _once(request: Request, key: str, handle: Handler) -> Response:
    web, credentials = web_of(request), request.headers.get("authorization") or str(request.session.get("session"))
    name = _digest(credentials, request.url.path, key)
    content = _digest(request.url.query, (await request.body()).hex())
    if not await run_in_threadpool(_claimed, web, name, content):
        return await run_in_threadpool(_answer_of, web, name, content)
    kept = False
    try:
        response = await handle(request)
        if response.status_code < 500:
            kept = await run_in_threadpool(_keep, web, name, response)
    finally:
        if not kept:
            await run_in_threadpool(_let_go, web, name)
    return response


def _claimed(web: Web, name: str, content: str) -> bool:
    """Whether nobody has asked this before; forget the answers of yesterday on the way."""
    old = answers.c.at < func.now() - text(f"interval '{KEPT}'")
    given_up = answers.c.status.is_(None) & (answers.c.at < func.now() - text(f"interval '{DONE_WITHIN}'"))
    with web.engine.begin() as connection:
        connection.execute(delete(answers).where(old | given_up))
    try:
        with web.engine.begin() as connection:
            connection.execute(insert(answers).values(key=name, content=content))
    except IntegrityError:
        return False
    return True


def _answer_of(web: Web, name: str, content: str) -> Response:
    with web.engine.connect() as connection:
        kept = connection.execute(select(answers).where(answers.c.key == name)).first()
    if kept is None or kept.status is None:
        raise HTTPException(409, "the same is being done at this moment", {"Retry-After": "1"})
    if kept.content != content:
        raise HTTPException(422, f"this {HEADER} was sent with another request")
    return Response(bytes(kept.body), kept.status, {**kept.headers, "Idempotent-Replayed": "true"})


def _keep(web: Web, name: str, response: Response) -> bool:
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    values = {"status": response.status_code, "headers": headers, "body": bytes(response.body)}
    with web.engine.begin() as connection:
        connection.execute(update(answers).where(answers.c.key == name).values(values))
    return True


def _let_go(web: Web, name: str) -> None:
    with web.engine.begin() as connection:
        connection.execute(delete(answers).where(answers.c.key == name, answers.c.status.is_(None)))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
