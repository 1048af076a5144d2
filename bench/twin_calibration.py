"""The city beside a real network: LibrariesWest's lanes, days on the way and weekly rhythm, in the same terms."""

import csv
import gzip
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from city import day as steps
from city import history
from city.model import DAY_S, START
from rotation.network import Network

WEEKS = 12
DAYS_WATCHED = (1, 2, 3, 5, 7, 9)  # the nine snapshots end nine days after the first
Sent = tuple[date, str, str]  # day, from, to


def write(network: Network, file: Path) -> None:
    """Write a line for each of the two; LibrariesWest's only where the data is available (ROTATION_DATA)."""
    with file.open("w", encoding="utf-8") as out:
        for line in (twin(network), *real()):
            print(json.dumps(line), flush=True)
            out.write(json.dumps(line) + "\n")


def twin(network: Network) -> dict[str, Any]:
    """Describe the city's own shipments in its last weeks of history."""
    sent, out_after = _played(network, history.found(network, 1))
    district = {place.id: place.owner for place in network.places}
    return {"network": "twin city", **_lanes(sent, district), "still_out": out_after}


def _played(network: Network, city: history.City) -> tuple[list[Sent], dict[str, float]]:
    sent, left, arrived = [], {}, []
    for day in range(WEEKS * 7):
        rows = steps.play(city.world.land, city.state, history.visits_of(city, day), day)
        for kind, at, copy, place, to, _ in rows.tolist():
            if kind == steps.SENT:
                left[copy] = at // DAY_S
                sent.append((START + timedelta(days=day), network.places[place].id, network.places[to].id))
            elif kind == steps.RECEIVED:
                arrived.append((left[copy], at // DAY_S - left[copy]))
    took = [days for begun, days in arrived if 28 <= begun < WEEKS * 7 - 21]
    recent = [one for one in sent if one[0] >= START + timedelta(days=(WEEKS - 1) * 7)]
    return recent, {str(d): round(sum(days > d for days in took) / len(took), 3) for d in DAYS_WATCHED}


def real() -> Iterator[dict[str, Any]]:
    """Describe LibrariesWest's shipments of the week to 9 March 2020."""
    folder = Path(os.environ.get("ROTATION_DATA", "../shared/data")) / "librarieswest" / "in_transit"
    files = sorted(folder.glob("*.csv.gz"))
    if not files:
        return
    district: dict[str, str] = {}
    snapshots = [_snapshot(file, district) for file in files]
    week_ago = max(snapshots[6])[0] - timedelta(days=7)
    week = [row for row in snapshots[6] if row[0] > week_ago]
    yield {"network": "LibrariesWest", **_lanes(week, district), "still_out": _cohort(snapshots)}


def _snapshot(file: Path, district: dict[str, str]) -> list[Sent]:
    with gzip.open(file, "rt", encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    for row in rows:
        district[row["from_library"]], district[row["to_library"]] = row["from_authority"], row["to_authority"]
    return [(date.fromisoformat(row["date_transited"][:10]), row["from_library"], row["to_library"]) for row in rows]


def _cohort(snapshots: list[list[Sent]]) -> dict[str, float]:
    """Return the share of the first snapshot's last-day shipments that are still out after so many days."""
    first = max(row[0] for row in snapshots[0])
    number = {max(row[0] for row in rows): sum(row[0] == first for row in rows) for rows in snapshots}
    return {
        str((day - first).days): round(left / number[first], 3)
        for day, left in number.items()
        if (day - first).days in DAYS_WATCHED
    }


def _lanes(sent: Iterable[Sent], district: dict[str, Any]) -> dict[str, Any]:
    """Describe a week of shipments."""
    rows = list(sent)
    lanes = sorted(Counter((a, b) for _, a, b in rows).values(), reverse=True)
    weekday = Counter(day.weekday() for day, _, _ in rows)
    top = lanes[: max(1, len(lanes) // 10)]
    return {
        "copies": len(rows),
        "lanes": len(lanes),
        "share_of_lanes_with_one_copy": round(sum(n == 1 for n in lanes) / len(lanes), 3),
        "share_on_the_busiest_tenth_of_lanes": round(sum(top) / len(rows), 3),
        "share_within_a_district": round(sum(district[a] == district[b] for _, a, b in rows) / len(rows), 3),
        "share_by_weekday": [round(weekday[d] / len(rows), 3) for d in range(7)],
    }
