"""Receipt by crate: one confirmation receives every copy that lies in it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert, select, update

from rotation.dispatch.receipts import UnknownCrate, receive
from rotation.events import Edge, Event, TransferReceived, parse
from rotation.store.engine import driver, engine
from rotation.store.tables import copies, crates, outbox, transfers
from tests.integration.night.small_city import MONDAY, NETWORK

EDGE = Edge(frozenset(NETWORK.place), frozenset({"children"}), MONDAY)


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A crate for the room with three copies: two on their way there, one that was sent elsewhere since."""
    with engine(database).connect() as one:
        known = {"sequence": 0, "source": "test", "occurred_at": MONDAY - timedelta(hours=2)}
        for copy, to in (("c1", "room"), ("c2", "room"), ("c3", "branch")):
            row = {
                "copy_id": copy,
                "event_id": f"sent-{copy}",
                "state": "in_transit",
                "place_id": "centre",
                "to_place_id": to,
            }
            one.execute(insert(copies), known | row)
        row = {"crate_id": "k1", "event_id": "k1", "type": "crate.delivered", "place_id": "room", "to_place_id": "room"}
        one.execute(insert(crates), known | row | {"copies": ["c1", "c2", "c3"]})
        sent = {"transfer_id": "t1", "copy_id": "c1", "from_place_id": "centre", "to_place_id": "room", "kind": "pick"}
        more = {"status": "sent", "reason": {}, "created_at": MONDAY, "changed_at": MONDAY}
        one.execute(insert(transfers), sent | more)
        yield one


def told(connection: Connection) -> list[TransferReceived]:
    found = [
        one for value in connection.scalars(select(outbox.c.value).order_by(outbox.c.id)) for one in parse(value, EDGE)
    ]
    assert all(isinstance(one, Event) for one in found)
    return [one.fact for one in found]


def test_one_confirmation_receives_what_is_on_its_way_there(connection: Connection):
    assert receive(driver(connection), "k1", MONDAY) == 2
    facts = told(connection)
    assert [(fact.copy_id, fact.place, fact.transfer) for fact in facts] == [("c1", "room", "t1"), ("c2", "room", None)]


def test_confirmed_again_nothing_is_left_to_receive(connection: Connection):
    connection.execute(update(copies).values(state="on_shelf", to_place_id=None))
    assert receive(driver(connection), "k1", MONDAY) == 0


def test_a_crate_that_nobody_closed_is_told_so(connection: Connection):
    with pytest.raises(UnknownCrate, match="no crate 'k9'"):
        receive(driver(connection), "k9", MONDAY)
