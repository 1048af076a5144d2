"""Problems with their plans and judgements as files: whoever changes the meaning of one sees it here.

`GOLDEN=write pytest tests/golden/solver` writes them anew; read the difference before it is committed.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from solver.check import read
from solver.engines import Limits
from solver.evaluate import evaluate
from solver.explain import explain
from solver.messages import say_explanation, say_violation
from solver.problem import Problem, problem_schema
from solver.solution import Solution
from solver.solve import solve

HERE = Path(__file__).parent
NAMES = ["market_town", "two_hubs", "river_city"]
SCHEMA = Path(__file__).parents[3] / "docs" / "solver-problem.schema.json"


def problem_of(name: str) -> Problem:
    return read(json.loads((HERE / f"{name}.json").read_text(encoding="utf-8")))


def kept(path: Path, value: Any) -> Any:
    if os.environ.get("GOLDEN") == "write":
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_of_an_iteration_limit_is_the_golden_one(name):
    runs = [run.model_dump() for run in solve(problem_of(name), Limits(iterations=400), engine="ortools").runs]
    assert runs == kept(HERE / f"{name}.plan.json", {"runs": runs})["runs"]


@pytest.mark.parametrize("name", NAMES)
def test_the_golden_plan_is_judged_as_it_was(name):
    solution = Solution.model_validate(json.loads((HERE / f"{name}.plan.json").read_text(encoding="utf-8")))
    judged = json.loads(json.dumps(asdict(evaluate(problem_of(name), solution))))
    assert judged["violations"] == []
    assert judged == kept(HERE / f"{name}.evaluation.json", judged)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_sentences_of_a_broken_plan_are_the_golden_ones(language):
    broken = Solution.model_validate(
        {"runs": [{"van": "van-2", "visits": ["frome", "glastonbury", "collect:exhibition"]}]}
    )
    problem = problem_of("market_town")
    said = [say_violation(one, language) for one in evaluate(problem, broken).violations]
    said += [say_explanation(one, language) for one in explain(problem, broken)]
    assert said == kept(HERE / f"market_town.sentences.{language}.json", said)


def test_the_schema_in_the_documentation_is_the_one_of_the_code():
    schema = json.loads(json.dumps(problem_schema()))
    assert schema == kept(SCHEMA, schema)
