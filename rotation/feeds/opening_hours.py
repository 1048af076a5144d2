"""Opening hours as people write them, in Chinese and in English, read into days and times, or named as unread.

Such as: 周一闭馆 周二至周五 14:00-20:00 周六、周日10:00-18:00; 上午8:30-11:30下午1:30-5:00; Mon-Fri 9am-5pm, closed Sunday.
Nothing is guessed in silence: words that change the hours and cannot be read (a season, a notice on the door) leave the whole
unread, and omissions (holidays, brackets) are said in a note.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Beside the seven days: the public holidays.
HOLIDAYS = "holidays"
WEEKEND = ("sat", "sun")
CHINESE = {"一": 0, "二": 1, "三": 2, "四": 3, "五": 4, "六": 5, "日": 6, "天": 6, "末": 5}
ENGLISH = {"mo": 0, "tu": 1, "we": 2, "th": 3, "fr": 4, "sa": 5, "su": 6}
# Words after which no fixed week follows: a season, a notice, another's hours.
NOT_A_WEEK = re.compile(
    r"[夏冬]令|[夏冬春秋][季天]|公告|通知为准|一致|预约|summer|winter|appointment|varies", re.IGNORECASE
)
TO = r"\s*(?:-|至|到|to|until|till|bis)\s*"
CLOCK = r"(\d{1,2})(?::(\d{2}))?\s*(am|pm|a\.m\.|p\.m\.)?"
TOKENS = re.compile(
    rf"""(?P<each>每[日天]|天天|daily|every\s*day)
    |(?P<workdays>工作日|weekdays)
    |(?P<weekend>周末|双休日|weekends?)
    |(?P<holidays>(?:法定|国定)?节?假日|法定节日|public\s*holidays?|holidays?|\bph\b)
    |(?:周|星期|礼拜)(?P<first>[一二三四五六日天])(?:{TO}(?:周|星期|礼拜)?(?P<last>[一二三四五六日天]))?(?P<more>[一二三四五六日]*)
    |\b(?P<from>mo|tu|we|th|fr|sa|su)[a-z]*\.?(?:{TO}(?P<upto>mo|tu|we|th|fr|sa|su)[a-z]*\.?)?
    |(?P<half>上午|早上|早|中午|下午|午后|傍晚|晚上|晚间|晚|夜间)
    |(?P<times>{CLOCK}{TO}{CLOCK})
    |(?P<closed>闭馆|休馆|不开放|休息|关闭|除外|closed|\boff\b)""",
    re.IGNORECASE | re.VERBOSE,
)
AFTERNOON = frozenset({"下午", "午后", "傍晚", "晚上", "晚间", "晚", "夜间"})
NOON, MIDNIGHT = 12, 24

Span = tuple[str, str]


class WrittenHours(NamedTuple):
    """Hours of a week by day (a day that is absent is closed), and the words left out."""

    week: Mapping[str, tuple[Span, ...]]
    notes: tuple[str, ...]

    def as_network(self) -> dict[str, list[str]]:
        """Return the hours as a network file writes them, days with the same hours together."""
        runs: list[tuple[list[str], tuple[Span, ...]]] = []
        for day in DAYS:
            spans = self.week.get(day, ())
            if runs and runs[-1][1] == spans:
                runs[-1][0].append(day)
            else:
                runs.append(([day], spans))
        return {
            "-".join(dict.fromkeys((days[0], days[-1]))): ["-".join(span) for span in spans]
            for days, spans in runs
            if spans
        }


class Group(NamedTuple):
    """Some days with their spans, or closed."""

    days: tuple[str, ...]
    spans: tuple[Span, ...]
    closed: bool


def read(written: str) -> WrittenHours | None:
    """Return the hours of a week, or None where the words do not say them."""
    text = _plain(written)
    if NOT_A_WEEK.search(re.sub(r"(?:特殊情况|另行|时间)\S{0,6}通知", "", text)):
        return None
    text, notes = _without_brackets(text)
    groups = _groups(text)
    if not any(group.spans for group in groups):
        return None
    week: dict[str, list[Span]] = {}
    for group in groups:
        for day in group.days:
            week.setdefault(day, []).extend(span for span in group.spans if span not in week.get(day, ()))
    for day in {day for group in groups if group.closed for day in group.days}:
        week.pop(day, None)
    notes += tuple(_of_holidays(groups))
    if any(not _in_order(spans) for spans in week.values()):
        return None
    return WrittenHours({day: tuple(sorted(spans)) for day, spans in week.items() if day in DAYS and spans}, notes)


def _plain(written: str) -> str:
    """Return the text with one sign for each thing: colon, dash, bracket."""
    text = unicodedata.normalize("NFKC", written)
    text = re.sub(r"[‐-―−~～〜]+", "-", text)
    text = re.sub(r"(?<=\d)[.](?=\d{2}\b)", ":", text)
    text = re.sub(r"(\d)\s*点半", r"\1:30", text)
    text = re.sub(r"(\d)\s*[点时]\s*(\d{1,2})分?", r"\1:\2", text)
    text = re.sub(r"(\d)\s*(?:[点时](?!间)|uhr\b)", r"\1:00", text, flags=re.IGNORECASE)
    text = MILITARY.sub(r"\1:\2-\3:\4", text)
    text = LISTED_RUN.sub(r"\1周\2至周\3", text)
    text = LISTED_DAYS.sub(lambda found: re.sub(r"[、,和及\s]", "", found[0]).replace("天", "日"), text)
    return (
        text
        if re.search(rf"{CLOCK}{TO}{CLOCK}", ALL_DAY.sub("", text), re.IGNORECASE)
        else ALL_DAY.sub("0:00-24:00", text)
    )


# Hours of four digits, on the hour or its quarters: 0900-1730.
MILITARY = re.compile(rf"\b([01]\d|2[0-4])(00|15|30|45){TO}([01]\d|2[0-4])(00|15|30|45)\b")
# Days of which only the first has its word: 周一、三、五.
LISTED_DAYS = re.compile(
    r"(?:周|星期|礼拜)[一二三四五六日天](?:\s*[、,和及]\s*[一二三四五六日天](?![楼层馆号个点时月年一二三四五六日天]))+"
)
LISTED_RUN = re.compile(r"([、,和及])\s*([一二三四五六日天])\s*[至到-]\s*([一二三四五六日天])")
# Where no other hours are named: round the clock.
ALL_DAY = re.compile(r"全天(?:\s*24小时)?|24\s*小时|24/7|24\s*h(?:ou)?rs?\b|\b(?:a)?round the clock", re.IGNORECASE)


def _without_brackets(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the text without its brackets, those that close a day behind it, and the others as notes."""
    notes, behind = list[str](), list[str]()

    def judged(found: re.Match[str]) -> str:
        inside = found[1]
        of_days = re.search(r"周|星期|礼拜|假日|mon|tue|wed|thu|fri|sat|sun|holiday", inside, re.IGNORECASE)
        closes = re.search(r"闭馆|不开放|休|closed", inside) or (of_days and "除外" in inside)
        if not closes or re.search(r"\d", inside):
            notes.append(f"left out: {inside}")
            return " "
        if not of_days:
            return f" {inside} "
        # Its days must not join those before it.
        behind.append(inside)
        return " "

    kept = re.sub(r"[(\[【]([^)\]】]*)[)\]】]", judged, text)
    return " ; ".join([kept, *behind]), tuple(notes)


