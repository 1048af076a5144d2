"""The search for the night's best flow: solve over the known columns, ask every title at the new prices, add its wishes.

Each round of questions also bounds every possible plan from above, over all destinations. So the search knows its distance from
the best and stops when it is small. The budget of moves is met by a price that every move pays, found on the way.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing import circulation, kernels
from rotation.rebalancing.circulation import Columns, Duals, Flow, FlowNetwork, Releases
from rotation.rebalancing.snapshot import Ints, PlanningSettings
from rotation.rebalancing.world import PlaceLimits, Tables, World

# Titles in one call: its columns fit in a few megabytes.
CHUNK_TITLES = 16_384
# Rounds of questions before the first flow, each with better guesses of scarcity; and a title's choices in each of them.
OPENING_ROUNDS = 2
OPENING_COLUMNS = 3
# Loans of noise on each title's gains; otherwise every title competes for the same places.
OPENING_SPREAD = 0.6
# Loans: enough noise that each floor sees different titles.
SPREAD_OF_SUITORS = 1.0
# Titles collected for a floor: six times the copies it wants and thirty more.
SUITORS, SUITORS_MORE = 6, 30
# Loans by which a choice may fall short, because guesses are inexact.
OPENING_MARGIN = 0.1
# Columns that each round adds for a title at most beyond its matching.
LATER_COLUMNS = 60
# A later column that falls short by less may be wanted once prices have moved a little.
NEAR_LOANS = 0.02
# Within a budget few titles come near, and distant full shelves depend on the same few moves.
NEAR_IN_BUDGET = 0.3
# Share of the budget that may be exceeded before the least valuable moves are cut.
OVERSHOOT = 0.02
# Factor by which the reach grows where a solution did not tighten the bound, and the reach in loans that includes everything.
FARTHER = 5.0
FARTHEST = 10.0
# Columns that a round adds for a place: four times its intake and sixty more.
QUEUE, QUEUE_MORE = 4, 60
# Solutions of one round at most during the search for the price.
PRICE_STEPS = 12
# Loans by which a price rises at least, and how that grows.
PRICE_STRIDE, STRIDE_GROWS = 0.001, 2.0
# Share of the interval between two prices that the next price keeps from either end.
NEAR_AN_END = 0.02
# Solutions of one round at most during the search for handling prices.
HANDLING_STEPS = 12

Reals = NDArray[np.float64]
Rows = NDArray[np.integer[Any]]
T = TypeVar("T")


class TitleChoices(NamedTuple):
    """The answers of all titles to a set of prices."""

    total: float  # the sum of their best matchings
    title: NDArray[np.int32]
    place: NDArray[np.int32]
    score: NDArray[np.float32]  # worth of each column at these prices


class Picked(NamedTuple):
    """A plan as rows of the releases and of the columns; titles with more arrivals place homeless copies."""

    leaves: NDArray[np.int64]
    arrives: NDArray[np.int64]


class PlanCounts(NamedTuple):
    """Copies that a plan brings to and takes from the sections of places, S x P."""

    in_copies: NDArray[np.int64]
    out_copies: NDArray[np.int64]
    fresh: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class CertifiedPlan:
    """The best plan found, with its certificate."""

    out: Releases
    into: Columns
    picked: Picked
    flow: Flow
    price: float  # the charge on each move
    value: float
    bound: float
    rounds: int


def search(tables: Tables, settings: PlanningSettings) -> CertifiedPlan:
    """Find the plan of highest value; stop at the requested gap, or when no title wants another column."""
    net, out = circulation.network(tables.limits, settings), circulation.releases(tables.world)
    start = _opening(tables, net, out, settings)
    step = _round(tables, net, out, start, settings)
    best, rounds = step.certified, 1
    while step.news and rounds < settings.rounds and step.bound - best.value > settings.gap * step.bound:
        step = _round(tables, net, out, step, settings)
        best, rounds = max(best, step.certified, key=lambda certified: certified.value), rounds + 1
    return replace(best, bound=step.bound, rounds=rounds)


class _Start(NamedTuple):
    into: Columns
    price: float
    near: Duals  # the prices that gave the best bound so far
    reach: float  # loans by which a known column may fall short at these prices and still be solved with
    bound: float


class _Step(NamedTuple):
    into: Columns
    price: float
    near: Duals
    reach: float
    bound: float
    certified: "CertifiedPlan"
    news: bool


def _round(tables: Tables, net: FlowNetwork, out: Releases, last: _Start | _Step, settings: PlanningSettings) -> _Step:
    """Solve once within the budget, certify, and add the columns that titles would choose."""
    (flow, *fewer), price = _within_handling(tables, net, out, last, settings)
    duals = flow.duals
    near = NEAR_LOANS if settings.budget_moves is None else NEAR_IN_BUDGET
    asked = ask(tables.world, out, duals, price, settings, LATER_COLUMNS, near, volumes=tables.volumes)
    budget = (price - settings.move_price) * (settings.budget_moves or 0)
    bound = asked.total + circulation.scarcity(tables.limits, duals, settings) + budget
    plans = [_cut(tables, out, last.into, solved, price, settings) for solved in (flow, *fewer)]
    values = [value_of(tables, out, last.into, all_volumes(tables, out, last.into, plan), settings) for plan in plans]
    best = int(np.argmax(values))
    certified = CertifiedPlan(out, last.into, plans[best], flow, price, values[best], bound, 0)
    more = circulation.columns(tables.world, *_foremost(asked, tables.limits), last.into)
    news = circulation.charge_handling(net, tables.limits, flow) or len(more.title) > len(last.into.title)
    if bound < last.bound:
        return _Step(more, price, duals, circulation.REACH, bound, certified, True)
    news |= last.reach < FARTHEST  # columns left out as out of reach may be the missing ones
    return _Step(more, price, last.near, last.reach * FARTHER, last.bound, certified, news)


def all_volumes(tables: Tables, out: Releases, into: Columns, picked: Picked) -> Picked:
    """Return the plan with each row repeated for the volumes that move with it."""
    if tables.volumes is None:
        return picked
    leave, arrive = tables.volumes[out.title[picked.leaves]], tables.volumes[into.title[picked.arrives]]
    return Picked(np.repeat(picked.leaves, leave), np.repeat(picked.arrives, arrive))


def _foremost(asked: TitleChoices, limits: PlaceLimits) -> tuple[Ints, Ints]:
    """Return the columns without the ends of the queues, where prices are still so low that too many want the same places.

    A title that still wants a place at the next prices asks again.
    """
    queue = QUEUE * limits.in_copies + QUEUE_MORE
    if len(asked.title) <= queue.sum():
        return asked.title, asked.place
    order = np.lexsort((-asked.score, asked.place))
    place = asked.place[order]
    kept = np.sort(order[np.arange(len(order)) - np.searchsorted(place, place) < queue[place]])
    return asked.title[kept], asked.place[kept]


def ask(
    world: World,
    out: Releases,
    duals: Duals,
    price: float,
    settings: PlanningSettings,
    most: int,
    margin: float,
    spread: float = 0.0,
    volumes: Ints | None = None,
) -> TitleChoices:
    """Ask every title for its best matching at these prices, and for the columns it would choose.

    Where several `volumes` move as one, the total counts each of them.
    """
    prices, released = prices_of_moving(world, duals), kernels.Released(out.start, out.place, out.value)

    def chunk(lo: int) -> TitleChoices:
        hi = min(lo + CHUNK_TITLES, len(world.factor))
        total, room = np.zeros(hi - lo), (hi - lo) * most
        while True:
            chosen = kernels.Chosen(np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.float32))
            n = kernels.answers(world, lo, hi, most, margin, spread, price, released, prices, total, chosen)
            if n <= room:
                best = total.sum() if volumes is None else total @ volumes[lo:hi]
                return TitleChoices(float(best), *(column[:n].copy() for column in chosen))
            room = n

    parts = _side_by_side(chunk, range(0, max(len(world.factor), 1), CHUNK_TITLES), settings.threads)
    totals, titles, places, scores = zip(*parts, strict=True)
    return TitleChoices(sum(totals), np.concatenate(titles), np.concatenate(places), np.concatenate(scores))


def prices_of_moving(world: World, duals: Duals) -> kernels.MovePrices:
    """Return the prices of leaving and arriving at these dual prices, costs included."""
    fresh, arriving = (np.ascontiguousarray(dual + world.in_cost, np.float32) for dual in (duals.fresh, duals.arriving))
    ceiling = -np.minimum(fresh, arriving).min(1, initial=0)
    return kernels.MovePrices(np.ascontiguousarray(duals.leaving, np.float32), fresh, arriving, ceiling)


def value_of(tables: Tables, out: Releases, into: Columns, picked: Picked, settings: PlanningSettings) -> float:
    """Return a plan's worth from its moves alone: gains, floors met, less the least price of each move."""
    gains = out.value[picked.leaves].sum(dtype=np.float64) + into.value[picked.arrives].sum(dtype=np.float64)
    counts = count(tables, out, into, picked)
    return float(gains) + floors_met(tables.limits, counts, settings) - settings.move_price * len(picked.leaves)


