"""Readers of the public benchmark files: Solomon, Gehring & Homberger, Li & Lim, and VRPLIB.

The idea: distance and time are the same in these sets (a unit of distance takes a unit of time), so both matrices are the
rounded Euclidean distances times `SCALE`, and vans cost by the kilometre only. A fixed cost makes fewer vans win first.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from solver.benchmark_lines import SCALE, Line, floats, lines_of, numeric, units, wrong
from solver.check import ProblemError
from solver.problem import Call as CallOf
from solver.problem import Depot, Problem, Shipment, Stop, Travel, Van, Window
from solver.vrplib import vrplib

# A van outweighs any distance it could save: the sets count vans first.
VAN_CENTS = 10_000_000


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
    pickup: int = 0  # Li & Lim: goods come from this customer
    delivery: int = 0  # and go to this customer


def solomon(text: str) -> Problem:
    """Read a file by Solomon or by Gehring and Homberger: deliveries in windows."""
    lines = lines_of(text)
    vans, capacity = floats(lines[_line_of(lines, "NUMBER") + 1], 2)[:2]
    customers = [
        Customer(int(row[0]), row[1], row[2], deliver=int(row[3]), ready=row[4], due=row[5], service=row[6])
        for row in (floats(line, 7) for line in lines[_line_of(lines, "CUST") + 1 :])
    ]
    return _problem(lines[0][1][0], customers, int(vans), int(capacity), by_vans=True)


def li_lim(text: str) -> Problem:
    """Read a file by Li and Lim: goods from a customer to another, in windows."""
    lines = lines_of(text)
    vans, capacity = floats(lines[0], 2)[:2]
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
        for row in (floats(line, 9) for line in lines[1:])
    ]
    return _problem("li-lim", customers, int(vans), int(capacity), by_vans=True)


FORMATS: dict[str, Callable[[str], Problem]] = {
    "solomon": solomon,
    "li-lim": li_lim,
    "vrplib": vrplib,
    "vrpspd": vrplib,
}


def convert(text: str, name: str | None) -> Problem:
    """Read a benchmark's file; without a name, detect its format.

    Raises
    ------
    ProblemError
        When it has none of the formats.
    """
    reader = FORMATS[name] if name else _recognised(text)
    try:
        return reader(text)
    except (IndexError, KeyError, ValueError, OverflowError) as error:
        if isinstance(error, ProblemError):
            raise
        raise wrong("the lines and columns of such a file", str(error)) from error


def _recognised(text: str) -> Callable[[str], Problem]:
    first = text.split("\n", 1)[0].split()
    if "_SECTION" in text:
        return vrplib
    if "CUST" in text and "VEHICLE" in text:
        return solomon
    if len(first) == 3 and numeric(first):
        return li_lim
    raise wrong("JSON, or a file of Solomon, Gehring & Homberger, Li & Lim or VRPLIB", repr(text[:40]))


def _line_of(lines: Sequence[Line], word: str) -> int:
    found = [at for at, (_, words) in enumerate(lines[:-1]) if words[0].upper() == word]
    if not found:
        raise wrong(f"a line that begins with {word}", f"{len(lines)} lines without")
    return found[0]


# ---- customers into a problem


def _problem(name: str, customers: list[Customer], vans: int, capacity: int, *, by_vans: bool) -> Problem:
    depot, points = customers[0], np.array([(one.x, one.y) for one in customers])
    way = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    ways = np.rint(way * SCALE).astype(np.int64)
    shift = Window(from_s=units(depot.ready), until_s=units(depot.due))
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


def _windows(one: Customer) -> list[Window]:
    return [] if math.isinf(one.due) else [Window(from_s=units(one.ready), until_s=units(one.due))]


def _stop(one: Customer) -> Stop:
    return Stop(
        id=f"c{one.number}",
        deliver=one.deliver,
        collect=one.collect,
        windows=_windows(one),
        service_s=units(one.service),
    )


def _shipment(one: Customer, customers: list[Customer]) -> Shipment:
    return Shipment(
        id=f"{one.number}-{one.delivery}",
        amount=one.deliver,
        collect=_call(one),
        deliver=_call(next(other for other in customers if other.number == one.delivery)),
    )


def _call(one: Customer) -> CallOf:
    return CallOf(place=f"c{one.number}", windows=_windows(one), service_s=units(one.service))
