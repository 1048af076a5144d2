"""Where the demonstration's books stand: call numbers of the Chinese Library Classification, rooms and shelves by class."""

from collections.abc import Mapping
from typing import NamedTuple

from rotation.network import Place, PlaceKind, Tier


class ClassShelving(NamedTuple):
    """A class's room, the letter of its shelves, and the numbers of the classification that its titles have."""

    room: str
    shelves: str
    numbers: tuple[str, ...]


CHILDREN, LITERATURE, STUDY, LIVING = "少儿室", "一楼 文学", "二楼 社科与科技", "二楼 生活"
OF_CLASS: Mapping[str, ClassShelving] = {
    "picture-books": ClassShelving(CHILDREN, "A", ("I287.8", "I18", "I561.85")),
    "children": ClassShelving(CHILDREN, "B", ("I287.45", "I287.5", "I287.7", "Z228.1")),
    "youth": ClassShelving(LITERATURE, "B", ("I247.7", "I287.47", "I516.45")),
    "fiction": ClassShelving(LITERATURE, "C", ("I247.5", "I247.57", "I267", "I313.45", "I512.44")),
    "humanities": ClassShelving(STUDY, "D", ("B82-49", "C912.1", "D669", "K20", "K825.6", "K928.9")),
    "science": ClassShelving(STUDY, "E", ("N49", "O1-49", "P1", "Q95-49", "TP311.1", "TP312")),
    "life": ClassShelving(LIVING, "F", ("G78", "R161", "TS972.122", "TS976.15")),
    "business": ClassShelving(STUDY, "G", ("F0-49", "F27", "F713.3", "F830.59")),
    "large-print": ClassShelving(LIVING, "H", ("I267", "K825.6", "R161.7")),
    "minority-languages": ClassShelving(STUDY, "J", ("H2", "I29")),
    "audio-braille": ClassShelving(LIVING, "K", ("I267", "TN912")),
    "foreign-languages": ClassShelving(STUDY, "L", ("H31", "I561.45", "I712.45")),
}
OTHER = ClassShelving(STUDY, "Z", ("Z1",))
SHELVES = 6  # of a class
BOOK_MARKS = 900  # titles with the same class number have different ones


def shelving(place: Place, title_class: str, title: int) -> dict[str, str]:
    """Return the fields of copy.added that say where a copy stands; the small rooms have neither rooms nor marked shelves."""
    found = OF_CLASS.get(title_class, OTHER)
    kind = title % len(found.numbers)
    call = {"call_number": f"{found.numbers[kind]}/{title // len(found.numbers) % BOOK_MARKS + 1}"}
    if place.tier is Tier.ROOM or place.kind is not PlaceKind.STAFFED:
        return call
    return {**call, "room": found.room, "shelf": f"{found.shelves}{kind % SHELVES + 1}"}
