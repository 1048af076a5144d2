"""What the desk's rule answered for returned copies while it is measured or only watched, beside the library system's own rule.

Chance decides for a whole place and ISO week which of the two rules answers there: copies of a week compete with each other
under the same rule. The same place and week always get the same lot, in every process.
"""

import hashlib
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from config import Settings
from rotation.store import tables


class AnsweredBy(StrEnum):
    """Which rule gave the answer."""

    DESK_RULE = "desk_rule"  # measured: the night's prices
    OWN_RULE = "own_rule"  # measured: the library system's (`placement_default`), in a place-week held back
    SHADOW = "shadow"  # the library system's; the desk's rule is only kept


@dataclass(frozen=True, slots=True)
class DeskAnswer:
    """Where both rules send a copy returned at a place; `code` is the desk rule's reason."""

    copy_id: str
    title_id: str
    place_id: str
    day: date
    at: datetime
    answered_by: AnsweredBy
    desk_to: str
    own_to: str
    code: str


def answered_by(settings: Settings, place_id: str, day: date) -> AnsweredBy | None:
    """Return which rule answers at a place on a day; None: the desk's, and nothing is measured."""
    if settings.desk_mode == "shadow":
        return AnsweredBy.SHADOW
    if not settings.desk_held_back_share:
        return None
    is_held_back = lot(settings.seed, place_id, day) < settings.desk_held_back_share
    return AnsweredBy.OWN_RULE if is_held_back else AnsweredBy.DESK_RULE


def lot(seed: int, place_id: str, day: date) -> float:
    """Return a place's lot in the day's ISO week, 0 to 1."""
    year, week, _ = day.isocalendar()
    digest = hashlib.sha256(f"{seed}:{place_id}:{year}-W{week:02}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def keep(connection: Connection, answer: DeskAnswer) -> None:
    """Keep an answer; of a copy asked about again at the same place on the same day the first stays."""
    connection.execute(insert(tables.desk_answers).values(asdict(answer)).on_conflict_do_nothing())
