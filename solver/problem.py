"""A day of courier runs as a problem, as people and files write it.

The idea: every field has a default that leaves it out of the question, so a simple day is a short file and a hard day
is the same file with more lines. Seconds count from midnight of the day served, distances are metres, money is cents.
References between parts (a stop's depot, a lock's van) are judged by `solver.check`, all at once.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

DAY_S = 86_400
LARGEST = 10**9  # of any number: sums over a plan stay far inside 64 bits, and engines' scaled costs too
MOST_STOPS = 5_000  # a matrix of 5,000 places is 400 MB: more is asked for by name (`max_stops`)

_CLOCK = re.compile(r"^(\d{1,3}):([0-5]\d)(?::([0-5]\d))?$")


def _clock(value: object) -> object:
    """Read "08:30" or "08:30:15" as seconds from midnight ("26:00" is two in the next morning); leave anything but text.

    Raises
    ------
    PydanticCustomError
        When a text says no time: "8" might be eight o'clock or eight seconds. When a number counts from 1970.
    """
    if isinstance(value, int) and value > LARGEST:
        raise PydanticCustomError("unix_time", "seconds from midnight of the day served, not a Unix time")
    if not isinstance(value, str):
        return value
    match = _CLOCK.match(value)
    if not match:
        raise PydanticCustomError("clock", 'a time of day such as "08:30", or seconds')
    hours, minutes, seconds = match.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


def _window(value: object) -> object:
    """Read "08:30-12:00" or [30600, 43200] as a window; leave the rest.

    Raises
    ------
    PydanticCustomError
        When there are not two ends.
    """
    if not isinstance(value, str | list | tuple):
        return value
    parts = value.split("-") if isinstance(value, str) else value
    if len(parts) != 2:
        raise PydanticCustomError("window_ends", 'two times such as "08:30-12:00" or [30600, 43200]')
    return {"from_s": parts[0], "until_s": parts[1]}


def _amount(value: object) -> int | dict[str, int]:
    """Accept 3 (of the first dimension) or {"crates": 3, "kg": 40}.

    Raises
    ------
    PydanticCustomError
        When a number is no whole number from 0 to LARGEST.
    """
    numbers: Mapping[Any, Any] = value if isinstance(value, Mapping) else {"": value}
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= LARGEST:
            at = f"{name}: " if name else ""
            raise PydanticCustomError("amount", "{at}whole number from 0 to 1000000000", {"at": at})
    named = {str(name): int(number) for name, number in numbers.items()}
    return named if isinstance(value, Mapping) else named[""]


def _matrix(value: object) -> np.ndarray:
    """Read a table of whole numbers from 0 to LARGEST.

    Raises
    ------
    PydanticCustomError
        Naming the first bad row or cell.
    """
    try:
        table = np.asarray(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise PydanticCustomError("matrix_shape", "rows of numbers, all of one length, no empty cell") from error
    if table.ndim != 2:
        raise PydanticCustomError("matrix_shape", "rows of numbers, all of one length, no empty cell")
    bad = np.argwhere(~((table >= 0) & (table <= LARGEST) & (table == np.floor(table))))
    if len(bad):
        row, column = (int(index) for index in bad[0])
        found = {"row": row, "column": column, "found": str(table[row, column]), "count": len(bad)}
        raise PydanticCustomError(
            "matrix_cell", "whole numbers from 0 ([{row}][{column}] is {found}, {count} bad)", found
        )
    return table.astype(np.int64)


def _no_boolean(value: object) -> object:
    """Refuse true and false, which Python would count as 1 and 0.

    Raises
    ------
    PydanticCustomError
        Where the value is one of them.
    """
    if isinstance(value, bool):
        raise PydanticCustomError("boolean", "a number, not true or false")
    return value


NO_BOOLEAN = BeforeValidator(_no_boolean)
Count = Annotated[int, Field(ge=0, le=LARGEST), NO_BOOLEAN]
Percent = Annotated[int, Field(ge=1, le=10_000), NO_BOOLEAN]
Clock = Annotated[Count, BeforeValidator(_clock, json_schema_input_type=int | str)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Amount = Annotated[
    int | dict[str, int],
    PlainValidator(_amount),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
            ]
        }
    ),
]
Matrix = Annotated[
    np.ndarray,
    PlainValidator(_matrix),
    PlainSerializer(lambda table: table.tolist(), when_used="always", return_type=list[list[int]]),
    WithJsonSchema({"type": "array", "items": {"type": "array", "items": {"type": "integer", "minimum": 0}}}),
]


class Model(BaseModel):
    """Unknown fields are refused: a misspelt constraint must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Window(Model):
    """A span of time, both ends included. Also written "08:30-12:00" or [30600, 43200]."""

    from_s: Clock
    until_s: Clock

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        return _window(value)

    @model_validator(mode="after")
    def _forward(self) -> "Window":
        if self.until_s < self.from_s:
            raise PydanticCustomError("window_backward", "a window that ends at or after its beginning")
        return self


