"""Names of places as library systems have them: what takes no part, where copies wait for a van, machines, buses."""

import pytest

from rotation.feeds.place_words import PlacePart, judged
from rotation.network import PlaceKind

NO_PART = [
    "（停）山前服务点",
    "(停)北区外借室",
    "停•城南分馆",
    "南塘分馆（关闭）",
    "东门社区（撤销）",
    "西门社区（拆销）",
    "借书柜（已撤柜）",
    "旧地址（弃用）",
    "禁用地址",
    "服务点[暂停外借]",
    "停止•分馆新书库",
    "分馆(未建)",
    "书吧（暂未开放）",
    "阅览室[暂未服务]",
    "书房（不开放）",
    "期刊区[不通还]",
    "分馆（已取消）",
    "云溪村（重复）",
    "云溪村（空）",
    "地方文献（隐藏）",
    "书库(不显示)",
    "新城分馆备用",
    "24年备3",
    "企业分馆[面向园区]",
    "（内部借阅）资料室",
    "问题图书",
    "剔存库",
    "踢旧库",
    "破损书库",
    "旧数据（待修正）",
    "拟删除地点",
    "荐购临存点",
    "新书临时库",
    "机动书库",
    "书库（不可外借）",
    "内部资料（不流通）",
    "仅供阅览",
    "North branch (suspended)",
]
WAITS = [
    "馆际专架",
    "周转书库",
    "馆外回流书库",
    "馆外新书接收库",
    "它馆还书",
    "他馆还书架",
    "外馆还书",
    "调拔书库",
    "调节书库",
]
MACHINES = ["城东社区（24H）", "网借柜", "预约柜", "智能图书馆", "智能书柜A"]
BUSES = ["流通车B", "AB汽车A", "汽车图书", "流动书库", "移动图书馆", "流动分馆"]
POINTS = ["停车场旁书房", "备战路分馆", "空港分馆", "关山街道分馆", "取水村书屋", "隐湖社区", "不夜城书吧"]


@pytest.mark.parametrize("name", NO_PART)
def test_a_place_that_is_closed_or_lends_nothing_takes_no_part(name: str) -> None:
    assert judged(name).part is PlacePart.NONE


@pytest.mark.parametrize("name", WAITS)
def test_copies_of_others_wait_for_the_van(name: str) -> None:
    assert judged(name).part is PlacePart.TRANSFER


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, PlaceKind.MACHINE) for name in MACHINES),
        *((name, PlaceKind.MOBILE_STOP) for name in BUSES),
        ("市拘留所", PlaceKind.WELFARE_HOME),
        ("戒毒所流通点", PlaceKind.WELFARE_HOME),
    ],
)
def test_machines_buses_and_houses_of_detention_are_what_they_are(name: str, kind: PlaceKind) -> None:
    assert judged(name)[:2] == (PlacePart.POINT, kind)


@pytest.mark.parametrize("name", POINTS)
def test_a_street_or_village_with_such_a_character_takes_part(name: str) -> None:
    assert judged(name).part is PlacePart.POINT
