"""Why a copy moves, and why something is not served: a sentence from a code and the numbers that decided it.

The night's and the desk's reasons have their sentences with all their numbers in `rotation.rebalancing.reasons`; where a reason
has fewer numbers (a hold at the desk has no prices), the short sentence here says it without.
"""

from collections.abc import Mapping
from datetime import date
from string import Formatter
from typing import Any

from babel.dates import format_date

from rotation.language.catalogues import CHINESE, ENGLISH, Language
from rotation.language.labels import N_
from rotation.rebalancing import reasons
from rotation.rebalancing.outcome import Reason, ReasonCode
from solver.explain import Verdict
from solver.solution import Cause

SHORT: Mapping[str, str] = {
    "readers_wait": N_("A reader waits for it there."),
    "requested": N_("It belongs to a requested set."),
    "floor": N_("The shelf there is below what the city promises."),
    "fresh_quota": N_("The room there is due for fresh copies."),
    "stale_here": N_("Nobody has borrowed it here for a long time."),
    "borrowed_more": N_("It is borrowed more there."),
    "new_stock": N_("New stock is sent where it is borrowed most."),
    "stays": N_("It stays: no other place is worth the trip."),
    "goes_home": N_("It goes home."),
    "its_volumes": N_("The other volumes of its work are there without it."),
    "no_prices": N_("No night's prices are known yet, so it goes where the setting says."),
    "redirected": N_("A reader asked for it while it travelled; the hub sends it on there."),
    "rule_home": N_("A rule keeps it at home: it does not float."),
    "rule_at_most": N_("A rule says: at most so many of a title at a place."),
    "overruled": N_("Staff decided so at the desk."),
    "system": N_("A shipment of the library system's own: a hold, or a return home."),
    # why something is not served: rotation.courier
    "no_van": N_("No run serves it that day; its crates wait for the next."),
    "closed": N_("The place is closed, or open only when no van can come."),
    "not_announced": N_("Its next visit is not announced yet: the waiting copies are not worth the trip."),
    "after_cutoff": N_("It comes after the hub has sorted, and leaves a day later."),
    "no_coordinates": N_("The place has no coordinates, so that no van can be sent there."),
    "no_hub": N_("No hub serves the place."),
    "unknown_place": N_("The place is not in the network file."),
    "already_there": N_("It is there already."),
}
NEXT = N_("Next possible day: %(day)s.")
DAY = {ENGLISH: "EEEE d MMMM", CHINESE: "M月d日EEEE"}
VERDICTS: Mapping[str, str] = {
    Verdict.IMPOSSIBLE: N_("No van ever can:"),
    Verdict.NO_ROOM: N_("No van can beside its other work:"),
    Verdict.COSTS_MORE: N_("Serving it costs more than it is worth that day."),
    Verdict.WORTH_IT: N_("It fits and could still be served."),
}
BLOCKS: Mapping[str, str] = {
    Cause.UNSERVED: N_("must be served and is not"),
    Cause.UNKNOWN: N_("not known"),
    Cause.TWICE: N_("planned twice"),
    Cause.VAN_TWICE: N_("the van drives twice"),
    Cause.SPLIT: N_("lacks its other half"),
    Cause.LONG_ON_BOARD: N_("%(minutes)s min too long on board"),
    Cause.LOAD: N_("%(amount)s %(unit)s over the van's capacity"),
    Cause.WINDOW: N_("%(minutes)s min too late for its receiving hours"),
    Cause.SHIFT: N_("%(minutes)s min after the end of the shift"),
    Cause.START: N_("%(minutes)s min after the latest start"),
    Cause.DURATION: N_("%(minutes)s min too long for the van"),
    Cause.DISTANCE: N_("%(km)s km too far for the van"),
    Cause.VISITS: N_("%(amount)s visits too many for the van"),
    Cause.LEG_DISTANCE: N_("%(km)s km too far in one go for the van"),
    Cause.LEG_TIME: N_("%(minutes)s min too long in one go for the van"),
    Cause.WAIT: N_("%(minutes)s min more waiting than the van may"),
    Cause.SKILL: N_("the van lacks a skill"),
    Cause.SIZE: N_("the van is too large for the yard"),
    Cause.ZONE: N_("vans are barred from the zone that day"),
    Cause.VAN: N_("only other vans may"),
    Cause.DEPOT: N_("its crates are at another hub"),
    Cause.READY: N_("its crates are not on the van"),
    Cause.ON_BOARD: N_("its crates are on another van"),
    Cause.CUTOFF: N_("%(minutes)s min after the hub has sorted"),
    Cause.RELOAD: N_("no further loading"),
    Cause.BREAK: N_("the driver's break is missing"),
    Cause.BREAK_LATE: N_("the driver's break is %(minutes)s min late"),
    Cause.DOCKS: N_("no dock is free"),
    Cause.LOCK_VAN: N_("locked to another van"),
    Cause.LOCK_ORDER: N_("the locked order would break"),
    Cause.APART: N_("must not be on a run with other work of the van"),
    Cause.EXECUTED: N_("what was done already stands otherwise"),
}

