"""A network file and a map made from a city's own tables: branches and an export of items.

Whatever the tables do not say is proposed from them, marked as a guess with its reason in the file, and counted. Coordinates come
from the table alone: no service is asked.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rotation.feeds import opening_hours, place_words, tables
from rotation.feeds.place_words import PlacePart
from rotation.feeds.suggesting import Holdings, MapLine, name_of, place_id, quoted
from rotation.feeds.tables import NO_PLACE, VIA
from rotation.network import PlaceKind, Tier

# Names of columns in tables of branches, in capitals or not, without blanks, signs and words in brackets.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "code": (
        "code",
        "id",
        "branchcode",
        "libcode",
        "local",
        "馆代码",
        "分馆代码",
        "代码",
        "编码",
        "编号",
        "馆号",
        "馆藏地代码",
    ),
    "name": (
        *("name", "library", "libraryname", "branch", "branchname", "site"),
        *(
            "名称",
            "馆名",
            "馆名称",
            "图书馆名称",
            "分馆名称",
            "馆点",
            "馆点名称",
            "图书馆",
            "分馆",
            "网点",
            "网点名称",
            "站点名称",
        ),
    ),
    "lat": ("lat", "latitude", "y", "纬度"),
    "lon": ("lon", "lng", "long", "longitude", "x", "经度"),
    "point": ("coordinates", "coords", "latlon", "latlng", "经纬度", "坐标", "地理坐标"),
    "hours": ("hours", "openinghours", "openingtimes", "opentimes", "开放时间", "开馆时间", "服务时间", "营业时间"),
    "tier": ("tier", "level", "type", "层级", "级别", "等级", "类别"),
    "parent": ("parent", "上级", "上级馆", "总馆"),
    "owner": ("owner", "authority", "district", "区", "区县", "所属区", "所属区县", "行政区", "区域"),
    "population": ("population", "populationserved", "人口", "服务人口", "常住人口"),
}
# Left out of a column's name before it is compared.
NOT_OF_A_NAME = re.compile(r"[（(\[【][^）)\]】]*[）)\]】]|[\s_*:：\-.]")
HEADER_ROWS = 10
# A shelf has room for a tenth more than stands there: without it no copy could come before one leaves.
ROOM_TO_SPARE = 1.1
# Hours that are taken where none can be read: a working week.
DEFAULT_HOURS = {"mon-fri": ["09:00-17:00"]}
# A van of a small courier.
VAN_CRATES = 20
# The classes of the Chinese Library Classification, by the letter at the head of a call number.
CLC: Mapping[str, tuple[str, str]] = {
    "A": ("马列毛邓", "Marxism"),
    "B": ("哲学宗教", "Philosophy, religion"),
    "C": ("社科总论", "Social sciences"),
    "D": ("政治法律", "Politics, law"),
    "E": ("军事", "Military science"),
    "F": ("经济", "Economics"),
    "G": ("文教体育", "Culture, education, sports"),
    "H": ("语言文字", "Languages"),
    "I": ("文学", "Literature"),
    "J": ("艺术", "Arts"),
    "K": ("历史地理", "History, geography"),
    "N": ("自然科学总论", "Natural sciences"),
    "O": ("数理化", "Mathematics, physics, chemistry"),
    "P": ("天文地球", "Astronomy, earth sciences"),
    "Q": ("生物", "Biology"),
    "R": ("医药卫生", "Medicine, health"),
    "S": ("农业", "Agriculture"),
    "T": ("工业技术", "Technology"),
    "U": ("交通运输", "Transport"),
    "V": ("航空航天", "Aviation, space"),
    "X": ("环境安全", "Environment, safety"),
    "Z": ("综合", "General works"),
}
CALL_NUMBER = re.compile(rf"[{''.join(CLC)}][A-Z]?\d")


class ProposedClass(NamedTuple):
    """A class as proposed: its id, its name as TOML writes it, and the key by which a map finds it."""

    id: str
    name: str
    key: str


DEFAULT_CLASS = ProposedClass("books", '"books"', "")
ORDER = (Tier.CENTRAL, Tier.DISTRICT, Tier.SUBDISTRICT, Tier.ROOM)


@dataclass
class Proposed:
    """A place as proposed; `guesses` are the reasons of fields that no table gives, by field."""

    place: str
    name: str
    code: str
    values: dict[str, str] = field(default_factory=dict)
    tier: Tier = Tier.ROOM
    kind: PlaceKind = PlaceKind.STAFFED
    hours: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # Latitude and longitude in degrees.
    point: tuple[float, float] | None = None
    shelf: Counter[str] = field(default_factory=Counter)
    guesses: dict[str, str] = field(default_factory=dict)


class NewNetwork(NamedTuple):
    """The network file's text, the map's lines and classes by word, guesses by field with their counts, and rows left out."""

    network: str
    places: list[MapLine]
    classes: dict[str, str]
    guesses: Counter[str]
    left_out: list[str]


def branches_in(path: Path) -> list[dict[str, str]]:
    """Read a table of branches.

    Raises
    ------
    ValueError
        When none of its first rows names a column of names.
    """
    header: dict[str, int] = {}
    found: list[dict[str, str]] = []
    for number, cells in tables.plain_rows(path):
        words = [tables.cell_text(cell) for cell in cells]
        if header and tables.is_total(words):
            continue
        if header:
            found.append({key: words[at] for key, at in header.items() if at < len(words) and words[at]})
        elif number <= HEADER_ROWS:
            header = _header([NOT_OF_A_NAME.sub("", word).casefold() for word in words])
    if not header:
        raise ValueError(f"{path.name}: its first lines name no column {' or '.join(COLUMNS['name'])}")
    return [row for row in found if row.get("name")]


def _header(words: list[str]) -> dict[str, int]:
    at = {key: next((words.index(one) for one in names if one in words), None) for key, names in COLUMNS.items()}
    return {key: column for key, column in at.items() if column is not None} if at["name"] is not None else {}


def proposed(
    name: str, timezone: str, branches: list[dict[str, str]], stock: Holdings, names: Mapping[str, str]
) -> NewNetwork:
    """Return the network of a city from its branches and its items; `names` are those of the export's codes and locations.

    Raises
    ------
    ValueError
        When no row of the export could be read.
    """
    if not stock.places:
        raise ValueError(f"no row of the export can be read; {stock.unread} were refused")
    taken: dict[str, str] = {}
    places = [_of_branch(row, taken) for row in branches]
    lines, left_out = _mapped(places, stock, names, taken)
    classes = classes_of(stock)
    by_key = {one.key: one.id for one in classes.values()}
    _fill_shelves(places, lines, stock, classes)
    _set_tiers(places)
    guesses = Counter(key for place in places for key in place.guesses)
    guesses.update({"classes": 1, "hub": 1, "van": 1})
    return NewNetwork(_written(name, timezone, places, guesses, classes), lines, by_key, guesses, left_out)


def _of_branch(row: dict[str, str], taken: dict[str, str]) -> Proposed:
    code = row.get("code") or row["name"]
    plain = code if re.search(r"[A-Za-z0-9]", code) else f"p{len(taken) + 1:03}"
    place = Proposed(place_id(plain, taken), row["name"], code, row)
    said = place_words.judged(row["name"])
    place.kind = said.kind
    if said.word and said.kind is not PlaceKind.STAFFED:
        place.guesses["kind"] = f"by the word {said.word} in its name"
    read = opening_hours.read(row["hours"]) if row.get("hours") else None
    place.hours = read.as_network() if read else DEFAULT_HOURS
    if not read:
        why = f"{row['hours']!r} is not read" if row.get("hours") else "the table has none"
        place.guesses["hours"] = f"{why}; a working week"
    place.point = _point_of(row)
    if not place.point:
        written = ", ".join(row[key] for key in ("point", "lat", "lon") if row.get(key))
        why = f"{written!r} is not read" if written else "the table has none"
        place.guesses["coordinates"] = f"{why}: no van can be sent there"
    return place


NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def _point_of(row: Mapping[str, str]) -> tuple[float, float] | None:
    """Return latitude and longitude, None where the row has none that can be; in one column, either may stand first."""
    if row.get("lat") and row.get("lon"):
        numbers = [float(found[0]) for found in (NUMBER.search(row["lat"]), NUMBER.search(row["lon"])) if found]
    else:
        numbers = [float(found) for found in NUMBER.findall(row.get("point", ""))]
    if len(numbers) != 2 or numbers == [0, 0]:
        return None
    lat, lon = reversed(numbers) if abs(numbers[0]) > MOST_LAT else numbers
    return (lat, lon) if abs(lat) <= MOST_LAT and abs(lon) <= MOST_LON else None


MOST_LAT, MOST_LON = 90, 180


def _population(written: str) -> int | None:
    """Return a number of people as tables have it: 50000, 50,000, 5.2万."""
    found = re.fullmatch(r"([\d.,，]+)\s*(万)?人?", written.strip())
    try:
        return round(float(re.sub("[,，]", "", found[1])) * (10_000 if found[2] else 1)) if found else None
    except ValueError:
        return None


def _mapped(
    places: list[Proposed], stock: Holdings, names: Mapping[str, str], taken: dict[str, str]
) -> tuple[list[MapLine], list[str]]:
    """Return where each code and location of the export is; points that no branch is get a place of their own, as a guess."""
    known = {key.casefold(): place for place in places for key in (place.name, place.code)}
    lines = [_line(code, location, copies, known, names) for (code, location), copies in sorted(stock.places.items())]
    made: dict[str, Proposed] = {}
    for at, line in enumerate(lines):
        if line.value:
            continue
        own = made.setdefault(line.key, _of_branch({"name": line.why, "code": line.key}, taken))
        own.guesses["place"] = "only the export names it"
        lines[at] = line._replace(value=own.place, why=f"{line.why}: in no table of branches", guess=True)
    places += made.values()
    held = {line.value.removeprefix(VIA) for line in lines}
    left_out = [f"{place.name}: no copy of the export stands there" for place in places if place.place not in held]
    if stock.unread:
        left_out.append(f"{stock.unread} rows of the export cannot be read")
    return lines, left_out


def _line(code: str, location: str, copies: int, known: Mapping[str, Proposed], names: Mapping[str, str]) -> MapLine:
    key = f"{code}/{location}" if location else code
    name = name_of(code, location, names)
    said = place_words.judged(name)
    exact = next((known[one.casefold()] for one in (key, location, name) if one and one.casefold() in known), None)
    library = known.get(code.casefold()) or known.get(names.get(code, "").casefold())
    if said.part is PlacePart.NONE:
        return MapLine(key, NO_PLACE, copies, f"{name}: by the word {said.word}, takes no part", guess=True)
    if said.part is PlacePart.TRANSFER and library:
        return MapLine(
            key, VIA + library.place, copies, f"{name}: by the word {said.word}, a transfer store", guess=True
        )
    if exact:
        return MapLine(key, exact.place, copies, f"{name}: a branch of the table", guess=False)
    if library and (said.part is PlacePart.ROOM_OF_ITS_LIBRARY or not location):
        return MapLine(key, library.place, copies, f"{name}: a room of {library.name}", guess=True)
    return MapLine(key, "", copies, name, guess=True)


def _fill_shelves(
    places: list[Proposed], lines: list[MapLine], stock: Holdings, classes: Mapping[str, ProposedClass]
) -> None:
    """Give each place the shelves that its present holdings need, with some room to spare."""
    by_id, value_of = {place.place: place for place in places}, {line.key: line.value for line in lines}
    for (code, location, word), copies in stock.classes.items():
        value = value_of[f"{code}/{location}" if location else code].removeprefix(VIA)
        if value in by_id:
            by_id[value].shelf[classes[word].id] += copies
    for place in places:
        if place.shelf:
            place.guesses["shelf"] = "present holdings and a tenth"


def classes_of(stock: Holdings) -> dict[str, ProposedClass]:
    """Return the class of each word of the export: an item type, or the head of a call number (I247.5/23: clc-i)."""
    copies, taken = Counter[str](), dict[str, str]()
    for (_, _, word), count in stock.classes.items():
        copies[word] += count
    ordered = sorted(copies, key=lambda word: (-copies[word], word))
    return {word: _class_of(word, taken) for word in ordered}


def _class_of(word: str, taken: dict[str, str]) -> ProposedClass:
    if CALL_NUMBER.match(word):
        zh, en = CLC[word[0]]
        return ProposedClass(f"clc-{word[0].lower()}", f"{{zh = {quoted(zh)}, en = {quoted(en)}}}", f"{word[0]}*")
    if not word:
        return DEFAULT_CLASS
    # An id has no Chinese, and half of a name would mislead.
    own = place_id(word, taken) if word.isascii() else place_id(f"class-{len(taken) + 1}", taken)
    return ProposedClass(own, quoted(word), word)


def _set_tiers(places: list[Proposed]) -> None:
    """Set tiers by the table's column, by the names, and else by the tree of the codes; the largest is central where none is."""
    codes = [place.code for place in places]
    is_tree = any(code != other and code.startswith(other) for code in codes for other in codes)
    for place in places:
        told = place_words.tier_of(place.values.get("tier", "")) if place.values.get("tier") else None
        named = place_words.tier_of(place.name)
        if told:
            place.tier = told[0]
        elif named:
            place.tier = named[0]
            place.guesses["tier"] = f"by the word {named[1]} in its name"
        else:
            above = sum(1 for code in codes if code != place.code and place.code.startswith(code))
            place.tier = ORDER[min(above + 1, len(ORDER) - 1)] if is_tree else Tier.SUBDISTRICT
            place.guesses["tier"] = "by the tree of the codes" if is_tree else "no word and no code says it"
    central = [place for place in places if place.tier is Tier.CENTRAL]
    # Vans begin at the central library: without coordinates none could.
    rank = {place.place: (place.point is not None, place.shelf.total(), place.place) for place in places}
    largest = max(central or places, key=lambda place: rank[place.place])
    for place in central:
        if place is not largest:
            place.tier = Tier.DISTRICT
            place.guesses["tier"] = "another library is larger"
    if largest.tier is not Tier.CENTRAL:
        largest.tier, largest.guesses["tier"] = Tier.CENTRAL, "of those with coordinates it has the most copies"


