"""FOLIO's REST API: a reconciliation for the changes that its fire-and-forget publishing lost."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import httpx

from rotation.facts.events import (
    CopyCorrected,
    CopyWithdrawn,
    Fact,
    RejectionReason,
)
from rotation.facts.movements import CopyState
from rotation.feeds.carrying import Translated, event, id_of, in_batches, rejected_record, title_name
from rotation.feeds.folio.items import added_of, instant_of, is_outside, standing
from rotation.feeds.folio.mapping import FolioMap, UnmappedLocation

PAGE_ITEMS = 500
# Ids in one question: as many as an address takes.
IDS_ASKED = 50
# An id below all others.
FIRST_ITEM = "00000000-0000-0000-0000-000000000000"


class FolioCopy(NamedTuple):
    """The present of a copy as Rotation knows it."""

    state: CopyState
    place: str
    to: str | None
    at: datetime
    source: str
    listed: bool
    # Whether its title has a name.
    named: bool = True


KnownOf = Callable[[Sequence[str]], Mapping[str, FolioCopy]]
# Copies known here with ids after the first and up to the second, None: all after it.
KnownBetween = Callable[[str, str | None], Mapping[str, FolioCopy]]


class Okapi:
    """FOLIO's API: a token that has ended is renewed once for each request, so that long work outlives it."""

    def __init__(self, client: httpx.Client, user: str = "", password: str = "") -> None:
        self.client, self.user, self.password = client, user, password
        # Until FOLIO refuses to tell the names of titles: the permission is not needed for the rest.
        self.names = True
        if user:
            sign_in(client, user, password)

    def get(self, path: str, tenant: str, **params: Any) -> Any:
        """Return FOLIO's answer; raises httpx.HTTPError where it does not answer, or refuses."""
        headers = {"x-okapi-tenant": tenant}
        answer = self.client.get(path, params=params, headers=headers)
        if answer.status_code == httpx.codes.UNAUTHORIZED and self.user:
            sign_in(self.client, self.user, self.password)
            answer = self.client.get(path, params=params, headers=headers)
        return answer.raise_for_status().json()


def reconcile(
    okapi: Okapi,
    chosen: FolioMap,
    known_of: KnownOf,
    as_of: datetime,
    after: str = FIRST_ITEM,
    tenant: str = "",
    known_between: KnownBetween | None = None,
    *,
    naming: bool = True,
) -> Iterator[tuple[str, list[Translated]]]:
    """Yield facts where FOLIO's items differ from the copies known here, page by page, each with its last item's id.

    `okapi` carries the address, the tenant and the token. `as_of`, an instant before the first request, dates all facts.
    `after` is the item to continue behind; `tenant` the one that is read. Copies of `known_between` that
    no tenant of the map has any more are withdrawn: their deletion was lost. With `naming`, copies that stand right
    and whose title has no name are listed once more with it. A fact that another source dated later than FOLIO's last
    change stands, and so does every fact about an item since `as_of`.

    Raises
    ------
    httpx.HTTPError
        When FOLIO does not answer, or refuses.
    """
    tenant = tenant or chosen.tenant[0]
    for items in pages(okapi, after, tenant):
        known = known_of([str(item["id"]) for item in items])
        asked = [
            item for item in items if not _is_listed(known, item) or (naming and okapi.names and _nameless(known, item))
        ]
        titles = _titles(okapi, asked, tenant)
        names = _names(okapi, titles.values(), tenant) if okapi.names else {}
        found = HoldingsTitles(titles, names)
        translated = (_mended(item, chosen, known.get(str(item["id"])), found, as_of) for item in items)
        last = str(items[-1]["id"])
        there = {str(item["id"]) for item in items}
        gone = _gone(okapi, chosen, known_between(after, last), there, as_of) if known_between else ()
        yield last, [*(record for records in translated for record in records), *gone]
        after = last
    if known_between and (gone_behind := list(_gone(okapi, chosen, known_between(after, None), set(), as_of))):
        yield after, gone_behind


def _gone(
    okapi: Okapi, chosen: FolioMap, known: Mapping[str, FolioCopy], there: set[str], as_of: datetime
) -> Iterator[Translated]:
    """Yield that copies have left whose items no tenant has, asked for once more: they could have come meanwhile."""
    asked = [copy for copy, stands in known.items() if copy not in there and _may_be_withdrawn(stands, as_of)]
    for some in in_batches(sorted(asked), IDS_ASKED):
        found = {
            str(item["id"]) for tenant in chosen.tenant for item in _by_id(okapi, "item-storage/items", some, tenant)
        }
        for copy in some:
            if copy not in found:
                fact = CopyWithdrawn.model_validate({"copy": copy, "place": known[copy].place})
                identity = f"{id_of('reconciled', copy, as_of.isoformat())}/deleted"
                yield event(fact, chosen.source, as_of, event_id=identity, sequence=2)


def _may_be_withdrawn(known: FolioCopy, as_of: datetime) -> bool:
    return known.state is not CopyState.WITHDRAWN and known.at <= as_of


def _by_id(okapi: Okapi, path: str, ids: Sequence[str], tenant: str) -> list[dict[str, Any]]:
    query = "id==(" + " or ".join(f'"{one}"' for one in ids) + ")"
    answer = okapi.get(f"/{path}", tenant, query=query, limit=len(ids))
    return next(rows for rows in answer.values() if isinstance(rows, list))


