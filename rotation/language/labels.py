"""The sentence or word for each code that stands in the database; the catalogues have both languages of it.

A code that is not here shows as itself: a page never fails over a word.
"""

from collections.abc import Mapping

from rotation.accounts.permissions import Role, Scope
from rotation.accounts.security import SecurityEvent
from rotation.facts.events import RejectionReason
from rotation.facts.lifecycle import (
    AlertKind,
    AlertState,
    AlertStep,
    ChannelKind,
    CrateState,
    DayPlanState,
    LegKind,
    LegState,
    PlaceNoticeKind,
    ReturnRuleKind,
    RunState,
    StopState,
    TargetKind,
    TransferKind,
    TransferMarkKind,
    TransferState,
)
from rotation.facts.movements import CopyState
from rotation.facts.parts import OUTBOX, PLAN, Needed, Part
from rotation.facts.write_back import WriteBackFault, WriteBackKind
from rotation.language.catalogues import Language
from rotation.network import PlaceKind, Tier


def N_(message: str) -> str:  # noqa: N802, the name by which extractors know a message
    """Mark a message for the catalogues."""
    return message


TIERS = {
    Tier.CENTRAL: N_("Central library"),
    Tier.DISTRICT: N_("District library"),
    Tier.SUBDISTRICT: N_("Subdistrict branch"),
    Tier.ROOM: N_("Village or community room"),
}
KINDS = {
    PlaceKind.STAFFED: N_("Staffed"),
    PlaceKind.ROOM: N_("Room"),
    PlaceKind.MACHINE: N_("Self-service machine"),
    PlaceKind.MOBILE_STOP: N_("Mobile stop"),
    PlaceKind.SCHOOL: N_("School"),
    PlaceKind.ENTERPRISE: N_("Enterprise"),
    PlaceKind.WELFARE_HOME: N_("Welfare home"),
    PlaceKind.STORE: N_("Store"),
}
STATES: Mapping[str, str] = {
    CopyState.ON_SHELF: N_("On the shelf"),
    CopyState.ON_LOAN: N_("On loan"),
    CopyState.ON_HOLD_SHELF: N_("On the hold shelf"),
    CopyState.PICKED: N_("Picked"),
    CopyState.IN_TRANSIT: N_("In transit"),
    CopyState.DAMAGED: N_("Damaged"),
    CopyState.MISSING: N_("Missing"),
    CopyState.UNKNOWN: N_("Unknown, last seen there"),
    CopyState.WITHDRAWN: N_("Withdrawn"),
}
ALERTS = {
    AlertKind.SHORTAGE: N_("Shortage"),
    AlertKind.SURPLUS: N_("Surplus"),
    AlertKind.STALE: N_("Stale stock"),
    AlertKind.OVERDUE: N_("Overdue in transit"),
    AlertKind.LATE: N_("Van late"),
    AlertKind.MISSED: N_("Stop missed"),
    AlertKind.UNFAIR: N_("Unfair share"),
    AlertKind.SILENT: N_("Silent place"),
    AlertKind.FEED: N_("Silent feed"),
    AlertKind.UNSORTED: N_("Not sorted"),
    AlertKind.UNSENT: N_("Not sent on"),
    AlertKind.NOT_LEFT: N_("Left by its van"),
    AlertKind.LEG_LATE: N_("Leg not done"),
    AlertKind.SLOW: N_("Slow on the way"),
    AlertKind.STANDSTILL: N_("Stands still"),
    AlertKind.UNFOUND: N_("Often not found"),
    AlertKind.COUNTS_DIFFER: N_("Counts differ at a handover"),
    AlertKind.UNWRITTEN: N_("Not written back"),
    AlertKind.DRAINED: N_("Drained place"),
    AlertKind.INFEASIBLE: N_("Plan that breaks limits"),
    AlertKind.LOST: N_("Lost in transit"),
    AlertKind.NEARLY_EMPTY: N_("Machine nearly empty"),
    AlertKind.BIN_FULL: N_("Return bin full"),
    AlertKind.OUT_OF_ORDER: N_("Machine out of order"),
    AlertKind.CONSERVATION: N_("Facts do not add up"),
}
TRANSFER_STATES = {
    TransferState.PROPOSED: N_("Proposed"),
    TransferState.ASKED: N_("The owner is asked"),
    TransferState.HELD_BACK: N_("Held back at random"),
    TransferState.APPROVED: N_("Approved"),
    TransferState.ORDERED: N_("Ordered"),
    TransferState.PICKED: N_("Picked"),
    TransferState.SENT: N_("Sent"),
    TransferState.RECEIVED: N_("Received"),
    TransferState.DECLINED: N_("Declined"),
    TransferState.MISSED: N_("Missed"),
    TransferState.CANCELLED: N_("Cancelled"),
    TransferState.LOST: N_("Lost"),
}
DAY_PLAN_STATES = {
    DayPlanState.DRAFT: N_("Waits for approval"),
    DayPlanState.APPROVED: N_("Approved"),
    DayPlanState.SENT_BACK: N_("Sent back"),
    DayPlanState.ORDERED: N_("Ordered"),
    DayPlanState.DONE: N_("Done"),
    DayPlanState.EXPIRED: N_("Expired"),
}
RUN_STATES = {
    RunState.DRAFT: N_("Waits for approval"),
    RunState.APPROVED: N_("Approved"),
    RunState.SENT_BACK: N_("Sent back"),
    RunState.ORDERED: N_("Ordered"),
    RunState.UNDER_WAY: N_("Under way"),
    RunState.DONE: N_("Done"),
    RunState.INCOMPLETE: N_("Ended with stops missed"),
    RunState.EXPIRED: N_("Expired"),
}
STOP_STATES = {
    StopState.PLANNED: N_("Planned"),
    StopState.DONE: N_("Done"),
    StopState.MISSED: N_("Missed"),
}
LEG_STATES = {
    LegState.PLANNED: N_("Planned"),
    LegState.DONE: N_("Done"),
}
# A word means the same in every lifecycle that has it, so that a page need not say which.
STATUSES = TRANSFER_STATES | DAY_PLAN_STATES | RUN_STATES | STOP_STATES | LEG_STATES
CRATE_STATES = {
    CrateState.CLOSED: N_("Crate closed"),
    CrateState.COLLECTED: N_("Crate in a van"),
    CrateState.AT_HUB: N_("Crate at the hub"),
    CrateState.DELIVERED: N_("Crate handed over"),
}
# Facts of a copy's way, by the type of their event.
FACTS: Mapping[str, str] = {
    **{f"transfer.{state}": text for state, text in TRANSFER_STATES.items()},
    **{str(kind): text for kind, text in CRATE_STATES.items()},
    "transfer.misrouted": N_("Came to the wrong place"),
}
# The subject of a standstill; a feed is called by its own name.
STANDSTILLS = {
    Part.WORKER: N_("Worker"),
    Part.RELAY: N_("Relay"),
    Part.PLANNER: N_("Planner"),
    Part.SOLVER: N_("Route solver"),
    Part.PAGE: N_("Page"),
    Part.DELIVER: N_("Orders out"),
    Part.WRITE_BACK: N_("Write-back"),
    OUTBOX: N_("Messages for Kafka"),
    PLAN: N_("The day's plan"),
}
# What does not add up.
CONSERVED = {
    "copies": N_("Copies"),
    "holds": N_("Holds"),
    "crates": N_("Crates"),
    "machines": N_("Machines"),
    "transfers": N_("Transfers"),
    "events": N_("Events"),
}
# What an alert says, from the numbers that opened it.
ALERT_SENTENCES: Mapping[str, str] = {
    AlertKind.SHORTAGE: N_("%(level)s on the shelf and %(coming)s on the way, %(low)s to %(high)s wanted"),
    AlertKind.SURPLUS: N_("%(level)s on the shelf, %(low)s to %(high)s wanted"),
    AlertKind.OVERDUE: N_(
        "Copies in transit for much longer than their lane takes, or for more than %(days)s days where that is not known:"
        " %(count)s; for more than a year: %(count_over_365_days)s"
    ),
    AlertKind.STALE: N_("%(idle)s of %(on_shelf)s copies not borrowed for %(days)s days"),
    AlertKind.UNFAIR: N_("%(per_1000)s copies per 1,000 residents, the tier's median is %(median_per_1000)s"),
    AlertKind.SILENT: N_("no event for %(open_hours)s open hours"),
    AlertKind.LATE: N_("%(van)s was due at %(planned)s and will be %(minutes)s min late"),
    AlertKind.MISSED: N_("%(van)s was due at %(planned)s and did not come; the crates it missed are planned again"),
    AlertKind.FEED: N_("no event for %(open_hours)s open hours"),
    AlertKind.UNSORTED: N_("Copies here that missed a sorting: %(count)s"),
    AlertKind.UNSENT: N_("Copies still here after their trunk left: %(count)s"),
    AlertKind.NOT_LEFT: N_("Copies still here after their van left: %(count)s"),
    AlertKind.LEG_LATE: N_("Copies whose leg from here is overdue: %(count)s"),
    AlertKind.SLOW: N_("Copies on their way here longer than usual: %(count)s"),
    AlertKind.UNFOUND: N_(
        "%(not_found)s of %(picks)s copies were not found in %(days)s days: what the records say of this place is wrong"
    ),
    AlertKind.COUNTS_DIFFER: N_(
        "%(run)s, van and place: handed over %(van_handed)s and %(room_handed)s, taken %(van_taken)s and %(room_taken)s,"
        " empty crates %(van_empties)s and %(room_empties)s"
    ),
    AlertKind.UNWRITTEN: N_(
        "Orders and scans that this library system has not taken: %(waiting)s wait, %(refused)s were refused; see Write-back"
    ),
    AlertKind.DRAINED: N_("copies held: %(held)s; %(before)s %(days)s days before"),
    AlertKind.INFEASIBLE: N_("The plan of %(day)s breaks limits: %(violations)s; stops not served: %(unserved)s"),
    AlertKind.LOST: N_("Copies on their way here that were given up in %(days)s days: %(count)s"),
    AlertKind.NEARLY_EMPTY: N_("%(filled)s of %(slots)s slots hold a copy; reported at %(reported)s"),
    AlertKind.BIN_FULL: N_("%(copies)s copies in the return bin, which holds %(holds)s; reported at %(reported)s"),
    AlertKind.OUT_OF_ORDER: N_(
        "It reports the fault %(fault)s since %(reported)s or earlier; nothing is brought there until it is mended"
    ),
    AlertKind.CONSERVATION: N_(
        "%(count)s differ from the sum of their facts, counted at %(counted)s: %(first)s; `rotation audit` names all of them"
    ),
}
SCOPES = {
    Scope.READ: N_("Read only"),
    Scope.EVENTS: N_("Send events"),
    Scope.COUNTS: N_("Send the city's counts"),
    Scope.DECISIONS: N_("Decide, and ask for sets"),
    Scope.DESK: N_("Desk: placement, crates received"),
}
# From which figure on an alert opens.
THRESHOLDS: Mapping[str, str] = {
    AlertKind.SHORTAGE: N_("below %(n)s%% of the least that should stand there"),
    AlertKind.SURPLUS: N_("above %(n)s%% of the most that should stand there"),
    AlertKind.STALE: N_("more than %(n)s%% of a shelf not borrowed for half a year"),
    AlertKind.OVERDUE: N_("after %(n)s days in transit"),
    AlertKind.SILENT: N_("after %(n)s open hours without an event"),
}
THRESHOLD_UNITS = {
    AlertKind.SHORTAGE: "%",
    AlertKind.SURPLUS: "%",
    AlertKind.STALE: "%",
    AlertKind.OVERDUE: N_("days"),
    AlertKind.SILENT: N_("open hours"),
}
PLACE_NOTICES = {
    PlaceNoticeKind.TOO_FULL: N_("Too full"),
    PlaceNoticeKind.TOO_EMPTY: N_("Too empty"),
    PlaceNoticeKind.CLOSED: N_("Not open"),
}
CHANNELS = {
    ChannelKind.EMAIL: N_("E-mail"),
    ChannelKind.WEBHOOK: N_("Webhook"),
    ChannelKind.WECOM: N_("WeCom group robot"),
    ChannelKind.DINGTALK: N_("DingTalk group robot"),
    ChannelKind.APPRISE: N_("Slack and others (Apprise)"),
}
# The address that a channel of each kind wants.
CHANNEL_ADDRESSES = {
    ChannelKind.EMAIL: N_(
        "smtps://user:password@mail.example.org?from=rotation@example.org&to=desk@example.org; or smtp:// with STARTTLS"
    ),
    ChannelKind.WEBHOOK: N_("https://…: gets JSON with subject, text and id"),
    ChannelKind.WECOM: N_("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…"),
    ChannelKind.DINGTALK: N_(
        "https://oapi.dingtalk.com/robot/send?access_token=…, with &secret=SEC… where the robot wants signatures"
    ),
    ChannelKind.APPRISE: N_("an address as Apprise has it, such as slack://TokenA/TokenB/TokenC/#channel"),
}
WRITE_BACKS = {
    WriteBackKind.CHECK_IN: N_("Check-in"),
    WriteBackKind.HOLD: N_("Hold of the copy"),
    WriteBackKind.DROP_HOLD: N_("Drop the hold"),
    WriteBackKind.RELOCATE: N_("New home"),
}
# What is wrong, and what to do.
WRITE_BACK_FAULTS = {
    WriteBackFault.AWAY: N_("The library system does not answer; it is asked again by itself."),
    WriteBackFault.NOT_ALLOWED: N_("Our account may not do this there: give it the right, then try again."),
    WriteBackFault.UNKNOWN_ITEM: N_(
        "The library system has no such item: look for the barcode there, then try again or leave it."
    ),
    WriteBackFault.REFUSED: N_(
        "The library system refused it: do it there by hand and leave it here, or mend the cause and try again."
    ),
    WriteBackFault.HARMFUL: N_(
        "Nothing was sent, since it would do harm there: do it there by hand, and leave it here."
    ),
}
TARGETS = {
    TargetKind.WEBHOOK: N_("Webhook"),
    TargetKind.JSON_LINES: N_("Files, JSON lines"),
    TargetKind.CSV: N_("Files, CSV"),
}
RETURN_RULES = {
    ReturnRuleKind.DO_NOT_FLOAT: N_("Does not float: goes home"),
    ReturnRuleKind.AT_MOST: N_("At most so many of a title at a place"),
}
# Why staff said otherwise at the desk.
OVERRULES = {
    "reader_asked": N_("A reader just asked for it"),
    "event_here": N_("Needed for an event here"),
    "damaged_copy": N_("Damaged, to be mended"),
    "shelf_full": N_("No room on the shelf"),
    "other": N_("Other"),
}
# Why a driver could not serve a stop.
WHY_NOT_SERVED = {
    "closed_door": N_("Closed"),
    "nobody_there": N_("Nobody there"),
    "no_access": N_("No access for the van"),
    "refused_crates": N_("The crates were refused"),
    "other": N_("Other"),
}
SECURITY_EVENTS = {
    SecurityEvent.SIGNED_IN: N_("Signed in"),
    SecurityEvent.WRONG_PASSWORD: N_("Wrong password"),
    SecurityEvent.MADE_TO_WAIT: N_("Made to wait after wrong passwords"),
    SecurityEvent.SIGNED_OUT: N_("Signed out"),
    SecurityEvent.SIGNED_OUT_EVERYWHERE: N_("Signed out everywhere"),
    SecurityEvent.PASSWORD_CHANGED: N_("Password changed"),
    SecurityEvent.PASSWORD_RESET: N_("New one-time password"),
    SecurityEvent.USER_ADDED: N_("User added"),
    SecurityEvent.USER_REMOVED: N_("User removed"),
    SecurityEvent.ROLE_CHANGED: N_("Role changed"),
    SecurityEvent.TOKEN_MADE: N_("Token made"),
    SecurityEvent.TOKEN_ENDED: N_("Token ended"),
    SecurityEvent.BAD_TOKEN: N_("Token not known"),
    SecurityEvent.NOT_ALLOWED: N_("Not allowed"),
    SecurityEvent.MESSAGE_DROPPED: N_("Refused message dropped"),
    SecurityEvent.PURGED: N_("Text purged everywhere"),
}
ALERT_STEPS = {
    AlertStep.ACKNOWLEDGED: N_("took note"),
    AlertStep.SNOOZED: N_("put off"),
    AlertStep.ASSIGNED: N_("given to"),
    AlertStep.COMMENTED: N_("said"),
}
ALERT_STATES = {AlertState.OPENED: N_("Alert opened"), AlertState.CLOSED: N_("Alert closed")}
TRANSFER_KINDS = {
    TransferKind.PICK: N_("Pick from the shelf"),
    TransferKind.PLACEMENT: N_("After its return"),
    TransferKind.SHIPMENT: N_("The library system's own"),
    TransferKind.HOME: N_("On its way home"),
}
NEEDED = {
    Needed.LIBRARY_DATABASE: N_("The library system's database cannot be reached; the feed tries again by itself."),
    Needed.LIBRARY_SYSTEM: N_("The library system does not answer; the feed tries again by itself."),
    Needed.KAFKA: N_("Kafka cannot be reached; the feed tries again by itself."),
    Needed.DATABASE: N_("Rotation's database cannot be reached; the feed tries again by itself."),
    Needed.NETWORK: N_("The network does not reach the library system; the feed tries again by itself."),
}
DECISIONS = {
    "approve": N_("Approved"),
    "send_back": N_("Sent back"),
    "take_back": N_("Approval taken back"),
    "change": N_("Changed by hand"),
    "wait": N_("Left to a person"),
    "agree": N_("The owner agreed"),
    "decline": N_("The owner declined"),
    "receive": N_("Received a crate"),
    "upkeep": N_("Network changed"),
    TransferMarkKind.PINNED: N_("Pinned"),
    TransferMarkKind.KEPT_BACK: N_("Kept back"),
    "release": N_("Released"),
}
LEGS = {
    LegKind.COLLECT: N_("Collect"),
    LegKind.SORT: N_("Sort"),
    LegKind.TRUNK: N_("Trunk"),
    LegKind.DELIVER: N_("Deliver"),
    LegKind.DIRECT: N_("Direct"),
}
ROLES = {
    Role.DESK: N_("Desk or sorter"),
    Role.BRANCH: N_("Branch"),
    Role.HUB: N_("Hub"),
    Role.DRIVER: N_("Driver"),
    Role.SOURCE: N_("Library system"),
    Role.VIEWER: N_("Viewer"),
    Role.DISPATCHER: N_("Dispatcher"),
    Role.ADMINISTRATOR: N_("Administrator"),
}
REJECTIONS = {
    RejectionReason.NOT_UTF8: N_("The bytes are not UTF-8 text. Export again as UTF-8, or declare the encoding."),
    RejectionReason.NOT_JSON: N_("Not valid JSON. The message was cut off or damaged on its way."),
    RejectionReason.NOT_A_BATCH: N_("Expected one event or a list of events."),
    RejectionReason.TOO_LARGE: N_("The message is too large. Send fewer events in one message."),
    RejectionReason.ENVELOPE: N_("The event's envelope is incomplete: id, source, type and time are needed."),
    RejectionReason.UNKNOWN_TYPE: N_("Unknown event type."),
    RejectionReason.UNKNOWN_VERSION: N_(
        "This version of the event is not known here. Upgrade Rotation, or send version 1."
    ),
    RejectionReason.DATA: N_("A field of the event is missing, unknown or of the wrong type."),
    RejectionReason.NO_ZONE: N_("The time has no zone. Add +08:00 or Z."),
    RejectionReason.IN_THE_FUTURE: N_("The time is in the future. Correct the sender's clock."),
    RejectionReason.UNKNOWN_PLACE: N_("This place is not in the network file. Add it there, then replay the event."),
    RejectionReason.UNKNOWN_CLASS: N_("This class is not in the network file. Add it there, then replay the event."),
    RejectionReason.WRONG_HEADER: N_("A header contradicts the message."),
    RejectionReason.REFUSED_BY_STORE: N_("The database refused the event."),
}
FLOORS = {
    "fresh": N_("Fresh copies today"),
    "shelf": N_("Special group's shelf"),
    "set": N_("Requested set"),
}
LIMITS = {
    "stock": N_("there is no more stock to move"),
    "room": N_("there is no room on the shelf"),
    "in_copies": N_("no more copies can be taken in"),
    "worth": N_("every copy is worth more elsewhere"),
}
NUMBERS = {  # of reasons; rates are loans a week, the rest copies, weeks or expected loans
    "waiting": N_("Readers waiting there"),
    "copies_here": N_("Copies here"),
    "copies_there": N_("Copies there"),
    "rate_here": N_("Loans a week here"),
    "rate_there": N_("Loans a week there"),
    "idle_weeks": N_("Weeks on the shelf without a loan"),
    "loss_here": N_("Loans lost here"),
    "value_there": N_("Loans gained there"),
    "value_here": N_("Worth here"),
    "value_home": N_("Worth at home"),
    "cost": N_("Handling and transport, in loans"),
    "price": N_("What every move must bring"),
    "prices": N_("Prices of shelf, intake and move"),
    "room_price": N_("Price of shelf room there"),
    "net": N_("What remains"),
    "gain_low": N_("Gain, 10 % mark"),
    "gain_high": N_("Gain, 90 % mark"),
}


