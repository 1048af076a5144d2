"""The same figures and decisions for machines: JSON under /api, described by /api/openapi.json, with a bearer token."""

from datetime import date
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from rotation import review, sets, status, visits, what_if, why
from rotation.coverage import Added
from rotation.dispatch import receipts
from rotation.network import Tier
from rotation.rebalancing.what_if import Change
from rotation.store.engine import driver
from rotation.web import balance, night, notices
from rotation.web import day as days
from rotation.web.context import CalledBy, Context, Database, InLanguage, network_now, network_today
from rotation.web.decide import LONGEST_WHY, refusal
from rotation.web.questions import BUSY, last_night, on_own
from rotation.web.work import Busy

NO_NUL = r"^[^\x00]*$"  # PostgreSQL's text holds anything else
Plain = Annotated[str, Query(max_length=200, pattern=NO_NUL)]
Id = Annotated[str, Path(max_length=200, pattern=NO_NUL)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
On = Annotated[date, Path(alias="day")]
RETRY_S = 60  # as the words say: as long as the few who wait may take

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body cannot be read"},
    401: {"description": "No token, or one that is not valid (any more)"},
    403: {"description": "The token's role may not do this"},
    503: {"description": "The database is away; try again"},
}
router = APIRouter(prefix="/api", responses=ERRORS)


@router.get("/status")
def read_status(web: Context) -> dict[str, Any]:
    """Return the figures of the whole network, as `rotation status --json` does."""
    return status.figures(web.engine, web.network.timezone)


class Day(BaseModel):
    """A day: its hubs' plans and its runs with their stops."""

    day: date
    plans: list[days.HubPlan]
    runs: list[days.Run]


@router.get("/days/{day}")
def read_day(connection: Database, on: On) -> Day:
    """Return a day; empty where nothing is planned for it."""
    return Day(day=on, plans=days.hub_plans(connection, on), runs=days.runs_of(connection, on))


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
def read_run(connection: Database, run_id: Id) -> days.Run:
    """Return a run with its stops."""
    run = days.run_of(connection, run_id)
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
def read_night(connection: Database, place: Plain = "") -> night.Night:
    """Return the last night's prices, floors and lists, of one place if asked for."""
    found = night.last(connection, place)
    if found is None:
        raise HTTPException(404, "no night")
    return found


@router.get("/why-not", responses={404: {"description": "No night was planned yet"}})
def read_why_not(web: Context, title: Plain, place: Plain) -> dict[str, Any]:
    """Return why no copy of a title goes to a place, at the last night's prices, or the transfer that brings it."""
    try:
        with web.engine.connect() as connection:
            return why.not_there(connection, web.network, web.settings, title, place)
    except why.NoNight as error:
        raise HTTPException(404, str(error)) from error


