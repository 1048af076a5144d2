"""`rotation backtest`: the city's own history up to a week, against the weeks that followed it.

The movements are read as a night reads them, and cut where the held-out weeks begin: the fit sees as much as a night would
have seen then. Only which titles and copies exist, and their classes, are of today.
"""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection

from config import Settings
from rotation.network import Network, Tier
from rotation.night.settings import rebalancing_settings
from rotation.night.world.places import groups_of_titles
from rotation.night.world.spells import WEEK_S, Arrivals, Stays, arrivals, exposure, reservable, stays_of, until
from rotation.night.world.touched_rows import Names, Rows, read
from rotation.night.world.world import listed_titles, season
from rotation.rebalancing.backtest import Lent, scored
from rotation.rebalancing.snapshot import Copies, Places, Snapshot, Titles
from rotation.store.engine import driver

LEAST_WEEKS = 1  # of history before the held-out weeks: less tells nothing


class _History(NamedTuple):
    names: Names
    titles: Rows
    rows: Rows
    stays: Stays
    since_s: float


def backtest(connection: Connection, network: Network, settings: Settings, now: datetime, weeks: int) -> dict[str, Any]:
    """Score the demand that a night `weeks` weeks ago would have believed.

    Raises
    ------
    ValueError
        When the history has no movement before the held-out weeks.
    """
    cut = now - timedelta(weeks=weeks)
    found = _history(connection, network, settings, now, cut)
    began_s = float(found.stays.since_s.min(initial=np.inf))
    if began_s > cut.timestamp() - LEAST_WEEKS * WEEK_S:
        raise ValueError(
            f"the history does not reach back {weeks + LEAST_WEEKS} weeks before {now:%Y-%m-%d}: import more, or hold out fewer"
        )
    known = until(found.stays, cut.timestamp())
    came = arrivals(found.rows, known, len(found.names.places), found.since_s)
    past = _snapshot(network, found, known, came, cut)
    all_came = arrivals(found.rows, found.stays, len(found.names.places), found.since_s)
    stood = exposure(found.rows, found.stays, all_came, now.timestamp(), since_s=cut.timestamp(), yearly=1.0)
    chosen = rebalancing_settings(settings, season(known, found.since_s, cut, weeks))
    tiers = [str(tier) for tier in Tier]
    outcome = scored(past, stood, _lent(known, came, cut.timestamp()), chosen, tiers, found.names.classes)
    history = (cut.timestamp() - max(began_s, found.since_s)) / WEEK_S
    return {"cut": cut.isoformat(), "weeks": weeks, "history_weeks": round(history, 1), **asdict(outcome)}


def _history(connection: Connection, network: Network, settings: Settings, now: datetime, cut: datetime) -> _History:
    since_s = round(cut.timestamp() - settings.history_weeks * WEEK_S, 6)
    raw = driver(connection)
    with raw.transaction():
        names, found = read(raw, network, since_s, None)
        titles, rows = listed_titles(raw, found.copies)
    return _History(names, titles, rows, stays_of(found.moves, since_s, now.timestamp()), since_s)


def _snapshot(network: Network, found: _History, known: Stays, came: Arrivals, cut: datetime) -> Snapshot:
    places = [network.place[name] for name in found.names.places]
    cut_s = cut.timestamp()
    classes = np.maximum(found.titles["class"], 0)
    return Snapshot(
        Titles.of(classes, groups_of_titles(network, found.names, found.titles["class"])),
        Places.of(
            [list(Tier).index(place.tier) for place in places],
            [place.population for place in places],
            classes=len(found.names.classes),
        ),
        Copies.of([], []),
        exposure(found.rows, known, came, cut_s),
        reservable=reservable(found.rows, known, came, len(found.names.titles), cut_s).astype(np.float32),
    )


def _lent(known: Stays, came: Arrivals, cut_s: float) -> Lent:
    """Return the loans of the history by week, and when each pair first stood on a shelf."""
    shelf = known.on_shelf[came.stay]
    key, stay = came.key[shelf], came.stay[shelf]
    begin, end = ((at - came.began_s) / WEEK_S for at in (known.since_s[stay], known.until_s[stay]))
    pair, first = np.unique(key, return_index=True)
    lent = known.lent[stay]
    weeks = max(int(np.ceil((cut_s - came.began_s) / WEEK_S)), 1)
    week = np.clip(end[lent].astype(np.int64), 0, weeks - 1)
    return Lent(key[lent], week, pair, np.maximum(begin[first], 0).astype(np.int64), weeks)
