"""Names of users: kept as typed, looked up by a key that all spellings which look alike share."""

import unicodedata

UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})  # controls, zero-width and unassigned signs


def tidy(name: str) -> str:
    """Return a name as it is kept: compatible forms united (NFKC), no signs that nobody sees, single spaces."""
    seen = (sign for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign) not in UNSEEN)
    return " ".join("".join(seen).split())


def key_of(name: str) -> str:
    """Return the key under which a name is looked up and its tries are counted."""
    return unicodedata.normalize("NFKC", tidy(name).casefold())
