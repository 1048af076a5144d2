"""The impossible parts of a valid problem: each is named, and spoils nothing else.

The idea: `solver.check` refuses contradictions. A van that can never leave and a stop outside all shifts are no
contradiction: the others' day is planned, and these are left aside with their reason.
"""

from collections.abc import Iterator

import numpy as np

from solver.check import Complaint, calls, meets_a_shift, shift_hours
from solver.instance import Instance


def notices(instance: Instance) -> list[Complaint]:
    """Return a complaint for each van and each stop that is left aside whatever the plan."""
    return [*_vans_that_never_leave(instance), *_calls_outside_shifts(instance)]


def _vans_that_never_leave(instance: Instance) -> Iterator[Complaint]:
    for van in np.flatnonzero(instance.grounded).tolist():
        shift = instance.problem.vans[van].shift
        expected = "an hour in which its depot is open, by its latest start, with time to load and unload"
        given = f"{shift.from_s} to {shift.until_s} s"
        yield Complaint(f"vans[{van}]", "van_never_leaves", given, expected, {"id": instance.problem.vans[van].id})


def _calls_outside_shifts(instance: Instance) -> Iterator[Complaint]:
    problem = instance.problem
    for at, call in calls(problem):
        if not meets_a_shift(problem, call):
            given = f"{call.windows[0].from_s} to {call.windows[-1].until_s} s"
            expected = f"to meet some van's shift ({shift_hours(problem)})"
            yield Complaint(f"{at}.windows", "window_outside_shifts", given, expected)
