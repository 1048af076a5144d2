"""From the day's log to a library system's facts: CloudEvents with ids that are the same in every run of a seed.

History is half a million events, so their JSON is written directly; the tests hold it to `rotation.facts.events`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta

from city import day as log
from city.model import DAY_S, DrawnCity, midnight
from city.shelving import shelving
from rotation.network import Network

EVENTS_A_MESSAGE = 100  # what lifts one streams worker from thousands to tens of thousands of events a second

ADJECTIVES = (
    "远山",
    "蓝色",
    "无声",
    "第七",
    "流动",
    "最后",
    "白色",
    "童年",
    "南方",
    "深夜",
    "纸上",
    "温柔",
    "时间",
    "失落",
    "明亮",
    "微小",
    "陌生",
    "古老",
    "春天",
    "看不见",
)
NOUNS = (
    "来信",
    "河流",
    "花园",
    "手艺",
    "邻居",
    "地图",
    "星空",
    "厨房",
    "列车",
    "灯塔",
    "风物",
    "旅人",
    "学校",
    "森林",
    "故事",
    "岛屿",
    "茶馆",
    "城门",
    "种子",
    "博物馆",
)
FORMS = (
    "的{}",
    "与{}",
    "里的{}",
    "：{}小史",
    "之{}",
    "和{}们",
    "·{}",
    "的{}（增订）",
    "，{}",
    "下的{}",
    "中的{}",
    "的{}（上）",
    "的{}（下）",
    "的{}（绘本）",
    "：{}随笔",
    "：{}指南",
    "：{}百问",
    "的{}（新编）",
    "：{}图说",
    "的{}（全集）",
)


def title_name(title: int) -> str:
    """Return a name for a title; 8,000 differ."""
    adjective, rest = ADJECTIVES[title % 20], title // 20
    noun, form = NOUNS[rest % 20], FORMS[rest // 20 % 20]
    again = rest // 400
    return adjective + form.format(noun) + (f" {again + 1}" if again else "")


class FactWriter:
    """Writes facts as JSON, numbered from `serial` on; the serial is its only memory."""

    def __init__(self, network: Network, world: DrawnCity, seed: int, start: date) -> None:
        self.network, self.seed, self.start, self.serial = network, seed, start, 0
        self.source = f"city:{network.network.id}"
        self.places = [place.id for place in network.places]
        self._origin = origin = midnight(network, start)
        self._head = f'{{"specversion":"1.0","source":"{self.source}","id":"{seed}-'
        self._owners = [place.owner for place in network.places]
        self._classes = [network.classes[k].id for k in world.cls]
        self._title = world.title.tolist()
        self._clock = [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}{_offset(origin)}" for s in range(DAY_S)]
        self._dates = _Dates(origin)
        self._hold_title: Callable[[int], int] = lambda hold: 0
        self._data: dict[int, Callable[[int, int, int], str]] = dict.fromkeys(range(len(TYPES)), self._copy) | {
            log.ADDED: self._added,
            log.SENT: self._sent,
            log.HELD: self._hold,
            log.EXPIRED: self._hold,
            log.FILLED: self._hold,
        }

    def hold_titles(self, of: Callable[[int], int]) -> None:
        """Record the title of a hold."""
        self._hold_title = of

    def instant(self, at_s: int) -> datetime:
        """Return when the city's clock shows `at_s`."""
        return self._origin + timedelta(seconds=at_s)

    def second(self, instant: datetime) -> int:
        """Return the city's time of day at `instant`."""
        return int((instant - self._origin).total_seconds())

    def next_id(self) -> str:
        """Return the id of the next event."""
        self.serial += 1
        return f"{self.seed}-{self.serial}"

    def events(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return each row of the log as an event's JSON."""
        first, data = self.serial + 1, self._data
        self.serial += len(rows)
        return [
            f'{self._head}{serial}","type":"{TYPES[kind]}","time":"{self._dates[at // DAY_S]}{self._clock[at % DAY_S]}",'
            f'"data":{{{data[kind](copy, place, other)}}}{_SEQUENCE[sequence]}}}'
            for serial, (kind, at, copy, place, other, sequence) in enumerate(rows, first)
        ]

    def _copy(self, copy: int, place: int, other: int) -> str:
        return f'"copy":"{copy_id(copy)}","place":"{self.places[place]}"'

    def _added(self, copy: int, place: int, other: int) -> str:
        title = self._title[copy]
        owner = f',"owner":"{self._owners[place]}"' if self._owners[place] else ""
        return (
            f'"copy":"{copy_id(copy)}","place":"{self.places[place]}","title":"{title_id(title)}",'
            f'"class":"{self._classes[title]}","title_name":"{title_name(title)}"{owner}{self._shelving(place, title)}'
        )

    def _shelving(self, place: int, title: int) -> str:
        found = shelving(self.network.places[place], self._classes[title], title)
        return "".join(f',"{field}":"{word}"' for field, word in found.items())

    def _hold(self, copy: int, place: int, hold: int) -> str:
        which = f',"copy":"{copy_id(copy)}"' if copy >= 0 else ""
        title = title_id(self._hold_title(hold))
        return f'"hold":"{hold_id(self.seed, hold)}","title":"{title}","place":"{self.places[place]}"{which}'

    def _sent(self, copy: int, place: int, to: int) -> str:
        return f'"copy":"{copy_id(copy)}","place":"{self.places[place]}","to":"{self.places[to]}"'


class _Dates(dict[int, str]):
    """The beginning of each day's times."""

    def __init__(self, origin: datetime) -> None:
        self._origin = origin

    def __missing__(self, day: int) -> str:
        self[day] = f"{(self._origin + timedelta(days=day)).date()}T"
        return self[day]


def _offset(origin: datetime) -> str:
    return origin.isoformat()[-6:]


def copy_id(copy: int) -> str:
    """Return a copy's barcode."""
    return f"YZ{copy:07}"


def copy_number(copy: str) -> int:
    """Return the copy that has the barcode."""
    return int(copy[2:])


def title_id(title: int) -> str:
    """Return a title's number in the catalogue."""
    return f"T{title:06}"


def hold_id(seed: int, hold: int) -> str:
    """Return a hold's number; it reveals nothing about the reader."""
    return f"H{seed}-{hold}"


TYPES = (
    "copy.added",
    "copy.loaned",
    "copy.returned",
    "copy.renewed",
    "copy.found",
    "copy.damaged",
    "copy.withdrawn",
    "hold.placed",
    "hold.expired",
    "hold.filled",
    "transfer.sent",
    "transfer.received",
)
_SEQUENCE = ("", *(f',"sequence":{n}' for n in range(1, 10)))


def lanes(events: Iterable[str], count: int) -> list[list[str]]:
    """Distribute events over lists in order, each copy's in the same list: read in parallel, none overtakes its copy's others."""
    found: list[list[str]] = [[] for _ in range(count)]
    for event in events:
        _, _, rest = event.partition(OF_A_COPY)
        found[copy_number(rest[: rest.index('"')]) % count if rest else 0].append(event)
    return found


OF_A_COPY = '"copy":"'


def batches(events: Iterable[str], size: int = EVENTS_A_MESSAGE) -> Iterator[bytes]:
    """Yield messages of `size` events, and the rest."""
    waiting: list[str] = []
    for event in events:
        waiting.append(event)
        if len(waiting) == size:
            yield batch(waiting)
            waiting = []
    if waiting:
        yield batch(waiting)


def batch(events: Sequence[str]) -> bytes:
    """Return events as one CloudEvents batch."""
    return f"[{','.join(events)}]".encode()
