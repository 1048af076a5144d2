"""The movements of copies, as a set that only grows.

Order of arrival never matters: a copy's present is its last movement, its history is the time between its movements, and
both are recomputed from the set. So duplicates, late events and replays need no special case anywhere.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby, pairwise


class CopyState(StrEnum):
    """Where a copy is in its life; every copy is in exactly one state."""

    ON_SHELF = "on_shelf"
    ON_LOAN = "on_loan"
    ON_HOLD_SHELF = "on_hold_shelf"
    PICKED = "picked"  # taken from the shelf for a transfer, waiting in a crate at the same place
    IN_TRANSIT = "in_transit"
    DAMAGED = "damaged"
    MISSING = "missing"
    # Left its place and was scanned nowhere since: nobody can say where it is, and it was not searched for.
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"


# Has left its shelf for another place, and counts where it goes.
ON_ITS_WAY = (CopyState.IN_TRANSIT, CopyState.PICKED)


@dataclass(frozen=True, slots=True, order=True)
class Movement:
    """A fact about a copy. Compares by copy, then by when it happened.

    `sequence`, `source` and `event_id` break ties between facts of the same instant (library systems stamp whole seconds).
    `place_id` is where the copy is, for a copy on loan where it was lent, for a copy in transit where it was sent from;
    `to_place_id` is where a copy in transit is going.
    """

    copy_id: str
    occurred_at: datetime
    sequence: int
    source: str
    event_id: str
    state: CopyState
    place_id: str
    to_place_id: str | None = None


@dataclass(frozen=True, slots=True)
class Spell:
    """A copy in a state at a place, from `since` until `until` (None: still so), ended by a movement into `ended_by`."""

    copy_id: str
    state: CopyState
    place_id: str
    since: datetime
    until: datetime | None
    ended_by: CopyState | None


def present(movements: Iterable[Movement]) -> dict[str, Movement]:
    """Return each copy's last movement, by copy id."""
    return {movement.copy_id: movement for movement in sorted(set(movements), key=_order)}


def spells(movements: Iterable[Movement]) -> Iterator[Spell]:
    """Yield every copy's spells in order of time; a copy's last spell is open."""
    for _, history in groupby(sorted(set(movements), key=_order), key=lambda movement: movement.copy_id):
        yield from _spells_of_one_copy(list(history))


def _order(movement: Movement) -> tuple[str, datetime, int, str, str]:
    return movement.copy_id, movement.occurred_at, movement.sequence, movement.source, movement.event_id


def _spells_of_one_copy(history: list[Movement]) -> Iterator[Spell]:
    for movement, following in pairwise([*history, None]):
        if movement is None:
            continue
        until, ended_by = (following.occurred_at, following.state) if following else (None, None)
        yield Spell(movement.copy_id, movement.state, movement.place_id, movement.occurred_at, until, ended_by)
