"""The sentence or word for each code that stands in the database; the catalogues have both languages of it.

A code that is not here shows as itself: a page never fails over a word.
"""

from collections.abc import Mapping

from rotation.events import Reason
from rotation.movements import State
from rotation.network import Kind, Tier
from rotation.web.language import Language
from rotation.web.permissions import Role


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
    Kind.STAFFED: N_("Staffed"),
    Kind.ROOM: N_("Room"),
    Kind.MACHINE: N_("Self-service machine"),
    Kind.MOBILE_STOP: N_("Mobile stop"),
    Kind.SCHOOL: N_("School"),
    Kind.ENTERPRISE: N_("Enterprise"),
    Kind.WELFARE_HOME: N_("Welfare home"),
    Kind.STORE: N_("Store"),
}
STATES = {
    State.ON_SHELF: N_("On the shelf"),
    State.ON_LOAN: N_("On loan"),
    State.ON_HOLD_SHELF: N_("On the hold shelf"),
    State.PICKED: N_("Picked"),
    State.IN_TRANSIT: N_("In transit"),
    State.DAMAGED: N_("Damaged"),
    State.MISSING: N_("Missing"),
    State.WITHDRAWN: N_("Withdrawn"),
}
ALERTS = {
    "shortage": N_("Shortage"),
    "surplus": N_("Surplus"),
    "stale": N_("Stale stock"),
    "overdue": N_("Overdue in transit"),
    "unfair": N_("Unfair share"),
    "silent": N_("Silent place"),
    "feed": N_("Silent feed"),
}
STATUSES = {
    "draft": N_("Waits for approval"),
    "approved": N_("Approved"),
    "sent_back": N_("Sent back"),
    "ordered": N_("Ordered"),
    "under_way": N_("Under way"),
    "done": N_("Done"),
    "planned": N_("Planned"),
    "missed": N_("Missed"),
    "proposed": N_("Proposed"),
    "picked": N_("Picked"),
    "sent": N_("Sent"),
    "received": N_("Received"),
    "declined": N_("Declined"),
    "cancelled": N_("Cancelled"),
    "lost": N_("Lost"),
    "asked": N_("The owner is asked"),
    "held_back": N_("Held back at random"),
}
TRANSFER_KINDS = {
    "pick": N_("Pick from the shelf"),
    "placement": N_("After its return"),
    "shipment": N_("The library system's own"),
    "home": N_("On its way home"),
}
DECISIONS = {
    "approve": N_("Approved"),
    "send_back": N_("Sent back"),
    "lock": N_("Locked"),
    "move": N_("Moved"),
    "agree": N_("The owner agreed"),
    "decline": N_("The owner declined"),
}
LEGS = {
    "collect": N_("Collect"),
    "sort": N_("Sort"),
    "trunk": N_("Trunk"),
    "deliver": N_("Deliver"),
    "direct": N_("Direct"),
}
ROLES = {
    Role.DESK: N_("Desk or sorter"),
    Role.SOURCE: N_("Library system"),
    Role.VIEWER: N_("Viewer"),
    Role.DISPATCHER: N_("Dispatcher"),
    Role.ADMINISTRATOR: N_("Administrator"),
}
REJECTIONS = {
    Reason.NOT_UTF8: N_("The bytes are not UTF-8 text. Export again as UTF-8, or declare the encoding."),
    Reason.NOT_JSON: N_("This is no JSON. The message was cut off or damaged on its way."),
    Reason.NOT_A_BATCH: N_("Expected one event or a list of events."),
    Reason.TOO_LARGE: N_("The message is too large. Send fewer events in one message."),
    Reason.ENVELOPE: N_("The event's envelope is incomplete: id, source, type and time are needed."),
    Reason.UNKNOWN_TYPE: N_("No event of this type is known."),
    Reason.UNKNOWN_VERSION: N_("This version of the event is not known here. Upgrade Rotation, or send version 1."),
    Reason.DATA: N_("A field of the event is missing, unknown or of the wrong kind."),
    Reason.NO_ZONE: N_("The time has no zone. Add +08:00 or Z."),
    Reason.IN_THE_FUTURE: N_("The time lies in the future. Set the sender's clock right."),
    Reason.UNKNOWN_PLACE: N_("This place is not in the network file. Add it there, then replay the event."),
    Reason.UNKNOWN_CLASS: N_("This class is not in the network file. Add it there, then replay the event."),
    Reason.WRONG_HEADER: N_("A header says something else than the message."),
    Reason.REFUSED_BY_STORE: N_("The database refused the event."),
}
FLOORS = {
    "fresh": N_("Fresh copies today"),
    "shelf": N_("Special group's shelf"),
    "set": N_("Set that was asked for"),
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
    "weight_here": N_("Weight of fairness here"),
    "weight_there": N_("Weight of fairness there"),
    "gain_low": N_("Gain, 10 % mark"),
    "gain_high": N_("Gain, 90 % mark"),
}


def word(language: Language, words: Mapping[str, str], code: str) -> str:
    """Return the word for a code, or the code."""
    return language.say(words[code]) if code in words else code
