"""The desk: a returned copy goes where it is worth most after transport and shelf, and the next answer counts it."""

from dataclasses import replace

import numpy as np
import pytest

from rotation.rebalancing.placement import Placer
from rotation.rebalancing.plan import ReasonCode, plan
from rotation.rebalancing.snapshot import (
    Copies,
    Exposure,
    Pairs,
    Places,
    PlanningSettings,
    Snapshot,
    StockState,
    Titles,
)

RATES = [0.9, 0.5, 0.3, 0.05]  # loans a week at the four places
CHOSEN = PlanningSettings(equity=0.0)


def night(**limits: object) -> Snapshot:
    places = Places.of([0, 1, 2, 3], 1000, classes=1, in_cost=0.05, out_cost=0.05, **limits)
    seen = Exposure.of([0] * 4, range(4), np.array(RATES) * 500, 500)
    return Snapshot(Titles.of([0]), places, Copies.of([0], [3]), seen)


def desk(snapshot: Snapshot, **kwargs: object) -> Placer:
    decided = plan(replace(snapshot, copies=Copies.of([], [])), CHOSEN)
    return Placer(snapshot, decided.rates, decided.prices, CHOSEN, **kwargs)


def test_a_copy_goes_where_it_is_worth_most_and_says_so():
    answer = desk(night()).place(0, 3, home=3)
    assert (answer.place, answer.reason.code) == (0, ReasonCode.BORROWED_MORE)
    assert answer.value == pytest.approx(answer.reason.numbers["value_there"] - answer.reason.numbers["cost"])
    assert [choice.place for choice in answer.alternatives] == [1, 2, 3]


def test_it_stays_where_the_way_costs_more_than_it_brings():
    far = replace(night(), lane_cost=np.full((4, 4), 50, np.float32))
    assert desk(far).place(0, 2, home=3).reason.code is ReasonCode.STAYS


def test_many_copies_of_a_title_that_come_back_at_once_spread():
    answers = desk(night())
    places = [answers.place(0, 3).place for _ in range(8)]
    assert places[0] == 0
    assert set(places) >= {0, 1, 2}
    assert places.count(0) >= places.count(2)


def test_no_shelf_is_filled_beyond_its_room():
    answers = desk(night(room=[2, 1, 9, 9]))
    places = [answers.place(0, 3).place for _ in range(8)]
    assert places.count(0) <= 2
    assert places.count(1) <= 1


def test_no_place_is_brought_more_than_it_takes_in_a_day():
    answers = desk(night(in_copies=[2, 1, 0, 3]))
    places = [answers.place(0, 3).place for _ in range(8)]
    assert [places.count(place) for place in (0, 1, 2)] == [2, 1, 0]
    assert places.count(3) == 5  # what stays at the desk is not brought there
    assert answers.place(0, 1, home=0).place != 0


def test_what_others_bring_takes_of_the_days_intake_and_staying_does_not():
    answers = desk(night(in_copies=[1, 9, 9, 9]))
    assert [answers.place(0, 0).place for _ in range(2)] == [0, 0]
    answers.moved(0, 3, 0)
    for at in (1, 2, 3):
        assert answers.place(0, at).place != 0


def test_a_reader_who_waits_where_nothing_more_can_be_brought_waits_for_tomorrow():
    waits = replace(night(in_copies=[9, 9, 9, 0]), holds=Pairs.of([0], [3], [1]), copies=Copies.of([0], [0]))
    assert desk(waits).place(0, 2).reason.code is not ReasonCode.READERS_WAIT
    assert desk(waits).place(0, 3).reason.code is ReasonCode.READERS_WAIT


def test_a_copy_that_was_lent_makes_room():
    answers = desk(night(room=[1, 0, 0, 1]))
    assert answers.place(0, 0).place == 0
    assert answers.place(0, 0, home=3).place == 3
    answers.lent(0, 0)
    assert answers.place(0, 0, home=3).place == 0


