"""A driver's phone in a dead zone, in a real browser: scans wait on the phone and are sent once; a busy server loses none."""

import json

from playwright.sync_api import Page, Route, expect
from sqlalchemy import delete, insert, select, update

from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.store import tables as t
from tests.e2e.web.conftest import PASSWORD, Open, Served

PHONE = {"width": 360, "height": 740}


def of_run(served: Served, name: str, crates: int) -> tuple[str, str]:
    """A run whose first stop gets so many crates, and its driver."""
    with served.engine.begin() as connection:
        run = connection.execute(select(t.runs).order_by(t.runs.c.run_id)).first()
        assert run is not None
        place = connection.scalar(
            select(t.stops.c.place_id).where(t.stops.c.run_id == run.run_id).order_by(t.stops.c.position)
        )
        connection.execute(update(t.runs).where(t.runs.c.run_id == run.run_id).values(status="ordered"))
        connection.execute(delete(t.legs).where(t.legs.c.run_id == run.run_id))
        connection.execute(delete(t.scans))
        for n in range(crates):
            leg = {
                "transfer_id": f"x{n}",
                "position": 3,
                "kind": "deliver",
                "from_place_id": run.hub_id,
                "day": run.day,
            }
            connection.execute(insert(t.legs), {**leg, "to_place_id": place, "run_id": run.run_id, "crate_id": f"k{n}"})
        auth.add_user(connection, name, PASSWORD, Role.DRIVER, [run.hub_id])
        connection.execute(update(t.users).values(must_change=False))
    return run.run_id, str(place)


def scanned(served: Served) -> list[str]:
    with served.engine.begin() as connection:
        return list(connection.scalars(select(t.scans.c.code).order_by(t.scans.c.received_at)))


def type_code(page: Page, code: str) -> None:
    page.fill("#code", code)
    page.keyboard.press("Enter")


def test_scans_of_a_dead_zone_are_kept_and_sent_once_in_their_order(served: Served, open_as: Open):
    run, place = of_run(served, "zhou", 3)
    page = open_as("zhou", size=PHONE)
    page.goto(f"/driver/{run}?stop={place}")
    page.wait_for_function("navigator.serviceWorker.controller || navigator.serviceWorker.ready")
    page.reload()
    page.context.set_offline(True)
    for code in ("k0", "k1", "k0"):
        type_code(page, code)
    expect(page.locator("#offline")).to_contain_text("3")
    assert scanned(served) == []
    page.reload()  # the page and its queue are still there
    expect(page.locator("#offline")).to_contain_text("3")
    page.context.set_offline(False)
    expect(page.locator("#offline")).to_be_hidden()
    assert scanned(served) == ["k0", "k1", "k0"]
    expect(page.locator("[data-part=work]")).to_contain_text("2 / 3")
    with served.engine.begin() as connection:
        answers = connection.scalars(select(t.scans.c.answer["code"].astext).order_by(t.scans.c.received_at)).all()
        sent = [json.loads(value) for value in connection.scalars(select(t.outbox.c.value))]
    assert answers == ["handed_over", "handed_over", "crate_done"]
    assert sorted(one["data"]["crate"] for one in sent if one["type"] == "crate.delivered") == ["k0", "k1"]
    served.complaints.clear()  # the browser says that it was offline


def test_what_a_busy_server_or_an_ended_session_answered_stays_in_the_queue(served: Served, open_as: Open):
    run, place = of_run(served, "wu", 4)
    page = open_as("wu", size=PHONE)
    page.goto(f"/driver/{run}?stop={place}")
    statuses, ids = [503, 429, 409, 401], []

    def busy(route: Route) -> None:
        ids.append(dict(pair.split("=") for pair in (route.request.post_data or "").split("&"))["scan"])
        if statuses:
            route.fulfill(status=statuses.pop(0), body="{}", content_type="application/json")
        else:
            route.continue_()

    page.route("**/scans", busy)
    type_code(page, "k3")
    for _ in range(4):
        expect(page.locator("#offline")).to_contain_text("1")
        page.evaluate("flush()")
        page.wait_for_timeout(150)
    expect(page.locator(".result")).to_contain_text("Handed over")
    assert scanned(served) == ["k3"]
    assert len(set(ids)) == 1
    served.complaints.clear()  # the browser names each of the answers
