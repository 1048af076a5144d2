"""Write-backs: orders and scans of ours as the library system's own check-ins, holds and homes."""

from enum import StrEnum


class WriteBackKind(StrEnum):
    """Kinds of write-backs, each switched on by itself for each library system."""

    # The receipt of a copy, or its departure: the library system decides what follows from it.
    CHECK_IN = "check_in"
    # A hold of the copy for the place that it is ordered to, so that a check-in sends it there.
    HOLD = "hold"
    # That hold is no longer needed: the copy has come, or its transfer was called off.
    DROP_HOLD = "drop_hold"
    # The place that the copy has come to is its home from now on.
    RELOCATE = "relocate"


class WriteBackFault(StrEnum):
    """Why a library system has not done a write-back."""

    AWAY = "away"
    NOT_ALLOWED = "not_allowed"
    UNKNOWN_ITEM = "unknown_item"
    REFUSED = "refused"
    # It would do harm there, so that nothing was sent.
    HARMFUL = "harmful"
