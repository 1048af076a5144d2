"""A night from its snapshot to the morning's orders, in the order of rotation/night/run.py, and the day that follows."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from rotation.facts.events import TransferPicked, TransferReceived, TransferSent
from rotation.facts.movements import CopyState
from rotation.night.loop import due_day
from rotation.night.run import AnotherPlans, alone, plan_night
from rotation.rebalancing.outcome import ReasonCode
from rotation.store.planned import stands_still
from rotation.views import last_night
from rotation.views.explanations import of_copy
from tests.integration.night.small_city import (
    LENT_IN_THE_ROOM_EVERY_MONTH,
    MONDAY,
    NETWORK,
    moved,
    weeks_ago,
    write,
)
from tests.scenarios.story import Story

TODAY = date(2026, 3, 2)
BEFORE_THE_HOUR, THE_HOUR = MONDAY - timedelta(hours=9), MONDAY - timedelta(hours=8)  # 03:00 and 04:00 in Shanghai
NEVER_LENT_AT_THE_BRANCH = [moved(f"c{n}", weeks_ago(44), CopyState.ON_SHELF, "branch") for n in range(2, 10)]
TITLES = {f"c{number}": f"t{number % 3}" for number in range(1, 10)}


@pytest.fixture
def story(database: str) -> Iterator[Story]:
    """Nine copies of three titles: one lends every month in the room, eight stand at the branch and are never lent."""
    # Without prices and without weighing loans against vans, the night moves every copy that would be borrowed more elsewhere.
    free = {"move_price": 0.0, "fresh_bonus": 0.0, "floor_bonus": 0.0}
    told = Story(database, NETWORK, moves_per_day=20, desk_chance=1.0, loan_cents=0, planning=free)
    with told.engine.begin() as connection:
        write(connection, TITLES, [*LENT_IN_THE_ROOM_EVERY_MONTH, *NEVER_LENT_AT_THE_BRANCH])
    yield told
    told.close()


def due(story: Story) -> date | None:
    with story.engine.connect() as connection:
        assert not stands_still(connection)
        return due_day(connection, NETWORK, story.settings)


def test_a_night_is_planned_ordered_and_followed(story: Story):
    # The hour comes, once for each day.
    story.at(BEFORE_THE_HOUR)
    assert due(story) is None
    story.at(THE_HOUR)
    assert due(story) == TODAY

    # Only one planner plans at a time.
    with story.engine.connect() as connection, alone(connection), pytest.raises(AnotherPlans):
        plan_night(story.engine, NETWORK, story.settings, TODAY)

    # What should move, which vans carry it, and the orders.
    report = plan_night(story.engine, NETWORK, story.settings, TODAY)
    assert report.moves > 0
    assert report.gap < 0.1
    assert (report.runs, report.unserved) == (1, 0)
    assert due(story) is None
    orders = [value for topic, value in story.messages() if topic == "transfer.orders"]
    picks = [order for order in orders if order["type"] == "order.pick"]
    assert len(picks) == report.moves
    assert {order["type"] for order in orders} == {"order.pick", "order.run", "order.sort"}

    # Planned again, the day stays as it is ordered.
    again = plan_night(story.engine, NETWORK, story.settings, TODAY)
    assert (again.plan_id, again.moves, again.orders) == (report.plan_id, report.moves, 0)

    # Each move has its reason, and the night its prices.
    with story.engine.connect() as connection:
        (move,) = of_copy(connection, picks[0]["copy"])["transfers"]
        night = last_night.last(connection)
    assert picks[0]["reason"]["code"] in set(ReasonCode)
    assert move["why"]["en"]
    assert night is not None
    assert (night.day, night.moves) == (TODAY, report.moves)

    # The desk follows an order: the copy is picked, sent and received.
    order, morning = picks[0], MONDAY - timedelta(hours=4)
    named = {"copy": order["copy"], "transfer": order["transfer"]}
    story.happens(
        TransferPicked(place=order["from"], **named),
        TransferSent(place=order["from"], to=order["to"], **named),
        TransferReceived(place=order["to"], **named),
        at=morning,
    )
    assert (story.copy(order["copy"]), story.transfer(order["copy"])) == (("on_shelf", order["to"]), "received")
