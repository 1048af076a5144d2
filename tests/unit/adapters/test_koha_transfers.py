"""Koha's open transfers: recent ones are asked for in each look, old ones in turn, so that none is forgotten."""

import pytest

from rotation.feeds.koha.transfers import ASKED, OLD_A_LOOK, RECENT, due


@pytest.mark.parametrize("old", [1, OLD_A_LOOK, 2_201])
def test_every_old_transfer_is_asked_for_in_its_turn_and_recent_ones_always(old: int) -> None:
    open_ones = list(range(old + RECENT))
    looks = [set(due(open_ones, look)) for look in range(7, 8 + old // OLD_A_LOOK)]
    assert set.union(*looks) == set(open_ones)
    assert all(look >= set(open_ones[-RECENT:]) and len(look) <= ASKED for look in looks)


def test_a_feeds_first_look_asks_for_all_open_transfers() -> None:
    assert list(due(range(5_000), 0)) == list(range(5_000))
