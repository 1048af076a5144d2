"""The living city: visits, returns, desks and vans in one order of time, up to any instant.

Its inputs are few and are kept: placement's answers and the orders. So its whole life can be replayed.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from city import day as steps
from city.carriers import CarrierMemory, Carriers
from city.facts import copy_id
from city.history import City, visits_of
from city.model import DAY_S
from rotation.facts import events as e
from rotation.network import Network

NO_TIME = 2**62


class PlacementAnswer(NamedTuple):
    """The destination that placement gives a returned copy, and its transfer; `to` is None if it did not answer."""

    to: str | None
    transfer: str | None = None


Ask = Callable[[str, str], PlacementAnswer]  # copy, place
HOME = PlacementAnswer(None)  # the library system's own rule


def home(copy: str, place: str) -> PlacementAnswer:
    """Answer as a library system without placement: every copy goes home."""
    return HOME


class LiveCity:
    """A city that lives on from `now_s`. Everything before has happened; `ask` decides where returned copies go."""

    def __init__(
        self, network: Network, city: City, now_s: int, ask: Ask = home, memory: CarrierMemory | None = None
    ) -> None:
        self.network, self.city, self.now_s, self.ask = network, city, now_s, ask
        self.carriers = Carriers(network, city, self._tell, self._tell_log, memory)
        self.carriers.open_machines(now_s)
        self._row = {place.id: i for i, place in enumerate(network.places)}
        self._told: list[str] = []
        city.state.mode["carried"] = True
        self._visits, self._agenda, self._at = self._open(now_s // DAY_S)
        self._i = int(np.searchsorted(self._at, now_s, side="right"))

    def take(self, orders: list[Mapping[str, Any]]) -> None:
        """Take orders, as places, vans and hubs do."""
        for order in orders:
            self.carriers.take(order, self.now_s)

    def advance(self, until_s: int) -> list[str]:
        """Let everything happen up to `until_s`, and return its facts as events' JSON."""
        while self.now_s < until_s:
            end = min(until_s, (self.now_s // DAY_S + 1) * DAY_S - 1)
            self._advance_within_day(end)
            self.now_s = end
            if until_s > end:
                self.now_s = end + 1
                self._visits, self._agenda, self._at = self._open(self.now_s // DAY_S)
                self._i = 0
        told, self._told = self._told, []
        return told

    def _open(self, day: int) -> tuple[NDArray[np.void], NDArray[np.int64], NDArray[np.int64]]:
        visits = visits_of(self.city, day)
        agenda = steps.agenda(self.city.state, visits, day)
        due = self.city.state.copies["due"]
        at = np.where(agenda >= 0, visits["at_s"][np.maximum(agenda, 0)], due[np.maximum(-1 - agenda, 0)])
        return visits, agenda, at

    def _advance_within_day(self, end: int) -> None:
        while True:
            own = int(self._at[self._i]) if self._i < len(self._at) else NO_TIME
            ordered = self.carriers.next_s()
            if min(own, NO_TIME if ordered is None else ordered) > end:
                return
            if ordered is not None and ordered <= own:
                self.carriers.act()
            else:
                self._step(int(self._agenda[self._i]))
                self._i += 1

    def _step(self, what: int) -> None:
        """Let one event of the day happen; for a returned copy placement is asked first."""
        state = self.city.state
        if what < 0 and self._is_asked(-1 - what):
            self._ask(-1 - what)
        state.counts[steps.LOGGED] = 0
        steps.step(self.city.world.land, state, self._visits, what)
        self._tell_log()

    def _is_asked(self, copy: int) -> bool:
        """Placement is asked about undamaged returns for which nobody waits."""
        row = self.city.state.copies[copy]
        truth = self.city.world.land.truth[0]
        waited_for = self.city.state.titles[row["title"]]["queue"] >= 0
        whole = row["worn"] >= truth["damaged"] + truth["withdrawn"]
        return bool(row["what"] == steps.RETURN and whole and not waited_for)

    def _ask(self, copy: int) -> None:
        row = self.city.state.copies[copy]
        answer = self.ask(copy_id(copy), self.network.places[int(row["back"])].id)
        if answer.to in self._row:
            row["answer"] = self._row[answer.to]
            if answer.transfer:
                self.carriers.memory.transfers[copy] = answer.transfer

    # --- Telling ------------------------------------------------------------------------------------------------------

    def _tell(self, fact: e.Fact, at: int) -> None:
        self._told.append(self._json(fact, at, 0))

    def _json(self, fact: e.Fact, at: int, sequence: int) -> str:
        teller = self.city.teller
        event = e.cloud_event(
            fact, event_id=teller.next_id(), source=teller.source, time=teller.instant(at), sequence=sequence
        )
        return orjson.dumps(event).decode()

    def _tell_log(self) -> None:
        """Report the facts that the steps wrote; a sent copy goes into a crate, and travels by its transfer."""
        count = self.city.state.counts[steps.LOGGED]
        for row in self.city.state.log[:count].tolist():
            self._told.extend(
                self._transfer_facts(row) if row[steps.KIND] in _TRAVELS else self.city.teller.events([row])
            )
        self.city.state.counts[steps.LOGGED] = 0

    def _transfer_facts(self, row: list[int]) -> Iterator[str]:
        kind, at, copy, place_row, to, sequence = row
        place, name = self.network.places[place_row].id, copy_id(copy)
        transfer = self.carriers.memory.transfers.get(copy)
        if kind == steps.SENT:
            crate = self.carriers.put(copy, place, at)
            destination = self.network.places[to].id
            fact: e.Fact = e.TransferSent(copy=name, place=place, transfer=transfer, to=destination, crate=crate)
        else:
            fact = e.TransferReceived(copy=name, place=place, transfer=transfer)
        yield self._json(fact, at, sequence)


_TRAVELS = (steps.SENT, steps.RECEIVED)
