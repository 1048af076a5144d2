"""The life of everything that is planned or watched: each state and kind once, and the transitions between states.

A transition that is not in `TRANSITIONS` does not happen: `rotation.store.transitions.move` makes no other. The only exception is
a transfer that scans have reached: its last fact gives its state (`SCANNED`), in any order of arrival. The copy's own states are
in `rotation.facts.movements`.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

State = TypeVar("State", bound=StrEnum)


class TransferState(StrEnum):
    """How far a transfer has come."""

    PROPOSED = "proposed"
    # Its owner is asked whether it may go.
    ASKED = "asked"
    # Left undone at random, to be compared with the moves that are made.
    HELD_BACK = "held_back"
    APPROVED = "approved"
    ORDERED = "ordered"
    PICKED = "picked"
    SENT = "sent"
    RECEIVED = "received"
    DECLINED = "declined"
    # Should have left its place and did not.
    MISSED = "missed"
    CANCELLED = "cancelled"
    LOST = "lost"


class TransferKind(StrEnum):
    """Why a copy travels."""

    # The night takes it from a shelf.
    PICK = "pick"
    # A desk sends it on at its return.
    PLACEMENT = "placement"
    # The library system's own: a hold, or a return.
    SHIPMENT = "shipment"
    HOME = "home"


class DayPlanState(StrEnum):
    """How far a hub's plan of a day has come."""

    DRAFT = "draft"
    APPROVED = "approved"
    SENT_BACK = "sent_back"
    ORDERED = "ordered"
    DONE = "done"
    EXPIRED = "expired"


class RunState(StrEnum):
    """How far a van's run has come."""

    DRAFT = "draft"
    APPROVED = "approved"
    SENT_BACK = "sent_back"
    ORDERED = "ordered"
    UNDER_WAY = "under_way"
    DONE = "done"
    # Ended with stops missed.
    INCOMPLETE = "incomplete"
    EXPIRED = "expired"


class StopState(StrEnum):
    """Whether a van has called at a stop."""

    PLANNED = "planned"
    DONE = "done"
    MISSED = "missed"


class LegState(StrEnum):
    """Whether a leg is done; a planned leg that is over is planned anew each night."""

    PLANNED = "planned"
    DONE = "done"


class LegKind(StrEnum):
    """The work of a leg."""

    COLLECT = "collect"
    SORT = "sort"
    TRUNK = "trunk"
    DELIVER = "deliver"
    # From one stop of a run to another, past no hub.
    DIRECT = "direct"


class CrateState(StrEnum):
    """The scans of a crate, by the type of their event; the last scan is the crate's state."""

    CLOSED = "crate.closed"
    COLLECTED = "crate.collected"
    AT_HUB = "crate.at_hub"
    DELIVERED = "crate.delivered"


class AlertState(StrEnum):
    """The last change of an alert."""

    OPENED = "opened"
    CLOSED = "closed"


class AlertKind(StrEnum):
    """The subject of an alert."""

    SHORTAGE = "shortage"
    SURPLUS = "surplus"
    STALE = "stale"
    OVERDUE = "overdue"
    LATE = "late"
    MISSED = "missed"
    UNFAIR = "unfair"
    SILENT = "silent"
    FEED = "feed"
    UNSORTED = "unsorted"
    UNSENT = "unsent"
    NOT_LEFT = "not_left"
    LEG_LATE = "leg_late"
    SLOW = "slow"
    STANDSTILL = "standstill"
    UNFOUND = "unfound"
    COUNTS_DIFFER = "counts_differ"
    UNWRITTEN = "unwritten"
    DRAINED = "drained"
    INFEASIBLE = "infeasible"
    LOST = "lost"
    NEARLY_EMPTY = "nearly_empty"
    BIN_FULL = "bin_full"
    OUT_OF_ORDER = "out_of_order"
    # The database is not the sum of its facts.
    CONSERVATION = "conservation"


