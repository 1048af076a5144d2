"""A copy's way with its times, and the lanes: how long the way from a place to a place takes."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from rotation.night.what_if import NO_NUL
from rotation.views import journeys
from rotation.views.journeys import Lane
from rotation.web.context import Database
from rotation.web.render import page
from rotation.web.spreadsheets import rows_shown

router = APIRouter()
PlaceOrNone = Annotated[str, Query(max_length=200, pattern=NO_NUL)]


@router.get("/transfers/{transfer_id}/journey", include_in_schema=False)
def show_journey(request: Request, transfer_id: str, connection: Database) -> Response:
    """Show the facts of a transfer's copy; the transfer's page asks for the block of it."""
    return page(request, "journey.html", tab="today", facts=journeys.journey(connection, transfer_id))


@router.get("/lanes", include_in_schema=False)
def show_lanes(
    request: Request, connection: Database, here: PlaceOrNone = "", there: PlaceOrNone = "", form: str = ""
) -> Response:
    """Show the lanes."""
    found = journeys.lanes(connection, here, there, rows_shown(form, journeys.ROWS))
    return page(request, "lanes.html", tab="lanes", found=found, here=here, there=there)


@router.get("/api/lanes")
def read_lanes(connection: Database, here: PlaceOrNone = "", there: PlaceOrNone = "") -> list[Lane]:
    """Return the lanes from `here` to `there`, the busiest first: hours of half and nine in ten journeys, promises kept."""
    return journeys.lanes(connection, here, there)
