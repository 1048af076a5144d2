"""JSON texts of people: read with duplicate keys refused, and complaints placed on their lines.

The idea: Python's reader is fast and knows no lines. Only where something is wrong is the text walked once more, mark by
mark, for the line of every path.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace

from solver.check import Complaint, ProblemError

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def parse(name: str, text: str) -> object:
    """Return the value of a JSON text; `name` is its file, for complaints.

    Raises
    ------
    ProblemError
        Where it is no JSON, or an object has a key twice: a reader would silently take the later value.
    """
    twice = False

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal twice
        value = dict(pairs)
        twice |= len(value) < len(pairs)
        return value

    try:
        data = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        reason = {"reason": str(error) or "nested too deeply"}
        raise ProblemError([Complaint(name, "json", f"{len(text)} characters", "JSON", reason)]) from error
    if twice:
        raise ProblemError([_twice(name, path, first, again) for path, first, again in _repeated(text)])
    return data


def placed(name: str, text: str, complaints: list[Complaint]) -> list[Complaint]:
    """Return the complaints with file and line before their places in the text."""
    line = dict(_lines(text))
    return [replace(one, at=f"{name}:{_nearest(line, one.at)}: {one.at}".rstrip(": ")) for one in complaints]


def _nearest(line: dict[str, int], path: str) -> int:
    """Return the line of the path, or of the innermost part that holds it: a missing field has no line."""
    while path and path not in line:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return line.get(path, 1)


def _twice(name: str, path: str, first: int, again: int) -> Complaint:
    return Complaint(f"{name}:{again}: {path}", "key_twice", "twice", "each key once", {"line": first})


def _repeated(text: str) -> Iterator[tuple[str, int, int]]:
    first = dict[str, int]()
    for path, line in _lines(text):
        if path in first:
            yield path, first[path], line
        first[path] = line


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Yield the path of each value in a valid JSON text, such as stops[3].windows, and its line, from 1."""
    ends = [match.start() for match in re.finditer("\n", text)]
    within: list[str] = []  # the paths of the open objects and lists
    steps: list[int | str | None] = []  # in each, the index, or the key if it was read
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if mark in "}]":
            within.pop()
            steps.pop()
        elif mark == ",":
            last = steps[-1]
            steps[-1] = last + 1 if isinstance(last, int) else None
        elif steps and steps[-1] is None:
            steps[-1] = json.loads(mark)
        elif mark != ":":
            path = _path(within[-1], steps[-1]) if steps else ""
            yield path, bisect_right(ends, match.start()) + 1
            if mark in "{[":
                within.append(path)
                steps.append(0 if mark == "[" else None)


def _path(within: str, step: int | str | None) -> str:
    return f"{within}[{step}]" if isinstance(step, int) else f"{within}.{step}".lstrip(".")
