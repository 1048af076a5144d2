"""The night as one min-cost circulation: copies flow out of shelves to their title and from the title to other shelves.

    PLACE --> OUT --> TAKE(s) --> LEAVE(s) --release--> title --receipt--> FRESH(s) --> ARRIVE(s) --> PUT(s) --> IN --> PLACE
      ^ |                                                 ^                  (or ARRIVE at once, where it is not fresh)
      | +----> HUB ------------ homeless copies ----------+
      +------- HUB              PUT(s) --> TAKE(s): an arrival takes a departure's room         s: a shelf section of the place

Every limit is a capacity and every floor a cheaper arc, so solutions are integers and node potentials are prices.
A copy that takes the room of a departing copy bypasses IN and OUT, and their limits. Where a place would so take in or give
away more than it can handle, arrivals and departures are charged on both routes alike, at a price adjusted until the day's work
fits.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing import kernels
from rotation.rebalancing.snapshot import PlanningSettings
from rotation.rebalancing.world import NO_LIMIT, PlaceLimits, World, distinct

# Costs are whole ten-thousandths of a loan, far finer than any estimate.
SCALE = 10_000
# Loans by which a copy's best move may fall short at guessed prices before a solution leaves the copy out; next, the
# same at the prices of an earlier solution; last, where the solution's own prices certify: copies left out then set no price of a
# full shelf.
REACH_GUESSED = 0.3
REACH = 0.1
REACH_CERTAIN = 1.0
# Loans: sums of prices that should cancel differ by less.
ROUNDING = 1e-9
# Arcs from a title to its place: where the title stays, all of them carry nothing.
LONGEST_BRANCH = 4
# Bellman-Ford ends long before; a guard against an endless loop.
SWEEPS = 5_000
# Loans: first and smallest step of a handling price, and how a step grows while the price is too low or too high, and shrinks
# once it has passed the right price.
HANDLING_STEP, LEAST_STEP = 0.2, 0.002
STEP_GROWS, STEP_SHRINKS = 1.3, 0.5

T = TypeVar("T", bound=np.generic)
Int64s = NDArray[np.int64]
Reals = NDArray[np.float64]


class Releases(NamedTuple):
    """One row for each copy that may leave, by title; `value` includes the cost of leaving."""

    start: Int64s  # T + 1
    title: NDArray[np.int32]
    cell: NDArray[np.int32]
    place: NDArray[np.int32]
    value: NDArray[np.float32]


class Columns(NamedTuple):
    """The receipts in the circulation, by title and place; `value` includes the cost of arriving."""

    title: NDArray[np.int32]
    place: NDArray[np.int32]
    value: NDArray[np.float32]
    fresh: NDArray[np.int8]


class PlaceArcs(NamedTuple):
    """The arcs between the nodes of places, grouped by kind in the order of KINDS."""

    tail: Int64s
    head: Int64s
    cost: Reals
    capacity: Int64s


class Duals(NamedTuple):
    """Dual prices in loans: the worth of one more unit of each scarce thing. S x P, or P."""

    place: Reals  # P: room at the place as a whole
    in_copies: Reals  # P
    out_copies: Reals  # P
    room: Reals  # S x P: the section's own room
    floor: Reals  # S x P: paid to an arrival while the section is short
    subsidy: Reals  # S x P: paid to a fresh copy while the quota is short
    kept: Reals  # S x P: cost of leaving where that would break the floor

    @property
    def leaving(self) -> Reals:
        """Price of leaving: negative where the freed room is worth more than the departure costs."""
        return self.out_copies - self.place - self.room + self.kept

    @property
    def arriving(self) -> Reals:
        """Price of arriving."""
        return self.in_copies + self.place + self.room - self.floor

    @property
    def fresh(self) -> Reals:
        """Price of arriving for a fresh copy."""
        return self.arriving - self.subsidy


class Flow(NamedTuple):
    """A solved circulation."""

    leaves: NDArray[np.bool_]  # by release
    arrives: NDArray[np.bool_]  # by column
    came: Int64s  # P: through IN
    left: Int64s  # P: through OUT
    changed: Int64s  # S x P: copies that took the room of a departing copy
    duals: Duals


KINDS = (
    "asked",
    "quota",
    "fresh",
    "to_floor",
    "to_shelf",
    "room",
    "change",
    "taken",
    "above",
    "below",
    "in",
    "out",
    "grow",
    "shrink",
)
# The first ten kinds have one arc for each section and place, the others one for each place.
SECTIONAL = 10


@dataclass(slots=True)
class Handling:
    """Prices of bringing in and taking out a copy, 2 x P, and the state of the search for them."""

    price: Reals  # loans
    step: Reals  # next change of the price
    way: NDArray[np.int64]  # 1: the last change was up, -1: down


@dataclass(slots=True)
class FlowNetwork:
    """The places' part of the circulation; between solutions only the handling prices change."""

    sections: int
    places: int
    arcs: PlaceArcs
    handling: Handling

    @property
    def nodes(self) -> int:
        """FRESH, ARRIVE, PUT, TAKE, LEAVE by section and place; IN, OUT, PLACE by place; the hub."""
        return 5 * self.sections * self.places + 3 * self.places + 1

    def grid(self, values: NDArray[T], kind: str) -> NDArray[T]:
        """Return a kind's part of a column over the place arcs, as S x P or 1 x P."""
        size, index = self.sections * self.places, KINDS.index(kind)
        before = min(index, SECTIONAL) * size + max(index - SECTIONAL, 0) * self.places
        rows = self.sections if index < SECTIONAL else 1
        return values[before : before + rows * self.places].reshape(rows, self.places)


