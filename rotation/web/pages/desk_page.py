"""The returns desk's page: one large answer to a scan, the slip that goes with the copy, and the rules."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup
from sqlalchemy import select

from rotation.accounts.auth import Caller
from rotation.dispatch import return_rules
from rotation.dispatch.return_rules import ReturnRule
from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import ReturnRuleKind
from rotation.hands import returns
from rotation.hands.door import HandAnswer, of_row
from rotation.language.hands import words_of
from rotation.language.reasons import sentence
from rotation.store.tables import scans
from rotation.web.api.placement import desk_of
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web, network_now
from rotation.web.pages.hands import BySender, follow, hand_page, place_of, said, speaker
from rotation.web.render import environment, local

router = APIRouter(include_in_schema=False)
AT_THE_DESK = (HandWork.RETURN, HandWork.OVERRULE)
RECENT = 10
Short = Annotated[str, Form(max_length=128)]


@router.get("/desk/{place_id}")
def show(
    request: Request, web: Context, connection: Database, caller: CalledBy, language: InLanguage, place_id: str
) -> Response:
    """Show the desk."""
    place, now = place_of(web.network, place_id), network_now(connection)
    since = web.network.instant(web.network.day_of(now), 0)
    today = (scans.c.place_id == place) & scans.c.work.in_(AT_THE_DESK) & (scans.c.at >= since)
    rows = connection.execute(
        select(scans.c.at, scans.c.answer).where(today).order_by(scans.c.received_at.desc())
    ).all()
    return hand_page(
        request,
        "desk.html",
        place_id=place,
        scans_at=f"/desk/{place}/scans",
        tab="desk",
        recent=[(row.at, of_row(row.answer)) for row in rows[:RECENT]],
        count=len(rows),
        sent_on=sum(row.answer["code"] == "send" for row in rows),
        rules=return_rules.standing(connection, place),
        everywhere=_everywhere(caller),
        whys=returns.overruled(connection, place, now),
        said=Markup(said(request, connection, place)),
        why=lambda reason: sentence(reason, language),
    )


def _everywhere(caller: Caller) -> bool:
    """Whether the caller may set rules for all places."""
    return caller.places is None


@router.post("/desk/{place_id}/scans")
def scan(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    place_id: str,
    sent: BySender,
    to: Short = "",
    why: Short = "",
) -> Response:
    """Answer a returned copy, or an overruling."""
    if sent.work not in AT_THE_DESK:
        raise HTTPException(422, "work")
    made, off = sent.at_place(connection, place_of(web.network, place_id), caller)

    def act() -> HandAnswer:
        if made.work is HandWork.OVERRULE:
            return returns.overrule(connection, web.network, made, to, why)
        return returns.answer(connection, web.network, desk_of(request), made)

    return follow(request, connection, made, off, act, f"/desk/{place_id}")


@router.get("/desk/{place_id}/slips/{scan_id}")
def slip(web: Context, connection: Database, language: InLanguage, place_id: str, scan_id: str) -> Response:
    """Show the slip that goes with a copy, for a label or receipt printer."""
    mine = (scans.c.scan_id == scan_id) & (scans.c.place_id == place_of(web.network, place_id))
    row = connection.execute(select(scans).where(mine)).first()
    if row is None or "to" not in row.answer.get("values", {}):
        raise HTTPException(404, "slip")
    answer = of_row(row.answer)
    words = words_of(answer.code, answer.values, language, speaker(web.network, language))
    about: dict[str, Any] = {"answer": answer, "words": words, "at": row.at, "place_id": place_id}
    template = environment(language.code).get_template("hands/slip.html")
    html = template.render(**about, code_of=web.network.code, **local(web.network, language))
    return Response(html, media_type="text/html")


# --- Rules -------------------------------------------------------------------------------------------------------------


@router.post("/desk/{place_id}/rules")
def add_rule(
    web: Context,
    connection: Database,
    caller: CalledBy,
    place_id: str,
    kind: Annotated[ReturnRuleKind, Form()],
    cls: Short = "",
    title: Short = "",
    copies: Annotated[int | None, Form()] = None,
    everywhere: Annotated[bool, Form()] = False,
) -> Response:
    """Set a rule for this place, or for all."""
    place = _of_rule(web, caller, place_id, everywhere=everywhere)
    if cls and cls not in {one.id for one in web.network.classes}:
        raise HTTPException(422, "class")
    try:
        rule = ReturnRule(kind, place, cls, title.replace("\0", "").strip(), copies)
        return_rules.add(connection, rule, who=caller.name, at=network_now(connection))
    except ValueError as wrong:
        raise HTTPException(422, str(wrong)) from wrong
    return RedirectResponse(f"/desk/{place_id}#rules", 303)


def _of_rule(web: Web, caller: Caller, place_id: str, *, everywhere: bool) -> str:
    if everywhere and not _everywhere(caller):
        raise HTTPException(403, "place")
    return "" if everywhere else place_of(web.network, place_id)


@router.post("/desk/{place_id}/rules/{rule_id}/end")
def end_rule(web: Context, connection: Database, caller: CalledBy, place_id: str, rule_id: int) -> Response:
    """End a rule."""
    place, now = place_of(web.network, place_id), network_now(connection)
    if not return_rules.end(connection, rule_id, place, now, everywhere=_everywhere(caller)):
        raise HTTPException(404, "rule")
    return RedirectResponse(f"/desk/{place_id}#rules", 303)
