"""The night as one min-cost circulation: copies flow out of shelves to their title and from the title to other shelves.

    PLACE --> OUT --> TAKE(s) --> LEAVE(s) --release--> title --receipt--> FRESH(s) --> ARRIVE(s) --> PUT(s) --> IN --> PLACE
      ^ |                                                 ^                  (or ARRIVE at once, where it is not fresh)
      | +----> HUB ------------ homeless copies ----------+
      +------- HUB              PUT(s) --> TAKE(s): what comes stands where a copy left         s: a shelf section of the place

Every limit is a capacity and every floor a cheaper arc, so integers come by themselves and node potentials are prices.
What comes in the room of a copy that leaves passes by IN and OUT, and their limits. Where a place so takes in or gives away more
than it can, bringing in or taking out is charged on both ways alike, at a price looked for until the day's work is just done.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

from rotation.rebalancing import kernels
from rotation.rebalancing.snapshot import Settings
from rotation.rebalancing.world import NO_LIMIT, Limits, World, distinct

SCALE = 10_000  # costs in ten-thousandths of a loan: far below what an estimate can tell apart
REACH_GUESSED = 0.3  # loans by which a copy's best move may miss at guessed prices before it is left out of a solution
REACH = 0.1  # and at prices that a solution gave
REACH_CERTAIN = 1.0  # and where the solution's own prices certify: what is left out sets no price of a full shelf
ROUNDING = 1e-9  # loans: sums of prices that should cancel are off by less
LONGEST_BRANCH = 4  # arcs from a title to its place: all of them carry nothing where the title stays
SWEEPS = 5_000  # Bellman-Ford ends long before; a net against an endless loop
HANDLING_STEP, LEAST_STEP = 0.2, 0.002  # loans: of a price of handling, first and last
STEP_GROWS, STEP_SHRINKS = 1.3, 0.5  # while it is still too low or too high; where it passed the price looked for

T = TypeVar("T", bound=np.generic)
Int64s = NDArray[np.int64]
Reals = NDArray[np.float64]


class Releases(NamedTuple):
    """One row a copy that may leave, by title; `value` after the cost of leaving."""

    start: Int64s  # T + 1
    title: NDArray[np.int32]
    cell: NDArray[np.int32]
    place: NDArray[np.int32]
    value: NDArray[np.float32]


class Columns(NamedTuple):
    """Receipts that the circulation knows, by title and place; `value` after the cost of arriving."""

    title: NDArray[np.int32]
    place: NDArray[np.int32]
    value: NDArray[np.float32]
    fresh: NDArray[np.int8]


class PlaceArcs(NamedTuple):
    """The arcs between the nodes of places, kind after kind as in KINDS."""

    tail: Int64s
    head: Int64s
    cost: Reals
    capacity: Int64s


class Duals(NamedTuple):
    """Prices in loans: what one more of each scarce thing is worth. S x P, or P."""

    place: Reals  # P: room at the place in all
    in_copies: Reals  # P
    out_copies: Reals  # P
    room: Reals  # S x P: the section's own room
    floor: Reals  # S x P: what an arrival is paid while the section is short
    subsidy: Reals  # S x P: what a fresh copy is paid while the quota is short
    kept: Reals  # S x P: what leaving costs where the floor would be hurt

    @property
    def leaving(self) -> Reals:
        """What a copy pays to leave: negative where the room it makes is worth more than its way out."""
        return self.out_copies - self.place - self.room + self.kept

    @property
    def arriving(self) -> Reals:
        """What a copy pays to arrive."""
        return self.in_copies + self.place + self.room - self.floor

    @property
    def fresh(self) -> Reals:
        """What a fresh copy pays to arrive."""
        return self.arriving - self.subsidy


class Flow(NamedTuple):
    """A solved circulation."""

    leaves: NDArray[np.bool_]  # by release
    arrives: NDArray[np.bool_]  # by column
    came: Int64s  # P: through IN
    left: Int64s  # P: through OUT
    changed: Int64s  # S x P: came in the room of a copy that left
    duals: Duals


KINDS = (
    "asked", "quota", "fresh", "to_floor", "to_shelf", "room", "change", "taken", "above", "below",
    "in", "out", "grow", "shrink",
)  # fmt: skip
SECTIONAL = 10  # the first ten kinds have an arc a section and place, the others one a place


@dataclass(slots=True)
class Handling:
    """What bringing a copy in and taking one out is charged, 2 x P, and how it is looked for."""

    price: Reals  # loans
    step: Reals  # by which the price goes up or down next
    way: NDArray[np.int64]  # 1: it went up, -1: down


@dataclass(slots=True)
class Network:
    """The places' part of the circulation; only what handling is charged changes while it is solved again."""

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


def network(limits: Limits, settings: Settings) -> Network:
    """Lay out the places' nodes and arcs."""
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
    return Network(sections, places, PlaceArcs(tail, head, cost, capacity), handling)