def test_a_reader_who_waits_gets_the_first_copy_and_only_that():
    answers = desk(replace(night(), holds=Pairs.of([0], [3], [1]), copies=Copies.of([0], [0])))
    first, second = answers.place(0, 2), answers.place(0, 2)
    assert (first.place, first.reason.code) == (3, ReasonCode.READERS_WAIT)
    assert second.place != 3


def test_it_does_not_go_back_to_where_it_was_moved_from():
    assert desk(night()).place(0, 3, home=3, came_from=0).place != 0


def test_owners_and_float_groups_are_kept():
    groups = np.array([[False, True, True, True]])
    places = replace(night().places, owner=np.array([0, 1, 0, 0], np.int32), groups=groups)
    owned = replace(night(), places=places, titles=Titles.of([0], 0), consent=np.eye(2, dtype=bool))
    assert desk(owned).place(0, 3, home=3).place == 2


def test_a_return_to_a_city_whose_copies_are_all_lent_is_placed_like_any_other():
    lent = replace(night(), copies=Copies.of([0, 0], [3, 0], StockState.ON_LOAN))
    assert desk(lent).place(0, 3, home=3).place in {0, 1}


@pytest.mark.parametrize(("plain", "place"), [("home", 1), ("stay", 2)])
def test_without_a_nights_prices_it_goes_as_set(plain, place):
    answer = Placer(night(), None, None, plain=plain).place(0, 2, home=1)
    assert (answer.place, answer.reason.code) == (place, ReasonCode.NO_PRICES)


def test_an_unknown_title_goes_as_set_and_an_unknown_desk_is_refused():
    assert desk(night()).place(77, 2, home=1).place == 1
    with pytest.raises(ValueError, match="place 9"):
        desk(night()).place(0, 9)


@pytest.mark.parametrize("consent", [None, np.ones((1, 1), bool)])
def test_many_at_once_are_answered_as_one_after_the_other(consent: object):
    tight = replace(
        night(room=[2, 1, 3, 9], in_copies=[2, 9, 1, 4]), consent=consent, lane_cost=np.eye(4, dtype=np.float32)[::-1]
    )
    one_by_one, at_once = desk(tight), desk(tight)
    rows = [(0, n % 4, (n * 3) % 5 - 1, (n * 7) % 5 - 1) for n in range(12)]
    for half in (rows[:6], rows[6:]):
        expected = [one_by_one.place(t, at, home=home, came_from=came).place for t, at, home, came in half]
        assert at_once.places(*zip(*half, strict=True)).tolist() == expected


def test_a_floor_pays_for_the_copies_that_lack_and_for_no_more():
    snapshot = replace(night(class_floor=[0, 0, 0, 2]), titles=Titles.of([0] * 4), copies=Copies.of([], []))
    decided = plan(snapshot, CHOSEN)
    paying = replace(decided.prices, floor=np.array([[0.0], [0.0], [0.0], [50.0]], np.float32))
    titles, desks = np.arange(4), np.zeros(4, np.int64)
    in_turn = Placer(snapshot, decided.rates, paying, CHOSEN)
    places = [in_turn.place(int(title), 0, home=0).place for title in titles]
    assert places[:2] == [3, 3]
    assert 3 not in places[2:]
    assert Placer(snapshot, decided.rates, paying, CHOSEN).places(titles, desks, desks, desks - 1).tolist() == places


def test_a_copy_of_a_shelf_at_its_floor_may_come_back_to_it():
    snapshot = replace(night(class_floor=[0, 0, 0, 1]), titles=Titles.of([0] * 2), copies=Copies.of([0], [3]))
    decided = plan(snapshot, CHOSEN)
    paying = replace(decided.prices, floor=np.array([[0.0], [0.0], [0.0], [50.0]], np.float32))
    answers = Placer(snapshot, decided.rates, paying, CHOSEN)
    assert answers.place(0, 0, home=3).place == 3
    assert answers.place(1, 0, home=0).place != 3
