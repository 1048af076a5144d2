"""A row per fault for docs/reliability.md: `make chaos` prints it, `python -m tests.chaos.table < LOG` makes it of its JSON."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

HEAD = """\
| Fault | Events | Lasted | Longest standstill | Recovered after | All applied after | Lost | Alerts, once | Orders, once |
|---|---|---|---|---|---|---|---|---|"""
COUNTS = ("applied", "late", "duplicates", "rejected")


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of scenarios, in their order; one that was not compared to its end has failed, and says so."""
    return "\n".join([HEAD, *map(_row, rows)])


def _row(row: Mapping[str, Any]) -> str:
    seconds = [f"{row[name]} s" for name in ("fault_s", "longest_standstill_s", "recovered_s", "all_applied_s")]
    lost = row["events"] - sum(row.get(name, 0) for name in COUNTS)
    cells = [
        row["fault"].replace("_", " "),
        f"{row['events']:,}",
        *seconds,
        str(lost),
        str(row.get("alerts", "FAILED")),
        str(row.get("orders", "FAILED")),
    ]
    return f"| {' | '.join(cells)} |"


def rows_in(log: Iterable[str]) -> list[dict[str, Any]]:
    """Return the scenarios of a log, each put together of its JSON lines; all else in it is passed over."""
    rows: dict[str, dict[str, Any]] = {}
    for line in log:
        begin = line.find('{"fault"')  # pytest's own dots may stand before it
        if begin >= 0:
            told = json.loads(line[begin:])
            rows.setdefault(told["fault"], {}).update(told)
    return [row for row in rows.values() if "all_applied_s" in row]


if __name__ == "__main__":
    print(table(rows_in(sys.stdin)))
