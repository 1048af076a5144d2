"""Desks, vans and hubs acting on orders: copies are picked, put into crates, carried, sorted and checked in, with scans.

Orders they receive (topic transfer.orders; JSON, `type`), and facts they send (circulation.events):

| order | people's answer |
|---|---|
| `order.pick` transfer, copy, from, to, day | before the place's first visit that day the copy is picked (`transfer.picked`, crate) and checked in (`transfer.sent`); not found or lent meanwhile: `transfer.declined` |
| `order.run` run, van, hub, departs_at, returns_at, stops[place, begins_at, departs_at, deliver] | at departure the crates for its stops are loaded (`crate.collected` at the hub), those named in `deliver` first; five minutes before a stop its mixed crate is closed (`crate.closed` to the hub); at the stop its crates are `crate.delivered` and those waiting `crate.collected`; after it the copies are `transfer.received`; at the end the collected crates are `crate.at_hub` |
| `order.sort` hub, at, crates[crate, to, copies] | the hub opens every mixed crate it holds, its own desk's too, and closes crates by destination (`crate.closed`, to a place it serves or to another hub), the ordered ones first, with copies for the place that stood there already; copies for the hub itself are `transfer.received` |
| `order.trunk` from_hub, to_hub, departs_at, arrives_at | crates for that hub are `crate.collected` and later `crate.at_hub` there |
| `order.withdraw` run | a run that has not left is not driven |
| `order.cancel` transfer | a pick that was not made is not made (`transfer.cancelled`) |

The same order twice does nothing. A late order is carried out at once. Vans are late or break down and copies are not found
in small shares, decided by the seed and the order, so that every run of a seed fails alike.

Self-service machines report without an order (`machine.reported`): copies in the bin, free slots, seldom a fault.
"""  # noqa: E501

import heapq
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from city import day as steps
from city.facts import copy_id, copy_number
from city.history import City
from rotation.facts import events as e
from rotation.network import Network, PlaceKind

# A shelf is not always in order.
NOT_FOUND = 0.03
VAN_LATE = 0.05
# A late van's delay.
LATE_S = 1500
# The rest of its run is not served.
VAN_BREAKS = 0.004
PICKED_BEFORE_S = 45 * 60  # staff pick before the first van can come
CLOSED_BEFORE_S = 300  # the mixed crate is closed before the van is there
CHECK_IN_AFTER_S = 300  # crates are unpacked when the van has gone
CHECK_IN_S = 5  # a copy
# A crate closed by the sorters after another, many at work. A sorting's facts are sent together, so it must end
# within the time that events may lie in the future (`events.FUTURE_TOLERANCE`).
CRATE_S = 2
SORTED_WITHIN_S = 240
SENT_AFTER_S = 60  # checked in after it was picked
REPORT_EVERY_S = 2 * 3600  # a machine's telemetry
SWITCHED_ON_S = 60  # within which the machines report for the first time
FAULTY = 0.002  # of a machine's reports; the next is without
FAULTS = ("bin_jammed", "reader_silent", "slot_stuck")
IN_A_SLOT = (steps.SHELF, steps.HOLD_SHELF, steps.RESERVED)
OF_A_RUN = ("load", "stop", "back")  # actions whose subject is a run


@dataclass
class CarriedCrate:
    """A crate at its present place; `place` is empty while a van carries it."""

    to: str
    place: str
    copies: list[int]


@dataclass
class CarrierMemory:
    """The knowledge of desks, vans and hubs: plain values, so that it can be kept and read back."""

    crates: dict[str, CarriedCrate] = field(default_factory=dict)  # closed ones
    filling: dict[str, list[int]] = field(default_factory=dict)  # by place: the mixed crate being filled
    open: dict[str, str] = field(default_factory=dict)  # by place: that crate's number
    ordered: dict[str, list[str]] = field(
        default_factory=dict
    )  # by place: numbers that a van's order has for its next crates
    sorts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by hub and time: crates to make at a sorting
    numbers: dict[str, int] = field(default_factory=dict)  # by place: its last crate
    transfers: dict[int, str] = field(default_factory=dict)  # by copy: its transfer
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)  # orders of runs, with `aboard` and `late_s`
    picks: dict[str, dict[str, Any]] = field(default_factory=dict)  # orders of picks not yet made
    agenda: list[tuple[int, int, str, str]] = field(default_factory=list)  # a heap: second, number, action, subject
    seen: dict[str, int] = field(default_factory=dict)  # orders already taken
    planned: int = 0  # numbers entries of the agenda, so that those of the same second keep their order

    def kept(self) -> dict[str, Any]:
        """Return the memory as JSON."""
        return asdict(self)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> "CarrierMemory":
        """Read the state that `kept` returned, from JSON whose keys are text."""
        crates = {name: CarriedCrate(**crate) for name, crate in kept["crates"].items()}
        transfers = {int(copy): transfer for copy, transfer in kept["transfers"].items()}
        agenda = [(int(at), int(n), str(what), str(which)) for at, n, what, which in kept["agenda"]]
        return cls(**{**kept, "crates": crates, "transfers": transfers, "agenda": agenda})