class ChannelKind(StrEnum):
    """How a channel takes alerts and digests."""

    EMAIL = "email"
    # JSON to an address.
    WEBHOOK = "webhook"
    WECOM = "wecom"
    DINGTALK = "dingtalk"
    # Whatever else the library apprise knows, Slack among them.
    APPRISE = "apprise"


class TargetKind(StrEnum):
    """How a target takes orders."""

    WEBHOOK = "webhook"
    # A folder into which whole files are put.
    JSON_LINES = "json_lines"
    CSV = "csv"


class AlertStep(StrEnum):
    """Steps that somebody took about an open alert."""

    ACKNOWLEDGED = "acknowledged"
    # Out of sight until an instant; it comes back by itself.
    SNOOZED = "snoozed"
    ASSIGNED = "assigned"
    COMMENTED = "commented"


class TransferMarkKind(StrEnum):
    """A dispatcher's own will about a transfer that the night chose."""

    # Served on its day if at all possible, and carried over to the next while it is not.
    PINNED = "pinned"
    # Left out, and its copy out of every plan, until it is released.
    KEPT_BACK = "kept_back"


class ReturnRuleKind(StrEnum):
    """Kinds of a librarian's rules for returned copies."""

    DO_NOT_FLOAT = "do_not_float"
    AT_MOST = "at_most"


class PlaceNoticeKind(StrEnum):
    """A place's notices of itself, for the next night to heed."""

    TOO_FULL = "too_full"
    TOO_EMPTY = "too_empty"
    CLOSED = "closed"


# --- Transitions ---------------------------------------------------------------------------------------------

_TRANSFER = {
    TransferState.PROPOSED: {TransferState.APPROVED, TransferState.CANCELLED},
    TransferState.ASKED: {TransferState.APPROVED, TransferState.CANCELLED},
    TransferState.APPROVED: {TransferState.ORDERED, TransferState.CANCELLED},
    TransferState.ORDERED: {TransferState.CANCELLED},
}
_DAY_PLAN = {
    DayPlanState.DRAFT: {DayPlanState.APPROVED, DayPlanState.SENT_BACK, DayPlanState.EXPIRED},
    # An approval can be taken back.
    DayPlanState.APPROVED: {DayPlanState.ORDERED, DayPlanState.DRAFT},
    DayPlanState.ORDERED: {DayPlanState.DONE, DayPlanState.DRAFT},
    # Changed by hand, it is decided on again.
    DayPlanState.SENT_BACK: {DayPlanState.DRAFT},
}
_RUN = {
    RunState.DRAFT: {RunState.APPROVED, RunState.SENT_BACK, RunState.EXPIRED},
    RunState.APPROVED: {RunState.ORDERED, RunState.DRAFT},
    RunState.SENT_BACK: {RunState.DRAFT},
    # Back to a draft only before its van leaves.
    RunState.ORDERED: {RunState.UNDER_WAY, RunState.DONE, RunState.INCOMPLETE, RunState.DRAFT},
    RunState.UNDER_WAY: {RunState.DONE, RunState.INCOMPLETE},
    # A scan of a stop that was taken for missed can still come.
    RunState.INCOMPLETE: {RunState.DONE},
}
_STOP = {
    StopState.PLANNED: {StopState.DONE, StopState.MISSED},
    StopState.MISSED: {StopState.DONE},
    # A scan that comes late can have an earlier hour.
    StopState.DONE: {StopState.DONE},
}
_LEG = {LegState.PLANNED: {LegState.DONE}}

# Members of different lifecycles with the same word are equal, so each lifecycle has a table of its own. A transfer has these by
# decisions; scans come on top.
TRANSITIONS: Mapping[type[StrEnum], Mapping[Any, set[Any]]] = {
    TransferState: _TRANSFER,
    DayPlanState: _DAY_PLAN,
    RunState: _RUN,
    StopState: _STOP,
    LegState: _LEG,
}


def before(state: State) -> tuple[State, ...]:
    """Return the states that `state` may follow, in the order of their lives; none where a thing begins with it."""
    own = type(state)
    return tuple(was for was in own if state in TRANSITIONS[own].get(was, ()))


# --- Named sets -------------------------------------------------------------------------------------------------------

