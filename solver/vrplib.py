"""Reader of VRPLIB files, as CVRPLIB, LKH and PyVRP write them: any part that it does not read is refused by name.

The idea: every specification and section that may change which plan is best stands in a table below with its meaning. A
file that has another is refused, since a window or a matrix that is passed over makes a plan that nobody can drive. Own
reading instead of the package `vrplib` (2.2): it drops the node numbers and has no GEO distances.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from pydantic import ValidationError

from solver.benchmark_lines import SCALE, Line, floats, lines_of, units, wrong
from solver.check import Complaint, ProblemError
from solver.problem import Call, Depot, Problem, Shipment, Stop, Travel, Van, Window

# These say nothing about the plan. DISPLAY_DATA is for drawing.
IGNORED = {"NAME", "COMMENT", "NODE_COORD_TYPE", "DISPLAY_DATA_TYPE", "DISPLAY_DATA"}
SPECIFICATIONS = {
    "TYPE",
    "DIMENSION",
    "EDGE_WEIGHT_TYPE",
    "EDGE_WEIGHT_FORMAT",
    "CAPACITY",
    "VEHICLES",
    "DISTANCE",
    "SERVICE_TIME",
    "RELEASE_TIME",
    "VEHICLE_MAX_DISTANCE",
    "VEHICLES_MAX_DISTANCE",
    "VEHICLES_MAX_DURATION",
    "VEHICLES_MAX_RELOADS",
    "VEHICLES_FIXED_COST",
    "VEHICLES_UNIT_DISTANCE_COST",
}
DELIVERIES, COLLECTIONS = ("DELIVERY", "DEMAND", "LINEHAUL"), ("PICKUP", "BACKHAUL", "DEMAND_BACKHAUL")
BY_NODE = {*DELIVERIES, *COLLECTIONS, "TIME_WINDOW", "SERVICE_TIME", "RELEASE_TIME", "PRIZE", "PICKUP_AND_DELIVERY"}
BY_VAN = {
    "CAPACITY",
    "VEHICLES_DEPOT",
    "VEHICLES_RELOAD_DEPOT",
    "VEHICLES_ALLOWED_CLIENTS",
    "VEHICLES_MAX_DISTANCE",
    "VEHICLES_MAX_DURATION",
    "VEHICLES_MAX_RELOADS",
    "VEHICLES_FIXED_COST",
    "VEHICLES_UNIT_DISTANCE_COST",
}
SECTIONS = {*BY_NODE, *BY_VAN, "NODE_COORD", "EDGE_WEIGHT", "DEPOT"}
# Types whose rules are all in the sections. Others add one: VRPB deliveries first, SDVRP split deliveries, CCVRP arrival times.
TYPES = {
    "ACVRP",
    "ADCVRP",
    "CVRP",
    "CVRPTW",
    "DCVRP",
    "HFVRP",
    "HVRP",
    "MDVRP",
    "MDVRPTW",
    "MTVRP",
    "MTVRPTW",
    "MTVRPTWR",
    "PCVRP",
    "PCVRPTW",
    "PDPTW",
    "VRP",
    "VRPMPD",
    "VRPMPDTW",
    "VRPSPD",
    "VRPSPDTW",
    "VRPTW",
}
OPEN_TYPES = {"OVRP", "OVRPTW"}  # a run ends at its last customer

EARTH_KM, PI = 6378.388, 3.141592  # as TSPLIB 95 sets them for GEO, so that its published lengths come out

Rows = dict[int, list[float]]  # the numbers of a section, by the node or van that the row begins with


@dataclass(frozen=True, slots=True)
class VrplibFile:
    """The specifications and sections of a file, by name without _SECTION."""

    head: Mapping[str, str]
    rows: Mapping[str, list[Line]]

    def number(self, name: str, default: float) -> float:
        """Return a specification's number."""
        if name not in self.head:
            return default
        return floats((0, [self.head[name]]), 1)[0]

    def table(self, name: str) -> Rows:
        """Return a section's numbers, by the number at the beginning of each row; {} without the section."""
        table = Rows()
        for line in self.rows.get(name, []):
            index, *numbers = floats(line, 2)
            if int(index) in table:
                raise wrong("each number once", f"{line[1][0]} again", line[0])
            table[int(index)] = numbers
        return table

    def first(self, names: Sequence[str]) -> Rows:
        """Return the first of these sections that the file has."""
        return next((self.table(name) for name in names if name in self.rows), {})


