"""Levels in a real database: some places counted alone, and what a writer's notice has counted again."""

import asyncio
import json
from contextlib import suppress

from sqlalchemy import Connection, Engine, text

from rotation.views import balance
from rotation.views.balance import Level, Recent
from rotation.web.live import LiveChanges
from tests.web_city import demo

PATIENCE_S = 10.0
PLACE = demo().places[3].id


def test_places_counted_alone_have_the_levels_that_a_count_of_all_gives(engine: Engine):
    some = {place.id for place in demo().places[:5]}
    with engine.connect() as connection:
        everywhere = balance.levels(connection, demo())
        assert sum(level.on_shelf for level in everywhere) > 0
        alone = balance.levels(connection, demo(), some)
    assert sorted(alone, key=str) == sorted((one for one in everywhere if one.place_id in some), key=str)


def test_a_notice_has_its_place_counted_again_and_no_other(engine: Engine, module_database: str):
    before, after = asyncio.run(_lent_while_heard(engine, module_database))
    assert sum(before.values()) > 0
    assert after == before | {PLACE: 0}


async def _lent_while_heard(engine: Engine, url: str) -> tuple[dict[str, int], dict[str, int]]:
    """Lend out two places, tell of one, and return what stood on each place's shelves before and after."""
    stock = Recent()
    task = asyncio.create_task(LiveChanges(url, None, stock).run())
    other = demo().places[4].id
    async with asyncio.timeout(PATIENCE_S):
        while not stock.heard:  # noqa: ASYNC110, a test may look
            await asyncio.sleep(0.05)
        before = _on_shelves(engine, stock)
        with engine.begin() as connection:
            _lend(connection, [PLACE, other])
            told = json.dumps({"kind": "stock", "ids": [PLACE]})
            connection.execute(text("SELECT pg_notify('rotation', :told)"), {"told": told})
        while (after := _on_shelves(engine, stock)) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    with engine.begin() as connection:
        connection.execute(text("UPDATE copies SET state = 'on_shelf' WHERE state = 'on_loan' AND event_id = 'lent'"))
    return before, after


def _lend(connection: Connection, places: list[str]) -> None:
    lent = "UPDATE copies SET state = 'on_loan', event_id = 'lent' WHERE state = 'on_shelf' AND place_id = ANY(:places)"
    connection.execute(text(lent), {"places": places})


def _on_shelves(engine: Engine, stock: Recent) -> dict[str, int]:
    with engine.connect() as connection:
        found: list[Level] = stock.levels(connection, demo())
    return {place.id: sum(one.on_shelf for one in found if one.place_id == place.id) for place in demo().places}
