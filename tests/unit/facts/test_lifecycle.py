"""Lifecycles: what may follow what, every word in one home, every word with its label in both languages."""

import ast
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from rotation.facts import lifecycle
from rotation.facts.events import FACTS, TransferFact
from rotation.facts.lifecycle import (
    MAY_BE_CANCELLED,
    SCANNED,
    TRANSITIONS,
    AlertKind,
    AlertState,
    AlertStep,
    ChannelKind,
    CrateState,
    LegKind,
    PlaceNoticeKind,
    ReturnRuleKind,
    RunState,
    TargetKind,
    TransferKind,
    TransferMarkKind,
    TransferState,
    before,
)
from rotation.facts.movements import CopyState
from rotation.language import extract, labels
from rotation.store.transitions import TABLES, statement

ROOT = Path(__file__).parents[3]
LIFECYCLES = [kind for kind in vars(lifecycle).values() if isinstance(kind, type) and issubclass(kind, StrEnum)]
LIFECYCLES.remove(StrEnum)
LIFECYCLES.append(CopyState)
LABELS: dict[type[StrEnum], Mapping[Any, str]] = {
    **dict.fromkeys(TRANSITIONS, labels.STATUSES),
    TransferKind: labels.TRANSFER_KINDS,
    LegKind: labels.LEGS,
    CrateState: labels.CRATE_STATES,
    AlertKind: labels.ALERTS,
    AlertState: labels.ALERT_STATES,
    AlertStep: labels.ALERT_STEPS,
    PlaceNoticeKind: labels.PLACE_NOTICES,
    ReturnRuleKind: labels.RETURN_RULES,
    TransferMarkKind: labels.DECISIONS,
    TargetKind: labels.TARGETS,
    ChannelKind: labels.CHANNELS,
    CopyState: labels.STATES,
}


# --- What may follow what ---------------------------------------------------------------------------------------------


def test_a_transition_leads_from_a_state_to_a_state_of_the_same_life() -> None:
    for life, moves in TRANSITIONS.items():
        assert all(isinstance(state, life) for was, then in moves.items() for state in (was, *then))


def test_every_lifecycle_that_is_moved_has_its_table() -> None:
    assert TABLES.keys() == TRANSITIONS.keys()


def test_what_is_carried_is_not_cancelled_by_a_decision() -> None:
    assert TransferState.SENT not in MAY_BE_CANCELLED
    assert TransferState.ASKED in MAY_BE_CANCELLED


def test_a_run_that_missed_stops_can_still_be_done() -> None:
    assert before(RunState.DONE) == (RunState.ORDERED, RunState.UNDER_WAY, RunState.INCOMPLETE)


def test_nothing_becomes_proposed_again() -> None:
    with pytest.raises(ValueError, match="nothing becomes"):
        statement(TransferState.PROPOSED, "true")


def test_a_run_becomes_a_draft_again_only_before_its_van_has_left() -> None:
    assert before(RunState.DRAFT) == (RunState.APPROVED, RunState.SENT_BACK, RunState.ORDERED)


def test_facts_of_transfers_lead_to_the_scanned_states_and_to_all_of_them() -> None:
    assert {fact.transfer_state for fact in FACTS if issubclass(fact, TransferFact)} == set(SCANNED)


# --- Labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("life", LIFECYCLES, ids=[life.__name__ for life in LIFECYCLES])
def test_each_word_has_its_label_in_both_languages(life: type[StrEnum]) -> None:
    chinese = extract.read("zh_CN")
    for word in life:
        assert chinese[LABELS[life][word]].string


# --- One home ---------------------------------------------------------------------------------------------------------

