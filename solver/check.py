"""Is a problem whole? Every complaint at once, with its place in the file, what stands there and what was expected.

The idea: pydantic judges each field alone; here the parts are judged against each other. Elements with a bad field are
set aside with their ids remembered, so that one misspelt number does not hide a wrong reference elsewhere.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from solver.problem import MOST_STOPS, Amount, Problem, Site, Van, Window

VISIT_PREFIXES = ("collect:", "deliver:", "break:", "reload:", "start:", "end:")  # of visits that are no stop's
_LISTS = ("depots", "vans", "stops", "shipments", "zones", "locks", "baseline", "slots")
_NESTED = {"function-plain[_amount()]", "int", "str", "dict[str,int]"}


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing wrong with a problem file; `solver.words` says it in Chinese and English from `code` and `numbers`."""

    at: str  # such as stops[3].windows[0].until_s
    code: str
    given: str
    expected: str
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.at or 'file'}: {self.given}; expected {self.expected}"


class ProblemError(ValueError):
    """The problem is not whole; `complaints` lists all that is wrong."""

    def __init__(self, complaints: list[Complaint]) -> None:
        super().__init__("\n".join(map(str, complaints)))
        self.complaints = complaints


@dataclass(slots=True)
class _Known:
    """Ids that the file declares, those of elements with bad fields included."""

    ids: dict[str, set[str]]
    aside: bool  # some elements were set aside: do not conclude from absence or count


def read(data: object) -> Problem:
    """Return the problem that a parsed JSON value describes.

    Raises
    ------
    ProblemError
        With every complaint.
    """
    _refuse_too_many(data)
    try:
        problem, complaints = Problem.model_validate(data), list[Complaint]()
    except ValidationError as error:
        complaints = [of_field(one) for one in error.errors(include_url=False)]
        rest = _without_bad(data, error)
        raise ProblemError(complaints + (_judge(rest, _known(data, aside=True)) if rest else [])) from error
    complaints = check(problem)
    if complaints:
        raise ProblemError(complaints)
    return problem


def _refuse_too_many(data: object) -> None:
    """Count before reading: a wrong file of a hundred thousand stops is not worth judging one by one."""
    lists = [data.get(name) for name in ("stops", "shipments")] if isinstance(data, dict) else []
    number = sum(len(one) for one in lists if isinstance(one, list))
    limit = data.get("max_stops", MOST_STOPS) if isinstance(data, dict) else MOST_STOPS
    if isinstance(limit, int) and number > limit:
        raise ProblemError([_too_many(number, limit)])


def check(problem: Problem) -> list[Complaint]:
    """Return all that is wrong between the parts of a problem, in the order of CHECKS."""
    return _judge(problem, _known(problem, aside=False))