def network(limits: PlaceLimits, settings: PlanningSettings) -> FlowNetwork:
    """Build the nodes and arcs of places."""
    sections, places = limits.short.shape
    size = sections * places
    cell, b = np.arange(size), np.arange(places)
    fresh, arrive, put, take, leave = (cell + i * size for i in range(5))
    inward, outward, place = (5 * size + b + i * places for i in range(3))
    hub, unlimited = np.full(places, 5 * size + 3 * places), np.full(size, NO_LIMIT)
    changing = np.where(limits.room < NO_LIMIT, np.minimum(limits.in_copies, limits.out_copies), 0)
    arcs = [
        (fresh, arrive, -settings.request_worth, limits.asked.ravel()),
        (fresh, arrive, -settings.fresh_bonus, limits.fresh.ravel()),
        (fresh, arrive, 0.0, unlimited),
        (arrive, put, -settings.floor_bonus, limits.short.ravel()),
        (arrive, put, 0.0, unlimited),
        (put, np.tile(inward, sections), 0.0, limits.room.ravel()),
        (put, take, 0.0, changing.ravel()),
        (np.tile(outward, sections), take, 0.0, unlimited),
        (take, leave, 0.0, limits.above.ravel()),
        (take, leave, settings.floor_bonus, unlimited),
        (inward, place, 0.0, limits.in_copies),
        (place, outward, 0.0, limits.out_copies),
        (place, hub, 0.0, limits.room_total),
        (hub, place, 0.0, np.full(places, NO_LIMIT)),
    ]
    tail, head, capacity = (np.concatenate([arc[i] for arc in arcs]).astype(np.int64) for i in (0, 1, 3))
    cost = np.concatenate(
        [np.full(len(arc[0]), round(arc[2] * SCALE) / SCALE) for arc in arcs]
    )  # as the solver rounds it
    none = np.zeros((2, places))
    handling = Handling(none, none + HANDLING_STEP, none.astype(np.int64))
    return FlowNetwork(sections, places, PlaceArcs(tail, head, cost, capacity), handling)


