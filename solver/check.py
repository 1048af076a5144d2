"""Checks that a problem is complete and consistent; reports every complaint at once, with place, content and expectation.

The idea: pydantic judges each field alone; here the parts are judged against each other. Elements with a bad field are
set aside and their ids remembered, so that a misspelt number does not hide a wrong reference elsewhere.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from solver.problem import MOST_STOPS, Amount, Call, Problem, Site, Van

# Prefixes of visits that are not stops.
VISIT_PREFIXES = ("collect:", "deliver:", "break:", "reload:", "start:", "end:")
_ELEMENT = re.compile(r"(depots|vans|stops|shipments|zones|locks|apart|baseline|slots)\[(\d+)\]")
MOST_OF_AN_ID = 80  # characters in a complaint
_LISTS = ("depots", "vans", "stops", "shipments", "zones", "locks", "apart", "baseline", "slots")
_NESTED = {"function-plain[_amount()]", "int", "str", "dict[str,int]"}


@dataclass(frozen=True, slots=True)
class Complaint:
    """A mistake in a problem file; `solver.messages` words it in Chinese and English from `code` and `numbers`."""

    at: str  # such as stops[3].windows[0].until_s
    code: str
    given: str
    expected: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""  # of the stop, van or other element that it lies in

    def __str__(self) -> str:
        return f"{self.at or 'file'}{f' of {self.id}' if self.id else ''}: {self.given}; expected {self.expected}"


class ProblemError(ValueError):
    """The problem is not valid; `complaints` lists every mistake."""

    def __init__(self, complaints: list[Complaint]) -> None:
        super().__init__("\n".join(map(str, complaints)))
        self.complaints = complaints


@dataclass(slots=True)
class _Known:
    """Ids that the file declares, those of elements with bad fields included."""

    ids: dict[str, set[str]]
    aside: bool  # some elements were set aside: do not conclude from absence or count


def read(data: object) -> Problem:
    """Return the problem described by a parsed JSON value.

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
        if rest:
            complaints += _judge(rest, _known(data, aside=True))
        raise ProblemError(_with_ids(data, complaints)) from error
    complaints = check(problem)
    if complaints:
        raise ProblemError(_with_ids(data, complaints))
    return problem


def _with_ids(data: object, complaints: list[Complaint]) -> list[Complaint]:
    """Return the complaints with the ids of the elements that they lie in: people count no stops."""
    return [replace(one, id=_id_at(data, one.at)) for one in complaints]


def _id_at(data: object, path: str) -> str:
    match = _ELEMENT.match(path)
    if not match or not isinstance(data, dict):
        return ""
    name, index = match[1], int(match[2])
    elements = data.get(name)
    element = elements[index] if isinstance(elements, list) and index < len(elements) else None
    return str(element.get("id") or element.get("van") or "")[:MOST_OF_AN_ID] if isinstance(element, dict) else ""


def _refuse_too_many(data: object) -> None:
    """Count before reading: a wrong file of a hundred thousand stops is not worth judging item by item."""
    lists = [data.get(name) for name in ("stops", "shipments")] if isinstance(data, dict) else []
    number = sum(len(one) for one in lists if isinstance(one, list))
    limit = data.get("max_stops", MOST_STOPS) if isinstance(data, dict) else MOST_STOPS
    if isinstance(limit, int) and number > limit:
        raise ProblemError([_too_many(number, limit)])


def check(problem: Problem) -> list[Complaint]:
    """Return every mistake between the parts of a problem, in the order of CHECKS."""
    return _judge(problem, _known(problem, aside=False))


def of_field(error: Any, model: type[BaseModel] = Problem) -> Complaint:
    """Return an error of pydantic's, met when `model` was read, as a complaint."""
    places = [part for part in error["loc"] if part not in _NESTED]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in places)
    given = error["input"] if error["type"] != "missing" else "nothing"
    meant = _field_meant(places, model.model_json_schema()) if error["type"] == "extra_forbidden" else None
    code, numbers = ("misspelt", {"field": meant}) if meant else (error["type"], error.get("ctx") or {})
    return Complaint(path.lstrip("."), code, _short(given), error["msg"], numbers)


def _field_meant(places: Sequence[int | str], schema: dict[str, Any]) -> str | None:
    """Return the field of the format that is closest to an unknown field, by the schema at its place."""
    here: Any = schema
    for part in places[:-1]:
        here = _declared(schema, here)
        here = here.get("items", {}) if isinstance(part, int) else here.get("properties", {}).get(part, {})
    fields = list(_declared(schema, here).get("properties", ()))
    return next(iter(get_close_matches(str(places[-1]), fields, n=1)), None)


