"""Thresholds of alerts by tier and class: seen by everyone, tried on last month and set by administrators."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request, Response
from sqlalchemy import Connection, Row

from rotation.alerts import thresholds
from rotation.alerts.threshold_preview import MONTH_DAYS, ThresholdPreview, preview
from rotation.alerts.thresholds import SETTABLE, AlertThresholds, ThresholdKey, Thresholds, UnknownThreshold
from rotation.facts.lifecycle import AlertKind
from rotation.language.labels import N_
from rotation.network import Tier
from rotation.web import lines
from rotation.web.context import CalledBy, Context, Database, InLanguage, Web, network_now
from rotation.web.flash import back, refused
from rotation.web.render import page
from rotation.web.spreadsheets import rows_shown

router = APIRouter(include_in_schema=False)
PAGE = "/alerts/thresholds"
ROWS = 200  # of what was ever set


@dataclass
class ThresholdsPage:
    """The page: thresholds in force, all that were ever set, and a proposal's effect."""

    connection: Connection
    web: Web
    rows: int
    key: ThresholdKey | None = None
    value: int | None = None

    @cached_property
    def in_force(self) -> AlertThresholds:
        """The thresholds in force."""
        return thresholds.in_force_by(self.connection, Thresholds.of(self.web.settings))

    @cached_property
    def chosen(self) -> list[tuple[ThresholdKey, int]]:
        """Thresholds set by people, in the order of the kinds."""
        order = list(SETTABLE)
        return sorted(self.in_force.set.items(), key=lambda one: (order.index(one[0].kind), one[0]))

    @cached_property
    def history(self) -> list[Row[tuple[object, ...]]]:
        """All that was ever set, the newest first."""
        return thresholds.history(self.connection, self.rows)

    @cached_property
    def preview(self) -> ThresholdPreview | None:
        """The proposed threshold's effect last month."""
        if self.key is None or self.value is None:
            return None
        now = network_now(self.connection)
        return preview(self.connection, self.web.network, now, self.in_force, self.key, self.value)

    @property
    def highest(self) -> int:
        """The most alerts that would have been open on a day."""
        found = self.preview
        return max(number for _, number in found.proposed.open_on + found.present.open_on) if found else 0

    @cached_property
    def paths(self) -> list[str]:
        """The lines of open alerts: with the proposed threshold, and with the present ones."""
        found = self.preview
        return lines.together([found.proposed.open_on, found.present.open_on]) if found else []


def _shown(request: Request, view: ThresholdsPage, status: int = 200, message: str = "") -> Response:
    return page(
        request,
        "alert_thresholds.html",
        status,
        tab="thresholds",
        view=view,
        message=message,
        ranges=SETTABLE,
        tiers=list(Tier),
        month_days=MONTH_DAYS,
    )


@router.get(PAGE)
def show(request: Request, web: Context, connection: Database, form: str = "") -> Response:
    """Show the thresholds and their history."""
    return _shown(request, ThresholdsPage(connection, web, rows_shown(form, ROWS)))


Cls = Annotated[str, Query(max_length=64)]


@router.get(f"{PAGE}/preview")
def try_on_last_month(
    request: Request,
    web: Context,
    connection: Database,
    language: InLanguage,
    kind: AlertKind,
    value: int,
    tier: Tier | str = "",
    cls: Cls = "",
) -> Response:
    """Show a threshold's effect last month, before it is set."""
    key = _key(web, kind, tier, cls)
    try:
        thresholds.check(key, value)
    except UnknownThreshold:
        view = ThresholdsPage(connection, web, ROWS, key)
        return _shown(request, view, 422, language.say(NOT_POSSIBLE))
    return _shown(request, ThresholdsPage(connection, web, ROWS, key, value))


NOT_POSSIBLE = N_(
    "No alert has such a threshold: see the figures beside its kind. Only shortage and surplus have classes."
)


def _key(web: Web, kind: AlertKind, tier: str, cls: str) -> ThresholdKey:
    """Return whom a threshold is for; 422 for a tier or class that the network does not have."""
    if (tier and tier not in set(Tier)) or (cls and cls not in {one.id for one in web.network.classes}):
        raise HTTPException(422, "tier or class")
    return ThresholdKey(kind, tier, cls)


def _key_of_form(
    web: Context,
    kind: Annotated[AlertKind, Form()],
    tier: Annotated[str, Form()] = "",
    cls: Annotated[str, Form()] = "",
) -> ThresholdKey:
    return _key(web, kind, tier, cls)


KeyOfForm = Annotated[ThresholdKey, Depends(_key_of_form)]


@router.post(PAGE)
def set_threshold(
    request: Request,
    web: Context,
    connection: Database,
    caller: CalledBy,
    language: InLanguage,
    key: KeyOfForm,
    value: Annotated[int, Form()],
) -> Response:
    """Set a threshold; the next count of alerts, within seconds, heeds it."""
    try:
        thresholds.set_threshold(connection, key, value, caller.name, network_now(connection))
    except UnknownThreshold:
        message, view = language.say(NOT_POSSIBLE), ThresholdsPage(connection, web, ROWS, key)
        return refused(request, message, lambda: _shown(request, view, 422, message))
    said = N_("The threshold is set; alerts follow it within seconds.")
    return back(request, PAGE, language.say(said), is_bad=False)


@router.post(f"{PAGE}/end")
def end_threshold(
    request: Request, connection: Database, caller: CalledBy, language: InLanguage, key: KeyOfForm
) -> Response:
    """Go back to the usual threshold."""
    if not thresholds.end_threshold(connection, key, caller.name, network_now(connection)):
        raise HTTPException(404, "threshold")
    return back(request, PAGE, language.say(N_("The threshold is ended; the usual counts again.")), is_bad=False)
