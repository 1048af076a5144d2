"""Public holidays of the network's country and the weekdays worked in their place (调休), from the `holidays` library."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

import holidays
from babel.core import get_global

from rotation.network import WEEKDAYS, Network
from rotation.store.network_text import NetworkChange
from rotation.views.upkeep import EXCEPTION

SATURDAY = 5
LANGUAGES = {"zh": "zh_CN", "en": "en_US"}
_DAY_OFF_FOR = re.compile(r"substituted from (\d\d)/(\d\d)/(\d{4})")


class PublicHoliday(NamedTuple):
    """Days off in a row, or (`hours_of`) a day off by the week that is worked as another weekday."""

    first: date
    last: date
    hours_of: str | None
    zh: str
    en: str

    def change(self, places: list[str]) -> NetworkChange:
        """Return the change that makes some places (none: all) keep it."""
        row_id = f"{'workday' if self.hours_of else 'holiday'}-{self.first}"
        optional = {"hours_of": self.hours_of, "places": places}
        values = {"id": row_id, "first": str(self.first), "last": str(self.last), "why": {"zh": self.zh, "en": self.en}}
        return NetworkChange(EXCEPTION, row_id, values | {key: one for key, one in optional.items() if one})


def country_of(network: Network) -> str | None:
    """Return the country of the network's time zone, if its holidays are known."""
    country = get_global("zone_territories").get(network.network.timezone)
    return country if country in holidays.list_supported_countries() else None


def of_year(country: str, year: int) -> list[PublicHoliday]:
    """Return a year's holidays and worked days, in order."""
    known = holidays.country_holidays(country, years=year)
    languages = known.supported_languages
    named = {
        code: holidays.country_holidays(country, years=year, language=name if name in languages else None)
        for code, name in LANGUAGES.items()
    }
    off = sorted(day for day in named["en"] if day.year == year)
    found = [_block(days, named["zh"], named["en"]) for days in _in_a_row(off)]
    worked = [
        PublicHoliday(day, day, WEEKDAYS[weekday], "调休上班", "Worked in place of a day off")
        for day, weekday in sorted(_worked(off, named["en"]))
    ]
    return sorted([*found, *worked])


def _block(days: list[date], zh: holidays.HolidayBase, en: holidays.HolidayBase) -> PublicHoliday:
    feasts = [day for day in days if not _DAY_OFF_FOR.search(en[day])]
    chinese = dict.fromkeys(zh[day].partition("（")[0] for day in feasts)
    english = dict.fromkeys(en[day].partition(" (")[0] for day in feasts)
    return PublicHoliday(days[0], days[-1], None, "、".join(chinese), ", ".join(english))


def _in_a_row(off: list[date]) -> Iterator[list[date]]:
    """Yield days off in a row; weekends between two of them are off too."""
    row: list[date] = []
    for day in off:
        between = [row[-1] + timedelta(days=n) for n in range(1, (day - row[-1]).days)] if row else []
        if row and any(one.weekday() < SATURDAY for one in between):
            yield row
            row = []
        row.append(day)
    if row:
        yield row


def _worked(off: list[date], en: holidays.HolidayBase) -> Iterator[tuple[date, int]]:
    """Yield the days worked and the weekday of the day off that each is worked for."""
    for day in off:
        if found := _DAY_OFF_FOR.search(en[day]):
            month, of_month, year = map(int, found.groups())
            yield date(year, month, of_month), day.weekday()
