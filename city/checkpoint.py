"""The city's saved state, so that a restart continues from it: a checkpoint now and then, and a journal of inputs in between.

`settings` holds `city`, the whole state, and rows `city.journal.N` for answers and orders since. Whoever reads
them and lets the same happen again gets the same facts with the same ids.
"""

import base64
import io
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Engine, delete, insert, select

from city import day as steps
from city.model import Records
from rotation.store.kept import keep, kept
from rotation.store.tables import settings

NAME = "city"
JOURNAL = "city.journal."
# Only the other driver looks at these: not kept.
SEEN = ("loans", "shelf_days", "holds", "since")
QUICKLY = 1  # zlib's level: most of the arrays is the same value over and over


class SavedCity(NamedTuple):
    """A checkpoint and the journal after it, in order."""

    checkpoint: Mapping[str, Any]
    journal: Sequence[Mapping[str, Any]]


def load(engine: Engine) -> SavedCity | None:
    """Return the saved city; None if it never lived."""
    with engine.connect() as connection:
        found = kept(connection, NAME)
        if found is None:
            return None
        rows = connection.execute(
            select(settings.c.value).where(settings.c.name.startswith(JOURNAL)).order_by(settings.c.name)
        )
        return SavedCity(found, [row.value for row in rows])


def save(engine: Engine, checkpoint: Mapping[str, Any]) -> None:
    """Save a checkpoint, which replaces the journal before it."""
    with engine.begin() as connection:
        keep(connection, NAME, checkpoint)
        connection.execute(delete(settings).where(settings.c.name.startswith(JOURNAL)))


def note(engine: Engine, number: int, entry: Mapping[str, Any]) -> None:
    """Save the city's input, before any fact that follows from it is sent."""
    with engine.begin() as connection:
        connection.execute(insert(settings).values(name=f"{JOURNAL}{number:09}", value=entry))


def packed(state: steps.CityState) -> str:
    """Return the state as text."""
    arrays = {name: array for name, array in state._asdict().items() if name != "log"}
    arrays["holds"] = state.holds[: state.counts[steps.HOLDS]]
    arrays["pairs"] = state.pairs.copy()
    for name in SEEN:
        arrays["pairs"][name] = 0
    file = io.BytesIO()
    np.savez(file, **arrays)
    return base64.b85encode(zlib.compress(file.getvalue(), QUICKLY)).decode()


def unpacked(text: str) -> steps.CityState:
    """Read an object that `packed` wrote."""
    with np.load(io.BytesIO(zlib.decompress(base64.b85decode(text)))) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    holds = np.zeros(steps.MOST_HOLDS, steps.HOLD_ROW)
    holds["next"] = -1
    holds[: len(found["holds"])] = found["holds"]
    found["pairs"] = _of_today(found["pairs"])
    return steps.CityState(**{**found, "holds": holds}, log=np.zeros((steps.LOG_ROWS, 6), np.int64))


def _of_today(pairs: Records) -> Records:
    """Return the pairs in today's columns: a version before kept fewer of those that are not kept."""
    if pairs.dtype == steps.PAIR_ROW:
        return pairs
    found = np.zeros(pairs.shape, steps.PAIR_ROW)
    for name in set(pairs.dtype.names or ()) - set(SEEN):
        found[name] = pairs[name]
    return found