NUMBERS: Mapping[str, set[str]] = {  # that a reason's full sentence asks for
    str(code): {name for _, name, _, _ in Formatter().parse(english) if name}
    for code, (_, english) in reasons.TEMPLATES.items()
}


def sentence(reason: Mapping[str, Any], language: Language) -> str:
    """Return the reason as a sentence, with the next possible day if the reason has it; an unknown code shows as itself."""
    said = _said(reason, language)
    if not reason.get("next_day"):
        return said
    day = format_date(date.fromisoformat(reason["next_day"]), DAY[language.code], locale=language.locale)
    return said + (" " if language.code == ENGLISH else "") + language.say(NEXT, day=day)


def _said(reason: Mapping[str, Any], language: Language) -> str:
    code = str(reason.get("code", ""))
    if code in NUMBERS and NUMBERS[code] <= set(reason):
        numbers = {name: float(reason[name]) for name in {*NUMBERS[code], "volumes"} & set(reason)}
        return reasons.sentence(Reason(ReasonCode(code), numbers), language.code)
    return language.say(SHORT[code]) if code in SHORT else code


WORTH = N_(
    "It brings %(gain).2f expected loans, in eight of ten cases %(low).2f to %(high).2f. For it the day's next move was left "
    "out, worth %(price).2f at most, and on the shelf there a copy worth %(room).2f."
)


def worth(reason: Mapping[str, Any], gain_loans: float | None, language: Language) -> str:
    """Return a move's gain with its interval and the moves it displaced; empty if the night kept none."""
    if gain_loans is None or not {"gain_low", "gain_high", "price", "room_price"} <= reason.keys():
        return ""
    ends = {"low": reason["gain_low"], "high": reason["gain_high"]}
    return language.say(WORTH, gain=gain_loans, price=reason["price"], room=reason["room_price"], **ends)


def obstacle(why: Mapping[str, Any], language: Language) -> str:
    """Return the finding of `solver.explain`: the verdict, and the obstacles of the van that comes nearest."""
    verdict = language.say(VERDICTS[why["verdict"]]) if why.get("verdict") in VERDICTS else ""
    blocks = [_block(block, language) for block in why.get("blocks", ())]
    if not blocks:
        return verdict.rstrip(":：")
    comma, end = ("；", "。") if language.code == "zh" else ("; ", ".")
    return f"{verdict} {why.get('van') or ''} {comma.join(blocks)}{end}".strip()


def _block(block: Mapping[str, Any], language: Language) -> str:
    amount = block.get("amount") or 0
    numbers = {
        "amount": amount,
        "unit": block.get("unit", ""),
        "minutes": -(-amount // 60),
        "km": round(amount / 1000, 1),
    }
    cause = str(block.get("cause", ""))
    return language.say(BLOCKS[cause], **numbers) if cause in BLOCKS else cause
