"""The driver's phone: codes of labels read by the camera, with the packaged reader; a photo of a dead zone, sent once."""

from pathlib import Path

import segno
from PIL import Image
from playwright.sync_api import Page, expect
from sqlalchemy import func, select

from rotation.store import tables as t
from tests.e2e.web.conftest import Open, Served
from tests.e2e.web.test_dead_zone import PHONE, of_run, scanned
from tests.scenarios.camera import SEES, code_128


def see(page: Page, address: str) -> None:
    page.evaluate("see", address)


def test_labels_are_read_by_the_camera_and_its_reader_comes_only_when_it_is_opened(served: Served, open_as: Open):
    run, place = of_run(served, "kong", 2)
    page = open_as("kong", size=PHONE)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.add_init_script(SEES)
    page.goto(f"/driver/{run}?stop={place}")
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if "camera" in url or "zxing" in url]
    see(page, code_128("k0"))
    page.click("[data-camera]")
    expect(page.locator("#camera [data-said]")).to_have_text("k0")
    square = segno.make("k1", error="m", micro=False).png_data_uri(scale=8)
    see(page, square)
    expect(page.locator("#camera [data-said]")).to_have_text("k1")
    page.click("#camera [data-close]")
    expect(page.locator("[data-part=work]")).to_contain_text("2 / 2")
    assert scanned(served) == ["k0", "k1"]
    assert [url for url in asked if url.endswith("zxing_reader.wasm")]
    assert served.complaints == []


def test_without_a_secure_address_the_page_says_so_and_asks_for_no_camera(served: Served, open_as: Open):
    run, place = of_run(served, "meng", 1)
    page = open_as("meng", size=PHONE)
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    page.goto(f"/driver/{run}?stop={place}")
    page.click("[data-camera]")
    expect(page.locator("#trouble")).to_contain_text("https")
    expect(page.locator("#camera")).to_be_hidden()


def test_a_photo_taken_in_a_dead_zone_is_kept_on_the_phone_and_sent_once(served: Served, open_as: Open, tmp_path: Path):
    run, place = of_run(served, "shen", 1)
    picture = tmp_path / "wet.jpg"
    Image.new("RGB", (900, 600), "blue").save(picture, "JPEG")
    page = open_as("shen", size=PHONE)
    page.goto(f"/driver/{run}?stop={place}")
    page.wait_for_function("navigator.serviceWorker.controller || navigator.serviceWorker.ready")
    page.reload()
    page.click("#photo summary")
    page.context.set_offline(True)
    page.set_input_files("#photo [name=photo]", picture)
    page.click("#photo button.wide")
    expect(page.locator("#offline")).to_contain_text("1")
    page.reload()
    page.context.set_offline(False)
    expect(page.locator("#offline")).to_be_hidden()
    expect(page.locator("#said")).to_contain_text("Photo kept")
    page.evaluate("flush()")
    with served.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(t.photos)) == 1
    served.complaints.clear()  # the browser says that it was offline


def test_the_runs_map_shows_its_stops_without_a_signal(served: Served, open_as: Open):
    run, _ = of_run(served, "fang", 1)
    page = open_as("fang", size=PHONE)
    page.goto(f"/driver/{run}")
    page.wait_for_function("navigator.serviceWorker.controller || navigator.serviceWorker.ready")
    page.reload()
    page.context.set_offline(True)
    page.reload()
    page.click("#map summary")
    with served.engine.connect() as connection:
        stops = connection.scalar(select(func.count()).where(t.stops.c.run_id == run))
    expect(page.locator("#map text")).to_have_count(stops + 1)
    expect(page.locator("#map text").last).to_have_text(str(stops))
    page.context.set_offline(False)
    served.complaints.clear()