def of_field(error: Any) -> Complaint:
    """Return one of pydantic's errors as a complaint."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"] if part not in _NESTED)
    given = error["input"] if error["type"] != "missing" else "nothing"
    return Complaint(path.lstrip("."), error["type"], _short(given), error["msg"], error.get("ctx") or {})


def _judge(problem: Problem, known: _Known) -> list[Complaint]:
    return [complaint for one in CHECKS for complaint in one(problem, known)]


def _short(value: object) -> str:
    text = (
        "a matrix"
        if isinstance(value, list) and len(value) > 10
        else repr(value)
        if isinstance(value, str)
        else str(value)
    )
    return text if len(text) <= 80 else text[:77] + "..."


def _without_bad(data: object, error: ValidationError) -> Problem | None:
    """Return what remains of `data` without bad elements and fields, or None where it is no problem at all."""
    if not isinstance(data, dict):
        return None
    rest = dict(data)
    places = [one["loc"] for one in error.errors(include_url=False) if one["loc"]]
    for name in _LISTS:
        bad = {place[1] for place in places if place[0] == name and len(place) > 1}
        if bad:
            rest[name] = [element for index, element in enumerate(data[name]) if index not in bad]
    for place in places:
        if place[0] not in _LISTS or len(place) == 1:
            rest.pop(place[0], None)
    return _built_anyway(rest)


def _built_anyway(rest: dict[str, Any]) -> Problem | None:
    placeholder = {"depots": [{"id": " ", "lat": 0, "lon": 0}], "vans": [{"id": " ", "start": " "}]}
    filled = {**rest, **{name: value for name, value in placeholder.items() if not rest.get(name)}}
    try:
        return Problem.model_validate(filled)
    except ValidationError:
        return None


def _known(data: object, *, aside: bool) -> _Known:
    def ids(name: str) -> set[str]:
        elements = data.get(name) if isinstance(data, dict) else getattr(data, name)
        listed = elements if isinstance(elements, list) else []
        found = (one.get("id") if isinstance(one, dict) else getattr(one, "id", None) for one in listed)
        return {str(one) for one in found} | ({" "} if aside else set())

    return _Known({name: ids(name) for name in ("depots", "vans", "stops", "shipments", "zones")}, aside)


# ---- checks: each one yields the complaints of its kind


def not_too_many(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """No more stops and shipments than asked for."""
    number = len(problem.stops) + len(problem.shipments)
    if number > problem.max_stops:
        yield _too_many(number, problem.max_stops)


def _too_many(number: int, limit: int) -> Complaint:
    expected = f"at most {limit} stops and shipments; set max_stops to allow more"
    return Complaint("stops", "too_many_stops", str(number), expected, {"limit": limit})


def ids_once(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """An id names one thing; stops and shipments share their names."""
    groups: dict[str, list[tuple[str, str]]] = {
        name: [(f"{name}[{index}].id", one.id) for index, one in enumerate(getattr(problem, name))]
        for name in ("depots", "vans", "zones")
    }
    groups["work"] = [
        (f"{name}[{index}].id", one.id)
        for name in ("stops", "shipments")
        for index, one in enumerate(getattr(problem, name))
    ]
    for index, van in enumerate(problem.vans):
        groups[f"vans[{index}]"] = [(f"vans[{index}].breaks[{at}].id", one.id) for at, one in enumerate(van.breaks)]
    for group in groups.values():
        yield from _repeated(group)


def _repeated(group: list[tuple[str, str]]) -> Iterator[Complaint]:
    number = Counter(name for _, name in group)
    seen = set[str]()
    for at, name in group:
        if name in seen:
            yield Complaint(at, "id_twice", repr(name), "an id of its own", {"count": number[name]})
        seen.add(name)


def ids_are_no_visits(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """A stop's id does not look like another kind of visit."""
    for name in ("stops", "shipments"):
        for index, one in enumerate(getattr(problem, name)):
            if one.id.startswith(VISIT_PREFIXES):
                yield Complaint(
                    f"{name}[{index}].id", "id_prefix", repr(one.id), f"not to begin with {', '.join(VISIT_PREFIXES)}"
                )