# A fact and its second.
Tell = Callable[[e.Fact, int], None]
# A crate's number (None: the hub's next), its destination, and its copies.
Made = tuple[str | None, str, list[int]]


class Carriers:
    """Acts on orders. Facts go to `tell`, and their effects on copies (holds, shelves) to `log`, as rows of the day's log."""

    def __init__(
        self, network: Network, city: City, tell: Tell, log: Callable[[], None], memory: CarrierMemory | None = None
    ):
        self.network, self.city, self.tell, self.log = network, city, tell, log
        self.memory = memory or CarrierMemory()
        self._row = {place.id: i for i, place in enumerate(network.places)}
        self._capacity = {van.id: van.crates for van in network.vans}
        self._acts = {
            "pick": self._pick,
            "load": self._load,
            "close": self._close_at,
            "stop": self._stop,
            "unpack": self._unpack,
            "back": self._back,
            "sort": self._sort,
            "depart": self._depart,
            "arrive": self._arrive,
            "report": self._report,
        }

    def open_machines(self, now_s: int) -> None:
        """Let every machine report from now on, if it does not already."""
        reporting = {which for _, _, what, which in self.memory.agenda if what == "report"}
        for place in self.network.places:
            if place.kind is PlaceKind.MACHINE and place.id not in reporting:
                first_s = int(self._chance("report", place.id) * SWITCHED_ON_S)
                self._plan(now_s + 1 + first_s, "report", place.id)

    # --- Orders -------------------------------------------------------------------------------------------------------

    def take(self, order: Mapping[str, Any], now_s: int) -> None:
        """Take an order; a repeated order does nothing, and neither does an unknown type."""
        takers = {
            "order.pick": self._take_pick,
            "order.run": self._take_run,
            "order.sort": self._take_sort,
            "order.trunk": self._take_trunk,
            "order.cancel": self._take_cancel,
            "order.withdraw": self._take_withdraw,
        }
        kind = str(order.get("type"))
        key = "/".join(
            str(order.get(name, ""))
            for name in ("type", "transfer", "run", "revision", "hub", "from_hub", "to_hub", "at", "day")
        )
        if kind in takers and key not in self.memory.seen:
            self.memory.seen[key] = now_s
            takers[kind](order, now_s)

    def _take_pick(self, order: Mapping[str, Any], now_s: int) -> None:
        self.memory.picks[order["transfer"]] = dict(order)
        self._plan(max(now_s + 1, self._picking_time(order)), "pick", order["transfer"])

    def _picking_time(self, order: Mapping[str, Any]) -> int:
        """Before anyone comes to fetch: the first event of that day."""
        place = self.network.place[order["from"]]
        day = datetime.fromisoformat(order["day"]).date()
        spans = (*place.open_spans(day), *place.receiving_spans(day))
        begin_s = min((span.begin_s for span in spans), default=9 * 3600)
        return self._second(self.network.instant(day, max(0, begin_s - PICKED_BEFORE_S)).isoformat())

    def _take_run(self, order: Mapping[str, Any], now_s: int) -> None:
        name = order["run"]
        was, has_left = self.memory.runs.get(name), self._drop_run(name)
        chance = self._chance("run", name)
        run = dict(order) | {
            "aboard": was["aboard"] if was else [],
            "late_s": LATE_S if chance < VAN_LATE else 0,
            "broken_from": None,
        }
        if chance > 1 - VAN_BREAKS:
            run["broken_from"] = int(self._chance("broken", name) * len(order["stops"]))
        self.memory.runs[name] = run
        if not has_left:
            self._plan(max(now_s + 1, self._second(order["departs_at"])), "load", name)
        for i, stop in enumerate(order["stops"]):
            begins = self._second(stop["begins_at"]) + run["late_s"]
            if has_left and begins <= now_s:
                continue
            self.memory.ordered[stop["place"]] = list(stop.get("collect", ()))
            self._plan(max(now_s + 2, begins - CLOSED_BEFORE_S), "close", stop["place"])
            self._plan(max(now_s + 3 + i, begins), "stop", f"{name}#{i}")
        self._plan(max(now_s + 600, self._second(order["returns_at"]) + run["late_s"]), "back", name)

    def _take_sort(self, order: Mapping[str, Any], now_s: int) -> None:
        which = f"{order['hub']}@{order['at']}"
        self.memory.sorts[which] = list(order.get("crates", ()))
        self._plan(max(now_s + 1, self._second(order["at"])), "sort", which)

    def _take_trunk(self, order: Mapping[str, Any], now_s: int) -> None:
        lane = f"{order['from_hub']}>{order['to_hub']}"
        departs = max(now_s + 1, self._second(order["departs_at"]))
        self._plan(departs, "depart", f"{lane}@{max(departs + 60, self._second(order['arrives_at']))}")

    def _take_cancel(self, order: Mapping[str, Any], now_s: int) -> None:
        called_off = self.memory.picks.pop(order["transfer"], None)
        if called_off and self._on_shelf(copy_number(called_off["copy"]), called_off["from"]):
            fact = e.TransferCancelled(copy=called_off["copy"], place=called_off["from"], transfer=order["transfer"])
            self.tell(fact, now_s)

    def _take_withdraw(self, order: Mapping[str, Any], now_s: int) -> None:
        self._drop_run(order["run"])

    def _drop_run(self, run: str) -> bool:
        """Strike a van's remaining work of an order that is withdrawn or replaced; return whether it has left."""
        mine = [one for one in self.memory.agenda if one[2] in OF_A_RUN and one[3].partition("#")[0] == run]
        self.memory.agenda = [one for one in self.memory.agenda if one not in mine]
        heapq.heapify(self.memory.agenda)
        was = self.memory.runs.pop(run, None)
        return was is not None and not any(what == "load" for _, _, what, _ in mine)

    # --- The agenda ---------------------------------------------------------------------------------------------------

    def next_s(self) -> int | None:
        """Return when the next action is due; None without any."""
        return self.memory.agenda[0][0] if self.memory.agenda else None

    def act(self) -> None:
        """Do the next action."""
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
        """Return the mixed crate being filled at a place: the crate that the next van's order names, or a new one."""
        if place not in self.memory.open:
            new = [name for name in self.memory.ordered.get(place, ()) if name not in self.memory.crates]
            self.memory.open[place] = new[0] if new else self._own_number(place)
        return self.memory.open[place]

    def _own_number(self, place: str) -> str:
        self.memory.numbers[place] = self.memory.numbers.get(place, 0) + 1
        return f"{place}-{self.memory.numbers[place]}"

    def put(self, copy: int, place: str, at: int) -> str:
        """Put a checked-in copy with a destination into the place's mixed crate, and close that when it is full."""
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
            name = self.crate_for(place)
            self._close(name, place, self._hub_of(place), copies[i : i + size], at)
            del self.memory.open[place]
            self.memory.ordered[place] = [other for other in self.memory.ordered.get(place, ()) if other != name]

    def _close(self, name: str, place: str, to: str, copies: list[int], at: int) -> None:
        self.memory.crates[name] = CarriedCrate(to, place, copies)
        self.tell(e.CrateClosed(crate=name, place=place, to=to, copies=tuple(map(copy_id, copies))), at)

    # --- Vans ---------------------------------------------------------------------------------------------------------

    def _load(self, name: str, at: int) -> None:
        """Load the crates that the order names, then others at the hub for its stops, as far as there is room."""
        run = self.memory.runs[name]
        stops = {stop["place"] for stop in run["stops"]}
        ordered = [crate for stop in run["stops"] for crate in stop["deliver"]]
        standing = [crate for crate, its in self.memory.crates.items() if its.place == run["hub"] and its.to in stops]
        first = [crate for crate in ordered if crate in standing]
        rest = [crate for crate in standing if crate not in first]
        self._take_aboard(run, [*first, *rest], at)

    def _take_aboard(self, run: dict[str, Any], crates: list[str], at: int) -> None:
        """Put crates aboard in their order, as far as there is room."""
        room_bags = self._capacity.get(run.get("van", ""), 10**6) * self.network.network.bags_per_crate
        room_bags -= sum(map(self._room_bags, run["aboard"]))
        for crate in crates:
            if self._room_bags(crate) <= room_bags:
                room_bags -= self._room_bags(crate)
                self._put_aboard(run, crate, at)

    def _room_bags(self, name: str) -> int:
        """Return a crate's room in a van; a mixed crate counts as whole."""
        crate = self.memory.crates[name]
        mixed = self.network.place[crate.to].hub is not None
        return self.network.network.bags_per_crate if mixed else self.network.room_bags(len(crate.copies))

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
        self._take_aboard(run, self._waiting(stop["place"], run["hub"]), at)

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
        """The van does not come: its crates stay, and the desk reports it."""
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

    def _sort(self, which: str, at: int) -> None:
        hub, orders = which.partition("@")[0], self.memory.sorts.pop(which, [])
        heaps = self._opened(hub, at)
        made = [*self._for_vans(hub, orders, heaps), *self._by_destination(hub, heaps)]
        for i, (name, to, copies) in enumerate(made):
            closed = at + 10 + min(i * CRATE_S, SORTED_WITHIN_S)
            if to == hub:
                self._plan(closed, "unpack", self._set_aside(hub, copies))
            else:
                self._close(name or self._own_number(hub), hub, to, copies, closed)

    def _opened(self, hub: str, at: int) -> dict[str, list[int]]:
        """Open every mixed crate at a hub, its own desk's too; return the copies by their next destination."""
        standing = set(self.memory.crates)
        self._close_at(hub, at)
        for crate in [name for name in self.memory.crates if name not in standing]:
            self.tell(e.CrateAtHub(crate=crate, place=hub), at + 1)
        heaps: dict[str, list[int]] = {}
        for name in self._standing(hub, hub):
            for copy in self.memory.crates.pop(name).copies:
                to = self.network.places[int(self.city.state.copies[copy]["to"])].id
                serving = self.network.hub_of(to) or to
                heaps.setdefault(to if serving == hub else serving, []).append(copy)
        return heaps

    def _standing(self, place: str, to: str) -> list[str]:
        return [name for name, crate in self.memory.crates.items() if (crate.place, crate.to) == (place, to)]

    def _for_vans(self, hub: str, orders: list[dict[str, Any]], heaps: dict[str, list[int]]) -> Iterator[Made]:
        """Yield the crates for the day's vans, from all copies for their places; those that already stand so stay.

        Copies that the order does not know fill them up; the rest stays in its heap.
        """
        for to in sorted({order["to"] for order in orders}):
            standing = {name: self.memory.crates.pop(name).copies for name in self._standing(hub, to)}
            there = [*(copy for copies in standing.values() for copy in copies), *heaps.pop(to, ())]
            ordered = {copy_number(copy) for order in orders for copy in order["copies"]}
            for order in orders:
                if order["to"] == to:
                    copies = self._taken(order, there, ordered)
                    if set(copies) == set(standing.get(order["crate"], ())):
                        self.memory.crates[order["crate"]] = CarriedCrate(to, hub, copies)
                    elif copies:
                        yield order["crate"], to, copies
            heaps[to] = there

    def _taken(self, order: Mapping[str, Any], there: list[int], ordered: set[int]) -> list[int]:
        """Take an ordered crate's copies from those present, then unordered copies as far as its bags have room."""
        wanted = {copy_number(copy) for copy in order["copies"]}
        known, more = ([copy for copy in there if copy in wanted], [copy for copy in there if copy not in ordered])
        taken = [*known, *more][: self.network.copies_in(self.network.room_bags(len(wanted)))]
        there[:] = [copy for copy in there if copy not in set(taken)]
        return taken

    def _by_destination(self, hub: str, heaps: Mapping[str, list[int]]) -> Iterator[Made]:
        """Yield the copies for each place, at most a crate at a time, under the hub's own numbers."""
        size = self.network.network.copies_per_crate
        for to in sorted(heaps):
            for i in range(0, len(heaps[to]), size):
                yield None, to, heaps[to][i : i + size]

    def _set_aside(self, hub: str, copies: list[int]) -> str:
        """Copies for the hub's own shelves go to its desk, in a box that nobody scans."""
        self.memory.planned += 1
        name = f"{hub}-desk-{self.memory.planned}"
        self.memory.crates[name] = CarriedCrate(hub, "", copies)
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

    # --- Machines -----------------------------------------------------------------------------------------------------

    def _report(self, place: str, at: int) -> None:
        slots, row = self.network.place[place].room, self._row[place]
        copies = self.city.state.copies
        filled = int(np.count_nonzero((copies["place"] == row) & np.isin(copies["state"], IN_A_SLOT)))
        waiting = sum(len(self.memory.crates[crate].copies) for crate in self._waiting(place, self._hub_of(place)))
        in_bin = len(self.memory.filling.get(place, ())) + waiting
        chance = self._chance("fault", place, str(at))
        fault = FAULTS[int(chance / FAULTY * len(FAULTS))] if chance < FAULTY else None
        report = e.MachineReported(place=place, bin_copies=in_bin, free_slots=max(slots - filled, 0), fault=fault)
        self.tell(report, at)
        self._plan(at + REPORT_EVERY_S, "report", place)

    # --- Small things -------------------------------------------------------------------------------------------------

    def _hub_of(self, place: str) -> str:
        return self.network.hub_of(place) or place

    def _second(self, instant: str) -> int:
        return self.city.teller.second(datetime.fromisoformat(instant))

    def _chance(self, *what: str) -> float:
        """Return a number in [0, 1) that depends only on the seed and the subject."""
        return zlib.crc32("/".join((str(self.city.seed), *what)).encode()) / 2**32
