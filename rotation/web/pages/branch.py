"""A branch's page: today's pick-list, copies that fit a set, crates out and in, and the branch's notices of itself."""

from datetime import timedelta
from typing import Annotated, Any

import segno
from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup
from pydantic import BeforeValidator
from sqlalchemy import Connection, text

from rotation.dispatch import lost
from rotation.facts.clock import Day
from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import CrateState, PlaceNoticeKind
from rotation.facts.movements import CopyState
from rotation.hands import picking, receiving
from rotation.hands.door import HandAnswer, HandScan
from rotation.hands.pick_list import PickList, PickProgress, pick_list
from rotation.hands.picking import Branch
from rotation.language.catalogues import Language
from rotation.language.labels import N_
from rotation.language.reasons import sentence
from rotation.night import place_notices
from rotation.night.place_notices import NoticeNotTaken, PlaceNotice
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web, network_now, network_today
from rotation.web.pages.hands import BySender, follow, hand_page, place_of, said
from rotation.web.render import HERE, environment, local

router = APIRouter(include_in_schema=False)
TABS = ("pick", "any", "crates", "tell")
OF_A_BRANCH = (HandWork.PICK, HandWork.NOT_FOUND, HandWork.ANY_FIT, HandWork.CLOSE_CRATE, HandWork.RECEIVE)
Counted = Annotated[int | None, BeforeValidator(lambda written: written or None), Form(ge=0, le=500)]
DayOrNone = Annotated[Day | None, BeforeValidator(lambda written: written or None), Form()]
CopiesOrNone = Annotated[int | None, BeforeValidator(lambda written: written or None), Form()]


@router.get("/branch/{place_id}")
def show(
    request: Request, web: Context, connection: Database, language: InLanguage, place_id: str, tab: str = "pick"
) -> Response:
    """Show the branch's work."""
    return _page(request, web, connection, language, place_of(web.network, place_id), tab)


def _page(
    request: Request,
    web: Web,
    connection: Connection,
    language: Language,
    place: str,
    tab: str,
    status: int = 200,
    fault: str = "",
) -> Response:
    now, chosen = network_now(connection), request.query_params.get("set")
    sets = picking.class_sets(connection, place, now, web.network)
    return hand_page(
        request,
        "branch.html",
        status,
        place_id=place,
        scans_at=f"/branch/{place}/scans",
        tab=tab if tab in TABS else TABS[0],
        picks=_picks(connection, web, place),
        sets=sets,
        progress=PickProgress,
        chosen=next((one for one in sets if one.set_id == chosen), sets[0] if sets else None),
        packed=picking.to_pack(connection, place, now),
        coming=crates_for(connection, place),
        sought=lost.sought(connection, place, now, web.settings.lost_days[0]),
        notices=place_notices.standing(connection, web.network.day_of(now), place),
        today=web.network.day_of(now),
        stands_days=place_notices.STANDS_DAYS,
        why=lambda reason: sentence(reason, language),
        said=Markup(said(request, connection, place)),
        fault=fault,
    )


def _picks(connection: Connection, web: Web, place: str) -> PickList:
    return pick_list(connection, web.network, place, network_now(connection), web.settings.trace_days)


_COMING = text(f"""
    SELECT crate_id, type, place_id, jsonb_array_length(copies) AS copies, occurred_at FROM crates
    WHERE to_place_id = :place AND jsonb_typeof(copies) = 'array'
      AND (type = '{CrateState.COLLECTED}' OR type = '{CrateState.DELIVERED}' AND place_id = :place) AND EXISTS (
        SELECT FROM jsonb_array_elements_text(copies) i(copy_id) JOIN copies c USING (copy_id)
        WHERE c.state = '{CopyState.IN_TRANSIT}' AND c.to_place_id = :place)
    ORDER BY type DESC, occurred_at""")


def crates_for(connection: Connection, place: str) -> list[Any]:
    """Return the crates that stand at a place unopened, then those that a van has for it."""
    return list(connection.execute(_COMING, {"place": place}))


@router.post("/branch/{place_id}/scans")
def scan(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    place_id: str,
    sent: BySender,
    set_id: Annotated[str, Form(max_length=200)] = "",
    counted: Counted = None,
    tab: Annotated[str, Form(max_length=10)] = "pick",
) -> Response:
    """Follow a scan, a count or a button of the branch's page."""
    if sent.work not in OF_A_BRANCH:
        raise HTTPException(422, "work")
    made, off = sent.at_place(connection, place_of(web.network, place_id), caller)
    branch = Branch(connection, web.network, web.settings.trace_days)
    back = f"/branch/{place_id}?tab={tab if tab in TABS else TABS[0]}{f'&set={set_id}' if set_id else ''}"
    return follow(request, connection, made, off, lambda: _act(branch, made, set_id, counted), back)


