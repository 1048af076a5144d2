"""Shared parts of the pages for hands: who works where, a scan as a form sends it, and the answer as a page shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

from babel.dates import format_date
from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy import Connection, select

from rotation.accounts.auth import Caller
from rotation.accounts.permissions import Role
from rotation.facts.clock import InstantInFile
from rotation.facts.hand_work import HandWork
from rotation.hands import door
from rotation.hands.door import HandAnswer, HandScan, OtherScan, Refused
from rotation.language import labels
from rotation.language.catalogues import Language
from rotation.language.hands import words_of
from rotation.language.reasons import sentence
from rotation.network import Network, Place
from rotation.store.clock import read_clock
from rotation.store.tables import scans
from rotation.views.day import runs_of
from rotation.web.context import CalledBy, Context, Database, Web, language_of, network_now, web_of
from rotation.web.render import environment, local, page

router = APIRouter(include_in_schema=False)
ScanId = Annotated[str, Form(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]
Code = Annotated[str, Form(max_length=door.LONGEST_CODE)]
ByPhone = Annotated[InstantInFile | None, Form()]  # an instant by the clock of whoever scans


@dataclass
class SentScan:
    """A scan as a form sends it: its id, the code, and when it was made and sent by the phone's own clock."""

    scan: str
    work: HandWork
    code: str
    at: datetime | None
    sent: datetime | None

    def at_place(
        self, connection: Connection, place: str, caller: Caller, run: str | None = None
    ) -> tuple[HandScan, int]:
        """Return the scan, made at `place` by `caller`, and the minutes by which the phone's clock is off."""
        when = door.scan_time(read_clock(connection), datetime.now(UTC), self.at, self.sent)
        code = self.code.replace("\0", "").strip()
        made = HandScan(self.scan, self.work, place, code, caller.name, when.at, when.received_at, run)
        return made, when.clock_off_min


async def _sent_scan(
    scan: ScanId, work: Annotated[HandWork, Form()], code: Code = "", at: ByPhone = None, sent: ByPhone = None
) -> SentScan:
    return SentScan(scan, work, code, at, sent)


BySender = Annotated[SentScan, Depends(_sent_scan)]


def place_of(network: Network, place_id: str) -> str:
    """Return a place's id; 404 for a place that is not in the network."""
    if place_id not in network.place:
        raise HTTPException(404, "place")
    return place_id


def follow(
    request: Request,
    connection: Connection,
    scan: HandScan,
    clock_off_min: int,
    act: Callable[[], HandAnswer],
    back: str,
) -> Response:
    """Follow a scan and answer it: a script with the words, a browser without one with the page `back` that shows them."""
    try:
        answer = door.answered(connection, scan, act if scan.code or scan.work in WITHOUT_A_CODE else _no_code)
    except OtherScan as other:
        raise HTTPException(409, str(other)) from other
    if "application/json" in request.headers.get("accept", ""):
        html = shown(request, answer, clock_off_min, scan.place_id, scan.scan_id)
        return JSONResponse({"tone": answer.tone, "code": answer.code, "html": html})
    return RedirectResponse(f"{back}{'&' if '?' in back else '?'}said={scan.scan_id}", 303)


# Counts of a handover, and what stands for no one copy or crate.
WITHOUT_A_CODE = frozenset({HandWork.HAND_OVER, HandWork.SERVE_MACHINE})


def _no_code() -> HandAnswer:
    raise Refused("unknown_code", scanned="–")


def said(request: Request, connection: Connection, place: str) -> str:
    """Return the answer that the address names, as HTML; empty where it names none of this place."""
    wanted = select(scans.c.answer).where(
        scans.c.scan_id == request.query_params.get("said", ""), scans.c.place_id == place
    )
    kept = connection.scalar(wanted)
    return shown(request, door.of_row(kept), 0, place, request.query_params["said"]) if kept else ""


