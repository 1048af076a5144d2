"""The order in which books stand on shelves, by their call numbers: CLC, Dewey, Library of Congress.

Each scheme has a rule of its own that turns a call number into a key; keys of a scheme compare as the shelf reads. A call
number that does not follow its scheme stands behind the others, in the order of its signs. Full-width signs count as usual ones.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from enum import StrEnum

Part = tuple[int, int, str]  # kind, number, text: parts of different kinds compare by kind
ShelfKey = tuple[int, tuple[Part, ...], tuple[Part, ...]]


class CallNumberScheme(StrEnum):
    """The classification that a place's call numbers follow."""

    CLC = "clc"
    DEWEY = "dewey"
    LC = "lc"


def shelf_key(scheme: CallNumberScheme, call_number: str) -> ShelfKey:
    """Return the key by which a call number sorts among those of its scheme; never raises. Empty ones come last."""
    text = unicodedata.normalize("NFKC", call_number).strip()
    return _KEYS[scheme](text) or (_OUTSIDE, (), _natural(text)) if text else (_NONE, (), ())


# Behind call numbers that follow their scheme (0) stand those that do not, then copies without one.
_OUTSIDE, _NONE = 1, 2
# Within a book mark: a number by its value, then words; so 77 stands before 208 and both before H123.
_NUMBER, _WORD = 0, 1
_NATURAL = re.compile(r"(\d+)|([^\W\d_]+)|(\S)")


def _natural(text: str) -> tuple[Part, ...]:
    """Split a book mark into signs, numbers by value, and words."""
    found = _NATURAL.finditer(text.upper())
    return tuple((_NUMBER, int(n[1]), n[1]) if n[1] else (_WORD, 0, n[0]) for n in found)


# --- CLC --------------------------------------------------------------------------------------------------------------

# The Classification's own order of signs after the same digits: nothing, the recommended mark, the auxiliary tables (general
# forms, places, periods, peoples, common places and times), joined numbers; then digits, decimally; then a second letter.
_SIGNS = 'a-(="<+:'
_CLC = re.compile(r"([A-Z]{1,2}[0-9A-Za-z.\-()=\"<>+:\[\]]*?)(?:\s*/\s*|\s+|$)(.*)")


def _clc(text: str) -> ShelfKey | None:
    found = _CLC.fullmatch(text[:1].upper() + text[1:])
    return (0, tuple(map(_clc_sign, found[1].replace(".", ""))), _natural(found[2])) if found else None


def _clc_sign(sign: str) -> Part:
    if sign in _SIGNS:
        return 0, _SIGNS.index(sign), ""
    return (1, int(sign), "") if sign.isdigit() else (2, 0, sign)


# --- Dewey ------------------------------------------------------------------------------------------------------------

# A prefix such as J or REF, three digits, a decimal, then the cutter or the author's letters, the year, the volume.
_DEWEY = re.compile(r"(\D*?)(\d{3})(?:\.(\d+))?(?!\d)(.*)")
_MARK = re.compile(r"([A-Z]+)(\d+)([A-Z]*)|(\d+)|([^\W\d_]+)")


def _dewey(text: str) -> ShelfKey | None:
    found = _DEWEY.fullmatch(text.upper().replace("/", " ").replace("'", ""))
    if found is None:
        return None
    prefix, whole, decimal, rest = found.groups(default="")
    return 0, ((0, 0, prefix.strip()), (0, int(whole), decimal)), _marks(rest)


def _marks(text: str) -> tuple[Part, ...]:
    """Split the rest after the class: years and volumes by value, cutters decimally, words by their letters."""
    return tuple(_mark(found) for found in _MARK.finditer(text.upper()))


def _mark(found: re.Match[str]) -> Part:
    letters, decimal, more, number, word = found.groups(default="")
    if number:
        return _NUMBER, int(number), ""
    return _WORD, 0, f"{letters}{decimal}{more}" if letters else word


# --- Library of Congress ----------------------------------------------------------------------------------------------

# Letters, a whole number, a decimal, then cutters (decimal), years and volumes.
_LC = re.compile(r"([A-Z]{1,3})\s*(\d{1,4})(?:\.(\d+))?(?!\d)(.*)")


def _lc(text: str) -> ShelfKey | None:
    found = _LC.fullmatch(text.upper())
    if found is None:
        return None
    letters, whole, decimal, rest = found.groups(default="")
    return 0, ((0, 0, letters), (0, int(whole), decimal)), _marks(rest)


_KEYS: Mapping[CallNumberScheme, Callable[[str], ShelfKey | None]] = {
    CallNumberScheme.CLC: _clc,
    CallNumberScheme.DEWEY: _dewey,
    CallNumberScheme.LC: _lc,
}
