"""`python -m solver`: solve, evaluate, explain, compare and convert problems and plans in files, and request driving times.

The idea: JSON goes in and comes out, sentences go to standard error, and the exit code tells the result: 0 a plan without
violations, 1 a plan with violations, 2 bad input.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from solver.check import Complaint, ProblemError, of_field, read
from solver.compare import compare
from solver.engines import ENGINES, Limits
from solver.evaluate import evaluate
from solver.explain import explain
from solver.formats import FORMATS, convert
from solver.generate import courier_day
from solver.instance import Instance, compiled
from solver.messages import Language, say_complaint, say_explanation, say_violation
from solver.notices import notices
from solver.problem import LARGEST, Problem, Slot, problem_schema
from solver.road_table import driven, with_travel
from solver.routing_service import Osrm, TravelError, TravelSource, Valhalla
from solver.solution import Evaluation, Solution
from solver.solve import solve
from solver.source import parse, placed
from solver.timetable import FORMS as TIMETABLES
from solver.timetable import clock
from solver.vroom_json import Translation, is_vroom, read_vroom
from solver.worker import WorkerError

TERMINATED = 128 + signal.SIGTERM  # as shells say it
FEASIBLE, VIOLATIONS, BAD_INPUT = 0, 1, 2
WARM_STOPS = 8  # few, but some are left out and explained


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit code."""
    options = _parser().parse_args(arguments)
    with suppress(ValueError):  # not the main thread: whoever called us ends us in its own way
        signal.signal(signal.SIGTERM, _end)
    try:
        return int(options.run(options))
    except ProblemError as error:
        return _refuse(error.complaints, options.language)
    except MemoryError as error:
        asked = Complaint("max_stops", "memory", "more", "what fits into memory", {"reason": str(error)})
        return _refuse([asked], options.language)
    except (WorkerError, TravelError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT


def _end(*_: object) -> None:
    """End in order, so that no worker is left behind."""
    raise SystemExit(TERMINATED)


def _refuse(complaints: list[Complaint], language: Language) -> int:
    for complaint in complaints:
        print(say_complaint(complaint, language), file=sys.stderr)
    return BAD_INPUT


# ---- commands


def _solve(options: argparse.Namespace) -> int:
    given = _given(options.file)
    instance = _noticed(given.problem, options)
    warm = _plan(options.warm) if options.warm else given.plan
    limits = Limits(options.time_s, options.iterations, options.threads, options.seed)
    tell = None if options.quiet else _tell
    solution = solve(instance, limits, tell, engine=options.engine, warm=warm)
    evaluation = evaluate(instance, solution)
    for error in solution.errors:
        print(error, file=sys.stderr)
    form = options.form or ("vroom" if given.vroom else "plan")
    _write(_formed(form, given, evaluation, solution.model_dump(mode="json")), options.output)
    return _told(evaluation, options.language)


def _formed(form: str, given: "_Given", evaluation: Evaluation, own: object) -> object:
    """Return the plan in the form asked for; `own` is our JSON of it."""
    if form == "vroom" and given.vroom:
        return given.vroom.answer(evaluation)
    return TIMETABLES[form](given.problem, evaluation) if form in TIMETABLES else own


def _tell(solution: Solution, evaluation: Evaluation) -> None:
    money = evaluation.cost_cents / 100
    left = evaluation.totals.unserved + evaluation.totals.left_out
    line = f"{solution.seconds:8.2f} s  {solution.engine:10} cost {money:12.2f}  vans {evaluation.totals.vans:3}  out {left}"
    print(line, file=sys.stderr)


def _evaluate(options: argparse.Namespace) -> int:
    given = _given(options.file)
    evaluation = evaluate(_noticed(given.problem, options), _plan(options.plan))
    shown = asdict(evaluation) | {"feasible": evaluation.feasible, "cost_cents": evaluation.cost_cents}
    for violation, line in zip(evaluation.violations, shown["violations"], strict=True):
        line["sentence"] = say_violation(violation, options.language)
    for visit in (visit for run in shown["runs"] for visit in run["visits"]):
        visit |= {name: clock(visit[f"{name}_s"]) for name in ("arrive", "begin", "leave")}
    _write(_formed(options.form or "plan", given, evaluation, shown), options.output)
    return FEASIBLE if evaluation.feasible else VIOLATIONS


def _explain(options: argparse.Namespace) -> int:
    instance, plan = _problem(options), _plan(options.plan)
    found = explain(instance, plan)
    sentences = [{"sentence": say_explanation(one, options.language)} for one in found]
    _write([sentence | _shown(asdict(one)) for one, sentence in zip(found, sentences, strict=True)], options.output)
    return FEASIBLE if evaluate(instance, plan).feasible else VIOLATIONS


def _shown(explanation: dict[str, Any]) -> dict[str, Any]:
    for finding in explanation["findings"]:
        finding["run"] = finding["run"].model_dump() if finding["run"] else None
    return explanation


def _compare(options: argparse.Namespace) -> int:
    instance, first, second = _problem(options), _plan(options.plan), _plan(options.other)
    _write(asdict(compare(instance, first, second)), options.output)
    return FEASIBLE if evaluate(instance, second).feasible else VIOLATIONS


def _convert(options: argparse.Namespace) -> int:
    named = options.format
    problem = _converted(options.file, _text(options.file), named) if named else _given(options.file).problem
    _write(problem.model_dump(mode="json", exclude_defaults=True), options.output)
    return FEASIBLE


def _travel(options: argparse.Namespace) -> int:
    source: TravelSource = Osrm(options.osrm) if options.osrm else Valhalla(options.valhalla)
    problem = _given(options.file).problem
    if options.driven:
        _write([one._asdict() for one in driven(source, problem, _plan(options.driven))], options.output)
        return FEASIBLE
    kept = Path(options.kept) if options.kept else None
    straight, kind = options.or_straight_lines, options.kind
    problem, report = with_travel(problem, source, kind=kind, kept=kept, fall_back=straight, say=_progress)
    places = len(problem.travel.places) if problem.travel else 0
    print(f"{places} places, ways by {report.name}", *report.lines(), sep="\n", file=sys.stderr)
    _write(problem.model_dump(mode="json", exclude_defaults=True), options.output)
    return FEASIBLE


def _progress(done: int, total: int) -> None:
    print(f"{done:,} of {total:,} ways", file=sys.stderr, end="\r" if sys.stderr.isatty() else "\n")


def _schema(options: argparse.Namespace) -> int:
    _write(problem_schema(), options.output)
    return FEASIBLE


def _warm(_: argparse.Namespace) -> int:
    day = courier_day(WARM_STOPS, seed=1)
    for slots in ([], [Slot(from_s=8 * 3600, until_s=9 * 3600, percent=150)]):
        problem = day.model_copy(update={"slots": slots})
        explain(problem, solve(problem, Limits(iterations=1)))
    return FEASIBLE


def _told(evaluation: Evaluation, language: Language) -> int:
    for violation in evaluation.violations:
        print(say_violation(violation, language), file=sys.stderr)
    return FEASIBLE if evaluation.feasible else VIOLATIONS


# ---- files


class _Given(NamedTuple):
    """The problem of a file; where the file is VROOM's, its translation, and the plan that its steps describe."""

    problem: Problem
    vroom: Translation | None = None

    @property
    def plan(self) -> Solution | None:
        return self.vroom.plan() if self.vroom else None


def _problem(options: argparse.Namespace) -> Instance:
    return _noticed(_given(options.file).problem, options)


def _noticed(problem: Problem, options: argparse.Namespace) -> Instance:
    """Return the problem as arrays; its impossible parts are named on standard error."""
    instance = compiled(problem)
    for notice in notices(instance):
        print(say_complaint(notice, options.language), file=sys.stderr)
    return instance


def _given(name: str) -> _Given:
    """Read a problem: our JSON, VROOM's, or a benchmark's format."""
    text = _text(name)
    if not text.lstrip().startswith(("{", "[")):
        return _Given(_converted(name, text, None))
    data = parse(name, text)
    try:
        if is_vroom(data):
            translation = read_vroom(data)
            return _Given(translation.problem, translation)
        return _Given(read(data))
    except ProblemError as error:
        raise ProblemError(placed(name, text, error.complaints)) from error


def _converted(name: str, text: str, form: str | None) -> Problem:
    try:
        return convert(text, form)
    except ProblemError as error:
        raise ProblemError([replace(one, at=f"{name}{one.at}") for one in error.complaints]) from error


def _plan(name: str) -> Solution:
    """Read a plan."""
    text = _text(name)
    try:
        return Solution.model_validate(parse(name, text))
    except ValidationError as error:
        raise ProblemError(placed(name, text, [of_field(one, Solution) for one in error.errors()])) from error


def _text(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = {"reason": getattr(error, "strerror", None) or str(error)}
        raise ProblemError([Complaint(name, "unreadable", "nothing", "a readable UTF-8 file", reason)]) from error


def _write(value: object, name: str) -> None:
    """Write a text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1) + "\n"
    if name == "-":
        sys.stdout.write(text)
    else:
        Path(name).write_text(text, encoding="utf-8")


# ---- options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m solver", description="Courier routing that can say why.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    solving = _command(commands, "solve", _solve, "find a plan", plans=[])
    solving.add_argument("--time-s", type=_number(float, 0), default=10.0, help="seconds to search (default 10)")
    solving.add_argument(
        "--iterations", type=_number(int, 1), help="search so far instead: repeatable with the same seed"
    )
    solving.add_argument("--threads", type=_number(int, 1), default=1, help="cores to use (default 1)")
    solving.add_argument("--seed", type=_number(int, 0), default=0)
    solving.add_argument("--engine", choices=sorted(ENGINES), default="race")
    solving.add_argument("--warm", metavar="PLAN", help="begin from this plan, and never end with a worse one")
    solving.add_argument("--quiet", action="store_true", help="no line for each better plan")
    judging = _command(commands, "evaluate", _evaluate, "judge a plan", plans=["plan"])
    for command in (solving, judging):
        command.add_argument(
            "--form",
            choices=("plan", "vroom", *TIMETABLES),
            help="of the output (default: plan; of VROOM's files: vroom)",
        )
    _command(commands, "explain", _explain, "say why what is not served is not", plans=["plan"])
    _command(commands, "compare", _compare, "say what the second plan changes", plans=["plan", "other"])
    converting = _command(commands, "convert", _convert, "turn VROOM's or a benchmark's file into a problem", plans=[])
    converting.add_argument("--format", choices=sorted(FORMATS), help="default: as the file looks")
    _travel_options(_command(commands, "travel", _travel, "put a routing service's ways into a problem", plans=[]))
    schema = commands.add_parser("schema", help="print the JSON Schema of a problem")
    schema.set_defaults(run=_schema, language="en")
    schema.add_argument("-o", "--output", type=_writable, default="-", metavar="FILE")
    warming = commands.add_parser("warm", help="compile the judge's loops, once: they are kept on disk")
    warming.set_defaults(run=_warm, language="en")
    return parser


def _travel_options(parser: argparse.ArgumentParser) -> None:
    service = parser.add_mutually_exclusive_group(required=True)
    service.add_argument("--osrm", metavar="URL", help="such as http://127.0.0.1:5000")
    service.add_argument("--valhalla", metavar="URL", help="such as http://127.0.0.1:8002")
    parser.add_argument("--kept", type=_writable, metavar="FILE", help="keep the matrix; only new places are asked for")
    parser.add_argument(
        "--driven", metavar="PLAN", help="instead: each run's driving by the matrix and by the service's route"
    )
    parser.add_argument("--kind", help="instead of the common matrix, that of this kind of vehicle")
    parser.add_argument("--or-straight-lines", action="store_true", help="where the service fails; else it is an error")


def _number(kind: type[int] | type[float], least: int) -> Callable[[str], float]:
    """Return a reader of numbers from `least` to LARGEST."""

    def read_number(text: str) -> float:
        with suppress(ValueError):
            if least <= (number := kind(text)) <= LARGEST:
                return number
        raise argparse.ArgumentTypeError(
            f"{text}: a{' whole' * (kind is int)} number from {least} to {LARGEST} expected"
        )

    return read_number


def _writable(name: str) -> str:
    """Reject an unwritable file before the search, not after it."""
    path = Path(name)
    if name != "-" and (path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)):
        raise argparse.ArgumentTypeError(f"{name}: cannot be written")
    return name


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], what: str, plans: list[str]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what)
    parser.set_defaults(run=run)
    parser.add_argument("file", metavar="FILE", help="the problem (- is standard input)")
    for plan in plans:
        parser.add_argument(plan, metavar="PLAN")
    parser.add_argument(
        "-o",
        "--output",
        type=_writable,
        default="-",
        metavar="FILE",
        help="where the JSON goes (default: standard output)",
    )
    parser.add_argument("--language", choices=("en", "zh"), default="en")
    return parser


if __name__ == "__main__":
    sys.exit(main())
