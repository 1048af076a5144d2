"""Imbalance: which places are short of what and which have too much, on the map, by tier and class, and as a list."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from rotation.network import Tier
from rotation.web import balance, geography
from rotation.web.context import Context, Database, Web
from rotation.web.render import page
from rotation.web.today import names

router = APIRouter()
ROWS = 200  # the worst; whoever wants more asks for a place, tier or class


@dataclass
class Imbalance:
    """The page: what is asked for, and what answers it."""

    connection: Connection
    web: Web
    kind: str = ""
    tier: str = ""
    title_class: str = ""
    place: str = ""

    @cached_property
    def levels(self) -> list[balance.Level]:
        """Every level with a target."""
        return self.web.balance.levels(self.connection, self.web.network)

    @cached_property
    def matching(self) -> list[balance.Level]:
        """Those out of balance that are asked for."""
        return balance.matching(
            self.levels, kind=self.kind, tier=self.tier, title_class=self.title_class, place=self.place
        )

    @cached_property
    def rows(self) -> list[balance.Level]:
        """The worst of them."""
        return self.matching[:ROWS]

    @cached_property
    def summary(self) -> dict[tuple[str, str], balance.Cell]:
        """By tier and class."""
        return balance.summary(self.levels)

    @cached_property
    def tiers(self) -> list[str]:
        """The tiers that have targets, from the city down."""
        present = {tier for tier, _ in self.summary}
        return [tier for tier in Tier if tier in present]

    @cached_property
    def classes(self) -> list[str]:
        """The classes that have targets, in the network file's order."""
        present = {cls for _, cls in self.summary}
        listed = [title_class.id for title_class in self.web.network.classes if title_class.id in present]
        return listed + sorted(present - set(listed))


@router.get("/imbalance", include_in_schema=False)
def imbalance(
    request: Request, web: Context, connection: Database, kind: str = "", tier: str = "", cls: str = "", place: str = ""
) -> Response:
    """Show what is out of balance."""
    view = Imbalance(connection, web, kind, tier, cls, place)
    return page(request, "imbalance.html", view=view, tab="imbalance")


@router.get("/imbalance/map.json", include_in_schema=False)
def imbalance_map(web: Context, connection: Database, tier: str = "", cls: str = "") -> dict[str, Any]:
    """Return each located place, where it has targets with its copies short and in surplus."""
    asked = [
        level
        for level in web.balance.levels(connection, web.network)
        if tier in ("", level.tier) and cls in ("", level.title_class)
    ]
    found = {one.place_id: {"short": one.short, "surplus": one.surplus} for one in balance.by_place(asked)}
    located = ((place, geography.point(place, web.settings.map_coordinates)) for place in web.network.places)
    return {
        "places": [
            {"id": place.id, "at": at, "tier": place.tier, **found.get(place.id, {}), **names(web.network, place.id)}
            for place, at in located
            if at
        ]
    }
