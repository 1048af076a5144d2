"""VROOM's JSON, in and out: a problem written for VROOM is solved here, and the plan is answered in VROOM's form.

The idea: fields that this format cannot say the same way are refused by name, never dropped (`max_travel_time`, `costs`
matrices, groups of vehicles by `type`). Ids of jobs stay, as text; a shipment is called `PICKUP-DELIVERY`.
Two things differ and are said in docs/solver-format.md: VROOM prices the hours on the road alone, we price those from start
to end; and without a matrix distances are straight lines stretched to roads.
Source: VROOM's API documentation, version 1.15.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from solver.check import ProblemError, check, of_field
from solver.problem import (
    DAY_S,
    LARGEST,
    Break,
    Call,
    Depot,
    Matrix,
    Problem,
    Run,
    Shipment,
    Stop,
    Travel,
    Van,
    Ways,
    Window,
)
from solver.solution import Evaluation, RunReport, Solution, Visit

Whole = Annotated[int, Field(ge=0, strict=True)]
Location = Annotated[list[float], Field(min_length=2, max_length=2)]  # longitude, latitude
TimeWindow = Annotated[list[Whole], Field(min_length=2, max_length=2)]
Skills = list[Whole]
Priority = Annotated[int, Field(ge=0, le=100, strict=True)]
HOUR_COST = 3600  # VROOM's own default: a cost unit a second
PLACE, COORDINATES = "at{}", "{:.6f},{:.6f}"


class VroomPart(BaseModel):
    """Unknown fields are refused: a constraint that is not read must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VroomSite(VroomPart):
    """Something at a place: coordinates, an index of the matrix, or both."""

    location: Location | None = None
    location_index: Whole | None = None
    description: str = ""


class VroomJob(VroomSite):
    id: Whole
    setup: Whole = 0
    service: Whole = 0
    delivery: list[Whole] = []
    pickup: list[Whole] = []
    skills: Skills = []
    priority: Priority = 0
    time_windows: list[TimeWindow] = []


class Step(VroomSite):
    """A half of a shipment."""

    id: Whole
    setup: Whole = 0
    service: Whole = 0
    time_windows: list[TimeWindow] = []


class Pair(VroomPart):
    pickup: Step
    delivery: Step
    amount: list[Whole] = []
    skills: Skills = []
    priority: Priority = 0


class Rest(VroomPart):
    id: Whole
    time_windows: list[TimeWindow] = []
    service: Whole = 0
    description: str = ""


class VehicleCosts(VroomPart):
    fixed: Whole = 0
    per_hour: Whole = HOUR_COST
    per_km: Whole = 0


class PlannedStep(VroomPart):
    """A step of a plan to begin with."""

    model_config = ConfigDict(extra="ignore", frozen=True)  # an answer's step says times and loads beside

    type: Literal["start", "job", "pickup", "delivery", "break", "end"]
    id: Whole | None = None


class Vehicle(VroomPart):
    id: Whole
    profile: str = "car"
    description: str = ""
    start: Location | None = None
    start_index: Whole | None = None
    end: Location | None = None
    end_index: Whole | None = None
    capacity: list[Whole] = []
    skills: Skills = []
    time_window: TimeWindow | None = None
    breaks: list[Rest] = []
    speed_factor: Annotated[float, Field(gt=0, le=5)] = 1.0
    max_tasks: Whole | None = None
    max_distance: Whole | None = None
    costs: VehicleCosts = VehicleCosts()
    steps: list[PlannedStep] = []


class ProfileMatrices(VroomPart):
    durations: Matrix
    distances: Matrix | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class VroomProblem(VroomPart):
    """The whole file."""

    vehicles: Annotated[list[Vehicle], Field(min_length=1)]
    jobs: list[VroomJob] = []
    shipments: list[Pair] = []
    matrices: dict[str, ProfileMatrices] = {}


def is_vroom(data: object) -> bool:
    """Whether a parsed JSON value is VROOM's: only its problems have vehicles."""
    return isinstance(data, dict) and "vehicles" in data


def read_vroom(data: object) -> "Translation":
    """Return a problem of VROOM's with its translation.

    Raises
    ------
    ProblemError
        With every field that is wrong, or that this reader does not know.
    """
    try:
        translation = Translation(VroomProblem.model_validate(data))
    except ValidationError as error:
        raise ProblemError([of_field(one, VroomProblem) for one in error.errors(include_url=False)]) from error
    complaints = [replace(one, at=_THEIRS.sub(_their_name, one.at)) for one in check(translation.problem)]
    if complaints:
        raise ProblemError(complaints)
    return translation


_THEIRS = re.compile(r"^(stops|vans)|(?<=\.)(kind)$")


def _their_name(match: re.Match[str]) -> str:
    return {"stops": "jobs", "vans": "vehicles", "kind": "profile"}[match[0]]


