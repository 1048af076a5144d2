"""Floors and prices: what the night's limits are worth, what promises cost, what owners owe, and what moves really brought."""

from fastapi import APIRouter, Request, Response

from rotation import field, owners
from rotation.web import night
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
        night=night.last(connection, place),
        balances=owners.balances(connection, web.network),
        uplift=field.measured(connection, weeks=web.settings.horizon_weeks, now=network_now(connection)),
        owner_name=lambda owner: names.get(owner, owner),
    )
