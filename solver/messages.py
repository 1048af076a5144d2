"""The solver's messages, in Chinese and English: codes and numbers in, a sentence out.

The idea: nothing else in `solver` contains a sentence for people. So a page can render the same codes its own way, and a
test can check that every code has both languages.
"""

from typing import Literal

from solver.check import Complaint
from solver.explain import BrokenRule, Explanation, VanTrial, Verdict
from solver.solution import Cause, Violation

Language = Literal["en", "zh"]

BROKEN: dict[Cause, dict[Language, str]] = {
    Cause.UNSERVED: {"en": "{visit} must be served and is not", "zh": "{visit} 必须服务，但未安排"},
    Cause.UNKNOWN: {"en": "{visit} on {van} is not known", "zh": "{van} 上的 {visit} 不在题目中"},
    Cause.TWICE: {"en": "{visit} is visited {amount} time(s) too often", "zh": "{visit} 多安排了 {amount} 次"},
    Cause.VAN_TWICE: {"en": "{van} drives {amount} run(s) too many", "zh": "{van} 多出 {amount} 条路线"},
    Cause.SPLIT: {
        "en": "{visit} on {van} lacks its other half, or comes in the wrong order",
        "zh": "{van} 上的 {visit} 缺少另一半，或先送后取",
    },
    Cause.LONG_ON_BOARD: {
        "en": "what comes to {visit} is {minutes} min too long on board of {van}",
        "zh": "{visit} 的货物在 {van} 上的时间超限 {minutes} 分钟",
    },
    Cause.LOAD: {
        "en": "{van} is {amount} {unit} over its capacity at {visit}",
        "zh": "{van} 在 {visit} 超载 {amount} {unit}",
    },
    Cause.WINDOW: {"en": "{van} is {minutes} min too late at {visit}", "zh": "{van} 到 {visit} 迟到 {minutes} 分钟"},
    Cause.SHIFT: {"en": "{van} ends {minutes} min after its shift", "zh": "{van} 超出班次 {minutes} 分钟"},
    Cause.START: {
        "en": "{van} begins {minutes} min after its latest start",
        "zh": "{van} 比最晚出发时间晚 {minutes} 分钟",
    },
    Cause.DURATION: {"en": "{van} is out {minutes} min too long", "zh": "{van} 出车时间超限 {minutes} 分钟"},
    Cause.DISTANCE: {"en": "{van} drives {km} km too far", "zh": "{van} 行驶超限 {km} 公里"},
    Cause.VISITS: {"en": "{van} makes {amount} visit(s) too many", "zh": "{van} 超出停靠次数上限 {amount} 次"},
    Cause.LEG_DISTANCE: {
        "en": "{van} drives {km} km too far in one go to {visit}",
        "zh": "{van} 到 {visit} 的单程距离超限 {km} 公里",
    },
    Cause.LEG_TIME: {
        "en": "{van} drives {minutes} min too long in one go to {visit}",
        "zh": "{van} 到 {visit} 的单程时间超限 {minutes} 分钟",
    },
    Cause.WAIT: {"en": "{van} waits {minutes} min too long", "zh": "{van} 等候时间超限 {minutes} 分钟"},
    Cause.SKILL: {"en": "{van} lacks a skill that {visit} needs", "zh": "{van} 不具备 {visit} 所需技能"},
    Cause.SIZE: {"en": "{van} is too large for the yard of {visit}", "zh": "{van} 车身过大，进不了 {visit}"},
    Cause.ZONE: {"en": "{van} may not enter the zone of {visit} today", "zh": "{visit} 所在区域今日对 {van} 限行"},
    Cause.VAN: {
        "en": "{visit} may only be served by other vans than {van}",
        "zh": "{visit} 只能由其他车辆服务，不能用 {van}",
    },
    Cause.DEPOT: {
        "en": "{van} does not touch the depot of {visit} on that trip",
        "zh": "{van} 该趟不经过 {visit} 所属的仓点",
    },
    Cause.READY: {"en": "the crates of {visit} are not on {van}", "zh": "{visit} 的书箱不在 {van} 上"},
    Cause.ON_BOARD: {
        "en": "the crates of {visit} are on another van than {van}",
        "zh": "{visit} 的书箱在别的车上，不在 {van}",
    },
    Cause.CUTOFF: {
        "en": "{van} brings its crates to {visit} {minutes} min after they are due",
        "zh": "{van} 送回 {visit} 的书箱晚于截止时间 {minutes} 分钟",
    },
    Cause.RELOAD: {"en": "{van} may not load again at {visit}", "zh": "{van} 不能在 {visit} 再次装车"},
    Cause.BREAK: {
        "en": "{amount} break(s) of {van} missing",
        "zh": "{van} 缺少 {amount} 次休息",
    },
    Cause.BREAK_LATE: {
        "en": "{visit} on {van} begins {minutes} min too late",
        "zh": "{van} 的 {visit} 晚了 {minutes} 分钟",
    },
    Cause.DOCKS: {
        "en": "{amount} van(s) more than docks at {visit}",
        "zh": "{visit} 同时停靠的车辆比装卸位多 {amount} 辆",
    },
    Cause.LOCK_VAN: {"en": "{visit} is locked to another van than {van}", "zh": "{visit} 已锁定在其他车上，不是 {van}"},
    Cause.LOCK_ORDER: {
        "en": "{visit} on {van} is out of its locked order",
        "zh": "{van} 上的 {visit} 不符合锁定的顺序",
    },
    Cause.APART: {
        "en": "{visit} must not be on a run with other work of {van}",
        "zh": "{visit} 不能与 {van} 的其他任务同趟",
    },
    Cause.EXECUTED: {
        "en": "{van}: {amount} visit(s) already made do not stand at the beginning",
        "zh": "{van} 有 {amount} 个已完成的停靠不在路线开头",
    },
}

