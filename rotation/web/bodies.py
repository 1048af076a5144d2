"""Limits of a request's body: bytes are counted as they arrive, whatever the sender says, and before anybody is asked who it is.

A body that ends too late or grows too large is answered at once, and its connection is closed.
"""

import asyncio
from collections.abc import Mapping
from math import inf
from time import monotonic

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY_BYTES = 1_000_000  # of a form or a decision
SMALL_BODY_BYTES = 10_000  # where nobody need have signed in
LARGEST_PHOTO_BYTES = 12_000_000  # of a phone's camera
PHOTOS = "/photos"  # how the paths end that take one
LARGEST_OF: Mapping[str, float] = {
    "/events": inf,  # the route counts for itself, and keeps a rejection of a batch that is too large
    "/sign-in": SMALL_BODY_BYTES,
    "/sign-out": SMALL_BODY_BYTES,
}
PART_S = 10.0  # between two parts of a body
WHOLE_S = 60.0  # a megabyte over a telephone takes less


class _Refused(Exception):
    """The body is refused; the application's answer to that goes nowhere."""


class Bodies:
    """The middleware; the outermost, so that nothing reads a body before it."""

    def __init__(self, app: ASGIApp, part_s: float = PART_S, whole_s: float = WHOLE_S) -> None:
        """Stand before `app`."""
        self._app, self._part_s, self._whole_s = app, part_s, whole_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its body watched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        plain = LARGEST_PHOTO_BYTES + LARGEST_BODY_BYTES if scope["path"].endswith(PHOTOS) else LARGEST_BODY_BYTES
        most = LARGEST_OF.get(scope["path"], plain)
        body = _Body(most, receive, send, self._part_s, self._whole_s, whole=not _has_body(scope))
        if _declared(scope) > body.most:
            body.refusal = _too_large(body.most)
        else:
            await self._passed_on(scope, body)
        if body.refusal and not body.answered:
            await body.refusal(scope, receive, send)

    async def _passed_on(self, scope: Scope, body: "_Body") -> None:
        try:
            await self._app(scope, body.receive, body.send)
        except Exception:
            if body.refusal is None:
                raise


class _Body:
    """A request's body on its way in, and whether its answer has begun."""

    def __init__(
        self, most: float, receive: Receive, send: Send, part_s: float, whole_s: float, *, whole: bool
    ) -> None:
        self.most, self.answered = most, False
        self.refusal: Response | None = None
        self._receive, self._send, self._part_s = receive, send, part_s
        self._until, self._bytes, self._whole = monotonic() + whole_s, 0, whole

    async def receive(self) -> Message:
        """Return the next message; raises _Refused where the body is too large or too slow."""
        if self._whole:
            return await self._receive()
        try:
            wait_s = max(min(self._part_s, self._until - monotonic()), 0)
            message = await asyncio.wait_for(self._receive(), wait_s)
        except TimeoutError:
            self.refusal = _closing(408, "the body did not arrive in time")
            raise _Refused from None
        self._bytes += len(message.get("body", b""))
        self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        if self._bytes > self.most:
            self.refusal = _too_large(self.most)
            raise _Refused
        return message

    async def send(self, message: Message) -> None:
        """Pass the application's answer on, unless the body was refused before it began."""
        if self.refusal and not self.answered:
            return
        self.answered = True
        if (
            message["type"] == "http.response.start" and not self._whole
        ):  # the rest would be read and thrown away for ever
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await self._send(message)


def _has_body(scope: Scope) -> bool:
    return _declared(scope) > 0 or b"transfer-encoding" in dict(scope["headers"])


def _declared(scope: Scope) -> int:
    value = dict(scope["headers"]).get(b"content-length", b"")
    return int(value) if value.isdigit() else 0


def _too_large(most: float) -> Response:
    return _closing(413, f"at most {most} bytes")


def _closing(status: int, detail: str) -> Response:
    return JSONResponse({"detail": detail}, status, {"Connection": "close"})
