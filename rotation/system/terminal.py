"""The display of `rotation run` while the days go round: a live panel, redrawn once a second from the database's figures."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

NEWS_LINES = 10


class Terminal:
    """A live view; quiet where the output is for a program."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=quiet)
        self._quiet = quiet
        self._began = time.monotonic()
        self._news: deque[str] = deque(maxlen=NEWS_LINES)
        self._live: Live | None = None

    def step(self, text: str) -> None:
        """Report a step: before and after the live view as a line with its second, in it as news."""
        if self._live:
            self._news.append(text)
        else:
            seconds = time.monotonic() - self._began
            self._console.print(f"[cyan]{seconds:5.1f} s[/] {text}", highlight=False)

    def watch(self) -> Live | None:
        """Begin the live view; None where nobody looks."""
        if not self._quiet and self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=False)
        return self._live

    def show(self, figures: Mapping[str, Any], address: str) -> None:
        """Draw the present figures."""
        if self._live:
            self._live.update(panel(figures, address, list(self._news)))


def panel(figures: Mapping[str, Any], address: str, news: list[str]) -> Panel:
    at = datetime.fromisoformat(figures["network_time"])
    head = Text.assemble(("Rotation 流转  ", "bold"), (f"{at:%Y-%m-%d %H:%M}", "bold yellow"), f"   {address}")
    columns = Table.grid(padding=(0, 4))
    columns.add_row(*(_table(title, rows(figures)) for title, rows in COLUMNS))
    lines = Text("\n".join(news), overflow="ellipsis", no_wrap=True)
    return Panel(Group(head, "", columns, "", lines), title="Ctrl-C stops / 停止", border_style="cyan")


def _table(title: str, rows: list[tuple[str, object]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 1, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in rows:
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    return table


Rows = Callable[[Mapping[str, Any]], list[tuple[str, object]]]


def _events(f: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [(name, f[name]) for name in ("events_in", "applied", "duplicates", "late", "rejected")]


def _copies(f: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [("all", f["copies"]), *((str(state).replace("_", " "), count) for state, count in f["by_state"].items())]


def _alerts(f: Mapping[str, Any]) -> list[tuple[str, object]]:
    return [("opened", f["alerts_opened"]), ("open", f["alerts_open"]), *f["alerts_by_kind"].items()]


def _day(f: Mapping[str, Any]) -> list[tuple[str, object]]:
    names = {
        "plans": "plans",
        "orders": "orders",
        "delivered": "delivered",
        "runs": "van runs",
        "stops_done": "stops done",
    }
    return [(shown, f[name]) for name, shown in names.items()]


COLUMNS: tuple[tuple[str, Rows], ...] = (
    ("Events 事件", _events),
    ("Copies 馆藏", _copies),
    ("Alerts 告警", _alerts),
    ("Plan and vans 计划与车辆", _day),
)