def _declared(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema that a part refers to; of several, the first that is not null."""
    part = next((one for one in part.get("anyOf", ()) if one.get("type") != "null"), part)
    name = part.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else part


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
    """Return `data` without bad elements and fields, or None if it is not a problem."""
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


# ---- checks: each yields the complaints of its kind


def not_too_many(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """No more stops and shipments than allowed."""
    number = len(problem.stops) + len(problem.shipments)
    if number > problem.max_stops:
        yield _too_many(number, problem.max_stops)


def _too_many(number: int, limit: int) -> Complaint:
    expected = f"at most {limit} stops and shipments; set max_stops to allow more"
    return Complaint("stops", "too_many_stops", str(number), expected, {"limit": limit})


def ids_once(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """An id names a single thing; stops and shipments share their names."""
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
    """Every depot, van, zone, stop, energy and kind of vehicle referred to is declared."""
    for kind, at, name in _references(problem):
        if name not in known.ids[kind]:
            yield Complaint(at, f"unknown_{kind}", repr(name), f"an id in {kind}", {"id": name})
    for index, van in enumerate(problem.vans):
        if van.energy is not None and van.energy not in problem.energies:
            yield Complaint(
                f"vans[{index}].energy", "unknown_energies", repr(van.energy), "a name in energies", {"id": van.energy}
            )
        if van.kind is not None and van.kind not in (problem.travel.kinds if problem.travel else ()):
            yield Complaint(
                f"vans[{index}].kind", "unknown_kinds", repr(van.kind), "a name in travel.kinds", {"id": van.kind}
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
    yield from (("zones", f"{at}.zone", call.zone) for at, call in calls(problem) if call.zone)
    yield from (("vans", f"locks[{index}].van", lock.van) for index, lock in enumerate(problem.locks) if lock.van)
    for index, lock in enumerate(problem.locks):
        yield from (_visit_reference(f"locks[{index}].visits[{at}]", visit) for at, visit in enumerate(lock.visits))


def _visit_reference(at: str, visit: str) -> tuple[str, str, str]:
    kind, _, name = visit.partition(":")
    return ("shipments", at, name) if kind in ("collect", "deliver") and name else ("stops", at, visit)


def calls(problem: Problem) -> Iterator[tuple[str, Call]]:
    """Yield each call with its place in the file."""
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
    """Amounts are counted in the problem's dimensions, each once."""
    yield from _repeated([(f"dimensions[{index}]", name) for index, name in enumerate(problem.dimensions)])
    named = ", ".join(problem.dimensions)
    for at, amount in _amounts(problem):
        for name in set(amount) - set(problem.dimensions) if isinstance(amount, dict) else ():
            yield Complaint(at, "unknown_dimension", repr(name), f"one of the dimensions: {named}", {"id": name})


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
    """A van holds at least a unit of something."""
    for index, van in enumerate(problem.vans):
        named = van.capacity if isinstance(van.capacity, dict) else {problem.dimensions[0]: van.capacity}
        if named and not any(named.values()):
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
    """A place has a single pair of coordinates."""
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
    """All matrices have a row and a column for each place, and each place once."""
    if not problem.travel:
        return
    yield from _repeated([(f"travel.places[{index}]", name) for index, name in enumerate(problem.travel.places)])
    side = len(problem.travel.places)
    kinds = {f"travel.kinds.{name}": ways for name, ways in problem.travel.kinds.items()}
    for at, ways in {"travel": problem.travel, **kinds}.items():
        for name in ("metres", "seconds"):
            rows, columns = getattr(ways, name).shape
            if (rows, columns) != (side, side):
                expected = f"{side} rows of {side}, as there are {side} places"
                yield Complaint(f"{at}.{name}", "matrix_size", f"{rows} rows of {columns}", expected, {"side": side})


def windows_meet_shifts(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """Some stop has a window in which some van works; where none has, the file means another day (`solver.notices` names one)."""
    outside = [(at, call) for at, call in calls(problem) if not meets_a_shift(problem, call)]
    if known.aside or len(outside) < 2 * len(problem.shipments) + len(problem.stops):
        return
    for at, call in outside:
        given = f"{call.windows[0].from_s} to {call.windows[-1].until_s} s"
        expected = f"to meet some van's shift ({shift_hours(problem)})"
        yield Complaint(f"{at}.windows", "window_outside_shifts", given, expected)


def meets_a_shift(problem: Problem, call: Call) -> bool:
    """Whether some van works in any of the call's windows."""
    shifts = [van.shift for van in problem.vans]
    return not call.windows or any(
        one.from_s <= shift.until_s and shift.from_s <= one.until_s for one in call.windows for shift in shifts
    )


def shift_hours(problem: Problem) -> str:
    """Return from when until when vans work, for people."""
    shifts = [van.shift for van in problem.vans]
    return f"{min(one.from_s for one in shifts)} to {max(one.until_s for one in shifts)} s"


def bans_know_the_day(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """Bans by weekday need the problem's weekday."""
    for index, zone in enumerate(problem.zones):
        if problem.weekday is None and any(ban.weekdays for ban in zone.bans):
            yield Complaint(
                "weekday", "weekday_needed", "nothing", f"0 (Monday) to 6, as zones[{index}] bars by weekday"
            )


def slots_in_order(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """Time-of-day factors do not overlap."""
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
    """A visit is locked to a single van, which may serve it; a lock names a visit once."""
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


def groups_are_apart(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """What is kept apart is known, and in one of the groups."""
    work = known.ids["stops"] | known.ids["shipments"]
    for index, one in enumerate(problem.apart):
        named = [
            (f"apart[{index}].groups[{number}][{at}]", name)
            for number, group in enumerate(one.groups)
            for at, name in enumerate(group)
        ]
        for at, name in named:
            if name not in work:
                yield Complaint(at, "unknown_work", repr(name), "an id in stops or shipments", {"id": name})
        for complaint in _repeated(named):
            yield replace(complaint, code="apart_twice", expected="in one of the groups")


def executed_fits(problem: Problem, known: _Known) -> Iterator[Complaint]:
    """A van under way did known work, each once, and before now."""
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
    groups_are_apart,
    executed_fits,
)
