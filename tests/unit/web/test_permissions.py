"""Who may do what: the table itself, and that it knows every route."""

import pytest

from rotation.accounts.permissions import PERMISSIONS, Role, allowed, unlisted
from rotation.web.app import ROUTERS, routes_of

CHANGES = [route for route in PERMISSIONS if route.startswith("POST")]
OPEN_TO_ALL = {
    "GET /sign-in",
    "GET /sign-in/city",
    "GET /sign-in/city/back",
    "POST /sign-in",
    "POST /sign-out",
    "GET /language/{language}",
    "GET /health/live",
    "GET /health/ready",
    "GET /worker.js",
    "GET /drive/{token}",
}


def may(route: str, role: Role | None) -> bool:
    method, path = route.split(" ", 1)
    return allowed(method, path, role)


def test_only_signing_in_language_and_health_are_open_to_all():
    assert {route for route in PERMISSIONS if may(route, None)} == OPEN_TO_ALL


def test_a_viewer_changes_nothing_but_the_own_password_and_sessions():
    own = {"POST /password", "POST /sign-out-everywhere"}
    assert {route for route in CHANGES if may(route, Role.VIEWER)} - OPEN_TO_ALL == own


def test_a_desk_asks_for_placement_receives_crates_and_sees_no_more_than_them():
    of_desks = {"POST /placement", "GET /api/crates/{crate_id}", "POST /api/crates/{crate_id}/received"}
    assert {route for route in PERMISSIONS if may(route, Role.DESK)} - OPEN_TO_ALL == of_desks


@pytest.mark.parametrize("role", [Role.DISPATCHER, Role.ADMINISTRATOR])
def test_dispatchers_and_administrators_decide(role: Role):
    assert may("POST /decisions", role)
    assert may("POST /api/decisions", role)


def test_only_administrators_see_users_and_tokens():
    routes = [route for route in PERMISSIONS if "/users" in route or "/tokens" in route]
    assert len(routes) == 5
    assert {role for role in Role for route in routes if may(route, role)} == {Role.ADMINISTRATOR}


def test_an_administrator_may_do_everything():
    assert all(may(route, Role.ADMINISTRATOR) for route in PERMISSIONS)


def test_head_is_asked_like_get():
    assert not allowed("HEAD", "/today", None)


def test_a_route_without_an_entry_is_named():
    assert unlisted(["GET /today", "POST /secret"]) == ["POST /secret"]


def test_the_table_and_the_routes_name_each_other():
    routes = routes_of(*ROUTERS)
    assert set(PERMISSIONS) - set(routes) == {"GET /api/openapi.json"}  # the application's own
    assert unlisted(routes) == []
