"""Sets: what was asked for, how far each has come, and the form for another; announced visits; crates received whole."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from rotation import sets, visits
from rotation.dispatch import receipts
from rotation.store.engine import driver
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web, network_now, network_today
from rotation.web.render import page
from rotation.web.words import N_

router = APIRouter(include_in_schema=False)
LONGEST = 20_000  # characters of a list of titles
Text = Annotated[str, Form(max_length=200)]
Day = Annotated[str, Form(pattern=r"^(\d{4}-\d\d-\d\d)?$")]


@router.get("/sets")
def listed(request: Request, web: Context, connection: Database) -> Response:
    """Show the sets."""
    return _page(request, web, connection)


@router.post("/sets")
def ask(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    place: Text,
    due: Annotated[date, Form()],
    titles: Annotated[str, Form(max_length=LONGEST)] = "",
    cls: Text = "",
    copies: Annotated[int, Form(ge=0)] = 0,
    return_on: Day = "",
    note: Text = "",
) -> Response:
    """Ask for a set, or say why it cannot be."""
    until = date.fromisoformat(return_on) if return_on else None
    wanted = titles.replace("\0", "").split()
    asked = sets.Asked(place, due, wanted, None if wanted else cls or None, copies, until, note.replace("\0", ""))
    try:
        sets.ask(connection, web.network, asked, who=caller.name, at=network_now(connection))
    except sets.NotPossible as wrong:
        return _page(request, web, connection, wrong.say(language.code), 400)
    return RedirectResponse("/sets", 303)


@router.post("/sets/{set_id}/cancel")
def cancel(request: Request, web: Context, connection: Database, language: InLanguage, set_id: str) -> Response:
    """Gather no more of a set."""
    try:
        sets.cancel(connection, set_id, network_now(connection))
    except sets.NotPossible as wrong:
        return _page(request, web, connection, wrong.say(language.code), 404)
    return RedirectResponse("/sets", 303)


@router.post("/receipts")
def receive(request: Request, web: Context, connection: Database, language: InLanguage, crate: Text) -> Response:
    """Receive a crate whole for a room where nobody scans copies, and say how many lay in it; again does nothing."""
    label = crate.replace("\0", "").strip()
    try:
        copies = receipts.receive(driver(connection), label, network_now(connection))
    except receipts.UnknownCrate:
        said = language.say(N_("No crate %(crate)s was ever closed for a place."), crate=label)
        return _page(request, web, connection, status=404, received=said)
    said = language.say(N_("%(copies)s copies of crate %(crate)s are received."), copies=copies, crate=label)
    return _page(request, web, connection, received=said)


def _page(
    request: Request, web: Web, connection: Database, message: str = "", status: int = 200, received: str = ""
) -> Response:
    shown = {
        "found": sets.standing(connection),
        "visits": visits.coming(connection, network_today(web, connection)),
        "most": sets.MOST_COPIES,
    }
    return page(request, "sets.html", status, tab="sets", message=message, received=received, **shown)