def _act(branch: Branch, made: HandScan, set_id: str, counted: int | None) -> HandAnswer:
    acts = {
        HandWork.PICK: lambda: picking.found(branch, made),
        HandWork.NOT_FOUND: lambda: picking.not_found(branch, made),
        HandWork.ANY_FIT: lambda: picking.any_fit(branch, made, set_id),
        HandWork.CLOSE_CRATE: lambda: picking.close_crate(branch, made),
        HandWork.RECEIVE: lambda: receiving.receive(branch.connection, branch.network, made, counted),
    }
    return acts[made.work]()


# --- On paper ------------------------------------------------------------------------------------------------------------


@router.get("/branch/{place_id}/pick-list")
def paper(web: Context, connection: Database, language: InLanguage, place_id: str) -> Response:
    """Show the pick-list, ready to print."""
    return Response(_paper(web, connection, language, place_of(web.network, place_id)), media_type="text/html")


@router.get("/branch/{place_id}/pick-list.pdf")
def pdf(web: Context, connection: Database, language: InLanguage, place_id: str) -> Response:
    """Give the pick-list as PDF."""
    from weasyprint import HTML  # it loads Pango: half a second that only this page needs

    style = (HERE / "static" / "paper.css").read_text(encoding="utf-8")
    html = _paper(web, connection, language, place_of(web.network, place_id), style)
    name = f'inline; filename="pick-list-{place_id}-{network_today(web, connection)}.pdf"'
    drawn = HTML(string=html, base_url=str(HERE)).write_pdf()
    return Response(drawn, media_type="application/pdf", headers={"Content-Disposition": name})


def _paper(web: Web, connection: Connection, language: Language, place: str, style: str = "") -> str:
    """Return the list as HTML; with a `style` for the PDF, without buttons."""
    code = segno.make(f"pick-list/{place}", error="m", micro=False)
    return (
        environment(language.code)
        .get_template("hands/pick_list.html")
        .render(
            picks=_picks(connection, web, place),
            progress=PickProgress,
            qr=Markup(code.svg_inline(scale=2.4, border=2)),
            style=Markup(style),
            code_of=web.network.code,
            why=lambda reason: sentence(reason, language),
            trace_days=web.settings.trace_days,
            **local(web.network, language),
        )
    )


# --- What a branch says of itself -------------------------------------------------------------------------------------

FAULTS = {
    "class": N_("There is no such class."),
    "days": N_("The days are over, end before they begin, or are more than a year ahead."),
    "copies": N_("Give a number of copies between 1 and 10,000, or none."),
}


@router.post("/branch/{place_id}/notices")
def tell(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    place_id: str,
    kind: Annotated[PlaceNoticeKind, Form()],
    cls: Annotated[str, Form(max_length=64)] = "",
    copies: CopiesOrNone = None,
    first_day: DayOrNone = None,
    last_day: DayOrNone = None,
    why: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Keep a branch's notice of itself: the next night heeds it."""
    now, place = network_now(connection), place_of(web.network, place_id)
    first = first_day or web.network.day_of(now)
    closed = kind is PlaceNoticeKind.CLOSED
    last = last_day or (first if closed else first + timedelta(days=place_notices.STANDS_DAYS))
    of_shelf = ("", None) if closed else (cls, copies)
    try:
        notice = PlaceNotice(place, kind, first, last, *of_shelf, why.replace("\0", ""))
        place_notices.tell(connection, web.network, notice, who=caller.name, at=now)
    except NoticeNotTaken as wrong:
        return _page(request, web, connection, language, place, "tell", 400, language.say(FAULTS[wrong.fault]))
    return RedirectResponse(f"/branch/{place_id}?tab=tell", 303)


@router.post("/branch/{place_id}/notices/{notice_id}/withdraw")
def withdraw(web: Context, connection: Database, place_id: str, notice_id: int) -> Response:
    """End a notice."""
    if not place_notices.withdraw(connection, place_of(web.network, place_id), notice_id, network_now(connection)):
        raise HTTPException(404, "notice")
    return RedirectResponse(f"/branch/{place_id}?tab=tell", 303)