class Site(Model):
    """Where something is: a name in the travel matrix, or coordinates, or the name of another site that has them."""

    place: Name | None = None
    """Name of the place; two sites with one name are at one place. Default: the id."""
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False), NO_BOOLEAN] | None = None
    """Latitude, degrees, WGS-84 (needed where `travel` gives no matrix)."""
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False), NO_BOOLEAN] | None = None
    """Longitude, degrees, WGS-84."""


class Depot(Site):
    """A hub: vans load and unload here, and crates are sorted here."""

    id: Name
    windows: list[Window] = []
    """Opening times for vans to come and go; empty: always."""
    load_s: Count = 0
    """How long a van stands here before each trip."""
    unload_s: Count = 0
    """How long a van stands here after each trip."""
    docks: Annotated[int, Field(ge=1, le=1000), NO_BOOLEAN] | None = None
    """How many vans can load or unload at once; none: no limit."""
    sort_cutoff_s: Clock | None = None
    """Collected crates must be back by then to be sorted today."""
    tier: str = ""
    """Its tier in the network, for people."""


class Call(Site):
    """A van's call at a place: when, how long, and which vans can come."""

    windows: list[Window] = []
    """Service begins inside one of these (several: a lunch closure); empty: at any time."""
    service_s: Count = 0
    """Fixed part of the time spent here."""
    service_s_per_unit: Count = 0
    """And for each unit (of the first dimension) handed over or taken."""
    setup_s: Count = 0
    """And before, where the van comes from another place: to park, to find the door."""
    sizes: dict[str, Count] = {}
    """What the yard admits at most, such as {"height_cm": 210}."""
    zone: Name | None = None
    """The zone of barred hours that it lies in."""


class Demand(Model):
    """The worth of serving a stop or a shipment, and the vans that may."""

    prize_cents: Count | None = None
    """None: must be served. A number: left out where serving costs more than this."""
    priority: Annotated[int, Field(ge=0, le=100), NO_BOOLEAN] = 0
    """Where not all mandatory work fits, the plan that leaves out less is better; an item counts 1 + its priority."""
    skills: list[Name] = []
    """Every one of these must be among the van's skills."""
    vans: list[Name] = []
    """Only these vans; empty: any."""
    preferred_vans: list[Name] = []
    """Better these vans (`costs.not_preferred_cents`); empty: no wish."""


class Stop(Call, Demand):
    """A visit that hands over crates from a depot and takes others back to it, or either."""

    id: Name
    deliver: Amount = 0
    """From the depot to here."""
    collect: Amount = 0
    """From here to the depot."""
    depot: Name | None = None
    """The depot where its crates come from and go to; none: any."""
    ready_s: Clock = 0
    """Its crates can be loaded at the depot from then on."""
    due_s: Clock | None = None
    """What is collected here must be unloaded at the depot by then (default: the depot's sorting cut-off)."""


class Shipment(Demand):
    """Collected at a place and delivered at another on the same run: a direct move, or a trunk between hubs."""

    id: Name
    amount: Amount = 1
    collect: Call
    deliver: Call
    max_on_board_s: Count | None = None
    """From the end of its collection to the beginning of its delivery at most."""


class Break(Model):
    """A rest of the driver, between two visits or on the road between them."""

    id: Name
    length_s: Count
    windows: list[Window] = []
    """The rest begins inside one of these; empty: at any time of the run."""


class Done(Model):
    """A visit that has been made, as it went."""

    visit: Name
    arrive_s: Clock
    begin_s: Clock
    leave_s: Clock


