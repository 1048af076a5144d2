"""What stands around every page: the live stream, and the top line with the network's clock and what asks for attention."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import func, select

from rotation.store.clock import read_clock
from rotation.store.tables import day_plans
from rotation.web import notices
from rotation.web.context import Context, Database
from rotation.web.render import page

router = APIRouter(include_in_schema=False)
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second: nginx must not collect it


@router.get("/live")
async def live(web: Context) -> Response:
    """Stream what changes to one page."""
    return StreamingResponse(web.live.stream(), media_type="text/event-stream", headers=STREAM_HEADERS)


@router.get("/shell")
def shell(request: Request, connection: Database) -> Response:
    """Return the top line's figures."""
    drafts = connection.scalar(select(func.count()).where(day_plans.c.status == "draft"))
    open_alerts = sum(notices.open_alerts_by_kind(connection).values())
    return page(request, "shell.html", clock_row=read_clock(connection), drafts=drafts, open_alerts=open_alerts)
