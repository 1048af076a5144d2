"""Errors that `make chaos` must see: `make chaos-mutations` puts each into a copy of the code and runs the fault that shows it.

A mutation counts as caught only where the same fault passes without it, and where it is a comparison of the scenario that fails.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PARTS = ("rotation", "streams", "solver", "city", "config", "infra", "tests", "pyproject.toml")
EVENTS = "20000"  # the faults need no luck; with fewer events no alert opens
SETTLED_S = "150"  # what is lost never comes: no need to wait for it as long as a long chaos does
LONGEST_S = 900
HEAD = "| Mutation | Fault | Without it | With it | By |\n|---|---|---|---|---|"


class Mutation(NamedTuple):
    """An error: `old` in `file` becomes `new`, and `fault` must show it."""

    name: str
    file: str
    old: str
    new: str
    fault: str


MUTATIONS = (
    Mutation(
        "compare-and-set dropped",
        "rotation/store/progress.py",
        " WHERE p.topic = %s AND p.partition = v.part AND p.next_offset = v.first",
        " WHERE p.topic = %s AND p.partition = v.part",
        "a_worker_frozen_with_a_batch_in_hand",
    ),
    Mutation(
        "progress before the batch",
        "streams/apply.py",
        "    facts.stage(cursor, staged)\n"
        "    progress.advance(cursor, topics.events, spans, rows.middle_at, rows.members)\n",
        "    progress.advance(cursor, topics.events, spans, rows.middle_at, rows.members)\n"
        '    cursor.execute("COMMIT")\n    cursor.execute("BEGIN")\n'
        "    facts.stage(cursor, staged)\n",
        "workers_killed_before_inside_and_after_their_commits",
    ),
    Mutation(
        "new ids at each send",
        "streams/relay.py",
        "(ID_HEADER, str(row.id).encode())",
        '(ID_HEADER, __import__("uuid").uuid4().hex.encode())',
        "relay_killed_between_send_and_mark",
    ),
    Mutation(
        "relay deletes up to the highest id",
        "streams/relay.py",
        '"DELETE FROM outbox WHERE id = ANY(%s)", ([row.id for row in rows],)',
        '"DELETE FROM outbox WHERE id <= %s", (max(row.id for row in rows),)',
        "outbox_committed_out_of_order",
    ),
    Mutation(
        "gaps not fetched",
        "streams/apply.py",
        "if message.offset > begin else []",
        "if message.offset < 0 else []",
        "messages_passed_by",
    ),
)


def main(wanted: str = "") -> int:
    """Run each fault without and with its mutation (`wanted`: in whose names this stands); return how many were not caught."""
    missed = 0
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory(prefix="rotation-mutation-") as scratch:
        folder = Path(scratch)
        copy(folder)
        for mutation in (mutation for mutation in MUTATIONS if wanted in mutation.name):
            whole = verdict(folder, mutation.fault)
            with mutated(folder, mutation):
                broken = verdict(folder, mutation.fault)
            caught = whole == "passed" and broken.startswith("failed")
            missed += not caught
            cells = (mutation.name, mutation.fault.replace("_", " "), whole, _cells(caught, broken))
            print(f"| {' | '.join(cells)} |", flush=True)
    return missed


def _cells(caught: bool, broken: str) -> str:
    return f"{'caught' if caught else 'NOT CAUGHT'} | {broken.replace('|', '/')}"


def copy(folder: Path) -> None:
    """Copy the code; what the page serves and what was compiled stay."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "assets"))
        else:
            shutil.copy(ROOT / part, folder / part)


@contextmanager
def mutated(folder: Path, mutation: Mutation) -> Iterator[None]:
    """Put the error into the copy while the context lasts.

    Raises
    ------
    ValueError
        When the code no longer says what the mutation changes: mend the list.
    """
    file = folder / mutation.file
    text = file.read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.name}: {mutation.file} says {text.count(mutation.old)} times {mutation.old!r}")
    file.write_text(text.replace(mutation.old, mutation.new))
    try:
        yield
    finally:
        file.write_text(text)


def verdict(folder: Path, fault: str) -> str:
    """Run one fault: `passed`, or `failed: ` and the comparison that failed, or what else happened."""
    with tempfile.TemporaryDirectory(prefix="rotation-chaos-") as scratch:
        ran = subprocess.run(
            [*_pytest(scratch), "-k", f"test_nothing_is_lost_and_nothing_counts_twice and {fault}]"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder), "CHAOS_EVENTS": EVENTS, "CHAOS_SETTLED_S": SETTLED_S},
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
    if ran.returncode == 0:
        return "passed"
    errors = re.findall(r"^E +((?:AssertionError|assert|Failed:).*)$", ran.stdout, re.MULTILINE)
    if ran.returncode == 1 and errors:
        return f"failed: {errors[0][:100]}"
    return f"broken ({ran.returncode}): {(ran.stdout + ran.stderr).strip().splitlines()[-1][:200]}"


def _pytest(scratch: str) -> list[str]:
    alone = ("-p", "no:cacheprovider", "-p", "no:xdist", "--basetemp", f"{scratch}/pytest")
    return [sys.executable, "-m", "pytest", "-q", *alone, "tests/chaos/faults.py"]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
