"""Demand: rates recovered from a library's records, where a copy on loan is no evidence of a lack of interest."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.rebalancing import demand
from rotation.rebalancing.demand import YEARLY_DISCOUNT, fading, observed, of_pairs, rates, season_of_week
from rotation.rebalancing.snapshot import (
    AGE_BANDS_WEEKS,
    OLD,
    Copies,
    Exposure,
    Pairs,
    Places,
    Snapshot,
    Titles,
)

NO_COPIES = Copies.of([], [])


def world(exposure: Exposure, classes: list[int], tiers: list[int]) -> Snapshot:
    places = Places.of(tiers, 1000, classes=max(classes) + 1)
    return Snapshot(Titles.of(classes), places, NO_COPIES, exposure)


def shelf_spells(
    draw: np.random.Generator, rate: float, weeks: float, loan_weeks: float
) -> list[tuple[float, float, bool]]:
    """Let one copy be lent whenever it stands there and someone comes; on loan it is not seen."""
    now, spells = 0.0, []
    while now < weeks:
        until = now + draw.exponential(1 / rate)
        spells.append((now, min(until, weeks), until < weeks))
        now = until + loan_weeks
    return spells


def test_a_known_rate_is_found_again_though_most_weeks_are_spent_on_loan():
    draw, rate = np.random.default_rng(1), 0.8
    rows = [(t, *spell) for t in range(300) for spell in shelf_spells(draw, rate, 50, 3)]
    title, begin, end, lent = zip(*rows, strict=True)
    seen = observed(title, np.zeros(len(rows)), begin, end, lent, 50)
    found = rates(world(seen, [0] * 300, [0]))
    assert np.average(found.of_title * found.of_class[0, 0], weights=seen.shelf_weeks) == pytest.approx(rate, rel=0.03)
    naive = sum(lent) / (300 * 50)
    assert naive < 0.4 * rate


def test_titles_and_classes_at_places_are_told_apart():
    draw = np.random.default_rng(2)
    truth = draw.gamma(2, 0.5, 60)[:, None] * np.array([0.3, 0.1, 0.05])
    t, p = np.divmod(np.arange(180), 3)
    seen = Exposure.of(t, p, draw.poisson(truth.ravel() * 400), 400)
    found = rates(world(seen, [0] * 60, [0, 1, 2]))
    estimate = found.of_title[:, None] * found.of_class[0]
    assert np.median(abs(estimate / truth - 1)) < 0.12


def test_a_place_without_evidence_borrows_from_its_tier():
    seen = Exposure.of([0, 0, 0], [0, 1, 3], [100, 90, 5], [100, 100, 100])
    found = rates(world(seen, [0], [1, 1, 1, 3]))
    assert found.of_class[0, 2] == pytest.approx(found.of_class[0, :2].mean(), rel=0.2)
    assert found.of_class[0, 3] < 0.3 * found.of_class[0, 2]


def test_readers_who_wait_are_loans_that_would_have_been():
    quiet = world(Exposure.of([0, 1], [0, 0], [5, 5], [50, 50]), [0, 0], [0])
    waited = replace(quiet, holds=Pairs.of([0], [0], [6]))
    assert rates(waited).of_title[0] > rates(quiet).of_title[0]
    assert rates(waited).title_spread[0] < rates(quiet).title_spread[0]


def test_nothing_observed_gives_small_equal_rates():
    found = rates(world(Exposure.of([], [], [], []), [0, 1], [0, 3]))
    assert np.ptp(found.of_class) < 1e-6
    assert 0 < found.of_class[0, 0] < 0.1


def test_spells_of_several_copies_that_overlap_count_once():
    one = observed([0], [0], [0], [10], [True], 10)
    two = observed([0, 0, 0], [0, 0, 0], [0, 2, 4], [10, 5, 10], [True, False, False], 10)
    assert two.shelf_weeks == pytest.approx(one.shelf_weeks)
    assert 9 < one.shelf_weeks[0] < 10


def test_old_evidence_weighs_less_by_the_yearly_discount():
    old, new = (observed([0], [0], [w], [w + 1], [True], 105) for w in (0, 104))
    assert old.loans[0] / new.loans[0] == pytest.approx(YEARLY_DISCOUNT ** (104 / 52.18))
    assert old.shelf_weeks[0] / new.shelf_weeks[0] == pytest.approx(old.loans[0] / new.loans[0])


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.floats(0, 50), st.floats(0, 9), st.booleans()), max_size=30
    )
)
@settings(max_examples=60, deadline=None)
def test_exposure_never_exceeds_the_time_there_was_nor_the_copies_weeks(spells):
    title, place, begin, length, lent = ([s[i] for s in spells] for i in range(5))
    seen = observed(title, place, begin, np.add(begin, length), lent, 60)
    assert (seen.shelf_weeks >= 0).all()
    assert (seen.shelf_weeks <= 60).all()
    assert seen.shelf_weeks.sum() <= sum(length) + 1e-3
    assert seen.loans.sum() <= sum(lent) + 1e-6


def displayed(truth: tuple[float, ...], seed: int = 4) -> Snapshot:
    """Draw loans of 300 titles that stayed at three places and came to a fourth, where their rates are `truth` by age."""
    draw = np.random.default_rng(seed)
    factor, place = draw.gamma(4, 0.25, 300), np.array([0.3, 0.1, 0.2, 0.15])
    rows = [(t, p, OLD, 60.0, 1.0) for t in range(300) for p in range(3)]
    weeks = np.diff(np.r_[0.0, AGE_BANDS_WEEKS, 70.0])
    rows += [(t, 3, band, weeks[band], of_age) for t in range(300) for band, of_age in enumerate(truth)]
    rows += [(t, 3, OLD, 30.0, 1.0) for t in range(300)]
    title, at, band, stood, of_age = (np.array(column) for column in zip(*rows, strict=True))
    loans = draw.poisson(factor[title.astype(int)] * place[at.astype(int)] * stood * of_age)
    return world(Exposure.of(title, at, loans, stood, band=band), [0] * 300, [0] * 4)


def test_fading_is_fitted_from_titles_that_came_against_those_that_stayed():
    truth = (2.5, 1.8, 1.4, 1.2)
    found = rates(displayed(truth))
    assert found.aged[0, :OLD] == pytest.approx(truth, rel=0.1)
    slack = 1.02  # four intervals of 95 %: a draw may miss by a hair
    assert (found.aged[1, :OLD] < np.multiply(truth, slack)).all()
    assert (found.aged[2, :OLD] > np.divide(truth, slack)).all()
    assert (np.diff(fading([0, 8, 16, 26, 60], found, 8)) < 0).all()
    assert fading([60, 9999], found, 8) == pytest.approx([1, 1])


def test_nothing_fades_until_there_is_evidence():
    steady = rates(displayed((1.0,) * OLD))
    assert steady.of_age == pytest.approx([1] * (OLD + 1), abs=0.02)
    unknown = rates(world(Exposure.of([0, 1], [0, 0], [5, 5], [50, 50]), [0, 0], [0]))
    assert unknown.of_age.tolist() == [1] * (OLD + 1)
    assert np.isinf(unknown.aged[2, :OLD]).all()


def test_a_title_at_a_place_has_a_posterior_of_its_own():
    draw = np.random.default_rng(3)
    truth = draw.gamma(4, 0.25, 200)[:, None] * np.array([0.3, 0.1, 0.2]) * draw.gamma(2, 0.5, (200, 3))
    t, p = np.divmod(np.arange(600), 3)
    seen = world(Exposure.of(t, p, draw.poisson(truth.ravel() * 60), 60), [0] * 200, [0, 1, 2])
    found = rates(seen)
    pairs, own = of_pairs(seen, found, 1.0)
    plain = (found.of_title[:, None] * found.of_class[0]).ravel()
    assert np.array_equal(pairs, np.arange(600))
    errors = [np.abs(estimate - truth.ravel()).sum() for estimate in (plain, plain * own)]
    assert errors[1] < 0.7 * errors[0]


def test_pairs_that_differ_by_chance_alone_keep_the_rate_of_their_class():
    draw = np.random.default_rng(5)
    truth = draw.gamma(4, 0.25, 200)[:, None] * np.array([0.3, 0.1, 0.2])
    t, p = np.divmod(np.arange(600), 3)
    seen = world(Exposure.of(t, p, draw.poisson(truth.ravel() * 60), 60), [0] * 200, [0, 1, 2])
    _, own = of_pairs(seen, rates(seen), 1.0)
    assert np.abs(own - 1).mean() < 0.05


def reserved(share: float) -> Snapshot:
    """Titles that stand at place 0 and are reserved at place 1, where none ever stood, by `share` of those who want them."""
    draw = np.random.default_rng(6)
    factor = draw.gamma(4, 0.25, 400)
    rows = [(t, 0, 100.0 * 0.2 * factor[t], 100.0, 0.0) for t in range(400)]
    rows += [(t, 1, 0.0, 0.0, draw.poisson(100 * 0.2 * factor[t] * share)) for t in range(400)]
    title, place, loans, weeks, holds = zip(*rows, strict=True)
    seen = world(Exposure.of(title, place, np.round(loans), weeks, holds=holds), [0] * 400, [0, 0])
    return replace(seen, reservable=np.full(400, 100.0, np.float32))


def test_holds_are_demand_with_an_exposure_of_their_own():
    found = rates(reserved(0.1))
    at = found.of_class[0]
    assert at[1] == pytest.approx(at[0], rel=0.35)  # not a tenth of it, as its holds are of a tenth of its readers
    few, many = (rates(reserved(share)) for share in (0.02, 0.2))
    assert few.hold_share < found.hold_share < many.hold_share
    unknown = rates(replace(reserved(0.1), reservable=None))
    assert unknown.hold_share == 0


def test_a_season_is_what_its_weeks_were_and_little_evidence_says_little():
    weeks = np.arange(104) % 52 + 1
    loans = np.where(weeks <= 26, 3000, 1000)
    assert season_of_week(loans, weeks, [10]) == pytest.approx(1.5, rel=0.1)
    assert season_of_week(loans / 1000, weeks, [10]) == pytest.approx(1, abs=0.05)
    assert season_of_week([], [], [1]) == 1.0


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.5, 2.0]), st.sampled_from([1.0, 3.0]))))
def test_evidence_has_one_order_however_often_a_title_and_place_occur(rows):
    key, loans, weeks = (np.array([row[i] for row in rows], kind) for i, kind in enumerate((np.int64, float, float)))
    order = demand._sorted(key, loans, weeks)
    assert list(zip(key[order], loans[order], weeks[order], strict=True)) == sorted(rows)
