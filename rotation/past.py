"""Days of the past that stand still: an import's. No night comes by itself, and only what the last day told of can be carried.

An import marks its database. A clock that merely stands (a demonstration held while it plans, or stopped) is not meant.
"""

from datetime import date

from sqlalchemy import Connection

from rotation.courier.legs import OpenTransfer
from rotation.courier.store import open_transfers
from rotation.network import Network
from rotation.store.clock import read_clock
from rotation.store.kept import keep, kept

STANDING = "standing_days"


def mark(connection: Connection, source: str) -> None:
    """Note that the clock stands at days of the past, told by `source`; inside the caller's transaction."""
    keep(connection, STANDING, source)


def stands_still(connection: Connection) -> bool:
    """Whether the network's days are of the past, so that no night will come."""
    return kept(connection, STANDING) is not None and read_clock(connection).speed == 0


def to_carry(connection: Connection, network: Network, day: date) -> list[OpenTransfer]:
    """Return what a plan of `day` may carry: all that is open; of days that stand still, what was sent on the last of them.

    Where their older copies are, no row tells: years of them would fill the vans of one morning.
    """
    waiting = open_transfers(connection, network, day)
    if not stands_still(connection):
        return waiting
    last = network.day_of(read_clock(connection).network_at)
    return [one for one in waiting if one.since and network.day_of(one.since) == last]
