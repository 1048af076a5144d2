"""Where each lent copy is wanted when it comes back, for library systems that cannot ask: `stock.targets`, one message a copy.

The desk's own decision, taken the night before: each copy is asked for as if it came back where it counts, one after the other,
so that copies of a title spread. Told is only what is new since last night; `to` null takes a wish back.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from psycopg import Connection

from rotation.demand import Rates
from rotation.placement import Placer
from rotation.rebalancing.outcome import Prices
from rotation.rebalancing.snapshot import Settings, State
from rotation.store import outbox
from rotation.store.snapshot import World

TOPIC = "stock.targets"


def publish(
    connection: Connection[Any], plan_id: str, found: World, rates: Rates, prices: Prices, settings: Settings
) -> int:
    """Tell the wishes that are new, changed or gone, inside the caller's transaction; return how many."""
    wishes = dict(wanted(found, rates, prices, settings))
    before = dict(connection.execute("SELECT copy_id, place_id FROM wanted_places").fetchall())
    news = {copy: wishes.get(copy) for copy in sorted(wishes.keys() | before) if wishes.get(copy) != before.get(copy)}
    _keep(connection, news)
    told = ((copy, {"type": "wanted", "copy": copy, "to": place, "plan": plan_id}) for copy, place in news.items())
    outbox.put(connection.cursor(), TOPIC, told)
    return len(news)


def wanted(found: World, rates: Rates, prices: Prices, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each lent copy that is wanted elsewhere than where it counts, and the place."""
    copies, names = found.snapshot.copies, found.names
    placer = Placer(found.snapshot, rates, prices, settings)
    lent = (copies.state == State.ON_LOAN) & ~copies.fixed & (copies.title >= 0) & (copies.place >= 0)
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
