"""The day's runs over time as an SVG: a row for each van, a block for each stop, a step line for its load.

Here is only the geometry, in the SVG's own units; the template draws it.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rotation.views.day import RunLine, StopLine

WIDTH, ROW, HEAD = 1120.0, 30.0, 24.0
LABEL, LONGEST_LABEL, LETTER = 120.0, 260.0, 6.6  # a letter of the label's 12 px, on average
X = Callable[[datetime], float]  # where an instant stands
NARROWEST = 2.5  # a stop of a minute must still be seen and pointed at


@dataclass(frozen=True, slots=True)
class StopBlock:
    """A stop in its row."""

    x: float
    width: float
    stop: StopLine
    wait_x: float
    wait_width: float


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in the chart; `load` is the path of its load, as high as the row where the van's crates are all full."""

    run: RunLine
    y: float
    x: float
    width: float
    blocks: tuple[StopBlock, ...]
    load: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws."""

    width: float
    height: float
    rows: tuple[RunRow, ...]
    hours: tuple[tuple[float, datetime], ...]
    now_x: float | None


def chart(
    runs: Sequence[RunLine], now: datetime, capacity: dict[str, int], name: Callable[[str], str] = str
) -> Chart | None:
    """Lay out the runs; `capacity` gives a van's crates, `name` its row's name. None where there is no run."""
    if not runs:
        return None
    begin = _whole_hour(min(run.departs_at for run in runs))
    end = _whole_hour(max(run.returns_at for run in runs)) + timedelta(hours=1)
    label = min(max(LABEL, LETTER * (2 + max(_letters(name(run.van_id)) for run in runs))), LONGEST_LABEL)
    scale = (WIDTH - label) / (end - begin).total_seconds()

    def x(at: datetime) -> float:
        return round(label + (at - begin).total_seconds() * scale, 1)

    rows = tuple(_row(run, HEAD + number * ROW, x, capacity) for number, run in enumerate(runs))
    hours = int((end - begin).total_seconds() // 3600)
    ticks = tuple((x(at), at) for at in (begin + timedelta(hours=hour) for hour in range(hours + 1)))
    return Chart(WIDTH, HEAD + ROW * len(rows) + 4, rows, ticks, x(now) if begin <= now <= end else None)


def _letters(name: str) -> int:
    """Return how many Latin letters wide a name is: a Chinese sign is two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "FW" else 1 for sign in name)


def _whole_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _row(run: RunLine, y: float, x: X, capacity: dict[str, int]) -> RunRow:
    blocks = tuple(_block(stop, x) for stop in run.stops)
    full = max(capacity.get(run.van_id, 0), run.largest_load_crates, 1)
    left = x(run.departs_at)
    return RunRow(run, y, left, round(x(run.returns_at) - left, 1), blocks, _load(run, y, x, full))


def _block(stop: StopLine, x: X) -> StopBlock:
    left, wait = x(stop.begins_at), x(stop.arrives_at)
    return StopBlock(
        left, max(round(x(stop.departs_at) - left, 1), NARROWEST), stop, wait, max(round(left - wait, 1), 0)
    )


def _load(run: RunLine, y: float, x: X, full: int) -> str:
    """Return the load as steps from the hub's loading to the last stop."""
    bottom, top = y + ROW - 3, ROW - 6

    def height(crates: int) -> float:
        return round(bottom - top * crates / full, 1)

    load = (
        run.stops[0].load_after_crates + run.stops[0].deliver_crates - run.stops[0].collect_crates if run.stops else 0
    )
    steps = [f"M{x(run.departs_at)} {bottom}V{height(load)}"]
    steps += [f"H{x(stop.departs_at)}V{height(stop.load_after_crates)}" for stop in run.stops]
    return "".join([*steps, f"H{x(run.returns_at)}V{bottom}Z"])
