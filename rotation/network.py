"""The network as its city describes it: places in four tiers, their hours, hubs, vans, owners and title classes.

A network is one TOML file. Everything else in the system names a place by its id from here. The file is checked whole,
so that all mistakes are reported at once, each with its line.
"""

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, time
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Any, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from rotation.facts.clock import Day
from rotation.facts.shelf_order import CallNumberScheme
from solver.earth import EARTH_RADIUS_M

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Phone = Annotated[str, Field(pattern=r"^[0-9+()/ -]{3,40}$")]


class Tier(StrEnum):
    """The four levels of 总分馆制, from the city down: 市—区县—乡镇街道—村社区."""

    CENTRAL = "central"
    DISTRICT = "district"
    SUBDISTRICT = "subdistrict"
    ROOM = "room"


class PlaceKind(StrEnum):
    """The kind of a place: it decides who handles its crates and which scans it can make."""

    STAFFED = "staffed"
    ROOM = "room"
    MACHINE = "machine"
    MOBILE_STOP = "mobile_stop"
    SCHOOL = "school"
    ENTERPRISE = "enterprise"
    WELFARE_HOME = "welfare_home"
    STORE = "store"


class Strict(BaseModel):
    """A part of the file: an unknown field is a mistake, not an extension."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Name(Strict):
    """A name in both languages; a plain string in the file stands for both."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


def _both_languages(value: object) -> object:
    return {"zh": value, "en": value} if isinstance(value, str) else value


BothNames = Annotated[Name, BeforeValidator(_both_languages)]


class Span(NamedTuple):
    """A part of a day, in seconds after local midnight; `end_s` is not in it."""

    begin_s: int
    end_s: int


def _seconds(clock: str) -> int:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", clock):
        raise ValueError(f"expected a time such as 09:30, got {clock!r}")
    hours, minutes = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60


def parse_span(text: object) -> Span:
    """Read "09:30-18:00".

    Raises
    ------
    ValueError
        When the text is no span, or ends before it begins.
    """
    if isinstance(text, tuple | list) and len(text) == 2:
        return Span(*text)
    begin, dash, end = str(text).partition("-")
    if not dash:
        raise ValueError(f"expected a span such as 09:30-18:00, got {text!r}")
    span = Span(_seconds(begin), _seconds(end))
    if span.end_s <= span.begin_s:
        raise ValueError(f"{text} ends before it begins")
    return span


def _days(key: str) -> Iterator[int]:
    first, _, last = key.partition("-")
    for name in (first, last or first):
        if name not in WEEKDAYS:
            raise ValueError(f"expected a weekday such as mon or mon-fri, got {key!r}")
    if last and WEEKDAYS.index(last) < WEEKDAYS.index(first):
        raise ValueError(f"{key} ends before it begins; a week begins on mon")
    yield from range(WEEKDAYS.index(first), WEEKDAYS.index(last or first) + 1)


def parse_week(value: object) -> dict[int, tuple[Span, ...]]:
    """Read {"mon-fri": ["09:00-12:00", "13:30-18:00"], "sat": "10:00-16:00"} into spans by weekday, 0 = Monday."""
    if not isinstance(value, Mapping):
        raise ValueError('expected hours by weekday such as {"mon-fri" = ["09:00-12:00"]}')
    week: dict[int, tuple[Span, ...]] = {}
    for key, texts in value.items():
        spans = tuple(sorted(parse_span(t) for t in ([texts] if isinstance(texts, str) else texts)))
        for one, following in pairwise(spans):
            if following.begin_s < one.end_s:
                raise ValueError(f"{key}: two spans overlap")
        week.update(dict.fromkeys([int(key)] if str(key) in "0123456" else _days(str(key)), spans))
    return week


Week = Annotated[dict[int, tuple[Span, ...]], BeforeValidator(parse_week)]


