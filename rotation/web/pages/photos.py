"""Photos of faults at a stop: sent from the driver's page, seen by dispatchers."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, File, Form, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from rotation.hands import photos
from rotation.hands.door import HandAnswer, Tone, scan_time
from rotation.hands.photos import NotAPhoto, TakenPhoto, TooManyPhotos
from rotation.store.clock import read_clock
from rotation.views import day
from rotation.web.bodies import LARGEST_PHOTO_BYTES
from rotation.web.context import CalledBy, Context, Database, network_now
from rotation.web.pages.hands import ByPhone, ScanId, place_of, shown
from rotation.web.render import page

router = APIRouter(include_in_schema=False)


@router.post("/driver/{run_id}/photos")
def add(
    web: Context,
    connection: Database,
    caller: CalledBy,
    run_id: str,
    scan: ScanId,
    tab: Annotated[str, Form(max_length=64)],
    photo: Annotated[bytes, File(max_length=LARGEST_PHOTO_BYTES)],
    request: Request,
    note: Annotated[str, Form(max_length=200)] = "",
    at: ByPhone = None,
    sent: ByPhone = None,
) -> Response:
    """Keep a photo of a stop; `tab` is the stop's place. One that waited on the phone is of when it was taken."""
    now = network_now(connection)
    run = day.run_of(connection, run_id, now)
    if run is None or tab not in {run.hub_id, *(stop.place_id for stop in run.stops)}:
        raise HTTPException(404, "run")
    when = scan_time(read_clock(connection), datetime.now(UTC), at, sent)
    taken = TakenPhoto(scan, place_of(web.network, tab), caller.name, when.at, note.replace("\0", "").strip())
    try:
        photos.keep(connection, run_id, taken, photo)
    except NotAPhoto as wrong:
        raise HTTPException(422, "photo") from wrong
    except TooManyPhotos as wrong:
        raise HTTPException(422, "photos") from wrong  # will not be taken later either: a phone's queue goes on
    if "application/json" in request.headers.get("accept", ""):
        kept = HandAnswer("photo_kept", Tone.GOOD, {"to": tab})
        return JSONResponse(
            {"tone": kept.tone, "code": kept.code, "html": shown(request, kept, when.clock_off_min, tab, scan)}
        )
    return RedirectResponse(f"/driver/{run_id}?stop={tab}&photo=kept#photo", 303)


@router.get("/runs/{run_id}/photos")
def show(request: Request, connection: Database, run_id: str) -> Response:
    """Show a run's photos."""
    run = day.run_of(connection, run_id, network_now(connection))
    if run is None:
        raise HTTPException(404, "run")
    return page(request, "photos.html", run=run, photos=photos.of_run(connection, run_id), tab="today")


@router.get("/runs/{run_id}/photos/{photo_id}")
def picture(connection: Database, run_id: str, photo_id: str) -> Response:
    """Give a photo."""
    found = photos.picture(connection, run_id, photo_id)
    if found is None:
        raise HTTPException(404, "photo")
    return Response(found, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})
