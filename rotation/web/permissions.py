"""Who may do what: one table for every route. A route that does not stand here does not start."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a person (the last three) or a machine's token (any) may do."""

    DESK = "desk"  # asks where a returned copy goes, receives crates, and nothing else
    SOURCE = "source"  # a library system: tells what happened, and nothing else
    VIEWER = "viewer"
    DISPATCHER = "dispatcher"
    ADMINISTRATOR = "administrator"


NOBODY_NEEDED = None  # open to whoever reaches the server
ANY_PERSON = frozenset({Role.VIEWER, Role.DISPATCHER, Role.ADMINISTRATOR})
DECIDES = frozenset({Role.DISPATCHER, Role.ADMINISTRATOR})
ADMINISTERS = frozenset({Role.ADMINISTRATOR})
AT_THE_DESK = frozenset({Role.DESK, Role.DISPATCHER, Role.ADMINISTRATOR})
TELLS_EVENTS = frozenset({Role.SOURCE, Role.ADMINISTRATOR})

PERMISSIONS: Mapping[str, frozenset[Role] | None] = MappingProxyType(
    {
        "GET /": ANY_PERSON,
        "GET /today": ANY_PERSON,
        "GET /today/map.json": ANY_PERSON,
        "GET /transfers/{transfer_id}": ANY_PERSON,
        "GET /runs/{run_id}/sheet": ANY_PERSON,
        "GET /runs/{run_id}/sheet.pdf": ANY_PERSON,
        "GET /imbalance": ANY_PERSON,
        "GET /imbalance/map.json": ANY_PERSON,
        "GET /alerts": ANY_PERSON,
        "GET /rejections": ANY_PERSON,
        "GET /feeds": ANY_PERSON,
        "GET /prices": ANY_PERSON,
        "GET /why-not": ANY_PERSON,
        "GET /what-if": DECIDES,  # it plans the night twice
        "GET /sets": ANY_PERSON,
        "POST /sets": DECIDES,
        "POST /sets/{set_id}/cancel": DECIDES,
        "POST /receipts": DECIDES,
        "POST /transfers/{transfer_id}/owner": DECIDES,
        "GET /outline.json": ANY_PERSON,
        "GET /live": ANY_PERSON,
        "GET /shell": ANY_PERSON,
        "POST /decisions": DECIDES,
        "GET /decisions": ANY_PERSON,
        "GET /sign-in": NOBODY_NEEDED,
        "POST /sign-in": NOBODY_NEEDED,
        "POST /sign-out": NOBODY_NEEDED,
        "GET /password": ANY_PERSON,
        "POST /password": ANY_PERSON,
        "GET /users": ADMINISTERS,
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
        "GET /api/night": ANY_PERSON,
        "GET /api/why-not": ANY_PERSON,
        "POST /api/what-if": DECIDES,
        "GET /api/sets": ANY_PERSON,
        "POST /api/sets": DECIDES,
        "POST /api/sets/{set_id}/cancel": DECIDES,
        "POST /api/decisions": DECIDES,
        "GET /api/visits": ANY_PERSON,
        "POST /api/crates/{crate_id}/received": AT_THE_DESK,
        "POST /placement": AT_THE_DESK,
        "POST /events": TELLS_EVENTS,
    }
)


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