def word(language: Language, words: Mapping[str, str], code: str) -> str:
    """Return the word for a code, or the code."""
    return language.say(words[code]) if code in words else code


CITY_SETTINGS: Mapping[str, str] = {  # `rotation.store.city_settings.DECIDING`
    "approval": N_("Approval of a day's plan"),
    "policy_cost_share": N_("Policy: share above the usual cost that goes by itself"),
    "policy_moves": N_("Policy: most copies moved in a day that goes by itself"),
    "policy_until": N_("Policy: time until which an unusual day waits"),
    "policy_then": N_("Policy: what happens then"),
    "moves_per_day": N_("Shelf picks a day"),
    "staff_minutes_per_day": N_("Staff minutes a day for picks"),
    "van_hours_per_day": N_("Van hours a day for picks"),
    "loan_cents": N_("Worth of a loan in cents"),
    "loans_per_km": N_("A copy's share of a kilometre, in loans"),
    "held_back_share": N_("Share of moves held back to measure their gain"),
    "desk_held_back_share": N_("Share of places and weeks without the desk's rule, to measure its gain"),
    "desk_mode": N_("Whether the desk's rule acts, or is only watched (shadow)"),
}
# The words that a city's setting may be.
CITY_CHOICES: Mapping[str, str] = {
    "automatic": N_("by itself, at once"),
    "held": N_("by a person"),
    "policy": N_("by itself where the policy allows, else by a person"),
    "approve": N_("it is approved"),
    "send_back": N_("it is sent back"),
    "wait": N_("it waits on"),
    "acts": N_("acts"),
    "shadow": N_("is only watched"),
}
