"""Permissions: a table of every route and the roles that may call it. The server does not start with a route missing here."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """The roles of people (branch, hub, driver and the last three) and of machines' tokens (desk, source and the last three)."""

    DESK = "desk"  # asks where a returned copy goes, receives crates, and nothing else
    BRANCH = "branch"  # works at its places: picks, packs, receives, asks where returned copies go
    HUB = "hub"  # sorts at its hubs, and does what a branch does there
    DRIVER = "driver"  # drives the runs of its hubs; by a link, a single run
    SOURCE = "source"  # a library system: sends events, and nothing else
    VIEWER = "viewer"
    DISPATCHER = "dispatcher"
    ADMINISTRATOR = "administrator"


class Scope(StrEnum):
    """The part of its role's rights that a machine's token has; a token without scopes has all of them."""

    READ = "read"  # figures, plans, alerts: nothing that changes anything
    EVENTS = "events"
    COUNTS = "counts"  # of visits and satisfaction, by the city
    DECISIONS = "decisions"  # approving, sending back, sets, questions that plan a night
    DESK = "desk"  # where a returned copy goes, and crates received


NOBODY_NEEDED = None  # open to whoever reaches the server
ANY_PERSON = frozenset({Role.VIEWER, Role.DISPATCHER, Role.ADMINISTRATOR})
DECIDES = frozenset({Role.DISPATCHER, Role.ADMINISTRATOR})
ADMINISTERS = frozenset({Role.ADMINISTRATOR})
AT_THE_DESK = frozenset({Role.DESK, Role.BRANCH, Role.HUB, Role.DISPATCHER, Role.ADMINISTRATOR})
AT_A_BRANCH = frozenset({Role.BRANCH, Role.HUB, Role.DISPATCHER, Role.ADMINISTRATOR})
AT_A_HUB = frozenset({Role.HUB, Role.DISPATCHER, Role.ADMINISTRATOR})
IN_A_VAN = frozenset({Role.DRIVER, Role.DISPATCHER, Role.ADMINISTRATOR})
WITH_HANDS = AT_THE_DESK | IN_A_VAN
EVERY_PERSON = ANY_PERSON | WITH_HANDS - {Role.DESK}
# Roles that work at places of their own, to which an administrator binds them.
OF_PLACES = frozenset({Role.DESK, Role.BRANCH, Role.HUB, Role.DRIVER})
TELLS_EVENTS = frozenset({Role.SOURCE, Role.ADMINISTRATOR})