class UnderWay(Site):
    """Where a van that has left the depot is now: its past stays, the plan goes on from here."""

    now_s: Clock
    """When it is (or will be) free at this place."""
    started_s: Clock
    """When its run began."""
    metres: Count = 0
    """Driven since then."""
    done: list[Done] = []
    """Its visits so far, in order."""
    on_board: list[Name] = []
    """Stops whose crates it carries; shipments that it collected are carried by themselves."""
    load: Amount = 0
    """What else it carries."""


class Van(Model):
    """A van with its driver's shift."""

    id: Name
    start: Name | None = None
    """Depot where the run begins; default: the only depot."""
    end: Name | None = None
    """Depot where it ends; default: where it began."""
    open_start: bool = False
    """The run begins at its first visit: nothing is loaded at a depot."""
    open_end: bool = False
    """The run ends at its last visit: nothing collected comes back to a depot."""
    capacity: Amount = LARGEST
    """What it can hold; a dimension that is left out has no limit."""
    shift: Window = Window(from_s=0, until_s=DAY_S)
    """Earliest start of loading and latest end of unloading."""
    latest_start_s: Clock | None = None
    """Must have begun by then, if it goes at all."""
    fixed_cents: Count = 0
    """Cost of going out at all."""
    hour_cents: Count = 2_500
    """Cost of an hour from start to end; 25 an hour is about a driver's full cost: set your own."""
    km_cents: Count = 30
    """Cost of a kilometre without energy (tyres, wear, depreciation): set your own."""
    normal_s: Count | None = None
    """Work beyond this is overtime; none: none is."""
    overtime_hour_cents: Count = 1_250
    """Cost of an hour of overtime on top of `hour_cents` (half again, as labour law commonly has it)."""
    max_duration_s: Count | None = None
    """From start to end at most."""
    max_metres: Count | None = None
    """Distance at most."""
    max_visits: Count | None = None
    """Stops and halves of shipments on a run at most."""
    max_leg_metres: Count | None = None
    """From a place to the next at most."""
    max_leg_s: Count | None = None
    """Driving from a place to the next at most."""
    max_wait_s: Count | None = None
    """Waiting on a run at most, in all: from each arrival to the beginning of service; for a break's hours none counts."""
    kind: Name | None = None
    """Its ways in `travel.kinds`; none: those that are common."""
    time_percent: Percent = 100
    """Its driving times, as a percentage of the matrix (a slow van: 110)."""
    skills: list[Name] = []
    sizes: dict[str, Count] = {}
    """Such as {"height_cm": 250}, held against what a yard admits."""
    plate: str = ""
    """Number plate, for zones that bar plates by their last character."""
    breaks: list[Break] = []
    reload_depots: list[Name] = []
    """Where it may load again during the shift; default: where it begins."""
    max_reloads: Annotated[int, Field(ge=0, le=20), NO_BOOLEAN] = 0
    """How often: 2 means three trips."""
    energy: Name | None = None
    """Its entry in `energies`; none: energy and CO2 are not counted."""
    under_way: UnderWay | None = None


class Ban(Model):
    """Hours when some vans may not be in a zone (限行)."""

    windows: list[Window]
    weekdays: list[Annotated[int, Field(ge=0, le=6), NO_BOOLEAN]] = []
    """0 is Monday; empty: every day."""
    plate_ends: list[Name] = []
    """Only plates that end so; empty: every plate."""


class Zone(Model):
    """An area with barred hours; stops say that they lie in it. Service may not overlap a ban."""

    id: Name
    bans: list[Ban]


class Slot(Model):
    """Hours of the day when driving takes longer or shorter than the matrix says."""

    from_s: Clock
    until_s: Clock
    percent: Percent
    """Driving time, as a percentage of the matrix."""


class Ways(Model):
    """Distances and driving times, asymmetric as roads are."""

    metres: Matrix
    seconds: Matrix

    model_config = ConfigDict(arbitrary_types_allowed=True)


class Travel(Ways):
    """Distances and driving times between places, row to column."""

    places: list[Name]
    kinds: dict[Name, Ways] = {}
    """The ways of other kinds of vehicle between the same places, such as a cargo bike's."""


class Roads(Model):
    """How a straight line becomes a drive where no matrix is given.

    427 road legs of a country mobile library (Suffolk) have a median detour of 1.35 and fit 41 km/h for the first 10 km
    and 58 beyond; towns are slower, which is an assumption: set your own.
    """

    road_factor: Annotated[float, Field(ge=1, le=5), NO_BOOLEAN] = 1.35
    speed_kmh: Annotated[float, Field(gt=0, le=200), NO_BOOLEAN] = 32.0
    far_speed_kmh: Annotated[float, Field(gt=0, le=200), NO_BOOLEAN] = 60.0
    far_m: Count = 10_000


