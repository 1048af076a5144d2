"""Key figures as they were kept, day by day: values, their past, and their parts. Page, files and API read them here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from rotation.night.day_figures import ALL, KEPT_DAYS
from rotation.store.tables import city_counts, daily_figures

LINE_DAYS = 365  # of a figure's line
COMPARED_DAYS = 30  # a figure is compared with a month before


@dataclass(frozen=True, slots=True)
class FigureValue:
    """A figure of a day: of all, or of a part."""

    figure: str
    by: str
    subject: str
    amount: float
    base: float

    @property
    def value(self) -> float:
        """Amount over base."""
        return self.amount / self.base


@dataclass(frozen=True, slots=True)
class DayFigures:
    """The figures of a day."""

    day: date
    values: tuple[FigureValue, ...]

    def of(self, figure: str, by: str = ALL, subject: str = "") -> float | None:
        """Return a figure's value, None where it was not counted."""
        return self._found.get((figure, by, subject))

    @property
    def _found(self) -> Mapping[tuple[str, str, str], float]:
        return {(one.figure, one.by, one.subject): one.value for one in self.values}

    def parts(self, by: str) -> dict[str, dict[str, float]]:
        """Return the parts of a kind: each subject's figures."""
        found: dict[str, dict[str, float]] = {}
        for one in self.values:
            if one.by == by:
                found.setdefault(one.subject, {})[one.figure] = one.value
        return found


def last_day(connection: Connection, until: date | None = None) -> date | None:
    """Return the last day that was counted, `until` a day if that is given."""
    query = select(func.max(daily_figures.c.day))
    found: date | None = connection.scalar(query.where(daily_figures.c.day <= until) if until else query)
    return found


def of_day(connection: Connection, day: date) -> DayFigures:
    """Return the figures of a day, levels left out."""
    columns = [daily_figures.c[name] for name in ("figure", "by", "subject", "amount", "base")]
    query = select(*columns).where(daily_figures.c.day == day, daily_figures.c.figure != "level")
    return DayFigures(day, tuple(FigureValue(*row) for row in connection.execute(query)))


def months(connection: Connection) -> list[date]:
    """Return the first days of the months in which days were counted, the newest first."""
    month = func.date_trunc("month", daily_figures.c.day)
    query = select(month).where(daily_figures.c.by == ALL).group_by(month).order_by(month.desc())
    return [row.date() for row in connection.scalars(query.limit(KEPT_DAYS // 28))]


def lines(connection: Connection, until: date) -> dict[str, list[tuple[date, float]]]:
    """Return each figure's past up to a day, for the whole network."""
    columns = (daily_figures.c.figure, daily_figures.c.day, daily_figures.c.amount / daily_figures.c.base)
    since = until - timedelta(days=LINE_DAYS)
    of_all = (daily_figures.c.by == ALL) & daily_figures.c.day.between(since, until)
    found: dict[str, list[tuple[date, float]]] = {}
    for figure, day, value in connection.execute(select(*columns).where(of_all).order_by(daily_figures.c.day)):
        found.setdefault(figure, []).append((day, value))
    return found


def before(line: Iterable[tuple[date, float]], day: date) -> float | None:
    """Return a line's value a month before a day, or its first since; None without an earlier day."""
    earlier = [(at, value) for at, value in line if at < day]
    month_ago = [value for at, value in earlier if at <= day - timedelta(days=COMPARED_DAYS)]
    return month_ago[-1] if month_ago else (earlier[0][1] if earlier else None)


def level_lines(connection: Connection) -> tuple[list[date], dict[tuple[str, str], dict[date, float]]]:
    """Return the days on which levels were kept, and by place and class those out of balance with how many copies."""
    days = connection.scalars(
        select(daily_figures.c.day)
        .where(daily_figures.c.by == ALL)
        .distinct()
        .order_by(daily_figures.c.day.desc())
        .limit(91)
    ).all()
    if not days:
        return [], {}
    query = select(daily_figures.c.subject, daily_figures.c["class"], daily_figures.c.day, daily_figures.c.amount)
    found: dict[tuple[str, str], dict[date, float]] = {}
    rows = connection.execute(query.where(daily_figures.c.figure == "level", daily_figures.c.day >= days[-1]))
    for place, cls, day, amount in rows:
        found.setdefault((place, cls), {})[day] = amount
    return sorted(days), found


def tell_counts(connection: Connection, rows: Iterable[Mapping[str, Any]], who: str) -> int:
    """Keep the city's counts, in place of earlier counts of the same place and month; return how many rows."""
    told = [{**row, "who": who} for row in rows]
    if told:
        statement = insert(city_counts)
        new = {name: statement.excluded[name] for name in ("visits", "satisfaction", "answers", "who")}
        statement = statement.on_conflict_do_update(
            index_elements=["place_id", "month"], set_={**new, "counted_at": func.now()}
        )
        connection.execute(statement, told)
    return len(told)