# Other dimensions go by the names that people use.
UNITS: dict[str, dict[Language, str]] = {"crates": {"en": "crates", "zh": "箱"}}

NO_SUCH_VAN: dict[Language, str] = {"en": "there is no van {van}", "zh": "没有车辆 {van}"}

VERDICTS: dict[Verdict, dict[Language, str]] = {
    Verdict.IMPOSSIBLE: {"en": "{id}: no van ever can. {why}", "zh": "{id}：任何车辆都无法服务。{why}"},
    Verdict.NO_ROOM: {
        "en": "{id}: no van can beside its other work. Nearest, {why}",
        "zh": "{id}：各车在现有任务之外都排不下。最接近的情况：{why}",
    },
    Verdict.COSTS_MORE: {
        "en": "{id}: left out for cost. {van} could serve it {place} for {cost} more; it is worth {prize}",
        "zh": "{id}：因成本未安排。{van} 可在{place}服务，需多花 {cost}，而其价值为 {prize}",
    },
    Verdict.WORTH_IT: {
        "en": "{id}: could be served. {van} fits it in {place} for {cost} more ({minutes} min, {km} km)",
        "zh": "{id}：可以安排。{van} 可在{place}服务，多花 {cost}（{minutes} 分钟，{km} 公里）",
    },
}

PLACES: dict[str, dict[Language, str]] = {
    "first": {"en": "at the beginning", "zh": "开头"},
    "after": {"en": "after {visit}", "zh": " {visit} 之后"},
}

