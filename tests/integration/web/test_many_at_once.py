"""More people than the page has connections and threads: nobody waits for somebody who waits for them."""

import threading
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, select, update

from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.facts.movements import CopyState
from rotation.store import tables as t
from tests import web_city

NETWORK = web_city.demo()
HERE = next(place.id for place in NETWORK.places if place.tier == "subdistrict")
PEOPLE, SCANS = 90, 2
PATIENCE_S = 60.0  # a connection that nobody gives back is missed after 30 s


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """The page on a port of its own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_ninety_desks_that_scan_at_once_are_all_answered_and_each_copy_is_ordered_once(
    address: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        token = auth.add_token(connection, Role.DISPATCHER, "desks", "tests")
        copies = connection.scalars(select(t.copies.c.copy_id).where(t.copies.c.place_id != HERE).limit(PEOPLE)).all()
        on_loan = (
            update(t.copies).where(t.copies.c.copy_id.in_(copies)).values(state=CopyState.ON_LOAN, to_place_id=None)
        )
        connection.execute(on_loan)
    answers: list[int] = []

    def person(copy: str) -> None:
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        with httpx.Client(base_url=address, headers=headers, timeout=PATIENCE_S, trust_env=False) as client:
            for _ in range(SCANS):
                sent = {"scan": uuid.uuid4().hex, "work": "return", "code": copy, "tab": "desk"}
                answers.append(client.post(f"/desk/{HERE}/scans", data=sent).status_code)

    people = [threading.Thread(target=person, args=(copy,)) for copy in copies for _ in range(PEOPLE // len(copies))]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert answers == [200] * (len(people) * SCANS)
    with engine.connect() as connection:
        mine = (t.transfers.c.from_place_id == HERE) & t.transfers.c.copy_id.in_(copies)
        ordered = connection.scalars(select(t.transfers.c.copy_id).where(mine)).all()
    assert len(ordered) == len(set(ordered))
