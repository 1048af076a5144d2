"""Changing a hub's plan: move, remove, split, lock, another van, another start; each is judged at once, and none refused."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from rotation.courier import edits
from rotation.courier.edits import Edit, EditKind
from rotation.dispatch import drafts, review
from rotation.dispatch.drafts import Draft
from rotation.facts.lifecycle import LegKind, StopState
from rotation.language.catalogues import Language
from rotation.language.labels import N_
from rotation.language.names import van_names
from rotation.network import Network
from rotation.web import geography
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web, network_now
from rotation.web.edits import edit_said, place_named
from rotation.web.flash import back
from rotation.web.pages.decide import LONGEST_WHY, refusal
from rotation.web.render import COLOURS, local, page
from solver.engines import Limits
from solver.messages import say_violation
from solver.problem import Problem, Stop, Window
from solver.replan import still_valid
from solver.solution import Solution, Violation, Visit
from solver.solve import solve

router = APIRouter(include_in_schema=False)
SEARCH_S = 3.0  # a person waits for it
URGENT_SERVICE_S = 300
PRICE_DIGITS = 100  # cents of a currency's unit
Field = Annotated[str, Form(max_length=300)]
Version = Annotated[int, Form(ge=0)]
FRAME_WORDS = {
    "break": N_("Break"),
    "reload": N_("Loads again"),
    LegKind.COLLECT: N_("fetch"),
    LegKind.DELIVER: N_("hand over"),
}


@dataclass(frozen=True, slots=True)
class VisitRow:
    """A visit as the page lists it; `was_on` is the van that it was on before, where it moved; `broken` its broken rules."""

    visit: Visit
    name: str
    note: str
    number: int | None
    is_locked: bool
    is_done: bool
    is_changed: bool
    was_on: str | None
    deliver: int
    collect: int
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunRows:
    """A van's run as the page lists it."""

    van: str
    rows: tuple[VisitRow, ...]
    begin_s: int
    end_s: int
    metres: int
    not_before_s: int
    is_changed: bool
    colour: int
    broken: tuple[str, ...]


