"""One name, one concept: no public class name is defined in two modules, unless it stands here with its reason."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping

from tests.needs import REPOSITORY

PACKAGES = ("rotation", "streams", "solver", "city", "infra", "config", "bench")

# Names that two systems share which do not know each other.
HOMONYMS: Mapping[str, str] = {
    "Van": "a van of the network file, and a van of the solver's input format, which knows no city",
}


def definitions() -> Iterator[tuple[str, str]]:
    """Yield every public class of ours at the top of its module, with the module's path."""
    for package in PACKAGES:
        for file in sorted((REPOSITORY / package).rglob("*.py")):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    yield node.name, str(file.relative_to(REPOSITORY))


def homonyms() -> dict[str, list[str]]:
    modules = defaultdict(list)
    for name, module in definitions():
        modules[name].append(module)
    return {name: defined_in for name, defined_in in modules.items() if len(defined_in) > 1}


def test_no_class_name_stands_for_two_concepts() -> None:
    assert {name: modules for name, modules in homonyms().items() if name not in HOMONYMS} == {}


def test_every_homonym_that_is_allowed_is_one() -> None:
    assert set(HOMONYMS) <= set(homonyms())
