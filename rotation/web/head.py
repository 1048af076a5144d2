"""HEAD, as GET without its body: monitors and proxies ask so whether a page is there."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """The middleware: it asks the application for GET, and keeps the body back."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        begun = False

        async def heard() -> Message:
            return {"type": "http.disconnect"} if begun else await receive()  # a stream need not go on

        async def said(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start" and not begun:
                begun = True
                await send(message)
                await send({"type": "http.response.body", "body": b""})

        await self._app({**scope, "method": "GET"}, heard, said)
