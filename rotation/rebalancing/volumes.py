"""Works of several volumes. A reader of the second volume needs the first at the same place, so a set moves whole or not at all.

A copy of each volume at a place is a set. The night sees a set as a single copy of the work's first volume, with the mean rate of
its volumes; the others follow it. The rest of a broken set stays where it stands. A volume that comes over a desk, or has no
home, goes where most of the others lack it.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rotation.rebalancing.demand import Rates
from rotation.rebalancing.outcome import Move, Prices
from rotation.rebalancing.snapshot import Exposure, Flags, Ints, Pairs, Snapshot, StockState, field_names

Rows = NDArray[np.int64]


def first_volumes(snapshot: Snapshot) -> Rows:
    """Return each title's first volume: the first title of its work and class that has copies; itself where it is alone."""
    titles, copies = snapshot.titles, snapshot.copies
    first, held = np.arange(len(titles)), np.zeros(len(titles), bool)
    if not (titles.volume_of >= 0).any():
        return first
    held[copies.title[_counted(snapshot)]] = True
    mine = np.flatnonzero(held & (titles.volume_of >= 0))
    work = titles.volume_of[mine].astype(np.int64) * snapshot.classes + titles.cls[mine]
    _, head, row = np.unique(work, return_index=True, return_inverse=True)
    first[mine] = mine[head[row]]
    return first


def together(snapshot: Snapshot, first: Rows) -> Snapshot:
    """Return the snapshot with each set as a single copy of its first volume, which the others follow (`goes_with`)."""
    if (first == np.arange(len(first))).all():
        return snapshot
    copies, rows = snapshot.copies, _in_works(snapshot, first)
    goes_with, whole = _sets(snapshot, first, rows)
    part = rows[~whole & (copies.state[rows] != StockState.HOMELESS)]
    fixed, title = copies.fixed.copy(), copies.title.copy()
    fixed[part], title[goes_with >= 0] = True, copies.title[goes_with[goes_with >= 0]]
    seen = snapshot.exposure
    exposure = {name: getattr(seen, name) for name in field_names(seen)} | {"title": _of_first(first, seen.title)}
    return _joining(
        replace(
            snapshot,
            copies=replace(copies, title=title, fixed=fixed),
            exposure=Exposure(**exposure),
            goes_with=goes_with,
            holds=replace(snapshot.holds, title=_of_first(first, snapshot.holds.title)),
            local=_local(snapshot, first),
            left=_least(snapshot.left, first),
            requests=_least(snapshot.requests, first),
        ),
        snapshot,
        rows[~whole & (copies.state[rows] == StockState.HOMELESS)],
    )


def where_lacking(counts: NDArray[np.int64], volume: int) -> Flags:
    """Return the places where most volumes stand but this one is missing, or none; `counts` is volumes x places."""
    others = (counts > counts[volume]).sum(0)
    return np.asarray((others > 0) & (others == others.max(initial=0)))


def volumes_of(snapshot: Snapshot, title: int) -> Rows:
    """Return all titles of a title's work, itself included; none where it is alone."""
    titles = snapshot.titles
    if titles.volume_of[title] < 0:
        return np.zeros(0, np.int64)
    return np.flatnonzero((titles.volume_of == titles.volume_of[title]) & (titles.cls == titles.cls[title]))


def with_followers(snapshot: Snapshot, copies: Rows) -> tuple[Rows, Rows]:
    """Return the copies and their followers, and for each the row in `copies` of its leader."""
    if snapshot.goes_with is None:
        return copies, np.arange(len(copies))
    row = np.full(len(snapshot.copies), -1)
    row[copies] = np.arange(len(copies))
    follows = np.flatnonzero(snapshot.goes_with >= 0)
    lead = row[snapshot.goes_with[follows]]
    return np.r_[copies, follows[lead >= 0]], np.r_[np.arange(len(copies)), lead[lead >= 0]]


def of_first(rates: Rates, first: Rows) -> Rates:
    """Return the rates with the first volume's rates for the whole work."""
    return replace(rates, of_title=rates.of_title[first], title_spread=rates.title_spread[first])


def priced(prices: Prices, first: Rows) -> Prices:
    """Return the prices with the first volume's worth of another copy for the whole work."""
    return replace(prices, title=prices.title[first])


def under_own_titles(moves: list[Move], snapshot: Snapshot, seen: Snapshot) -> list[Move]:
    """Return moves under the copies' own titles; moves of a set carry the number of volumes that go together."""
    if seen.goes_with is None:
        return moves
    lead = np.where(seen.goes_with >= 0, seen.goes_with, np.arange(len(seen.copies)))
    number = np.bincount(lead, minlength=len(lead))[lead]
    return [_under_own_title(move, int(snapshot.copies.title[move.copy]), int(number[move.copy])) for move in moves]


def _under_own_title(move: Move, title: int, volumes: int) -> Move:
    numbers = {**move.reason.numbers, "volumes": float(volumes)} if volumes > 1 else move.reason.numbers
    return replace(move, title=title, reason=replace(move.reason, numbers=numbers))


# --- Sets -----------------------------------------------------------------------------------------------------------------------


