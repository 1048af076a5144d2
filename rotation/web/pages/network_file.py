"""The network as a TOML file: given out, and taken in after a look at the difference."""

import base64
import binascii
from difflib import unified_diff
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response, UploadFile

from rotation.facts.clock import Day
from rotation.language.labels import N_
from rotation.network import NetworkError, parsed
from rotation.store import networks
from rotation.store.networks import Author, ChangedMeanwhile
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web, network_now, network_today
from rotation.web.flash import back
from rotation.web.pages.upkeep_forms import BEFORE_TODAY, MEANWHILE_IMPORT, SAVED, last_number
from rotation.web.render import page

router = APIRouter(include_in_schema=False)
LARGEST_BYTES = 700_000  # as base64 in a form it is below the largest body
SHOWN_LINES = 2_000
SHOWN_MISTAKES = 20


@router.get("/network.toml")
def give(web: Context, connection: Database, on: Day | None = None) -> Response:
    """Give the network that holds on a day (today) as a file."""
    day = on or network_today(web, connection)
    text = networks.standing(connection, web.settings.network_file(), day).toml()
    name = f"{web.network.network.id}-{day}.toml"
    return Response(
        text.encode(), media_type="application/toml", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@router.post("/network/import")
def look(
    request: Request, web: Context, connection: Database, language: InLanguage, file: UploadFile | None = None
) -> Response:
    """Show the changes that a file would make; without a file, those of ROTATION_NETWORK's changed file."""
    chosen, ours = (file if file and file.filename else None), web.settings.network_file()
    text = _text(chosen.file.read(LARGEST_BYTES + 1)) if chosen else networks.offered(connection, ours)
    if text is None:
        return back(request, "/upkeep", language.say(N_("Choose a network file (TOML, UTF-8, up to 700 kB).")))
    return _compared(request, web, connection, text, is_ours=chosen is None)


def _text(content: bytes) -> str | None:
    if len(content) > LARGEST_BYTES:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _compared(request: Request, web: Web, connection: Database, text: str, *, is_ours: bool) -> Response:
    today = network_today(web, connection)
    before = networks.standing(connection, web.settings.network_file(), today).toml()
    lines = list(unified_diff(before.splitlines(), text.splitlines(), "now", "file", lineterm=""))[2:]
    mistakes: list[str] = []
    try:
        parsed(text, networks.FILE)
    except NetworkError as error:
        mistakes = [str(one) for one in error.faults]
    return page(
        request,
        "network_diff.html",
        tab="upkeep",
        lines=lines[:SHOWN_LINES],
        more=max(len(lines) - SHOWN_LINES, 0),
        mistakes=mistakes[:SHOWN_MISTAKES],
        content=base64.b64encode(text.encode()).decode(),
        is_ours=is_ours,
        today=today,
        seen=last_number(connection),
    )


@router.post("/network/accept")
def take(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    content: Annotated[str, Form(max_length=1_000_000)],
    holds_from: Annotated[Day, Form()],
    seen: Annotated[int, Form(ge=0)],
    is_ours: Annotated[bool, Form()] = False,
    why: Annotated[str, Form(max_length=300)] = "",
) -> Response:
    """Let the file that was looked at hold from a day on."""
    try:
        text = base64.b64decode(content, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise HTTPException(422, "content") from error
    if holds_from < network_today(web, connection):
        return back(request, "/upkeep", language.say(BEFORE_TODAY))
    by = Author(caller.name, network_now(connection), why.replace("\0", "").strip())
    try:
        networks.replace(connection, web.settings.network_file(), text, holds_from, by, seen, is_file=is_ours)
    except ChangedMeanwhile as error:
        return back(request, "/upkeep", language.say(MEANWHILE_IMPORT, who=error.version.who))
    except NetworkError as error:
        return back(request, "/upkeep", str(error.faults[0]))
    web.look(connection)
    return back(request, "/upkeep", language.say(SAVED, day=str(holds_from)), is_bad=False)


@router.post("/network/leave-file")
def leave(request: Request, web: Context, connection: Database, caller: CalledBy, language: InLanguage) -> Response:
    """Leave ROTATION_NETWORK's file as it is now; the pages' network goes on holding."""
    networks.leave_file(connection, web.settings.network_file(), Author(caller.name, network_now(connection)))
    return back(
        request, "/upkeep", language.say(N_("The file was left; the network here goes on holding.")), is_bad=False
    )
