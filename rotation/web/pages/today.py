"""Today: the runs on the map, over time and as stop lists; every transfer with its reason; unserved crates, and why."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property, partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from rotation.accounts.permissions import OF_PLACES
from rotation.dispatch import marks
from rotation.dispatch.drafts import CHANGED
from rotation.dispatch.marks import TransferMark
from rotation.dispatch.review import Subject
from rotation.facts.clock import Day
from rotation.facts.lifecycle import IMBALANCES, NOT_DRIVEN, RunState, StopState
from rotation.language.names import van_names
from rotation.language.reasons import obstacle, sentence, worth
from rotation.network import Network
from rotation.store.networks import Version, touching
from rotation.views import comparison, notices
from rotation.views import day as days
from rotation.web import chart, geography
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web, network_now
from rotation.web.past_day import PastStop, past_stops
from rotation.web.render import COLOURS, page, query
from rotation.web.spreadsheets import rows_shown

router = APIRouter()
MOST_NEEDS = 10  # two rows on a desk's screen; the rest is counted


class NeedKind(StrEnum):
    """Why somebody is needed."""

    APPROVE = "approve"
    LATE = "late_stop"
    MISSED = "missed_stop"
    ALERT = "alert"


# Filters of the list of runs.
ONLY_LATE, ONLY_CHANGED = "only_late", "only_changed"
DECISIONS_SHOWN = 20
CHANGES_SEEN = 500  # decisions on a day's hubs that are looked through


@dataclass(frozen=True, slots=True)
class Need:
    """A thing that needs somebody: its place or kind, by when, how much, and the hub, run or kind that it is of."""

    kind: NeedKind
    about: str
    due: datetime | None
    amount: int
    of: str


@dataclass
class Today:
    """A day as the page shows it; each part is asked for when its block is drawn, so that a live part costs only itself."""

    web: Web
    connection: Connection
    day: date
    now: datetime
    wanted: days.Wanted
    hub: str = ""
    van_name: Callable[[str], str] = str
    tier: str = ""
    only: str = ""

    @property
    def today(self) -> date:
        """The network's present day."""
        return self.web.network.day_of(self.now)

    @cached_property
    def planned(self) -> list[date]:
        """The days that have a plan."""
        return days.days(self.connection)

    @cached_property
    def plans(self) -> list[days.HubPlan]:
        """The hubs' plans."""
        return [plan for plan in days.hub_plans(self.connection, self.day) if self.hub in ("", plan.hub_id)]

    @cached_property
    def network_changed(self) -> Version | None:
        """The last change of the network since a day that is not over was planned, if it touches that day."""
        if self.day < self.today or not self.plans:
            return None
        planned_at = min(plan.created_at for plan in self.plans)
        return touching(self.connection, self.web.given, self.day, planned_at)

    @cached_property
    def every_run(self) -> list[days.RunLine]:
        """The runs of all hubs, by hub and departure."""
        return days.runs_of(self.connection, self.day, self.now)

    @cached_property
    def runs(self) -> list[days.RunLine]:
        """The runs shown."""
        return [run for run in self.every_run if self.hub in ("", run.hub_id)]

    @cached_property
    def runs_listed(self) -> list[days.RunLine]:
        """The runs in the list: those late or changed alone, or with a stop in a tier, where that is asked for."""
        return [run for run in self.runs if self._is_listed(run)]

    def _is_listed(self, run: days.RunLine) -> bool:
        place = self.web.network.place
        of_tier = not self.tier or any(
            stop.place_id in place and place[stop.place_id].tier == self.tier for stop in run.stops
        )
        if self.only == ONLY_LATE:
            return of_tier and any(stop.late or stop.status == StopState.MISSED for stop in run.stops)
        if self.only == ONLY_CHANGED:
            return of_tier and run.hub_id in self._changed_hubs
        return of_tier

    @cached_property
    def _changed_hubs(self) -> set[str]:
        """The hubs whose plan people have changed."""
        subjects = {str(Subject(self.day, hub_id=plan.hub_id)): plan.hub_id for plan in self.plans}
        made = days.decisions_of(self.connection, list(subjects), limit=CHANGES_SEEN)
        return {subjects[decision.subject] for decision in made if decision.what == CHANGED}

    @cached_property
    def usual(self) -> comparison.UsualTotals | None:
        """Totals of the days before."""
        return comparison.usual_totals(self.connection, self.day, self.hub)

    @cached_property
    def driven(self) -> list[days.RunLine]:
        """The runs that vans drive or are to drive: counted, drawn over time and on the map."""
        return [run for run in self.runs if run.status not in NOT_DRIVEN]

    @cached_property
    def colour(self) -> dict[str, int]:
        """Each run's colour, the same on map, chart and list."""
        return {run.run_id: number % COLOURS for number, run in enumerate(self.every_run)}

    @cached_property
    def chart(self) -> chart.Chart | None:
        """The runs over time."""
        return chart.chart(self.driven, self.now, {van.id: van.crates for van in self.web.network.vans}, self.van_name)

    @cached_property
    def transfers(self) -> list[days.Transfer]:
        """A page of the transfers wanted."""
        return days.transfers_of(self.connection, self.day, self.wanted)

    @cached_property
    def transfers_wanted(self) -> int:
        """How many there are on all pages."""
        return days.count_transfers(self.connection, self.day, self.wanted)

    @cached_property
    def marks(self) -> list[TransferMark]:
        """The transfers that people pinned or kept back, of any day."""
        return marks.standing(self.connection)

    @cached_property
    def mark_of(self) -> dict[str, TransferMark]:
        """The same, by transfer."""
        return {mark.transfer_id: mark for mark in self.marks}

    @cached_property
    def by_status(self) -> dict[str, int]:
        """Transfers by status."""
        return days.transfers_by_status(self.connection, self.day)

    @cached_property
    def decisions(self) -> list[days.DecisionLine]:
        """The decisions on the day, its hubs and runs."""
        subjects = [Subject(self.day), *(Subject(self.day, hub_id=plan.hub_id) for plan in self.plans)]
        subjects += [Subject(self.day, run_id=run.run_id) for run in self.runs]
        most = CHANGES_SEEN if self.day < self.today else DECISIONS_SHOWN
        return days.decisions_of(self.connection, list(map(str, subjects)), limit=most)

    @cached_property
    def past_stops(self) -> list[PastStop]:
        """The stops of a day that is over, as planned, as changed and as done; none of another day."""
        return past_stops(self.runs, self.decisions) if self.day < self.today else []

    @cached_property
    def unserved(self) -> list[Mapping[str, Any]]:
        """The places that no run serves, or only on a later day; the most copies first."""
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

    @cached_property
    def needs(self) -> list[Need]:
        """Needs of the hour, by deadline: plans to approve, stops late or missed, alerts."""
        return sorted(
            [*self._to_approve(), *self._in_trouble(), *self._alerts()], key=lambda one: (one.due is None, one.due)
        )

    def _to_approve(self) -> Iterator[Need]:
        for plan in self.plans if self.day >= self.today else ():
            if waiting := self.drafts(plan.hub_id):
                first = min(run.departs_at for run in waiting)
                yield Need(NeedKind.APPROVE, plan.hub_id, first, len(waiting), plan.hub_id)

    def _in_trouble(self) -> Iterator[Need]:
        for run in self.driven:
            ahead = [stop for stop in run.stops if stop.late and stop.status == StopState.PLANNED]
            if ahead:
                late_s = int((ahead[0].expected_at - ahead[0].begins_at).total_seconds()) if ahead[0].expected_at else 0
                yield Need(NeedKind.LATE, ahead[0].place_id, ahead[0].expected_at, late_s // 60, run.run_id)
            for stop in run.stops:
                if stop.status == StopState.MISSED:
                    yield Need(
                        NeedKind.MISSED,
                        stop.place_id,
                        stop.begins_at,
                        stop.deliver_crates + stop.collect_crates,
                        run.run_id,
                    )

    def _alerts(self) -> Iterator[Need]:
        if self.day == self.today:
            for kind, count in sorted(notices.open_alerts_by_kind(self.connection).items(), key=lambda item: -item[1]):
                if kind not in IMBALANCES:
                    yield Need(NeedKind.ALERT, kind, None, count, kind)

    def plan_at(self, hub_id: str) -> days.HubPlan:
        """Return a hub's plan."""
        return next(plan for plan in self.plans if plan.hub_id == hub_id)

    def run_named(self, run_id: str) -> days.RunLine:
        """Return a run."""
        return next(run for run in self.every_run if run.run_id == run_id)

    def drafts(self, hub_id: str = "") -> list[days.RunLine]:
        """Return the runs that wait for a decision."""
        return [run for run in self.runs if run.status == RunState.DRAFT and hub_id in ("", run.hub_id)]

    def may_be_taken_back(self, run: days.RunLine) -> bool:
        """Whether an approval can still be taken back: the van has not left."""
        return run.status in (RunState.APPROVED, RunState.ORDERED) and run.departs_at > self.now and not run.done

    def plan_of(self, run: days.RunLine) -> days.HubPlan:
        """Return the plan that a run is part of."""
        return next(plan for plan in self.plans if plan.day_plan_id == run.day_plan_id)

    def seen(self, hub_id: str = "") -> str:
        """Return the versions that a decision made on this page rests on."""
        return ",".join(f"{plan.day_plan_id}={plan.version}" for plan in self.plans if hub_id in ("", plan.hub_id))

    def beside(self, step: int) -> date | None:
        """Return the day with a plan before (-1) or after (1) this day."""
        days = [one for one in self.planned if (one < self.day if step < 0 else one > self.day)]
        return (days[-1] if step < 0 else days[0]) if days else None


@router.get("/", include_in_schema=False)
def home(caller: CalledBy) -> Response:
    """Send to the day, or whoever works with hands to that."""
    return RedirectResponse("/hands" if caller.role in OF_PLACES else "/today", 303)


def wanted_of(
    run: str = "",
    place: str = "",
    kind: str = "",
    status: str = "",
    text: str = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    form: str = "",
) -> days.Wanted:
    """Return which transfers the page asks for; an empty string asks for nothing."""
    rows = rows_shown(form, days.PAGE_ROWS)
    return days.Wanted(run, place, kind, status, text.replace("\0", ""), 1 if form else page, rows)


@router.get("/today", include_in_schema=False)
def today(
    request: Request,
    web: Context,
    connection: Database,
    language: InLanguage,
    wanted: Annotated[days.Wanted, Depends(wanted_of)],
    on: Annotated[Day | None, Query(alias="day")] = None,
    hub: str = "",
    tier: str = "",
    only: str = "",
) -> Response:
    """Show a day; by default today, or the next planned day."""
    now = network_now(connection)
    if on is None:
        on = days.day_shown(days.days(connection), web.network.day_of(now))
    vans = van_names(web.network, language)
    view = Today(web, connection, on, now, wanted, hub, lambda van: vans.get(van, van), tier, only)

    def because(reason: Mapping[str, Any]) -> str:
        return sentence(reason, language)

    return page(
        request,
        "today.html",
        view=view,
        because=because,
        obstacle=partial(obstacle, language=language),
        of_day=partial(query, request, day=on),  # the parts of a page left open over midnight stay with its day
        kinds=NeedKind,
        drivers={van.id: " ".join(filter(None, (van.driver, van.phone))) for van in web.network.vans},
        most=MOST_NEEDS,
        tab="today",
    )


@router.get("/transfers/{transfer_id}", include_in_schema=False)
def transfer(request: Request, transfer_id: str, connection: Database, language: InLanguage) -> Response:
    """Show a transfer: its reason with every number, and its legs."""
    found = days.transfer_of(connection, transfer_id)
    if found is None:
        raise HTTPException(404, "transfer")
    one, way = found
    said = sentence(one.reason, language), worth(one.reason, one.gain_loans, language)
    marked = next((mark for mark in marks.standing(connection) if mark.transfer_id == transfer_id), None)
    return page(
        request, "transfer.html", transfer=one, way=way, tab="today", reason=said[0], worth=said[1], marked=marked
    )


@router.get("/today/map.json", include_in_schema=False)
def run_map(
    web: Context, connection: Database, language: InLanguage, on: Annotated[Day, Query(alias="day")], hub: str = ""
) -> dict[str, Any]:
    """Return the day's runs and the places that they visit, as the map draws them."""
    all_runs = days.runs_of(connection, on, network_now(connection))
    colour = {run.run_id: number % COLOURS for number, run in enumerate(all_runs)}
    shown = [run for run in all_runs if hub in ("", run.hub_id) and run.status not in NOT_DRIVEN]
    vans = van_names(web.network, language)
    draw = _Drawing(web.network, web.settings.map_coordinates)
    return {
        "places": draw.places(),
        "runs": [
            {"id": run.run_id, "van": vans.get(run.van_id, run.van_id), "colour": colour[run.run_id], **draw.run(run)}
            for run in shown
        ],
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

    def run(self, run: days.RunLine) -> dict[str, Any]:
        hub = self._at(run.hub_id)
        visits = [(stop, at) for stop in run.stops if (at := self._at(stop.place_id))]
        line: Sequence[geography.Point | None] = [hub, *(at for _, at in visits), hub]
        return {
            "line": [at for at in line if at],
            "stops": [
                {"place": stop.place_id, "n": stop.position, "at": at, "status": stop.status, "late": stop.late}
                for stop, at in visits
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