def vrplib(text: str) -> Problem:
    """Read a VRPLIB file. Node n is called c(n-1); units of distance and time become thousandths.

    Raises
    ------
    ProblemError
        Where a specification, section or type is none that this reader knows, or a row is wrong.
    """
    file = _split(text)
    _known(file)
    nodes, ways = _ways(file)
    depots = [int(floats(line, 1)[0]) for line in file.rows.get("DEPOT", []) if line[1][0] != "-1"] or [nodes[0]]
    for number in depots:
        if number not in nodes:
            raise wrong(f"a depot among the nodes {nodes[0]} to {nodes[-1]}", str(number))
    try:
        return _problem(file, nodes, depots, ways)
    except ValidationError as error:
        first = error.errors()[0]
        raise wrong(first["msg"], f"{'.'.join(map(str, first['loc']))} {first['input']!r}"[:200]) from error


def _split(text: str) -> VrplibFile:
    head, rows, section = dict[str, str](), dict[str, list[Line]](), ""
    for number, words in lines_of(text):
        name = words[0].rstrip(":").upper()
        if name == "EOF":
            break
        if name.endswith("_SECTION"):
            section = name.removesuffix("_SECTION")
            if section in rows:
                raise wrong(f"{name} once", "again", number)
            rows[section] = []
        elif section and re.match(r"[-+.\d]", name):
            rows[section].append((number, words))
        elif match := re.fullmatch(r"(\w+)\s*:\s*(.*)", " ".join(words)):
            head[match[1].upper()] = match[2]
            section = ""
        else:
            raise wrong("NAME : value, NAME_SECTION or a row of numbers", repr(" ".join(words)[:60]), number)
    return VrplibFile(head, rows)


def _known(file: VrplibFile) -> None:
    """Refuse, all at once, whatever would change the plan and is not read here."""
    given = [
        *(f"{name}_SECTION" for name in file.rows.keys() - SECTIONS - IGNORED),
        *file.head.keys() - SPECIFICATIONS - IGNORED,
    ]
    kind = file.head.get("TYPE", "CVRP").upper()
    if kind not in TYPES | OPEN_TYPES:
        given.append(f"TYPE {kind}")
    if given:
        raise ProblemError([Complaint("", "not_read", name, "a part that this reader knows") for name in sorted(given)])


# ---- distances


def _ways(file: VrplibFile) -> tuple[list[int], np.ndarray]:
    """Return the nodes' numbers, and the ways between them in thousandths."""
    coordinates = file.table("NODE_COORD")
    kind = file.head.get("EDGE_WEIGHT_TYPE", "EUC_2D").upper()
    if kind == "EXPLICIT":
        count = int(file.number("DIMENSION", len(coordinates)))
        nodes, ways = list(coordinates) or list(range(1, count + 1)), _matrix(file, count)
    elif kind not in DISTANCES:
        raise wrong(f"EDGE_WEIGHT_TYPE {', '.join(['EXPLICIT', *DISTANCES])}", kind)
    elif not coordinates:
        raise wrong("NODE_COORD_SECTION", "none")
    else:
        nodes = list(coordinates)
        if any(len(point) != 2 for point in coordinates.values()):
            raise wrong("two coordinates a node", "another count")
        ways = DISTANCES[kind](np.array(list(coordinates.values()), dtype=float))
    count = int(file.number("DIMENSION", len(nodes)))
    if not len(ways) == len(nodes) == count:
        raise wrong(f"DIMENSION {len(ways)}, as there are nodes", str(count))
    return nodes, np.rint(ways * SCALE).astype(np.int64)


