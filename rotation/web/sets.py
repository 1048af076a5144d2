"""Sets: what was asked for, how far each has come, and the form to ask for another; and the visits that were announced."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from rotation import sets, visits
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web, network_now, network_today
from rotation.web.render import page

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


def _page(request: Request, web: Web, connection: Database, message: str = "", status: int = 200) -> Response:
    announced = visits.coming(connection, network_today(web, connection))
    found, most = sets.standing(connection), sets.MOST_COPIES
    return page(request, "sets.html", status, tab="sets", found=found, visits=announced, message=message, most=most)
