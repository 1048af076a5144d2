"""LibrariesWest's points as a network: from its tables, or from the names in its snapshots where the tables are missing."""

import csv
import re
import tomllib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from rotation.feeds.librarieswest.snapshots import class_of, rows_of, slug
from rotation.network import WEEKDAYS, Network, from_tables

DAY_COLUMNS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def network(folder: Path, choices: Path) -> Network:
    """Make the network from the tables in `folder`, with the hubs, vans and default hours of `choices` (TOML).

    Every table may be missing. Without branches.csv the points are those that the snapshots name, without coordinates, so that no
    van is sent; without items_summary.csv so are the classes; without hours.csv a point receives in its tier's window, flagged.

    Raises
    ------
    NetworkError
        With every mistake in the result.
    KeyError
        When `choices` lacks a table, or names a hub that is no point.
    ValueError
        When nothing names any point, or a point's authority is not in `choices`.
    """
    chosen = tomllib.loads(choices.read_text(encoding="utf-8"))
    hubs = {authority["name"]: authority for authority in chosen["authority"]}
    branches = _table(folder / "branches.csv") or _branches_in_transit(folder)
    hours = _hours_by_point(branches, _table(folder / "hours.csv"), chosen["hours_under"])
    _demand_hubs(hubs, branches)
    raw = {
        "network": chosen["network"],
        "class": [{"id": key, "name": name} for key, name in _item_types(folder).items()],
        "owner": [{"id": authority["id"], "name": authority["name"]} for authority in chosen["authority"]],
        "place": [
            _place(branch, hubs[branch["authority"]], hours, chosen["default_receiving"])
            | {"closed": chosen["bank_holidays"]}
            for branch in branches
        ],
        "van": list(chain.from_iterable(map(_vans, chosen["authority"]))),
    }
    return from_tables(raw, choices.name)


def _table(path: Path) -> list[dict[str, str]]:
    """Return a table's rows; none where it is missing."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


# Columns of branches.csv that the snapshots do not have.
UNSAID = ("matched_name", "postcode", "lat", "lng", "type", "population", "income_deprivation")


def _branches_in_transit(folder: Path) -> list[dict[str, str]]:
    """Return the points that copies were sent from or to, each with its authority, as rows of branches.csv."""
    points = dict[str, str]()
    for row in rows_of(folder):
        points |= {row.from_library: row.from_authority, row.to_library: row.to_authority}
    if not points:
        raise ValueError(f"{folder}: no branches.csv, and no snapshot names a point")
    unsaid = dict.fromkeys(UNSAID, "")
    return [{"library": library, "authority": points[library], **unsaid} for library in sorted(points)]


def _item_types(folder: Path) -> dict[str, str]:
    """Return the stock list's item types by class; spellings that differ in spaces are merged."""
    listed = {row["item_type"] for row in _table(folder / "items_summary.csv")}
    names = listed or {row.item_type for row in rows_of(folder)}
    return {class_of(name): name for name in sorted(names)}


def _demand_hubs(hubs: Mapping[str, Mapping[str, Any]], branches: list[dict[str, str]]) -> None:
    known = {branch["library"] for branch in branches}
    for authority in hubs.values():
        if authority["hub"] not in known:
            raise KeyError(f"the hub {authority['hub']!r} of {authority['name']} is no point")
    if unknown := {branch["authority"] for branch in branches} - hubs.keys():
        raise ValueError(f"no hub is named for {', '.join(sorted(unknown))}")


def _place(
    branch: Mapping[str, str], authority: Mapping[str, Any], hours: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a point as a `place` table; a point without coordinates is kept, though no van can be sent there."""
    is_hub = branch["library"] == authority["hub"]
    tier = "district" if is_hub else "subdistrict" if branch["type"] == "LAL" else "room"
    place: dict[str, Any] = {
        "id": slug(branch["library"]),
        "name": branch["library"],
        "tier": tier,
        "kind": _kind(branch["library"]),
        "owner": authority["id"],
        "population": int(branch["population"] or 0),
    }
    if branch["lat"]:
        place |= {"lat": float(branch["lat"]), "lon": float(branch["lng"])}
    if branch["income_deprivation"]:
        place["special"] = {"income_deprived": float(branch["income_deprivation"]) / 100}
    place |= {"hub": _hub(authority)} if is_hub else {"parent": slug(authority["hub"])}
    return place | _when(hours.get(branch["library"]), defaults[tier], located=bool(branch["lat"]))


def _kind(name: str) -> str:
    """Return the kind of a point from the words of its name: the data says no more."""
    if re.search(r"\b(mobile|at home)\b", name, re.IGNORECASE):
        return "mobile_stop"
    return "store" if re.search(r"\b(reserve|stack|stock|store)\b", name, re.IGNORECASE) else "staffed"


def _hub(authority: Mapping[str, Any]) -> dict[str, Any]:
    return {key: authority[key] for key in ("cutoff", "trunk_departs", "copies_per_hour")}


def _when(hours: Mapping[str, Any] | None, default: Mapping[str, Any], *, located: bool) -> dict[str, Any]:
    """Return the hours of a point; a located point without usable hours gets its tier's receiving window, flagged."""
    if hours:
        return {"hours": hours}
    return {"receiving": default, "default_hours": True} if located else {}


def _vans(authority: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    number = 0
    for group in authority["vans"]:
        for _ in range(group["count"]):
            number += 1
            rest = {key: value for key, value in group.items() if key != "count"}
            yield {"id": f"{authority['id']}-{number}", "hub": slug(authority["hub"]), **rest}


# --- Hours, joined by name, then by postcode --------------------------------------------------------------------------

_COMMON_WORDS = r"\b(library|community|information|centre|learning|childrens|lending|and)\b"


def _hours_by_point(
    branches: list[dict[str, str]], rows: list[dict[str, str]], under: Mapping[str, str]
) -> dict[str, dict[str, list[str]]]:
    """Return each point's week by its name, from a row with any hours that joins it."""
    usable = [row for row in rows if any(row[day] for day in DAY_COLUMNS)]
    by_name = {(_authority(row), _bare(row["library"])): row for row in usable}
    by_postcode = {_bare_postcode(row["postcode"]): row for row in usable}
    joined = {}
    for branch in branches:
        names = (under.get(branch["library"], branch["library"]), branch["matched_name"])
        row = next((by_name[key] for n in names if n and (key := (branch["authority"], _bare(n))) in by_name), None)
        row = row or by_postcode.get(_bare_postcode(branch["postcode"]) or "none")
        if row:
            joined[branch["library"]] = _week(row)
    return joined


def _authority(row: Mapping[str, str]) -> str:
    return re.sub(r"( City)?\s+Council$", "", row["authority"])


def _bare(name: str) -> str:
    """Return a library's name in a common spelling: "St. Pauls" is "St Pauls Library"."""
    plain = re.sub(r"\(.*?\)|@.*|['.]", "", name.lower())
    return slug(re.sub(_COMMON_WORDS, " ", plain))


def _bare_postcode(postcode: str) -> str:
    return postcode.replace(" ", "").upper()


def _week(row: Mapping[str, str]) -> dict[str, list[str]]:
    days = zip(WEEKDAYS, DAY_COLUMNS, strict=True)
    return {day: row[column].split(",") for day, column in days if row[column]}
