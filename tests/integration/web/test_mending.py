"""From a cell of the page of imbalance to the moves that mend it, or why none does; and what tiers gave and got."""

from collections.abc import Callable

from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, select, update

from rotation.facts.lifecycle import TransferState
from rotation.store.clock import read_clock
from rotation.store.tables import copies, transfers
from rotation.views import balance, mending
from tests import web_city

SignedIn = Callable[[str], TestClient]


def _short(engine: Engine) -> balance.Level:
    with engine.connect() as connection:
        return min(balance.levels(connection, web_city.demo()), key=lambda level: level.beyond)


def test_a_cell_leads_to_the_moves_that_mend_it_or_says_why_none_does(engine: Engine, signed_in: SignedIn):
    level = _short(engine)
    address = f"/imbalance/{level.place_id}/{level.title_class}"
    browser = signed_in("viewer")
    assert f'href="{address}"' in browser.get("/imbalance").text
    with engine.begin() as connection:
        connection.execute(delete(transfers).where(transfers.c.to_place_id == level.place_id))
    assert "No move is planned for it" in browser.get(address).text
    with engine.begin() as connection:
        transfer = connection.scalar(select(transfers.c.transfer_id))
        copy = connection.scalar(select(copies.c.copy_id).where(copies.c["class"] == level.title_class))
        there = {"to_place_id": level.place_id, "status": TransferState.ORDERED, "copy_id": copy}
        connection.execute(update(transfers).where(transfers.c.transfer_id == transfer).values(there))
    assert f"/transfers/{transfer}" in browser.get(address).text
    assert browser.get("/imbalance/nowhere/nothing").status_code == 404


def test_what_a_tier_gives_another_gets(engine: Engine):
    with engine.begin() as connection:
        network, now = web_city.demo(), read_clock(connection).now()
        connection.execute(update(transfers).values(status=TransferState.RECEIVED, changed_at=now))
        tiers, owners = mending.net_flows(connection, network, now)
        connection.rollback()
    assert tiers
    assert sum(flow.net for flow in tiers) == 0
    assert sum(flow.net for flow in owners) == 0
