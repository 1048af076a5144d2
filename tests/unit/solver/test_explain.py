"""Why something is left out: each claim tried."""

import pytest

from solver.evaluate import evaluate
from solver.explain import Explainer, Verdict, explain
from solver.messages import BROKEN, VERDICTS, say_explanation, say_violation
from solver.solution import Cause, Solution
from tests.unit.solver.days import TWO_VANS, day, plan, plans, stop, under_way, van, wrong


def only(problem, solution):
    (found,) = explain(problem, solution)
    return found


def test_what_no_van_can_do_is_impossible_and_says_which_rule_for_which_van():
    problem = day(stop(1), stop(2, skills=["lift"]), vans=[van(), van(id="w", max_metres=3000, skills=["lift"])])
    found = only(problem, plan("s1"))
    assert found.verdict is Verdict.IMPOSSIBLE
    assert {one.van: [block.cause for block in one.never] for one in found.findings} == {
        "v": [Cause.SKILL],
        "w": [Cause.DISTANCE],
    }


def test_what_costs_more_than_its_prize_says_what_it_would_cost():
    found = only(day(stop(1), stop(5, prize_cents=900)), plan("s1"))
    assert (found.verdict, found.best.extra_cents, found.prize_cents) == (Verdict.COSTS_MORE, 8000, 900)


def test_what_does_not_fit_beside_the_rest_says_what_blocks_it():
    found = only(day(stop(1, deliver=3), stop(2, deliver=3), vans=[van(capacity=5)]), plan("s1"))
    assert found.verdict is Verdict.NO_ROOM
    assert [(block.cause, block.amount, block.unit) for block in found.best.blocks] == [(Cause.LOAD, 1, "crates")]


def test_a_block_names_the_visit_that_would_break():
    tight = stop(1, windows=[[0, 130]])
    found = only(day(tight, stop(5, windows=[[0, 700]]), vans=[van(latest_start_s=0)]), plan("s1"))
    assert found.verdict is Verdict.WORTH_IT
    found = only(day(tight, stop(5, windows=[[0, 500]]), vans=[van(latest_start_s=0)]), plan("s1"))
    assert found.best.never


def test_loading_again_is_tried_before_a_van_is_said_to_be_full():
    problem = day(stop(1, deliver=3), stop(2, deliver=3), vans=[van(capacity=5, max_reloads=1)])
    found = only(problem, plan("s1"))
    assert found.verdict is Verdict.WORTH_IT
    assert "reload:hub" in found.best.run.visits


def test_a_van_under_way_may_fetch_a_new_stops_crates():
    out = under_way() | {"max_reloads": 1}
    assert only(day(stop(3, deliver=1), vans=[out]), plan()).best.run.visits == ["reload:hub", "s3"]
    (block,) = only(day(stop(3, deliver=1), vans=[under_way()]), plan()).best.never
    assert block.cause is Cause.READY


def test_what_fits_and_pays_should_be_served():
    found = only(day(stop(1), stop(2, prize_cents=9000), vans=TWO_VANS), plan("s1"))
    assert (found.verdict, found.best.van, found.best.extra_cents) == (Verdict.WORTH_IT, "v", 2000)


def test_a_shipment_is_tried_with_its_halves_apart():
    direct = {"id": "d", "collect": {"place": "1"}, "deliver": {"place": "3"}}
    found = only(day(stop(2), shipments=[direct]), plan("s2"))
    assert found.best.extra_cents == 2000


def test_what_was_wrong_before_blocks_nothing():
    late = day(stop(5, windows=[[0, 300]]), stop(1), vans=[van(latest_start_s=0)])
    assert only(late, plan("s5")).verdict is Verdict.WORTH_IT


def test_docks_of_the_whole_plan_are_looked_at_too():
    problem = day(
        stop(1, windows=[[420, 425]]),
        stop(2, windows=[[540, 545]]),
        depots=[{"id": "hub", "place": "0", "docks": 1, "load_s": 300}],
        vans=[van(max_metres=3000), van(id="w", latest_start_s=0)],
    )
    found = only(problem, plan("s1"))
    assert [block.cause for one in found.findings for block in one.blocks if one.van == "w"] == [Cause.DOCKS]


def test_after_an_edit_only_changed_runs_are_tried_again(monkeypatch):
    problem = day(*(stop(place) for place in range(1, 6)), vans=[van(), van(id="w"), van(id="x")])
    explainer = Explainer(problem)
    explainer.explain(plans(v="s1", w="s2", x="s3"))
    tried = []
    monkeypatch.setattr(Explainer, "_try", lambda self, batch: tried.extend(batch))
    with pytest.raises(KeyError):
        explainer.explain(plans(v="s1", w="s3", x="s2"))
    assert {one[1] for one in tried} == {1, 2}


def test_every_claim_holds_when_tried():
    problem = day(
        *(stop(place, deliver=2, prize_cents=4000) for place in range(1, 8)),
        vans=[van(capacity=6), van(id="w", capacity=4)],
    )
    solution = plans(v="s3 s1", w="s6")
    before = evaluate(problem, solution)
    for found in explain(problem, solution):
        for one in found.findings:
            runs = [run for run in solution.runs if run.van != one.van]
            after = evaluate(problem, Solution(runs=[*runs, one.run] if one.run else runs))
            assert (wrong(after) == {}) == one.fits
            if one.fits:
                spared = found.prize_cents or 0
                assert after.cost_cents - before.cost_cents == one.extra_cents - spared


@pytest.mark.parametrize("language", ["en", "zh"])
def test_there_is_a_sentence_for_everything(language):
    assert set(BROKEN) == set(Cause)
    assert set(VERDICTS) == set(Verdict)
    problem = day(
        stop(1), stop(5, prize_cents=900), stop(2, skills=["lift"]), stop(3, deliver=9), vans=[van(capacity=4)]
    )
    for found in explain(problem, plan("s1")):
        assert found.id in say_explanation(found, language)
    for violation in evaluate(problem, plan("s5", "s3", "s2", "s2")).violations:
        assert "{" not in say_violation(violation, language)


def test_a_sentence_has_the_numbers_that_decided():
    found = only(day(stop(1), stop(5, prize_cents=900)), plan("s1"))
    assert (
        say_explanation(found)
        == "s5: left out for cost. v could serve it at the beginning for 80.00 more; it is worth 9.00"
    )
