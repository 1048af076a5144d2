"""What the city keeps so that a restart goes on from where it was: now and then all of it, in between what entered it.

`settings` holds `city`, the whole state, and rows `city.journal.N` for what was answered and ordered since. Whoever reads
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
from rotation.store.kept import keep, kept
from rotation.store.tables import settings

NAME = "city"
JOURNAL = "city.journal."
SEEN = ("loans", "shelf_days", "since")  # what only the other driver looks at: not kept
QUICKLY = 1  # zlib's level: most of the arrays is the same value over and over


class Kept(NamedTuple):
    """A checkpoint and the journal after it, in order."""

    checkpoint: Mapping[str, Any]
    journal: Sequence[Mapping[str, Any]]


def load(engine: Engine) -> Kept | None:
    """Return what was kept; None where the city never lived."""
    with engine.connect() as connection:
        found = kept(connection, NAME)
        if found is None:
            return None
        rows = connection.execute(
            select(settings.c.value).where(settings.c.name.startswith(JOURNAL)).order_by(settings.c.name)
        )
        return Kept(found, [row.value for row in rows])


def save(engine: Engine, checkpoint: Mapping[str, Any]) -> None:
    """Keep a checkpoint; the journal before it is not needed any more."""
    with engine.begin() as connection:
        keep(connection, NAME, checkpoint)
        connection.execute(delete(settings).where(settings.c.name.startswith(JOURNAL)))


def note(engine: Engine, number: int, entry: Mapping[str, Any]) -> None:
    """Keep what entered the city, before anything of it is told."""
    with engine.begin() as connection:
        connection.execute(insert(settings).values(name=f"{JOURNAL}{number:09}", value=entry))


def packed(state: steps.State) -> str:
    """Return the state as text."""
    arrays = {name: array for name, array in state._asdict().items() if name != "log"}
    arrays["holds"] = state.holds[: state.counts[steps.HOLDS]]
    arrays["pairs"] = state.pairs.copy()
    for name in SEEN:
        arrays["pairs"][name] = 0
    file = io.BytesIO()
    np.savez(file, **arrays)
    return base64.b85encode(zlib.compress(file.getvalue(), QUICKLY)).decode()


def unpacked(text: str) -> steps.State:
    """Read what `packed` returned."""
    with np.load(io.BytesIO(zlib.decompress(base64.b85decode(text)))) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    holds = np.zeros(steps.MOST_HOLDS, steps.HOLD_ROW)
    holds["next"] = -1
    holds[: len(found["holds"])] = found["holds"]
    return steps.State(**{**found, "holds": holds}, log=np.zeros((steps.LOG_ROWS, 6), np.int64))
