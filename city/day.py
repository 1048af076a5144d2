"""The events of a city's day, in sequence: visits, returns, arrivals, and their effect on shelves and holds.

Every copy waits for at most one thing (`due`, `what`), and nothing that is begun today ends today. So a day is its visits and
the copies due that day, sorted by time, and both drivers play them through the same `step`. Compiled; arrays only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from city.model import DAY_S, SPANS, DrawnCity, Ints, Land, Records
from city.visits import VISIT
from rotation.rebalancing.snapshot import AGE_BANDS_WEEKS, OLD

Longs = NDArray[np.int64]

# State of a copy
SHELF, LOAN, TRANSIT, HOLD_SHELF, RESERVED, REPAIR, GONE, UNBORN = range(8)
# What a copy waits for
NOTHING, RETURN, RENEW, ARRIVE, PAGE, FETCH, MEND, BIRTH = range(8)
# Facts, as they stand in the log
ADDED, LOANED, RETURNED, RENEWED, FOUND, DAMAGED, WITHDRAWN, HELD, EXPIRED, FILLED, SENT, RECEIVED = range(12)
# Columns of the log: a copy that is -1 stands for none; `other` is a destination or a hold's number
KIND, AT, COPY, PLACE, OTHER, SEQUENCE = range(6)
# Counters
LOGGED, HOLDS, LOANS, UNMET, REFUSED, INSTEAD, TRIPS, PICKS, DIVERTED = range(9)
HOLD_DAYS, HOLDS_FILLED, HOLDS_EXPIRED, BACK_AGAIN, REHOMED = range(9, 14)
COUNTERS = 14

Step = TypeVar("Step", bound=Callable[..., Any])


def compiled(step: Step) -> Step:
    """Compile a step that Python calls; it allocates nothing, so reference counting is off (`_nrt`)."""
    options: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": False}
    return cast("Step", njit(**options)(step))


def inner(step: Step) -> Step:
    """Compile a step that only steps call: without an entry point for Python, which halves the compiling."""
    options: dict[str, Any] = {
        "error_model": "numpy",
        "_nrt": False,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
    }
    return cast("Step", njit(**options)(step))


NEVER = np.int64(2**62)
LONG_AGO = -10_000  # a day before everything
LOG_ROWS = 1 << 17  # the first day adds every copy
MOST_HOLDS = 1 << 18
LOAN_PERIOD_DAYS = 28  # then a loan is renewed
PAGE_AFTER_OPENING_S = 1800  # the morning's list of holds is fetched from the shelves
UNPACK_S = 900  # from the receiving window's beginning to the check-in
MEND_DAYS = 21
BAND_DAYS = np.array(AGE_BANDS_WEEKS) * 7
BACK_AGAIN_DAYS = 56  # moved back within eight weeks to where it was moved from: ping-pong


COPY_ROW = np.dtype(
    [
        ("title", "i4"),
        ("place", "i4"),  # where it stands, where it was lent, or where it was sent from
        ("to", "i4"),  # where it is going; -1
        ("home", "i4"),  # the shelf it belongs to
        ("state", "i1"),
        ("what", "i1"),  # what it waits for
        ("due", "i8"),  # and when, in seconds; NEVER
        ("back_s", "i8"),  # when the loan comes back
        ("back", "i4"),  # and where
        ("worn", "f4"),  # the loan's chance of damage
        ("hold", "i4"),  # hold that it is trapped for; -1
        ("answer", "i4"),  # where placement sends it when it is returned next; -1: home
        ("moved", "i4"),  # day rotation moved it last
        ("came_from", "i4"),  # and from where
        ("shelved", "i4"),  # day it came to the shelf where it stands
        ("lent", "i4"),  # day of its last loan
        ("next", "i4"),  # the next copy of the title on the same shelf
        ("new", "?"),  # added after the city began
    ]
)
PAIR_ROW = np.dtype(
    [
        ("head", "i4"),  # first copy of the title on the shelf; -1
        ("own", "i4"),  # copies that belong there
        ("arrived", "i4"),  # day on which the title came
        ("left", "i4"),  # day on which its last copy left
        ("loans", "f4", OLD + 1),  # seen by the library, by the band of the title's age there
        ("shelf_days", "f4", OLD + 1),  # days with a copy on the shelf, to the end of the last stay, likewise
        ("holds", "f4"),  # loans to readers who reserved the title
        ("since", "f4"),  # day on which the stay began
    ]
)
TITLE_ROW = np.dtype([("cls", "i4"), ("queue", "i4"), ("queue_end", "i4")])  # first and last hold that waits; -1
PLACE_ROW = np.dtype([("loans", "i8"), ("unmet", "i8")])
HOLD_ROW = np.dtype(
    [("at_s", "i8"), ("title", "i4"), ("place", "i4"), ("back", "i4"), ("back_day", "i4"), ("next", "i4")]
)
MODE = np.dtype([("floating", "?"), ("carried", "?"), ("km", "f8")])


class CityState(NamedTuple):
    """The city's present; every array is updated in place."""

    copies: Records  # C
    pairs: Records  # T x P
    titles: Records  # T
    places: Records  # P
    holds: Records  # MOST_HOLDS
    counts: Longs  # COUNTERS
    mode: Records  # 1: returned copies stay where they are; vans carry what is sent, nothing arrives by itself; copies' km
    log: Longs  # LOG_ROWS x 6: the day's facts