def releases(world: World) -> Releases:
    """List the copies that may leave, with the worth of leaving; in each cell at most as many as can arrive anywhere in a day."""
    most = max(len(world.weight), 1)
    size = int(np.minimum(world.free, most).clip(0).sum())
    start, cell, value = np.zeros(len(world.factor) + 1, np.int64), np.zeros(size, np.int32), np.zeros(size, np.float32)
    kernels.releases(world, most, start, cell, value)
    title = np.repeat(np.arange(len(world.factor), dtype=np.int32), np.diff(start))
    return Releases(start, title, cell, world.place[cell], value)


def columns(world: World, title: NDArray[np.int32], place: NDArray[np.int32], known: Columns | None = None) -> Columns:
    """Value the receipts of `title` at `place` and merge them into `known`: sorted, without duplicates."""
    if known is not None:
        title, place = np.concatenate([known.title, title]), np.concatenate([known.place, place])
    key = distinct(title.astype(np.int64) * max(len(world.weight), 1) + place)
    title, place = (x.astype(np.int32) for x in np.divmod(key, max(len(world.weight), 1)))
    value, fresh = np.zeros(len(key), np.float32), np.zeros(len(key), np.int8)
    kernels.column_values(world, title, place, value, fresh)
    return Columns(title, place, value, fresh)


def solve(
    net: FlowNetwork, world: World, out: Releases, into: Columns, price: float, near: Duals, reach: float = REACH
) -> Flow:
    """Solve the circulation over these releases and columns; each move pays `price`.

    Releases and columns that fall short by more than `reach` at the prices `near` the solution's are left out.

    Raises
    ------
    RuntimeError
        When the solver finds no optimum. No input should cause this: the empty flow is always feasible.
    """
    r, c = _useful(world, out, into, price, near, reach)
    titles, row = _nodes_of(len(world.factor), np.concatenate([out.title[r], into.title[c]]), net.nodes)
    waiting = world.homeless[titles]
    section = world.section[world.cls]
    size, hub = net.sections * net.places, net.nodes - 1
    leave = 4 * size + section[out.title[r]] * net.places + out.place[r]
    arrive = np.where(into.fresh[c] == 1, 0, size) + section[into.title[c]] * net.places + into.place[c]
    own = np.arange(len(titles)) + net.nodes
    tail = np.concatenate([net.arcs.tail, leave, row[len(r) :], np.full(len(titles), hub)])
    head = np.concatenate([net.arcs.head, row[: len(r)], arrive, own])
    capacity = np.concatenate([net.arcs.capacity, np.ones(len(r) + len(c), np.int64), waiting])
    charge = np.concatenate([net.arcs.cost, price - out.value[r], -into.value[c], np.zeros(len(titles))])
    cost = np.rint(charge * SCALE).astype(np.int64)
    flow = _min_cost_flow(tail, head, capacity, cost)
    potential = _potentials(net.nodes + len(titles), tail, head, capacity, cost, flow, net.nodes)
    return _flow(net, flow, potential, (len(out.value), r), (len(into.value), c))


def _nodes_of(size: int, title: NDArray[np.int32], first: int) -> tuple[Int64s, Int64s]:
    """Number the titles that occur, in order, starting at `first`: return them, and the node of each row."""
    occurs = np.zeros(size, bool)
    occurs[title] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) + (first - 1))[title]


def _useful(
    world: World, out: Releases, into: Columns, price: float, near: Duals, reach: float
) -> tuple[Int64s, Int64s]:
    """Return the releases and columns within `reach` of a worthwhile move at the prices `near` the solution's."""
    size, section = len(world.factor), world.section[world.cls]
    left = out.value - (price + near.leaving.astype(np.float32)[section[out.title], out.place])
    at = section[into.title], into.place
    came = into.value - np.where(
        into.fresh == 1, near.fresh.astype(np.float32)[at], near.arriving.astype(np.float32)[at]
    )
    best_out, best_in = np.full(size, -np.inf, np.float32), np.full(size, -np.inf, np.float32)
    np.maximum.at(best_out, out.title, left)
    best_out[world.homeless > 0] = np.maximum(best_out[world.homeless > 0], 0)
    np.maximum.at(best_in, into.title, came)
    r = np.flatnonzero(left + best_in[out.title] > -reach)
    c = np.flatnonzero(came + best_out[into.title] > -reach)
    return r, c