class Place(BaseModel):
    """Where a place is, or would be."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=200, pattern=NO_NUL)
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=180)


class NewPlace(Place):
    """One that there is not yet."""

    tier: Tier = Tier.ROOM


class WhatIf(BaseModel):
    """What would be different; left out: as it is. `capacity`: what a place takes in and gives away, times so much."""

    model_config = ConfigDict(extra="forbid")

    moves: int | None = Field(default=None, ge=0, le=1_000_000)
    move_price: float | None = Field(default=None, ge=0)
    equity: float | None = Field(default=None, ge=0)
    fresh_bonus: float | None = Field(default=None, ge=0)
    floor_bonus: float | None = Field(default=None, ge=0)
    capacity: dict[str, float] = Field(default={}, max_length=1000)
    closed: list[str] = Field(default=[], max_length=1000)
    added: list[NewPlace] = Field(default=[], max_length=100)
    moved: list[Place] = Field(default=[], max_length=100)


WHAT_IF_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "It cannot be, with the reason"},
    429: {"description": "Others have asked and wait; Retry-After says when to ask again"},
}


@router.post("/what-if", responses=WHAT_IF_ERRORS)
def ask_what_if(web: Context, language: InLanguage, asked: WhatIf) -> dict[str, Any]:
    """Plan today beside itself with a change and return both; one question after the other, each in seconds; nothing is kept."""
    change = Change(asked.moves, asked.move_price, asked.equity, asked.fresh_bonus, asked.floor_bonus)
    places: dict[str, Any] = {
        "capacity": asked.capacity,
        "closed": asked.closed,
        "added": [Added(one.id, one.lat, one.lon, one.tier) for one in asked.added],
        "moved": {one.id: (one.lat, one.lon) for one in asked.moved},
    }
    ask = partial(what_if.beside_todays, network=web.network, settings=web.settings, change=change, **places)
    question = asked.model_dump_json(), on_own(web, last_night)
    try:
        piece = web.works.ask(question, partial(on_own, web, ask))
        found: dict[str, Any] = piece.future.result()
    except Busy as error:
        raise HTTPException(429, language.say(BUSY), {"Retry-After": str(RETRY_S)}) from error
    except ValueError as error:
        raise HTTPException(400, str(error)) from error
    return found


@router.get("/sets")
def read_sets(connection: Database) -> list[sets.Standing]:
    """Return the sets that were asked for, and how far each has come."""
    return sets.standing(connection)


class AskedSet(BaseModel):
    """A set: `titles`, or `copies` of a class that are new to the place."""

    model_config = ConfigDict(extra="forbid")

    place: str = Field(max_length=200, pattern=NO_NUL)
    due: date
    titles: list[Annotated[str, Field(max_length=200, pattern=NO_NUL)]] = Field(default=[], max_length=sets.MOST_COPIES)
    title_class: str | None = Field(default=None, alias="class", max_length=200, pattern=NO_NUL)
    copies: int = Field(default=0, ge=0, le=sets.MOST_COPIES)
    return_on: date | None = None
    note: str = Field(default="", max_length=200, pattern=NO_NUL)


@router.post("/sets", responses={400: {"description": "It cannot be, with the reason"}})
def ask_set(web: Context, connection: Database, caller: CalledBy, asked: AskedSet) -> dict[str, str]:
    """Ask for a set; the answer is its id."""
    try:
        wanted = sets.Asked(**asked.model_dump())
        return {"set": sets.ask(connection, web.network, wanted, who=caller.name, at=network_now(connection))}
    except sets.NotPossible as error:
        raise HTTPException(400, str(error)) from error


@router.post("/sets/{set_id}/cancel", responses={404: {"description": "No such set, or cancelled before"}})
def cancel_set(connection: Database, set_id: Id) -> dict[str, str]:
    """Gather no more of a set."""
    try:
        sets.cancel(connection, set_id, network_now(connection))
    except sets.NotPossible as error:
        raise HTTPException(404, str(error)) from error
    return {"set": set_id}


@router.get("/visits")
def read_visits(web: Context, connection: Database) -> list[visits.Visit]:
    """Return the announced visits from today on."""
    return visits.coming(connection, network_today(web, connection))


@router.post("/crates/{crate_id}/received", responses={404: {"description": "No such crate was closed for a place"}})
def receive_crate(connection: Database, crate_id: Id) -> dict[str, int]:
    """Receive all copies of a crate where nobody scans them; the answer says how many."""
    try:
        return {"received": receipts.receive(driver(connection), crate_id, network_now(connection))}
    except receipts.UnknownCrate as error:
        raise HTTPException(404, str(error)) from error


@router.get("/alerts")
def read_alerts(
    connection: Database, open: bool = True, kind: Plain = "", place: Plain = "", limit: Limit = 200, offset: Offset = 0
) -> list[notices.Alert]:
    """Return open or closed alerts, the newest first."""
    return notices.alerts_of(connection, is_open=open, kind=kind, place=place, limit=limit, offset=offset)


@router.get("/rejections")
def read_rejections(
    connection: Database, reason: Plain = "", limit: Limit = 200, offset: Offset = 0
) -> list[notices.Rejected]:
    """Return rejected events, the newest first."""
    return notices.rejections_of(connection, reason=reason, limit=limit, offset=offset)


@router.get("/feeds")
def read_feeds(connection: Database) -> list[notices.Feed]:
    """Return every source of events with its last one."""
    return notices.feeds_of(connection)


class Decision(BaseModel):
    """A decision on a run, a hub's day, or a day; `seen` are the plans' versions that it rests on."""

    model_config = ConfigDict(extra="forbid")

    action: review.Action
    day: date
    hub: str | None = Field(default=None, max_length=200, pattern=NO_NUL)
    run: str | None = Field(default=None, max_length=200, pattern=NO_NUL)
    seen: dict[str, int]
    why: str = Field(default="", max_length=LONGEST_WHY, pattern=NO_NUL)


@router.post(
    "/decisions",
    responses={
        400: {"description": "Sent back without saying why"},
        404: {"description": "No such plan"},
        409: {"description": "Decided or changed meanwhile; nothing was done"},
    },
)
def decide(
    web: Context, connection: Database, caller: CalledBy, language: InLanguage, asked: Decision
) -> review.Outcome:
    """Approve, or send back."""
    subject, now = review.Subject(asked.day, asked.hub, asked.run), network_now(connection)
    try:
        return review.decide(
            connection, web.network, asked.action, subject, who=caller.name, why=asked.why, at=now, seen=asked.seen
        )
    except (review.DecidedMeanwhile, review.NothingThere, review.WhyNeeded) as error:
        connection.rollback()
        code, words = refusal(error, language, web.network)
        raise HTTPException(code, words) from error
