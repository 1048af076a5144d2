"""Refused events, for those who may not see their content: the names of its fields and the forms of their values.

Whoever is refused may have written a reader's name into any field. A form keeps letters, digits and length, to help mend it,
and none of the content.
"""

import re
from itertools import islice
from typing import Any

import orjson

from rotation.facts.events import FACTS

KNOWN_WORDS = frozenset({"1.0", "application/json", *(fact.type for fact in FACTS)})
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}")
QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
# Of a text's form and of a list's members: more says nothing more.
SHOWN_CHARACTERS, SHOWN_MEMBERS = 40, 5
LETTER, CAPITAL, DIGIT, OTHER_LETTER = "a", "A", "9", "字"


def form_of_refused(original: bytes) -> str:
    """Return the form of a refused message or event, as JSON where it is some; else how long it is."""
    try:
        found = orjson.loads(original)
    except orjson.JSONDecodeError:
        return f"{len(original)} bytes, no JSON"
    return orjson.dumps(_form(found), option=orjson.OPT_INDENT_2).decode()


def message_without_values(message: str) -> str:
    """Return the mistake, with the form of each value that it quotes."""
    return QUOTED.sub(lambda quoted: f"'{_text(quoted[1] or quoted[2] or '')}'", message)


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return {_name(name): _form(inner) for name, inner in value.items()}
    if isinstance(value, list):
        more = [f"and {len(value) - SHOWN_MEMBERS} more"] if len(value) > SHOWN_MEMBERS else []
        return [_form(one) for one in islice(value, SHOWN_MEMBERS)] + more
    if isinstance(value, str):
        return value if value in KNOWN_WORDS else _text(value)
    return value if value is None or isinstance(value, bool) else "number"


def _name(name: str) -> str:
    """Return a field's name; a name that no program would give a field is shown by its form."""
    return name if FIELD_NAME.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    form = "".join(map(_sign, text[:SHOWN_CHARACTERS]))
    return f"{form}… ({len(text)} characters)" if len(text) > SHOWN_CHARACTERS else form


def _sign(sign: str) -> str:
    if sign.isnumeric() and (sign.isascii() or not sign.isalpha()):
        return DIGIT
    if not sign.isalpha():
        return sign
    if not sign.isascii():
        return OTHER_LETTER
    return CAPITAL if sign.isupper() else LETTER
