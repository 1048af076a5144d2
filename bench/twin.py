"""The twin city's comparison: every policy on the same readers, with seeds on which no parameter was chosen.

    python -m bench.twin --small          two seeds of a tenth of the city, as found: three minutes
    python -m bench.twin --rivals         every world, a tenth of the city, beside the rivals with a desk
    python -m bench.twin                  the whole, on all cores; goes on where it was stopped (--limit SECONDS)
    python -m bench.twin calibrate        lanes, days on the way and the week's rhythm beside LibrariesWest's
    python -m bench.twin report           docs/twin.md and its charts from bench/results

Each figure is a JSON line in bench/results/twin.jsonl: scenario, seed, policy, moves a week, metrics, seconds.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from bench import twin_calibration, twin_report, twin_rivals
from city import laboratory
from city.laboratory import (
    BUDGETS_A_WEEK,
    MIDDLE_BUDGET,
    POLICIES,
    SEEDS_REPORTED,
    WITHOUT_BUDGET,
    Laboratory,
)
from city.model import CitySize
from city.scenarios import SCENARIOS, WARM_WEEKS, YEAR_WEEKS
from rotation.network import read

RESULTS = Path(__file__).parent / "results"
NETWORK = Path(__file__).parents[1] / "config" / "networks" / "demo.toml"
TENTH = CitySize(titles=800, copies=6_600, visits_a_week=5_800)  # the small form's city


class Form(NamedTuple):
    """The extent of the comparison; `budgets` are shelf moves a week, `middle` everywhere, all of them as found."""

    file: str
    size: CitySize
    weeks: int
    warm_weeks: int
    budgets: tuple[int, ...]
    middle: int
    seeds: int
    scenarios: tuple[str, ...]


WHOLE = Form(
    "twin.jsonl",
    laboratory.LARGE,
    WARM_WEEKS + YEAR_WEEKS,
    WARM_WEEKS,
    BUDGETS_A_WEEK,
    MIDDLE_BUDGET,
    len(SEEDS_REPORTED),
    tuple(s.name for s in SCENARIOS),
)
SMALL = Form("twin-small.jsonl", TENTH, 39, 13, (16,), 16, 2, ("as_found",))  # half a year after a quarter
LATER = ("shifted", "growing")  # worlds that change after the form's end
RIVALS = SMALL._replace(
    file="twin-rivals.jsonl", seeds=3, scenarios=tuple(s.name for s in SCENARIOS if s.name not in LATER)
)


class TwinRun(NamedTuple):
    """A city with its readers, and the policy that meets them."""

    scenario: str
    seed: int
    form: Form
    policy: str
    moves: int


def main() -> None:
    """Carry out the command line."""
    options = _options()
    if options.what == "calibrate":
        twin_calibration.write(read(NETWORK), RESULTS / "twin-calibration.jsonl")
    elif options.what == "compare":
        compare(SMALL if options.small else RIVALS if options.rivals else WHOLE, options)
    if options.what != "calibrate":
        twin_report.write(RESULTS)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.twin", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", nargs="?", default="compare", choices=["compare", "calibrate", "report"])
    parser.add_argument("--small", action="store_true", help="a tenth of the city, two seeds, as found")
    parser.add_argument(
        "--rivals", action="store_true", help="every world, a tenth of the city, beside rivals with a desk"
    )
    parser.add_argument("--seeds", type=int, help="how many of the reported seeds")
    parser.add_argument("--policies", nargs="*", help="only these")
    parser.add_argument("--scenarios", nargs="*", help="only these")
    parser.add_argument("--budgets", nargs="*", type=int, help="only these moves a week")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes; default: one a core")
    parser.add_argument("--limit", type=float, default=float("inf"), help="begin nothing new after so many seconds")
    return parser.parse_args()


def compare(form: Form, options: argparse.Namespace) -> None:
    """Run the missing combinations, and add each result as it comes."""
    file, end = RESULTS / form.file, time.monotonic() + options.limit
    with ProcessPoolExecutor(options.jobs) as pool, file.open("a", encoding="utf-8") as out:
        pending = [pool.submit(partial(_run, end=end), job) for job in jobs(form, options, _done(file))]
        for finished in as_completed(pending):
            if line := finished.result():
                print(json.dumps(line), flush=True)
                out.write(json.dumps(line) + "\n")
                out.flush()


def jobs(form: Form, options: argparse.Namespace, done: set[tuple[Any, ...]]) -> Iterator[TwinRun]:
    """Yield the missing runs, a city at a time; curves over budgets are drawn as found."""
    for seed in SEEDS_REPORTED[: options.seeds or form.seeds]:
        for scenario in options.scenarios or form.scenarios:
            budgets = options.budgets or (form.budgets if scenario == "as_found" else (form.middle,))
            for name in options.policies or (twin_rivals.POLICIES if options.rivals else POLICIES):
                at = (form.middle,) if name in WITHOUT_BUDGET else budgets
                left = (moves for moves in at if (scenario, seed, name, moves) not in done)
                yield from (TwinRun(scenario, seed, form, name, moves) for moves in left)


def _done(file: Path) -> set[tuple[Any, ...]]:
    return {(r["scenario"], r["seed"], r["policy"], r["moves_a_week"]) for r in twin_report.lines(file)}


def _run(job: TwinRun, end: float) -> dict[str, Any] | None:
    """Run a job; jobs that would begin after `end` are left for later."""
    return _measure(_laboratory(job.scenario, job.seed, job.form), job) if time.monotonic() < end else None


@lru_cache(1)
def _laboratory(scenario: str, seed: int, form: Form) -> Laboratory:
    found = next(s for s in SCENARIOS if s.name == scenario)
    return Laboratory(read(NETWORK), found, seed, form.size, form.weeks)


def _measure(lab: Laboratory, job: TwinRun) -> dict[str, Any]:
    begun = time.process_time()
    measured = lab.measure(POLICIES[job.policy](lab, job.moves), job.form.warm_weeks)
    seconds = round(time.process_time() - begun, 2)
    about = {
        "scenario": job.scenario,
        "seed": job.seed,
        "policy": job.policy,
        "moves_a_week": job.moves,
        "middle": job.form.middle,
    }
    return {**about, "copies": job.form.size.copies, "weeks": job.form.weeks, **measured, "processor_s": seconds}


if __name__ == "__main__":
    main()
