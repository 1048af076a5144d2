"""Work by hand, as scans name it."""

from enum import StrEnum


class HandWork(StrEnum):
    """Purposes of a scan on a page for hands."""

    PICK = "pick"
    NOT_FOUND = "not_found"
    ANY_FIT = "any_fit"
    CLOSE_CRATE = "close_crate"
    RECEIVE = "receive"
    RETURN = "return"
    OVERRULE = "overrule"
    SORT = "sort"
    CRATE = "crate"
    HAND_OVER = "hand_over"
    NOT_SERVED = "not_served"
    SERVE_MACHINE = "serve_machine"


def bag_label(crate_id: str, number: int, bags: int) -> str:
    """Return the code on a bag's label: where there is a single bag, the crate's number is enough."""
    return f"{crate_id}/{number}" if bags > 1 else crate_id
