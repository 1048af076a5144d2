"""After a form: back to the page that it was sent from, which shows the result once and keeps the input.

A redirect answers each form, so that a reload sends nothing again. Who sends a form from no page of ours (a script, a test) gets
the status instead.
"""

from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

FLASH = "flash"  # in the session
# Characters of a form that are kept: a cookie holds 4 kB, signed and in base64.
LONGEST_KEPT = 1_500
SECRET_FIELDS = frozenset({"password", "old", "new", "again"})


def came_from(request: Request) -> str | None:
    """Return the page of ours that a form was sent from, None where it came from elsewhere."""
    parts = urlsplit(request.headers.get("referer", ""))
    if not parts.path or parts.netloc != request.url.netloc:
        return None
    return parts.path + (f"?{parts.query}" if parts.query else "")


def say(request: Request, message: str, *, secret: str = "", is_bad: bool = True) -> None:
    """Keep a sentence for the next page that this browser opens; `secret` is shown beside it, once."""
    request.session[FLASH] = {"message": message, "secret": secret, "bad": is_bad}


def back(
    request: Request,
    to: str,
    message: str,
    *,
    secret: str = "",
    is_bad: bool = True,
    typed: Iterable[tuple[str, object]] = (),
    beside: Mapping[str, str] | None = None,
) -> RedirectResponse:
    """Redirect to a page that says `message` and, in the form that was refused, shows the input `typed` again.

    `beside`: sentences by field, for a page that shows them there.
    """
    say(request, message, secret=secret, is_bad=is_bad)
    if beside:
        request.session[FLASH] |= {"beside": dict(beside)}
    fields = [(name, value) for name, value in typed if name not in SECRET_FIELDS and isinstance(value, str)]
    if sum(len(name) + len(value) for name, value in fields) <= LONGEST_KEPT:
        request.session[FLASH] |= {"action": request.url.path, "fields": fields}
    return RedirectResponse(to, 303)


def refused(
    request: Request, message: str, otherwise: Callable[[], Response], typed: Iterable[tuple[str, object]] = ()
) -> Response:
    """Send back to the form's own page with the reason and the input; who came from no page of ours gets `otherwise`."""
    to = came_from(request)
    return back(request, to, message, typed=typed) if to else otherwise()


def taken(request: Request) -> dict[str, object] | None:
    """Return the message that the last form left, and forget it."""
    left = request.session.pop(FLASH, None) if "session" in request.scope else None
    return left if isinstance(left, dict) else None
