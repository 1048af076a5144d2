"""Around every page: the live stream, and the top line with the network's clock and the items that need attention."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import func, select

from rotation.facts.lifecycle import DayPlanState
from rotation.store.clock import read_clock
from rotation.store.tables import day_plans
from rotation.views import notices
from rotation.views.status import kafka_findings, standstill
from rotation.web.context import CalledBy, Context, Database
from rotation.web.render import page

router = APIRouter(include_in_schema=False)
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second: nginx must not collect it


@router.get("/live")
async def live(web: Context, caller: CalledBy, since: str = "") -> Response:
    """Stream to a page the changes `since` it was drawn, until its session, its token or its user ends."""
    handles = {caller.handle} if caller.is_machine else {caller.handle, f"user {caller.name}"}
    return StreamingResponse(web.live.stream(handles, since), media_type="text/event-stream", headers=STREAM_HEADERS)


@router.get("/shell")
def shell(request: Request, web: Context, connection: Database) -> Response:
    """Return the top line's figures."""
    clock = read_clock(connection)
    open_days = day_plans.c.day >= web.network.day_of(clock.now())
    drafts = connection.scalar(select(func.count()).where(day_plans.c.status == DayPlanState.DRAFT, open_days))
    open_alerts = sum(notices.open_alerts_by_kind(connection).values())
    still = standstill(connection, web.network.timezone, web.settings.plan_at)
    findings = [*kafka_findings(connection), *still]
    shown: dict[str, Any] = {"drafts": drafts, "open_alerts": open_alerts, "findings": findings}
    return page(request, "shell.html", clock_row=clock, **shown)