# --- The file -----------------------------------------------------------------------------------------------------------------


def _written(
    name: str, timezone: str, places: list[Proposed], guesses: Counter[str], found: Mapping[str, ProposedClass]
) -> str:
    hub = next(place for place in places if place.tier is Tier.CENTRAL)
    hub.guesses["hub"] = "the only central library: all crates are sorted there"
    names = {one.id: one.name for one in found.values()} or {DEFAULT_CLASS.id: DEFAULT_CLASS.name}
    owners = sorted({place.values["owner"] for place in places if place.values.get("owner")})
    owner_ids: dict[str, str] = {}
    lines = [
        f"# {name}: proposed from a table of branches and an export of items. A line that ends with `guess:` is a guess.",
        f"# Guesses: {', '.join(f'{key} {count}' for key, count in sorted(guesses.items()))}. Mend them, and remove the words.",
        "",
        "[network]",
        f"id = {quoted(_id(name))}",
        f"name = {quoted(name)}",
        f"timezone = {quoted(timezone)}",
        f"guesses = [{', '.join(quoted(f'{key}: {count}') for key, count in sorted(guesses.items()))}]",
    ]
    for one, class_name in sorted(names.items()):
        lines += [
            "",
            "[[class]]  # guess: from the items' types, or the heads of their call numbers",
            f"id = {quoted(one)}",
        ]
        lines.append(f"name = {class_name}")
    for one in owners:
        own = place_id(one if one.isascii() else f"owner-{len(owner_ids) + 1}", owner_ids)
        owner_ids[own] = one
        lines += ["", "[[owner]]", f"id = {quoted(own)}", f"name = {quoted(one)}"]
    for place in sorted(places, key=lambda place: (ORDER.index(place.tier), place.place)):
        lines += ["", *_place_lines(place, {of: known for known, of in owner_ids.items()}, is_hub=place is hub)]
    lines += [
        "",
        "[[van]]  # guess: one van at the hub",
        'id = "van-1"',
        f"hub = {quoted(hub.place)}",
        f"crates = {VAN_CRATES}",
    ]
    return "\n".join(lines) + "\n"


