"""What one page is told, and how often."""

import asyncio

import pytest

from rotation.web.live import ALL, GAP_S, HEARTBEAT_S, ChangeKind, LiveChanges, LiveState, Subscriber, kinds_of


@pytest.mark.parametrize(
    ("payload", "kinds"),
    [
        ('{"kind": "alert", "ids": ["7"]}', {ChangeKind.ALERTS}),
        ('{"kind": "stock"}', {ChangeKind.LEVELS, ChangeKind.FEEDS}),
        ('{"kind": "runs"}', {ChangeKind.RUNS}),
        ('{"kind": "something new"}', ALL),
        ("no json", ALL),
        ("", ALL),
        ("[]", ALL),
        ("null", ALL),
    ],
)
def test_a_notification_names_what_changed_and_nonsense_means_everything(payload: str, kinds: set[ChangeKind]):
    assert kinds_of(payload) == kinds


def test_a_page_is_told_everything_at_first():
    assert set(Subscriber().take(now=0)) == ALL


def test_a_thousand_changes_in_one_and_a_half_gaps_are_told_once():
    page = Subscriber()
    page.take(now=0)
    told = 0
    for step in range(1000):
        page.tell({ChangeKind.LEVELS})
        told += len(page.take(now=step / 1000 * 1.5 * GAP_S[ChangeKind.LEVELS]))
    assert told == 1


def test_what_waits_for_its_gap_is_told_when_it_is_over():
    page = Subscriber()
    page.take(now=0)
    page.tell({ChangeKind.ALERTS})
    assert page.take(now=GAP_S[ChangeKind.ALERTS] / 2) == []
    assert page.wait_s(now=0) == pytest.approx(GAP_S[ChangeKind.ALERTS])
    assert page.take(now=GAP_S[ChangeKind.ALERTS]) == [ChangeKind.ALERTS]


def test_a_page_that_knows_everything_waits_for_the_heartbeat():
    page = Subscriber()
    page.take(now=0)
    assert page.wait_s(now=0) == HEARTBEAT_S


def test_a_change_that_is_already_pending_wakes_nobody():
    page = Subscriber()
    page.tell({ChangeKind.ALERTS})
    assert not page.something.is_set()  # everything is pending at first
    page.take(now=0)
    page.tell({ChangeKind.ALERTS})
    assert page.something.is_set()


async def test_a_stream_tells_what_answers_then_everything_then_what_changes():
    live = LiveChanges("postgresql://nobody@nowhere/none", None)
    stream = live.stream()
    assert await anext(stream) == LiveState().event()
    assert (await anext(stream)).startswith("event: changed\n")
    (page,) = live.subscribers
    asyncio.get_running_loop().call_later(0.02, page.tell, {ChangeKind.ALERTS})
    assert await asyncio.wait_for(anext(stream), 2) == 'event: changed\ndata: ["alerts"]\n\n'
    await stream.aclose()
    assert not live.subscribers


async def test_a_page_hears_at_once_that_the_database_is_away():
    live = LiveChanges("postgresql://nobody@nowhere/none", None)
    stream = live.stream()
    await anext(stream), await anext(stream)
    live._tell_state(database=False)
    assert await asyncio.wait_for(anext(stream), 2) == LiveState(database=False).event()
    await stream.aclose()
