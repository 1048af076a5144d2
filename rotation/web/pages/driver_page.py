"""A driver's page: the run as a list, the next stop, crates by scan or by count; and links that open one run."""

from pathlib import Path
from typing import Annotated, Any

import segno
from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from markupsafe import Markup
from sqlalchemy import Connection

from rotation.accounts import links
from rotation.facts.events import MOST_IN_A_MACHINE
from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import StopState
from rotation.hands import driving, machines, picking
from rotation.hands.door import HandAnswer, HandScan
from rotation.hands.driving import Counts, StopWork
from rotation.hands.machines import MachineCounts
from rotation.hands.picking import Branch
from rotation.views import day
from rotation.views.day import RunLine, StopLine
from rotation.web.context import CalledBy, Context, Database, Web, network_now
from rotation.web.geography import RunMap, run_map
from rotation.web.pages.hands import BySender, follow, hand_page, said
from rotation.web.render import HERE, page

router = APIRouter(include_in_schema=False)
OF_A_DRIVER = (HandWork.CRATE, HandWork.HAND_OVER, HandWork.NOT_SERVED, HandWork.NOT_FOUND, HandWork.SERVE_MACHINE)
WORKER: Path = HERE / "static" / "hands-worker.js"
Number = Annotated[int, Form(ge=0, le=500)]


def _run(connection: Connection, run_id: str) -> RunLine:
    found = day.run_of(connection, run_id, network_now(connection))
    if found is None:
        raise HTTPException(404, "run")
    return found