class Hub(Strict):
    """Sorting at a place: crates that arrive before the cut-off leave with the next day's runs."""

    cutoff: str = "18:30"
    copies_per_hour: int = Field(default=1000, gt=0)
    trunk_departs: str = "21:00"

    @field_validator("cutoff", "trunk_departs")
    @classmethod
    def _a_time(cls, value: str) -> str:
        _seconds(value)
        return value

    @property
    def cutoff_s(self) -> int:
        """Seconds after local midnight."""
        return _seconds(self.cutoff)

    @property
    def trunk_departs_s(self) -> int:
        """Seconds after local midnight."""
        return _seconds(self.trunk_departs)


class DayException(Strict):
    """Days on which places do not keep their week: closed, or (`hours_of`) open as on another weekday (调休)."""

    id: Id
    first: Day
    # The last such day; left out: until further notice.
    last: Day | None = None
    # Left out: all places.
    places: tuple[Id, ...] = ()
    # Left out: closed.
    hours_of: str | None = None
    why: BothNames | None = None

    @field_validator("hours_of")
    @classmethod
    def _a_weekday(cls, value: str | None) -> str | None:
        if value is not None and value not in WEEKDAYS:
            raise ValueError(f"expected a weekday such as mon, got {value!r}")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last is not None and self.last < self.first:
            raise ValueError(f"the last day, {self.last}, is before the first, {self.first}")
        return self

    def covers(self, day: date) -> bool:
        """Whether it is about a day."""
        return self.first <= day and (self.last is None or day <= self.last)


