"""The network's rows as forms show them: each field as text, and text as the network reader takes it.

Nothing is judged here: input that is no number stays text, and the reader names the mistake.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from types import MappingProxyType
from typing import Any, NamedTuple

from rotation.language.catalogues import Language
from rotation.language.labels import N_
from rotation.language.network_mistakes import in_words
from rotation.network import WEEKDAYS, Network, NetworkMistake, PlaceKind, Span, Tier, parse_week
from rotation.store.network_text import SINGLE


class FieldKind(StrEnum):
    """How a field is written in a form."""

    TEXT = "text"
    NUMBER = "number"
    DAY = "day"
    NAMES = "names"  # in both languages
    WEEK = "week"  # hours by weekday
    CHOICE = "choice"
    CHOICES = "choices"
    LIST = "list"  # words between commas
    PAIRS = "pairs"  # lines such as fiction = 200


class UpkeepField(NamedTuple):
    """A field of a table; `of`: whose ids a choice offers."""

    name: str
    label: str
    kind: FieldKind
    of: str = ""


def _field(name: str, label: str, kind: FieldKind = FieldKind.NUMBER, of: str = "") -> UpkeepField:
    return UpkeepField(name, label, kind, of)


EXCEPTION = "exception"
_NAME = _field("name", N_("Name in both languages"), FieldKind.NAMES)
FIELDS: Mapping[str, tuple[UpkeepField, ...]] = MappingProxyType(
    {
        EXCEPTION: (
            _field("first", N_("First day"), FieldKind.DAY),
            _field("last", N_("Last day (none: until further notice)"), FieldKind.DAY),
            _field("places", N_("Places (none: all)"), FieldKind.CHOICES, "place"),
            _field("hours_of", N_("Open as on (none: closed)"), FieldKind.CHOICE, "weekday"),
            _field("why", N_("Why"), FieldKind.NAMES),
        ),
        "place": (
            _NAME,
            _field("tier", N_("Tier"), FieldKind.CHOICE, "tier"),
            _field("parent", N_("Under"), FieldKind.CHOICE, "place"),
            _field("kind", N_("Kind"), FieldKind.CHOICE, "kind"),
            _field("owner", N_("Owner"), FieldKind.CHOICE, "owner"),
            _field("lat", N_("Latitude")),
            _field("lon", N_("Longitude")),
            _field("phone", N_("Telephone"), FieldKind.TEXT),
            _field("population", N_("Residents")),
            _field("hours", N_("Opening hours"), FieldKind.WEEK),
            _field("receiving", N_("Receiving hours (none: the opening hours)"), FieldKind.WEEK),
            _field("service_days", N_("Weekdays of vans (none: all)"), FieldKind.LIST),
            _field("lead_days", N_("Visits announced so many days before")),
            _field("shelf", N_("Shelf room by class, copies"), FieldKind.PAIRS),
            _field("slots", N_("Slots of a machine")),
            _field("bin", N_("Bin of a machine, copies")),
            _field("hub", N_("Sorting (hubs alone)"), FieldKind.PAIRS),
        ),
        "van": (
            _NAME,
            _field("hub", N_("Hub"), FieldKind.CHOICE, "hub"),
            _field("crates", N_("Crates")),
            _field("shift", N_("Shift"), FieldKind.TEXT),
            _field("driver", N_("Driver"), FieldKind.TEXT),
            _field("phone", N_("Telephone"), FieldKind.TEXT),
            _field("fixed_cost_cents", N_("Cost of a day, cents")),
            _field("cost_per_hour_cents", N_("Cost of an hour, cents")),
            _field("cost_per_km_cents", N_("Cost of a kilometre, cents")),
            _field("co2_g_per_km", N_("CO₂ of a kilometre, g")),
        ),
        "owner": (
            _NAME,
            _field("lends_to", N_("Lends to (ids of owners; *: all)"), FieldKind.LIST),
            _field("asks", N_("Lends only when asked (ids of owners; *: all)"), FieldKind.LIST),
        ),
        "floors": (
            _field(
                "fresh_per_1000_quarter", N_("Fresh copies for 1,000 residents a quarter, by tier"), FieldKind.PAIRS
            ),
            _field("fresh_per_quarter", N_("Fresh copies for a place a quarter, by tier"), FieldKind.PAIRS),
            _field("special_shelf_share", N_("Share of special groups' shelves that is filled")),
            _field("holdings_per_head", N_("Holdings per head")),
            _field("loans_of_before", N_("Share of the loans of before, by tier"), FieldKind.PAIRS),
        ),
        "network": (
            _NAME,
            _field("copies_per_crate", N_("Copies in a crate")),
            _field("bags_per_crate", N_("Bags in a crate")),
        ),
    }
)
TABLES = {
    "place": N_("Places"),
    "van": N_("Vans"),
    "owner": N_("Owners"),
    "floors": N_("Floors and standards"),
    "network": N_("Name and crates"),
}
WEEKDAY_NAMES = dict(
    zip(WEEKDAYS, (N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun")), strict=True)
)


def options(network: Network, of: str) -> list[str]:
    """Return the ids that a choice offers."""
    offered: dict[str, Sequence[str]] = {
        "weekday": WEEKDAYS,
        "tier": list(Tier),
        "kind": list(PlaceKind),
        "place": [place.id for place in network.places],
        "owner": [owner.id for owner in network.owners],
        "hub": [hub.id for hub in network.hubs],
    }
    return list(offered[of])


# --- Shown ------------------------------------------------------------------------------------------------------------------


def shown(field: UpkeepField, row: Mapping[str, Any]) -> dict[str, str]:
    """Return a field's inputs by name, as text."""
    value = row.get(field.name)
    if field.kind is FieldKind.NAMES:
        both = value if isinstance(value, Mapping) else {"zh": value, "en": value}
        return {f"{field.name}.{code}": str(both.get(code) or "") for code in ("zh", "en")}
    if field.kind is FieldKind.WEEK:
        week = parse_week(value or {})
        return {f"{field.name}.{name}": _spans(week.get(n, ())) for n, name in enumerate(WEEKDAYS)}
    if field.kind in (FieldKind.LIST, FieldKind.CHOICES):
        return {field.name: ", ".join(map(str, value or ()))}
    if field.kind is FieldKind.PAIRS:
        return {field.name: "\n".join(f"{key} = {one}" for key, one in (value or {}).items())}
    return {field.name: "" if value is None else str(value)}