def begin(world: DrawnCity, seed: int) -> CityState:
    """Return the city before its first day: every copy waits to be added."""
    pair = (len(world.cls), len(world.km))
    titles, holds = np.zeros(len(world.cls), TITLE_ROW), np.zeros(MOST_HOLDS, HOLD_ROW)
    titles["cls"], titles["queue"], holds["next"] = world.cls, -1, -1
    counts, log = np.zeros(COUNTERS, np.int64), np.zeros((LOG_ROWS, 6), np.int64)
    places, mode = np.zeros(len(world.km), PLACE_ROW), np.zeros(1, MODE)
    return CityState(_unborn(world), _pairs(world, pair, seed), titles, places, holds, counts, mode, log)


def _unborn(world: DrawnCity) -> Records:
    copies = np.zeros(len(world.title), COPY_ROW)
    copies["title"], copies["place"], copies["home"] = world.title, world.first_place, world.first_place
    copies["due"], copies["what"], copies["state"], copies["new"] = world.born * DAY_S, BIRTH, UNBORN, world.born > 0
    for name in ("to", "hold", "answer", "came_from", "next"):
        copies[name] = -1
    copies["moved"] = copies["lent"] = LONG_AGO
    return copies


def _pairs(world: DrawnCity, pair: tuple[int, int], seed: int) -> Records:
    pairs = np.zeros(pair, PAIR_ROW)
    pairs["head"], pairs["left"] = -1, LONG_AGO
    pairs["arrived"] = -np.random.default_rng([seed, 3]).integers(200, 620, pair)
    old = world.born == 0
    np.add.at(pairs["own"], (world.title[old], world.first_place[old]), 1)
    return pairs


def play(land: Land, state: CityState, visits: Records, day: int) -> Longs:
    """Play a day from its first visit to its last return; return its facts (a view that the next day overwrites)."""
    state.counts[LOGGED] = 0
    _play(land, state, visits, agenda(state, visits, day))
    return state.log[: state.counts[LOGGED]]


def agenda(state: CityState, visits: Records, day: int) -> Longs:
    """Return the day's events in order of time: a row of `visits`, or -1 - a copy that is due."""
    due = np.flatnonzero(state.copies["due"] < (day + 1) * DAY_S)
    at = np.concatenate([state.copies["due"][due], visits["at_s"]])
    what = np.concatenate([-1 - due, np.arange(len(visits))])
    return np.asarray(what[np.argsort(at, kind="stable")], dtype=np.int64)


def returning(state: CityState, day: int) -> Ints:
    """Return the copies that come back over a desk that day, in order of time."""
    due, what = state.copies["due"], state.copies["what"]
    rows = np.flatnonzero((due < (day + 1) * DAY_S) & (what == RETURN))
    return np.asarray(rows[np.argsort(due[rows], kind="stable")], dtype=np.int32)


@compiled
def _play(w: Land, s: CityState, v: Records, what: Longs) -> None:
    for i in range(len(what)):
        step(w, s, v, what[i])


