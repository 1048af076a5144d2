"""Orders out: the targets besides Kafka, deliveries that wait, and those given up."""

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from rotation.dispatch import targets
from rotation.facts.lifecycle import TargetKind
from rotation.language.labels import N_
from rotation.web.context import CalledBy, Database, InLanguage
from rotation.web.render import page

router = APIRouter(include_in_schema=False)
NO_TARGET = N_(
    "A webhook needs an address such as https://…, files a folder on this machine that is there, such as /srv/orders."
)


@router.get("/deliveries")
def show(request: Request, connection: Database) -> Response:
    """Show the targets and how their deliveries go."""
    return _page(request, connection)


def _page(request: Request, connection: Connection, status: int = 200, message: str = "", secret: str = "") -> Response:
    found = targets.standing(connection)
    shown = {"found": found, "kinds": list(TargetKind), "message": message, "secret": secret, "tab": "users"}
    return page(request, "deliveries.html", status, **shown)


@router.post("/deliveries")
def add(
    request: Request,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    kind: Annotated[TargetKind, Form()],
    address: Annotated[str, Form(max_length=500)],
) -> Response:
    """Add a target; its secret is shown once."""
    try:
        secret = targets.add(connection, kind, address.replace("\0", "").strip(), caller.name)
    except targets.BadAddress:
        return _page(request, connection, 422, language.say(NO_TARGET))
    return _page(request, connection, secret=secret)


@router.post("/deliveries/{target_id}/again")
def again(connection: Database, target_id: str) -> Response:
    """Send deliveries again that were given up."""
    targets.send_again(connection, target_id)
    return RedirectResponse("/deliveries", 303)


@router.post("/deliveries/{target_id}/end")
def end(connection: Database, target_id: str) -> Response:
    """End a target."""
    if not targets.end(connection, target_id):
        raise HTTPException(404, "target")
    return RedirectResponse("/deliveries", 303)
