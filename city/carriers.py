"""Desks, vans and hubs as they act on orders: what is picked, put into crates, carried, sorted and checked in, with its scans.

What they are told (topic transfer.orders; JSON, `type`), and what they tell (circulation.events):

| order | what happens |
|---|---|
| `order.pick` transfer, copy, from, to, day | before the place's first visit that day the copy is picked (`transfer.picked`, crate) and checked in (`transfer.sent`); not found or lent meanwhile: `transfer.declined` |
| `order.run` run, van, hub, departs_at, returns_at, stops[place, begins_at, departs_at, deliver] | at departure the crates for its stops are loaded (`crate.collected` at the hub), those named in `deliver` first; five minutes before a stop its mixed crate is closed (`crate.closed` to the hub); at the stop its crates are `crate.delivered` and those waiting `crate.collected`; after it the copies are `transfer.received`; at the end what was collected is `crate.at_hub` |
| `order.sort` hub, at | the hub opens every mixed crate it holds, its own desk's too, and closes crates by destination (`crate.closed`, to a place it serves or to another hub); copies for the hub itself are `transfer.received` |
| `order.trunk` from_hub, to_hub, departs_at, arrives_at | crates for that hub are `crate.collected` and later `crate.at_hub` there |
| `order.cancel` transfer | a pick that was not made is not made (`transfer.cancelled`) |

The same order twice does nothing. What comes too late is done at once. Vans are late or break down and copies are not found
in small shares, decided by the seed and the order, so that every run of a seed fails alike.
"""  # noqa: E501

import heapq
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from city import day as steps
from city.facts import copy_id, copy_number
from city.history import City
from rotation import events as e
from rotation.network import Network

NOT_FOUND = 0.03  # a shelf is not always in order
VAN_LATE = 0.05
LATE_S = 1500  # what a late van is late by
VAN_BREAKS = 0.004  # the rest of its run is not served
PICKED_BEFORE_S = 45 * 60  # staff pick before the first van can come
CLOSED_BEFORE_S = 300  # the mixed crate is closed before the van is there
CHECK_IN_AFTER_S = 300  # crates are unpacked when the van has gone
CHECK_IN_S = 5  # a copy
CRATE_S = 2  # a crate closed by the sorters after another, many at work; a sorting is told at once, so it must end
SORTED_WITHIN_S = 240  # before it would be told of the future (`events.FUTURE_TOLERANCE`)
SENT_AFTER_S = 60  # checked in after it was picked


@dataclass
class Crate:
    """A crate where it stands; `place` is empty while a van has it."""

    to: str
    place: str
    copies: list[int]