@dataclass
class PlanChange:
    """The page: a draft, its runs and the rules that it breaks, in words."""

    network: Network
    language: Language
    draft: Draft

    @cached_property
    def van_names(self) -> Mapping[str, str]:
        """The vans' names."""
        return van_names(self.network, self.language)

    @cached_property
    def runs(self) -> list[RunRows]:
        """Every van of the hub, with its run."""
        return [self._run(number, van.id) for number, van in enumerate(self.draft.plan.problem.vans)]

    @cached_property
    def unserved(self) -> list[str]:
        """The stops that nobody serves."""
        return self.draft.judged.after.unserved

    @cached_property
    def _stops(self) -> Mapping[str, Stop]:
        return {stop.id: stop for stop in self.draft.plan.problem.stops}

    def _run(self, number: int, van: str) -> RunRows:
        report = next((one for one in self.draft.judged.after.runs if one.van == van), None)
        run = self.draft.plan.runs.get(van)
        own = [one for one in (report.violations if report else []) if not one.visit]
        return RunRows(
            van,
            tuple(self._rows(van, report.visits if report else [])),
            report.begin_s if report else 0,
            report.end_s if report else 0,
            report.metres if report else 0,
            run.not_before_s if run else 0,
            van in self.draft.changed_vans,
            number % COLOURS,
            tuple(map(self.says, own)),
        )

    def _rows(self, van: str, visits: list[Visit]) -> Iterator[VisitRow]:
        number = 0
        for visit in visits:
            if visit.visit.startswith(("start:", "end:")):
                continue
            stop = edits.is_stop(visit.visit)
            number += stop
            yield self._row(van, visit, number if stop else None)

    def _row(self, van: str, visit: Visit, number: int | None) -> VisitRow:
        plan, was = self.draft.plan, self.draft.base.van_of(visit.visit)
        stop = self._stops.get(visit.visit)
        broken = [one for one in self.draft.judged.after.violations if (one.van, one.visit) == (van, visit.visit)]
        return VisitRow(
            visit,
            self.place(visit.visit),
            self.note(visit.visit),
            number,
            visit.visit in plan.locked,
            visit.done,
            van in self.draft.changed_vans and visit.visit in plan.touched,
            was if was and was != van else None,
            _amount(stop.deliver) if stop else 0,
            _amount(stop.collect) if stop else 0,
            tuple(map(self.says, broken)),
        )

    def place(self, visit: str) -> str:
        """Return the name of the place of a visit."""
        half, _, crate = visit.partition(":")
        if crate and half in edits.HALVES:
            shipment = next((one for one in self.draft.plan.problem.shipments if one.id == crate), None)
            site = getattr(shipment, half).place if shipment else None
            return self._named(site or crate)
        return self._named(crate or visit)

    def note(self, visit: str) -> str:
        """Return a visit's kind besides a place's usual stop; empty for that."""
        half, _, crate = visit.partition(":")
        return self.language.say(FRAME_WORDS[half]) if crate and half in FRAME_WORDS else ""

    def _named(self, place: str) -> str:
        return place_named(place, self.network, self.language)

    def says(self, violation: Violation) -> str:
        """Return a broken limit in words, with names of people's."""
        named = replace(
            violation,
            van=self.van_names.get(violation.van or "", violation.van),
            visit=self.place(violation.visit) if violation.visit else None,
        )
        return say_violation(named, "zh" if self.language.code == "zh" else "en")

    @cached_property
    def broken(self) -> list[str]:
        """Rules that the changes break."""
        return [self.says(one) for one in self.draft.judged.broken]

    @cached_property
    def solved(self) -> list[str]:
        """Rules that the changes mend."""
        return [self.says(one) for one in self.draft.judged.solved]

    @cached_property
    def figures(self) -> list[tuple[str, float, float, int]]:
        """Each figure before and after: its label, both values and its digits."""
        before, after = self.draft.figures
        return [
            (N_("km"), before.metres / 1000, after.metres / 1000, 1),
            (N_("min"), before.work_s / 60, after.work_s / 60, 0),
            (N_("Cost"), before.cost_cents / PRICE_DIGITS, after.cost_cents / PRICE_DIGITS, 0),
            (N_("CO₂, kg"), before.co2_g / 1000, after.co2_g / 1000, 1),
        ]

    def choices(self, visit: str) -> list[dict[str, Any]]:
        """Return where a visit could go: van, position, differences, and rules that it would break."""
        found = edits.choices(self.draft.plan, visit)
        return [
            {
                "van": one.van,
                "before": one.before,
                "position": one.position,
                "km": (one.judged.after.totals.metres - one.judged.before.totals.metres) / 1000,
                "minutes": (one.judged.after.totals.work_s - one.judged.before.totals.work_s) / 60,
                "broken": [self.says(broken) for broken in one.judged.broken],
                "solved": [self.says(solved) for solved in one.judged.solved],
            }
            for one in found
        ]

    def edit_says(self, edit: Edit) -> str:
        """Return an edit in words."""
        return edit_said(edit, self.network, self.language, self.place)


def _amount(amount: int | dict[str, int]) -> int:
    return sum(amount.values()) if isinstance(amount, dict) else amount


def clock_s(seconds: int) -> str:
    """Return a second of the day as "09:40"; of the day after with its hours going on."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}"


@router.get("/plans/{plan_id}/change")
def show(
    request: Request, web: Context, connection: Database, language: InLanguage, plan_id: str, visit: str = ""
) -> Response:
    """Show a hub's plan as it would be, the effect of each change, and where the chosen visit could go."""
    view = PlanChange(web.network, language, _draft(connection, web, plan_id))
    return page(
        request,
        "change.html",
        view=view,
        draft=view.draft,
        chosen=visit,
        clock_s=clock_s,
        map_now=_map(web, view),
        tab="today",
        past=_past(web, connection, view.draft.day),
    )


def _past(web: Web, connection: Connection, day: date) -> bool:
    return day < web.network.day_of(network_now(connection))


def _draft(connection: Connection, web: Web, plan_id: str, *, lock: bool = False) -> Draft:
    try:
        return drafts.read(connection, web.network, plan_id, network_now(connection), lock=lock)
    except drafts.NothingToChange as none:
        raise HTTPException(404, "plan") from none