ROOMS = ("rotation", "streams", "city")
# Where the words stand by right: their homes, and migrations, which are history.
HOMES = (
    "rotation/facts/lifecycle.py",
    "rotation/facts/movements.py",
    "rotation/facts/hand_work.py",
    "rotation/store/migrations/",
)
# Words that are other things in the file that has them.
OTHER_THINGS = {
    "rotation/courier/edits.py": {"under_way"},  # a field of the solver's vans
    "rotation/web/pages/change.py": {"late"},  # a field of the map
    # Codes of answers to scans.
    "rotation/alerts/hands.py": {"counts_differ"},
    "rotation/alerts/vans.py": {"planned"},
    "rotation/alerts/shelves.py": {"on_shelf"},
    "rotation/hands/driving.py": {"counts_differ"},
    "rotation/language/hands.py": {"counts_differ"},
    # An option of the extraction.
    "rotation/language/extract.py": {"silent"},
    # A process, and a file's ending.
    "rotation/system/processes.py": {"deliver", "feed"},
    "rotation/system/roles.py": {"deliver", "feed"},
    "streams/deliver.py": {"csv"},
    "rotation/web/spreadsheets.py": {"csv", "sort"},
    # Parts, and what they do.
    "rotation/facts/parts.py": {"deliver", "feed", "planned", "sent"},
    "rotation/store/standstill.py": {"feed"},
    # Numbers of an alert, by name.
    "rotation/web/pages/log_pages.py": {"closed"},
    "rotation/views/alert_messages.py": {"planned"},
    # A library.
    "rotation/alerts/sending.py": {"apprise"},
    # A reason: the place is closed, or it is planned already. Also a day or place that is closed.
    "rotation/courier/legs.py": {"closed"},
    "rotation/language/reasons.py": {"closed"},
    "rotation/night/coverage.py": {"closed"},
    "rotation/network.py": {"closed"},
    "rotation/rebalancing/outcome.py": {"planned", "unknown"},
    "rotation/web/api/resources.py": {"received"},
    # Figures, by name, and fields of messages, files and arrays.
    "rotation/courier/routes.py": {"direct", "trunk", "deliver"},
    "rotation/dispatch/orders.py": {"collect", "deliver"},
    "rotation/feeds/koha/circulation.py": {"withdrawn"},
    "rotation/feeds/koha/standing.py": {"withdrawn", "damaged"},
    "rotation/feeds/koha/transfers.py": {"withdrawn"},
    "rotation/feeds/koha/version.py": {"withdrawn", "damaged"},
    "rotation/feeds/tables/facts.py": {"home"},
    "rotation/feeds/suggesting.py": {"home"},
    "rotation/kafka/admin.py": {"missing"},
    "rotation/night/moves.py": {"held_back"},
    "rotation/rebalancing/circulation.py": {"asked"},
    "rotation/rebalancing/what_if.py": {"missing"},
    "rotation/dispatch/receipts.py": {"unknown"},
    "rotation/store/waiting.py": {"lost"},
    "rotation/system/demonstration.py": {"deliver", "missing"},
    "rotation/system/terminal.py": {"opened", "late"},
    "rotation/views/last_night.py": {"held_back"},
    "rotation/views/status.py": {"in_transit", "silent", "late"},
    # A tab of the page.
    "rotation/web/pages/branch.py": {"pick"},
    "rotation/web/pages/imbalance.py": {"surplus"},
    "rotation/web/pages/questions.py": {"asked", "missing"},
    "rotation/web/pages/today.py": {"late"},
    "city/arrays_driver.py": {"home"},
    "city/carriers.py": {"pick", "sort", "collect", "deliver"},
    "city/day.py": {"home"},
    "city/laboratory.py": {"placement", "home"},
    "city/live.py": {"damaged", "withdrawn"},
    "city/policies.py": {"home"},
    # The halves of a visit in a routing problem.
    "rotation/courier/runs.py": {"collect", "deliver"},
    # What became of an event: it came late. A parameter of SQL.
    "rotation/night/requested_sets.py": {"late"},
    "rotation/store/audit.py": {"late"},
    "rotation/system/importing.py": {"late"},
    "streams/rebuild.py": {"late"},
    # Commands and words of the command line; a folder of samples.
    "rotation/cli/__init__.py": {"feed"},
    "rotation/cli/night.py": {"planned"},
    "rotation/cli/run.py": {"missing"},
    "rotation/cli/stock.py": {"received"},
    "rotation/feeds/librarieswest/points.py": {"closed"},
    "rotation/feeds/librarieswest/snapshots.py": {"in_transit", "unknown"},
    "rotation/feeds/opening_hours.py": {"closed"},
    # The setting placement_default.
    "rotation/hands/desk.py": {"home"},
    "rotation/rebalancing/placement.py": {"home"},
}


def _words() -> set[str]:
    return {str(word) for life in LIFECYCLES for word in life}


def _strings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of a module's strings that are no docstrings."""
    tree = ast.parse(source)
    bodies = (node.body for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef))
    docstrings = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def _written(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and word of the states and kinds in a module's strings, alone or quoted in SQL."""
    for line, text in _strings(file.read_text(encoding="utf-8")):
        for word in sorted({text, *re.findall(r"'([\w.]+)'", text)} & _words()):
            yield line, word


def _stray(file: Path) -> Iterator[str]:
    name = str(file.relative_to(ROOT))
    for line, word in _written(file):
        if word not in OTHER_THINGS.get(name, ()):
            yield f"{name}:{line}: {word}"


def test_no_state_or_kind_is_written_outside_its_home() -> None:
    files = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
    stray = [line for file in files if not str(file.relative_to(ROOT)).startswith(HOMES) for line in _stray(file)]
    assert stray == []


def test_every_exception_is_still_needed() -> None:
    for name, others in OTHER_THINGS.items():
        assert others <= {word for _, word in _written(ROOT / name)}, name


def test_no_page_compares_with_a_state_or_kind_of_its_own() -> None:
    pages = sorted((ROOT / "rotation/web/templates").glob("*.html"))
    compared = [word for page in pages for word in re.findall(r"""[=!]= ["']([\w.]+)["']""", page.read_text("utf-8"))]
    assert set(compared) & _words() <= {"closed"}  # the page of alerts shows open ones or closed ones


def test_a_stray_word_is_found_alone_and_in_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "stray.py"
    file.write_text(
        '"""Docstrings may say sent_back."""\nA = "sent_back"\nB = f"SELECT {A} WHERE status = \'picked\'"\n'
    )
    assert list(_stray(file)) == ["stray.py:2: sent_back", "stray.py:3: picked"]
