"""A copy's way with its times, and how long the way from a place to a place takes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from rotation.facts.lifecycle import CrateState

ROWS = 500  # of lanes on a page, the busiest first: more nobody reads


@dataclass(frozen=True, slots=True)
class JourneyFact:
    """A fact of a copy's way: its event's type, when and where it happened, and with which crate and run."""

    at: datetime
    type: str
    place_id: str
    to_place_id: str | None
    crate_id: str | None
    run_id: str | None


# The copy was in a crate from the closing that names it to the crate's next closing, or to its own last fact on this transfer.
_JOURNEY = text(f"""
    WITH mine AS (SELECT transfer_id, copy_id, created_at FROM transfers WHERE transfer_id = :transfer),
    own AS (SELECT f.* FROM transfer_facts f JOIN mine USING (transfer_id)),
    over AS (SELECT max(occurred_at) AS at FROM own WHERE type IN ('transfer.received', 'transfer.lost')),
    inside AS (
        SELECT f.crate_id, f.occurred_at AS since, (
            SELECT min(n.occurred_at) FROM crate_facts n WHERE n.crate_id = f.crate_id
            AND n.type = '{CrateState.CLOSED}' AND n.occurred_at > f.occurred_at) AS until
        FROM crate_facts f, mine WHERE f.type = '{CrateState.CLOSED}' AND f.occurred_at >= mine.created_at
        AND f.copies @> to_jsonb(mine.copy_id))
    SELECT occurred_at AS at, type, place_id, to_place_id, crate_id, NULL AS run_id FROM (
        SELECT *, sequence AS n FROM own) o
    UNION ALL SELECT c.occurred_at, c.type, c.place_id, c.to_place_id, c.crate_id, c.run_id
    FROM inside i JOIN crate_facts c USING (crate_id), over
    WHERE c.occurred_at >= i.since AND c.occurred_at < coalesce(i.until, 'infinity')
        AND c.occurred_at <= coalesce(over.at, 'infinity')
    ORDER BY at, crate_id NULLS FIRST""")


def journey(connection: Connection, transfer_id: str) -> list[JourneyFact]:
    """Return the facts of a transfer's copy on its way, in order of time."""
    return [JourneyFact(*row) for row in connection.execute(_JOURNEY, {"transfer": transfer_id})]


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane of the last quarter: its journeys, the hours that half and nine in ten of them took, those promised and kept."""

    from_place_id: str
    to_place_id: str
    journeys: int
    median_h: float
    nine_in_ten_h: float
    promised: int
    kept: int


_LANES = text("""
    SELECT from_place_id, to_place_id, journeys, median_s / 3600, nine_in_ten_s / 3600, promised, kept FROM lanes
    WHERE (:here = '' OR from_place_id = :here) AND (:there = '' OR to_place_id = :there)
    ORDER BY journeys DESC, from_place_id, to_place_id LIMIT :rows""")


def lanes(connection: Connection, here: str = "", there: str = "", rows: int = ROWS) -> list[Lane]:
    """Return the lanes from `here` to `there` (empty: anywhere), the busiest first."""
    asked: dict[str, Any] = {"here": here, "there": there, "rows": rows}
    return [Lane(*row) for row in connection.execute(_LANES, asked)]
