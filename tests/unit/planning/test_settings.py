"""Planner settings are checked when they are made, and the error names the setting, its value and its range."""

import math

import pytest

from rotation.rebalancing.snapshot import LARGEST, PlanningSettings


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("fresh_bonus", 1e308, "expected 0 to 1,000,000"),
        ("move_price", -0.1, "expected 0 to 1,000,000"),
        ("equity", math.nan, "expected 0 to 1,000,000"),
        ("held_back_share", 1.5, "expected a share from 0 to 1"),
        ("horizon_weeks", 0.0, "expected more than 0"),
        ("rounds", 0, "expected more than 0"),
        ("budget_moves", -1, "expected 0 to"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(name: str, value: float, expected: str) -> None:
    with pytest.raises(ValueError, match=f"planning setting '{name}' is .*; {expected}"):
        PlanningSettings(**{name: value})  # type: ignore[arg-type]


def test_the_least_weight_of_fairness_is_not_above_the_greatest() -> None:
    with pytest.raises(ValueError, match=r"'equity_least' is 0\.9; expected at most equity_most, 0\.5"):
        PlanningSettings(equity_least=0.9, equity_most=0.5)


def test_the_ends_of_a_range_are_settings() -> None:
    assert PlanningSettings(move_price=0.0, fresh_bonus=LARGEST, gap=0.0, desk_chance=1.0).move_price == 0.0