# States that a transfer gets from its scans, each from the fact `transfer.<state>`; `transfer.misrouted` means SENT.
SCANNED = (
    TransferState.PICKED,
    TransferState.SENT,
    TransferState.RECEIVED,
    TransferState.DECLINED,
    TransferState.MISSED,
    TransferState.CANCELLED,
    TransferState.LOST,
)
# Picks that a day's vans are planned for: nobody has an order for them yet.
PLANNED = (TransferState.PROPOSED, TransferState.APPROVED)
# The copy has left its shelf and has not arrived.
CARRIED = (TransferState.PICKED, TransferState.SENT)
# Someone has the order to move the copy, and it has not arrived.
ON_ITS_WAY = (TransferState.ORDERED, *CARRIED)
# The courier plans to carry it.
TO_CARRY = (*PLANNED, *ON_ITS_WAY)
# The copy has not left its shelf.
MAY_BE_CANCELLED = before(TransferState.CANCELLED)
# Brings its copy, now or once it is agreed to and ordered.
COMING = (*MAY_BE_CANCELLED, *CARRIED)
# The move was not decided on, or was called off.
NOT_MADE = (TransferState.PROPOSED, TransferState.ASKED, TransferState.HELD_BACK, TransferState.CANCELLED)
# No order stands for it.
NOT_ORDERED = (*NOT_MADE, TransferState.APPROVED)
# Nothing follows.
ENDED = (
    TransferState.HELD_BACK,
    TransferState.RECEIVED,
    TransferState.DECLINED,
    TransferState.MISSED,
    TransferState.CANCELLED,
    TransferState.LOST,
)
# The place that was to pick the copy has answered.
ANSWERED = (TransferState.DECLINED, *CARRIED, TransferState.RECEIVED)
# The journey began, however it ended.
SET_OUT = (TransferState.SENT, TransferState.RECEIVED, TransferState.MISSED, TransferState.LOST)

# Kinds of transfers that Rotation decides; the others are the library system's.
OURS = (TransferKind.PICK, TransferKind.PLACEMENT)

# Nobody has approved it and no van has an order, so that the next plan may replace it. The same words for a plan and its runs.
CHANGEABLE_PLANS = (DayPlanState.DRAFT, DayPlanState.SENT_BACK)
CHANGEABLE_RUNS = (RunState.DRAFT, RunState.SENT_BACK)
# Vans had the order to drive.
SENT_OUT = (RunState.ORDERED, RunState.UNDER_WAY, RunState.INCOMPLETE, RunState.DONE)
# No van drives it: of another run, or of none.
NOT_DRIVEN = (RunState.SENT_BACK, RunState.EXPIRED)
# Vans are to drive, or drive.
OUT = (RunState.ORDERED, RunState.UNDER_WAY)
# States that a run gets from scans.
SCANNED_RUNS = (RunState.UNDER_WAY, RunState.INCOMPLETE, RunState.DONE)

# A van has called there, or has passed it by.
PASSED = (StopState.DONE, StopState.MISSED)

# The orders of hubs.
HUB_WORK = (LegKind.SORT, LegKind.TRUNK)

# A crate stands somewhere and no van has it.
STANDING = (CrateState.CLOSED, CrateState.AT_HUB)

# Levels of a shelf against its targets.
IMBALANCES = (AlertKind.SHORTAGE, AlertKind.SURPLUS)
# A self-service machine wants a visit.
WANTS_VISIT = (AlertKind.BIN_FULL, AlertKind.NEARLY_EMPTY)
# Copies that wait past their promise.
WAITS = (AlertKind.UNSORTED, AlertKind.UNSENT, AlertKind.NOT_LEFT, AlertKind.LEG_LATE, AlertKind.SLOW)

# Before a copy's id: the id of a shipment that no transfer is known of.
SHIPMENT_PREFIX = f"{TransferKind.SHIPMENT}-"


def listed(words: Iterable[StrEnum]) -> str:
    """Return words as SQL lists them: 'ordered', 'picked', 'sent'."""
    return ", ".join(f"'{word}'" for word in words)
