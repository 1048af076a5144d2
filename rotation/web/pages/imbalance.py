"""Imbalance: which places have too few copies of a class and which too many, on the map, by tier and class, and as a list."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy import Connection

from rotation.network import Tier
from rotation.views import balance, kept_figures, mending
from rotation.web import geography, lines
from rotation.web.context import Context, Database, InLanguage, Web, network_now
from rotation.web.pages.today import names
from rotation.web.render import page
from rotation.web.spreadsheets import rows_shown

router = APIRouter()
ROWS = 200  # the worst; whoever wants more asks for a place, tier or class


@dataclass
class Imbalance:
    """The page: its filters, and the levels that match."""

    connection: Connection
    web: Web
    kind: str = ""
    tier: str = ""
    title_class: str = ""
    place: str = ""
    most: int = ROWS

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
        return self.matching[: self.most]

    @cached_property
    def summary(self) -> dict[tuple[str, str], balance.Cell]:
        """By tier and class."""
        return balance.summary(self.levels)

    @cached_property
    def of_places(self) -> list["PlaceRow"]:
        """A row for each place of the tier asked for, the shortest first, with its classes and its line."""
        days, past = kept_figures.level_lines(self.connection)
        found: dict[str, dict[str, balance.Level]] = {}
        for level in self.levels:
            if self.tier in ("", level.tier) and self.place in ("", level.place_id):
                found.setdefault(level.place_id, {})[level.title_class] = level
        rows = [
            PlaceRow(place, levels, _short_line(place, self.classes, days, past)) for place, levels in found.items()
        ]
        return sorted(rows, key=lambda row: (-row.short, -row.surplus, row.place_id))

    @cached_property
    def flows(self) -> tuple[list[mending.NetFlow], list[mending.NetFlow]]:
        """Net flow of tiers and owners in the last month."""
        return mending.net_flows(self.connection, self.web.network, network_now(self.connection))

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


@dataclass(frozen=True)
class PlaceRow:
    """A place's levels by class, and the line of its copies short over a quarter."""

    place_id: str
    levels: dict[str, balance.Level]
    line: lines.SparkLine | None

    @property
    def short(self) -> int:
        """Copies short over all classes."""
        return sum(max(-level.beyond, 0) for level in self.levels.values())

    @property
    def surplus(self) -> int:
        """Copies too many over all classes."""
        return sum(max(level.beyond, 0) for level in self.levels.values())


def _short_line(
    place: str, classes: list[str], days: list[date], past: dict[tuple[str, str], dict[date, float]]
) -> lines.SparkLine | None:
    of_place = [past[place, cls] for cls in classes if (place, cls) in past]
    return lines.spark([(day, sum(max(-one.get(day, 0.0), 0.0) for one in of_place)) for day in days])


@router.get("/imbalance/{place_id}/{cls}", include_in_schema=False)
def cell(request: Request, web: Context, connection: Database, place_id: str, cls: str) -> Response:
    """Show the moves that mend a shelf, or why there are none."""
    levels = web.balance.levels(connection, web.network)
    level = next((one for one in levels if (one.place_id, one.title_class) == (place_id, cls)), None)
    if level is None:
        raise HTTPException(404, "level")
    return page(
        request,
        "shelf.html",
        tab="imbalance",
        level=level,
        moves=mending.moves(connection, level),
        why=lambda: mending.hindrance(connection, level, levels),
        place=web.network.place[place_id],
    )


@router.get("/imbalance", include_in_schema=False)
def imbalance(
    request: Request,
    web: Context,
    connection: Database,
    language: InLanguage,
    kind: str = "",
    tier: str = "",
    cls: str = "",
    place: str = "",
    form: str = "",
) -> Response:
    """Show the levels that are out of balance."""
    view = Imbalance(connection, web, kind, tier, cls, place, rows_shown(form, ROWS))
    owners = {owner.id: getattr(owner.name, language.code) for owner in web.network.owners}
    return page(request, "imbalance.html", view=view, tab="imbalance", owner_name=lambda one: owners.get(one, one))


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