def _counted(snapshot: Snapshot) -> Rows:
    copies = snapshot.copies
    known = (copies.title >= 0) & (copies.title < len(snapshot.titles))
    known &= (copies.place >= 0) & (copies.place < len(snapshot.places)) & (copies.state != StockState.ABSENT)
    return np.flatnonzero(known)


def _volumes(first: Rows) -> Rows:
    """Return for each title how many volumes of its work have copies."""
    return np.bincount(first, minlength=len(first))[first]


def _in_works(snapshot: Snapshot, first: Rows) -> Rows:
    rows = _counted(snapshot)
    return rows[_volumes(first)[snapshot.copies.title[rows]] > 1]


def _sets(snapshot: Snapshot, first: Rows, rows: Rows) -> tuple[Ints, Flags]:
    """Return the copy that each copy follows (-1: none), and which of `rows` belong to a set.

    The first copy of each volume makes the first set, and so on; copies on the shelf and longest idle come first.
    """
    copies = snapshot.copies
    title, homeless = copies.title[rows].astype(np.int64), copies.state[rows] == StockState.HOMELESS
    stand = np.stack([title, copies.place[rows], copies.owner[rows], homeless])
    order = np.lexsort((rows, -copies.idle_weeks[rows], copies.state[rows], *stand[::-1]))
    stand = stand[:, order]
    new = np.flatnonzero(np.r_[True, (stand[:, 1:] != stand[:, :-1]).any(0)]) if len(rows) else order
    nth = np.arange(len(rows)) - np.repeat(new, np.diff(np.r_[new, len(rows)]))
    set_of = np.unique(np.vstack([first[stand[0]], stand[1:], nth]), axis=1, return_inverse=True)[1].reshape(-1)
    whole = np.bincount(set_of)[set_of] == _volumes(first)[stand[0]]
    leads = stand[0] == first[stand[0]]
    leader, goes_with = np.full(len(rows), -1), np.full(len(copies), -1, np.int32)
    leader[set_of[leads]] = rows[order][leads]
    follows = whole & ~leads
    goes_with[rows[order][follows]] = leader[set_of[follows]]
    in_set = np.zeros(len(rows), bool)
    in_set[order] = whole
    return goes_with, in_set


def _joining(seen: Snapshot, snapshot: Snapshot, strays: Rows) -> Snapshot:
    """Let volumes without a home go only where most of the others lack them, as if those places were their float group."""
    titles, groups = seen.titles, list(seen.places.groups)
    group = titles.float_group.copy()
    for title in np.unique(snapshot.copies.title[strays]).tolist():
        others = volumes_of(snapshot, title)
        where = where_lacking(_standing(snapshot, others), int(np.flatnonzero(others == title)[0]))
        where &= groups[group[title]] if group[title] >= 0 else True
        if where.any():
            group[title] = len(groups)
            groups.append(where)
    places = replace(seen.places, groups=np.array(groups, bool).reshape(len(groups), len(seen.places)))
    return replace(seen, titles=replace(titles, float_group=group), places=places)


def _standing(snapshot: Snapshot, titles: Rows) -> Rows:
    """Count the copies of some titles that have a home, titles x places."""
    rows, copies = _counted(snapshot), snapshot.copies
    rows = rows[np.isin(copies.title[rows], titles) & (copies.state[rows] != StockState.HOMELESS)]
    counts = np.zeros((len(titles), len(snapshot.places)), np.int64)
    np.add.at(counts, (np.searchsorted(titles, copies.title[rows]), copies.place[rows]), 1)
    return counts


# --- Data about titles, restated for their first volumes -----------------------------------------------------------------------


def _of_first(first: Rows, title: Ints) -> Ints:
    known = (title >= 0) & (title < len(first))
    return np.where(known, first[np.where(known, title, 0)], title).astype(np.int32)


def _least(pairs: Pairs, first: Rows) -> Pairs:
    """Return the least number of each work and place: weeks since its last volume left, or copies requested."""
    title = _of_first(first, pairs.title)
    order = np.lexsort((pairs.number, pairs.place, title))
    title, place, number = title[order], pairs.place[order], pairs.number[order]
    new = np.r_[True, (title[1:] != title[:-1]) | (place[1:] != place[:-1])][: len(title)]
    return Pairs.of(title[new], place[new], number[new])


def _local(snapshot: Snapshot, first: Rows) -> Pairs:
    """Return the readers served from their own district: all who wait for a volume, as no set is fetched for a single volume.

    The library system ships the volume alone; the desk sends it back to its set afterwards.
    """
    holds, local = snapshot.holds, snapshot.local
    of_work, alone = _in_work(first, holds.title), ~_in_work(first, local.title)
    columns = (np.r_[getattr(holds, name)[of_work], getattr(local, name)[alone]] for name in field_names(holds))
    title, place, number = columns
    return Pairs.of(_of_first(first, title), place, number)


def _in_work(first: Rows, title: Ints) -> Flags:
    known = (title >= 0) & (title < len(first))
    return np.asarray(known & (_volumes(first)[np.where(known, title, 0)] > 1))