def _map(web: Web, view: PlanChange) -> dict[str, Any]:
    """Return the places and runs of a draft and, dashed beside those that changed, as they were."""
    lines = partial(_lines, web, view.draft)
    return {
        "places": list(_places(web, view.draft.hub_id)),
        "runs": [
            {
                "id": run.van,
                "van": view.van_names.get(run.van, run.van),
                "colour": run.colour,
                "line": lines([row.visit for row in run.rows]),
                "was": lines(_visits_before(view.draft, run.van)) if run.is_changed else [],
                "stops": [
                    {
                        "place": row.visit.place,
                        "n": row.number,
                        "at": at,
                        "status": StopState.DONE if row.is_done else StopState.PLANNED,
                        "late": bool(row.broken),
                    }
                    for row in run.rows
                    if row.number and (at := _at(web, row.visit.place or ""))
                ],
            }
            for run in view.runs
        ],
    }


def _visits_before(draft: Draft, van: str) -> list[Visit]:
    return next((run.visits for run in draft.judged.before.runs if run.van == van), [])


def _lines(web: Web, draft: Draft, visits: list[Visit]) -> list[geography.Point]:
    hub = _at(web, draft.hub_id)
    calls = [one for one in visits if edits.is_stop(one.visit) or one.visit.startswith(edits.RELOAD)]
    way = (_at(web, one.place or "") if edits.is_stop(one.visit) else hub for one in calls)
    return [at for at in (hub, *way, hub) if at] if visits else []


def _at(web: Web, place_id: str) -> geography.Point | None:
    place = web.network.place.get(place_id)
    return geography.point(place, web.settings.map_coordinates) if place else None


def _places(web: Web, hub: str) -> Iterator[dict[str, Any]]:
    for place in web.network.places:
        at = _at(web, place.id)
        if at and web.network.hub_of(place.id) == hub:
            yield {
                "id": place.id,
                "at": at,
                "tier": place.tier,
                "hub": bool(place.hub),
                "zh": place.name.zh,
                "en": place.name.en,
            }


# --- Changes ----------------------------------------------------------------------------------------------------------


@router.post("/plans/{plan_id}/edits")
def add_edit(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    plan_id: str,
    version: Version,
    kind: Annotated[EditKind, Form()],
    visit: Field = "",
    van: Field = "",
    before: Field = "",
    to_van: Field = "",
    at: Annotated[str, Form(pattern=r"^([0-3]?[0-9]:[0-5][0-9])?$")] = "",
    minutes: Annotated[int, Form(ge=0, le=1440)] = 0,
    crates: Annotated[int, Form(ge=0, le=1000)] = 1,
) -> Response:
    """Make a change; it is judged when the page is shown again."""
    draft = _draft(connection, web, plan_id, lock=True)
    edit = Edit(
        kind=kind,
        visit=visit,
        van=van,
        before=before,
        to_van=to_van,
        seconds=_seconds(at) if at else minutes * 60,
        stop=_urgent_stop(web.network, draft, visit, crates) if kind is EditKind.URGENT else None,
    )
    _must_be_known(draft, edit)
    return _tried(
        request,
        language,
        web.network,
        draft,
        lambda: drafts.add(connection, draft, edit, who=caller.name, seen=version),
    )


def _seconds(at: str) -> int:
    hours, _, minutes = at.partition(":")
    return int(hours) * 3600 + int(minutes) * 60


def _must_be_known(draft: Draft, edit: Edit) -> None:
    """Refuse a change that names no van or visit of this plan: nobody could see its effect."""
    problem = draft.plan.problem
    vans = {van.id for van in problem.vans}
    known = {stop.id for stop in problem.stops} | {
        f"{half}:{one.id}" for one in problem.shipments for half in edits.HALVES
    }
    known |= {visit for run in draft.plan.runs.values() for visit in run.visits}
    needs_visit = edit.kind in (EditKind.MOVE, EditKind.REMOVE, EditKind.SPLIT)
    on_no_run = edit.kind is EditKind.SPLIT and not (edit.van and draft.plan.van_of(edit.visit))
    unknown_van = (edit.van and edit.van not in vans) or (edit.to_van and edit.to_van not in vans)
    if (
        unknown_van
        or (edit.visit and edit.visit not in known and edit.kind is not EditKind.URGENT)
        or (needs_visit and not edit.visit)
        or on_no_run
    ):
        raise HTTPException(422, "visit or van")
    if edit.kind is EditKind.SEARCH or (edit.kind is EditKind.URGENT and edit.stop is None):
        raise HTTPException(422, "kind")