def _matrix(file: VrplibFile, count: int) -> np.ndarray:
    """Return the matrix of EDGE_WEIGHT_SECTION, count × count; its numbers may be wrapped in any way."""
    form = file.head.get("EDGE_WEIGHT_FORMAT", "FULL_MATRIX").upper()
    numbers = np.array(list(chain.from_iterable(floats(line, 1) for line in file.rows.get("EDGE_WEIGHT", []))))
    if form not in CORNERS:
        raise wrong(f"EDGE_WEIGHT_FORMAT {', '.join(CORNERS)}", form)
    at = CORNERS[form](count)
    if len(numbers) != len(at[0]):
        raise wrong(f"{len(at[0])} numbers in EDGE_WEIGHT_SECTION ({form} of {count} nodes)", str(len(numbers)))
    matrix = np.zeros((count, count))
    matrix[at] = numbers
    return matrix if form == "FULL_MATRIX" else np.maximum(matrix, matrix.T)


def _full(count: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.indices((count, count))
    return rows.ravel(), columns.ravel()


# Upper triangles by row are lower ones by column with both indices swapped, and the other way round.
CORNERS: Mapping[str, Callable[[int], tuple[np.ndarray, ...]]] = {
    "FULL_MATRIX": _full,
    "UPPER_ROW": lambda count: np.triu_indices(count, 1),
    "UPPER_DIAG_ROW": np.triu_indices,
    "LOWER_ROW": lambda count: np.tril_indices(count, -1),
    "LOWER_DIAG_ROW": np.tril_indices,
    "UPPER_COL": lambda count: np.tril_indices(count, -1)[::-1],
    "UPPER_DIAG_COL": lambda count: np.tril_indices(count)[::-1],
    "LOWER_COL": lambda count: np.triu_indices(count, 1)[::-1],
    "LOWER_DIAG_COL": lambda count: np.triu_indices(count)[::-1],
}


def _apart(points: np.ndarray) -> np.ndarray:
    """Return the differences of coordinates between all points: two × points × points."""
    between: np.ndarray = points[:, None] - points[None]
    return between.transpose(2, 0, 1)


def _straight(points: np.ndarray) -> np.ndarray:
    across, along = _apart(points)
    ways: np.ndarray = np.hypot(across, along)
    return ways


def _pseudo_euclidean(points: np.ndarray) -> np.ndarray:
    ways: np.ndarray = np.ceil(np.sqrt((_apart(points) ** 2).sum(axis=0) / 10))
    return ways


def _geographical(points: np.ndarray) -> np.ndarray:
    """Return kilometres on TSPLIB's earth; a coordinate is degrees, and minutes after the point."""
    degrees = np.trunc(points)
    latitude, longitude = (PI * (degrees + 5 * (points - degrees) / 3) / 180).T
    q1 = np.cos(longitude[:, None] - longitude[None])
    q2 = np.cos(latitude[:, None] - latitude[None])
    q3 = np.cos(latitude[:, None] + latitude[None])
    ways: np.ndarray = np.trunc(EARTH_KM * np.arccos(np.clip(0.5 * ((1 + q1) * q2 - (1 - q1) * q3), -1, 1)) + 1)
    np.fill_diagonal(ways, 0)
    return ways


DISTANCES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "EUC_2D": _straight,
    "EXACT_2D": _straight,
    "FLOOR_2D": lambda points: np.floor(_straight(points)),
    "CEIL_2D": lambda points: np.ceil(_straight(points)),
    "MAN_2D": lambda points: np.abs(_apart(points)).sum(axis=0),
    "MAX_2D": lambda points: np.abs(_apart(points)).max(axis=0),
    "ATT": _pseudo_euclidean,
    "GEO": _geographical,
}


# ---- the problem


