"""A plan as an order of visits for each van, and the result of judging it.

The idea: a `Solution` holds decisions only; times, loads, costs and violations all follow from the problem and stand in
an `Evaluation`. So a plan made by an engine, a file or a person's mouse is the same thing.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import Field

from solver.problem import Count, Model, Name, Run


class Cause(StrEnum):
    """Everything that can be wrong with a plan; `amount` in the unit given beside it."""

    UNSERVED = "unserved"  # visits: must be served and is not
    UNKNOWN = "unknown"  # visits: no such visit or van in the problem
    TWICE = "twice"  # visits: made more than once
    VAN_TWICE = "van_twice"  # runs: one van, several runs
    SPLIT = "split"  # visits: a shipment's two halves are not on one run, collection first
    LONG_ON_BOARD = "long_on_board"  # seconds over a shipment's longest time on board
    LOAD = "load"  # units over the van's capacity, by dimension
    WINDOW = "window"  # seconds late
    SHIFT = "shift"  # seconds past the end of the shift or the depot's hours
    START = "start"  # seconds past the latest start
    DURATION = "duration"  # seconds over the van's longest run
    DISTANCE = "distance"  # metres over the van's longest way
    VISITS = "visits"  # visits more than the van makes on a run
    LEG_DISTANCE = "leg_distance"  # metres over the van's longest leg
    LEG_TIME = "leg_time"  # seconds of driving over the van's longest leg
    WAIT = "wait"  # seconds over the van's longest waiting
    SKILL = "skill"  # visits: the van lacks a skill
    SIZE = "size"  # visits: the van is too large for the yard
    ZONE = "zone"  # visits: the zone is barred to the van all day
    VAN = "van"  # visits: only other vans may serve it
    DEPOT = "depot"  # visits: the trip neither begins nor ends where its crates are
    READY = "ready"  # visits: its crates are not on the van that is under way
    ON_BOARD = "on_board"  # visits: carried by one van, not served by it
    CUTOFF = "cutoff"  # seconds after the sorting cut-off or the time due
    RELOAD = "reload"  # reloads more than allowed, or where it is not allowed
    BREAK = "break"  # breaks missing
    BREAK_LATE = "break_late"  # seconds that a break begins too late
    DOCKS = "docks"  # vans more than docks at a time
    LOCK_VAN = "lock_van"  # visits: locked to another van, or apart from what they go with
    LOCK_ORDER = "lock_order"  # visits: out of the order locked
    APART = "apart"  # visits that must not be on a run with others on it
    EXECUTED = "executed"  # visits: what was done is not the beginning of the run


class Solution(Model):
    """A plan. An item in no run is not served."""

    runs: list[Run] = Field(default=[])
    engine: str = "people"
    seed: int | None = None
    versions: dict[str, str] = Field(default={})
    seconds: float = 0.0
    """How long the search had run when it found this plan."""
    iterations: Count | None = None
    """Limit of iterations that it ran under; none: it ran by the clock, and may differ next time."""
    errors: list[str] = Field(default=[])
    """Why an engine, or some of its searches, failed on the way; empty: all ran."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation: where, and by how much."""

    cause: Cause
    amount: int
    unit: str  # "s", "m", "visits", "runs", "vans", or a dimension of the problem
    van: Name | None = None
    visit: Name | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit of a run, planned or executed. `load` is the load when the van leaves."""

    visit: Name  # as in `Run.visits`; "start:DEPOT" and "end:DEPOT" frame the run
    place: Name | None
    arrive_s: int
    begin_s: int
    leave_s: int
    metres: int  # driven since the visit before
    drive_s: int
    load: dict[str, int]
    done: bool = False

    @property
    def wait_s(self) -> int:
        return self.begin_s - self.arrive_s


@dataclass(frozen=True, slots=True)
class Money:
    """A plan's costs in cents, by their cause."""

    vans: int = 0
    hours: int = 0
    kilometres: int = 0
    energy: int = 0
    co2: int = 0
    overtime: int = 0
    not_preferred: int = 0
    change: int = 0
    late: int = 0
    prizes_forgone: int = 0
    imbalance: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, name) for name in self.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class RunReport:
    """One van's run, judged alone."""

    van: Name
    visits: list[Visit]
    begin_s: int
    end_s: int
    drive_s: int
    wait_s: int
    service_s: int
    metres: int
    money: Money
    violations: list[Violation]
    energy_wh: int = 0
    co2_g: int = 0
    changed: int = 0  # visits of the baseline that changed van or order
    not_preferred: int = 0

    @property
    def work_s(self) -> int:
        return self.end_s - self.begin_s


@dataclass(frozen=True, slots=True)
class Totals:
    vans: int
    served: int  # stops, and shipments
    unserved: int  # of those that must be
    left_out: int  # of those with a prize
    begin_s: int
    end_s: int
    work_s: int
    drive_s: int
    wait_s: int
    service_s: int
    metres: int
    energy_wh: int
    co2_g: int
    late_s: int
    overtime_s: int
    imbalance_s: int
    changed: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that follows from a problem and a plan."""

    runs: list[RunReport]
    money: Money
    totals: Totals
    violations: list[Violation]
    unserved: list[Name]  # ids of stops and shipments in no run, mandatory and optional
    infeasibility: int = field(
        default=0
    )  # for comparing broken plans: mandatory work missing, by priority, then amounts

    @property
    def feasible(self) -> bool:
        return not self.violations

    @property
    def keeps_rules(self) -> bool:
        """Whether nothing is wrong except missing work: an engine may do no more."""
        return all(one.cause is Cause.UNSERVED for one in self.violations)

    @property
    def cost_cents(self) -> int:
        return self.money.total

    @property
    def rank(self) -> tuple[int, int]:
        """Compare plans by this: less is better, and no cost makes up for a broken rule."""
        return self.infeasibility, self.cost_cents