def references_known(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """Depots, vans, zones, stops and energies that are spoken of are declared."""
    for kind, at, name in _references(problem):
        if name not in known.ids[kind]:
            yield Complaint(at, f"unknown_{kind}", repr(name), f"an id in {kind}", {"id": name})
    for index, van in enumerate(problem.vans):
        if van.energy is not None and van.energy not in problem.energies:
            yield Complaint(
                f"vans[{index}].energy", "unknown_energies", repr(van.energy), "a name in energies", {"id": van.energy}
            )


def _references(problem: Problem) -> Iterator[tuple[str, str, str]]:
    for index, van in enumerate(problem.vans):
        yield from (("depots", f"vans[{index}].{end}", name) for end in ("start", "end") if (name := getattr(van, end)))
        yield from (("depots", f"vans[{index}].reload_depots[{at}]", name) for at, name in enumerate(van.reload_depots))
        on_board = van.under_way.on_board if van.under_way else []
        yield from (("stops", f"vans[{index}].under_way.on_board[{at}]", name) for at, name in enumerate(on_board))
    for kind in ("stops", "shipments"):
        for index, one in enumerate(getattr(problem, kind)):
            for wish in ("vans", "preferred_vans"):
                yield from (
                    ("vans", f"{kind}[{index}].{wish}[{at}]", name) for at, name in enumerate(getattr(one, wish))
                )
    for index, stop in enumerate(problem.stops):
        if stop.depot:
            yield "depots", f"stops[{index}].depot", stop.depot
    yield from (("zones", f"{at}.zone", call.zone) for at, call in _calls(problem) if call.zone)
    yield from (("vans", f"locks[{index}].van", lock.van) for index, lock in enumerate(problem.locks) if lock.van)
    for index, lock in enumerate(problem.locks):
        yield from (_visit_reference(f"locks[{index}].visits[{at}]", visit) for at, visit in enumerate(lock.visits))


def _visit_reference(at: str, visit: str) -> tuple[str, str, str]:
    kind, _, name = visit.partition(":")
    return ("shipments", at, name) if kind in ("collect", "deliver") and name else ("stops", at, visit)


def _calls(problem: Problem) -> Iterator[tuple[str, Any]]:
    yield from ((f"stops[{index}]", stop) for index, stop in enumerate(problem.stops))
    for index, shipment in enumerate(problem.shipments):
        yield f"shipments[{index}].collect", shipment.collect
        yield f"shipments[{index}].deliver", shipment.deliver


def vans_have_depots(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """With several depots, each van says where it begins."""
    for index, van in enumerate(problem.vans):
        if van.start is None and len(problem.depots) > 1 and not known.aside:
            yield Complaint(
                f"vans[{index}].start", "start_needed", "nothing", "a depot's id, as there are several depots"
            )


def amounts_in_dimensions(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """Amounts are counted in the problem's dimensions, and a capacity names each of them."""
    yield from _repeated([(f"dimensions[{index}]", name) for index, name in enumerate(problem.dimensions)])
    named = ", ".join(problem.dimensions)
    for at, amount in _amounts(problem):
        for name in set(amount) - set(problem.dimensions) if isinstance(amount, dict) else ():
            yield Complaint(at, "unknown_dimension", repr(name), f"one of the dimensions: {named}", {"id": name})
    for index, van in enumerate(problem.vans):
        missing = set(problem.dimensions) - set(van.capacity) if isinstance(van.capacity, dict) else set()
        for name in sorted(missing):
            yield Complaint(
                f"vans[{index}].capacity", "dimension_missing", str(van.capacity), f"a number for {name}", {"id": name}
            )


def _amounts(problem: Problem) -> Iterator[tuple[str, Amount]]:
    for index, van in enumerate(problem.vans):
        yield f"vans[{index}].capacity", van.capacity
        if van.under_way:
            yield f"vans[{index}].under_way.load", van.under_way.load
    for index, stop in enumerate(problem.stops):
        yield f"stops[{index}].deliver", stop.deliver
        yield f"stops[{index}].collect", stop.collect
    yield from ((f"shipments[{index}].amount", shipment.amount) for index, shipment in enumerate(problem.shipments))


def vans_hold_something(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """A van holds at least one unit of something."""
    for index, van in enumerate(problem.vans):
        if not any(van.capacity.values() if isinstance(van.capacity, dict) else [van.capacity]):
            yield Complaint(f"vans[{index}].capacity", "capacity_zero", str(van.capacity), "at least 1")


def places_found(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """Every site is in the matrix, or has coordinates, its own or its place's."""
    located = {name for _, name, site in sites(problem) if site.lat is not None and site.lon is not None}
    named = set(problem.travel.places) if problem.travel else located
    expected = "a name in travel.places" if problem.travel else "lat and lon, as travel gives no matrix"
    for at, name, site in sites(problem):
        if name not in named and not known.aside:
            yield Complaint(
                f"{at}.place" if problem.travel else f"{at}.lat", "place_unknown", repr(name), expected, {"id": name}
            )
        if (site.lat is None) != (site.lon is None):
            yield Complaint(
                f"{at}.lon", "half_coordinates", f"lat {site.lat}, lon {site.lon}", "both lat and lon, or neither"
            )


def places_stand_still(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """One place has one pair of coordinates."""
    first = dict[str, tuple[float, float]]()
    for at, name, site in sites(problem):
        if site.lat is not None and site.lon is not None:
            here = first.setdefault(name, (site.lat, site.lon))
            if here != (site.lat, site.lon):
                yield Complaint(
                    f"{at}.lat",
                    "place_twice",
                    f"{site.lat}, {site.lon}",
                    f"{here[0]}, {here[1]}, as {name!r} elsewhere",
                )


def sites(problem: Problem) -> Iterator[tuple[str, str, Site]]:
    """Yield each site with its place in the file and the name of its place."""
    yield from ((f"depots[{index}]", one.place or one.id, one) for index, one in enumerate(problem.depots))
    yield from ((f"stops[{index}]", one.place or one.id, one) for index, one in enumerate(problem.stops))
    for index, one in enumerate(problem.shipments):
        yield f"shipments[{index}].collect", one.collect.place or f"collect:{one.id}", one.collect
        yield f"shipments[{index}].deliver", one.deliver.place or f"deliver:{one.id}", one.deliver
    for index, van in enumerate(problem.vans):
        if van.under_way:
            yield f"vans[{index}].under_way", van.under_way.place or f"now:{van.id}", van.under_way


def matrices_square(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """Both matrices have a row and a column for each place, and each place once."""
    if not problem.travel:
        return
    yield from _repeated([(f"travel.places[{index}]", name) for index, name in enumerate(problem.travel.places)])
    side = len(problem.travel.places)
    for name in ("metres", "seconds"):
        rows, columns = getattr(problem.travel, name).shape
        if (rows, columns) != (side, side):
            expected = f"{side} rows of {side}, as there are {side} places"
            yield Complaint(f"travel.{name}", "matrix_size", f"{rows} rows of {columns}", expected, {"side": side})


def windows_meet_shifts(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """Some van is at work in some window of each stop: else the file means another day."""
    shifts = [van.shift for van in problem.vans]
    for at, call in _calls(problem):
        if call.windows and not known.aside and not _any_meet(call.windows, shifts):
            hours = f"{min(one.from_s for one in shifts)} to {max(one.until_s for one in shifts)} s"
            given = f"{call.windows[0].from_s} to {call.windows[-1].until_s} s"
            yield Complaint(f"{at}.windows", "window_outside_shifts", given, f"to meet some van's shift ({hours})")


def _any_meet(windows: Iterable[Window], shifts: list[Window]) -> bool:
    return any(one.from_s <= shift.until_s and shift.from_s <= one.until_s for one in windows for shift in shifts)


def bans_know_the_day(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """Bans by weekday need the problem's weekday."""
    for index, zone in enumerate(problem.zones):
        if problem.weekday is None and any(ban.weekdays for ban in zone.bans):
            yield Complaint(
                "weekday", "weekday_needed", "nothing", f"0 (Monday) to 6, as zones[{index}] bars by weekday"
            )


def slots_in_order(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """Time-of-day factors follow one another without overlap."""
    before = 0
    for index, slot in enumerate(problem.slots):
        if slot.from_s < before or slot.until_s <= slot.from_s:
            yield Complaint(
                f"slots[{index}]",
                "slot_order",
                f"{slot.from_s} to {slot.until_s}",
                f"to begin at {before} or later, and end after it",
            )
        before = max(before, slot.until_s)


def locks_agree(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """A visit is locked to one van, and to one that may serve it; a lock names a visit once."""
    van_of = dict[str, str]()
    only = {stop.id: set(stop.vans) for stop in problem.stops if stop.vans}
    for index, lock in enumerate(problem.locks):
        yield from _repeated([(f"locks[{index}].visits[{at}]", visit) for at, visit in enumerate(lock.visits)])
        for at, visit in enumerate(lock.visits if lock.van else []):
            other = van_of.setdefault(visit, lock.van or "")
            if other != lock.van or lock.van not in only.get(visit, {lock.van}):
                expected = (
                    f"van {other!r}, as in another lock" if other != lock.van else f"one of {sorted(only[visit])}"
                )
                yield Complaint(
                    f"locks[{index}].visits[{at}]", "lock_conflict", f"{visit!r} on van {lock.van!r}", expected
                )


def executed_fits(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """What a van under way has done is known, done once, and before now."""
    visits = _visits(problem, known)
    done = list[tuple[str, str]]()
    for index, van in enumerate(problem.vans):
        at = f"vans[{index}].under_way"
        for number, one in enumerate(van.under_way.done if van.under_way else []):
            done.append((f"{at}.done[{number}].visit", one.visit))
            if one.visit not in visits | {f"break:{rest.id}" for rest in van.breaks} | _reloads(problem):
                yield Complaint(
                    f"{at}.done[{number}].visit", "unknown_visit", repr(one.visit), "a visit of this problem"
                )
            if not one.arrive_s <= one.begin_s <= one.leave_s <= _now(van):
                yield Complaint(
                    f"{at}.done[{number}]",
                    "done_order",
                    f"{one.arrive_s}, {one.begin_s}, {one.leave_s}",
                    "times in order, not after now_s",
                )
        if van.under_way and van.under_way.started_s > van.under_way.now_s:
            yield Complaint(
                f"{at}.started_s",
                "started_late",
                str(van.under_way.started_s),
                f"not after now_s ({van.under_way.now_s})",
            )
    yield from _repeated([one for one in done if not one[1].startswith(("break:", "reload:"))])


def _now(van: Van) -> int:
    return van.under_way.now_s if van.under_way else 0


def _reloads(problem: Problem) -> set[str]:
    return {f"reload:{depot.id}" for depot in problem.depots}


def _visits(problem: Problem, known: _Known) -> set[str]:
    halves = {f"{half}:{name}" for half in ("collect", "deliver") for name in known.ids["shipments"]}
    return known.ids["stops"] | halves


Check = Callable[[Problem, _Known], Iterator[Complaint]]
CHECKS: tuple[Check, ...] = (
    not_too_many,
    ids_once,
    ids_are_no_visits,
    references_known,
    vans_have_depots,
    amounts_in_dimensions,
    vans_hold_something,
    places_found,
    places_stand_still,
    matrices_square,
    windows_meet_shifts,
    bans_know_the_day,
    slots_in_order,
    locks_agree,
    executed_fits,
)
