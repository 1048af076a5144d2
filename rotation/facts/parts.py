"""The processes of Rotation that must not stand still unseen, and their deeds."""

from enum import StrEnum


class Part(StrEnum):
    """A kind of process of ours that must not stand still unseen."""

    WORKER = "worker"
    RELAY = "relay"
    PLANNER = "planner"
    SOLVER = "solver"
    FEED = "feed"
    PAGE = "page"
    DELIVER = "deliver"
    WRITE_BACK = "write_back"


# What stands still beside the parts: waiting messages, a missing plan, messages that Kafka refused.
OUTBOX, PLAN, REFUSED = "outbox", "plan", "refused messages"


class Needed(StrEnum):
    """A system without which a feed cannot go on."""

    LIBRARY_DATABASE = "library_database"
    LIBRARY_SYSTEM = "library_system"
    KAFKA = "kafka"
    DATABASE = "database"
    NETWORK = "network"


class Deed(StrEnum):
    """A part's last deed."""

    STARTED = "started"
    APPLIED = "applied"
    SENT = "sent"
    PLANS = "plans"
    PLANNED = "planned"
    SOLVED = "solved"
    CARRIED = "carried"
    # Kafka, the database, or what else it needs does not answer.
    WAITS = "waits"
