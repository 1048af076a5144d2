"""A place's role by its name: takes no part, a transfer store, a machine, a bus, a room of a building, a point of its own."""

import re
from enum import StrEnum
from typing import NamedTuple

from rotation.network import PlaceKind, Tier


class PlacePart(StrEnum):
    """How a place takes part in moving books."""

    # A point of service.
    POINT = "point"
    # A shelf or a room of its library's own building.
    ROOM_OF_ITS_LIBRARY = "room_of_its_library"
    # Copies there wait for a van.
    TRANSFER = "transfer"
    # No copy may go there or be taken from there.
    NONE = "none"


class Judged(NamedTuple):
    """A name's meaning, and the word that gives it; an empty word: none does, and the rest is a guess."""

    part: PlacePart
    kind: PlaceKind
    word: str


# The first pattern that a name has counts: what ends its part stands before what it is.
WORDS: tuple[tuple[str, PlacePart, PlaceKind], ...] = (
    (
        r"不通借通还|不参与通借通还|非通借通还|通借不通还|不通还|停止|暂停|停用|[（(]停[）)]|^停[•·・]|闭馆|关闭|撤[销点柜馆]|拆销"
        r"|弃用|禁用|作废|注销|取消|不显示|隐藏|[（(](?:空|重复)[）)]|备用|年备\d|未启用|未建|待开|暂未|[未不]开放|不对外"
        r"|面向[校园]|内部(?:开放|用书|借阅|资料)|suspended|disused|not in use|do not use|staff only",
        PlacePart.NONE,
        PlaceKind.STAFFED,
    ),
    (
        r"[剔踢]除|[剔踢]旧|剔存|报废|下架|屏蔽|拟删除|测试|问题图?书|疑问|[旧转]数据|数据(?:库|导入|导出)|临时导出|待修正|残破|破损|丢失|丢书"
        r"|盘点|赔书|加工|编目|待处理|临时.{0,6}库|临时存放|临存|机动书库|不外借|不可外借|不借阅|不流通|不上架|仅供?阅览|馆内阅览"
        r"|closed|withdrawn",
        PlacePart.NONE,
        PlaceKind.STAFFED,
    ),
    (
        r"物流|中转|周转|调配|调剂|调[拨拔]|调节|配送|分拣|馆际|馆外(?:回流|新书|待分配)|[它他外]馆(?:还|书专架)"
        r"|transfer store|in transit",
        PlacePart.TRANSFER,
        PlaceKind.STORE,
    ),
    (
        r"自助|ATM|24小时|24H|智能书[柜架]|智能图书馆|书柜|网借柜|预约柜|locker|vending|self-service",
        PlacePart.POINT,
        PlaceKind.MACHINE,
    ),
    (
        r"书车|流通车|汽车|流动(?:图书|书库|站|点|分馆)|移动图书馆|bookmobile|mobile library",
        PlacePart.POINT,
        PlaceKind.MOBILE_STOP,
    ),
    (r"小学|中学|学校|幼儿园|大学|学院|school", PlacePart.POINT, PlaceKind.SCHOOL),
    (r"养老|福利院|敬老院|看守所|拘留所|戒毒所|监狱|强戒", PlacePart.POINT, PlaceKind.WELFARE_HOME),
    (r"公司|企业|集团|工业园", PlacePart.POINT, PlaceKind.ENTERPRISE),
    (r"分馆|图书馆|library|branch", PlacePart.POINT, PlaceKind.STAFFED),
    (r"社区|街道|[村镇乡]|书屋|书房|阅读空间|服务点|[站吧]$", PlacePart.POINT, PlaceKind.ROOM),
    (r"密集|书库|保存本|基藏|storage", PlacePart.ROOM_OF_ITS_LIBRARY, PlaceKind.STORE),
    (r"外借|借阅|流通|阅览|文献|图书|新书|还书|还回|[室库厅处区部]$", PlacePart.ROOM_OF_ITS_LIBRARY, PlaceKind.STAFFED),
)
TIERS: tuple[tuple[str, Tier], ...] = (
    (r"总馆|市图书馆|中心馆|central|main|headquarters", Tier.CENTRAL),
    (r"[区县]图书馆|[区县]级|district|regional", Tier.DISTRICT),
    (r"街道|[乡镇]|分馆|subdistrict|branch", Tier.SUBDISTRICT),
    (r"社区|村|书屋|书房|服务点|自助|学校|室|room|point|school", Tier.ROOM),
)


def judged(name: str) -> Judged:
    """Return a place's role and kind by its name."""
    for pattern, part, kind in WORDS:
        if found := re.search(pattern, name.strip(), re.IGNORECASE):
            return Judged(part, kind, found[0])
    return Judged(PlacePart.POINT, PlaceKind.STAFFED, "")


def tier_of(words: str) -> tuple[Tier, str] | None:
    """Return the tier that words name (a column's value, or a place's name), and the word; None where they name none."""
    if words.strip().lower() in set(Tier):
        return Tier(words.strip().lower()), words.strip()
    for pattern, tier in TIERS:
        if found := re.search(pattern, words, re.IGNORECASE):
            return tier, found[0]
    return None