class Energy(Model):
    """Energy and emissions of a kind of van (sources: docs/solver-format.md)."""

    wh_per_km: Count
    co2_g_per_km: Count
    cents_per_kwh: Annotated[float, Field(ge=0, le=10_000), NO_BOOLEAN]


class Costs(Model):
    """Weights beside vans' own costs. Zero leaves a thing out of the cost; it is reported all the same."""

    co2_cents_per_kg: Count = 0
    not_preferred_cents: Count = 0
    """A stop served by another than its preferred vans."""
    imbalance_hour_cents: Count = 0
    """An hour between the longest and the shortest work of the vans that go."""
    change_cents: Count = 0
    """A visit of `baseline` that changes its van or its place in the order."""
    late_hour_cents: Count = 6_000
    """An hour of lateness in a plan people made: engines may never be late. Twice a driver's hour, and a bit."""


class Lock(Model):
    """A dispatcher's decision that engines keep."""

    visits: list[Name]
    """Stops' ids, or "collect:ID" and "deliver:ID" of shipments."""
    van: Name | None = None
    """They are on this van; none: on any, but together where an order is kept."""
    order: Literal["free", "kept", "unbroken"] = "free"
    """kept: in the order given, others may come between. unbroken: and nothing between."""


class Apart(Model):
    """Work that must not meet on a run, such as food and chemicals, or three jobs of which each wants its own van."""

    groups: Annotated[list[list[Name]], Field(min_length=2)]
    """Ids of stops and shipments: no run serves some of two groups."""


class Run(Model):
    """One van's run: its visits in order.

    A visit is a stop's id, "collect:ID" or "deliver:ID" of a shipment, "break:ID" of the van's, "reload:ID" of a depot.
    """

    van: Name
    visits: list[Name] = []
    not_before_s: Clock = 0
    """The van does not begin before this: vans that share a dock take turns."""


# Tank to wheel. Diesel: 35.9 MJ a litre (EN 16258) and 74.1 g CO2 a MJ (IPCC 2006, road transport), at 9 l/100 km, which
# is a setting for a laden 3.5 t van in town; the other draws and all prices are settings too: put your own.
ENERGIES: Mapping[str, Energy] = {
    "diesel_van": Energy(wh_per_km=897, co2_g_per_km=239, cents_per_kwh=16.0),
    "electric_van": Energy(wh_per_km=280, co2_g_per_km=0, cents_per_kwh=25.0),
    "cargo_bike": Energy(wh_per_km=15, co2_g_per_km=0, cents_per_kwh=25.0),
}


class Problem(Model):
    """A day's courier work. A short problem: a depot, a van, a few stops with coordinates."""

    name: str = ""
    weekday: Annotated[int, Field(ge=0, le=6), NO_BOOLEAN] | None = None
    """0 is Monday; needed where zones bar by weekday."""
    dimensions: Annotated[list[Name], Field(min_length=1, max_length=8)] = ["crates"]
    """What capacity is counted in; a bare number is of the first."""
    depots: Annotated[list[Depot], Field(min_length=1)]
    vans: Annotated[list[Van], Field(min_length=1)]
    stops: list[Stop] = []
    shipments: list[Shipment] = []
    zones: list[Zone] = []
    travel: Travel | None = None
    """Matrices; none: straight lines by `roads`."""
    roads: Roads = Roads()
    slots: list[Slot] = []
    """Time-of-day factors on every drive; outside them the matrix holds."""
    energies: dict[str, Energy] = dict(ENERGIES)
    costs: Costs = Costs()
    locks: list[Lock] = []
    apart: list[Apart] = []
    baseline: list[Run] = []
    """A plan known to people: departures from it cost `costs.change_cents`."""
    max_stops: Annotated[int, Field(ge=1, le=1_000_000), NO_BOOLEAN] = MOST_STOPS
    """Refuse more stops and shipments than this: guards against a wrong file."""


def problem_schema() -> dict[str, Any]:
    """Return the JSON Schema of a problem file."""
    return Problem.model_json_schema()
