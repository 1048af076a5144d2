"""The API against its own description: whatever is sent, the answer is one that the description knows."""

from collections.abc import Callable

import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from rotation.accounts.permissions import Role
from rotation.web.api import events_in, placement, resources

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
EXAMPLES = 12

described = FastAPI()
described.include_router(resources.router)
for ours in (placement.router, events_in.router):
    described.include_router(ours, responses=resources.ERRORS)
schema = schemathesis.openapi.from_dict(described.openapi())


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_description_knows(
    case: schemathesis.Case, app: FastAPI, token: Callable[[Role], dict[str, str]]
):
    response = case.call(app=app, headers=token(Role.ADMINISTRATOR))
    case.validate_response(response, checks=CHECKS)


def test_the_description_names_every_address_of_the_api():
    assert {path for path in described.openapi()["paths"] if path.startswith("/api")} >= {
        "/api/status",
        "/api/days/{day}",
        "/api/decisions",
    }
    assert {"/events", "/placement"} <= described.openapi()["paths"].keys()


def test_a_desk_receives_by_crate_and_is_told_of_a_label_that_nobody_closed(
    app: FastAPI, token: Callable[[Role], dict[str, str]]
):
    answer = TestClient(app, headers=token(Role.DESK)).post("/api/crates/nobodys/received")
    assert (answer.status_code, answer.json()["detail"]) == (404, "no crate 'nobodys' was ever closed for a place")
