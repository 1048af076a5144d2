"""Alerts, rejections, feeds and decisions: lists with filters."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from sqlalchemy import Connection, select

from rotation.accounts.permissions import DECIDES
from rotation.alerts import handling
from rotation.alerts.handling import AlertHandling, handling_of
from rotation.facts.lifecycle import AlertStep
from rotation.language.labels import N_
from rotation.language.natural import natural
from rotation.network import Network
from rotation.store.tables import alerts as alerts_table
from rotation.store.tables import users
from rotation.views import day, notices, unplaced
from rotation.views.alert_messages import numbers
from rotation.web.context import CalledBy, Context, Database, InLanguage, network_now
from rotation.web.flash import back, came_from
from rotation.web.render import local, page, span
from rotation.web.spreadsheets import rows_shown

router = APIRouter()


@dataclass
class AlertGroup:
    """Alerts of a kind in a hub's area: a single line, since they mostly share a cause."""

    kind: str
    area: str
    alerts: list[notices.Alert]

    @property
    def oldest(self) -> datetime:
        """When the first of them opened."""
        return min(alert.opened_at for alert in self.alerts)


@dataclass
class Alerts:
    """The page: open alerts in groups, those out of sight, or closed ones."""

    connection: Connection
    network: Network
    now: datetime
    state: str
    kind: str = ""
    place: str = ""
    most: int = notices.ROWS

    @cached_property
    def found(self) -> list[notices.Alert]:
        """The alerts that are asked for, the newest first."""
        known = notices.alerts_of(
            self.connection, is_open=self.state != CLOSED, kind=self.kind, place=self.place, limit=None
        )
        return known[: self.most] if self.state == CLOSED else [one for one in known if self._is_shown(one)]

    def _is_shown(self, alert: notices.Alert) -> bool:
        return (self.handling(alert).snoozed_until(self.now) is not None) == (self.state == AlertStep.SNOOZED)

    @cached_property
    def _handled(self) -> Mapping[int, AlertHandling]:
        open_ids = select(alerts_table.c.alert_id).where(alerts_table.c.closed_at.is_(None))
        return handling_of(self.connection, self.connection.scalars(open_ids).all())

    def handling(self, alert: notices.Alert) -> AlertHandling:
        """Return an alert's handling."""
        return self._handled.get(alert.alert_id) or AlertHandling()

    @cached_property
    def groups(self) -> list[AlertGroup]:
        """The alerts by kind and hub, the largest groups first."""
        by_cause: dict[tuple[str, str], list[notices.Alert]] = defaultdict(list)
        for alert in self.found:
            known = alert.place_id in self.network.place
            by_cause[alert.kind, (self.network.hub_of(alert.place_id) or "") if known else ""].append(alert)
        groups = (AlertGroup(kind, area, alerts) for (kind, area), alerts in by_cause.items())
        return sorted(groups, key=lambda group: (-len(group.alerts), group.kind, natural(group.area)))

    @cached_property
    def by_kind(self) -> dict[str, int]:
        """How many are open, by kind."""
        return notices.open_alerts_by_kind(self.connection)


CLOSED = "closed"


@router.get("/alerts", include_in_schema=False)
def alerts(
    request: Request,
    web: Context,
    connection: Database,
    language: InLanguage,
    state: str = "open",
    kind: str = "",
    place: str = "",
    form: str = "",
) -> Response:
    """Show open alerts by their cause, those that were put off, or closed ones."""
    known = state if state in (CLOSED, AlertStep.SNOOZED) else "open"
    people = select(users.c.name).where(users.c.removed_at.is_(None), users.c.role.in_(DECIDES)).order_by(users.c.name)
    return page(
        request,
        "alerts.html",
        tab="alerts",
        view=Alerts(
            connection, web.network, network_now(connection), known, kind, place, rows_shown(form, notices.ROWS)
        ),
        shown=rows_shown(form, 200),
        people=lambda: connection.scalars(people).all(),
        says=partial(numbers, language, local(web.network, language)["instant"]),
        span=partial(span, language),
        steps=AlertStep,
    )


@router.post("/alerts/steps", include_in_schema=False)
def take_step(
    request: Request,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    step: Annotated[AlertStep, Form()],
    alert: Annotated[tuple[int, ...], Form()],
    hours: Annotated[int, Form(ge=1, le=24 * 30)] = 24,
    assignee: Annotated[str, Form(max_length=64)] = "",
    comment: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Do something about some alerts: they are acknowledged, put off for hours, given to somebody, or commented on."""
    now = network_now(connection)
    done = handling.take(
        connection,
        alert,
        step,
        who=caller.name,
        at=now,
        until=now + timedelta(hours=hours) if step is AlertStep.SNOOZED else None,
        assignee=assignee or None,
        comment=comment.replace("\0", "").strip(),
    )
    message = (
        language.say(N_("Alerts changed: %(n)s."), n=done)
        if done
        else language.say(N_("These alerts have closed meanwhile."))
    )
    return back(request, came_from(request) or "/alerts", message, is_bad=not done)


@router.get("/rejections", include_in_schema=False)
def rejections(request: Request, connection: Database, caller: CalledBy, reason: str = "", form: str = "") -> Response:
    """Show events that could not be applied: their content to those who decide, to others the forms of their fields."""
    return page(
        request,
        "rejections.html",
        tab="rejections",
        reason=reason,
        found=lambda: notices.rejections_of(
            connection, content=caller.decides, reason=reason, limit=rows_shown(form, notices.ROWS)
        ),
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
        nowhere=lambda: unplaced.count_unplaced(connection),
        span=partial(span, language),
    )


@router.get("/unplaced", include_in_schema=False)
def unplaced_list(request: Request, connection: Database, form: str = "") -> Response:
    """Show the copies that left a place and were scanned nowhere since."""
    return page(
        request,
        "unplaced.html",
        tab="feeds",
        found=lambda: unplaced.unplaced_copies(connection, rows_shown(form, unplaced.ROWS)),
        count=lambda: unplaced.count_unplaced(connection),
    )


@router.get("/decisions", include_in_schema=False)
def decisions(request: Request, connection: Database, form: str = "") -> Response:
    """Show the last decisions of everyone."""
    return page(
        request,
        "decisions.html",
        tab="decisions",
        found=lambda: day.all_decisions(connection, rows_shown(form, notices.ROWS)),
    )
