"""FOLIO's present beside ours, by its API: lost events are sent, every difference named."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx
from sqlalchemy import Engine, Row, exists, select, true

from rotation.facts.movements import CopyState
from rotation.feeds import carrying, folio
from rotation.feeds.carrying import EventDict, FeedReport, RejectedRecord
from rotation.feeds.destinations import (
    Destinations,
    keep_cursor,
)
from rotation.store.clock import read_clock
from rotation.store.kept import keep, kept
from rotation.store.tables import copies, movements, titles

log = logging.getLogger(__name__)

# After this, all earlier facts have long been applied and FOLIO has moved on: the reconciliation starts over.
RESUMED_WITHIN = timedelta(hours=1)


def reconcile_folio(
    engine: Engine,
    okapi: folio.Okapi,
    chosen: folio.FolioMap,
    carried: Destinations,
    *,
    keep: bool = True,
    naming: bool = True,
) -> FeedReport:
    """Send facts where FOLIO's items differ from the copies known here; raises httpx.HTTPError where FOLIO does not answer.

    With `keep` the cursor follows the sent facts: a killed reconciliation continues with its own instant, so with the same ids.
    """
    report, name = FeedReport(), f"folio.{chosen.source}.reconcile"
    stand: Callable[[Any], None] = partial(keep_cursor, engine, name) if keep else lambda _: None
    as_of, after, tenants = _reconciliation(engine, name, chosen)
    known_between = partial(_folio_copies_between, engine, chosen.source) if _is_alone(engine, chosen) else None
    for tenant in tenants:
        stand((as_of.isoformat(), after, tenant))
        pages = folio.reconcile(
            okapi,
            chosen,
            partial(_known_to_folio, engine),
            as_of,
            after,
            tenant,
            known_between=known_between,
            naming=naming,
        )
        for last, translated_page in pages:
            carrying.carry(translated_page, *carried, report)
            stand((as_of.isoformat(), last, tenant))
        after = folio.FIRST_ITEM
    stand(None)
    return report


def _reconciliation(engine: Engine, name: str, chosen: folio.FolioMap) -> tuple[datetime, str, Sequence[str]]:
    """Return the instant, the last item and the tenants left of an unfinished reconciliation, else those of a new one."""
    with engine.connect() as connection:
        now, begun = read_clock(connection).now(), kept(connection, name)
    if begun and timedelta() <= now - datetime.fromisoformat(begun[0]) < RESUMED_WITHIN:
        tenant = begun[2] if len(begun) > 2 else chosen.tenant[0]
        if tenant in chosen.tenant:
            return datetime.fromisoformat(begun[0]), begun[1], chosen.tenant[chosen.tenant.index(tenant) :]
    return now, folio.FIRST_ITEM, chosen.tenant


def _is_alone(engine: Engine, chosen: folio.FolioMap) -> bool:
    """Return whether no other tenant's feed has this map's source: only then are its copies surely of these tenants."""
    name = f"folio.{chosen.source}.tenants"
    with engine.begin() as connection:
        heard = {*(kept(connection, name) or ()), *chosen.tenant}
        keep(connection, name, sorted(heard))
    if heard == set(chosen.tenant):
        return True
    log.warning("source %s is shared by tenants %s: lost deletions are not searched", chosen.source, sorted(heard))
    return False


_COPIES = select(copies, titles.c.name.is_not(None).label("named")).outerjoin(
    titles, titles.c.title_id == copies.c.title_id
)
# The ids of FOLIO's items, which copies of other systems do not have.
UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def _folio_copies_between(engine: Engine, source: str, after: str, last: str | None) -> dict[str, folio.FolioCopy]:
    """Return copies with ids after `after` and up to `last` of which this source has sent anything."""
    told = exists().where(movements.c.copy_id == copies.c.copy_id, movements.c.source == source)
    upto = copies.c.copy_id <= last if last is not None else true()
    query = _COPIES.where(copies.c.copy_id > after, upto, copies.c.copy_id.regexp_match(UUID), told)
    with engine.connect() as connection:
        return {row.copy_id: _folio_copy(row) for row in connection.execute(query)}


def _folio_copy(row: Row[Any]) -> folio.FolioCopy:
    return folio.FolioCopy(
        CopyState(row.state),
        row.place_id,
        row.to_place_id,
        row.occurred_at,
        row.source,
        row.title_id is not None,
        row.named,
    )


def _known_to_folio(engine: Engine, ids: Sequence[str]) -> dict[str, folio.FolioCopy]:
    return {row.copy_id: _folio_copy(row) for row in _copies(engine, ids)}


# A page of 500 items takes FOLIO a second or two, under load ten times that.
OKAPI_TIMEOUT_S = 60.0


def reconcile_by_api(
    engine: Engine,
    url: str,
    user: tuple[str, str],
    chosen: folio.FolioMap,
    carried: Destinations,
    *,
    keep: bool = True,
    naming: bool = True,
) -> FeedReport:
    """Sign in to FOLIO and reconcile; raises httpx.HTTPError where it does not answer."""
    headers = {"x-okapi-tenant": chosen.tenant[0], "accept": "application/json"}
    with httpx.Client(base_url=url, headers=headers, timeout=OKAPI_TIMEOUT_S) as client:
        return reconcile_folio(engine, folio.Okapi(client, *user), chosen, carried, keep=keep, naming=naming)


def folio_differences(
    engine: Engine, url: str, user: tuple[str, str], chosen: folio.FolioMap
) -> list[dict[str, str | None]]:
    """Return every copy that stands otherwise in FOLIO than here, those included that a reconciliation would reject."""
    events, refused = list[EventDict](), list[RejectedRecord]()
    reconcile_by_api(engine, url, user, chosen, Destinations(events.extend, refused.extend), keep=False, naming=False)
    told = {event["data"]["copy"]: event for event in events}
    known = _known_to_folio(engine, list(told))
    rows: list[dict[str, str | None]] = [
        {
            "copy": copy,
            "theirs": f"{event['type']} {event['data'].get('now', '')} at {event['data']['place']}",
            "here": f"{known[copy].state} at {known[copy].place}" if copy in known else None,
        }
        for copy, event in sorted(told.items())
    ]
    return rows + [
        {"copy": record.rejection.original.decode(), "theirs": record.rejection.message, "here": None}
        for record in refused
    ]


def _copies(engine: Engine, ids: Sequence[str]) -> Sequence[Row[Any]]:
    with engine.connect() as connection:
        return connection.execute(_COPIES.where(copies.c.copy_id.in_(ids))).all()
