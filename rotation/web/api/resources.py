"""The same figures and decisions for machines: JSON under /api, described by /api/openapi.json, with a bearer token."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from rotation.dispatch import receipts, review
from rotation.facts.clock import Day as WrittenDay
from rotation.night import requested_sets, visits, what_if
from rotation.night.what_if import NO_NUL
from rotation.store.engine import driver
from rotation.views import balance, explanations, last_night, notices, status, unplaced
from rotation.views import day as days
from rotation.web.background import Busy
from rotation.web.context import CalledBy, Context, Database, InLanguage, at_place, network_now, network_today
from rotation.web.once import OnceRoute
from rotation.web.pages.decide import LONGEST_WHY, refusal
from rotation.web.pages.questions import BUSY, newest_night, on_own

Plain = Annotated[str, Query(max_length=200, pattern=NO_NUL)]
Id = Annotated[str, Path(max_length=200, pattern=NO_NUL)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
On = Annotated[WrittenDay, Path(alias="day")]
RETRY_S = 60  # as the words say: as long as the few who wait may take

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body cannot be read"},
    401: {"description": "No token, or one that is not valid (any more)"},
    403: {"description": "The token's role or scopes do not allow this"},
    503: {"description": "The database is away; try again"},
}
router = APIRouter(prefix="/api", responses=ERRORS, route_class=OnceRoute)


@router.get("/status")
def read_status(web: Context) -> dict[str, Any]:
    """Return the figures of the whole network, as `rotation status --json` does."""
    return status.figures(web.engine, web.network.timezone, web.settings.plan_at)


class DayResource(BaseModel):
    """A day: its hubs' plans and its runs with their stops."""

    day: date
    plans: list[days.HubPlan]
    runs: list[days.RunLine]


@router.get("/days/{day}")
def read_day(connection: Database, on: On) -> DayResource:
    """Return a day; empty where nothing is planned for it."""
    return DayResource(
        day=on, plans=days.hub_plans(connection, on), runs=days.runs_of(connection, on, network_now(connection))
    )


class Transfers(BaseModel):
    """A page of a day's transfers, and how many there are on all pages."""

    count: int
    transfers: list[days.Transfer]


@router.get("/days/{day}/transfers")
def read_transfers(
    connection: Database,
    on: On,
    run: Plain = "",
    place: Plain = "",
    kind: Plain = "",
    state: Plain = "",
    text: Plain = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    rows: Limit = days.PAGE_ROWS,
) -> Transfers:
    """Return the transfers that travel on a day."""
    wanted = days.Wanted(run, place, kind, state, text, page, rows)
    found = days.transfers_of(connection, on, wanted)
    return Transfers(count=days.count_transfers(connection, on, wanted), transfers=found)


@router.get("/runs/{run_id}", responses={404: {"description": "No run of that id"}})
def read_run(connection: Database, run_id: Id) -> days.RunLine:
    """Return a run with its stops."""
    run = days.run_of(connection, run_id, network_now(connection))
    if run is None:
        raise HTTPException(404, f"no run {run_id!r}")
    return run


@router.get("/imbalance")
def read_imbalance(
    web: Context, connection: Database, kind: Plain = "", tier: Plain = "", cls: Plain = "", place: Plain = ""
) -> list[balance.Level]:
    """Return the levels that are out of balance, the worst first."""
    found = web.balance.levels(connection, web.network)
    return balance.matching(found, kind=kind, tier=tier, title_class=cls, place=place)


@router.get("/night", responses={404: {"description": "No night was planned yet"}})
def read_night(connection: Database, place: Plain = "") -> last_night.NightSummary:
    """Return the last night's prices, floors and lists, of a place if asked for."""
    found = last_night.last(connection, place)
    if found is None:
        raise HTTPException(404, "no night")
    return found


@router.get("/why-not", responses={404: {"description": "No night was planned yet"}})
def read_why_not(web: Context, title: Plain, place: Plain) -> dict[str, Any]:
    """Return why no copy of a title goes to a place, at the last night's prices, or the transfer that brings it."""
    try:
        with web.engine.connect() as connection:
            return explanations.not_there(connection, web.network, web.settings, title, place)
    except explanations.NoNight as error:
        raise HTTPException(404, str(error)) from error


WHAT_IF_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "It cannot be, with the reason"},
    429: {"description": "Other questions are waiting for answers; Retry-After says when to ask again"},
}


@router.post("/what-if", responses=WHAT_IF_ERRORS)
def ask_what_if(web: Context, language: InLanguage, asked: what_if.WhatIf) -> dict[str, Any]:
    """Plan today as it is and with a change, and return both. Questions are answered in turn; nothing is kept."""
    ask = partial(what_if.beside_todays, network=web.network, settings=web.settings, asked=asked)
    question = asked.model_dump_json(), on_own(web, newest_night)
    try:
        piece = web.works.ask(question, partial(on_own, web, ask))
        found: dict[str, Any] = piece.future.result()
    except Busy as error:
        raise HTTPException(429, language.say(BUSY), {"Retry-After": str(RETRY_S)}) from error
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
    return found


@router.get("/sets")
def read_sets(connection: Database) -> list[requested_sets.SetProgress]:
    """Return the sets that were asked for, and how far each has come."""
    return requested_sets.progress(connection)