def releases(world: World) -> Releases:
    """List every copy that may leave with what its leaving is worth; at most one a place can arrive anywhere in a day."""
    most = max(len(world.weight), 1)
    size = int(np.minimum(world.free, most).clip(0).sum())
    start, cell, value = np.zeros(len(world.factor) + 1, np.int64), np.zeros(size, np.int32), np.zeros(size, np.float32)
    kernels.releases(world, most, start, cell, value)
    title = np.repeat(np.arange(len(world.factor), dtype=np.int32), np.diff(start))
    return Releases(start, title, cell, world.place[cell], value)


def columns(world: World, title: NDArray[np.int32], place: NDArray[np.int32], known: Columns | None = None) -> Columns:
    """Value the receipts of `title` at `place` and add them to those `known`, each once, in order."""
    if known is not None:
        title, place = np.concatenate([known.title, title]), np.concatenate([known.place, place])
    key = distinct(title.astype(np.int64) * max(len(world.weight), 1) + place)
    title, place = (x.astype(np.int32) for x in np.divmod(key, max(len(world.weight), 1)))
    value, fresh = np.zeros(len(key), np.float32), np.zeros(len(key), np.int8)
    kernels.column_values(world, title, place, value, fresh)
    return Columns(title, place, value, fresh)


def solve(
    net: Network, world: World, out: Releases, into: Columns, price: float, near: Duals, reach: float = REACH
) -> Flow:
    """Solve the circulation over these releases and columns, each move charged `price`.

    Left out is what misses by more than `reach` at the prices `near` the solution's.

    Raises
    ------
    RuntimeError
        When the solver does not end at an optimum, which no input should bring about: no flow at all is always feasible.
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
    """Number the titles that occur in order, from `first` on: return them, and the node of each row."""
    occurs = np.zeros(size, bool)
    occurs[title] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) + (first - 1))[title]


def _useful(
    world: World, out: Releases, into: Columns, price: float, near: Duals, reach: float
) -> tuple[Int64s, Int64s]:
    """Return the releases and columns that miss a move worth making by at most `reach` at the prices `near` the solution."""
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
    """Return which arcs may carry anything: few do where the price lets few titles move, and the solver looks at all it has."""
    some, nodes = capacity > 0, int(max(tail.max(initial=-1), head.max(initial=-1))) + 1
    for _ in range(LONGEST_BRANCH):
        entered, left = (np.zeros(nodes, bool) for _ in range(2))
        entered[head[some]] = left[tail[some]] = True
        some &= entered[tail] & left[head]
    return np.asarray(some)


def _flow(net: Network, flow: Int64s, potential: Reals, out: tuple[int, Int64s], into: tuple[int, Int64s]) -> Flow:
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

    Prices that few columns pin down have a wide range; its two ends are found from above and from below, and the middle taken.
    """
    ends = []
    for sign in (1, -1):
        potential = np.zeros(nodes, np.int64)
        potential[fixed:] = NO_LIMIT * SCALE  # titles begin out of reach, places at nothing
        u, v = (tail, head) if sign == 1 else (head, tail)
        kernels.potentials(potential, u, v, capacity, cost, flow, SWEEPS)
        ends.append(sign * (potential[:fixed] - potential[fixed - 1]))
    return np.asarray((ends[0] + ends[1]) / 2)


def _duals(net: Network, price: Reals, flow: Int64s) -> Duals:
    """Make prices of potentials, choosing where several are optimal the one that leaves no title a gain it cannot have.

    What nothing flows through costs what lies behind it; a bonus that is not used up is paid whole.
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


def _subsidy(net: Network, paid: Reals, room: dict[str, Int64s], full: dict[str, NDArray[np.bool_]]) -> Reals:
    """Return what a fresh copy is paid: what is left of the dearest bonus that is not used up, else what the flow pays."""
    quota, asked = (np.where(room[kind] > 0, -net.grid(net.arcs.cost, kind), 0.0) for kind in ("quota", "asked"))
    least = np.where(full["quota"], 0.0, quota)
    return np.where(full["asked"], np.clip(paid, least, np.maximum(quota, asked)), np.maximum(quota, asked))


def charge_handling(net: Network, limits: Limits, flow: Flow) -> bool:
    """Raise the price of handling where more came or left than can be handled, lower it where less; return whether it moved."""
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


def opening_duals(net: Network, settings: Settings) -> Duals:
    """Return prices that are nowhere too high: only the floors' bonuses, no scarcity."""
    floor = np.where(net.grid(net.arcs.capacity, "to_floor") > 0, settings.floor_bonus, 0.0)
    quota = np.where(net.grid(net.arcs.capacity, "quota") > 0, settings.fresh_bonus, 0.0)
    quota = np.where(net.grid(net.arcs.capacity, "asked") > 0, np.maximum(settings.request_worth, quota), quota)
    none = np.zeros(net.places)
    return Duals(none, none, none, np.zeros(floor.shape), floor, quota, np.zeros(floor.shape))


def scarcity(limits: Limits, duals: Duals, settings: Settings) -> float:
    """Return what the places' limits are worth at these prices: with the titles' best answers, a bound on every plan."""
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