def _id(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._").lower()[:60] or "city"


def _place_lines(place: Proposed, owner_ids: Mapping[str, str], *, is_hub: bool) -> Iterator[str]:
    row = place.values
    yield "[[place]]" + (f"  # guess: {place.guesses['place']}" if "place" in place.guesses else "")
    yield f"id = {quoted(place.place)}"
    yield f"name = {quoted(place.name)}"
    yield f"tier = {quoted(place.tier)}{_guess(place, 'tier')}"
    if place.kind is not PlaceKind.STAFFED:
        yield f"kind = {quoted(place.kind)}{_guess(place, 'kind')}"
    if row.get("owner"):
        yield f"owner = {quoted(owner_ids[row['owner']])}"
    if place.point:
        yield f"lat = {place.point[0]}"
        yield f"lon = {place.point[1]}"
    else:
        yield f"# lat, lon: {place.guesses['coordinates']}"
    if population := _population(row.get("population", "")):
        yield f"population = {population}"
    if is_hub:
        yield f"hub = {{}}{_guess(place, 'hub')}"
    hours = ", ".join(f"{quoted(days)} = {list(spans)!r}".replace("'", '"') for days, spans in place.hours.items())
    yield f"hours = {{{hours}}}{_guess(place, 'hours')}"
    if "hours" in place.guesses:
        yield "default_hours = true"
    shelf = ", ".join(
        f"{quoted(one)} = {math.ceil(copies * ROOM_TO_SPARE)}" for one, copies in sorted(place.shelf.items())
    )
    yield f"shelf = {{{shelf}}}{_guess(place, 'shelf')}"


def _guess(place: Proposed, key: str) -> str:
    return f"  # guess: {place.guesses[key]}" if key in place.guesses else ""