def shown(request: Request, answer: HandAnswer, clock_off_min: int, place: str, scan_id: str) -> str:
    """Return an answer as HTML, in the request's language."""
    language, network = language_of(request), web_of(request).network
    words = words_of(answer.code, answer.values, language, speaker(network, language))
    template = environment(language.code).get_template("hands/answer.html")
    to = str(answer.values.get("to") or "")
    return template.render(
        answer=answer,
        words=words,
        place_code=network.code.get(to, "") if answer.code in LARGE_CODE else "",
        clock_off_min=clock_off_min,
        slip=f"/desk/{place}/slips/{scan_id}" if answer.code in WITH_A_SLIP else "",
        **local(network, language),
    )


# Answers that send something away, so that the code of where it goes is what the eye looks for.
LARGE_CODE = frozenset(
    {
        "send",
        "into",
        "sorted",
        "mis_sort",
        "hub_crate_closed",
        "closed_too_early",
        "taken",
        "picked_before",
        "fits",
        "misrouted",
        "crate_other_place",
        "crate_for_a_hub",
    }
)


# Answers of the returns desk, which staff may overrule.
WITH_A_SLIP = frozenset({"send", "keep", "hold"})


def speaker(network: Network, language: Language) -> Callable[[str, Any], str]:
    """Return how an answer's values are said: places, classes and crates by name, states as words, days in full."""
    names = local(network, language)
    by_name: dict[str, Callable[[Any], str]] = {
        "to": names["name"],
        "at": names["name"],
        "crate": lambda crate: crate_name(network, str(crate)),
        "other": lambda crate: crate_name(network, str(crate)),
        "first": lambda found: ", ".join(crate_name(network, crate) for crate in found),
        "rest": lambda numbers: ", ".join(map(str, numbers)),
        "goes_to": names["name"],
        "state": lambda state: labels.word(language, labels.STATES, state),
        "reason": lambda reason: sentence(reason, language),
        "wanted": names["class_name"],
        "title_class": names["class_name"],
        "days": lambda days: (", " if language.code == "en" else "、").join(map(str, days)),
        "when": lambda at: str(format_date(network.day_of(datetime.fromisoformat(at)), "long", locale=language.locale)),
    }
    return lambda name, value: by_name.get(name, str)(value)


def crate_name(network: Network, crate: str) -> str:
    """Return a label's number as people read it: of the plan's own the place's code and its number there; others as they are."""
    number, slash, bag = crate.rpartition("/")
    if slash and number:
        return f"{crate_name(network, number)}/{bag}"
    kind, _, rest = crate.partition("-")
    day, _, rest = rest.partition("-")
    place, _, number = rest.rpartition("-")
    planned = (
        len(kind) == 1 and len(day) == len("20260312") and day.isdigit() and place in network.code and number.isdigit()
    )
    return f"{network.code[place]}·{number}" if planned else crate


def hand_page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Answer with a page for hands."""
    web, language = web_of(request), language_of(request)

    def short(crate: str) -> str:
        return crate_name(web.network, crate)

    return page(
        request, f"hands/{template}", status, crate_name=short, code_of=web.network.code, spoken=language, **values
    )


# --- Where somebody works --------------------------------------------------------------------------------------------


@router.get("/hands")
def home(request: Request, web: Context, connection: Database, caller: CalledBy) -> Response:
    """Lead to the caller's own page: of the only place, or a choice of places."""
    today = _today(web, connection)
    mine = [place for place in web.network.places if caller.works_at(place.id)]
    driven = runs_of(connection, today, network_now(connection)) if caller.role is Role.DRIVER else []
    runs = [run for run in driven if caller.works_at(run.hub_id)]
    places = [] if caller.role is Role.DRIVER else mine
    if len(places) + len(runs) == 1:
        return RedirectResponse(f"/driver/{runs[0].run_id}" if runs else _own_page(caller, places[0]), 303)
    return hand_page(request, "choose.html", places=places, runs=runs, today=today)


def _own_page(caller: Caller, place: Place) -> str:
    return f"/hub/{place.id}" if place.hub and caller.role is Role.HUB else f"/branch/{place.id}"


def _today(web: Web, connection: Connection) -> date:
    return web.network.day_of(network_now(connection))
