"""A library system as the writing process sees it.

Each write-back is begun by noting the system's answer before. Where its answer was lost, `done` compares that with its answer
now, so that nothing is made twice.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import httpx

from rotation.facts.write_back import WriteBackFault, WriteBackKind

ANSWER_LENGTH = 300  # kept of a system's words, for the page
NO_SUCH = (httpx.codes.NOT_FOUND, httpx.codes.GONE)
NOT_ALLOWED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
# Not judged yet: the same may be asked again.
LATER = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS)


class WriteBackTask(NamedTuple):
    """A write-back: the copy by its barcode and, where it is known, its number there; `hold` is the id of a hold to drop."""

    write_back_id: int
    kind: WriteBackKind
    copy_id: str
    barcode: str
    item: int | None
    place_id: str
    transfer_id: str | None
    at: datetime
    hold: str | None
    before: str | None


class WriteBackDone(NamedTuple):
    """A write-back that is done: its id there (None: none was given), and the system's words."""

    answer_id: str | None
    words: str


class NotWritten(Exception):
    """A write-back that the system refuses, or cannot do now (AWAY)."""

    def __init__(self, fault: WriteBackFault, words: str, wait_s: float = 0) -> None:
        super().__init__(words)
        self.fault, self.wait_s = fault, wait_s


class LibrarySystem(Protocol):
    """A library system that is written back to."""

    @property
    def name(self) -> str:
        """Its name here."""

    @property
    def kinds(self) -> Collection[WriteBackKind]:
        """The kinds that are switched on."""

    @property
    def places(self) -> Mapping[str, Any]:
        """The network's places that it knows, each with its own name for it."""

    def before(self, task: WriteBackTask) -> str:
        """Return the system's answer on the copy now, without any reader; raises NotWritten."""

    def done(self, task: WriteBackTask) -> WriteBackDone | None:
        """Return whether a task that was begun is done, by the system's answer beside `task.before`; raises NotWritten."""

    def write(self, task: WriteBackTask) -> WriteBackDone:
        """Do it; raises NotWritten."""


def asked(client: httpx.Client, method: str, path: str, **more: object) -> httpx.Response:
    """Return an answer that is neither an error of the server nor a request to come later.

    Raises
    ------
    NotWritten
        With AWAY.
    """
    try:
        answer = client.request(method, path, **more)  # type: ignore[arg-type]
    except httpx.HTTPError as error:
        raise NotWritten(WriteBackFault.AWAY, f"{type(error).__name__}: {error}") from error
    if answer.is_server_error or answer.status_code in LATER:
        wait = answer.headers.get("retry-after", "")
        raise NotWritten(WriteBackFault.AWAY, said(answer), float(wait) if wait.isdigit() else 0)
    return answer


def well(answer: httpx.Response) -> httpx.Response:
    """Return an answer of success; raises NotWritten with the fault of any other."""
    if answer.is_success:
        return answer
    fault = WriteBackFault.REFUSED
    if answer.status_code in NOT_ALLOWED:
        fault = WriteBackFault.NOT_ALLOWED
    elif answer.status_code in NO_SUCH:
        fault = WriteBackFault.UNKNOWN_ITEM
    raise NotWritten(fault, said(answer))


def said(answer: httpx.Response) -> str:
    """Return the status and the words of a refusal; of a success the status alone, since its content may name a reader."""
    return f"{answer.status_code} {'' if answer.is_success else answer.text}"[:ANSWER_LENGTH].strip()