def _groups(text: str) -> list[Group]:
    reader = Reader()
    for found in TOKENS.finditer(text):
        reader.take(found)
    reader.end_spans()
    return reader.groups


class Reader:
    """Takes the words of hours one after the other, and keeps the groups that are whole."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.days: tuple[str, ...] = ()
        self.spans: tuple[Span, ...] = ()
        self.half, self.closing = "", False

    def take(self, found: re.Match[str]) -> None:
        """Take a word: a time, a half of the day, "closed", or days."""
        if found["times"]:
            self.spans += tuple(filter(None, [_span(found, self.half)]))
        elif found["half"]:
            self.half = found["half"]
        elif found["closed"]:
            self._close()
        else:
            self.end_spans()
            self._name(_days(found))

    def end_spans(self) -> None:
        """Keep the days with their spans, if there are any."""
        if self.spans:
            self.groups.append(Group(self.days or DAYS, self.spans, closed=False))
            self.days, self.spans = (), ()
        self.half = ""

    def _close(self) -> None:
        if self.days and not self.spans:
            self.groups.append(Group(self.days, (), closed=True))
            self.days = ()
        else:
            # "closed Sunday": its days follow.
            self.closing = True

    def _name(self, days: tuple[str, ...]) -> None:
        if self.closing:
            self.groups.append(Group(days, (), closed=True))
            self.closing = False
        else:
            self.days += days


def _days(found: re.Match[str]) -> tuple[str, ...]:
    if found["each"]:
        return DAYS
    if found["workdays"]:
        return DAYS[:5]
    if found["weekend"]:
        return WEEKEND
    if found["holidays"]:
        return (HOLIDAYS,)
    numbers = CHINESE if found["first"] else ENGLISH
    first = (found["first"] or found["from"]).lower()
    last = (found["last"] or found["upto"] or first).lower()
    begin, end = numbers[first], numbers[last]
    named = [*range(begin, end + 1)] if begin <= end else [*range(begin, 7), *range(end + 1)]
    return tuple(DAYS[number] for number in [*named, *(CHINESE[one] for one in found["more"] or "")])


CLOCK_GROUPS = re.compile(rf"{CLOCK}{TO}{CLOCK}", re.IGNORECASE)


def _span(found: re.Match[str], half: str) -> Span | None:
    parts = CLOCK_GROUPS.match(found["times"])
    if parts is None:
        return None
    begin_half = parts[3] or parts[6] if parts[6] and not parts[3] and int(parts[1]) < int(parts[4]) else parts[3]
    begin, end = _hour(parts[1], begin_half, half), _hour(parts[4], parts[6], half)
    if end > MIDNIGHT or begin >= MIDNIGHT or int(parts[2] or 0) > 59 or int(parts[5] or 0) > 59:
        return None
    return f"{begin:02}:{parts[2] or '00'}", f"{end:02}:{parts[5] or '00'}"


def _hour(digits: str, suffix: str | None, half: str) -> int:
    hour, word = int(digits), (suffix or "").replace(".", "").lower()
    if word:
        return hour % NOON + (NOON if word == "pm" else 0)
    return hour + NOON if half in AFTERNOON and hour < NOON else hour


def _in_order(spans: list[Span]) -> bool:
    ordered = sorted(spans)
    inside = all(begin < end for begin, end in ordered)
    return inside and all(one[1] <= following[0] for one, following in pairwise(ordered))


def _of_holidays(groups: list[Group]) -> Iterator[str]:
    for group in groups:
        if HOLIDAYS in group.days:
            yield "closed on public holidays" if group.closed else "public holidays as the days beside them"
            return