class Translation:
    """A problem of VROOM's as ours, and our plans of it as VROOM's answers."""

    def __init__(self, source: VroomProblem) -> None:
        self.source, self.midnight_s = source, _midnight_s(source)
        self.dimensions = [f"amount{number}" for number in range(_dimensions(source))]
        self.problem = Problem(
            depots=list(self._depots()),
            vans=[self._van(one) for one in source.vehicles],
            stops=[self._stop(one) for one in source.jobs],
            shipments=[self._shipment(one) for one in source.shipments],
            dimensions=self.dimensions or ["amount0"],
            travel=self._travel(),
        )

    # ---- in

    def _travel(self) -> Travel | None:
        """The first profile's matrices are the common ones."""
        if not self.source.matrices:
            return None
        ways = {
            name: Ways(metres=one.durations if one.distances is None else one.distances, seconds=one.durations)
            for name, one in self.source.matrices.items()
        }
        common = ways.pop(next(iter(ways)))
        names = [PLACE.format(index) for index in range(len(common.seconds))]
        return Travel(places=names, metres=common.metres, seconds=common.seconds, kinds=ways)

    def _depots(self) -> Iterator[Depot]:
        """Yield a depot for each place where vehicles start or end; a vehicle without either begins at its first visit."""
        ends = [(at, index) for one in self.source.vehicles for at, index in _ends(one)]
        made = {name: site for at, index in ends if (name := self._name(at, index)) for site in [self._site(at, index)]}
        if not made:
            first = next(iter(self._calls()))
            made = {self._name(first.location, first.location_index): self._site(first.location, first.location_index)}
        yield from (Depot(id=f"depot {name}", **site) for name, site in made.items())

    def _calls(self) -> Iterator[VroomJob | Step]:
        yield from self.source.jobs
        for pair in self.source.shipments:
            yield from (pair.pickup, pair.delivery)

    def _name(self, location: Location | None, index: int | None) -> str:
        if self.source.matrices and index is not None:
            return PLACE.format(index)
        return COORDINATES.format(*location) if location else ""

    def _site(self, location: Location | None, index: int | None) -> dict[str, Any]:
        where = {"lat": location[1], "lon": location[0]} if location and not self.source.matrices else {}
        return {"place": self._name(location, index) or None, **where}

    def _van(self, one: Vehicle) -> Van:
        (start, start_index), (end, end_index) = (one.start, one.start_index), (one.end, one.end_index)
        begins, ends = self._name(start, start_index), self._name(end, end_index)
        anywhere = begins or ends or next(depot.place or "" for depot in self._depots())
        return Van(
            id=str(one.id),
            start=f"depot {begins or anywhere}",
            end=f"depot {ends or anywhere}",
            open_start=not begins,
            open_end=not ends,
            capacity=self._amount(one.capacity) if one.capacity else LARGEST,
            shift=self._window(one.time_window) if one.time_window else Window(from_s=0, until_s=LARGEST),
            fixed_cents=one.costs.fixed,
            hour_cents=one.costs.per_hour,
            km_cents=one.costs.per_km,
            max_metres=one.max_distance,
            max_visits=one.max_tasks,
            kind=one.profile if self.source.matrices and one.profile != next(iter(self.source.matrices)) else None,
            time_percent=max(1, round(100 / one.speed_factor)),
            skills=list(map(str, one.skills)),
            breaks=[
                Break(id=str(rest.id), length_s=rest.service, windows=self._windows(rest.time_windows))
                for rest in one.breaks
            ],
        )

    def _stop(self, one: VroomJob) -> Stop:
        return Stop(
            id=str(one.id),
            deliver=self._amount(one.delivery),
            collect=self._amount(one.pickup),
            skills=list(map(str, one.skills)),
            priority=one.priority,
            windows=self._windows(one.time_windows),
            service_s=one.service,
            setup_s=one.setup,
            **self._site(one.location, one.location_index),
        )

    def _shipment(self, one: Pair) -> Shipment:
        return Shipment(
            id=_pair_id(one),
            amount=self._amount(one.amount),
            collect=self._call(one.pickup),
            deliver=self._call(one.delivery),
            skills=list(map(str, one.skills)),
            priority=one.priority,
        )

    def _call(self, one: Step) -> Call:
        site = self._site(one.location, one.location_index)
        windows = self._windows(one.time_windows)
        return Call(windows=windows, service_s=one.service, setup_s=one.setup, **site)

    def _amount(self, numbers: list[int]) -> dict[str, int]:
        return dict(zip(self.dimensions, numbers, strict=False))

    def _windows(self, pairs: list[list[int]]) -> list[Window]:
        return [self._window(pair) for pair in pairs]

    def _window(self, pair: list[int]) -> Window:
        return Window(from_s=pair[0] - self.midnight_s, until_s=pair[1] - self.midnight_s)

    def plan(self) -> Solution | None:
        """Return the plan that the vehicles' steps describe, None where they describe none."""
        runs = [Run(van=str(one.id), visits=list(self._visits(one))) for one in self.source.vehicles if one.steps]
        return Solution(runs=runs, engine="steps") if runs else None

    def _visits(self, one: Vehicle) -> Iterator[str]:
        halves = {("pickup", pair.pickup.id): f"collect:{_pair_id(pair)}" for pair in self.source.shipments}
        halves |= {("delivery", pair.delivery.id): f"deliver:{_pair_id(pair)}" for pair in self.source.shipments}
        for step in one.steps:
            if step.type == "job":
                yield str(step.id)
            elif step.type == "break":
                yield f"break:{step.id}"
            elif step.type in ("pickup", "delivery") and step.id is not None:
                yield halves.get((step.type, step.id), f"{step.type}:{step.id}")

    # ---- out

    def answer(self, evaluation: Evaluation) -> dict[str, Any]:
        """Return a judged plan as VROOM answers: summary, unassigned, routes with their steps."""
        totals = evaluation.totals
        routes = [self._route(run) for run in evaluation.runs if run.visits]
        setup_s = sum(route["setup"] for route in routes)
        return {
            "code": 0,
            "summary": {
                "cost": evaluation.cost_cents,
                "routes": len(routes),
                "unassigned": len(evaluation.unserved),
                "setup": setup_s,
                "service": totals.service_s - setup_s,
                "duration": totals.drive_s,
                "waiting_time": totals.wait_s,
                "distance": totals.metres,
                "violations": [{"cause": one.cause.value} for one in evaluation.violations if one.cause != "unserved"],
            },
            "unassigned": [step for name in evaluation.unserved for step in self._unassigned(name)],
            "routes": routes,
        }

    def _unassigned(self, name: str) -> Iterator[dict[str, Any]]:
        pairs = {_pair_id(pair): pair for pair in self.source.shipments}
        if name in pairs:
            yield {"id": pairs[name].pickup.id, "type": "pickup", **_where(pairs[name].pickup)}
            yield {"id": pairs[name].delivery.id, "type": "delivery", **_where(pairs[name].delivery)}
        else:
            job = next(one for one in self.source.jobs if str(one.id) == name)
            yield {"id": job.id, "type": "job", **_where(job)}

    def _route(self, run: RunReport) -> dict[str, Any]:
        steps, metres, drive_s = list[dict[str, Any]](), 0, 0
        vehicle = next(one for one in self.source.vehicles if str(one.id) == run.van)
        for visit in run.visits:
            metres, drive_s = metres + visit.metres, drive_s + visit.drive_s
            if (step := self._step(visit, vehicle)) is not None:
                steps.append(step | {"duration": drive_s, "distance": metres})
        setup_s = sum(step["setup"] for step in steps)
        return {
            "vehicle": vehicle.id,
            "cost": run.money.total,
            "setup": setup_s,
            "service": run.service_s - setup_s,
            "duration": run.drive_s,
            "waiting_time": run.wait_s,
            "distance": run.metres,
            "steps": steps,
        }

    def _step(self, visit: Visit, vehicle: Vehicle) -> dict[str, Any] | None:
        kind, _, name = visit.visit.partition(":")
        pairs = {_pair_id(pair): pair for pair in self.source.shipments}
        stay_s = service_s = visit.leave_s - visit.begin_s
        if kind in ("start", "end"):
            location, index = (
                (vehicle.start, vehicle.start_index) if kind == "start" else (vehicle.end, vehicle.end_index)
            )
            if not self._name(location, index):
                return None
            step: dict[str, Any] = {"type": kind, **_where(VroomSite(location=location, location_index=index))}
        elif kind == "break":
            step = {"type": "break", "id": int(name)}
        elif kind in ("collect", "deliver"):
            half = pairs[name].pickup if kind == "collect" else pairs[name].delivery
            step = {"type": "pickup" if kind == "collect" else "delivery", "id": half.id, **_where(half)}
            service_s = half.service
        else:
            job = next(one for one in self.source.jobs if one.id == int(kind))
            step, service_s = {"type": "job", "id": job.id, **_where(job)}, job.service
        return step | {
            "arrival": visit.arrive_s + self.midnight_s,
            "waiting_time": visit.wait_s,
            "service": service_s,
            "setup": stay_s - service_s,
            "load": [visit.load.get(name, 0) for name in self.dimensions],
        }