def _problem(file: VrplibFile, nodes: list[int], depots: list[int], ways: np.ndarray) -> Problem:
    name = {node: f"c{index}" for index, node in enumerate(nodes)}
    pairs = file.table("PICKUP_AND_DELIVERY")
    windows = {node: row[1:3] for node, row in pairs.items()} | file.table("TIME_WINDOW")
    for section in BY_NODE & file.rows.keys():
        for node in file.table(section).keys() - name.keys():
            raise wrong(f"a node from {nodes[0]} to {nodes[-1]} in {section}_SECTION", str(node))
    paired = pairs.keys() - set(depots)
    dimensions = _dimensions(file)
    vans = list(_vans(file, name, depots, windows, dimensions))
    allowed = _allowed(file, len(vans))
    return Problem(
        name=file.head.get("NAME", "vrplib"),
        dimensions=dimensions,
        depots=[Depot(id=_depot(node, depots), place=name[node]) for node in depots],
        vans=vans,
        stops=list(
            _stops(
                file, [node for node in nodes if node not in paired | set(depots)], name, windows, allowed, dimensions
            )
        ),
        shipments=list(_shipments({node: pairs[node] for node in paired}, name)),
        travel=Travel(places=list(name.values()), metres=ways, seconds=ways),
    )


def _depot(node: int, depots: list[int]) -> str:
    return "depot" if len(depots) == 1 else f"depot{node}"


def _dimensions(file: VrplibFile) -> list[str]:
    widest = max((len(row) for name in (*DELIVERIES, *COLLECTIONS) for row in file.table(name).values()), default=1)
    return ["crates"] if widest == 1 else [f"load{number}" for number in range(1, widest + 1)]


def _amount(row: Sequence[float], dimensions: list[str]) -> int | dict[str, int]:
    whole = [int(value) for value in row]
    if list(row) != whole:
        raise wrong("whole amounts", " ".join(map(str, row)))
    return whole[0] if len(dimensions) == 1 else dict(zip(dimensions, whole, strict=True))


def _window(row: Sequence[float]) -> Window:
    return Window(from_s=units(row[0]), until_s=min(units(row[1]), 10**9))


def _stops(
    file: VrplibFile,
    customers: list[int],
    name: dict[int, str],
    windows: Rows,
    allowed: dict[int, list[str]],
    dimensions: list[str],
) -> Iterator[Stop]:
    deliver, collect, prizes = file.first(DELIVERIES), file.first(COLLECTIONS), file.table("PRIZE")
    service, release = _each(file, "SERVICE_TIME", customers), _each(file, "RELEASE_TIME", customers)
    nothing = [0.0] * len(dimensions)
    for node in customers:
        prize = prizes.get(node, [0])[0]  # 0: must be served, as PyVRP reads it
        yield Stop(
            id=name[node],
            deliver=_amount(deliver.get(node, nothing), dimensions),
            collect=_amount(collect.get(node, nothing), dimensions),
            windows=[_window(windows[node])] if node in windows else [],
            service_s=units(service[node]),
            ready_s=units(release[node]),
            prize_cents=units(prize) if prize else None,
            vans=allowed.get(node, []),
        )


def _each(file: VrplibFile, part: str, keys: Sequence[int]) -> dict[int, float]:
    """Return a number for each node or van: its row of the section, else the specification's, else 0."""
    rows, all_alike = file.table(part), file.number(part, 0)
    return {key: rows[key][0] if key in rows else all_alike for key in keys}


def _shipments(pairs: Rows, name: dict[int, str]) -> Iterator[Shipment]:
    """Rows are amount, window, service, the node before and the node after: a row with a node after is the collection."""
    for node, row in sorted(pairs.items()):
        if len(row) != 6:
            raise wrong("7 numbers in a row of PICKUP_AND_DELIVERY_SECTION", str(len(row) + 1))
        amount, *_, before, after = row
        if after and (int(after) not in pairs or int(pairs[int(after)][4]) != node):
            raise wrong(f"{int(after)} in PICKUP_AND_DELIVERY_SECTION, with {node} before it", "none")
        if after:
            yield Shipment(
                id=f"{name[node][1:]}-{name[int(after)][1:]}",
                amount=int(amount),
                **_calls(name, pairs, node, int(after)),
            )
        elif not before:
            raise wrong(f"node {node} in a pair", "neither a node before nor after")


