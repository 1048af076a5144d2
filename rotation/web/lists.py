"""Alerts, rejections, feeds and decisions: lists with filters."""

from functools import partial

from fastapi import APIRouter, Request, Response

from rotation.web import day, notices
from rotation.web.context import Database, InLanguage, network_now
from rotation.web.language import Language
from rotation.web.render import page, span
from rotation.web.words import N_

router = APIRouter()


@router.get("/alerts", include_in_schema=False)
def alerts(
    request: Request, connection: Database, language: InLanguage, state: str = "open", kind: str = "", place: str = ""
) -> Response:
    """Show open alerts, or closed ones."""
    is_open = state != "closed"
    return page(
        request,
        "alerts.html",
        tab="alerts",
        state="open" if is_open else "closed",
        kind=kind,
        place=place,
        now=network_now(connection),
        found=lambda: notices.alerts_of(connection, is_open=is_open, kind=kind, place=place),
        count=lambda: notices.count_alerts(connection, is_open=is_open, kind=kind, place=place),
        by_kind=lambda: notices.open_alerts_by_kind(connection),
        says=partial(numbers, language),
        span=partial(span, language),
    )


@router.get("/rejections", include_in_schema=False)
def rejections(request: Request, connection: Database, reason: str = "") -> Response:
    """Show events that could not be applied."""
    return page(
        request,
        "rejections.html",
        tab="rejections",
        reason=reason,
        found=lambda: notices.rejections_of(connection, reason=reason),
        by_reason=lambda: notices.rejections_by_reason(connection),
    )


@router.get("/feeds", include_in_schema=False)
def feeds(request: Request, connection: Database, language: InLanguage) -> Response:
    """Show each source's last event and how far it is behind."""
    return page(
        request,
        "feeds.html",
        tab="feeds",
        now=network_now(connection),
        found=lambda: notices.feeds_of(connection),
        counts=lambda: notices.counts_of(connection),
        span=partial(span, language),
    )


@router.get("/decisions", include_in_schema=False)
def decisions(request: Request, connection: Database) -> Response:
    """Show the last decisions of everyone."""
    return page(request, "decisions.html", tab="today", found=lambda: day.all_decisions(connection))


NUMBERS = {
    "shortage": N_("%(level)s on the shelf, %(low)s to %(high)s wanted"),
    "surplus": N_("%(level)s on the shelf, %(low)s to %(high)s wanted"),
    "overdue": N_(
        "Copies in transit for more than %(days)s days: %(count)s; for more than a year: %(count_over_365_days)s"
    ),
    "stale": N_("%(idle)s of %(on_shelf)s copies not borrowed for %(days)s days"),
    "unfair": N_("%(per_1000)s copies per 1,000 residents, the tier's median is %(median_per_1000)s"),
    "silent": N_("no event for %(open_hours)s open hours"),
    "feed": N_("no event for %(open_hours)s open hours"),
}


def numbers(language: Language, alert: notices.Alert) -> str:
    """Return what decided an alert as a sentence; numbers without a sentence show as they are."""
    try:
        return language.say(NUMBERS[alert.kind], **alert.numbers)
    except KeyError:
        return ", ".join(f"{key} {value}" for key, value in alert.numbers.items())
