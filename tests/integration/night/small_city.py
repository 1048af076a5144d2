"""A network of a hub, a branch and a room, and a way to write facts of its copies straight into the database."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert

from rotation.facts.movements import CopyState, Movement, present
from rotation.network import Network, from_tables
from rotation.store.tables import copies, movements, titles

MONDAY = datetime(2026, 3, 2, 4, tzinfo=UTC)  # noon in Shanghai
OPEN = {"mon-sun": ["09:00-18:00"]}
NETWORK: Network = from_tables(
    {
        "network": {"id": "small", "name": "Small"},
        "class": [{"id": "children", "name": "Children"}, {"id": "fiction", "name": "Fiction"}],
        "owner": [{"id": "city", "name": "City"}],
        "place": [
            {
                "id": "centre",
                "name": "Centre",
                "tier": "central",
                "lat": 30.0,
                "lon": 120.0,
                "hours": OPEN,
                "population": 5000,
                "shelf": {"children": 40, "fiction": 40},
                "hub": {},
            },
            {
                "id": "branch",
                "name": "Branch",
                "tier": "subdistrict",
                "parent": "centre",
                "lat": 30.02,
                "lon": 120.03,
                "hours": OPEN,
                "population": 3000,
                "shelf": {"children": 20, "fiction": 20},
            },
            {
                "id": "room",
                "name": "Room",
                "tier": "room",
                "parent": "branch",
                "lat": 30.03,
                "lon": 120.05,
                "hours": OPEN,
                "population": 2000,
                "shelf": {"children": 10, "fiction": 10},
            },
        ],
        "van": [{"id": "v1", "hub": "centre", "crates": 20}],
    },
    "small.toml",
)


def weeks_ago(weeks: float) -> datetime:
    return MONDAY - timedelta(weeks=weeks)


def moved(copy_id: str, at: datetime, state: CopyState, place_id: str, to: str | None = None) -> Movement:
    return Movement(copy_id, at, 0, "test", f"{copy_id}-{at:%Y%m%d%H%M%S}-{state}", state, place_id, to)


LENT_IN_THE_ROOM_EVERY_MONTH = [
    fact
    for month in range(10)
    for fact in (
        moved("c1", weeks_ago(44 - 4 * month), CopyState.ON_SHELF, "room"),
        moved("c1", weeks_ago(42 - 4 * month), CopyState.ON_LOAN, "room"),
    )
]
NEVER_LENT_AT_THE_CENTRE = [moved(f"c{n}", weeks_ago(44), CopyState.ON_SHELF, "centre") for n in range(2, 10)]


def write(connection: Connection, titles_of: dict[str, str], facts: Iterable[Movement]) -> None:
    """Write movements, the copies they end in, and their titles, all of the class children."""
    facts = list(facts)
    rows = [{"title_id": title, "class": "children"} for title in sorted(set(titles_of.values()))]
    connection.execute(insert(titles), rows)
    columns = ("copy_id", "occurred_at", "sequence", "source", "event_id", "state", "place_id", "to_place_id")
    values = [{name: getattr(fact, name) for name in columns} for fact in facts]
    connection.execute(insert(movements), values)
    added = {"class": "children", "owner_id": "city", "fixed": False}
    now = [
        {name: getattr(last, name) for name in columns}
        | added
        | {"title_id": titles_of.get(copy), "home_place_id": "centre", "added_at": weeks_ago(50)}
        for copy, last in present(facts).items()
    ]
    connection.execute(insert(copies), now)
