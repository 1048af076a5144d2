"""Open alerts, and how findings change them: opened, updated, closed, and announced once."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from rotation.alerts.findings import AlertFinding, Count
from rotation.alerts.levels import AlertVerdict
from rotation.facts.lifecycle import AlertKind, AlertState
from rotation.store import outbox

# Kinds whose numbers are kept up to date at every count; the others' at the sweep, once a minute.
ALWAYS_CURRENT = (AlertKind.OVERDUE,)


class Changes(NamedTuple):
    """The alerts that a recount opened and closed."""

    opened: int
    closed: int


class OpenAlert(NamedTuple):
    """An alert that is open."""

    alert_id: int
    kind: str
    place_id: str
    cls: str
    numbers: dict[str, Any]


def settle(count: Count, findings: list[AlertFinding], *, complete: bool) -> Changes:
    """Open, close and update alerts as the findings say; `complete` findings close every alert that they do not mention."""
    found = {finding[:3]: finding for finding in findings}
    rows = count.cursor.execute(
        "SELECT alert_id, kind, place_id, class, numbers FROM alerts WHERE closed_at IS NULL"
        " AND (%(places)s::text[] IS NULL OR place_id = ANY(%(places)s))",
        {"places": count.places},
    ).fetchall()
    known = {row[1:4]: OpenAlert(*row) for row in rows}
    opening = [f for key, f in found.items() if f.verdict is AlertVerdict.OPEN and key not in known]
    closing = [alert for key, alert in known.items() if _ends(found.get(key), complete)]
    _update(count, [f for key, f in found.items() if key in known and f.numbers != known[key].numbers], complete)
    opened = _open(count, opening)
    closed = _close(count, closing, found)
    _tell(count, opened, closed)
    return Changes(len(opened), len(closed))


def _ends(finding: AlertFinding | None, complete: bool) -> bool:
    return complete if finding is None else finding.verdict is AlertVerdict.CLOSE


def _update(count: Count, findings: Iterable[AlertFinding], complete: bool) -> None:
    rows = [(f.kind, f.place_id, f.cls, _json(f.numbers)) for f in findings if complete or f.kind in ALWAYS_CURRENT]
    if rows:
        count.cursor.execute(
            "UPDATE alerts a SET numbers = v.numbers::jsonb, changed_at = %s"
            " FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) v(kind, place_id, class, numbers)"
            " WHERE a.closed_at IS NULL AND a.kind = v.kind AND a.place_id = v.place_id AND a.class = v.class",
            (count.now, *map(list, zip(*rows, strict=True))),
        )


def _open(count: Count, findings: list[AlertFinding]) -> list[dict[str, Any]]:
    if not findings:
        return []
    rows = [(f.kind, f.place_id, f.cls, _json(f.numbers)) for f in findings]
    new = count.cursor.execute(
        "INSERT INTO alerts (kind, place_id, class, numbers, opened_at, changed_at)"
        " SELECT kind, place_id, class, numbers::jsonb, %(now)s, %(now)s"
        " FROM unnest(%(k)s::text[], %(p)s::text[], %(c)s::text[], %(n)s::text[]) v(kind, place_id, class, numbers)"
        " ON CONFLICT DO NOTHING RETURNING alert_id, kind, place_id, class, numbers",
        {"now": count.now, **dict(zip("kpcn", map(list, zip(*rows, strict=True)), strict=True))},
    ).fetchall()
    return [_told(OpenAlert(*row), AlertState.OPENED, count.now) for row in new]


def _close(count: Count, alerts: list[OpenAlert], found: dict[Any, AlertFinding]) -> list[dict[str, Any]]:
    if not alerts:
        return []
    last = {alert.alert_id: found[alert[1:4]].numbers if alert[1:4] in found else alert.numbers for alert in alerts}
    count.cursor.execute(
        "UPDATE alerts a SET closed_at = %(now)s, changed_at = %(now)s, numbers = v.numbers::jsonb"
        " FROM unnest(%(ids)s::bigint[], %(numbers)s::text[]) v(alert_id, numbers) WHERE a.alert_id = v.alert_id",
        {"now": count.now, "ids": list(last), "numbers": [_json(numbers) for numbers in last.values()]},
    )
    return [_told(alert._replace(numbers=last[alert.alert_id]), AlertState.CLOSED, count.now) for alert in alerts]


def _tell(count: Count, opened: list[dict[str, Any]], closed: list[dict[str, Any]]) -> None:
    changed = opened + closed
    if changed:
        outbox.put_alerts(count.cursor, ((f"{a['place']}/{a['kind']}/{a['class']}", a) for a in changed))
        ids = [str(alert["alert"]) for alert in changed]
        outbox.notify(count.cursor, "alert", ids, opened=len(opened), closed=len(closed))


def _told(alert: OpenAlert, what: AlertState, now: datetime) -> dict[str, Any]:
    return {
        "alert": alert.alert_id,
        "what": what,
        "kind": alert.kind,
        "place": alert.place_id,
        "class": alert.cls,
        "at": now.isoformat(),
        "numbers": alert.numbers,
    }


def _json(numbers: dict[str, Any]) -> str:
    return orjson.dumps(numbers).decode()
