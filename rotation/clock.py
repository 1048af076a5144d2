"""The network's time: the wall clock in production, simulated or historic time in a demonstration or an import.

"Future", "overdue" and "silent" are judged by it, so one row of the database holds it for every process.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


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

    def wall_s_until(self, instant: datetime) -> float:
        """Return the seconds to wait until the network's time is `instant`; infinite where it stands still."""
        left_s = (instant - self.now()).total_seconds()
        if left_s <= 0:
            return 0.0
        return left_s / self.speed if self.speed else float("inf")


def wall_clock() -> Clock:
    """Return the clock of a real network."""
    now = datetime.now(UTC)
    return Clock(now, now, 1.0)


def standing_at(instant: datetime) -> Clock:
    """Return a clock that stands still, for days of the past."""
    return Clock(instant, datetime.now(UTC), 0.0)
