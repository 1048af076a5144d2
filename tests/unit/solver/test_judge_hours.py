"""When a run begins: around breaks, closed depots and rush hours; and by when it must be unloaded."""

from tests.unit.solver.days import KM_S, day, judged, stop, times, van, wrong

HUB = {"id": "hub", "place": "0"}


def resting(**fields: object) -> list[dict[str, object]]:
    return [van(breaks=[{"id": "rest", "length_s": 600, "windows": [[5000, 5400]]}], **fields)]


def test_a_start_is_put_off_past_the_wait_for_a_break():
    problem = day(stop(1, windows=[[0, 5000]]), stop(2, windows=[[8000, 9000]]), vans=resting())
    run = judged(problem, "s1", "break:rest", "s2").runs[0]
    assert (run.begin_s, run.end_s) == (5000 - KM_S, 8000 + 2 * KM_S)


def test_a_start_is_put_off_until_a_break_would_be_late_and_no_longer():
    problem = day(stop(1), stop(2, windows=[[8000, 9000]]), vans=resting())
    evaluation = judged(problem, "s1", "break:rest", "s2")
    assert times(evaluation)["s1"][2] == times(evaluation)["break:rest"][1] == 5400
    assert wrong(evaluation) == {}


def test_a_second_break_bounds_the_start_too():
    rests = [
        {"id": "a", "length_s": 600, "windows": [[5000, 7000]]},
        {"id": "b", "length_s": 60, "windows": [[5700, 6000]]},
    ]
    problem = day(stop(1), stop(2, windows=[[8000, 9000]]), vans=[van(breaks=rests)])
    evaluation = judged(problem, "s1", "break:a", "break:b", "s2")
    assert times(evaluation)["break:b"][1] == 6000
    assert (wrong(evaluation), times(evaluation)["s1"][2]) == ({}, 5400)


def test_a_run_may_begin_after_a_break_that_would_not_fit_into_it():
    problem = day(stop(5), vans=resting(shift=[4600, 20_000], max_duration_s=10 * KM_S))
    evaluation = judged(problem, "s5")
    assert (wrong(evaluation), evaluation.runs[0].begin_s) == ({}, 5600)


def test_a_run_begun_after_a_break_may_have_to_begin_after_another_too():
    rests = [
        {"id": "a", "length_s": 300, "windows": [[100, 150]]},
        {"id": "b", "length_s": 60, "windows": [[500, 600]]},
    ]
    evaluation = judged(day(stop(1), vans=[van(breaks=rests)]), "s1")
    assert (wrong(evaluation), evaluation.runs[0].begin_s) == ({}, 560)


def test_a_run_that_must_begin_before_the_break_still_lacks_it():
    problem = day(stop(3, windows=[[0, 5200]]), vans=resting(shift=[4800, 20_000]))
    assert [cause.value for cause in wrong(judged(problem, "s3"))] == ["break"]


def test_crates_that_are_ready_while_the_hub_is_closed_are_loaded_after_it():
    hub = [HUB | {"windows": [[0, 1000], [3000, 30_000]], "load_s": 60}]
    evaluation = judged(day(stop(1, deliver=1, ready_s=1500), depots=hub), "s1")
    assert (evaluation.runs[0].begin_s, wrong(evaluation)) == (3000, {})


def test_crates_unloaded_by_the_cut_off_are_in_time_though_the_van_loads_again_after_it():
    hub = [HUB | {"load_s": 600, "unload_s": 100, "sort_cutoff_s": 600 + 2 * KM_S + 100}]
    problem = day(stop(1, collect=1), stop(2, deliver=1), vans=[van(max_reloads=1)], depots=hub)
    assert wrong(judged(problem, "s1", "reload:hub", "s2")) == {}
    late = day(stop(1, collect=1, service_s=7), stop(2, deliver=1), vans=[van(max_reloads=1)], depots=hub)
    assert list(wrong(judged(late, "s1", "reload:hub", "s2")).values()) == [7]


def test_a_due_time_of_its_own_stands_for_the_cut_off():
    hub = [HUB | {"sort_cutoff_s": 100}]
    assert wrong(judged(day(stop(1, collect=1, due_s=2 * KM_S), depots=hub), "s1")) == {}
    both = day(stop(1, collect=1, due_s=4 * KM_S), stop(2, collect=1), depots=hub)
    assert list(wrong(judged(both, "s1", "s2")).values()) == [4 * KM_S - 100]


def test_a_start_is_put_off_past_rush_hours_where_the_run_is_shorter():
    slots = [{"from_s": 0, "until_s": 3600, "percent": 300}]
    evaluation = judged(day(stop(4, windows=[[0, 9000]]), slots=slots), "s4")
    assert (evaluation.runs[0].begin_s, evaluation.runs[0].end_s) == (3600, 3600 + 8 * KM_S)
    bound = judged(day(stop(4, windows=[[0, 2000]]), slots=slots), "s4")
    assert (bound.runs[0].begin_s, wrong(bound)) == (0, {})
