"""Write-back: the library systems that take our orders and scans, which write-backs wait or were refused, and the next step."""

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from rotation.dispatch import write_back
from rotation.web.context import CalledBy, Database
from rotation.web.render import page

router = APIRouter(include_in_schema=False)
MOST = 200


@router.get("/write-back")
def show(request: Request, connection: Database) -> Response:
    """Show write-backs, done and not done."""
    systems, found = write_back.systems(connection), write_back.not_done(connection, MOST)
    return page(request, "write_back.html", systems=systems, found=found, most=MOST, tab="feeds")


@router.post("/write-back/again")
def again(connection: Database) -> Response:
    """Try all that is not done at once."""
    write_back.try_again(connection)
    return RedirectResponse("/write-back", 303)


@router.post("/write-back/{write_back_id}/again")
def again_one(connection: Database, write_back_id: int) -> Response:
    """Try a write-back at once."""
    if not write_back.try_again(connection, write_back_id):
        raise HTTPException(404, "write-back")
    return RedirectResponse("/write-back", 303)


@router.post("/write-back/{write_back_id}/leave")
def leave(connection: Database, caller: CalledBy, write_back_id: int) -> Response:
    """Leave a write-back undone."""
    if not write_back.leave(connection, write_back_id, caller.name):
        raise HTTPException(404, "write-back")
    return RedirectResponse("/write-back", 303)
