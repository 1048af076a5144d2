"""Floors and prices: the night's limits and their prices, the cost of promises, owners' debts, what moves and desk bring."""

from fastapi import APIRouter, Request, Response

from rotation.language.reasons import SHORT
from rotation.night import placement_uplift, uplift
from rotation.views import desk_shadow, last_night, owner_balances
from rotation.web.context import Context, Database, InLanguage, network_now
from rotation.web.render import page

router = APIRouter()


@router.get("/prices", include_in_schema=False)
def prices(request: Request, web: Context, connection: Database, language: InLanguage, place: str = "") -> Response:
    """Show the last night's prices."""
    names = {owner.id: getattr(owner.name, language.code) for owner in web.network.owners}
    weeks, now = web.settings.horizon_weeks, network_now(connection)
    return page(
        request,
        "prices.html",
        tab="prices",
        place=place,
        night=last_night.last(connection, place),
        balances=owner_balances.balances(connection, web.network),
        uplift=uplift.measured(connection, weeks=weeks, now=now),
        placement=placement_uplift.last(connection),
        watched=desk_shadow.watched(connection, weeks=weeks, now=now),
        weeks=weeks,
        because=SHORT,
        owner_name=lambda owner: names.get(owner, owner),
    )
