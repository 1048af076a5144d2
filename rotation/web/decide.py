"""Approve, or send back: what a dispatcher's button asks, and the words for what came between."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from rotation import review
from rotation.network import Network
from rotation.web.context import CalledBy, Context, Database, InLanguage, network_now
from rotation.web.language import Language
from rotation.web.render import local, page
from rotation.web.words import N_

router = APIRouter()
LONGEST_WHY = 500


def versions(text: str) -> dict[str, int]:
    """Read "plan-a=3,plan-b=1"; what cannot be read is a version that nobody saw."""
    pairs = (pair.rpartition("=") for pair in text.split(",") if pair)
    return {plan: int(version) if version.isdigit() else -1 for plan, _, version in pairs}


@router.post("/decisions", include_in_schema=False)
def decide(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    action: Annotated[review.Action, Form()],
    day: Annotated[date, Form()],
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
    except (review.DecidedMeanwhile, review.NothingThere, review.WhyNeeded) as error:
        connection.rollback()
        status, message = refusal(error, language, web.network)
        return page(request, "refused.html", status, message=message, back=f"/today?day={day}", tab="today")
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
    """Keep what an owner answered who was asked whether a copy may go."""
    at = network_now(connection).astimezone(web.network.timezone)
    try:
        review.answer_owner(connection, transfer_id, agreed=agreed == "yes", who=caller.name, at=at)
    except review.NothingThere as error:
        connection.rollback()
        status, message = refusal(error, language, web.network)
        return page(request, "refused.html", status, message=message, back=f"/transfers/{transfer_id}", tab="today")
    return RedirectResponse(f"/transfers/{quote(transfer_id, safe='')}", 303)


def refusal(error: Exception, language: Language, network: Network) -> tuple[int, str]:
    """Return the status and the sentence for a decision that was not taken."""
    if isinstance(error, review.WhyNeeded):
        return 400, language.say(N_("Say why you send it back: whoever plans next needs to know."))
    if isinstance(error, review.NothingThere):
        return 404, language.say(N_("There is no such plan any more. Nothing was changed."))
    if isinstance(error, review.DecidedMeanwhile) and error.by and error.at:
        told: Mapping[str, str] = {"who": error.by, "when": local(network, language)["instant"](error.at)}
        return 409, language.say(
            N_("%(who)s decided on this plan at %(when)s, before you. Nothing was changed; look at it as it is now."),
            **told,
        )
    return 409, language.say(
        N_("The plan has changed since you opened the page. Nothing was changed; look at it as it is now.")
    )
