"""Requested sets with their progress, and the form for a new set; announced visits; crates received whole."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BeforeValidator

from rotation.dispatch import receipts
from rotation.dispatch.receipts import Obstacle, ReceivableCrate
from rotation.facts.clock import Day
from rotation.language.catalogues import Language
from rotation.language.labels import N_
from rotation.night import requested_sets, visits
from rotation.store.engine import driver
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web, network_now, network_today
from rotation.web.flash import back, refused
from rotation.web.once import OnceRoute
from rotation.web.render import local, page

router = APIRouter(include_in_schema=False, route_class=OnceRoute)
LONGEST = 20_000  # characters of a list of titles
Text = Annotated[str, Form(max_length=200)]
DayOrNone = Annotated[Day | None, BeforeValidator(lambda text: text or None), Form()]


@router.get("/sets")
def listed(request: Request, web: Context, connection: Database, language: InLanguage, crate: str = "") -> Response:
    """Show the sets and, where somebody receives a `crate`, how many copies lie in it."""
    label = crate.replace("\0", "").strip()
    try:
        arrived = receipts.arrived(driver(connection), web.network, label, network_now(connection)) if label else None
    except receipts.NotReceived as wrong:
        return _not_received(request, web, connection, language, wrong, label)
    return _page(request, web, connection, arrived=arrived)


@router.post("/sets")
def ask(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    place: Text,
    due: Annotated[Day, Form()],
    titles: Annotated[str, Form(max_length=LONGEST)] = "",
    cls: Text = "",
    copies: Annotated[int, Form(ge=0)] = 0,
    return_on: DayOrNone = None,
    note: Text = "",
) -> Response:
    """Request a set, or say why it is not possible."""
    wanted = titles.replace("\0", "").split()
    asked = requested_sets.SetRequest(
        place, due, wanted, None if wanted else cls or None, copies, return_on, note.replace("\0", "")
    )
    try:
        requested_sets.ask(connection, web.network, asked, who=caller.name, at=network_now(connection))
    except requested_sets.NotPossible as wrong:
        message = wrong.say(language.code)
        typed = [
            ("place", place),
            ("titles", titles),
            ("cls", cls),
            ("copies", str(copies)),
            ("due", str(due)),
            ("note", note),
        ]
        return refused(request, message, lambda: _page(request, web, connection, message, 400), typed)
    return RedirectResponse("/sets", 303)


@router.post("/sets/{set_id}/cancel")
def cancel(request: Request, web: Context, connection: Database, language: InLanguage, set_id: str) -> Response:
    """Stop gathering a set."""
    try:
        requested_sets.cancel(connection, set_id, network_now(connection))
    except requested_sets.NotPossible as wrong:
        message = wrong.say(language.code)
        return refused(request, message, lambda: _page(request, web, connection, message, 404))
    return RedirectResponse("/sets", 303)


OBSTACLES = {
    Obstacle.UNKNOWN: N_("No crate %(crate)s was ever closed for a place."),
    Obstacle.OTHER_PLACE: N_("Crate %(crate)s was closed for %(to)s; only that place can receive it."),
    Obstacle.FOR_A_HUB: N_("Crate %(crate)s is for the hub %(to)s, which sorts it: scan it there."),
    Obstacle.NOT_COLLECTED: N_("No van has collected crate %(crate)s: it stands at %(at)s."),
    Obstacle.ELSEWHERE: N_("Crate %(crate)s was scanned last at %(at)s, on its way to %(to)s."),
}


@router.post("/receipts")
def receive(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    crate: Text,
    counted: Annotated[bool, Form()] = False,
) -> Response:
    """Show how many copies lie in a crate and, once somebody has `counted` them, receive it whole; again does nothing."""
    label, at = crate.replace("\0", "").strip(), network_now(connection)
    try:
        if not counted:
            receipts.arrived(driver(connection), web.network, label, at)
            return RedirectResponse(f"/sets?crate={quote(label, safe='')}", 303)
        copies = receipts.receive(driver(connection), web.network, label, who=caller.name, at=at)
    except receipts.NotReceived as wrong:
        return _not_received(request, web, connection, language, wrong, label)
    sentence = language.say(N_("%(copies)s copies of crate %(crate)s are received."), copies=copies, crate=label)
    return back(request, "/sets", sentence, is_bad=False)


def _not_received(
    request: Request, web: Web, connection: Database, language: Language, wrong: receipts.NotReceived, label: str
) -> Response:
    name = local(web.network, language)["name"]
    sentence = language.say(OBSTACLES[wrong.obstacle], crate=label, at=name(wrong.at), to=name(wrong.to))
    status = 404 if wrong.obstacle is Obstacle.UNKNOWN else 409

    def shown() -> Response:
        return _page(request, web, connection, status=status, received=sentence)

    return refused(request, sentence, shown, [("crate", label)]) if request.method == "POST" else shown()


def _page(
    request: Request,
    web: Web,
    connection: Database,
    message: str = "",
    status: int = 200,
    received: str = "",
    arrived: ReceivableCrate | None = None,
) -> Response:
    shown = {
        "arrived": arrived,
        "found": requested_sets.progress(connection),
        "visits": visits.coming(connection, network_today(web, connection)),
        "most": requested_sets.MOST_COPIES,
    }
    return page(request, "sets.html", status, tab="sets", message=message, received=received, **shown)
