"""One copy from a reader's hand to another shelf, in the order of the modules: docs/follow-a-book.md as a test."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from rotation.facts.events import (
    CopyAdded,
    CopyLoaned,
    CopyReturned,
    CrateAtHub,
    CrateClosed,
    CrateCollected,
    CrateDelivered,
    TransferReceived,
    TransferSent,
)
from rotation.hands.desk import Desk
from rotation.night.run import plan_night
from rotation.store.targets import set_targets
from tests.integration.night.small_city import MONDAY, NETWORK
from tests.scenarios.story import Story

NOON = MONDAY
TUESDAY = date(2026, 3, 3)
NIGHT = MONDAY + timedelta(hours=16)  # four o'clock on Tuesday morning in Shanghai
TITLE = {"title": "t1", "class": "children"}


@pytest.fixture
def story(database: str) -> Iterator[Story]:
    told = Story(database, NETWORK)
    with told.engine.begin() as connection:
        set_targets(connection, NETWORK)
    yield told
    told.close()


def test_a_book_goes_from_a_readers_hand_to_its_shelf(story: Story):
    # 1. A reader returns it at the room, though the branch lent it. 2. It is applied.
    story.happens(CopyAdded(copy="book", place="branch", **TITLE), at=NOON - timedelta(weeks=9))
    story.happens(CopyLoaned(copy="book", place="branch"), at=NOON - timedelta(weeks=2))
    written = story.happens(CopyReturned(copy="book", place="room"), at=NOON)
    assert (written.applied, written.rejected) == (1, 0)
    assert story.copy("book") == ("on_shelf", "room")

    # 3. The room is to be counted again: a notice waits for the relay.
    touched = [value for topic, value in story.messages() if topic == "stock.touched"]
    assert "room" in str(touched)

    # 4. Where should it go? The desk answers with its reason, and the answer is a transfer.
    desk = Desk(story.engine, NETWORK, story.settings)
    answer = desk.place("book", "room")
    assert (answer.to, answer.reason["code"]) == ("branch", "goes_home")

    # 5. It is packed: sent, and laid into a crate for the hub.
    story.happens(
        TransferSent(copy="book", place="room", to="branch", transfer=answer.transfer, crate="crate-1"),
        CrateClosed(crate="crate-1", place="room", to="centre", copies=("book",)),
        at=NOON + timedelta(hours=1),
    )
    assert (story.copy("book"), story.transfer("book")) == (("in_transit", "room"), "sent")

    # 6. to 8. The night plans the vans, the setting approves the day, and the orders go out.
    story.at(NIGHT)
    story.messages()
    report = plan_night(story.engine, NETWORK, story.settings, TUESDAY)
    assert report.runs > 0
    runs = story.orders("order.run")
    (fetching,) = [run for run in runs if any("crate-1" in stop["collect"] for stop in run["stops"])]

    # 9. The van comes: the crate is collected and set down at the hub, and the hub packs the book for the branch.
    morning = NIGHT + timedelta(hours=6)
    story.happens(CrateCollected(crate="crate-1", place="room", run=fetching["run"]), at=morning)
    story.happens(CrateAtHub(crate="crate-1", place="centre"), at=morning + timedelta(hours=2))
    story.happens(
        CrateClosed(crate="crate-2", place="centre", to="branch", copies=("book",)), at=morning + timedelta(hours=4)
    )
    story.happens(CrateCollected(crate="crate-2", place="centre"), at=morning + timedelta(hours=5))
    story.happens(CrateDelivered(crate="crate-2", place="branch"), at=morning + timedelta(hours=6))

    # 10. It arrives: the branch checks it in, and the transfer is closed.
    story.happens(
        TransferReceived(copy="book", place="branch", transfer=answer.transfer), at=morning + timedelta(hours=7)
    )
    assert (story.copy("book"), story.transfer("book")) == (("on_shelf", "branch"), "received")
