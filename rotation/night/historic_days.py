"""Days of the past that stand still: an import's. No night comes by itself, and only copies that the last day mentions can
be carried.

An import marks its database. A clock that merely stands (a demonstration held while it plans, or stopped) is not meant.
"""

from datetime import date

from sqlalchemy import Connection

from rotation.courier.legs import OpenTransfer
from rotation.courier.store import open_transfers
from rotation.network import Network
from rotation.store.clock import read_clock
from rotation.store.kept import keep, kept
from rotation.store.planned import STANDING


def mark(connection: Connection, source: str) -> None:
    """Note that the clock stands at days of the past, which `source` describes; inside the caller's transaction."""
    keep(connection, STANDING, source)


def stands_still(connection: Connection) -> bool:
    """Whether the network's days are of the past, so that no night will come."""
    return kept(connection, STANDING) is not None and read_clock(connection).speed == 0


def to_carry(connection: Connection, network: Network, day: date) -> list[OpenTransfer]:
    """Return a plan of `day`'s possible transfers: all open ones; on days that stand still, the copies sent on the last of them.

    No row tells where older copies are: years of them would fill the vans of a morning.
    """
    waiting = open_transfers(connection, network, day)
    if not stands_still(connection):
        return waiting
    last = network.day_of(read_clock(connection).network_at)
    return [one for one in waiting if one.since and network.day_of(one.since) == last]
