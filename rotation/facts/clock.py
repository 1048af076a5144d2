"""Time: the network's clock, and instants and days as people and programs write them at our edges.

The network's time is the wall clock in production, simulated or historic time in a demonstration or an import. "Future",
"overdue" and "silent" are judged by it, so one row of the database holds it for every process.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema


@dataclass(frozen=True, slots=True)
class Clock:
    """The network's time was `network_at` when the wall clock showed `wall_at`, and runs `speed` times as fast."""

    network_at: datetime
    wall_at: datetime
    speed: float

    @property
    def simulated(self) -> bool:
        """Whether its time is a demonstration's, which may be held and go on."""
        return self.speed not in (0.0, 1.0)

    def now(self, wall: datetime | None = None) -> datetime:
        """Return the network's time now, or when the wall clock showed `wall`."""
        passed_s = ((wall or datetime.now(UTC)) - self.wall_at).total_seconds()
        return self.network_at + timedelta(seconds=passed_s * self.speed)


def wall_clock() -> Clock:
    """Return the clock of a real network."""
    now = datetime.now(UTC)
    return Clock(now, now, 1.0)


def standing_at(instant: datetime) -> Clock:
    """Return a clock that stands still, for days of the past."""
    return Clock(instant, datetime.now(UTC), 0.0)


# --- Instants and days at the edges: RFC 3339, and nothing that only looks like it -------------------------------------

# Pydantic alone takes a text of digits, or a number, for seconds since 1970, so that 20260302 would be 23 August 1970.
SHAPE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?$"
EXPECTED = "expected RFC 3339, such as 2026-03-02T08:00:00+08:00"
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

# All of it runs in pydantic's own core: an event has one, and a call of Python each would be felt. The zone is asked for by the
# second step, whose error has a name of its own.
_RFC_3339 = core_schema.chain_schema(
    [
        core_schema.custom_error_schema(
            core_schema.str_schema(pattern=SHAPE), custom_error_type="rfc_3339", custom_error_message=EXPECTED
        ),
        core_schema.datetime_schema(tz_constraint="aware"),
    ]
)


def _written_as_an_instant(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and re.fullmatch(SHAPE, value)):
        return value
    raise ValueError(EXPECTED)


def _written_as_a_day(value: object) -> object:
    if isinstance(value, date) or (isinstance(value, str) and DAY.fullmatch(value)):
        return value
    raise ValueError("expected a day such as 2026-03-02")


Instant = Annotated[
    datetime, GetPydanticSchema(lambda _, __: _RFC_3339), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""An RFC 3339 text with its zone; an aware datetime in the program."""

InstantInFile = Annotated[AwareDatetime, BeforeValidator(_written_as_an_instant)]
"""An Instant, or one of a TOML file's own."""

Day = Annotated[date, BeforeValidator(_written_as_a_day)]
"""A day such as 2026-03-02."""