def _min_cost_flow(tail: Int64s, head: Int64s, capacity: Int64s, cost: Int64s) -> Int64s:
    from ortools.graph.python.min_cost_flow import SimpleMinCostFlow  # 20 MB that only a plan needs

    solver, flow, some = SimpleMinCostFlow(), np.zeros(len(tail), np.int64), _carrying(tail, head, capacity)
    arcs = solver.add_arcs_with_capacity_and_unit_cost(
        tail[some].astype(np.int32), head[some].astype(np.int32), capacity[some], cost[some]
    )
    status = solver.solve()
    if status != solver.OPTIMAL:
        raise RuntimeError(f"the circulation of {len(tail)} arcs ended with {status}")
    flow[some] = solver.flows(arcs)
    return flow


def _carrying(tail: Int64s, head: Int64s, capacity: Int64s) -> NDArray[np.bool_]:
    """Return the arcs that can carry flow: at high prices few titles move, and the solver visits every arc it is given."""
    some, nodes = capacity > 0, int(max(tail.max(initial=-1), head.max(initial=-1))) + 1
    for _ in range(LONGEST_BRANCH):
        entered, left = (np.zeros(nodes, bool) for _ in range(2))
        entered[head[some]] = left[tail[some]] = True
        some &= entered[tail] & left[head]
    return np.asarray(some)


def _flow(net: FlowNetwork, flow: Int64s, potential: Reals, out: tuple[int, Int64s], into: tuple[int, Int64s]) -> Flow:
    fixed = len(net.arcs.tail)
    leaves, arrives = np.zeros(out[0], bool), np.zeros(into[0], bool)
    leaves[out[1]] = flow[fixed : fixed + len(out[1])] > 0
    arrives[into[1]] = flow[fixed + len(out[1]) : fixed + len(out[1]) + len(into[1])] > 0
    (came,), (left,), changed = (net.grid(flow[:fixed], kind) for kind in ("in", "out", "change"))
    return Flow(leaves, arrives, came, left, changed, _duals(net, potential / SCALE, flow[:fixed]))


def _potentials(
    nodes: int, tail: Int64s, head: Int64s, capacity: Int64s, cost: Int64s, flow: Int64s, fixed: int
) -> Reals:
    """Return node prices at which no residual arc has a negative reduced cost, the hub's at 0.

    Prices that few columns determine have a wide range; this finds both ends of it and returns the middle.
    """
    ends = []
    for sign in (1, -1):
        potential = np.zeros(nodes, np.int64)
        potential[fixed:] = NO_LIMIT * SCALE  # titles start out of reach, places at zero
        u, v = (tail, head) if sign == 1 else (head, tail)
        kernels.potentials(potential, u, v, capacity, cost, flow, SWEEPS)
        ends.append(sign * (potential[:fixed] - potential[fixed - 1]))
    return np.asarray((ends[0] + ends[1]) / 2)


def _duals(net: FlowNetwork, price: Reals, flow: Int64s) -> Duals:
    """Turn potentials into prices; among several optimal ones choose the one at which no title misses a gain it cannot have.

    A limit without flow costs as much as the limits behind it; an unused bonus is paid in full.
    """
    size, width = net.sections * net.places, net.places
    fresh, arrive, put, _, leave = (price[i * size : (i + 1) * size].reshape(net.sections, width) for i in range(5))
    inward, outward, place = (price[5 * size + i * width : 5 * size + (i + 1) * width] for i in range(3))
    used, room = {k: net.grid(flow, k) for k in KINDS}, {k: net.grid(net.arcs.capacity, k) for k in KINDS}
    full = {k: used[k] >= room[k] for k in KINDS}
    bonus, hurt = -net.grid(net.arcs.cost, "to_floor"), net.grid(net.arcs.cost, "below")
    charged_in, charged_out = net.handling.price
    in_price = np.where(full["in"][0], np.maximum(place - inward, charged_in), charged_in)
    out_price = np.where(full["out"][0], np.maximum(outward - place, charged_out), charged_out)
    shelf = np.where(full["room"], np.maximum(place - in_price - put, 0), 0)
    wanting = (room["to_floor"] > 0) & ~full["to_floor"]
    floor = np.where(
        wanting, bonus, np.where(room["to_floor"] == 0, 0, np.clip(arrive - (place - in_price - shelf), 0, bonus))
    )
    kept = np.clip(leave - (place + out_price - shelf), 0, hurt)
    keep = np.where(room["above"] == 0, hurt, np.where(full["above"], kept, 0))
    subsidy = _subsidy(net, fresh - arrive, room, full)
    return Duals(-place, in_price, out_price, shelf, floor, subsidy, keep)