def _pair_id(pair: Pair) -> str:
    return f"{pair.pickup.id}-{pair.delivery.id}"


def _where(one: VroomSite) -> dict[str, Any]:
    return {name: value for name in ("location", "location_index") if (value := getattr(one, name)) is not None}


def _ends(one: Vehicle) -> Iterator[tuple[Location | None, int | None]]:
    yield one.start, one.start_index
    yield one.end, one.end_index


def _dimensions(source: VroomProblem) -> int:
    amounts = [one.capacity for one in source.vehicles]
    amounts += [amount for job in source.jobs for amount in (job.delivery, job.pickup)]
    return max(map(len, [*amounts, *(pair.amount for pair in source.shipments)]), default=0)


def _midnight_s(source: VroomProblem) -> int:
    """Return the midnight (UTC) of the first day where times count from 1970, else 0."""
    windows = [one.time_window for one in source.vehicles if one.time_window]
    windows += [pair for one in source.vehicles for rest in one.breaks for pair in rest.time_windows]
    windows += [pair for one in source.jobs for pair in one.time_windows]
    windows += [pair for both in source.shipments for one in (both.pickup, both.delivery) for pair in one.time_windows]
    first = min((pair[0] for pair in windows if pair[1] > LARGEST), default=0)
    return first // DAY_S * DAY_S if first else 0