class AskedSet(BaseModel):
    """A set: `titles`, or `copies` of a class that are new to the place."""

    model_config = ConfigDict(extra="forbid")

    place: str = Field(max_length=200, pattern=NO_NUL)
    due: WrittenDay
    titles: list[Annotated[str, Field(max_length=200, pattern=NO_NUL)]] = Field(
        default=[], max_length=requested_sets.MOST_COPIES
    )
    title_class: str | None = Field(default=None, alias="class", max_length=200, pattern=NO_NUL)
    copies: int = Field(default=0, ge=0, le=requested_sets.MOST_COPIES)
    return_on: WrittenDay | None = None
    note: str = Field(default="", max_length=200, pattern=NO_NUL)


@router.post("/sets", responses={400: {"description": "It cannot be, with the reason"}})
def ask_set(web: Context, connection: Database, caller: CalledBy, asked: AskedSet) -> dict[str, str]:
    """Ask for a set; the answer is its id."""
    try:
        wanted = requested_sets.SetRequest(**asked.model_dump())
        return {"set": requested_sets.ask(connection, web.network, wanted, who=caller.name, at=network_now(connection))}
    except requested_sets.NotPossible as error:
        raise HTTPException(400, str(error)) from error


@router.post("/sets/{set_id}/cancel", responses={404: {"description": "No such set, or cancelled before"}})
def cancel_set(connection: Database, set_id: Id) -> dict[str, str]:
    """Gather no more of a set."""
    try:
        requested_sets.cancel(connection, set_id, network_now(connection))
    except requested_sets.NotPossible as error:
        raise HTTPException(404, str(error)) from error
    return {"set": set_id}


@router.get("/visits")
def read_visits(web: Context, connection: Database) -> list[visits.AnnouncedVisit]:
    """Return the announced visits from today on."""
    return visits.coming(connection, network_today(web, connection))


CANNOT_BE_RECEIVED: dict[int | str, dict[str, Any]] = {
    404: {"description": "No such crate was closed for a place"},
    409: {"description": "It is for another place or a hub, was not collected, or stands elsewhere"},
}


@router.get("/crates/{crate_id}", responses=CANNOT_BE_RECEIVED)
def read_crate(
    web: Context, connection: Database, caller: CalledBy, crate_id: Id, place: Plain = ""
) -> receipts.ReceivableCrate:
    """Return the number of copies that receiving a crate would receive; a token that is bound to places names its place."""
    at_place(caller, place)
    with receivable():
        return receipts.arrived(driver(connection), web.network, crate_id, network_now(connection), place or None)


@router.post("/crates/{crate_id}/received", responses=CANNOT_BE_RECEIVED)
def receive_crate(
    web: Context, connection: Database, caller: CalledBy, crate_id: Id, place: Plain = ""
) -> dict[str, int]:
    """Receive all copies of a crate where nobody scans them, at `place`; the answer says how many."""
    at_place(caller, place)
    with receivable():
        copies = receipts.receive(
            driver(connection), web.network, crate_id, who=caller.name, at=network_now(connection), place=place or None
        )
    return {"received": copies}


@contextmanager
def receivable() -> Iterator[None]:
    """Answer a crate that cannot be received with its reason."""
    try:
        yield
    except receipts.NotReceived as error:
        raise HTTPException(404 if error.obstacle is receipts.Obstacle.UNKNOWN else 409, str(error)) from error


@router.get("/alerts")
def read_alerts(
    connection: Database, open: bool = True, kind: Plain = "", place: Plain = "", limit: Limit = 200, offset: Offset = 0
) -> list[notices.Alert]:
    """Return open or closed alerts, the newest first."""
    return notices.alerts_of(connection, is_open=open, kind=kind, place=place, limit=limit, offset=offset)


@router.get("/rejections")
def read_rejections(
    connection: Database, caller: CalledBy, reason: Plain = "", limit: Limit = 200, offset: Offset = 0
) -> list[notices.RejectionLine]:
    """Return rejected events, the newest first: their content to those who decide, to others the forms of their fields."""
    return notices.rejections_of(connection, content=caller.decides, reason=reason, limit=limit, offset=offset)


@router.get("/unplaced")
def read_unplaced(connection: Database, limit: Limit = 200, offset: Offset = 0) -> list[unplaced.UnplacedCopy]:
    """Return the copies that nobody can place, by the place that last had them."""
    return unplaced.unplaced_copies(connection, limit, offset)


@router.get("/feeds")
def read_feeds(connection: Database) -> list[notices.FeedStatus]:
    """Return every source of events with its last event."""
    return notices.feeds_of(connection)


class DecisionRequest(BaseModel):
    """A decision on a run, a hub's day, or a day; `seen` are the plans' versions that it rests on."""

    model_config = ConfigDict(extra="forbid")

    action: review.Action
    day: WrittenDay
    hub: str | None = Field(default=None, max_length=200, pattern=NO_NUL)
    run: str | None = Field(default=None, max_length=200, pattern=NO_NUL)
    seen: dict[str, int]
    why: str = Field(default="", max_length=LONGEST_WHY, pattern=NO_NUL)


@router.post(
    "/decisions",
    responses={
        400: {"description": "Sent back without saying why"},
        404: {"description": "No such plan"},
        409: {"description": "Decided or changed meanwhile, or its hour has gone; nothing was done"},
    },
)
def decide(
    web: Context, connection: Database, caller: CalledBy, language: InLanguage, asked: DecisionRequest
) -> review.Outcome:
    """Approve, or send back."""
    subject, now = review.Subject(asked.day, asked.hub, asked.run), network_now(connection)
    try:
        return review.decide(
            connection, web.network, asked.action, subject, who=caller.name, why=asked.why, at=now, seen=asked.seen
        )
    except review.NOT_DECIDED as error:
        connection.rollback()
        code, words = refusal(error, language, web.network)
        raise HTTPException(code, words) from error