def _subsidy(net: FlowNetwork, paid: Reals, room: dict[str, Int64s], full: dict[str, NDArray[np.bool_]]) -> Reals:
    """Return the subsidy of a fresh copy: the rest of the highest bonus that is not used up, else the price in the flow."""
    quota, asked = (np.where(room[kind] > 0, -net.grid(net.arcs.cost, kind), 0.0) for kind in ("quota", "asked"))
    least = np.where(full["quota"], 0.0, quota)
    return np.where(full["asked"], np.clip(paid, least, np.maximum(quota, asked)), np.maximum(quota, asked))


def charge_handling(net: FlowNetwork, limits: PlaceLimits, flow: Flow) -> bool:
    """Raise handling prices where more came or left than can be handled, lower them elsewhere; return whether any changed."""
    hands = net.handling
    through = np.stack([flow.came, flow.left]) + flow.changed.sum(0)
    most = np.stack([limits.in_copies, limits.out_copies])
    way = np.where(through > most, 1, np.where((through < most) & (hands.price > 0), -1, 0))
    turned = way * hands.way
    hands.step = hands.step * np.where(turned < 0, STEP_SHRINKS, np.where(turned > 0, STEP_GROWS, 1.0))
    price = np.rint(np.maximum(hands.price + way * hands.step, 0) * SCALE) / SCALE  # as the solver rounds it
    moved = bool((np.abs(price - hands.price) > LEAST_STEP).any())
    hands.price, hands.way = price, np.where(way == 0, hands.way, way)
    for kind, charged in (("in", price[0]), ("out", price[1]), ("change", price.sum(0))):
        net.grid(net.arcs.cost, kind)[:] = charged
    return moved


def opening_duals(net: FlowNetwork, settings: PlanningSettings) -> Duals:
    """Return prices that are too high nowhere: the floors' bonuses alone, without scarcity."""
    floor = np.where(net.grid(net.arcs.capacity, "to_floor") > 0, settings.floor_bonus, 0.0)
    quota = np.where(net.grid(net.arcs.capacity, "quota") > 0, settings.fresh_bonus, 0.0)
    quota = np.where(net.grid(net.arcs.capacity, "asked") > 0, np.maximum(settings.request_worth, quota), quota)
    none = np.zeros(net.places)
    return Duals(none, none, none, np.zeros(floor.shape), floor, quota, np.zeros(floor.shape))


def scarcity(limits: PlaceLimits, duals: Duals, settings: PlanningSettings) -> float:
    """Return the worth of the places' limits at these prices: with the titles' best answers it bounds every plan from above."""
    terms = (
        (limits.in_copies, duals.in_copies),
        (limits.out_copies, duals.out_copies),
        (limits.room_total, duals.place),
        (limits.room, duals.room),
        (limits.fresh, settings.fresh_bonus - duals.subsidy),
        (limits.asked, settings.request_worth - duals.subsidy),
        (limits.short, settings.floor_bonus - duals.floor),
        (limits.above, duals.kept),
    )
    return float(sum((limit * np.where(price > ROUNDING, price, 0.0)).sum() for limit, price in terms))