class Place(Strict):
    """A point of service."""

    id: Id
    name: BothNames
    tier: Tier
    parent: Id | None = None
    kind: PlaceKind = PlaceKind.STAFFED
    owner: Id | None = None
    lat: float | None = Field(default=None, ge=-90, le=90)
    lon: float | None = Field(default=None, ge=-180, le=180)
    population: int = Field(default=0, ge=0)
    special: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    hours: Week = {}
    receiving: Week | None = None
    closed: tuple[Day, ...] = ()
    service_days: tuple[str, ...] = ()
    shelf: dict[str, Annotated[int, Field(ge=0)]] = {}
    hub: Hub | None = None
    least_lot: int = Field(default=0, ge=0)
    lead_days: int = Field(default=0, ge=0, le=60)
    slots: int | None = Field(default=None, gt=0)
    # Copies that a machine's return bin holds.
    bin: int | None = Field(default=None, gt=0)
    # The order in which one walks through it: rooms as copies' facts name them; those left out follow by name.
    rooms: tuple[str, ...] = ()
    call_numbers: CallNumberScheme | None = None
    # What people sort by, short and large on labels; left out: the hub's letter and the place's number there.
    code: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,6}$")] | None = None
    default_hours: bool = False
    # As one dials it from a van.
    phone: Phone | None = None
    _exceptions: tuple[DayException, ...] = PrivateAttr(())  # given by the network

    @field_validator("service_days")
    @classmethod
    def _weekdays(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for key in value:
            list(_days(key))
        return value

    @model_validator(mode="after")
    def _both_coordinates(self) -> Self:
        if (self.lat is None) != (self.lon is None):
            raise ValueError("lat and lon go together")
        return self

    @property
    def by_appointment(self) -> bool:
        """Whether a van calls only on days that were announced."""
        return self.lead_days > 0

    @property
    def room(self) -> int:
        """How many copies stand there at most: its slots, or the room of its shelves."""
        return self.slots or sum(self.shelf.values())

    @property
    def located(self) -> bool:
        """Whether a van could be sent there."""
        return self.lat is not None

    def except_on(self, exceptions: Iterable[DayException]) -> None:
        """Take over those exceptions of the network that are about this place."""
        self._exceptions = tuple(one for one in exceptions if not one.places or self.id in one.places)

    def weekday_on(self, day: date) -> int | None:
        """Return the weekday, 0 = Monday, whose hours hold on a day; None where the place is closed."""
        if day in self.closed:
            return None
        mine = [one.hours_of for one in self._exceptions if one.covers(day)]
        if None in mine:
            return None
        return WEEKDAYS.index(mine[-1]) if mine and mine[-1] else day.weekday()

    def open_spans(self, day: date) -> tuple[Span, ...]:
        """When readers are served that day."""
        weekday = self.weekday_on(day)
        return () if weekday is None else self.hours.get(weekday, ())

    def receiving_spans(self, day: date) -> tuple[Span, ...]:
        """When a van may come that day; empty where the place is closed or not visited."""
        weekday = self.weekday_on(day)
        if weekday is None or (self.service_days and weekday not in self._visited):
            return ()
        return (self.hours if self.receiving is None else self.receiving).get(weekday, ())

    @cached_property
    def _visited(self) -> frozenset[int]:
        return frozenset(day for key in self.service_days for day in _days(key))


class Van(Strict):
    """A van of a hub; costs in cents of the network's currency."""

    id: Id
    # Left out: the hub's name and the van's number there.
    name: BothNames | None = None
    # Who drives it, as people call them; left out where that changes from day to day.
    driver: Annotated[str, Field(max_length=60)] | None = None
    # As one dials it from the hub.
    phone: Phone | None = None
    hub: Id
    crates: int = Field(gt=0)
    shift: Annotated[Span, BeforeValidator(parse_span)] = Span(8 * 3600, 16 * 3600)
    fixed_cost_cents: int = Field(default=8000, ge=0)
    cost_per_hour_cents: int = Field(default=6000, ge=0)
    cost_per_km_cents: int = Field(default=120, ge=0)
    # At the wheel: a diesel van of 9 l/100 km (docs/solver-format.md); 0 for an electric van.
    co2_g_per_km: int = Field(default=239, ge=0)


class Owner(Strict):
    """Who owns copies; `lends_to` names the owners whose places its copies may rotate to without asking ("*": all).

    To places of those in `asks` a move is proposed, and waits until somebody has agreed to it.
    """

    id: Id
    name: BothNames
    lends_to: tuple[str, ...] = ("*",)
    asks: tuple[str, ...] = ()

    def lets(self, other: str) -> bool:
        """Whether its copies may stand at another owner's places without asking."""
        return other == self.id or bool({"*", other} & set(self.lends_to))

    def may_let(self, other: str) -> bool:
        """Whether they may at all."""
        return self.lets(other) or bool({"*", other} & set(self.asks))


class TitleClass(Strict):
    """A kind of stock that shelves, floors and levels are counted by."""

    id: Id
    name: BothNames
    special_group: str | None = None


class FloatGroup(Strict):
    """Places among which copies of some classes float, and which they never leave."""

    id: Id
    classes: tuple[Id, ...] = Field(min_length=1)
    places: tuple[Id, ...] = Field(min_length=1)


Figure = Annotated[float, Field(ge=0)] | Id  # a number, or the id of a figure in config/standards


class Floors(Strict):
    """A city's promises to its places, by tier: a number, or a standard's figure by its id."""

    fresh_per_1000_quarter: dict[Tier, Figure] = {}  # fresh copies for 1,000 residents
    fresh_per_quarter: dict[Tier, Figure] = {}  # fresh copies for a place, beside that
    special_shelf_share: Figure | None = None  # of a special group's shelf, filled
    holdings_per_head: Figure | None = None  # compared with on the page of figures; the plan moves copies and buys none
    loans_of_before: dict[Tier, Figure] = {}  # share of the loans that a place had when this promise began


class Unit(Strict):
    """An administrative unit (township, village); served where `place` is set, so that coverage is a figure."""

    id: Id
    name: BothNames
    population: int = Field(ge=0)
    parent: Id | None = None
    place: Id | None = None


class About(Strict):
    """The network's own name, time and crates."""

    id: Id
    name: BothNames
    timezone: str = "Asia/Shanghai"
    copies_per_crate: int = Field(default=25, gt=0)
    bags_per_crate: int = Field(default=1, gt=0)  # what is for one place and needs no more goes in a bag; 1: no bags
    currency: str = "CNY"
    # What `rotation network new` guessed and nobody has mended yet, in words; the page names it.
    guesses: tuple[str, ...] = ()
    # For places that set none of their own.
    call_numbers: CallNumberScheme = CallNumberScheme.CLC
    rooms: tuple[str, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"unknown time zone {value!r}") from error
        return value


class Network(Strict):
    """The whole file."""

    network: About
    classes: tuple[TitleClass, ...] = Field(default=(), alias="class")
    owners: tuple[Owner, ...] = Field(default=(), alias="owner")
    places: tuple[Place, ...] = Field(default=(), alias="place")
    vans: tuple[Van, ...] = Field(default=(), alias="van")
    units: tuple[Unit, ...] = Field(default=(), alias="unit")
    float_groups: tuple[FloatGroup, ...] = Field(default=(), alias="float_group")
    exceptions: tuple[DayException, ...] = Field(default=(), alias="exception")
    floors: Floors = Floors()

    @model_validator(mode="after")
    def _give_exceptions(self) -> Self:
        for place in self.places:
            place.except_on(self.exceptions)
        return self

    @cached_property
    def place(self) -> dict[str, Place]:
        """Places by id."""
        return {place.id: place for place in self.places}

    def scheme_of(self, place_id: str) -> CallNumberScheme:
        """Return the scheme of a place's call numbers."""
        return self.place[place_id].call_numbers or self.network.call_numbers

    def rooms_of(self, place_id: str) -> tuple[str, ...]:
        """Return the order of a place's rooms."""
        return self.place[place_id].rooms or self.network.rooms

    def also_closed(self, days: Mapping[str, Collection[date]]) -> "Network":
        """Return the network with more days on which places are closed."""
        places = [
            place.model_copy(update={"closed": (*place.closed, *sorted(set(days[place.id]) - set(place.closed)))})
            if place.id in days
            else place
            for place in self.places
        ]
        # Made anew, and not by model_copy: a copy would keep what was worked out of the old places.
        fields = {info.alias or name: getattr(self, name) for name, info in type(self).model_fields.items()}
        return Network.model_validate(fields | {"place": places})

    @cached_property
    def code(self) -> dict[str, str]:
        """Each place's short code: its own, or the letter of its hub and its number there in the file's order; hubs have 00."""
        letters = {hub.id: ascii_uppercase[n % 26] * (n // 26 + 1) for n, hub in enumerate(self.hubs)}
        numbers: Counter[str] = Counter()
        return {place.id: place.code or self._numbered(place, letters, numbers) for place in self.places}

    def _numbered(self, place: "Place", letters: Mapping[str, str], numbers: Counter[str]) -> str:
        letter = letters.get(self.hub_of(place.id) or "", "")
        numbers[letter] += place.hub is None
        return f"{letter}{numbers[letter] if place.hub is None else 0:02}"

    @property
    def copies_per_bag(self) -> int:
        """How many copies a bag holds; a crate's where the network has no bags."""
        return max(1, self.network.copies_per_crate // self.network.bags_per_crate)

    def room_bags(self, copies: int) -> int:
        """Return the room in a van that a hub's crate of so many copies for one place takes: bags under its number."""
        return min(max(1, -(-copies // self.copies_per_bag)), self.network.bags_per_crate)

    def bags_of(self, copies: int) -> int:
        """Return how many bags so many copies for one place fill under their crate's number; none where they fill a crate."""
        bags = self.room_bags(copies)
        return bags if bags < self.network.bags_per_crate else 0

    def copies_in(self, room_bags: int) -> int:
        """How many copies a hub's crate holds that takes so much room."""
        whole = room_bags >= self.network.bags_per_crate
        return self.network.copies_per_crate if whole else room_bags * self.copies_per_bag

    @cached_property
    def hubs(self) -> tuple[Place, ...]:
        """The places that sort."""
        return tuple(place for place in self.places if place.hub)

    @cached_property
    def timezone(self) -> ZoneInfo:
        """Where the places' clocks are."""
        return ZoneInfo(self.network.timezone)

    def hub_of(self, place_id: str) -> str | None:
        """Return the hub that serves a place: itself, its nearest ancestor that sorts, or the only hub there is."""
        return next((place.id for place in self.upward(place_id) if place.hub), self._only_hub)

    @cached_property
    def _only_hub(self) -> str | None:
        return self.hubs[0].id if len(self.hubs) == 1 else None

    def upward(self, place_id: str) -> Iterator[Place]:
        """Yield a place and those that it is under, the nearest first; no more than there are, should they go round."""
        at: str | None = place_id
        for _ in self.places:
            if at is None:
                return
            yield self.place[at]
            at = self.place[at].parent

    def km(self, one: str, other: str | None) -> float:
        """Return the kilometres between two places as the crow flies; 0 if a place is missing or not located."""
        if other is None or not (self.place[one].located and self.place[other].located):
            return 0.0
        return distance_m(self.place[one], self.place[other]) / 1000

    def km_to_hub(self, place_id: str) -> float:
        """Return how far a place is from the hub that serves it, as `km` does."""
        return self.km(place_id, self.hub_of(place_id))

    def district(self, place_id: str) -> frozenset[str]:
        """Return the places of a place's district: under the same district library, or under none as it is."""
        return self._of_district[self._district_of(place_id)]

    @cached_property
    def _of_district(self) -> dict[str | None, frozenset[str]]:
        mine: dict[str | None, set[str]] = {}
        for place in self.place:
            mine.setdefault(self._district_of(place), set()).add(place)
        return {district: frozenset(places) for district, places in mine.items()}

    def _district_of(self, place_id: str) -> str | None:
        return next((place.id for place in self.upward(place_id) if place.tier is Tier.DISTRICT), None)

    def day_of(self, at: datetime) -> date:
        """Return the date on the wall clock at an instant."""
        return at.astimezone(self.timezone).date()

    def instant(self, day: date, seconds_of_day: int) -> datetime:
        """Return the aware instant of a local time of day, `seconds_of_day` after midnight on the wall clock."""
        hours, rest = divmod(min(seconds_of_day, 86_399), 3600)
        return datetime.combine(day, time(hours, rest // 60, rest % 60), self.timezone)


def distance_m(a: Place, b: Place) -> float:
    """Return the great-circle distance (haversine) between two located places.

    Raises
    ------
    ValueError
        When a place has no coordinates.
    """
    if a.lat is None or a.lon is None or b.lat is None or b.lon is None:
        raise ValueError(f"{a.id} or {b.id} has no coordinates")
    phi_a, phi_b = math.radians(a.lat), math.radians(b.lat)
    half_chord = (
        math.sin((phi_b - phi_a) / 2) ** 2
        + math.cos(phi_a) * math.cos(phi_b) * math.sin(math.radians(b.lon - a.lon) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(half_chord))


# --- Reading a file, and telling all that is wrong with it ------------------------------------------------------------


class NetworkMistake(NamedTuple):
    """A mistake in a network file."""

    file: str
    line: int
    field: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.what}"


class NetworkError(ValueError):
    """A network file that cannot be used, with every fault found in it."""

    def __init__(self, faults: list[NetworkMistake]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def read(path: Path) -> Network:
    """Read a network file, or the JSON that `write` kept.

    Raises
    ------
    NetworkError
        With every fault, each with file, line and field.
    """
    return parsed(path.read_text(encoding="utf-8"), path.name)


def parsed(text: str, file: str) -> Network:
    """Return the network of a file's text, JSON where it is called so; raises as `read` does."""
    if file.endswith(".json"):
        return from_tables(json.loads(text), file)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise NetworkError([NetworkMistake(file, int(line[1]) if line else 1, "file", str(error))]) from error
    return from_tables(raw, file, _lines(text))


def write(network: Network, path: Path) -> None:
    """Keep a network as JSON, whole at any moment."""
    new = path.with_suffix(".new")
    new.write_text(network.model_dump_json(by_alias=True), encoding="utf-8")
    new.replace(path)


def from_tables(raw: Mapping[str, Any], file: str, lines: Mapping[tuple[str | int, ...], int] | None = None) -> Network:
    """Make a network of parsed TOML tables, whose keys stand on `lines`; raises as `read` does."""
    lines = lines or {}

    def fault(where: tuple[str | int, ...], what: str) -> NetworkMistake:
        known = next((where[:n] for n in range(len(where), 0, -1) if where[:n] in lines), ())
        return NetworkMistake(file, lines.get(known, 1), ".".join(map(str, where)), what)

    try:
        network = Network.model_validate(raw)
    except ValidationError as error:
        faults = [fault(tuple(e["loc"]), e["msg"].removeprefix("Value error, ")) for e in error.errors()]
        raise NetworkError(faults) from error
    faults = [fault(where, what) for check in CHECKS for where, what in check(network)]
    if faults:
        raise NetworkError(faults)
    return network


Where = tuple[tuple[str | int, ...], str]


def _ids_are_unique(network: Network) -> Iterator[Where]:
    for key, ids in (
        ("place", [p.id for p in network.places]),
        ("van", [v.id for v in network.vans]),
        ("owner", [o.id for o in network.owners]),
        ("class", [c.id for c in network.classes]),
        ("unit", [u.id for u in network.units]),
        ("float_group", [g.id for g in network.float_groups]),
        ("exception", [e.id for e in network.exceptions]),
    ):
        count = Counter(ids)
        for index, id_ in enumerate(ids):
            if count[id_] > 1:
                yield (key, index, "id"), f"the id {id_!r} stands {count[id_]} times; each must be unique"


def _codes_are_unique(network: Network) -> Iterator[Where]:
    if any(place.parent and place.parent not in network.place for place in network.places):
        return  # a mistake of its own, without which no hub is known
    count = Counter(network.code.values())
    for index, place in enumerate(network.places):
        if place.code and count[place.code] > 1:
            yield (
                ("place", index, "code"),
                f"the code {place.code!r} stands {count[place.code]} times; people sort by it",
            )


def _references_exist(network: Network) -> Iterator[Where]:
    places, owners = {p.id for p in network.places}, {o.id for o in network.owners}
    classes, units = {c.id for c in network.classes}, {u.id for u in network.units}
    for i, p in enumerate(network.places):
        yield from _unknown(("place", i, "parent"), p.parent, places, "place")
        yield from _unknown(("place", i, "owner"), p.owner, owners, "owner")
        for c in p.shelf:
            yield from _unknown(("place", i, "shelf"), c, classes, "class")
    for i, van in enumerate(network.vans):
        yield from _unknown(("van", i, "hub"), van.hub, {h.id for h in network.hubs}, "hub (a place with a hub table)")
    for i, unit in enumerate(network.units):
        yield from _unknown(("unit", i, "place"), unit.place, places, "place")
        yield from _unknown(("unit", i, "parent"), unit.parent, units, "unit")


def _owners_and_groups_exist(network: Network) -> Iterator[Where]:
    owners, classes = {"*", *(o.id for o in network.owners)}, {c.id for c in network.classes}
    for i, owner in enumerate(network.owners):
        for key in ("lends_to", "asks"):
            for other in getattr(owner, key):
                yield from _unknown(("owner", i, key), other, owners, "owner")
    for i, group in enumerate(network.float_groups):
        for key, known in (("classes", classes), ("places", {p.id for p in network.places})):
            for named in getattr(group, key):
                yield from _unknown(("float_group", i, key), named, known, key)


def _exceptions_are_of_places(network: Network) -> Iterator[Where]:
    places = {place.id for place in network.places}
    for i, one in enumerate(network.exceptions):
        for named in one.places:
            yield from _unknown(("exception", i, "places"), named, places, "place")


def _unknown(where: tuple[str | int, ...], value: str | None, known: set[str], what: str) -> Iterator[Where]:
    if value is not None and value not in known:
        yield where, f"{value!r} is no known {what}"


def _a_class_floats_in_one_group(network: Network) -> Iterator[Where]:
    seen: dict[str, str] = {}
    for i, group in enumerate(network.float_groups):
        for c in group.classes:
            if seen.setdefault(c, group.id) != group.id:
                yield ("float_group", i, "classes"), f"{c!r} floats in {seen[c]!r} already; a class has one group"


def _tiers_have_no_cycle(network: Network) -> Iterator[Where]:
    parents = {p.id: p.parent for p in network.places}
    for i, place in enumerate(network.places):
        seen: set[str] = set()
        at: str | None = place.id
        while at is not None and at not in seen:
            seen.add(at)
            at = parents.get(at)
        if at == place.id:
            yield ("place", i, "parent"), f"{place.id!r} is its own ancestor; tiers must lead up to the central library"


def _parents_are_above(network: Network) -> Iterator[Where]:
    order = list(Tier)
    tiers = {p.id: p.tier for p in network.places}
    for i, place in enumerate(network.places):
        parent = tiers.get(place.parent) if place.parent else None
        if parent and order.index(parent) > order.index(place.tier):
            yield ("place", i, "parent"), f"a {place.tier} cannot belong to a {parent}, which is a lower tier"


FAR_FROM_THE_REST_M = 500_000  # no city's network spans more; swapped coordinates land thousands of kilometres away


def _coordinates_are_near(network: Network) -> Iterator[Where]:
    located = [p for p in network.places if p.located]
    if len(located) < 3:
        return
    lats, lons = sorted(p.lat or 0.0 for p in located), sorted(p.lon or 0.0 for p in located)
    middle = located[0].model_copy(update={"lat": lats[len(lats) // 2], "lon": lons[len(lons) // 2]})
    for i, place in enumerate(network.places):
        if place.located and distance_m(place, middle) > FAR_FROM_THE_REST_M:
            yield (
                ("place", i, "lat"),
                f"lat {place.lat}, lon {place.lon} is {distance_m(place, middle) / 1000:.0f} km from the others; "
                "are latitude and longitude swapped?",
            )


def _every_place_has_a_hub(network: Network) -> Iterator[Where]:
    if not network.places:
        yield ("place",), "a network needs at least one place"
    elif not network.hubs:
        yield ("place", 0, "hub"), "no place has a hub table; at least one must sort"
    else:
        parents = {p.id: p.parent for p in network.places}
        for i, place in enumerate(network.places):
            if place.located and all(p in parents for p in parents.values() if p) and not _reaches_hub(network, place):
                yield (
                    ("place", i, "parent"),
                    f"no hub above {place.id!r}, and there are {len(network.hubs)}; give it a parent that leads to one",
                )


def _reaches_hub(network: Network, place: Place) -> bool:
    return network.hub_of(place.id) is not None


def _hubs_have_vans(network: Network) -> Iterator[Where]:
    if network.places and not network.vans:
        yield ("van",), "no van at all; nothing could be carried"
        return
    with_vans = {van.hub for van in network.vans}
    for i, place in enumerate(network.places):
        if place.hub and place.id not in with_vans:
            yield ("place", i, "hub"), f"no van starts at {place.id!r}; nothing that it serves could be visited"


CHECKS = (
    _ids_are_unique,
    _references_exist,
    _owners_and_groups_exist,
    _exceptions_are_of_places,
    _a_class_floats_in_one_group,
    _tiers_have_no_cycle,
    _parents_are_above,
    _coordinates_are_near,
    _every_place_has_a_hub,
    _hubs_have_vans,
    _codes_are_unique,
)


def _lines(text: str) -> dict[tuple[str | int, ...], int]:
    """Return the line of each table and key, as ("place", 3, "lat"): tomllib keeps none."""
    lines: dict[tuple[str | int, ...], int] = {}
    count: Counter[str] = Counter()
    table: tuple[str | int, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\[\[([\w.]+)\]\]", line):
            table = (header[1], count[header[1]])
            count[header[1]] += 1
        elif header := re.match(r"\[([\w.]+)\]", line):
            parts = header[1].split(".")
            under = count[parts[0]]
            table = (parts[0], under - 1, *parts[1:]) if under else tuple(parts)
        elif key := re.match(r"\s*([\w-]+)\s*=", line):
            lines.setdefault((*table, key[1]), number)
            continue
        else:
            continue
        lines.setdefault(table, number)
        lines.setdefault(table[:1], number)
    return lines
