"""docs/connect.md, word for word: its commands are commands, with options that they have."""

import shlex

import pytest
from typer.testing import CliRunner

from rotation.cli import app
from tests.needs import REPOSITORY

BLOCKS = (REPOSITORY / "docs" / "connect.md").read_text(encoding="utf-8").split("```sh\n")[1:]
COMMANDS = [line for block in BLOCKS for line in block.partition("```")[0].splitlines()]


def exit_code(command: str) -> int:
    """Of a command that is asked for its help: an option that it has not is refused all the same."""
    return CliRunner().invoke(app, [*shlex.split(command)[1:], "--help"]).exit_code


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide_is_one(command: str) -> None:
    assert exit_code(command) == 0


def test_what_is_no_command_or_no_option_of_it_is_refused() -> None:
    assert [exit_code(one) for one in ("rotation ingets events.jsonl", "rotation ingest events.jsonl --dry")] == [2, 2]


def test_every_way_in_has_a_dry_run() -> None:
    ways = {tuple(command.split()[1:3]) for command in COMMANDS if command.split()[1] in ("import", "feed")}
    ways |= {("ingest", "events.jsonl"), ("sip2", "proxy")}
    assert {way for command in COMMANDS if "--dry-run" in command for way in [tuple(command.split()[1:3])]} == ways
