"""Today: the runs on the map, over time and as stop lists; every transfer with its reason; what is not served, and why."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from rotation.network import Network
from rotation.review import Subject
from rotation.web import chart, geography
from rotation.web import day as days
from rotation.web.context import Context, Database, InLanguage, Web, network_now
from rotation.web.reasons import obstacle, sentence, worth
from rotation.web.render import COLOURS, page

router = APIRouter()


@dataclass
class Today:
    """A day as the page shows it; each part is asked for when its block is drawn, so that a live part costs only itself."""

    web: Web
    connection: Connection
    day: date
    now: datetime
    wanted: days.Wanted
    hub: str = ""

    @cached_property
    def planned(self) -> list[date]:
        """The days that have a plan."""
        return days.days(self.connection)

    @cached_property
    def plans(self) -> list[days.HubPlan]:
        """The hubs' plans."""
        return [plan for plan in days.hub_plans(self.connection, self.day) if self.hub in ("", plan.hub_id)]

    @cached_property
    def every_run(self) -> list[days.Run]:
        """The runs of all hubs, by hub and departure."""
        return days.runs_of(self.connection, self.day)

    @cached_property
    def runs(self) -> list[days.Run]:
        """The runs shown."""
        return [run for run in self.every_run if self.hub in ("", run.hub_id)]

    @cached_property
    def colour(self) -> dict[str, int]:
        """Each run's colour, the same on map, chart and list."""
        return {run.run_id: number % COLOURS for number, run in enumerate(self.every_run)}

    @cached_property
    def chart(self) -> chart.Chart | None:
        """The runs over time."""
        return chart.chart(self.runs, self.now, {van.id: van.crates for van in self.web.network.vans})

    @cached_property
    def transfers(self) -> list[days.Transfer]:
        """A page of the transfers wanted."""
        return days.transfers_of(self.connection, self.day, self.wanted)

    @cached_property
    def transfers_wanted(self) -> int:
        """How many there are on all pages."""
        return days.count_transfers(self.connection, self.day, self.wanted)

    @cached_property
    def by_status(self) -> dict[str, int]:
        """Transfers by status."""
        return days.transfers_by_status(self.connection, self.day)

    @cached_property
    def decisions(self) -> list[days.Decision]:
        """What was decided on the day, its hubs and runs."""
        subjects = [Subject(self.day), *(Subject(self.day, hub_id=plan.hub_id) for plan in self.plans)]
        subjects += [Subject(self.day, run_id=run.run_id) for run in self.runs]
        return days.decisions_of(self.connection, list(map(str, subjects)), limit=20)

    @cached_property
    def unserved(self) -> list[Mapping[str, Any]]:
        """What no run serves, or serves on a later day; the most copies first."""
        left_out = [item for plan in self.plans for item in plan.unserved]
        return sorted(left_out, key=lambda item: -item.get("copies", 0))

    @property
    def copies_unserved(self) -> int:
        """How many copies that is."""
        return sum(item.get("copies", 0) for item in self.unserved)

    @cached_property
    def status(self) -> Counter[str]:
        """Plans by status."""
        return Counter(plan.status for plan in self.plans)

    def drafts(self, hub_id: str = "") -> list[days.Run]:
        """Return the runs that wait for a decision."""
        return [run for run in self.runs if run.status == "draft" and hub_id in ("", run.hub_id)]

    def seen(self, hub_id: str = "") -> str:
        """Return the versions that a decision made on this page rests on."""
        return ",".join(f"{plan.day_plan_id}={plan.version}" for plan in self.plans if hub_id in ("", plan.hub_id))

    def beside(self, step: int) -> date | None:
        """Return the day with a plan before (-1) or after (1) this one."""
        days = [one for one in self.planned if (one < self.day if step < 0 else one > self.day)]
        return (days[-1] if step < 0 else days[0]) if days else None


