"""Readers of the public benchmark files: Solomon, Gehring & Homberger, Li & Lim, and VRPSPD in CVRPLIB's manner.

The idea: distance and time are one thing in these sets (a unit of way takes a unit of time), so both matrices are the
rounded Euclidean distances times `SCALE`, and vans cost by the kilometre alone. A fixed cost makes fewer vans win first.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from solver.check import Complaint, ProblemError
from solver.problem import Call as CallOf
from solver.problem import Depot, Problem, Shipment, Stop, Travel, Van, Window

SCALE = 1000  # units of a file become thousandths, as published distances have two decimals
VAN_CENTS = 10_000_000  # a van outweighs any way it could save: the sets count vans first


@dataclass(frozen=True, slots=True)
class Customer:
    """A line of any of these files; times and coordinates in the file's units. Customer 0 is the depot."""

    number: int
    x: float
    y: float
    deliver: int = 0
    collect: int = 0
    ready: float = 0
    due: float = math.inf
    service: float = 0
    pickup: int = 0  # Li & Lim: this one's goods come from there
    delivery: int = 0  # and go there


def solomon(text: str) -> Problem:
    """Read a file of Solomon's or of Gehring and Homberger's: what is delivered, in windows."""
    lines = _lines(text)
    vans, capacity = _floats(lines[_line_of(lines, "NUMBER") + 1], 2)[:2]
    customers = [
        Customer(int(row[0]), row[1], row[2], deliver=int(row[3]), ready=row[4], due=row[5], service=row[6])
        for row in (_floats(line, 7) for line in lines[_line_of(lines, "CUST") + 1 :])
    ]
    return _problem(lines[0][1][0], customers, int(vans), int(capacity), by_vans=True)


def li_lim(text: str) -> Problem:
    """Read a file of Li and Lim's: goods from one customer to another, in windows."""
    lines = _lines(text)
    vans, capacity = _floats(lines[0], 2)[:2]
    customers = [
        Customer(
            int(row[0]),
            row[1],
            row[2],
            abs(int(row[3])),
            0,
            row[4],
            row[5],
            row[6],
            pickup=int(row[7]),
            delivery=int(row[8]),
        )
        for row in (_floats(line, 9) for line in lines[1:])
    ]
    return _problem("li-lim", customers, int(vans), int(capacity), by_vans=True)


def vrpspd(text: str) -> Problem:
    """Read a VRPSPD file: CVRPLIB's sections, with DELIVERY_SECTION and PICKUP_SECTION (or DEMAND, DEMAND_BACKHAUL)."""
    head: dict[str, str] = dict(re.findall(r"^\s*(\w+)\s*:\s*(.+?)\s*$", text, re.MULTILINE))
    places = _section(text, "NODE_COORD_SECTION")
    deliver = _section(text, "DELIVERY_SECTION") or _section(text, "DEMAND_SECTION")
    collect = _section(text, "PICKUP_SECTION") or _section(text, "BACKHAUL_SECTION")
    if not places or "CAPACITY" not in head:
        raise _wrong("NODE_COORD_SECTION and CAPACITY", "neither or one of them")
    service = float(head.get("SERVICE_TIME", 0))
    due = float(head.get("DISTANCE") or head.get("VEHICLE_MAX_DISTANCE") or math.inf)
    customers = [
        Customer(
            index,
            place[1],
            place[2],
            int(deliver.get(int(place[0]), [0, 0])[1]),
            int(collect.get(int(place[0]), [0, 0])[1]),
            service=service if index else 0,
            due=due if not index else math.inf,
        )
        for index, place in enumerate(places.values())
    ]
    vans = int(float(head.get("VEHICLES", len(customers) - 1)))
    return _problem(head.get("NAME", "vrpspd"), customers, vans, int(float(head["CAPACITY"])), by_vans=False)


FORMATS: dict[str, Callable[[str], Problem]] = {"solomon": solomon, "li-lim": li_lim, "vrpspd": vrpspd}


def convert(text: str, name: str | None) -> Problem:
    """Read a benchmark's file; without a name, in the format that it looks like.

    Raises
    ------
    ProblemError
        When it is in none of them.
    """
    reader = FORMATS[name] if name else _recognised(text)
    try:
        return reader(text)
    except (IndexError, KeyError, ValueError, OverflowError) as error:
        if isinstance(error, ProblemError):
            raise
        raise _wrong("the lines and columns of such a file", str(error)) from error