@compiled
def step(w: Land, s: CityState, v: Records, what: int) -> None:
    """Let one event happen: a visit, or the event that a copy waited for."""
    if what >= 0:
        _visit(w, s, v, what)
        return
    c = -1 - what
    at, kind = s.copies[c].due, s.copies[c].what
    s.copies[c].due, s.copies[c].what = NEVER, NOTHING
    if kind == RETURN:
        _come_back(w, s, c, at)
    elif kind == RENEW:
        tell(s, RENEWED, at, c, s.copies[c].place, -1, 0)
        _wait(s, c, RETURN, s.copies[c].back_s)
    else:
        _step_inside(w, s, c, kind, at)


@inner
def _step_inside(w: Land, s: CityState, c: int, kind: int, at: int) -> None:
    """Events of a copy without a reader."""
    if kind == ARRIVE:
        arrive(w, s, c, at)
    elif kind == PAGE:
        _bring_to_reader(w, s, c, at, 0)
    elif kind == FETCH:
        _hand_over(w, s, c, at)
    elif kind == MEND:
        tell(s, FOUND, at, c, s.copies[c].place, -1, 0)
        _route(w, s, c, s.copies[c].home, at)
    elif kind == BIRTH:
        _add(w, s, c, at)


@inner
def tell(s: CityState, kind: int, at: int, copy: int, place: int, other: int, sequence: int) -> None:
    """Write a fact into the day's log."""
    row = s.log[s.counts[LOGGED]]
    row[KIND], row[AT], row[COPY], row[PLACE], row[OTHER], row[SEQUENCE] = kind, at, copy, place, other, sequence
    s.counts[LOGGED] += 1


@inner
def _wait(s: CityState, c: int, what: int, at: int) -> None:
    s.copies[c].what, s.copies[c].due = what, at


