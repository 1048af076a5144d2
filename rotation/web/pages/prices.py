"""Floors and prices: the night's limits and their prices, the cost of promises, debts between owners, the effect of moves."""

from fastapi import APIRouter, Request, Response

from rotation.night import uplift
from rotation.views import last_night, owner_balances
from rotation.web.context import Context, Database, InLanguage, network_now
from rotation.web.render import page

router = APIRouter()


@router.get("/prices", include_in_schema=False)
def prices(request: Request, web: Context, connection: Database, language: InLanguage, place: str = "") -> Response:
    """Show the last night's prices."""
    names = {owner.id: getattr(owner.name, language.code) for owner in web.network.owners}
    return page(
        request,
        "prices.html",
        tab="prices",
        place=place,
        night=last_night.last(connection, place),
        balances=owner_balances.balances(connection, web.network),
        uplift=uplift.measured(connection, weeks=web.settings.horizon_weeks, now=network_now(connection)),
        owner_name=lambda owner: names.get(owner, owner),
    )