def floors_met(limits: PlaceLimits, counts: PlanCounts, settings: PlanningSettings) -> float:
    """Return the bonuses of a plan: copies requested by sets, other fresh copies up to each quota, arrivals up to each
    floor, less departures below it.
    """
    floor = np.minimum(counts.in_copies, limits.short) - np.maximum(counts.out_copies - limits.above, 0)
    asked, fresh = fresh_met(limits, counts)
    worth = ((settings.request_worth, asked), (settings.fresh_bonus, fresh), (settings.floor_bonus, floor))
    return float(sum(bonus * met.sum() for bonus, met in worth))


def fresh_met(limits: PlaceLimits, counts: PlanCounts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many fresh copies meet the sets' requests, and how many of the others meet the quotas, S x P."""
    asked = np.minimum(counts.fresh, limits.asked)
    return asked, np.minimum(counts.fresh - asked, limits.fresh)


def count(tables: Tables, out: Releases, into: Columns, picked: Picked) -> PlanCounts:
    """Count the copies that a plan brings and takes."""
    world, shape = tables.world, tables.limits.short.shape
    section = world.section[world.cls] if len(world.cls) else np.zeros(0, np.int64)

    def by_cell(title: NDArray[np.int32], place: NDArray[np.int32]) -> NDArray[np.int64]:
        return np.bincount(section[title] * shape[1] + place, minlength=shape[0] * shape[1]).reshape(shape)

    a, r = picked.arrives, picked.leaves
    f = a[into.fresh[a] == 1]
    return PlanCounts(
        by_cell(into.title[a], into.place[a]),
        by_cell(out.title[r], out.place[r]),
        by_cell(into.title[f], into.place[f]),
    )


# --- Before anything is scarce ------------------------------------------------------------------------------------------------


def _opening(tables: Tables, net: FlowNetwork, out: Releases, settings: PlanningSettings) -> _Start:
    """Guess prices and the first columns: ask without scarcity, then with oversubscribed places more expensive."""
    duals, price = circulation.opening_duals(net, settings), settings.move_price
    into = circulation.columns(tables.world, *_suitors(tables, out, duals, price))
    for _ in range(OPENING_ROUNDS):
        asked = ask(tables.world, out, duals, price, settings, OPENING_COLUMNS, OPENING_MARGIN, OPENING_SPREAD)
        into = circulation.columns(tables.world, asked.title, asked.place, into)
        duals = _dearer(tables, duals, asked, settings)
    if settings.budget_moves is not None:  # a first guess for the search of the price
        everyone = np.zeros(len(asked.score), np.int64)
        price += float(_at_rank(everyone, asked.score.astype(np.float64), np.array([settings.budget_moves]))[0])
    return _Start(into, price, duals, circulation.REACH_GUESSED, np.inf)


def _suitors(tables: Tables, out: Releases, duals: Duals, price: float) -> tuple[Ints, Ints]:
    """Return columns for every floor and quota; the titles' own choices would meet only the most attractive."""
    world, asked = tables.world, tables.limits.fresh + tables.limits.short + tables.limits.asked
    cells = np.flatnonzero(asked.ravel() > 0)
    row = np.full(asked.shape, -1)
    row.ravel()[cells] = np.arange(len(cells))
    room = SUITORS_MORE + SUITORS * asked.ravel()[cells]
    score = np.full((len(cells), int(room.max(initial=1))), -np.inf, np.float32)
    title = np.full(score.shape, -1, np.int32)
    released, certified = kernels.Released(out.start, out.place, out.value), kernels.Suitors(row, room, score, title)
    kernels.suitors(world, SPREAD_OF_SUITORS, price, released, prices_of_moving(world, duals), certified)
    place = np.broadcast_to((cells % len(world.weight)).astype(np.int32)[:, None], title.shape)
    return title[title >= 0], place[title >= 0]


def _dearer(tables: Tables, duals: Duals, asked: TitleChoices, settings: PlanningSettings) -> Duals:
    """Raise the price of each floor, quota and place to the most that the last copy within its limit would still pay.

    First for all places together, since the same few titles compete for every floor of their section, then for each place.
    """
    world, limits = tables.world, tables.limits
    paying = asked.score > 0
    title, place, score = asked.title[paying], asked.place[paying], asked.score[paying].astype(np.float64)
    section = world.section[world.cls[title]].astype(np.int64)
    cell = section * len(world.weight) + place
    best = np.r_[True, title[1:] != title[:-1]] if len(title) else np.zeros(0, bool)
    raised = []
    for wanted, most in ((limits.fresh, settings.fresh_bonus), (limits.short, settings.floor_bonus)):
        courted = best & (wanted.ravel()[cell] > 0)
        common = np.minimum(_at_rank(section[courted], score[courted], wanted.sum(1)), most)
        score = score - np.where(wanted.ravel()[cell] > 0, common[section], 0)
        own = np.minimum(_at_rank(cell, score, wanted.ravel()).reshape(wanted.shape), most - common[:, None])
        own = np.where(wanted > 0, own, 0)
        score = score - own.ravel()[cell]
        raised.append(np.where(wanted > 0, common[:, None], 0) + own)
    full = _at_rank(place, score, np.minimum(limits.in_copies, limits.room_total + limits.out_copies))
    return duals._replace(
        floor=np.maximum(duals.floor - raised[1], 0.0),
        subsidy=np.maximum(duals.subsidy - raised[0], 0.0),
        in_copies=duals.in_copies + full,
    )


def _at_rank(group: Rows, score: Reals, rank: Rows) -> Reals:
    """Return for each group the score of the first entry beyond `rank`; 0 where the group is smaller."""
    order = np.lexsort((-score, group))
    group, score = group[order], score[order]
    position = np.arange(len(group)) - np.searchsorted(group, group)
    beyond = position == rank[group]
    price = np.zeros(len(rank))
    price[group[beyond]] = np.maximum(score[beyond], 0)
    return price


# --- The budget ---------------------------------------------------------------------------------------------------------------


def _within_handling(
    tables: Tables, net: FlowNetwork, out: Releases, last: _Start | _Step, settings: PlanningSettings
) -> tuple[list[Flow], float]:
    """Solve within the budget, and again at other handling prices while a place would handle more than it can."""
    solved, price = _within_budget(tables.world, net, out, last, settings)
    for _ in range(HANDLING_STEPS):
        if not circulation.charge_handling(net, tables.limits, solved[0]):
            break
        last, before = last._replace(price=price, near=solved[0].duals), solved
        solved, price = _within_budget(tables.world, net, out, last, settings)
        solved += before
    return solved, price


def _within_budget(
    world: World, net: FlowNetwork, out: Releases, last: _Start | _Step, settings: PlanningSettings
) -> tuple[list[Flow], float]:
    """Solve at the price at which the budget is just met, or exceeded by so little that the least valuable moves can be cut.

    The search for the price uses the copies within reach; the solution at that price includes all that may set a shelf's price.
    After it comes the last solution with fewer moves: where copies trade places in rings, few moves can be cut alone.
    """
    flow = circulation.solve(net, world, out, last.into, last.price, last.near, last.reach)
    if settings.budget_moves is None:
        return [flow], last.price
    near, price, fewer = _price(world, net, out, last.into, flow, last.price, settings)
    return [circulation.solve(net, world, out, last.into, price, near, circulation.REACH_CERTAIN), *fewer], price


def _price(
    world: World, net: FlowNetwork, out: Releases, into: Columns, flow: Flow, price: float, settings: PlanningSettings
) -> tuple[Duals, float, list[Flow]]:
    """Return the price at which moves are just enough, or slightly too many, together with the other prices there.

    The search starts from the `flow` at `price`; the last solution with too few moves is returned too.
    """
    budget, low, high = settings.budget_moves or 0, PricePoint(settings.move_price, None), PricePoint(np.inf, None)
    over, fewer, stride = None, list[Flow](), PRICE_STRIDE
    for step in range(PRICE_STEPS):
        moves = int(flow.leaves.sum())
        if _meets(moves, budget) or (moves < budget and price <= low.price):
            return flow.duals, price, fewer
        following = price  # at guessed prices too few moved; the solution's prices may let more
        if moves > budget:
            low, over, stride = PricePoint(price, moves), (flow.duals, price), stride * STRIDE_GROWS
            following = _next_price(low, high, budget, max(_spare(world, out, into, flow, price, budget), stride))
        elif step > 0:
            high, fewer = PricePoint(price, moves), [flow]
            following = _next_price(low, high, budget, 0.0)
        if step > 0 and abs(following - price) < 1 / circulation.SCALE:
            break
        price = following
        flow = circulation.solve(net, world, out, into, price, flow.duals)
    return *(over or (flow.duals, price)), fewer


def _meets(moves: int, budget: int) -> bool:
    return budget <= moves <= budget + int(budget * OVERSHOOT)


def _next_price(low: "PricePoint", high: "PricePoint", budget: int, stride: float) -> float:
    """Guess the price at which `budget` moves remain: by interpolation between two ends, else by a stride."""
    if not np.isfinite(high.price):
        return low.price + stride
    if low.moves is None or high.moves is None:
        return (low.price + high.price) / 2
    share = (low.moves - budget * (1 + OVERSHOOT / 2)) / (low.moves - high.moves)
    return low.price + float(np.clip(share, NEAR_AN_END, 1 - NEAR_AN_END)) * (high.price - low.price)


def _spare(world: World, out: Releases, into: Columns, flow: Flow, price: float, budget: int) -> float:
    """Return the surplus beyond the price of the least of the best `budget` moves; on full shelves moves bear more together."""
    surplus = np.sort(_pairs(world, out, into, flow, price).surplus)
    return float(surplus[len(surplus) - max(budget, 1)]) + 1 / circulation.SCALE


class PricePoint(NamedTuple):
    """A price below or above the right price, and the number of moves at it, where it was tried."""

    price: float
    moves: int | None


class TitlePairs(NamedTuple):
    """Each title's lowest release with its lowest arrival, and so on upward: rows, and each pair's surplus at the prices."""

    leaves: NDArray[np.int64]
    arrives: NDArray[np.int64]
    surplus: Reals


def _pairs(world: World, out: Releases, into: Columns, flow: Flow, price: float) -> TitlePairs:
    section = world.section[world.cls]
    r, c = np.flatnonzero(flow.leaves), np.flatnonzero(flow.arrives)
    left = out.value[r] - price - flow.duals.leaving[section[out.title[r]], out.place[r]]
    at = section[into.title[c]], into.place[c]
    came = into.value[c] - np.where(into.fresh[c] == 1, flow.duals.fresh[at], flow.duals.arriving[at])
    by_left, by_came = np.lexsort((left, out.title[r])), np.lexsort((came, into.title[c]))
    r, left, c, came = r[by_left], left[by_left], c[by_came], came[by_came]
    rank = np.arange(len(r)) - np.searchsorted(out.title[r], out.title[r])
    match = np.searchsorted(into.title[c], out.title[r]) + rank
    return TitlePairs(r, c[match], np.asarray(left + came[match], np.float64))


def _cut(tables: Tables, out: Releases, into: Columns, flow: Flow, price: float, settings: PlanningSettings) -> Picked:
    """Drop from a flow the moves that places cannot handle, and the least valuable moves beyond the budget."""
    picked = Picked(np.flatnonzero(flow.leaves), np.flatnonzero(flow.arrives))
    pairs = _pairs(tables.world, out, into, flow, price)
    ledger = RoomLedger(tables, out, into, picked, pairs)
    ledger.settle()
    if settings.budget_moves is not None:
        ledger.trim(
            np.argsort(_lost_without(tables.world, out, into, flow.duals, pairs), kind="stable"), settings.budget_moves
        )
    rows = sorted(ledger.cut)
    return Picked(np.setdiff1d(picked.leaves, pairs.leaves[rows]), np.setdiff1d(picked.arrives, pairs.arrives[rows]))


def _lost_without(world: World, out: Releases, into: Columns, duals: Duals, pairs: TitlePairs) -> Reals:
    """Return the loss if one move alone is left undone: its surplus, and the price of the room that nobody then takes."""
    section, came, left = world.section[world.cls], into.place[pairs.arrives], out.place[pairs.leaves]
    room = duals.place + duals.room
    there, here = room[section[into.title[pairs.arrives]], came], room[section[out.title[pairs.leaves]], left]
    return np.asarray(pairs.surplus + duals.in_copies[came] + there - here + duals.out_copies[left])


class RoomLedger:
    """Remaining room and handling by place while moves are dropped from a plan in turn; negative where too much comes."""

    def __init__(self, tables: Tables, out: Releases, into: Columns, picked: Picked, pairs: TitlePairs) -> None:
        """Start with the whole plan."""
        counts, limits = count(tables, out, into, picked), tables.limits
        net = counts.in_copies - counts.out_copies
        self.free, self.free_total = limits.room - net, limits.room_total - net.sum(0)
        self.free_in = limits.in_copies - counts.in_copies.sum(0)
        self.free_out = limits.out_copies - counts.out_copies.sum(0)
        section = tables.world.section[tables.world.cls]
        leaves, arrives = pairs.leaves, pairs.arrives
        self.here, self.there = out.place[leaves].tolist(), into.place[arrives].tolist()
        self.section = section[out.title[leaves]].tolist()
        self.order = np.argsort(pairs.surplus, kind="stable").tolist()
        self.cut: set[int] = set()

    def settle(self) -> None:
        """Drop the least valuable moves wherever too many copies come or leave, until every place is within its limits."""
        before = -1
        while len(self.cut) > before and any(
            (x < 0).any() for x in (self.free, self.free_total, self.free_in, self.free_out)
        ):
            before = len(self.cut)
            for i in self.order:
                if i not in self.cut and self._over(i):
                    self._undo(i)

    def trim(self, order: NDArray[np.int64], most: int) -> None:
        """Leave `most` moves by dropping the least valuable whose copy may stay. Each time the search restarts from the least
        valuable move, because a copy may stay once the copy that would take its room does. If none may stay, the least valuable
        move is dropped, together with the moves that now lack room.
        """
        rows = order.tolist()
        while len(rows) - len(self.cut) > most:
            least = next((i for i in rows if i not in self.cut and self._may_stay(i)), None)
            self._undo(next(i for i in rows if i not in self.cut) if least is None else least)
            self.settle()

    def _over(self, i: int) -> bool:
        s, b = self.section[i], self.there[i]
        return bool(min(self.free[s, b], self.free_total[b], self.free_in[b], self.free_out[self.here[i]]) < 0)

    def _may_stay(self, i: int) -> bool:
        s, b = self.section[i], self.here[i]
        return bool(self.free[s, b] > 0 and self.free_total[b] > 0)

    def _undo(self, i: int) -> None:
        s, here, there = self.section[i], self.here[i], self.there[i]
        self.free[s, here] -= 1
        self.free_total[here] -= 1
        self.free[s, there] += 1
        self.free_total[there] += 1
        self.free_in[there] += 1
        self.free_out[here] += 1
        self.cut.add(i)


def _side_by_side(work: Callable[[int], T], items: range, threads: int) -> list[T]:
    if threads <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))