@inner
def _add(w: Land, s: CityState, c: int, at: int) -> None:
    if s.copies[c].new:
        _belong(w, s, c, s.copies[c].home, at // DAY_S, True)
    tell(s, ADDED, at, c, s.copies[c].home, -1, 0)
    shelve(w, s, c, s.copies[c].home, at)


# --- Visits and loans --------------------------------------------------------------------------------------------------


@inner
def _visit(w: Land, s: CityState, v: Records, i: int) -> None:
    t, b, at = v[i].title, v[i].place, v[i].at_s
    c = s.pairs[t, b].head
    if c >= 0 and v[i].take * w.truth[0].novelty < _freshness(w, s, t, b, at // DAY_S):
        _lend(w, s, v, i, c)
        return
    if c >= 0:
        s.counts[REFUSED] += 1
    elif v[i].hold < w.truth[0].hold_chance:
        _place_hold(w, s, v, i)
        return
    elif v[i].browse < w.truth[0].browse_chance:
        c = _another(w, s, v, i)
        if c >= 0:
            s.counts[INSTEAD] += 1
            _lend(w, s, v, i, c)
            return
    s.counts[UNMET] += 1
    s.places[b].unmet += 1


@inner
def _freshness(w: Land, s: CityState, t: int, b: int, day: int) -> float:
    weeks = (day - s.pairs[t, b].arrived) / 7.0
    fresh = w.truth[0].seen_floor + (1.0 - w.truth[0].seen_floor) * np.exp(-weeks / w.truth[0].seen_weeks)
    return float(min(w.truth[0].novelty, fresh * w.truth[0].novelty) if weeks < 8.0 else fresh)


@inner
def _another(w: Land, s: CityState, v: Records, i: int) -> int:
    """Return a copy of another title of the class on the same shelf: three are looked at."""
    k, b = s.titles[v[i].title].cls, v[i].place
    first, number = w.member_from[k], w.member_from[k + 1] - w.member_from[k]
    for z in range(3):
        t = w.members[first + int((v[i].which * 1009.0 + z * 0.618034) % 1.0 * number)]
        if s.pairs[t, b].head >= 0 and v[i].take < _freshness(w, s, t, b, v[i].at_s // DAY_S):
            return int(s.pairs[t, b].head)
    return -1


@inner
def _lend(w: Land, s: CityState, v: Records, i: int, c: int) -> None:
    b, at = v[i].place, v[i].at_s
    take(w, s, c, at)
    s.copies[c].worn = v[i].worn
    pair = s.pairs[s.copies[c].title, b]
    pair.loans[_band(pair.arrived, at / DAY_S)] += 1.0
    _begin_loan(w, s, c, at, v[i].back, _open_moment(w, v[i].back, at // DAY_S + v[i].back_day, v[i].back_when))


@inner
def _band(arrived: int, day: float) -> int:
    """Return the band of age that the records show: a title that was there before they begin is old."""
    band = 0
    while band < OLD and (arrived < 0 or day - arrived >= BAND_DAYS[band]):
        band += 1
    return band


@inner
def _begin_loan(w: Land, s: CityState, c: int, at: int, back: int, back_s: int) -> None:
    b = s.copies[c].place
    tell(s, LOANED, at, c, b, -1, 0)
    s.copies[c].state, s.copies[c].lent = LOAN, at // DAY_S
    s.copies[c].back, s.copies[c].back_s = back, back_s
    s.counts[LOANS] += 1
    s.places[b].loans += 1
    renewal = at + LOAN_PERIOD_DAYS * DAY_S
    if back_s > renewal:
        _wait(s, c, RENEW, renewal)
    else:
        _wait(s, c, RETURN, back_s)


@inner
def _open_moment(w: Land, b: int, day: int, share: float) -> int:
    """Return the second at which `share` of the hours has passed, on that day or the next open one."""
    while day < w.days.shape[1] - 1 and not w.days[b, day].opens:
        day += 1
    weekday = (w.truth[0].weekday + day) % 7
    total = 0
    for j in range(SPANS):
        total += w.hours[b, weekday].end_s[j] - w.hours[b, weekday].begin_s[j]
    left = share * total
    for j in range(SPANS):
        length = w.hours[b, weekday].end_s[j] - w.hours[b, weekday].begin_s[j]
        if left < length:
            return int(day * DAY_S + w.hours[b, weekday].begin_s[j] + int(left))
        left -= length
    return int(day * DAY_S + max(w.hours[b, weekday].end_s[0] - 1, 9 * 3600))


# --- Holds -------------------------------------------------------------------------------------------------------------


@inner
def _place_hold(w: Land, s: CityState, v: Records, i: int) -> None:
    t, b, at = v[i].title, v[i].place, v[i].at_s
    h = s.counts[HOLDS]
    s.counts[HOLDS] += 1
    s.holds[h].title, s.holds[h].place, s.holds[h].at_s = t, b, at
    s.holds[h].back, s.holds[h].back_day, s.holds[h].next = v[i].back, v[i].back_day, -1
    tell(s, HELD, at, -1, b, h, 0)
    for z in range(len(w.hub)):
        c = s.pairs[t, w.lanes[b, z].near].head
        if c >= 0:
            take(w, s, c, at)
            s.copies[c].state, s.copies[c].hold = RESERVED, h
            _wait(s, c, PAGE, _morning(w, s.copies[c].place, at // DAY_S + 1))
            return
    if s.titles[t].queue < 0:
        s.titles[t].queue = h
    else:
        s.holds[s.titles[t].queue_end].next = h
    s.titles[t].queue_end = h


@inner
def _morning(w: Land, b: int, day: int) -> int:
    return _open_moment(w, b, day, 0.0) + PAGE_AFTER_OPENING_S


@inner
def _trap(w: Land, s: CityState, c: int, at: int, sequence: int) -> bool:
    """Give the copy that is in hand at its place to the reader who waits longest for its title."""
    t = s.copies[c].title
    h = s.titles[t].queue
    if h < 0:
        return False
    s.titles[t].queue = s.holds[h].next
    s.copies[c].hold = h
    _bring_to_reader(w, s, c, at, sequence)
    return True


@inner
def _bring_to_reader(w: Land, s: CityState, c: int, at: int, sequence: int) -> None:
    h = s.copies[c].hold
    if s.holds[h].place == s.copies[c].place:
        tell(s, FILLED, at, c, s.copies[c].place, h, sequence)
        s.copies[c].state = HOLD_SHELF
        s.counts[HOLDS_FILLED] += 1
        s.counts[HOLD_DAYS] += at // DAY_S - s.holds[h].at_s // DAY_S
        _wait(s, c, FETCH, _open_moment(w, s.copies[c].place, at // DAY_S + 1 + h % 4, (h % 97) / 97.0))
    else:
        send(w, s, c, s.holds[h].place, at, sequence)


@inner
def _hand_over(w: Land, s: CityState, c: int, at: int) -> None:
    """The reader who waited takes the copy, or does not come."""
    h = s.copies[c].hold
    s.copies[c].hold = -1
    if (h * 7919 % 1000) / 1000.0 < w.truth[0].unfetched:
        s.counts[HOLDS_EXPIRED] += 1
        tell(s, EXPIRED, at, c, s.copies[c].place, h, 0)
        s.copies[c].back, s.copies[c].worn = s.copies[c].place, 1.0
        _come_back(w, s, c, at)
        return
    s.pairs[s.copies[c].title, s.copies[c].place].holds += 1.0
    s.copies[c].worn = (h * 104729 % 9973) / 9973.0
    back_s = _open_moment(w, s.holds[h].back, at // DAY_S + s.holds[h].back_day, (h % 89) / 89.0)
    _begin_loan(w, s, c, at, s.holds[h].back, back_s)


# --- Returns, shelves and the way --------------------------------------------------------------------------------------


@inner
def _come_back(w: Land, s: CityState, c: int, at: int) -> None:
    b = s.copies[c].back
    s.copies[c].place = b
    tell(s, RETURNED, at, c, b, -1, 1)
    if _worn_out(w, s, c, at) or _trap(w, s, c, at, 2):
        return
    to = b if s.mode[0].floating else s.copies[c].home
    if s.copies[c].answer >= 0:
        to, s.copies[c].answer = s.copies[c].answer, -1
        if to != s.copies[c].home:
            s.counts[DIVERTED] += 1
    _belong(w, s, c, to, at // DAY_S, False)
    _route(w, s, c, to, at)


@inner
def _worn_out(w: Land, s: CityState, c: int, at: int) -> bool:
    if s.copies[c].worn < w.truth[0].withdrawn:
        tell(s, WITHDRAWN, at, c, s.copies[c].place, -1, 2)
        s.copies[c].state = GONE
        s.pairs[s.copies[c].title, s.copies[c].home].own -= 1
        return True
    if s.copies[c].worn < w.truth[0].withdrawn + w.truth[0].damaged:
        tell(s, DAMAGED, at, c, s.copies[c].place, -1, 2)
        s.copies[c].state = REPAIR
        _wait(s, c, MEND, _morning(w, s.copies[c].place, at // DAY_S + MEND_DAYS))
        return True
    return False


@inner
def _route(w: Land, s: CityState, c: int, to: int, at: int) -> None:
    """Put the copy that is in hand on the shelf here, or send it."""
    if to == s.copies[c].place:
        shelve(w, s, c, to, at)
    else:
        send(w, s, c, to, at, 2)


@inner
def _belong(w: Land, s: CityState, c: int, to: int, day: int, new: bool) -> None:
    """Let the copy's shelf be at `to` from now on, and remember when titles come and go."""
    t, old = s.copies[c].title, s.copies[c].home
    if to == old and not new:
        return
    if not new:
        s.pairs[t, old].own -= 1
        if s.pairs[t, old].own == 0:
            s.pairs[t, old].left = day
        if s.copies[c].place != to:  # where a reader brought it, it is no move
            s.counts[BACK_AGAIN] += s.copies[c].came_from == to and day - s.copies[c].moved < BACK_AGAIN_DAYS
            s.copies[c].came_from, s.copies[c].moved = old, day
            s.counts[REHOMED] += 1
    if s.pairs[t, to].own == 0 and day - s.pairs[t, to].left > w.truth[0].forgotten_weeks * 7:
        s.pairs[t, to].arrived = day
    s.pairs[t, to].own += 1
    s.copies[c].home = to


@inner
def shelve(w: Land, s: CityState, c: int, b: int, at: int) -> None:
    """Put the copy on the shelf at `b`, where a reader can find it."""
    t = s.copies[c].title
    if s.pairs[t, b].head < 0:
        s.pairs[t, b].since = at / DAY_S
    s.copies[c].next, s.pairs[t, b].head = s.pairs[t, b].head, c
    s.copies[c].state, s.copies[c].place, s.copies[c].to, s.copies[c].shelved = SHELF, b, -1, at // DAY_S


@inner
def take(w: Land, s: CityState, c: int, at: int) -> None:
    """Take the copy off its shelf, into somebody's hand."""
    t, b = s.copies[c].title, s.copies[c].place
    if s.pairs[t, b].head == c:
        s.pairs[t, b].head = s.copies[c].next
    else:
        p = s.pairs[t, b].head
        while s.copies[p].next != c:
            p = s.copies[p].next
        s.copies[p].next = s.copies[c].next
    s.copies[c].next = -1
    if s.pairs[t, b].head < 0:
        stood(s.pairs[t, b], at / DAY_S)


@inner
def stood(pair: Any, until: float) -> None:
    """Count the days on the shelf since the stay began, each in its band of age."""
    day = pair.since
    while day < until:
        band = _band(pair.arrived, day)
        end = until if band == OLD else min(until, pair.arrived + BAND_DAYS[band])
        pair.shelf_days[band] += end - day
        day = end


@inner
def send(w: Land, s: CityState, c: int, to: int, at: int, sequence: int) -> None:
    """Check the copy in here for `to`; it arrives by the vans' days, or when a van brings it."""
    b = s.copies[c].place
    tell(s, SENT, at, c, b, to, sequence)
    s.copies[c].state, s.copies[c].to = TRANSIT, to
    s.counts[TRIPS] += 1
    s.mode[0].km += w.lanes[b, to].km
    if not s.mode[0].carried:
        _wait(s, c, ARRIVE, _by_van(w, b, to, at // DAY_S) + (c * 37) % 600)


@inner
def _by_van(w: Land, b: int, to: int, day: int) -> int:
    """Return when a copy sent today is checked in at `to`: collected on the next visit, sorted overnight, delivered after."""
    last = w.days.shape[1] - 1
    day += 1
    if b != w.hub[b]:
        while day < last and not w.days[b, day].receives:
            day += 1
        day += 1
    while day < last and not w.days[to, day].receives:
        day += 1
    return int(day * DAY_S + w.hours[to, (w.truth[0].weekday + day) % 7].receive_s + UNPACK_S)


@compiled
def arrive(w: Land, s: CityState, c: int, at: int) -> None:
    """Check the copy in where it was going: to the reader who waits for it, or for its title, or on the shelf."""
    s.copies[c].place = s.copies[c].to
    tell(s, RECEIVED, at, c, s.copies[c].place, -1, 0)
    if s.copies[c].hold >= 0:
        _bring_to_reader(w, s, c, at, 1)
    elif not _trap(w, s, c, at, 1):
        shelve(w, s, c, s.copies[c].place, at)


@compiled
def pick(w: Land, s: CityState, c: int, to: int, at: int) -> bool:
    """Take the copy from its shelf for `to`, by plan; false where it does not stand on a shelf any more."""
    if s.copies[c].state != SHELF or s.copies[c].place == to:
        return False
    take(w, s, c, at)
    s.copies[c].state = RESERVED
    _belong(w, s, c, to, at // DAY_S, False)
    s.counts[PICKS] += 1
    return True


@compiled
def check_in(w: Land, s: CityState, c: int, to: int, at: int) -> None:
    """Send a copy that was picked."""
    send(w, s, c, to, at, 0)


@compiled
def move(w: Land, s: CityState, copies: Ints, to: Ints, at: int) -> int:
    """Pick copies from their shelves and send them; return how many were there."""
    moved = 0
    for i in range(len(copies)):
        if pick(w, s, copies[i], to[i], at):
            send(w, s, copies[i], to[i], at, 0)
            moved += 1
    return moved


def compile_all(land: Land, state: CityState) -> None:
    """Call the steps that `play` does not, so that they are compiled too; this spoils the state."""
    copy = int(np.flatnonzero(state.copies["state"] == SHELF)[0])
    move(
        land,
        state,
        np.array([copy], np.int32),
        np.array([(state.copies[copy]["place"] + 1) % len(state.places)], np.int32),
        0,
    )
    arrive(land, state, copy, 0)
    if pick(land, state, copy, int(land.hub[0]), 0):
        check_in(land, state, copy, int(land.hub[0]), 0)
    step(land, state, np.zeros(0, VISIT), -1 - int(np.flatnonzero(state.copies["due"] < NEVER)[0]))
