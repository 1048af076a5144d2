"""The day in ten lines: the things that matter, and nothing else. A line is written only where there is something to say.

The page, and each channel that has an hour for it, get the same lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from rotation.facts.lifecycle import CHANGEABLE_RUNS, SENT_OUT, RunState, StopState, TransferState, listed
from rotation.language import labels
from rotation.language.catalogues import Language
from rotation.language.figures import FIGURES
from rotation.language.labels import N_
from rotation.views import kept_figures

MOST_LINES = 10
TOLD_CHANGE = 0.05  # a figure is worth a line where it moved by a twentieth in a month


@dataclass(frozen=True, slots=True)
class DigestLine:
    """A sentence with its values, and the page that has more of it; `needs` where somebody must act."""

    sentence: str
    values: dict[str, Any]
    address: str
    needs: bool = False

    def said(self, language: Language) -> str:
        """Return it in a language."""
        values = {key: language.say(value) if key.startswith("word_") else value for key, value in self.values.items()}
        return language.say(self.sentence, **values)


def lines(connection: Connection, day: date, now: datetime) -> list[DigestLine]:
    """Return a day's lines, the most pressing first, ten at most."""
    found = [
        *_plan(connection, day),
        *_alerts(connection, now),
        *_yesterday(connection, day),
        *_figures(connection, day),
    ]
    return sorted(found, key=lambda line: not line.needs)[:MOST_LINES]


def subject(language: Language, day: date) -> str:
    """Return the subject of a day's mail."""
    return language.say(N_("Rotation on %(day)s"), day=day.isoformat())


def message(connection: Connection, language: Language, day: date, now: datetime) -> str:
    """Return a day's lines as text; a calm day is a line that says so."""
    found = lines(connection, day, now)
    return "\n".join(f"{'!' if line.needs else '·'} {line.said(language)}" for line in found) or language.say(CALM)


CALM = N_("All is calm: nothing needs anybody today.")


def _plan(connection: Connection, day: date) -> Iterator[DigestLine]:
    row = connection.execute(
        text(
            f"SELECT count(*) FILTER (WHERE status IN ({listed(CHANGEABLE_RUNS)})), count(*) FILTER (WHERE status <>"
            f" '{RunState.EXPIRED}'), coalesce(sum(distance_m), 0) / 1000 FROM runs WHERE day = :day"
        ),
        {"day": day},
    ).one()
    if row[0]:
        yield DigestLine(N_("Runs that wait for approval: %(n)s"), {"n": row[0]}, "/today", needs=True)
    if row[1]:
        moves = connection.scalar(text("SELECT moves FROM plans WHERE day = :day"), {"day": day}) or 0
        planned = N_("Today %(runs)s runs drive %(km)s km, and %(moves)s copies are to move.")
        yield DigestLine(planned, {"runs": row[1], "km": round(row[2]), "moves": moves}, "/today")
    unserved = connection.scalar(
        text("SELECT coalesce(sum(jsonb_array_length(unserved)), 0) FROM day_plans WHERE day = :day"), {"day": day}
    )
    if unserved:
        yield DigestLine(N_("Stops that no van serves today: %(n)s"), {"n": unserved}, "/today", needs=True)


def _alerts(connection: Connection, now: datetime) -> Iterator[DigestLine]:
    opened = text(
        "SELECT kind, count(*), count(*) FILTER (WHERE opened_at > :since) FROM alerts WHERE closed_at IS NULL"
        " GROUP BY 1 ORDER BY 3 DESC, 2 DESC LIMIT 3"
    )
    for kind, count, new in connection.execute(opened, {"since": now - timedelta(days=1)}):
        said = N_("%(word_kind)s: %(n)s open, %(new)s of them new since yesterday")
        values = {"word_kind": labels.ALERTS.get(kind, kind), "n": count, "new": new}
        yield DigestLine(said, values, f"/alerts?kind={kind}", needs=bool(new))


def _yesterday(connection: Connection, day: date) -> Iterator[DigestLine]:
    before = day - timedelta(days=1)
    done, missed = connection.execute(
        text(
            f"SELECT count(*) FILTER (WHERE s.status = '{StopState.DONE}'), count(*) FILTER (WHERE s.status ="
            f" '{StopState.MISSED}') FROM stops s JOIN runs r USING (run_id)"
            f" WHERE r.day = :day AND r.status IN ({listed(SENT_OUT)})"
        ),
        {"day": before},
    ).one()
    if done or missed:
        said = N_("Stops of yesterday: %(served)s served, %(passed)s missed.")
        yield DigestLine(said, {"served": done, "passed": missed}, f"/today?day={before}")
    arrived = connection.scalar(
        text(f"SELECT count(*) FROM transfers WHERE status = '{TransferState.RECEIVED}' AND changed_at::date = :day"),
        {"day": before},
    )
    if arrived:
        yield DigestLine(N_("Copies that arrived yesterday: %(n)s."), {"n": arrived}, f"/today?day={before}")


def _figures(connection: Connection, day: date) -> Iterator[DigestLine]:
    """The figure of the network that moved most in a month, where any moved much."""
    last = kept_figures.last_day(connection, day)
    if last is None:
        return
    changes = []
    for key, line in kept_figures.lines(connection, last).items():
        earlier = kept_figures.before(line, last)
        if key in FIGURES and earlier and abs(line[-1][1] / earlier - 1) >= TOLD_CHANGE:
            changes.append((abs(line[-1][1] / earlier - 1), key, earlier, line[-1][1]))
    for _, key, was, value in sorted(changes, reverse=True)[:2]:
        words = FIGURES[key]
        values = {"word_figure": words.name, "was": round(was * words.times, words.digits)}
        said = N_("%(word_figure)s: %(value)s, a month before %(was)s")
        yield DigestLine(said, values | {"value": round(value * words.times, words.digits)}, f"/figures#figure-{key}")
