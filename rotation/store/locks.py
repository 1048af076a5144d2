"""The keys of PostgreSQL's advisory locks, all of them: two holders that must not meet share a key, all others differ."""

from enum import IntEnum


class AdvisoryLock(IntEnum):
    """A single holder at a time in the whole network."""

    MIGRATION = 7_276_001  # processes that start together migrate one after the other
    RELAY = 7_276_002  # one relay sends, so that the outbox keeps its order
    ALERTS = 7_276_003  # one count of alerts is written at a time
    FIRST_USER = 7_276_004  # two pages that start together make one administrator
    PLANNER = 7_276_005  # one planner decides a day
    CLOCK = 7_276_006  # one process holds the simulated clock
    DELIVERIES = 7_276_007  # one process delivers orders out
    CHANNELS = 7_276_008  # one process writes to channels
    NETWORK = 7_276_009  # one change of the network is judged and written at a time
    SETTINGS = 7_276_010  # one change of the city's settings is written at a time
    DECISIONS = 7_276_012  # one decision is chained to the last at a time (by the database, as its transaction commits)


class LockSpace(IntEnum):
    """First halves of two-part keys, whose second half is a subject's slot."""

    TRANSFER = 7_276
    CRATE = 7_277  # apart from transfers: a writer takes a crate's lock while it holds some of transfers
    COPY = 7_279  # one desk at a time says where a copy goes
    WRITE_BACK = 7_278  # one process writes back to a library system
