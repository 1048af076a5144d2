"""Why, in words: every code of the planner, the courier and the solver, in both languages."""

import pytest

from rotation.courier.legs import LegReasonCode as LegCode
from rotation.language.catalogues import language
from rotation.language.reasons import BLOCKS, SHORT, VERDICTS, obstacle, sentence
from rotation.rebalancing.outcome import ReasonCode
from solver.explain import Verdict
from solver.solution import Cause

ZH, EN = language("zh"), language("en")
MOVES = [code for code in ReasonCode if code.value in SHORT]
LATE = {"verdict": "no_room", "van": "v1", "blocks": [{"cause": "window", "amount": 1130, "unit": "s"}]}


def test_a_reason_with_its_numbers_says_them():
    reason = {"code": "readers_wait", "waiting": 3.0, "copies_here": 2.0, "idle_weeks": 14.0, "gain_low": 0.1}
    assert "3" in sentence(reason, EN)
    assert "14" in sentence(reason, ZH)


def test_a_reason_without_its_numbers_is_said_without_zeros():
    assert sentence({"code": "readers_wait", "waiting": 3, "hold": "h1"}, EN) == "A reader waits for it there."


@pytest.mark.parametrize("code", [*LegCode, *MOVES, "no_van"])
def test_every_code_has_a_sentence_in_both_languages(code: str):
    english, chinese = sentence({"code": str(code)}, EN), sentence({"code": str(code)}, ZH)
    assert english.endswith(".")
    assert chinese.endswith("。")


def test_a_code_that_nobody_knows_shows_as_itself():
    assert sentence({"code": "unheard_of"}, ZH) == "unheard_of"
    assert sentence({}, ZH) == ""


def test_what_blocks_the_nearest_van_is_said_with_its_amount():
    assert obstacle(LATE, EN) == "No van can beside its other work: v1 19 min too late for its receiving hours."
    assert obstacle(LATE, ZH) == "各车在现有任务之外都排不下： v1 晚于收货时段 19 分钟。"


def test_every_verdict_and_cause_of_the_solver_has_words():
    assert set(VERDICTS) == set(Verdict)
    assert set(BLOCKS) == set(Cause)


@pytest.mark.parametrize(
    "why", [{}, {"verdict": "new"}, {"verdict": "worth_it", "blocks": []}, {"blocks": [{"cause": "new"}]}]
)
def test_an_explanation_that_says_little_is_no_error(why: dict[str, object]):
    assert isinstance(obstacle(why, EN), str)
