"""How a copy stands by its item: whether and why nobody can pick it."""

from collections.abc import Mapping
from typing import NamedTuple

from rotation.facts.events import CopyCorrected, CopyDamaged, CopyMissing, CopyWithdrawn, Fact
from rotation.facts.movements import CopyState
from rotation.feeds.koha.mapping import KohaMap
from rotation.feeds.koha.reading import Row

# An item without a type of its own has its record's.
ITEM_TYPE = """coalesce(nullif(i.itype, ''),
    (SELECT m.itemtype FROM biblioitems m WHERE m.biblioitemnumber = i.biblioitemnumber))"""
# The item's own signs of where it is and whether it can be picked, as columns. A condition is NULL where it does not hold, since
# MariaDB packs some conditions as texts, and "0" would hold.
SIGNS: Mapping[str, str] = {
    "damaged": "i.damaged",
    "notforloan": "i.notforloan",
    "restricted": "i.restricted",
    "location": "i.location",
    "itemlost": "i.itemlost",
    "withdrawn": "i.withdrawn",
    "onloan": "IF(i.onloan IS NOT NULL, 1, NULL)",
    "holdingbranch": "i.holdingbranch",
    "type_not_for_loan": f"(SELECT nullif(y.notforloan, 0) FROM itemtypes y WHERE y.itemtype = {ITEM_TYPE})",
}
_FACT_OF_STATE = {
    CopyState.MISSING: CopyMissing,
    CopyState.WITHDRAWN: CopyWithdrawn,
    CopyState.DAMAGED: CopyDamaged,
}


class Standing(NamedTuple):
    """A copy's state by its item, and the reason why it cannot be picked, empty where the state says all."""

    state: CopyState
    reason: str = ""


def fact_of(state: CopyState, where: Mapping[str, str]) -> Fact:
    named = _FACT_OF_STATE.get(state)
    return named.model_validate(where) if named else CopyCorrected.model_validate({**where, "now": state})


def standing_of(row: Row, chosen: KohaMap) -> Standing | None:
    """Return how the item stands; None for a copy in transit, which its transfers report better."""
    signs = (
        (row["withdrawn"], Standing(CopyState.WITHDRAWN)),
        (row["itemlost"], Standing(CopyState.MISSING)),
        (row["onloan"], Standing(CopyState.ON_LOAN)),
        (row["on_the_way"], None),
        (row["waits"], Standing(CopyState.ON_HOLD_SHELF)),
    )
    return next((standing for sign, standing in signs if sign), at_its_branch(row, chosen))


def at_its_branch(row: Row, chosen: KohaMap) -> Standing:
    """Return how a copy stands that is at its branch: a copy that cannot be picked is not on the shelf."""
    if row["damaged"]:
        return Standing(CopyState.DAMAGED)
    reason = _why_not(row, chosen)
    return Standing(CopyState.WITHDRAWN, reason) if reason else Standing(CopyState.ON_SHELF)


def _why_not(row: Row, chosen: KohaMap) -> str | None:
    """Return why readers cannot have the copy, None if they can: its own sign counts before its item type's."""
    if own := row["notforloan"] or 0:
        return chosen.not_for_loan.get(str(own), "in_process" if own < 0 else "not_for_loan")
    if row["location"] in chosen.off_shelf:
        return chosen.off_shelf[row["location"]]
    if row["restricted"]:
        return "restricted"
    return "reference" if row["type_not_for_loan"] else None


def suffix(reason: str) -> str:
    """Return how a reason ends an event's id."""
    return f"/{reason}" if reason else ""
