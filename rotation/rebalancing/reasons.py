"""Reasons as one sentence in Chinese and English: a template for each code, filled with the numbers that decided."""

from collections.abc import Mapping

from rotation.rebalancing.outcome import Reason, ReasonCode

ZH, EN = "zh", "en"

# One entry for each code: (Chinese, English). Names are those of `why.Numbers`; a missing number is shown as 0.
TEMPLATES: Mapping[ReasonCode, tuple[str, str]] = {
    ReasonCode.READERS_WAIT: (
        "那里有{waiting:.0f}位读者在等；这里有{copies_here:.0f}册，在架{idle_weeks:.0f}周无人借。",
        "Readers waiting there: {waiting:.0f}. Copies here: {copies_here:.0f}, this one without a loan for "
        "{idle_weeks:.0f} weeks.",
    ),
    ReasonCode.REQUESTED: (
        "它属于那里申请的一批书。",
        "It belongs to a set that was requested there.",
    ),
    ReasonCode.FLOOR: (
        "那里这类书少于规定的数量；在那里预计借出{value_there:.2f}次，在这里{loss_here:.2f}次。",
        "The shelf there is below its floor; the copy brings {value_there:.2f} loans there, {loss_here:.2f} here.",
    ),
    ReasonCode.FRESH_QUOTA: (
        "那里该有新到的书；在那里预计借出{value_there:.2f}次，在这里{loss_here:.2f}次。",
        "The place is due for fresh copies; the copy brings {value_there:.2f} loans there, {loss_here:.2f} here.",
    ),
    ReasonCode.STALE_HERE: (
        "在这里上架{idle_weeks:.0f}周无人借；在那里预计借出{value_there:.2f}次。",
        "Nobody borrowed it here in {idle_weeks:.0f} weeks on the shelf; it brings {value_there:.2f} loans there.",
    ),
    ReasonCode.BORROWED_MORE: (
        "那里预计借出{value_there:.2f}次（已有{copies_there:.0f}册）；这里少了它只少{loss_here:.2f}次，运送折合{cost:.2f}次。",
        "It brings {value_there:.2f} loans there (copies there already: {copies_there:.0f}); removing it "
        "here costs {loss_here:.2f}; transport costs {cost:.2f}.",
    ),
    ReasonCode.NEW_STOCK: (
        "新书送到最多人借的地方：在那里预计借出{value_there:.2f}次。",
        "New stock goes where it is borrowed most: {value_there:.2f} loans there.",
    ),
    ReasonCode.STAYS: (
        "留在这里：值{value_here:.2f}次借阅，别处扣除运送和架位后都不更多。",
        "It stays: worth {value_here:.2f} loans here, and no more elsewhere after transport and shelf.",
    ),
    ReasonCode.GOES_HOME: (
        "回原处：在那里值{value_home:.2f}次借阅，留在这里值{value_here:.2f}次。",
        "It goes home: worth {value_home:.2f} loans there, {value_here:.2f} here.",
    ),
    ReasonCode.ITS_VOLUMES: (
        "同一部书的其余各卷在那里，缺这一卷。",
        "The other volumes of its work stand there without it.",
    ),
    ReasonCode.NO_PRICES: (
        "还没有当夜的价格，按设定处理。",
        "There are no night's prices yet, so the setting decides.",
    ),
    ReasonCode.NO_COPY_FREE: (
        "没有可以调出的复本：借出、预约、刚调动过或不外调。",
        "No copy may leave: all are on loan, reserved, moved lately, or fixed in place.",
    ),
    ReasonCode.NOT_IN_GROUP: (
        "这种书只在它的流通组内流动，那里不在组内。",
        "The title moves only within its float group, and the place is not in it.",
    ),
    ReasonCode.NO_CONSENT: (
        "复本的所有者没有同意把书放在那里。",
        "The owner of the copies has not agreed to that place.",
    ),
    ReasonCode.ALREADY_THERE: (
        "那里已有{copies_there:.0f}册；再多一册只多{value_there:.2f}次借阅，调出处要少{loss_here:.2f}次。",
        "Copies there already: {copies_there:.0f}. Another brings {value_there:.2f} loans, and "
        "{loss_here:.2f} are lost where it leaves.",
    ),
    ReasonCode.NOT_SERVED: (
        "今天没有车去那里，或那里今天不能再收书。",
        "The place is not served today, or cannot receive more.",
    ),
    ReasonCode.NO_ROOM: (
        "那里的书架没有空位。",
        "There is no room on the shelf there.",
    ),
    ReasonCode.WORTH_LESS: (
        "在那里多{value_there:.2f}次借阅，抵不过调出处少的{loss_here:.2f}次和{prices:.2f}的价格。",
        "It brings {value_there:.2f} loans there, less than the {loss_here:.2f} lost where it "
        "leaves plus prices of {prices:.2f}.",
    ),
    ReasonCode.BETTER_ELSEWHERE: (
        "值得去（净值{net:.2f}次借阅），但能调出的复本在别处更有用。",
        "It would pay (net {net:.2f} loans), but the copies that may leave are worth more elsewhere.",
    ),
    ReasonCode.PLANNED: (
        "已经在今天的计划里：在那里预计借出{value_there:.2f}次。",
        "It is in today's plan: it brings {value_there:.2f} loans there.",
    ),
    ReasonCode.UNKNOWN: (
        "不认识这种书或这个地点。",
        "The title or the place is unknown.",
    ),
}
TOGETHER = ("全套{volumes:.0f}卷一起走。", " The {volumes:.0f} volumes of its set go together.")


class _Numbers(dict[str, float]):
    def __missing__(self, key: str) -> float:
        return 0.0


def sentence(reason: Reason, language: str = ZH) -> str:
    """Return the reason as one sentence in "zh" or "en"."""
    zh, en = TEMPLATES[reason.code]
    if reason.numbers.get("volumes"):
        zh, en = zh + TOGETHER[0], en + TOGETHER[1]
    return (zh if language == ZH else en).format_map(_Numbers(reason.numbers))