COMPLAINTS: dict[str, dict[Language, str]] = {
    "missing": {"en": "is missing", "zh": "缺少此项"},
    "misspelt": {"en": "is no field of this format; {field} is: meant?", "zh": "格式中没有此项；是否应为 {field}？"},
    "key_twice": {
        "en": "each key once expected; it stands on line {line} already",
        "zh": "每个键只能出现一次，第 {line} 行已有",
    },
    "boolean": {"en": "a number expected, not true or false", "zh": "应为数字，不能是 true 或 false"},
    "unix_time": {
        "en": "seconds from midnight of the day served expected; this looks like a Unix time",
        "zh": "应为服务当日零点起的秒数；此值像是 Unix 时间",
    },
    "extra_forbidden": {"en": "is no field of this format", "zh": "格式中没有此项"},
    "too_short": {"en": "at least {min_length} needed", "zh": "至少需要 {min_length} 项"},
    "too_long": {"en": "at most {max_length} allowed", "zh": "最多 {max_length} 项"},
    "greater_than_equal": {"en": "at least {ge} expected", "zh": "应不小于 {ge}"},
    "greater_than": {"en": "more than {gt} expected", "zh": "应大于 {gt}"},
    "less_than_equal": {"en": "at most {le} expected", "zh": "应不大于 {le}"},
    "int_type": {"en": "a whole number expected", "zh": "应为整数"},
    "int_parsing": {"en": "a whole number expected", "zh": "应为整数"},
    "int_from_float": {"en": "a whole number expected", "zh": "应为整数"},
    "finite_number": {"en": "a finite number expected", "zh": "应为有限数"},
    "float_type": {"en": "a number expected", "zh": "应为数字"},
    "float_parsing": {"en": "a number expected", "zh": "应为数字"},
    "string_type": {"en": "a text expected", "zh": "应为文字"},
    "string_too_short": {"en": "a text expected, not an empty one", "zh": "文字不能为空"},
    "list_type": {"en": "a list expected", "zh": "应为列表"},
    "model_type": {"en": "an object with fields expected", "zh": "应为带字段的对象"},
    "literal_error": {"en": "one of {expected} expected", "zh": "应为 {expected} 之一"},
    "amount": {"en": "{at}a whole number from 0 to 1000000000 expected", "zh": "{at}应为 0 到 1000000000 的整数"},
    "clock": {"en": 'a time of day such as "08:30" expected, or seconds', "zh": '应为 "08:30" 这样的时刻，或秒数'},
    "window_ends": {
        "en": 'two times expected, such as "08:30-12:00" or [30600, 43200]',
        "zh": '应为起止两个时刻，如 "08:30-12:00" 或 [30600, 43200]',
    },
    "window_backward": {"en": "a window must not end before it begins", "zh": "时间窗的结束不能早于开始"},
    "matrix_shape": {"en": "rows of numbers expected, all of one length", "zh": "应为等长的数字行，不能有空格"},
    "matrix_cell": {
        "en": "whole numbers from 0 expected; row {row}, column {column} is {found} ({count} bad in all)",
        "zh": "应为不小于 0 的整数；第 {row} 行第 {column} 列为 {found}（共 {count} 处错误）",
    },
    "too_many_stops": {
        "en": "at most {limit} unless max_stops allows more",
        "zh": "最多 {limit} 个，除非用 max_stops 放宽",
    },
    "id_twice": {"en": "an id of its own expected; it stands {count} times", "zh": "编号应唯一，却出现 {count} 次"},
    "id_prefix": {"en": "an id must not look like another kind of visit", "zh": "编号不能与其他类型的停靠写法相同"},
    "unknown_depots": {"en": "no depot {id}", "zh": "没有仓点 {id}"},
    "unknown_vans": {"en": "no van {id}", "zh": "没有车辆 {id}"},
    "unknown_stops": {"en": "no stop {id}", "zh": "没有停靠点 {id}"},
    "unknown_shipments": {"en": "no shipment {id}", "zh": "没有直送件 {id}"},
    "unknown_zones": {"en": "no zone {id}", "zh": "没有限行区 {id}"},
    "unknown_energies": {"en": "no kind of energy {id}", "zh": "没有能源类型 {id}"},
    "unknown_work": {"en": "no stop or shipment {id}", "zh": "没有停靠点或直送件 {id}"},
    "apart_twice": {
        "en": "in one of the groups expected; it stands in {count}",
        "zh": "只能属于其中一组，却出现 {count} 次",
    },
    "unknown_kinds": {"en": "no ways of a kind of vehicle {id}", "zh": "没有车型 {id} 的行程"},
    "unknown_visit": {"en": "no such visit", "zh": "没有这个停靠"},
    "start_needed": {"en": "a depot to start from expected, as there are several", "zh": "有多个仓点，须写明出发仓点"},
    "unknown_dimension": {"en": "{id} is none of the dimensions", "zh": "{id} 不在容量维度中"},
    "capacity_zero": {"en": "room for at least one unit expected", "zh": "容量至少为 1"},
    "place_unknown": {
        "en": "where is {id}? Neither matrix nor coordinates say",
        "zh": "不知 {id} 在何处：矩阵与坐标都没有",
    },
    "half_coordinates": {"en": "both lat and lon expected, or neither", "zh": "经纬度须同时给出"},
    "place_twice": {"en": "one place has one pair of coordinates", "zh": "同一地点只能有一组坐标"},
    "matrix_size": {"en": "{side} rows of {side} expected", "zh": "应为 {side} 行 {side} 列"},
    "window_outside_shifts": {"en": "no van is at work in any of its windows", "zh": "其时间窗内没有任何车辆在班"},
    "van_never_leaves": {
        "en": "{id} can never leave: its depot is not open within its shift, by its latest start, with time to load and unload",
        "zh": "{id} 无法出车：班次内、最晚出发之前，仓点没有足够的开放时间供装卸",
    },
    "weekday_needed": {"en": "the weekday is needed, as a zone bars by weekday", "zh": "限行按星期规定，须写明星期"},
    "slot_order": {"en": "slots must follow one another without overlap", "zh": "时段须依次排列，不能重叠"},
    "lock_conflict": {"en": "contradicts another lock or the stop's vans", "zh": "与其他锁定或该点的指定车辆矛盾"},
    "done_order": {
        "en": "arrival, beginning, leaving in order expected, by now",
        "zh": "到达、开始、离开须依次且不晚于现在",
    },
    "started_late": {"en": "a run begins before now", "zh": "出发须早于现在"},
    "json": {"en": "JSON expected: {reason}", "zh": "应为 JSON：{reason}"},
    "format": {"en": "{reason} expected", "zh": "文件格式不符，应为 {reason}"},
    "not_read": {
        "en": "this part is not read, and a plan without it would be wrong",
        "zh": "不读取此项，略过则计划有误",
    },
    "memory": {"en": "no more than fits into memory expected: {reason}", "zh": "超出本机内存：{reason}"},
    "unreadable": {"en": "a readable file expected: {reason}", "zh": "文件无法读取：{reason}"},
}


