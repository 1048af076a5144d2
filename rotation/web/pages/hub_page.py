"""A hub's page: each scanned copy's crate, large; the crates being filled; and the race with the cut-off."""

from fastapi import APIRouter, HTTPException, Request, Response
from markupsafe import Markup

from rotation.facts.hand_work import HandWork
from rotation.hands import sorting
from rotation.hands.door import HandAnswer
from rotation.network import Network
from rotation.web.api.placement import desk_of
from rotation.web.context import CalledBy, Context, Database, network_now
from rotation.web.pages.hands import BySender, follow, hand_page, said

router = APIRouter(include_in_schema=False)
OF_A_HUB = (HandWork.SORT, HandWork.CLOSE_CRATE)


def hub_of(network: Network, place_id: str) -> str:
    """Return a hub's id; 404 for a place that does not sort."""
    if place_id not in network.place or network.place[place_id].hub is None:
        raise HTTPException(404, "hub")
    return place_id


@router.get("/hub/{place_id}")
def show(request: Request, web: Context, connection: Database, place_id: str) -> Response:
    """Show the hub's work."""
    hub, now = hub_of(web.network, place_id), network_now(connection)
    return hand_page(
        request,
        "hub.html",
        place_id=hub,
        scans_at=f"/hub/{hub}/scans",
        tab="hub",
        crates=sorting.filling(connection, web.network, hub, now),
        backlog=sorting.backlog(connection, web.network, hub, now),
        now=now,
        room=web.network.network.copies_per_crate,
        said=Markup(said(request, connection, hub)),
    )


@router.post("/hub/{place_id}/scans")
def scan(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    place_id: str,
    sent: BySender,
) -> Response:
    """Follow a scan, or close a crate."""
    if sent.work not in OF_A_HUB:
        raise HTTPException(422, "work")
    made, off = sent.at_place(connection, hub_of(web.network, place_id), caller)

    def act() -> HandAnswer:
        if made.work is HandWork.CLOSE_CRATE:
            return sorting.close(connection, web.network, made)
        return sorting.sort(connection, web.network, desk_of(request), made)

    return follow(request, connection, made, off, act, f"/hub/{place_id}")
