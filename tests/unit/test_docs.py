"""The documentation is complete, up to date, builds without a warning, and shows only commands that exist."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from config.settings import Settings
from rotation.cli import app, reference

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted({*(ROOT / "docs").rglob("*.md")} - {*reference.FOLDER.iterdir()}),
]
COMMAND = typer.main.get_command(app)
CONTEXT = typer.Context(COMMAND)
FENCE = re.compile(r"^ *```\w*\n(.*?)^ *```", re.S | re.M)
INLINE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"^(?:rotation|streams|solver|city|config|infra|tests|docs)/[\w./-]+$")
PLACEHOLDER = re.compile(r"\[[^]]*\]|\.\.\.")


def examples(text: str) -> Iterator[list[str]]:
    """Yield the words of every `rotation ...` that a page shows."""
    lines = [line for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *INLINE.findall(FENCE.sub("", text))]:
        for command in PLACEHOLDER.sub("", line.split(" #")[0].removeprefix("$ ")).split("&&"):
            words = re.sub(r"^(\s*\w+=\S+)*\s*", "", command)
            if words.startswith("rotation "):
                yield shlex.split(words)[1:]


def unknown_word(words: list[str]) -> str | None:
    """Return the first word that names no command or option, or None."""
    command: Any = COMMAND
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return words[0]
        command, words = command.commands[words[0]], words[1:]
    options = {name for param in command.get_params(CONTEXT) for name in param.opts}
    return next((word for word in words if word.startswith("--") and word.split("=")[0] not in options), None)


@pytest.mark.parametrize("document", PAGES, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_example_names_a_command_and_options_that_exist(document: Path):
    wrong = {" ".join(words): unknown_word(words) for words in examples(document.read_text(encoding="utf-8"))}
    assert {line: word for line, word in wrong.items() if word} == {}


def test_an_example_of_a_command_or_an_option_that_does_not_exist_is_found():
    shown = "`rotation fly`\n\n```\nA=1 rotation db upgrade && rotation plan --moon  # why\n```\n"
    assert [unknown_word(words) for words in examples(shown)] == [None, "--moon", "fly"]


def leaves(command: Any, name: str = "rotation") -> Iterator[tuple[str, Any]]:
    """Yield every command with its whole name."""
    for word, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, f"{name} {word}")
    if not hasattr(command, "commands"):
        yield name, command


def test_every_command_and_each_of_its_arguments_and_options_is_documented():
    for name, command in leaves(COMMAND):
        assert command.help, name
        assert [param.name for param in command.params if not param.help] == [], name


def test_every_setting_is_documented():
    assert [key for key, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_is_up_to_date(name: str):
    assert (reference.FOLDER / name).read_text(encoding="utf-8") == reference.PAGES[name](), "run `make docs`"


def test_every_path_that_the_contributors_guide_names_exists():
    named = [
        word for word in INLINE.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")) if PATH.match(word)
    ]
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_site_builds_without_a_warning(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert "Rotation" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