@dataclass
class Memory:
    """What desks, vans and hubs know: plain values, so that it can be kept and read back."""

    crates: dict[str, Crate] = field(default_factory=dict)  # closed ones
    filling: dict[str, list[int]] = field(default_factory=dict)  # by place: the mixed crate that is being filled
    numbers: dict[str, int] = field(default_factory=dict)  # by place: its last crate
    transfers: dict[int, str] = field(default_factory=dict)  # by copy: the transfer it travels by
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)  # orders of runs, with `aboard` and `late_s`
    picks: dict[str, dict[str, Any]] = field(default_factory=dict)  # orders of picks not made yet
    agenda: list[tuple[int, int, str, str]] = field(default_factory=list)  # a heap: second, number, what, of what
    seen: dict[str, int] = field(default_factory=dict)  # orders that were taken
    planned: int = 0  # numbers things on the agenda, so that those of one second keep their order

    def kept(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> "Memory":
        """Read what `kept` returned, from JSON whose keys are text."""
        crates = {name: Crate(**crate) for name, crate in kept["crates"].items()}
        transfers = {int(copy): transfer for copy, transfer in kept["transfers"].items()}
        agenda = [(int(at), int(n), str(what), str(which)) for at, n, what, which in kept["agenda"]]
        return cls(**{**kept, "crates": crates, "transfers": transfers, "agenda": agenda})


Tell = Callable[[e.Fact, int], None]  # a fact and its second


class Carriers:
    """Acts on orders. Facts go to `tell`; what the copies do of it (holds, shelves) to `log`, as rows of the day's log."""

    def __init__(self, network: Network, city: City, tell: Tell, log: Callable[[], None], memory: Memory | None = None):
        self.network, self.city, self.tell, self.log = network, city, tell, log
        self.memory = memory or Memory()
        self._row = {place.id: i for i, place in enumerate(network.places)}
        self._capacity = {van.id: van.crates for van in network.vans}
        self._acts = {
            "pick": self._pick, "load": self._load, "close": self._close_at, "stop": self._stop, "unpack": self._unpack,
            "back": self._back, "sort": self._sort, "depart": self._depart, "arrive": self._arrive,
        }  # fmt: skip

    # --- Orders -------------------------------------------------------------------------------------------------------

    def take(self, order: Mapping[str, Any], now_s: int) -> None:
        """Take an order; one that was taken before does nothing, one of an unknown type neither."""
        takers = {
            "order.pick": self._take_pick, "order.run": self._take_run, "order.sort": self._take_sort,
            "order.trunk": self._take_trunk, "order.cancel": self._take_cancel,
        }  # fmt: skip
        kind = str(order.get("type"))
        key = "/".join(
            str(order.get(name, "")) for name in ("type", "transfer", "run", "hub", "from_hub", "to_hub", "at", "day")
        )
        if kind in takers and key not in self.memory.seen:
            self.memory.seen[key] = now_s
            takers[kind](order, now_s)

    def _take_pick(self, order: Mapping[str, Any], now_s: int) -> None:
        self.memory.picks[order["transfer"]] = dict(order)
        self._plan(max(now_s + 1, self._picking_time(order)), "pick", order["transfer"])

    def _picking_time(self, order: Mapping[str, Any]) -> int:
        """Before anyone comes to fetch: the first thing of that day."""
        place = self.network.place[order["from"]]
        day = datetime.fromisoformat(order["day"]).date()
        spans = (*place.open_spans(day), *place.receiving_spans(day))
        begin_s = min((span.begin_s for span in spans), default=9 * 3600)
        return self._second(self.network.instant(day, max(0, begin_s - PICKED_BEFORE_S)).isoformat())

    def _take_run(self, order: Mapping[str, Any], now_s: int) -> None:
        name = order["run"]
        chance = self._chance("run", name)
        run = dict(order) | {"aboard": [], "late_s": LATE_S if chance < VAN_LATE else 0, "broken_from": None}
        if chance > 1 - VAN_BREAKS:
            run["broken_from"] = int(self._chance("broken", name) * len(order["stops"]))
        self.memory.runs[name] = run
        self._plan(max(now_s + 1, self._second(order["departs_at"])), "load", name)
        for i, stop in enumerate(order["stops"]):
            begins = self._second(stop["begins_at"]) + run["late_s"]
            self._plan(max(now_s + 2, begins - CLOSED_BEFORE_S), "close", stop["place"])
            self._plan(max(now_s + 3 + i, begins), "stop", f"{name}#{i}")
        self._plan(max(now_s + 600, self._second(order["returns_at"]) + run["late_s"]), "back", name)

    def _take_sort(self, order: Mapping[str, Any], now_s: int) -> None:
        self._plan(max(now_s + 1, self._second(order["at"])), "sort", order["hub"])

    def _take_trunk(self, order: Mapping[str, Any], now_s: int) -> None:
        lane = f"{order['from_hub']}>{order['to_hub']}"
        departs = max(now_s + 1, self._second(order["departs_at"]))
        self._plan(departs, "depart", f"{lane}@{max(departs + 60, self._second(order['arrives_at']))}")

    def _take_cancel(self, order: Mapping[str, Any], now_s: int) -> None:
        called_off = self.memory.picks.pop(order["transfer"], None)
        if called_off and self._on_shelf(copy_number(called_off["copy"]), called_off["from"]):
            fact = e.TransferCancelled(copy=called_off["copy"], place=called_off["from"], transfer=order["transfer"])
            self.tell(fact, now_s)

    # --- The agenda ---------------------------------------------------------------------------------------------------

    def next_s(self) -> int | None:
        """Return when the next thing happens; None where nothing is ordered."""
        return self.memory.agenda[0][0] if self.memory.agenda else None

    def act(self) -> None:
        """Do the next thing."""
        at, _, what, which = heapq.heappop(self.memory.agenda)
        self._acts[what](which, at)

    def _plan(self, at: int, what: str, which: str) -> None:
        self.memory.planned += 1
        heapq.heappush(self.memory.agenda, (at, self.memory.planned, what, which))

    # --- Desks --------------------------------------------------------------------------------------------------------

    def _pick(self, transfer: str, at: int) -> None:
        order = self.memory.picks.pop(transfer, None)
        if order is None:
            return
        land, state, copy, place = self.city.world.land, self.city.state, copy_number(order["copy"]), order["from"]
        to = self._row[order["to"]]
        reason = self._cannot_pick(order, copy)
        if reason or not steps.pick(land, state, copy, to, at):
            self.tell(e.TransferDeclined(copy=order["copy"], place=place, transfer=transfer, reason=reason), at)
            return
        self.memory.transfers[copy] = transfer
        crate = self.crate_for(place)
        self.tell(e.TransferPicked(copy=order["copy"], place=place, transfer=transfer, crate=crate), at)
        steps.check_in(land, state, copy, to, at + SENT_AFTER_S)
        self.log()

    def _cannot_pick(self, order: Mapping[str, Any], copy: int) -> str | None:
        if not self._on_shelf(copy, order["from"]):
            return "not_on_shelf"
        return "not_found" if self._chance("found", order["transfer"]) < NOT_FOUND else None

    def _on_shelf(self, copy: int, place: str) -> bool:
        row = self.city.state.copies[copy]
        return bool(row["state"] == steps.SHELF and row["place"] == self._row[place])

    def crate_for(self, place: str) -> str:
        """Return the mixed crate that is being filled at a place."""
        return f"{place}-{self.memory.numbers.get(place, 0) + 1}"

    def put(self, copy: int, place: str, at: int) -> str:
        """Put a copy that was checked in for somewhere into the place's mixed crate, and close that when it is full."""
        crate = self.crate_for(place)
        filling = self.memory.filling.setdefault(place, [])
        filling.append(copy)
        if len(filling) >= self.network.network.copies_per_crate:
            self._plan(at + 1, "close", place)
        return crate

    def _close_at(self, place: str, at: int) -> None:
        copies = self.memory.filling.pop(place, [])
        size = self.network.network.copies_per_crate
        for i in range(0, len(copies), size):
            self._close(place, self.network.hub_of(place) or place, copies[i : i + size], at)

    def _close(self, place: str, to: str, copies: list[int], at: int) -> str:
        name = self.crate_for(place)
        self.memory.numbers[place] = self.memory.numbers.get(place, 0) + 1
        self.memory.crates[name] = Crate(to, place, copies)
        self.tell(e.CrateClosed(crate=name, place=place, to=to, copies=tuple(map(copy_id, copies))), at)
        return name

    # --- Vans ---------------------------------------------------------------------------------------------------------

    def _load(self, name: str, at: int) -> None:
        """Load the crates that the order names, and others that stand at the hub for its stops, as far as there is room."""
        run = self.memory.runs[name]
        stops = {stop["place"] for stop in run["stops"]}
        ordered = [crate for stop in run["stops"] for crate in stop["deliver"]]
        standing = [crate for crate, its in self.memory.crates.items() if its.place == run["hub"] and its.to in stops]
        first = [crate for crate in ordered if crate in standing]
        rest = [crate for crate in standing if crate not in first]
        for crate in [*first, *rest][: self._room(run)]:
            self._put_aboard(run, crate, at)

    def _room(self, run: Mapping[str, Any]) -> int:
        return max(0, self._capacity.get(run.get("van", ""), 10**6) - len(run["aboard"]))

    def _put_aboard(self, run: dict[str, Any], crate: str, at: int) -> None:
        place, self.memory.crates[crate].place = self.memory.crates[crate].place, ""
        run["aboard"].append(crate)
        self.tell(e.CrateCollected(crate=crate, place=place, run=run["run"]), at)

    def _stop(self, which: str, at: int) -> None:
        name, _, position = which.rpartition("#")
        run, i = self.memory.runs[name], int(position)
        stop = run["stops"][i]
        if run["broken_from"] is not None and i >= run["broken_from"]:
            self._miss(stop["place"], at)
            return
        self._hand_over(run, stop, at)
        for crate in self._waiting(stop["place"], run["hub"])[: self._room(run)]:
            self._put_aboard(run, crate, at)

    def _hand_over(self, run: dict[str, Any], stop: Mapping[str, Any], at: int) -> None:
        unpacked = at + max(0, self._second(stop["departs_at"]) - self._second(stop["begins_at"])) + CHECK_IN_AFTER_S
        for crate in [crate for crate in run["aboard"] if self.memory.crates[crate].to == stop["place"]]:
            run["aboard"].remove(crate)
            self.memory.crates[crate].place = stop["place"]
            self.tell(e.CrateDelivered(crate=crate, place=stop["place"], run=run["run"]), at)
            self._plan(unpacked, "unpack", crate)

    def _waiting(self, place: str, hub: str) -> list[str]:
        return [name for name, crate in self.memory.crates.items() if crate.place == place and crate.to == hub]

    def _miss(self, place: str, at: int) -> None:
        """The van does not come: what stands ready stays, and the desk says so."""
        for crate in self.memory.crates.values():
            for copy in crate.copies if crate.place == place and crate.to != place else ():
                fact = e.TransferMissed(copy=copy_id(copy), place=place, transfer=self.memory.transfers.get(copy))
                self.tell(fact, at)

    def _unpack(self, name: str, at: int) -> None:
        crate = self.memory.crates.pop(name)
        for i, copy in enumerate(crate.copies):
            self._check_in(copy, at + i * CHECK_IN_S)

    def _check_in(self, copy: int, at: int) -> None:
        steps.arrive(self.city.world.land, self.city.state, copy, at)
        self.log()
        self.memory.transfers.pop(copy, None)

    def _back(self, name: str, at: int) -> None:
        run = self.memory.runs.pop(name)
        for crate in run["aboard"]:
            self.memory.crates[crate].place = run["hub"]
            self.tell(e.CrateAtHub(crate=crate, place=run["hub"]), at)

    # --- Hubs ---------------------------------------------------------------------------------------------------------

    def _sort(self, hub: str, at: int) -> None:
        standing = set(self.memory.crates)
        self._close_at(hub, at)
        for crate in [name for name in self.memory.crates if name not in standing]:
            self.tell(e.CrateAtHub(crate=crate, place=hub), at + 1)
        mixed = [name for name, crate in self.memory.crates.items() if crate.place == hub and crate.to == hub]
        copies = [copy for name in mixed for copy in self.memory.crates.pop(name).copies]
        for i, (to, some) in enumerate(self._by_destination(hub, copies)):
            closed = at + 10 + min(i * CRATE_S, SORTED_WITHIN_S)
            if to == hub:
                self._plan(closed, "unpack", self._set_aside(hub, some))
            else:
                self._close(hub, to, some, closed)

    def _by_destination(self, hub: str, copies: list[int]) -> Iterator[tuple[str, list[int]]]:
        """Yield where to go next, and at most a crate of copies that go there."""
        heaps: dict[str, list[int]] = {}
        for copy in copies:
            to = self.network.places[int(self.city.state.copies[copy]["to"])].id
            serving = self.network.hub_of(to) or to
            heaps.setdefault(to if serving == hub else serving, []).append(copy)
        size = self.network.network.copies_per_crate
        for to in sorted(heaps):
            for i in range(0, len(heaps[to]), size):
                yield to, heaps[to][i : i + size]

    def _set_aside(self, hub: str, copies: list[int]) -> str:
        """Copies for the hub's own shelves go to its desk, in a box that is scanned by nobody."""
        self.memory.planned += 1
        name = f"{hub}-desk-{self.memory.planned}"
        self.memory.crates[name] = Crate(hub, "", copies)
        return name

    def _depart(self, which: str, at: int) -> None:
        lane, _, arrives = which.rpartition("@")
        here, _, there = lane.partition(">")
        aboard = [name for name, crate in self.memory.crates.items() if crate.place == here and crate.to == there]
        for crate in aboard:
            self.memory.crates[crate].place = ""
            self.tell(e.CrateCollected(crate=crate, place=here), at)
            self._plan(int(arrives), "arrive", f"{crate}@{there}")

    def _arrive(self, which: str, at: int) -> None:
        crate, _, hub = which.rpartition("@")
        self.memory.crates[crate].place = hub
        self.tell(e.CrateAtHub(crate=crate, place=hub), at)

    # --- Small things -------------------------------------------------------------------------------------------------

    def _second(self, instant: str) -> int:
        return self.city.teller.second(datetime.fromisoformat(instant))

    def _chance(self, *what: str) -> float:
        """Return a number in [0, 1) that depends on the seed and on what it is about, on nothing else."""
        return zlib.crc32("/".join((str(self.city.seed), *what)).encode()) / 2**32