def sign_in(okapi: httpx.Client, user: str, password: str) -> None:
    """Give the client a fresh token; raises httpx.HTTPError where FOLIO rejects the sign-in."""
    answer = okapi.post("/authn/login-with-expiry", json={"username": user, "password": password})
    if answer.status_code == httpx.codes.NOT_FOUND:  # releases before 2023
        answer = okapi.post("/authn/login", json={"username": user, "password": password})
    token = answer.raise_for_status().headers.get("x-okapi-token")
    if token:  # newer ones set a cookie, which the client keeps
        okapi.headers["x-okapi-token"] = token


def pages(okapi: Okapi, after: str, tenant: str) -> Iterator[list[dict[str, Any]]]:
    """Yield all items with ids above `after`, in the order of their ids."""
    while True:
        query = f'id>"{after}" sortby id'
        answer = okapi.get("/item-storage/items", tenant, query=query, limit=PAGE_ITEMS)
        items = sorted(answer["items"], key=lambda item: str(item["id"]))
        if not items:
            return
        yield items
        after = str(items[-1]["id"])


class HoldingsTitles(NamedTuple):
    """The instances of holdings, and the names of instances, as far as they were asked for and are known."""

    of_holdings: Mapping[str, str]
    names: Mapping[str, str]


def _nameless(known: Mapping[str, FolioCopy], item: Mapping[str, Any]) -> bool:
    copy = known.get(str(item["id"]))
    return copy is not None and not copy.named


def _names(okapi: Okapi, instances: Iterable[str], tenant: str) -> dict[str, str]:
    """Return the names of instances; none where FOLIO's user may not read them."""
    names: dict[str, str] = {}
    for some in in_batches(sorted(set(instances)), IDS_ASKED):
        try:
            found = _by_id(okapi, "instance-storage/instances", some, tenant)
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in (httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND):
                raise
            okapi.names = False
            return names
        names |= {str(one["id"]): title_name(one.get("title"), author=_author(one)) for one in found}
    return names


def _author(instance: Mapping[str, Any]) -> str:
    """Return the first contributor, or the one that is marked as primary."""
    contributors = [one for one in instance.get("contributors") or () if isinstance(one, dict) and one.get("name")]
    first = next((one for one in contributors if one.get("primary")), contributors[0] if contributors else {})
    return str(first.get("name", ""))


def _is_listed(known: Mapping[str, FolioCopy], item: Mapping[str, Any]) -> bool:
    copy = known.get(str(item["id"]))
    return copy is not None and copy.listed


def _titles(okapi: Okapi, items: Sequence[Mapping[str, Any]], tenant: str) -> dict[str, str]:
    """Return the instances of the items' holdings, which item records lack."""
    wanted, instances = sorted({str(item["holdingsRecordId"]) for item in items if item.get("holdingsRecordId")}), {}
    for some in in_batches(wanted, IDS_ASKED):
        found = _by_id(okapi, "holdings-storage/holdings", some, tenant)
        instances.update({str(holdings["id"]): str(holdings["instanceId"]) for holdings in found})
    return instances


def _mended(
    item: Mapping[str, Any], chosen: FolioMap, known: FolioCopy | None, titles: HoldingsTitles, as_of: datetime
) -> Iterator[Translated]:
    title = titles.of_holdings.get(str(item.get("holdingsRecordId")))
    name = titles.names.get(title or "", "")
    identity = id_of("reconciled", item["id"], as_of.isoformat())
    try:
        if is_outside(item, chosen):
            yield from _left(item, chosen, known, as_of, identity)
            return
        fact = standing(item, chosen)
        if fact is None:
            return
        differs = known is None or (known.at <= as_of and _differs(fact, known, item, chosen))
        # A copy that is picked here is on its shelf there: listed once more, it would be back on it.
        names_it = known and not known.named and name and known.at <= as_of and known.state is not CopyState.PICKED
        if title and (known is None or not known.listed or (names_it and not differs)):
            added = added_of(item, title, chosen, name)
            yield event(added, chosen.source, as_of, event_id=f"{identity}/added")
        elif not differs:
            return
        yield event(fact, chosen.source, as_of, event_id=f"{identity}/stands", sequence=1)
    except UnmappedLocation as error:
        if not error.outside:
            kept = {"id": item["id"]}
            yield rejected_record(
                "folio:reconcile", _position(item), RejectionReason.UNKNOWN_PLACE, error.field, str(error), kept
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"not as FOLIO's schema says: {type(error).__name__}"
        yield rejected_record(
            "folio:reconcile", _position(item), RejectionReason.DATA, "", what, {"id": str(item.get("id"))[:64]}
        )


def _left(
    item: Mapping[str, Any], chosen: FolioMap, known: FolioCopy | None, as_of: datetime, identity: str
) -> Iterator[Translated]:
    """Yield that a known copy has left the network, for a location that the map puts outside it."""
    if known and _may_be_withdrawn(known, as_of):
        fact = CopyWithdrawn.model_validate({"copy": item["id"], "place": known.place})
        yield event(fact, chosen.source, as_of, event_id=f"{identity}/left", sequence=2)


def _position(item: Mapping[str, Any]) -> tuple[int, int]:
    """Return a position for the item's rejections, so that each is kept once."""
    return 0, int(id_of(item.get("id"))[:15], 16)


def _differs(fact: Fact, known: FolioCopy, item: Mapping[str, Any], chosen: FolioMap) -> bool:
    item_fact: Any = fact
    state = item_fact.now if isinstance(fact, CopyCorrected) else item_fact.state
    same_state = state is known.state or (state is CopyState.ON_SHELF and known.state is CopyState.PICKED)
    if same_state and item_fact.place == known.place and getattr(item_fact, "to", None) == known.to:
        return False
    changed = (item.get("status") or {}).get("date")
    return known.source == chosen.source or not changed or instant_of(changed) > known.at