PERMISSIONS: Mapping[str, frozenset[Role] | None] = MappingProxyType(
    {
        "GET /": EVERY_PERSON,
        "GET /hands": EVERY_PERSON,
        "GET /branch/{place_id}": AT_A_BRANCH,
        "POST /branch/{place_id}/scans": AT_A_BRANCH,
        "GET /branch/{place_id}/pick-list": AT_A_BRANCH,
        "GET /branch/{place_id}/pick-list.pdf": AT_A_BRANCH,
        "GET /desk/{place_id}": AT_A_BRANCH,
        "POST /desk/{place_id}/scans": AT_A_BRANCH,
        "GET /desk/{place_id}/slips/{scan_id}": AT_A_BRANCH,
        "POST /desk/{place_id}/rules": AT_A_BRANCH,
        "POST /desk/{place_id}/rules/{rule_id}/end": AT_A_BRANCH,
        "GET /worker.js": NOBODY_NEEDED,
        "GET /drive/{token}": NOBODY_NEEDED,
        "GET /driver/{run_id}": IN_A_VAN,
        "POST /driver/{run_id}/scans": IN_A_VAN,
        "POST /driver/{run_id}/photos": IN_A_VAN,
        "GET /runs/{run_id}/photos": DECIDES,
        "GET /runs/{run_id}/photos/{photo_id}": DECIDES,
        "GET /driver/{run_id}/manifest": IN_A_VAN,
        "GET /driver/{run_id}/manifest.pdf": IN_A_VAN,
        "GET /runs/{run_id}/links": DECIDES,
        "POST /runs/{run_id}/links": DECIDES,
        "POST /runs/{run_id}/links/{link_id}/withdraw": DECIDES,
        "GET /hub/{place_id}": AT_A_HUB,
        "POST /hub/{place_id}/scans": AT_A_HUB,
        "GET /branch/{place_id}/crates/{crate_id}/manifest": AT_A_BRANCH,
        "GET /branch/{place_id}/crates/{crate_id}/manifest.pdf": AT_A_BRANCH,
        "GET /branch/{place_id}/labels": AT_A_BRANCH,
        "GET /branch/{place_id}/labels.pdf": AT_A_BRANCH,
        "POST /branch/{place_id}/notices": AT_A_BRANCH,
        "POST /branch/{place_id}/notices/{notice_id}/withdraw": AT_A_BRANCH,
        "GET /today": ANY_PERSON,
        "GET /today/map.json": ANY_PERSON,
        "GET /plans/{plan_id}/change": ANY_PERSON,
        "POST /plans/{plan_id}/edits": DECIDES,
        "POST /plans/{plan_id}/undo": DECIDES,
        "POST /plans/{plan_id}/redo": DECIDES,
        "POST /plans/{plan_id}/improve": DECIDES,
        "POST /plans/{plan_id}/discard": DECIDES,
        "POST /plans/{plan_id}/accept": DECIDES,
        "GET /transfers/{transfer_id}": ANY_PERSON,
        "GET /transfers/{transfer_id}/journey": ANY_PERSON,
        "GET /lanes": ANY_PERSON,
        "GET /api/lanes": ANY_PERSON,
        "GET /runs/{run_id}/sheet": ANY_PERSON,
        "GET /runs/{run_id}/sheet.pdf": ANY_PERSON,
        "GET /imbalance": ANY_PERSON,
        "GET /imbalance/map.json": ANY_PERSON,
        "GET /imbalance/{place_id}/{cls}": ANY_PERSON,
        "GET /figures": ANY_PERSON,
        "GET /figures.{form}": ANY_PERSON,
        "POST /figures/city-counts": DECIDES,
        "GET /api/figures": ANY_PERSON,
        "POST /api/city-counts": DECIDES,
        "GET /alerts": ANY_PERSON,
        "POST /alerts/steps": DECIDES,
        "GET /alerts/thresholds": ANY_PERSON,
        "GET /alerts/thresholds/preview": ADMINISTERS,
        "POST /alerts/thresholds": ADMINISTERS,
        "POST /alerts/thresholds/end": ADMINISTERS,
        "GET /rejections": ANY_PERSON,
        "GET /feeds": ANY_PERSON,
        "GET /unplaced": ANY_PERSON,
        "GET /prices": ANY_PERSON,
        "GET /why-not": ANY_PERSON,
        "GET /what-if": DECIDES,  # it plans the night twice
        "GET /sets": ANY_PERSON,
        "POST /sets": DECIDES,
        "POST /sets/{set_id}/cancel": DECIDES,
        "POST /receipts": DECIDES,
        "POST /transfers/{transfer_id}/owner": DECIDES,
        "POST /transfers/{transfer_id}/mark": DECIDES,
        "POST /transfers/{transfer_id}/release": DECIDES,
        "GET /outline.json": ANY_PERSON,
        "GET /live": ANY_PERSON,
        "GET /shell": ANY_PERSON,
        "POST /decisions": DECIDES,
        "GET /decisions": ANY_PERSON,
        "GET /sign-in": NOBODY_NEEDED,
        "POST /sign-in": NOBODY_NEEDED,
        "GET /sign-in/city": NOBODY_NEEDED,
        "GET /sign-in/city/back": NOBODY_NEEDED,
        "POST /sign-out": NOBODY_NEEDED,
        "GET /password": EVERY_PERSON,
        "POST /password": EVERY_PERSON,
        "POST /sign-out-everywhere": EVERY_PERSON,
        "GET /digest": ANY_PERSON,
        "GET /channels": ADMINISTERS,
        "POST /channels": ADMINISTERS,
        "POST /channels/{channel_id}/try": ADMINISTERS,
        "POST /channels/{channel_id}/again": ADMINISTERS,
        "POST /channels/{channel_id}/end": ADMINISTERS,
        "GET /deliveries": ADMINISTERS,
        "POST /deliveries": ADMINISTERS,
        "POST /deliveries/{target_id}/again": ADMINISTERS,
        "POST /deliveries/{target_id}/end": ADMINISTERS,
        "GET /write-back": ANY_PERSON,
        "POST /write-back/again": DECIDES,
        "POST /write-back/{write_back_id}/again": DECIDES,
        "POST /write-back/{write_back_id}/leave": DECIDES,
        "GET /closures": DECIDES,
        "GET /closures/{row_id}": DECIDES,
        "POST /closures/{row_id}": DECIDES,
        "POST /closures/{row_id}/remove": DECIDES,
        "POST /holidays": DECIDES,
        "GET /city-settings": ADMINISTERS,
        "POST /city-settings/{name}": ADMINISTERS,
        "GET /upkeep": ADMINISTERS,
        "GET /upkeep/{table}": ADMINISTERS,
        "GET /upkeep/{table}/{row_id}": ADMINISTERS,
        "POST /upkeep/{table}/{row_id}": ADMINISTERS,
        "POST /upkeep/{table}/{row_id}/remove": ADMINISTERS,
        "GET /network.toml": ADMINISTERS,
        "POST /network/import": ADMINISTERS,
        "POST /network/accept": ADMINISTERS,
        "POST /network/leave-file": ADMINISTERS,
        "GET /users": ADMINISTERS,
        "GET /security-log": ADMINISTERS,
        "POST /users": ADMINISTERS,
        "POST /users/{name}": ADMINISTERS,
        "POST /tokens": ADMINISTERS,
        "POST /tokens/{token_id}/revoke": ADMINISTERS,
        "GET /language/{language}": NOBODY_NEEDED,
        "GET /health/live": NOBODY_NEEDED,
        "GET /health/ready": NOBODY_NEEDED,
        "GET /metrics": ANY_PERSON,
        "GET /api/openapi.json": ANY_PERSON,
        "GET /api/status": ANY_PERSON,
        "GET /api/days/{day}": ANY_PERSON,
        "GET /api/days/{day}/transfers": ANY_PERSON,
        "GET /api/runs/{run_id}": ANY_PERSON,
        "GET /api/imbalance": ANY_PERSON,
        "GET /api/alerts": ANY_PERSON,
        "GET /api/rejections": ANY_PERSON,
        "GET /api/feeds": ANY_PERSON,
        "GET /api/unplaced": ANY_PERSON,
        "GET /api/night": ANY_PERSON,
        "GET /api/why-not": ANY_PERSON,
        "POST /api/what-if": DECIDES,
        "GET /api/sets": ANY_PERSON,
        "POST /api/sets": DECIDES,
        "POST /api/sets/{set_id}/cancel": DECIDES,
        "POST /api/decisions": DECIDES,
        "GET /api/visits": ANY_PERSON,
        "GET /api/crates/{crate_id}": AT_THE_DESK,
        "POST /api/crates/{crate_id}/received": AT_THE_DESK,
        "POST /placement": AT_THE_DESK,
        "POST /events": TELLS_EVENTS,
    }
)

