"""Wrong passwords of late, by account and by network: who has had his tries waits.

A try is counted before it is judged, so that parallel tries are no more than successive ones, and given back when it was
right. Each bound keeps another stranger out: a guesser at an account, a guesser at many, and many guessers at the
same. The last bound does not count for networks from which the account has signed in: strangers cannot keep its owner out.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from threading import Lock
from time import monotonic
from typing import NamedTuple

MOST_REMEMBERED = 10_000  # accounts and networks; beyond, those longest not heard of are forgotten
NETWORK_BITS = {4: 24, 6: 64}  # what one household, office or rented machine has at least


class Bound(NamedTuple):
    """So many tries within so many seconds."""

    tries: int
    within_s: float


PAIR = Bound(5, 60.0)  # one account from one network
NETWORK = Bound(30, 60.0)  # all accounts from one network: a shift that comes in mistypes less
STRANGERS = Bound(50, 3600.0)  # one account from all networks that it never signed in from


def network_of(address: str) -> str:
    """Return the network of a client's address; anything but an address stands for itself."""
    try:
        version = ip_address(address).version
        return str(ip_network(f"{address}/{NETWORK_BITS[version]}", strict=False))
    except ValueError:
        return address


@dataclass
class Tries:
    """The tries of late; in this process only, so n web processes allow n times as many."""

    _at: OrderedDict[tuple[str, ...], deque[float]] = field(default_factory=OrderedDict)
    _known: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def take(self, account: str, address: str, now: float | None = None) -> int:
        """Count a try that will be judged now and return 0, or return the seconds to wait and count nothing."""
        now = monotonic() if now is None else now
        bounds = self._bounds(account, network_of(address))
        with self._lock:
            wait_s = max(self._wait_s(key, bound, now) for key, bound in bounds.items())
            if wait_s <= 0:
                for key in bounds:
                    self._count(key, now)
        return 0 if wait_s <= 0 else int(wait_s) + 1

    def was_right(self, account: str, address: str) -> None:
        """Give back the tries of an account that got it right, and know its network from now on."""
        network = network_of(address)
        with self._lock:
            self._at.pop(("pair", account, network), None)
            for key in (("network", network), ("strangers", account)):
                if self._at.get(key):
                    self._at[key].pop()
            self._known[account, network] = None
            _forget(self._known)

    def _bounds(self, account: str, network: str) -> dict[tuple[str, ...], Bound]:
        found: dict[tuple[str, ...], Bound] = {("pair", account, network): PAIR, ("network", network): NETWORK}
        known = (account, network) in self._known
        return found if known else found | {("strangers", account): STRANGERS}

    def _wait_s(self, key: tuple[str, ...], bound: Bound, now: float) -> float:
        recent = [at for at in self._at.get(key, ()) if now - at < bound.within_s]
        return 0.0 if len(recent) < bound.tries else bound.within_s - (now - recent[-bound.tries])

    def _count(self, key: tuple[str, ...], now: float) -> None:
        self._at.setdefault(key, deque(maxlen=STRANGERS.tries)).append(now)
        self._at.move_to_end(key)
        _forget(self._at)


def _forget(remembered: OrderedDict[tuple[str, ...], deque[float]] | OrderedDict[tuple[str, str], None]) -> None:
    while len(remembered) > MOST_REMEMBERED:
        remembered.popitem(last=False)