def _calls(name: dict[int, str], pairs: Rows, node: int, after: int) -> dict[str, Call]:
    collect, deliver = (
        Call(place=name[one], windows=[_window(pairs[one][1:3])], service_s=units(pairs[one][3]))
        for one in (node, after)
    )
    return {"collect": collect, "deliver": deliver}


def _vans(
    file: VrplibFile, name: dict[int, str], depots: list[int], windows: Rows, dimensions: list[str]
) -> Iterator[Van]:
    """Where the file tells no number of vans, each customer can have its own."""
    given = max((max(file.table(part), default=0) for part in BY_VAN if part in file.rows), default=0)
    count = int(file.number("VEHICLES", given or max(len(name) - len(depots), 1)))
    numbers = range(1, count + 1)
    capacity = _capacity(file, numbers, dimensions)
    unit, fixed = file.table("VEHICLES_UNIT_DISTANCE_COST"), _each(file, "VEHICLES_FIXED_COST", numbers)
    at, reload = file.table("VEHICLES_DEPOT"), file.table("VEHICLES_RELOAD_DEPOT")
    limits = _limits(file, numbers)
    reloads = _each(file, "VEHICLES_MAX_RELOADS", numbers)
    for number in numbers:
        depot = int(at[number][0]) if number in at else depots[0]
        for node in (depot, *map(int, reload.get(number, []))):
            if node not in depots:
                raise wrong(f"a depot of {depots} for van {number}", str(node))
        if number not in capacity:
            raise wrong(f"the capacity of van {number}", "none")
        places = [_depot(int(node), depots) for node in reload.get(number, [])]
        shift = _window(windows[depot]) if depot in windows else Window(from_s=0, until_s=10**9)
        yield Van(
            id=f"van{number}",
            start=_depot(depot, depots),
            open_end=file.head.get("TYPE", "").upper() in OPEN_TYPES,
            capacity=_amount(capacity[number], dimensions),
            shift=shift,
            fixed_cents=units(fixed[number]),
            hour_cents=0,
            km_cents=units(unit[number][0] if number in unit else file.number("VEHICLES_UNIT_DISTANCE_COST", 1)),
            reload_depots=places,
            max_reloads=(int(reloads[number]) or 20) if places else 0,
            **limits[number],
        )


def _capacity(file: VrplibFile, numbers: Sequence[int], dimensions: list[str]) -> Rows:
    """Return each van's capacity; without any amounts it has no limit."""
    given = "CAPACITY" in file.head or "CAPACITY" in file.rows
    if not given and file.rows.keys() & {*DELIVERIES, *COLLECTIONS}:
        raise wrong("CAPACITY", "amounts without it")
    return file.table("CAPACITY") or {n: [file.number("CAPACITY", 10**9)] * len(dimensions) for n in numbers}


def _limits(file: VrplibFile, numbers: Sequence[int]) -> dict[int, dict[str, int]]:
    """Return the fields of a van that bound its run; DISTANCE bounds a round trip, service included."""
    longest, farthest = _each(file, "VEHICLES_MAX_DURATION", numbers), _each(file, "VEHICLES_MAX_DISTANCE", numbers)
    round_trip = file.number("DISTANCE", file.number("VEHICLE_MAX_DISTANCE", 0))
    return {
        number: {
            **(
                {"max_duration_s": units(min(spans))}
                if (spans := [s for s in (longest[number], round_trip) if s])
                else {}
            ),
            **({"max_metres": units(farthest[number])} if farthest[number] else {}),
        }
        for number in numbers
    }


def _allowed(file: VrplibFile, vans: int) -> dict[int, list[str]]:
    """Return the vans that may serve a node; a node that all may serve is left out."""
    rows = file.table("VEHICLES_ALLOWED_CLIENTS")
    if not rows:
        return {}
    allowed = dict[int, list[str]]()
    for van in range(1, vans + 1):
        for node in rows.get(van, []):
            allowed.setdefault(int(node), []).append(f"van{van}")
    return {node: names for node, names in allowed.items() if len(names) < vans}