@router.get("/", include_in_schema=False)
def home() -> Response:
    """Send to the day."""
    return RedirectResponse("/today", 303)


def wanted_of(
    run: str = "",
    place: str = "",
    kind: str = "",
    status: str = "",
    text: str = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> days.Wanted:
    """Return which transfers the page asks for; an empty string asks for nothing."""
    return days.Wanted(run, place, kind, status, text.replace("\0", ""), page)


@router.get("/today", include_in_schema=False)
def today(
    request: Request,
    web: Context,
    connection: Database,
    language: InLanguage,
    wanted: Annotated[days.Wanted, Depends(wanted_of)],
    on: Annotated[date | None, Query(alias="day")] = None,
    hub: str = "",
) -> Response:
    """Show a day; without one, today or the next that is planned."""
    now = network_now(connection)
    if on is None:
        on = days.day_shown(days.days(connection), web.network.day_of(now))
    view = Today(web, connection, on, now, wanted, hub)

    def because(reason: Mapping[str, Any]) -> str:
        return sentence(reason, language)

    return page(
        request, "today.html", view=view, because=because, obstacle=partial(obstacle, language=language), tab="today"
    )


@router.get("/transfers/{transfer_id}", include_in_schema=False)
def transfer(request: Request, transfer_id: str, web: Context, connection: Database, language: InLanguage) -> Response:
    """Show one transfer: its reason with every number, and its way."""
    found = days.transfer_of(connection, transfer_id)
    if found is None:
        raise HTTPException(404, "transfer")
    one, way = found
    said = sentence(one.reason, language), worth(one.reason, one.gain_loans, language)
    return page(request, "transfer.html", transfer=one, way=way, tab="today", reason=said[0], worth=said[1])


@router.get("/today/map.json", include_in_schema=False)
def run_map(
    web: Context, connection: Database, on: Annotated[date, Query(alias="day")], hub: str = ""
) -> dict[str, Any]:
    """Return the day's runs and the places that they visit, as the map draws them."""
    all_runs = days.runs_of(connection, on)
    colour = {run.run_id: number % COLOURS for number, run in enumerate(all_runs)}
    shown = [run for run in all_runs if hub in ("", run.hub_id)]
    draw = _Drawing(web.network, web.settings.map_coordinates)
    return {
        "places": draw.places(),
        "runs": [{"id": run.run_id, "van": run.van_id, "colour": colour[run.run_id], **draw.run(run)} for run in shown],
    }


@dataclass(frozen=True)
class _Drawing:
    network: Network
    coordinates: str

    def places(self) -> list[dict[str, Any]]:
        located = ((place, geography.point(place, self.coordinates)) for place in self.network.places)
        return [
            {"id": place.id, "at": at, "tier": place.tier, "hub": bool(place.hub), **names(self.network, place.id)}
            for place, at in located
            if at
        ]

    def run(self, run: days.Run) -> dict[str, Any]:
        hub = self._at(run.hub_id)
        visits = [(stop, at) for stop in run.stops if (at := self._at(stop.place_id))]
        line: Sequence[geography.Point | None] = [hub, *(at for _, at in visits), hub]
        return {
            "line": [at for at in line if at],
            "stops": [
                {"place": stop.place_id, "n": stop.position, "at": at, "status": stop.status} for stop, at in visits
            ],
        }

    def _at(self, place_id: str) -> geography.Point | None:
        place = self.network.place.get(place_id)
        return geography.point(place, self.coordinates) if place else None


def names(network: Network, place_id: str) -> dict[str, str]:
    """Return a place's names as `zh` and `en`."""
    name = network.place[place_id].name
    return {"zh": name.zh, "en": name.en}


@router.get("/outline.json", include_in_schema=False)
def outline(web: Context, response: Response) -> dict[str, Any]:
    """Return the network's areas as GeoJSON."""
    response.headers["Cache-Control"] = "private, max-age=3600"
    return geography.outline(web.network, web.settings.map_coordinates)
