"""Approve, or send back: the dispatcher's buttons, and the messages when a decision is not possible."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from rotation.dispatch import marks, review
from rotation.facts.clock import Day
from rotation.facts.lifecycle import TransferMarkKind
from rotation.language.catalogues import Language
from rotation.language.labels import N_
from rotation.network import Network
from rotation.web.context import CalledBy, Context, Database, InLanguage, network_now
from rotation.web.flash import back, came_from, refused
from rotation.web.once import OnceRoute
from rotation.web.render import local, page

router = APIRouter(route_class=OnceRoute)
LONGEST_WHY = 500
VERSION = re.compile(r"[0-9]{1,9}")


def versions(text: str) -> dict[str, int]:
    """Read "plan-a=3,plan-b=1"; an unreadable version counts as never seen."""
    pairs = (pair.rpartition("=") for pair in text.split(",") if pair)
    return {plan: int(version) if VERSION.fullmatch(version) else -1 for plan, _, version in pairs}


@router.post("/decisions", include_in_schema=False)
def decide(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    action: Annotated[review.Action, Form()],
    day: Annotated[Day, Form()],
    seen: Annotated[str, Form(max_length=20_000)],
    hub: Annotated[str, Form(max_length=200)] = "",
    run: Annotated[str, Form(max_length=200)] = "",
    why: Annotated[str, Form(max_length=LONGEST_WHY)] = "",
) -> Response:
    """Decide, and show the day again; where it cannot be done, say why, with nothing changed."""
    subject = review.Subject(day, hub or None, run or None)
    now = network_now(connection)
    try:
        review.decide(connection, web.network, action, subject, who=caller.name, why=why, at=now, seen=versions(seen))
    except review.NOT_DECIDED as error:
        connection.rollback()
        return _refused(request, error, language, web.network, f"/today?day={day}")
    return RedirectResponse(f"/today?day={day}" + (f"&hub={hub}" if hub and not run else ""), 303)


@router.post("/transfers/{transfer_id}/owner", include_in_schema=False)
def owner_answered(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    transfer_id: str,
    agreed: Annotated[Literal["yes", "no"], Form()],
) -> Response:
    """Keep the answer of an owner who was asked whether a copy may go."""
    at = network_now(connection).astimezone(web.network.timezone)
    try:
        review.answer_owner(connection, transfer_id, agreed=agreed == "yes", who=caller.name, at=at)
    except review.NothingThere as error:
        connection.rollback()
        return _refused(request, error, language, web.network, f"/transfers/{quote(transfer_id, safe='')}")
    return RedirectResponse(f"/transfers/{quote(transfer_id, safe='')}", 303)


@router.post("/transfers/{transfer_id}/mark", include_in_schema=False)
def mark_transfer(
    request: Request,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    transfer_id: str,
    kind: Annotated[TransferMarkKind, Form()],
    why: Annotated[str, Form(max_length=LONGEST_WHY)] = "",
) -> Response:
    """Pin a transfer, or keep it back."""

    def act() -> None:
        at = network_now(connection)
        marks.mark(connection, transfer_id, kind, who=caller.name, why=why.replace("\0", "").strip(), at=at)

    return _marked(request, connection, language, transfer_id, act, MARKED[kind])


@router.post("/transfers/{transfer_id}/release", include_in_schema=False)
def release_transfer(
    request: Request, connection: Database, caller: CalledBy, language: InLanguage, transfer_id: str
) -> Response:
    """Leave a transfer that was pinned or kept back to the next plan again."""

    def act() -> None:
        marks.release(connection, transfer_id, who=caller.name, at=network_now(connection))

    return _marked(request, connection, language, transfer_id, act, RELEASED)


RELEASED = N_("Released: the next plan decides on the copy again.")
MARKED: Mapping[TransferMarkKind, str] = {
    TransferMarkKind.PINNED: N_(
        "Pinned: its visits must be made. Where no run makes them yet, improve the plan on its page of changes."
    ),
    TransferMarkKind.KEPT_BACK: N_("Kept back: it is called off, and its copy is in no plan until it is released."),
}


def _marked(
    request: Request, connection: Connection, language: Language, transfer_id: str, act: Callable[[], None], done: str
) -> Response:
    here = came_from(request) or f"/transfers/{quote(transfer_id, safe='')}"
    try:
        act()
    except marks.NotMarked:
        connection.rollback()
        return back(
            request, here, language.say(N_("This transfer has gone its way or has ended. Nothing was changed."))
        )
    return back(request, here, language.say(done), is_bad=False)


def _refused(request: Request, error: Exception, language: Language, network: Network, to: str) -> Response:
    status, message = refusal(error, language, network)
    return refused(
        request, message, lambda: page(request, "refused.html", status, message=message, back=to, tab="today")
    )


def refusal(error: Exception, language: Language, network: Network) -> tuple[int, str]:
    """Return the status and the sentence for a decision that was not taken."""
    if isinstance(error, review.WhyNeeded):
        return 400, language.say(N_("Say why you send it back: whoever plans next needs to know."))
    if isinstance(error, review.NothingThere):
        return 404, language.say(N_("This plan no longer exists. Nothing was changed."))
    if isinstance(error, review.TooLate):
        return 409, language.say(
            N_(
                "Its departure time has passed, or its van has left. Nothing was changed; change what is left of the day."
            )
        )
    if isinstance(error, review.DecidedMeanwhile) and error.by and error.at:
        told: Mapping[str, str] = {"who": error.by, "when": local(network, language)["instant"](error.at)}
        return 409, language.say(
            N_("%(who)s decided on this plan at %(when)s, before you. Nothing was changed; look at it as it is now."),
            **told,
        )
    return 409, language.say(
        N_("The plan has changed since you opened the page. Nothing was changed; look at it as it is now.")
    )
