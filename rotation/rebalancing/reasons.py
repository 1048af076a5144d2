"""Why, as one sentence in Chinese and English: a template a code, filled with the numbers that decided it."""

from collections.abc import Mapping

from rotation.rebalancing.outcome import Code, Reason

ZH, EN = "zh", "en"

# One line a code: (Chinese, English). Names are those of `why.Numbers`; a number that a template lacks is shown as 0.
TEMPLATES: Mapping[Code, tuple[str, str]] = {
    Code.READERS_WAIT: (
        "那里有{waiting:.0f}位读者在等；这里有{copies_here:.0f}册，在架{idle_weeks:.0f}周无人借。",
        "{waiting:.0f} readers wait there; here stand {copies_here:.0f}, this one unlent for {idle_weeks:.0f} weeks.",
    ),
    Code.REQUESTED: (
        "它属于那里申请的一批书。",
        "It belongs to a set that was asked for there.",
    ),
    Code.FLOOR: (
        "那里这类书少于规定的数量；在那里预计借出{value_there:.2f}次，在这里{loss_here:.2f}次。",
        "The shelf there is below its floor; there it brings {value_there:.2f} loans, here {loss_here:.2f}.",
    ),
    Code.FRESH_QUOTA: (
        "那里该有新到的书；在那里预计借出{value_there:.2f}次，在这里{loss_here:.2f}次。",
        "The place is due for fresh copies; there it brings {value_there:.2f} loans, here {loss_here:.2f}.",
    ),
    Code.STALE_HERE: (
        "在这里上架{idle_weeks:.0f}周无人借；在那里预计借出{value_there:.2f}次。",
        "Nobody borrowed it here in {idle_weeks:.0f} weeks on the shelf; there it brings {value_there:.2f} loans.",
    ),
    Code.BORROWED_MORE: (
        "那里预计借出{value_there:.2f}次（已有{copies_there:.0f}册）；这里少了它只少{loss_here:.2f}次，运送折合{cost:.2f}次。",
        "There it brings {value_there:.2f} loans (beside {copies_there:.0f}); here {loss_here:.2f} are lost; way {cost:.2f}.",
    ),
    Code.NEW_STOCK: (
        "新书送到最多人借的地方：在那里预计借出{value_there:.2f}次。",
        "New stock goes where it is borrowed most: {value_there:.2f} loans there.",
    ),
    Code.STAYS: (
        "留在这里：值{value_here:.2f}次借阅，别处扣除运送和架位后都不更多。",
        "It stays: worth {value_here:.2f} loans here, and nowhere more after way and shelf.",
    ),
    Code.GOES_HOME: (
        "回原处：在那里值{value_home:.2f}次借阅，留在这里值{value_here:.2f}次。",
        "It goes home: worth {value_home:.2f} loans there, {value_here:.2f} here.",
    ),
    Code.ITS_VOLUMES: (
        "同一部书的其余各卷在那里，缺这一卷。",
        "The other volumes of its work stand there and lack it.",
    ),
    Code.NO_PRICES: (
        "还没有当夜的价格，按设定处理。",
        "No night's prices are known yet, so it goes where the setting says.",
    ),
    Code.NO_COPY_FREE: (
        "没有可以调出的复本：借出、预约、刚调动过或不外调。",
        "No copy may leave: on loan, reserved, moved lately, or fixed where it is.",
    ),
    Code.NOT_IN_GROUP: (
        "这种书只在它的流通组内流动，那里不在组内。",
        "The title floats within its group only, and the place is not in it.",
    ),
    Code.NO_CONSENT: (
        "复本的所有者没有同意把书放在那里。",
        "The copies' owner has not consented to their standing there.",
    ),
    Code.ALREADY_THERE: (
        "那里已有{copies_there:.0f}册；再多一册只多{value_there:.2f}次借阅，调出处要少{loss_here:.2f}次。",
        "{copies_there:.0f} stand there; one more brings {value_there:.2f} loans, {loss_here:.2f} are lost where it leaves.",
    ),
    Code.NOT_SERVED: (
        "今天没有车去那里，或那里今天不能再收书。",
        "The place is not served today, or can take in no more.",
    ),
    Code.NO_ROOM: (
        "那里的书架没有空位。",
        "There is no room on the shelf there.",
    ),
    Code.WORTH_LESS: (
        "在那里多{value_there:.2f}次借阅，抵不过调出处少的{loss_here:.2f}次和{prices:.2f}的价格。",
        "There it brings {value_there:.2f} loans, less than the {loss_here:.2f} lost where it leaves and prices of {prices:.2f}.",
    ),
    Code.BETTER_ELSEWHERE: (
        "值得去（净值{net:.2f}次借阅），但能调出的复本在别处更有用。",
        "It would be worth it (net {net:.2f} loans), but the copies that may leave are worth more elsewhere.",
    ),
    Code.PLANNED: (
        "已经在今天的计划里：在那里预计借出{value_there:.2f}次。",
        "It is in today's plan: {value_there:.2f} loans there.",
    ),
    Code.UNKNOWN: (
        "不认识这种书或这个地点。",
        "The title or the place is not known.",
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
