"""Where each lent copy is wanted when it comes back, for library systems that cannot ask: `stock.targets`, a message per copy.

The desk's own decision, taken the night before: copies are placed in turn as if each came back where it counts,
so that copies of a title spread. Only changes since last night are published; `to: null` withdraws a target.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from psycopg import Connection

from rotation.night.world.world import NightWorld
from rotation.rebalancing.demand import Rates
from rotation.rebalancing.outcome import Prices
from rotation.rebalancing.placement import Placer
from rotation.rebalancing.snapshot import PlanningSettings, StockState
from rotation.rebalancing.world import NO_LIMIT
from rotation.store import outbox


def publish(
    connection: Connection[Any],
    plan_id: str,
    found: NightWorld,
    rates: Rates,
    prices: Prices,
    settings: PlanningSettings,
) -> int:
    """Tell the wishes that are new, changed or gone, inside the caller's transaction; return how many."""
    wishes = dict(wanted(found, rates, prices, settings))
    before = dict(connection.execute("SELECT copy_id, place_id FROM wanted_places").fetchall())
    news = {copy: wishes.get(copy) for copy in sorted(wishes.keys() | before) if wishes.get(copy) != before.get(copy)}
    _keep(connection, news)
    told = ((copy, {"type": "wanted", "copy": copy, "to": place, "plan": plan_id}) for copy, place in news.items())
    outbox.put_targets(connection.cursor(), told)
    return len(news)


def wanted(found: NightWorld, rates: Rates, prices: Prices, settings: PlanningSettings) -> Iterator[tuple[str, str]]:
    """Yield each lent copy that is wanted elsewhere than where it counts, and the place."""
    copies, names = found.snapshot.copies, found.names
    places = replace(
        found.snapshot.places, in_copies=np.full(len(names.places), NO_LIMIT, np.int32)
    )  # they come over weeks
    placer = Placer(replace(found.snapshot, places=places), rates, prices, settings)
    lent = (copies.state == StockState.ON_LOAN) & ~copies.fixed & (copies.title >= 0) & (copies.place >= 0)
    for row in np.flatnonzero(lent).tolist():
        here, owner = int(copies.place[row]), int(copies.owner[row])
        came_from = found.moved_from(names.copies[row], settings.ping_pong_weeks)
        answer = placer.place(int(copies.title[row]), here, home=here, owner=owner, came_from=came_from)
        if answer.place != here:
            yield names.copies[row], names.places[answer.place]


def _keep(connection: Connection[Any], news: Mapping[str, str | None]) -> None:
    gone = [copy for copy, place in news.items() if place is None]
    rows = [(copy, place) for copy, place in news.items() if place is not None]
    connection.execute("DELETE FROM wanted_places WHERE copy_id = ANY(%s)", (gone,))
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO wanted_places VALUES (%s, %s) ON CONFLICT (copy_id) DO UPDATE SET place_id = excluded.place_id",
            rows,
        )
