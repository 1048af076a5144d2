"""Between which levels a place's stock of a class is in balance, from the shelf room that the network file gives it."""

from math import ceil

from sqlalchemy import Connection, delete, insert

from rotation.network import Network
from rotation.store.tables import targets

LOW_SHARE = 0.3  # under three tenths of its room a shelf looks empty, and readers stop coming to it
HIGH_SHARE = 1.0  # over its room there is nowhere to put a book


def set_targets(connection: Connection, network: Network) -> None:
    """Replace all targets by those of `network`; inside the caller's transaction."""
    rows = [
        {"place_id": place.id, "class": cls, "low": ceil(LOW_SHARE * room), "high": int(HIGH_SHARE * room)}
        for place in network.places
        for cls, room in place.shelf.items()
        if room
    ]
    connection.execute(delete(targets))
    if rows:
        connection.execute(insert(targets), rows)