def _recognised(text: str) -> Callable[[str], Problem]:
    first = text.split("\n", 1)[0].split()
    if "CUST" in text and "VEHICLE" in text:
        return solomon
    if "NODE_COORD_SECTION" in text:
        return vrpspd
    if len(first) == 3 and _numeric(first):
        return li_lim
    raise _wrong("JSON, or a file of Solomon, Gehring & Homberger, Li & Lim or VRPSPD", repr(text[:40]))


def _wrong(expected: str, given: str, line: int = 0) -> ProblemError:
    at = f":{line}" if line else ""
    return ProblemError([Complaint(at, "format", given, expected, {"reason": expected})])


# ---- parts of files


Line = tuple[int, list[str]]  # its number, and its words


def _lines(text: str) -> list[Line]:
    """Return the lines that are not empty."""
    return [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _line_of(lines: Sequence[Line], word: str) -> int:
    found = [at for at, (_, words) in enumerate(lines[:-1]) if words[0].upper() == word]
    if not found:
        raise _wrong(f"a line that begins with {word}", f"{len(lines)} lines without")
    return found[0]


def _numeric(row: Sequence[str]) -> bool:
    return all(re.fullmatch(r"-?\d+(\.\d*)?([eE][-+]?\d+)?", word) for word in row)


def _floats(line: Line, columns: int) -> list[float]:
    number, row = line
    if len(row) < columns or not _numeric(row):
        raise _wrong(f"{columns} numbers in a line", repr(" ".join(row)), number)
    return [float(word) for word in row]


def _section(text: str, name: str) -> dict[int, list[float]]:
    """Return the numbered lines of a section, by number."""
    lines = _lines(text)
    after = [at + 1 for at, (_, words) in enumerate(lines) if words[0].rstrip(":") == name]
    rows = takewhile(lambda line: line[1][0][0] in "-.0123456789", lines[after[0] :] if after else [])
    return {int(row[0]): row for row in (_floats(line, 2) for line in rows)}


# ---- customers into a problem


def _problem(name: str, customers: list[Customer], vans: int, capacity: int, *, by_vans: bool) -> Problem:
    depot, points = customers[0], np.array([(one.x, one.y) for one in customers])
    way = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    ways = np.rint(way * SCALE).astype(np.int64)
    shift = Window(from_s=_units(depot.ready), until_s=_units(depot.due))
    van = Van(id="van", capacity=capacity, shift=shift, fixed_cents=VAN_CENTS * by_vans, hour_cents=0, km_cents=1000)
    places = [f"c{one.number}" for one in customers]
    return Problem(
        name=name,
        depots=[Depot(id="depot", place=places[0])],
        vans=[van.model_copy(update={"id": f"van{number}"}) for number in range(1, vans + 1)],
        stops=[_stop(one) for one in customers[1:] if not one.pickup and not one.delivery],
        shipments=[_shipment(one, customers) for one in customers[1:] if one.delivery],
        travel=Travel(places=places, metres=ways, seconds=ways),
    )


def _units(value: float) -> int:
    """Times of these files in thousandths; endless where the file has none."""
    return 10**9 if math.isinf(value) else round(value * SCALE)


def _windows(one: Customer) -> list[Window]:
    return [] if math.isinf(one.due) else [Window(from_s=_units(one.ready), until_s=_units(one.due))]


def _stop(one: Customer) -> Stop:
    return Stop(
        id=f"c{one.number}",
        deliver=one.deliver,
        collect=one.collect,
        windows=_windows(one),
        service_s=_units(one.service),
    )


def _shipment(one: Customer, customers: list[Customer]) -> Shipment:
    return Shipment(
        id=f"{one.number}-{one.delivery}",
        amount=one.deliver,
        collect=_call(one),
        deliver=_call(next(other for other in customers if other.number == one.delivery)),
    )


def _call(one: Customer) -> CallOf:
    return CallOf(place=f"c{one.number}", windows=_windows(one), service_s=_units(one.service))
