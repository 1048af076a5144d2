"""What the desk's rule would have said while it was only watched, beside where the copies were lent next."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from rotation.facts.movements import CopyState
from rotation.store.desk_answers import AnsweredBy

MOST = 200  # rows
_SHADOW = f"a.answered_by = '{AnsweredBy.SHADOW}' AND a.at > CAST(:now AS timestamptz) - make_interval(weeks => :weeks)"


@dataclass(frozen=True, slots=True)
class Watched:
    """Answers at a place for a reason of the desk's rule; of those that differ, where the copies were lent next."""

    place: str
    code: str
    answers: int
    differ: int
    lent_where_desk_says: int
    lent_where_it_went: int
    lent_elsewhere: int
    not_lent: int


_WATCHED = text(f"""
    WITH differing AS (
        SELECT a.place_id, a.code, a.desk_to, a.own_to, (
            SELECT m.place_id FROM movements m WHERE m.copy_id = a.copy_id AND m.state = '{CopyState.ON_LOAN}'
            AND m.occurred_at >= a.at AND m.occurred_at <= :now ORDER BY m.occurred_at LIMIT 1) AS lent_at
        FROM desk_answers a WHERE {_SHADOW} AND a.desk_to <> a.own_to),
    said AS (
        SELECT place_id, code, count(*) AS answers FROM desk_answers a WHERE {_SHADOW} GROUP BY 1, 2)
    SELECT s.place_id, s.code, s.answers, count(d.code), count(*) FILTER (WHERE d.lent_at = d.desk_to),
        count(*) FILTER (WHERE d.lent_at = d.own_to), count(*) FILTER (WHERE d.lent_at NOT IN (d.desk_to, d.own_to)),
        count(*) FILTER (WHERE d.code IS NOT NULL AND d.lent_at IS NULL)
    FROM said s LEFT JOIN differing d USING (place_id, code) GROUP BY 1, 2, 3
    ORDER BY count(d.code) DESC, s.answers DESC, s.place_id, s.code LIMIT {MOST}""")


def watched(connection: Connection, *, weeks: int, now: datetime) -> list[Watched]:
    """Return the answers of the last `weeks`, by place and reason, those that differ most often first."""
    return [Watched(*row) for row in connection.execute(_WATCHED, {"weeks": weeks, "now": now})]