def _urgent_stop(network: Network, draft: Draft, place_id: str, crates: int) -> Stop | None:
    """Return a stop at a place that is to be served today besides the visits planned there."""
    place = network.place.get(place_id)
    if place is None or not place.located:
        return None
    taken = {stop.id for stop in draft.plan.problem.stops}
    name = next(one for one in (place_id, *(f"{place_id}#{n}" for n in range(2, 1000))) if one not in taken)
    windows = [Window(from_s=span.begin_s, until_s=span.end_s) for span in place.receiving_spans(draft.day)]
    return Stop(
        id=name,
        place=place.id,
        lat=place.lat,
        lon=place.lon,
        windows=windows,
        service_s=URGENT_SERVICE_S,
        deliver=crates * network.network.bags_per_crate,
    )


@router.post("/plans/{plan_id}/undo")
def undo(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    plan_id: str,
    version: Version,
) -> Response:
    """Take the last change back."""
    draft = _draft(connection, web, plan_id, lock=True)
    return _tried(
        request, language, web.network, draft, lambda: drafts.step(connection, draft, -1, who=caller.name, seen=version)
    )


@router.post("/plans/{plan_id}/redo")
def redo(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    plan_id: str,
    version: Version,
) -> Response:
    """Make the change again that was taken back last."""
    draft = _draft(connection, web, plan_id, lock=True)
    return _tried(
        request, language, web.network, draft, lambda: drafts.step(connection, draft, 1, who=caller.name, seen=version)
    )


@router.post("/plans/{plan_id}/discard")
def discard(
    request: Request, web: Context, connection: Database, language: InLanguage, plan_id: str, version: Version
) -> Response:
    """Throw the draft away."""
    draft = _draft(connection, web, plan_id, lock=True)
    return _tried(request, language, web.network, draft, lambda: drafts.discard(connection, draft, seen=version))


@router.post("/plans/{plan_id}/improve")
def improve(
    request: Request, web: Context, caller: CalledBy, language: InLanguage, plan_id: str, version: Version
) -> Response:
    """Search for better runs around the changes; its result is a further change, which can be undone."""
    with web.engine.connect() as connection:  # no lock and no connection is held while the search runs
        draft = _draft(connection, web, plan_id)
    edit = edits.searched(draft.plan, _search)

    def keep() -> None:
        with web.engine.begin() as connection:
            now = _draft(connection, web, plan_id, lock=True)
            drafts.add(connection, now, edit, who=caller.name, seen=version)

    return _tried(request, language, web.network, draft, keep)


def _search(problem: Problem, warm: Solution) -> Solution:
    found = solve(problem, Limits(time_s=SEARCH_S, threads=1, seed=1), warm=warm)
    return still_valid(problem, found)


@router.post("/plans/{plan_id}/accept")
def accept(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    plan_id: str,
    version: Version,
    plan: Version,
    order: Annotated[bool, Form()] = False,
    why: Annotated[str, Form(max_length=LONGEST_WHY)] = "",
) -> Response:
    """Make the draft the plan."""
    draft, now = _draft(connection, web, plan_id, lock=True), network_now(connection)

    def write() -> None:
        drafts.accept(
            connection,
            web.network,
            draft,
            who=caller.name,
            why=why.strip(),
            at=now,
            seen=version,
            plan=plan,
            order=order,
        )

    done = language.say(N_("Accepted. Vans that have their orders are sent new ones; the others wait for approval."))
    to = f"/today?day={draft.day}&hub={quote(draft.hub_id, safe='')}"
    return _tried(request, language, web.network, draft, write, to, done)


def _tried(
    request: Request,
    language: Language,
    network: Network,
    draft: Draft,
    act: Callable[[], None],
    to: str = "",
    done: str = "",
) -> Response:
    """Apply the change, and show the page again; where somebody else was first, say who, with nothing changed."""
    here = f"/plans/{quote(draft.day_plan_id, safe='')}/change"
    try:
        act()
    except drafts.EditedMeanwhile as met:
        return back(request, here, _met(met, language, network))
    except review.NOT_DECIDED as error:
        return back(request, here, refusal(error, language, network)[1])
    return back(request, to, done, is_bad=False) if done else RedirectResponse(here, 303)


def _met(met: drafts.EditedMeanwhile, language: Language, network: Network) -> str:
    if met.by and met.at:
        when = local(network, language)["instant"](met.at)
        return language.say(
            N_(
                "%(who)s changed this draft at %(when)s, before you. Yours was not made: look at it as it is now, then try again."
            ),
            who=met.by,
            when=when,
        )
    return language.say(
        N_("The plan has changed since you opened the page. Your change was not made: look at it as it is now.")
    )