@router.get("/worker.js")
def worker() -> Response:
    """Give the service worker from the root, so that it serves every page for hands."""
    return FileResponse(WORKER, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


@router.get("/driver/{run_id}")
def show(request: Request, web: Context, connection: Database, run_id: str, stop: str = "") -> Response:
    """Show the run, opened at its next stop or the one asked for."""
    run = _run(connection, run_id)
    at_hub, hub_work = _at_hub(run), driving.stop_work(connection, run_id, run.hub_id)
    chosen = next((one for one in (at_hub, *run.stops) if one.place_id == stop), _following(run, at_hub, hub_work))
    work = hub_work if chosen is at_hub else driving.stop_work(connection, run_id, chosen.place_id)
    branch = Branch(connection, web.network, web.settings.trace_days)
    spans = web.network.place[chosen.place_id].receiving_spans(run.day) if chosen.place_id in web.network.place else ()
    return hand_page(
        request,
        "driver.html",
        run=run,
        stop=chosen,
        place=web.network.place.get(chosen.place_id),
        work=work,
        machine=machines.machine_work(branch, chosen.place_id, run.day, network_now(connection), work),
        hub_work=hub_work,
        spans=[tuple(f"{second // 3600:02}:{second // 60 % 60:02}" for second in span) for span in spans],
        map=_map(web, run, chosen),
        missed=driving.reasons_not_served(connection, run_id),
        scans_at=f"/driver/{run_id}/scans",
        tab=chosen.place_id,
        said=Markup(said(request, connection, chosen.place_id)),
    )


def _map(web: Web, run: RunLine, chosen: StopLine) -> RunMap | None:
    stops = [(one.place_id, str(one.position), "cur" if one is chosen else one.status) for one in run.stops]
    tiles = web.settings.map_tiles or ""
    return run_map(web.network, run.hub_id, stops, tiles, web.settings.map_coordinates if tiles else "wgs84")


def _at_hub(run: RunLine) -> StopLine:
    """Return the run's hub as a stop before the first: crates are loaded there, and brought back."""
    at = run.departs_at
    return StopLine(0, run.hub_id, at, at, at, 0, 0, 0, StopState.PLANNED, None)


def _following(run: RunLine, at_hub: StopLine, hub_work: StopWork) -> StopLine:
    """Return where the driver is next: at the hub while there is something to load or after the last stop, else at a stop."""
    to_come = [one for one in run.stops if one.status == StopState.PLANNED]
    begins = len(to_come) == len(run.stops) and hub_work.left
    return at_hub if begins or not to_come else to_come[0]


@router.post("/driver/{run_id}/scans")
def scan(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    run_id: str,
    sent: BySender,
    tab: Annotated[str, Form(max_length=64)],
    handed: Number = 0,
    taken: Number = 0,
    empties: Number = 0,
    room_handed: Number = 0,
    room_taken: Number = 0,
    room_empties: Number = 0,
    from_bin: Number = 0,
    into_slots: Number = 0,
    free_slots: Annotated[int, Form(ge=0, le=MOST_IN_A_MACHINE)] = 0,
    at_fault: Annotated[bool, Form()] = False,
) -> Response:
    """Follow a scan, the counts of a handover, or a stop that could not be served; `tab` is the stop's place."""
    if sent.work not in OF_A_DRIVER:
        raise HTTPException(422, "work")
    if driving.hub_of(connection, run_id) is None:
        raise HTTPException(404, "run")
    made, off = sent.at_place(connection, tab.replace("\0", ""), caller, run_id)
    counts = Counts(handed, taken, empties), Counts(room_handed, room_taken, room_empties)
    machine = MachineCounts(from_bin, into_slots, free_slots, at_fault)
    branch = Branch(connection, web.network, web.settings.trace_days)
    return follow(
        request,
        connection,
        made,
        off,
        lambda: _act(branch, made, *counts, machine),
        f"/driver/{run_id}?stop={tab}",
    )


def _act(branch: Branch, made: HandScan, van: Counts, room: Counts, machine: MachineCounts) -> HandAnswer:
    if made.work is HandWork.HAND_OVER:
        return driving.hand_over(branch.connection, made, van, room)
    if made.work is HandWork.NOT_SERVED:
        return driving.not_served(branch.connection, made)
    if made.work is HandWork.SERVE_MACHINE:
        return machines.serve(branch, made, machine)
    if not machines.is_machine(branch.network, made.place_id):
        return driving.crate(branch.connection, branch.network, made)
    driving.checked(branch.connection, made)
    return picking.not_found(branch, made) if made.work is HandWork.NOT_FOUND else machines.scan_there(branch, made)


# --- Links -------------------------------------------------------------------------------------------------------------


@router.get("/drive/{token}")
def open_link(request: Request, connection: Database, token: str) -> Response:
    """Open the one run of a link, or say that the link has ended."""
    caller = links.of_link(connection, token, network_now(connection))
    if caller is None:
        return hand_page(request, "link_ended.html", 410)
    request.session.clear()
    request.session["link"] = token
    return RedirectResponse(f"/driver/{caller.run}", 303)


NEW_LINK = "new_link"  # in the session: its token, until its page has shown it


@router.get("/runs/{run_id}/links")
def list_links(request: Request, connection: Database, run_id: str) -> Response:
    """Show a run's links."""
    return _links(request, connection, run_id, str(request.session.pop(NEW_LINK, "")))


def _links(request: Request, connection: Connection, run_id: str, token: str) -> Response:
    address = str(request.url_for("open_link", token=token)) if token else ""
    shown: dict[str, Any] = {
        "run": _run(connection, run_id),
        "links": links.links_of(connection, run_id),
        "address": address,
        "qr": Markup(segno.make(address, error="m", micro=False).svg_inline(scale=4, border=4)) if address else "",
        "now": network_now(connection),
        "tab": "today",
    }
    return page(request, "run_links.html", **shown)


@router.post("/runs/{run_id}/links")
def add_link(request: Request, web: Context, connection: Database, caller: CalledBy, run_id: str) -> Response:
    """Make a link that ends with the run's day; it is shown once."""
    run, now = _run(connection, run_id), network_now(connection)
    end_of_day = web.network.instant(run.day, 24 * 3600)
    token = links.add_link(connection, run_id, caller.name, now, end_of_day)
    request.session[NEW_LINK] = token
    return RedirectResponse(f"/runs/{run_id}/links", 303)


@router.post("/runs/{run_id}/links/{link_id}/withdraw")
def withdraw_link(connection: Database, run_id: str, link_id: str) -> Response:
    """End a link at once."""
    if not links.withdraw(connection, run_id, link_id, network_now(connection)):
        raise HTTPException(404, "link")
    return RedirectResponse(f"/runs/{run_id}/links", 303)