# Of routes beside those that only read: the scope that a token with scopes needs.
SCOPES: Mapping[str, Scope] = MappingProxyType(
    {
        "POST /events": Scope.EVENTS,
        "POST /api/city-counts": Scope.COUNTS,
        "POST /api/decisions": Scope.DECISIONS,
        "POST /api/sets": Scope.DECISIONS,
        "POST /api/sets/{set_id}/cancel": Scope.DECISIONS,
        "POST /api/what-if": Scope.DECISIONS,
        "POST /placement": Scope.DESK,
        "GET /api/crates/{crate_id}": Scope.DESK,
        "POST /api/crates/{crate_id}/received": Scope.DESK,
        "GET /metrics": Scope.READ,
    }
)


def scope_of(method: str, path: str) -> Scope | None:
    """Return the scope that a token with scopes needs for a route; None: no such token may, as for pages."""
    route = f"{_as_get(method)} {path}"
    return SCOPES.get(route, Scope.READ if route.startswith("GET /api/") else None)


def allowed(method: str, path: str, role: Role | None) -> bool:
    """Whether someone of `role` (None: not signed in) may call the route.

    Raises
    ------
    KeyError
        When the route stands in no table.
    """
    roles = PERMISSIONS[f"{_as_get(method)} {path}"]
    return roles is None or role in roles


def unlisted(routes: Iterable[str]) -> list[str]:
    """Return those of `routes` ("GET /today") that the table does not know."""
    return sorted(set(routes) - set(PERMISSIONS))


def _as_get(method: str) -> str:
    return "GET" if method == "HEAD" else method
