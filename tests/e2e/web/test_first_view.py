"""The first view of the driver's page after sign-in: at most 100 kB in at most three requests."""

from playwright.sync_api import Response
from sqlalchemy import select

from rotation.store import tables as t
from tests.e2e.web.conftest import Open, Served

PHONE = {"width": 360, "height": 740}
MOST_BYTES, MOST_REQUESTS = 100_000, 3


def test_the_drivers_first_view_is_light(served: Served, open_as: Open) -> None:
    with served.engine.connect() as connection:
        run = connection.scalar(select(t.runs.c.run_id).order_by(t.runs.c.run_id))
    page = open_as("dispatcher", size=PHONE)
    fresh = page.context.browser.new_context(
        base_url=served.address, viewport=PHONE, storage_state=page.context.storage_state()
    )  # type: ignore[union-attr]
    phone, seen = fresh.new_page(), list[Response]()
    phone.on("response", lambda one: seen.append(one))
    phone.goto(f"/driver/{run}")
    phone.wait_for_load_state("networkidle")
    sizes = {one.url.removeprefix(served.address): one.request.sizes() for one in seen if one.url.startswith("http")}
    weighed = {url: size["responseBodySize"] + size["responseHeadersSize"] for url, size in sizes.items()}
    fresh.close()
    print(weighed)
    assert sum(weighed.values()) <= MOST_BYTES, weighed
    assert len(weighed) <= MOST_REQUESTS, weighed