def _spans(spans: Sequence[Span]) -> str:
    return " ".join(f"{_clock(span.begin_s)}-{_clock(span.end_s)}" for span in spans)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds % 3600 // 60:02}"


# --- Typed ------------------------------------------------------------------------------------------------------------------

Form = Mapping[str, Sequence[str]]


class TypedField(NamedTuple):
    """A field that somebody changed: its inputs as typed, and the value (None: none)."""

    inputs: list[tuple[str, str]]
    value: Any


def changed(table: str, row: Mapping[str, Any], form: Form) -> dict[str, TypedField]:
    """Return the fields whose inputs differ from the row; fields that a form does not have stay."""
    found = {}
    for field in FIELDS[table]:
        before = shown(field, row)
        if not any(name in form for name in before) and field.kind is not FieldKind.CHOICES:
            continue
        typed = {name: _text(form.get(name, ()), field.kind) for name in before}
        if typed != before:
            inputs = [(name, one) for name in before for one in form.get(name, ())]
            found[field.name] = TypedField(inputs, _value(field, typed))
    return found


def _text(values: Sequence[str], kind: FieldKind) -> str:
    joined = ", ".join(values) if kind is FieldKind.CHOICES else "".join(values[:1])
    return joined.replace("\r\n", "\n").replace("\0", "").strip()


def _value(field: UpkeepField, typed: Mapping[str, str]) -> Any:
    text = "".join(typed.values())
    if not text:
        return None
    if field.kind is FieldKind.NAMES:
        zh, en = (typed[f"{field.name}.{code}"] for code in ("zh", "en"))
        return {"zh": zh or en, "en": en or zh}
    if field.kind is FieldKind.WEEK:
        return _week([typed[f"{field.name}.{name}"].split() for name in WEEKDAYS])
    if field.kind in (FieldKind.LIST, FieldKind.CHOICES):
        return [word.strip() for word in text.split(",") if word.strip()]
    if field.kind is FieldKind.PAIRS:
        pairs = (line.partition("=") for line in text.splitlines() if line.strip())
        return {key.strip(): _number(one.strip()) for key, _, one in pairs}
    return _number(text) if field.kind is FieldKind.NUMBER else text


def _week(days: Sequence[list[str]]) -> dict[str, list[str]]:
    """Return hours by weekday, equal days in a row together."""
    week = {}
    for spans, same in groupby(range(7), key=lambda n: days[n]):
        numbers = list(same)
        first, last = WEEKDAYS[numbers[0]], WEEKDAYS[numbers[-1]]
        if spans:
            week[first if first == last else f"{first}-{last}"] = spans
    return week


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# --- Mistakes ---------------------------------------------------------------------------------------------------------------


def beside_fields(
    mistakes: Sequence[NetworkMistake], table: str, row_id: str, tables: Mapping[str, Any], language: Language
) -> tuple[dict[str, str], list[str]]:
    """Return the mistakes of a row by field, and all others as sentences; `tables` are those of the changed network."""
    ids = [row.get("id") for row in tables.get(table, ())] if table not in SINGLE else []
    head = [table] if table in SINGLE else [table, str(ids.index(row_id))] if row_id in ids else [table, ""]
    beside: dict[str, str] = {}
    others = []
    for mistake in mistakes:
        where = mistake.field.split(".")
        if where[: len(head)] == head and len(where) > len(head):
            beside.setdefault(where[len(head)], in_words(mistake.what, language))
        else:
            others.append(f"{mistake.field}: {in_words(mistake.what, language)}")
    return beside, others


def names_of(tables: Mapping[str, Any], table: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a table's rows with their ids."""
    for row in tables.get(table, ()):
        yield str(row.get("id", "")), row
