"""A map's places proposed from an export: every code and location in it with its copies, and why it is read so."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from rotation.feeds import place_words, tables
from rotation.feeds.carrying import RejectedRecord
from rotation.feeds.place_words import PlacePart
from rotation.feeds.tables import NO_PLACE, VIA, Caption, TableMap
from rotation.network import PlaceKind


class Holdings(NamedTuple):
    """An export's content: copies by (code, location), by these and class, by state's word, and rows that cannot be read."""

    places: Counter[tuple[str, str]]
    classes: Counter[tuple[str, str, str]]
    words: Counter[str]
    unread: int


class MapLine(NamedTuple):
    """A line of [places]: its key, its value, and why; `guess` where nothing but habit says so."""

    key: str
    value: str
    copies: int
    why: str
    guess: bool


def stock_of(path: Path, chosen: TableMap) -> Holdings:
    """Count an export's rows.

    Raises
    ------
    ValueError
        When the file as a whole cannot be read.
    """
    places, classes, words, unread = Counter[tuple[str, str]](), Counter[tuple[str, str, str]](), Counter[str](), 0
    # Any time will do: none is used.
    for row in tables.read(path, chosen.model_copy(update={"as_of": tables.ANY_TIME})):
        if isinstance(row, RejectedRecord):
            unread += 1
            continue
        if isinstance(row, Caption):
            continue
        code, location = row.values.get("place", ""), row.values.get("location", "")
        places[code, location] += 1
        if home := row.values.get("home"):
            # Homes need a place too, also where no copy is now.
            places[home, row.values.get("home_location", "")] += 0
        classes[code, location, row.values.get("class", "")] += 1
        words[row.values.get("says", "")] += 1
    return Holdings(places, classes, words, unread)


def suggested(stock: Holdings, names: Mapping[str, str]) -> list[MapLine]:
    """Return a line for each place of an export; `names` are those of codes and locations (also of CODE/LOCATION), if known."""
    lines, taken = list[MapLine](), dict[str, str]()
    for (code, location), copies in sorted(stock.places.items()):
        key = f"{code}/{location}" if location else code
        lines.append(_line(key, code, location, name_of(code, location, names), copies, taken))
    return lines


# Before a location's code that has its name at every library: the same code may be a library's too.
ANYWHERE = "*/"


def name_of(code: str, location: str, names: Mapping[str, str]) -> str:
    """Return the name of a code, or of a location below it; the code itself where no name is known."""
    both, anywhere = f"{code}/{location}", ANYWHERE + location
    known = (names.get(both) or names.get(anywhere)) if location else None
    return known or names.get(location or code) or location or code


def _line(key: str, code: str, location: str, name: str, copies: int, taken: dict[str, str]) -> MapLine:
    said = place_words.judged(name)
    library = place_id(code, taken)
    because = f"{name}: by the word {said.word}" if said.word else f"{name}: its name says nothing"
    if said.part is PlacePart.NONE:
        return MapLine(key, NO_PLACE, copies, f"{because}, takes no part", guess=False)
    if said.part is PlacePart.TRANSFER:
        return MapLine(key, VIA + library, copies, f"{because}, a transfer store", guess=False)
    if not location:
        return MapLine(key, library, copies, f"{name}: a library's code", guess=False)
    if said.part is PlacePart.ROOM_OF_ITS_LIBRARY or not said.word:
        return MapLine(key, library, copies, f"{because}, a room of its library", guess=not said.word)
    return MapLine(key, place_id(key, taken), copies, f"{because}, {OWN[said.kind]} of its own", guess=False)


# A point of service in words.
OWN: Mapping[PlaceKind, str] = {
    PlaceKind.STAFFED: "a branch",
    PlaceKind.ROOM: "a reading room",
    PlaceKind.MACHINE: "a machine",
    PlaceKind.MOBILE_STOP: "a stop of a mobile library",
    PlaceKind.SCHOOL: "a school's library",
    PlaceKind.ENTERPRISE: "a company's library",
    PlaceKind.WELFARE_HOME: "a home's library",
    PlaceKind.STORE: "a store",
}


def place_id(code: str, taken: dict[str, str]) -> str:
    """Return the id of a code, the same for the same code; codes with the same letters get numbers. `taken` keeps them."""
    for known, of in taken.items():
        if of == code:
            return known
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", code).strip("-._").lower()[:56] or "place"
    free = next(
        one for one in (plain, *(f"{plain}-{number}" for number in range(2, len(taken) + 3))) if one not in taken
    )
    taken[free] = code
    return free


def as_toml(lines: Iterable[MapLine], words: Counter[str], chosen: TableMap) -> str:
    """Return the proposal as the end of a map's file: [places], and the states' words that the map lacks."""
    written = ["[places]"]
    for line in lines:
        guess = "guess: " if line.guess else ""
        written.append(f"{quoted(line.key)} = {quoted(line.value)}  # {line.copies} copies; {guess}{line.why}")
    unknown = {word: n for word, n in words.most_common() if word and tables.state_word(word, chosen) is None}
    if unknown:
        written += ["", "# Words of states that the map's [says] lacks: add them there, or their rows are refused."]
        written += [f"# {quoted(word)} = ...  # {count} copies" for word, count in unknown.items()]
    return "\n".join(written) + "\n"


# Parts of a map that the proposal replaces.
REPLACED = re.compile(r"^\[(?:places|classes)\][^\[]*|^default_class = .*\n", re.MULTILINE)


def map_of(
    preset: Path, lines: Iterable[MapLine], classes: Mapping[str, str], words: Counter[str], chosen: TableMap
) -> str:
    """Return a whole map: the preset's own text with the proposed [classes] and [places]."""
    kept = REPLACED.sub("", preset.read_text(encoding="utf-8")).rstrip()
    common = Counter(classes.values()).most_common(1)[0][0]
    head, bracket, rest = kept.partition("\n[")
    kept = f"{head}\ndefault_class = {quoted(common)}  # guess: for words that are not in [classes]\n{bracket}{rest}"
    written = [f"{quoted(word)} = {quoted(one)}" for word, one in sorted(classes.items()) if word]
    return "\n".join((kept, "", "[classes]", *written, "", as_toml(lines, words, chosen)))


