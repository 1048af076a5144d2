"""Receipt by crate: one confirmation receives every copy that lies in it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert, select, update

from rotation.dispatch.receipts import NotReceived, Obstacle, arrived, receive
from rotation.facts.events import Edge, Event, TransferReceived, parse
from rotation.store.engine import driver, engine
from rotation.store.tables import copies, crates, decisions, outbox, transfers
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


def received(connection: Connection, crate: str, place: str | None = None) -> int:
    return receive(driver(connection), NETWORK, crate, who="li", at=MONDAY, place=place)


def facts(connection: Connection) -> list[TransferReceived]:
    found = [
        one for value in connection.scalars(select(outbox.c.value).order_by(outbox.c.id)) for one in parse(value, EDGE)
    ]
    assert all(isinstance(one, Event) for one in found)
    return [one.fact for one in found]


def test_one_confirmation_receives_what_is_on_its_way_there(connection: Connection):
    assert received(connection, "k1") == 2
    assert [(fact.copy_id, fact.place, fact.transfer) for fact in facts(connection)] == [
        ("c1", "room", "t1"),
        ("c2", "room", None),
    ]


def test_confirmed_again_nothing_is_left_to_receive(connection: Connection):
    connection.execute(update(copies).values(state="on_shelf", to_place_id=None))
    assert received(connection, "k1") == 0


def test_what_a_crate_holds_is_shown_before_it_counts(connection: Connection):
    assert arrived(driver(connection), NETWORK, "k1", MONDAY) == ("k1", "room", 2)
    assert facts(connection) == []


def test_who_received_a_crate_and_where_is_kept(connection: Connection):
    received(connection, "k1")
    row = connection.execute(select(decisions)).one()
    assert (row.who, row.what, row.subject) == ("li", "receive", "crate:k1")
    assert row.details == {"place": "room", "copies": 2}


@pytest.mark.parametrize(
    ("scan", "at", "to", "by", "obstacle"),
    [
        ("crate.closed", "centre", "room", None, Obstacle.NOT_COLLECTED),
        ("crate.delivered", "branch", "room", None, Obstacle.ELSEWHERE),
        ("crate.at_hub", "centre", "room", None, Obstacle.ELSEWHERE),
        ("crate.at_hub", "centre", "centre", None, Obstacle.FOR_A_HUB),
        ("crate.delivered", "room", "room", "branch", Obstacle.OTHER_PLACE),
    ],
)
def test_a_crate_that_cannot_be_here_is_refused_with_its_reason(
    connection: Connection, scan: str, at: str, to: str, by: str | None, obstacle: Obstacle
):
    connection.execute(update(crates).values(type=scan, place_id=at, to_place_id=to))
    with pytest.raises(NotReceived) as refused:
        received(connection, "k1", by)
    assert refused.value.obstacle is obstacle
    assert facts(connection) == []


def test_a_crate_that_is_still_in_the_van_may_be_received(connection: Connection):
    connection.execute(update(crates).values(type="crate.collected", place_id="centre"))
    assert received(connection, "k1", "room") == 2


def test_a_crate_that_nobody_closed_is_refused(connection: Connection):
    with pytest.raises(NotReceived, match="no crate 'k9'"):
        received(connection, "k9")
