"""A town small enough to route in one's head: two hubs 19 km apart, six other places, lunch closures and a Sunday.

2026-03-02 is a Monday.
"""

from datetime import date
from typing import Any

from rotation.courier.calendar import Calendar
from rotation.courier.legs import Now, OpenTransfer, Where
from rotation.network import Network, from_tables

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = (date(2026, 3, day) for day in range(2, 9))
WEEKDAYS_9_TO_5 = {"mon-fri": "09:00-17:00"}

RAW: dict[str, Any] = {
    "network": {"id": "town", "name": "Town", "timezone": "Asia/Shanghai", "copies_per_crate": 4},
    "place": [
        {
            "id": "east",
            "name": "East hub",
            "tier": "district",
            "lat": 30.0,
            "lon": 120.0,
            "hours": WEEKDAYS_9_TO_5,
            "hub": {"cutoff": "17:00", "trunk_departs": "20:00"},
        },
        {
            "id": "west",
            "name": "West hub",
            "tier": "district",
            "lat": 30.0,
            "lon": 119.8,
            "hours": WEEKDAYS_9_TO_5,
            "hub": {"cutoff": "17:00", "trunk_departs": "20:00"},
        },
        {
            "id": "mill",
            "name": "Mill",
            "tier": "room",
            "parent": "east",
            "lat": 30.01,
            "lon": 120.01,
            "hours": {"mon-fri": ["09:00-12:00", "13:30-17:00"]},
        },
        {
            "id": "quay",
            "name": "Quay",
            "tier": "room",
            "parent": "east",
            "lat": 29.99,
            "lon": 120.02,
            "hours": {"mon": "09:00-17:00", "wed-sat": "09:00-17:00"},
        },
        {
            "id": "late",
            "name": "Late",
            "tier": "room",
            "parent": "east",
            "lat": 30.02,
            "lon": 120.0,
            "hours": {"mon-fri": "16:50-20:00"},
        },
        {
            "id": "hill",
            "name": "Hill",
            "tier": "room",
            "parent": "west",
            "lat": 30.01,
            "lon": 119.79,
            "hours": WEEKDAYS_9_TO_5,
            "closed": [date(2026, 3, 4)],
        },
        {"id": "shut", "name": "Shut", "tier": "room", "parent": "west", "lat": 30.02, "lon": 119.79},
        {"id": "nowhere", "name": "Nowhere", "tier": "room", "parent": "west", "hours": WEEKDAYS_9_TO_5},
    ],
    "van": [
        {"id": "e1", "hub": "east", "crates": 10, "shift": "08:00-20:00"},
        {"id": "e2", "hub": "east", "crates": 10, "shift": "12:00-20:00"},
        {"id": "w1", "hub": "west", "crates": 10, "shift": "08:00-18:00"},
    ],
}


def town() -> Network:
    """Return the network."""
    return from_tables(RAW, "town")


def calendar() -> Calendar:
    """Return the network's calendar."""
    return Calendar(town())


def morning_of(day: date) -> Now:
    """Return a plan made at six in the morning, when trunks have come and no van has left."""
    return Now(day, town().instant(day, 6 * 3600))


def waiting(from_place: str, to_place: str, number: int = 1) -> OpenTransfer:
    """Return a transfer that waits at its place."""
    return OpenTransfer(f"t-{from_place}-{to_place}-{number}", f"copy-{number}", to_place, Where.PLACE, from_place)