def quoted(text: str) -> str:
    """Return a text as TOML writes it."""
    return json.dumps(text, ensure_ascii=False)


def names_in(path: Path) -> dict[str, str]:
    """Read the names of codes: a table of two columns of any names, or the tables of codes in a catalogue's answer (JSON).

    Raises
    ------
    ValueError
        When it is neither.
    """
    if path.suffix.lower() == ".json":
        return _names_in_answer(path)
    rows = [cells for _, cells in tables.plain_rows(path)]
    if not rows or len(rows[0]) < 2:
        raise ValueError(f"{path.name}: expected two columns, a code and its name")
    texts = (tuple(map(tables.cell_text, cells[:2])) for cells in rows[1:] if len(cells) > 1)
    return {code: name for code, name in texts if code and name}


def _names_in_answer(path: Path) -> dict[str, str]:
    """Return the names in a JSON object of tables (libcodeMap, localMap): a table with "local" in its name is of locations."""
    answer = json.loads(path.read_text(encoding="utf-8-sig"))
    names: dict[str, str] = {}
    for table, rows in answer.items() if isinstance(answer, dict) else ():
        if not table.startswith("_") and isinstance(rows, dict):
            before = ANYWHERE if "local" in table.lower() else ""
            named = {code: name for code, name in rows.items() if isinstance(name, str) and name.strip()}
            names |= {before + code.strip(): name.strip() for code, name in named.items()}
    if not names:
        raise ValueError(
            f"{path.name}: expected an object with tables of codes and names, such as libcodeMap and localMap"
        )
    return names
