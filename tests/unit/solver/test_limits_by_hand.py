"""The judge beside an independent search of every schedule, and the race beside every plan, where runs are limited."""

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise, permutations, product
from typing import Any, NamedTuple

import pytest

from solver import replan
from solver.check import ProblemError
from solver.engines import Limits
from solver.evaluate import evaluate
from solver.explain import explain
from solver.instance import Instance, compiled
from solver.messages import say_complaint
from solver.problem import Call, Problem, Run, Van
from solver.solution import Cause, Solution
from solver.solve import solve
from tests.unit.solver.days import day, judged, line, plan, stop, times, under_way, van, wrong

PLACES, HORIZON_S = 4, 14
SOME = Limits(time_s=5.0, iterations=100)  # however busy the machine is
LONGER = Limits(time_s=15.0)  # where a second may be gone before a search has begun
LINE = {
    "places": [str(place) for place in range(PLACES)],
    "metres": [[abs(a - b) for b in range(PLACES)] for a in range(PLACES)],
    "seconds": [[abs(a - b) for b in range(PLACES)] for a in range(PLACES)],
}
CART = {
    "metres": [[2 * abs(a - b) for b in range(PLACES)] for a in range(PLACES)],
    "seconds": [[3 * abs(a - b) // 2 for b in range(PLACES)] for a in range(PLACES)],
}


class Schedule(NamedTuple):
    start_s: int
    begins_s: list[int]
    end_s: int


def hours_of(dice: random.Random) -> list[list[int]]:
    bounds = sorted(dice.sample(range(HORIZON_S), 2 * dice.choice([0, 1, 1, 2])))
    return [list(pair) for pair in zip(bounds[::2], bounds[1::2], strict=True)]


def _some(dice: random.Random, **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if dice.random() < 0.5}


def drawn(dice: random.Random, fleet: int = 1) -> Problem:
    places = dice.sample(range(1, PLACES), dice.randint(1, 2))
    stops = [
        stop(place, windows=hours_of(dice), service_s=dice.randint(0, 1), prize_cents=dice.randint(1, 40))
        | _some(dice, setup_s=dice.randint(1, 2))
        for place in places
    ]
    call = lambda: (  # noqa: E731
        {"place": str(dice.randrange(PLACES)), "windows": hours_of(dice)} | _some(dice, setup_s=dice.randint(1, 2))
    )
    shipments = [
        {"id": f"d{number}", "collect": call(), "deliver": call(), "prize_cents": dice.randint(1, 40)}
        | _some(dice, max_on_board_s=dice.randint(1, 4))
        for number in range(dice.choice([0, 1, 1, 2]))
    ]
    vans = [
        van(
            id=f"v{number}",
            shift=[dice.randint(0, 4), dice.randint(4, HORIZON_S)],
            hour_cents=3600,
            **_some(
                dice,
                max_visits=dice.randint(1, 3),
                max_leg_metres=dice.randint(1, 3),
                max_leg_s=dice.randint(1, 3),
                max_wait_s=dice.randint(0, 5),
                max_duration_s=dice.randint(3, 12),
                kind="cart",
            ),
        )
        for number in range(fleet)
    ]
    stops = stops if len(shipments) < 2 else stops[:1]
    work = [one["id"] for one in [*stops, *shipments]]
    dice.shuffle(work)
    apart = [{"groups": [work[:1], work[1:]]}] if dice.random() < 0.5 else []
    return day(*stops, vans=vans, shipments=shipments, apart=apart, travel=LINE | {"kinds": {"cart": CART}})


def way(mine: Van, here: int, there: int) -> tuple[int, int]:
    """Return metres and seconds of a leg."""
    ways = CART if mine.kind else LINE
    return ways["metres"][here][there], ways["seconds"][here][there]


def days(dice: random.Random, count: int, fleet: int = 1) -> Iterator[Problem]:
    while count:
        with suppress(ProblemError):
            yield drawn(dice, fleet)
            count -= 1


def calls_of(problem: Problem) -> dict[str, Call]:
    calls: dict[str, Call] = {one.id: one for one in problem.stops}
    for one in problem.shipments:
        calls |= {f"collect:{one.id}": one.collect, f"deliver:{one.id}": one.deliver}
    return calls


def schedules(problem: Problem, mine: Van, visits: Sequence[str]) -> Iterator[Schedule]:
    """Yield every schedule of whole seconds that meets windows and shift: a van may also wait before it serves."""
    calls = [calls_of(problem)[visit] for visit in visits]
    stays_s = stays_of(calls)

    def rest(at: int, here: int, clock: int) -> Iterator[list[int]]:
        if at == len(calls):
            if clock + way(mine, here, 0)[1] <= mine.shift.until_s:
                yield []
            return
        call, place = calls[at], int(calls[at].place or 0)
        for begin in range(clock + way(mine, here, place)[1], mine.shift.until_s + 1):
            if not call.windows or any(one.from_s <= begin <= one.until_s for one in call.windows):
                yield from ([begin, *others] for others in rest(at + 1, place, begin + stays_s[at]))

    for start_s in range(mine.shift.from_s, mine.shift.until_s + 1):
        for begins_s in rest(0, 0, start_s):
            last = calls[-1]
            home_s = way(mine, int(last.place or 0), 0)[1]
            yield Schedule(start_s, begins_s, begins_s[-1] + stays_s[-1] + home_s)


def stays_of(calls: Sequence[Call]) -> list[int]:
    """Return how long the van stays for each visit: the setup is for those that are not where it is."""
    places = [None, *(call.place for call in calls)]
    new = [here != (before or "0") for before, here in pairwise(places)]
    return [call.service_s + call.setup_s * moved for call, moved in zip(calls, new, strict=True)]


def right(problem: Problem, mine: Van, visits: Sequence[str]) -> list[Schedule]:
    """Return the schedules that keep every limit."""
    calls = [calls_of(problem)[visit] for visit in visits]
    legs = [way(mine, a, b) for a, b in pairwise([0, *(int(call.place or 0) for call in calls), 0])]
    far = any(not within(m, mine.max_leg_metres) or not within(s, mine.max_leg_s) for m, s in legs)
    met = {visit.partition(":")[2] or visit for visit in visits}
    mixed = any(sum(bool(met & set(group)) for group in one.groups) > 1 for one in problem.apart)
    too_far = far or len(visits) > (mine.max_visits or len(visits))
    if mixed or too_far or not whole(problem, visits):
        return []
    worked_s = sum(seconds for _, seconds in legs) + sum(stays_of(calls))
    return [
        one
        for one in schedules(problem, mine, visits)
        if within(one.end_s - one.start_s, mine.max_duration_s)
        and within(one.end_s - one.start_s - worked_s, mine.max_wait_s)
        and within(on_board(problem, visits, one), 0)
    ]


def on_board(problem: Problem, visits: Sequence[str], schedule: Schedule) -> int:
    """Return the most that a shipment is too long on board."""
    begin_s, over = dict(zip(visits, schedule.begins_s, strict=True)), [0]
    stay_s = dict(zip(visits, stays_of([calls_of(problem)[visit] for visit in visits]), strict=True))
    for one in problem.shipments:
        if f"collect:{one.id}" in begin_s and one.max_on_board_s is not None:
            left_s = begin_s[f"collect:{one.id}"] + stay_s[f"collect:{one.id}"]
            over.append(begin_s[f"deliver:{one.id}"] - left_s - one.max_on_board_s)
    return max(over)


def within(value: int, most: int | None) -> bool:
    return most is None or value <= most


def whole(problem: Problem, visits: Sequence[str]) -> bool:
    """Whether each shipment is collected before it is delivered, or not at all."""
    halves = [[visit for visit in visits if visit.endswith(f":{one.id}")] for one in problem.shipments]
    return all(
        one in ([], [f"collect:{name.id}", f"deliver:{name.id}"])
        for one, name in zip(halves, problem.shipments, strict=True)
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_judge_finds_the_shortest_right_schedule_where_there_is_one(seed: int):
    dice = random.Random(seed)
    for problem in days(dice, 20):
        instance, mine = compiled(problem), problem.vans[0]
        for visits in runs_of(problem, dice, 6):
            report = evaluate(instance, Solution(runs=[Run(van=mine.id, visits=visits)])).runs[0]
            found = right(problem, mine, visits)
            about = (problem.model_dump_json(exclude={"travel", "energies"}, exclude_defaults=True), visits)
            assert bool(found) == (not report.violations), about
            assert not found or report.work_s == min(one.end_s - one.start_s for one in found), about


def runs_of(problem: Problem, dice: random.Random, count: int) -> Iterator[list[str]]:
    visits = list(calls_of(problem))
    for _ in range(count):
        yield dice.sample(visits, dice.randint(1, len(visits)))


def best_of_all(instance: Instance) -> tuple[int, int]:
    """Return the rank of the best plan that breaks no rule, of two vans, by trying every plan."""
    problem, visits = instance.problem, list(calls_of(instance.problem))
    best = evaluate(instance, Solution()).rank
    for owners in product((None, 0, 1), repeat=len(visits)):
        own = [[visit for visit, owner in zip(visits, owners, strict=True) if owner == van] for van in (0, 1)]
        for both in product(permutations(own[0]), permutations(own[1])):
            runs = [Run(van=one.id, visits=list(run)) for one, run in zip(problem.vans, both, strict=True) if run]
            judgement = evaluate(instance, Solution(runs=runs))
            if judgement.keeps_rules:
                best = min(best, judgement.rank)
    return best


@pytest.mark.parametrize("seed", range(4))
def test_the_race_finds_the_best_of_all_plans(seed: int):
    (problem,) = days(random.Random(100 + seed), 1, fleet=2)
    instance = compiled(problem)
    found, best = evaluate(instance, solve(instance, Limits(time_s=1.0))), best_of_all(instance)
    if found.rank > best:
        found = evaluate(instance, solve(instance, LONGER))
    assert (found.keeps_rules, found.rank) == (True, best)


@pytest.mark.parametrize(
    ("limit", "vans", "engines"),
    [({"max_visits": 2}, ["v", "w"], ("pyvrp", "vroom")), ({"max_leg_s": 200}, ["w"], ("pyvrp",))],
)
def test_engines_that_can_say_a_limit_keep_it(limit: dict[str, int], vans: list[str], engines: tuple[str, ...]):
    problem = day(stop(1), stop(2), stop(4, deliver=1), vans=[van(**limit), van(id="w", km_cents=1500)])
    for engine in engines:
        found = solve(problem, SOME, engine=engine)
        assert (evaluate(problem, found).feasible, found.engine, [run.van for run in found.runs]) == (
            True,
            engine,
            vans,
        )


def test_each_limit_says_by_how_much_and_where():
    far = day(stop(1), stop(5), vans=[van(max_leg_metres=3500, max_leg_s=400, max_visits=1)])
    judgement = judged(far, "s1", "s5")
    assert wrong(judgement) == {Cause.VISITS: 1, Cause.LEG_DISTANCE: 500 + 1500, Cause.LEG_TIME: 80 + 200}
    assert [one.visit for one in judgement.violations if one.cause is Cause.LEG_TIME] == ["s5", "end:hub"]


def test_waiting_is_counted_after_the_start_has_been_put_off():
    late = day(stop(1, windows=[[0, 600]]), stop(2, windows=[[3600, 7200]]), vans=[van(max_wait_s=2000)])
    assert wrong(judged(late, "s1", "s2")) == {Cause.WAIT: 3600 - 720 - 2000}
    assert wrong(judged(late, "s2")) == {Cause.UNSERVED: 1}


def test_a_collection_waits_where_its_load_would_be_too_long_on_board():
    direct = {"id": "d", "collect": {"place": "1"}, "deliver": {"place": "2", "windows": [[3600, 7200]]}}
    early = stop(3, windows=[[0, 900]])
    problem = day(early, shipments=[direct | {"max_on_board_s": 300}])
    judgement = judged(problem, "s3", "collect:d", "deliver:d")
    assert (wrong(judgement), times(judgement)["collect:d"][1]) == ({}, 3300)
    between = judged(problem, "collect:d", "s3", "deliver:d")
    assert wrong(between) == {Cause.LONG_ON_BOARD: 3600 - (900 - 240) - 300}


def test_what_no_van_can_bring_in_time_says_so():
    direct = {"id": "d", "collect": {"place": "1"}, "deliver": {"place": "4"}, "max_on_board_s": 300}
    (found,) = explain(day(stop(3), shipments=[direct]), plan("s3"))
    assert [(block.cause, block.amount) for block in found.best.never] == [(Cause.LONG_ON_BOARD, 60)]


def test_what_was_collected_on_the_way_is_on_board_since_then():
    direct = {"id": "d", "collect": {"place": "1"}, "deliver": {"place": "4"}, "max_on_board_s": 500}
    done = [{"visit": "collect:d", "arrive_s": 600, "begin_s": 600, "leave_s": 620}]
    problem = day(stop(3), shipments=[direct], vans=[under_way(done=done)])
    assert wrong(judged(problem, "collect:d", "s3", "deliver:d")) == {Cause.LONG_ON_BOARD: 1000 + 240 - 620 - 500}
    for engine in ("ortools", "race"):
        assert wrong(evaluate(problem, solve(problem, Limits(time_s=0.5), engine=engine))) == {Cause.UNSERVED: 1}


def test_what_is_kept_apart_meets_on_no_run():
    food = {"id": "d", "collect": {"place": "1"}, "deliver": {"place": "2"}}
    apart = [{"groups": [["s3", "d"], ["s4"], ["s5"]]}]
    problem = day(stop(3), stop(4), stop(5), shipments=[food], apart=apart, vans=[van(), van(id="w"), van(id="x")])
    judgement = judged(problem, "collect:d", "s4", "deliver:d", "s3", "s5")
    assert [one.visit for one in judgement.violations] == ["s4", "s5"]
    assert {one.cause for one in judgement.violations} == {Cause.APART}
    for engine in ("ortools", "race"):
        found = evaluate(problem, solve(problem, Limits(time_s=0.5), engine=engine))
        assert (found.feasible, found.totals.vans) == (True, 3)


def test_a_van_under_way_serves_the_group_that_it_began_with():
    done = [{"visit": "s1", "arrive_s": 600, "begin_s": 600, "leave_s": 600}]
    problem = day(
        stop(1), stop(3), stop(4), apart=[{"groups": [["s1", "s4"], ["s3"]]}], vans=[under_way(done=done), van(id="w")]
    )
    assert wrong(judged(problem, "s1", "s3", "s4")) == {Cause.APART: 1}
    found = evaluate(problem, solve(problem, Limits(time_s=0.5), engine="ortools"))
    assert [[one.visit for one in run.visits][-2] for run in found.runs] == ["s4", "s3"]


def test_crates_rescued_from_a_broken_van_are_kept_apart_as_before():
    out = under_way(on_board=["s3", "s4"])
    stops = [stop(3, deliver=1), stop(4, deliver=1, collect=1), stop(5)]
    broken = replan.broken_down(day(*stops, apart=[{"groups": [["s3", "s4"], ["s5"]]}], vans=[out, van(id="w")]), "v")
    assert broken.apart[0].groups == [["s4", "rescue s3", "rescue s4"], ["s5"]]


@pytest.mark.parametrize(
    ("groups", "code"), [([["s1"], ["s9"]], "unknown_work"), ([["s1"], ["s1"]], "apart_twice"), ([["s1"]], "too_short")]
)
def test_groups_that_make_no_sense_are_refused(groups: list[list[str]], code: str):
    with pytest.raises(ProblemError) as error:
        day(stop(1), apart=[{"groups": groups}])
    assert [one.code for one in error.value.complaints] == [code]
    assert "{" not in say_complaint(error.value.complaints[0], "zh")


def test_a_setup_is_made_where_the_van_comes_from_another_place():
    twice = [stop(2, setup_s=60, service_s=30), stop(2, setup_s=40, service_s=30) | {"id": "beside"}, stop(3)]
    assert judged(day(*twice), "s2", "beside", "s3").runs[0].service_s == 60 + 30 + 30
    assert judged(day(*twice), "s2", "s3", "beside").runs[0].service_s == 60 + 30 + 40 + 30
    at_the_hub = day({"id": "hub's own", "place": "0", "setup_s": 60})
    assert judged(at_the_hub, "hub's own").runs[0].service_s == 0


@pytest.mark.parametrize("engine", ["pyvrp", "vroom", "race"])
def test_engines_know_of_setups(engine: str):
    """A visit after another at its place saves the setup: only so is the shift long enough."""
    stops = [
        stop(place, setup_s=200, windows=[[0, 1000]]) | {"id": f"{place}{name}"} for place in (1, 2) for name in "ab"
    ]
    problem = day(*stops, vans=[van(shift=[0, 4 * 120 + 2 * 200])])
    found = solve(problem, SOME, engine=engine)
    assert (evaluate(problem, found).feasible, found.engine) == (True, engine)


BIKE = {"metres": line().metres // 2, "seconds": line().seconds * 4}
KINDS = line().model_dump() | {"kinds": {"bike": BIKE}}


def test_a_kind_of_vehicle_has_its_own_ways():
    both = [van(), van(id="b", kind="bike")]
    problem = day(stop(2), stop(4), vans=both, travel=KINDS)
    judgement = evaluate(problem, Solution(runs=[Run(van="v", visits=["s2"]), Run(van="b", visits=["s4"])]))
    assert [(run.metres, run.work_s) for run in judgement.runs] == [(4000, 480), (4000, 4 * 960)]


@pytest.mark.parametrize("engine", ["ortools", "pyvrp", "vroom", "race"])
def test_every_engine_knows_the_ways_of_each_kind(engine: str):
    """The bike is cheaper by its metres, and too slow for what is far."""
    problem = day(stop(1), stop(2), stop(8, windows=[[0, 1200]]), vans=[van(), van(id="b", kind="bike")], travel=KINDS)
    runs = {run.van: sorted(run.visits) for run in solve(problem, SOME, engine=engine).runs}
    assert runs in ({"v": ["s1", "s2", "s8"]}, {"v": ["s8"], "b": ["s1", "s2"]})
    near = problem.model_copy(update={"stops": problem.stops[:2]})
    assert [run.van for run in solve(near, SOME, engine=engine).runs] == ["b"]


def test_a_slower_road_is_slower_for_all_kinds():
    problem = replan.slower(day(stop(2), vans=[van(kind="bike")], travel=KINDS), "0", "2", 150)
    assert judged(problem, "s2").runs[0].work_s == 2 * 960 * 3 // 2


@pytest.mark.parametrize(
    ("kind", "ways", "at"),
    [
        ("car", BIKE, "vans[0].kind"),
        ("bike", line(3).model_dump(include={"metres", "seconds"}), "travel.kinds.bike.metres"),
    ],
)
def test_a_kind_without_right_ways_is_refused(kind: str, ways: dict[str, Any], at: str):
    with pytest.raises(ProblemError) as error:
        day(stop(1), vans=[van(kind=kind)], travel=KINDS | {"kinds": {"bike": ways}})
    assert at in [one.at for one in error.value.complaints]
    assert "{" not in say_complaint(error.value.complaints[0], "zh")


def test_a_van_under_way_has_made_visits_and_waited_already():
    done = [{"visit": "s1", "arrive_s": 600, "begin_s": 900, "leave_s": 900}]
    out = under_way(done=done) | {"max_visits": 1, "max_wait_s": 200}
    assert wrong(judged(day(stop(1), stop(3), vans=[out]), "s1", "s3")) == {Cause.VISITS: 1, Cause.WAIT: 100}