def say_violation(violation: Violation, language: Language = "en") -> str:
    """Return a violation as a sentence."""
    unknown_van = violation.cause == Cause.UNKNOWN and violation.unit == "vans"
    return (NO_SUCH_VAN if unknown_van else BROKEN[violation.cause])[language].format(
        van=violation.van or "",
        visit=violation.visit or "",
        **_numbers(violation.amount, UNITS.get(violation.unit, {}).get(language, violation.unit)),
    )


def say_complaint(complaint: Complaint, language: Language = "en") -> str:
    """Return a mistake in a problem file as a sentence: the place, the content, the expectation."""
    template = COMPLAINTS.get(complaint.code)
    expected = template[language].format(**complaint.numbers) if template else complaint.expected
    if language == "zh":
        named = f"（{complaint.id}）" if complaint.id else ""
        return f"{complaint.at or '文件'}{named}：{expected}（现为 {complaint.given}）"
    named = f" of {complaint.id}" if complaint.id else ""
    return f"{complaint.at or 'file'}{named}: {expected} (got {complaint.given})"


def say_explanation(explanation: Explanation, language: Language = "en") -> str:
    """Return as a sentence why something is not served."""
    best = explanation.best
    return VERDICTS[explanation.verdict][language].format(
        id=explanation.id,
        why=_why(best, language),
        van=best.van,
        place=_place(explanation.id, best, language),
        cost=_money(best.extra_cents),
        prize=_money(explanation.prize_cents or 0),
        minutes=_round(best.extra_s, 60),
        km=_round(best.extra_m, 1000),
    )


def _why(finding: VanTrial, language: Language) -> str:
    blocks = [_say_block(finding.van, block, language) for block in finding.never or finding.blocks]
    return ("；" if language == "zh" else "; ").join(blocks)


def _say_block(van: str, block: BrokenRule, language: Language) -> str:
    return say_violation(Violation(block.cause, block.amount, block.unit, van, block.at), language)


def _place(name: str, finding: VanTrial, language: Language) -> str:
    visits = finding.run.visits if finding.run else []
    mine = [at for at, visit in enumerate(visits) if visit in (name, f"collect:{name}", f"deliver:{name}")]
    if not mine or mine[0] == 0:
        return PLACES["first"][language]
    return PLACES["after"][language].format(visit=visits[mine[0] - 1])


def _numbers(amount: int, unit: str) -> dict[str, str]:
    return {"amount": str(amount), "unit": unit, "minutes": _round(amount, 60), "km": _round(amount, 1000)}


def _round(number: int, unit: int) -> str:
    """A decimal below ten, none above; never 0 for something."""
    value = number / unit
    return f"{value:.0f}" if abs(value) >= 10 or number == 0 else f"{max(value, 0.1) if value > 0 else value:.1f}"


def _money(cents: int) -> str:
    return f"{cents / 100:.2f}"
