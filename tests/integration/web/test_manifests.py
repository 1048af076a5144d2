"""Handover sheets and manifests: their text and codes are read back from the PDF, in both languages and on both papers."""

from io import BytesIO

import pypdfium2
import pytest
import zxingcpp
from pypdf import PdfReader
from sqlalchemy import Engine, insert, select, update

from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.store import tables as t
from tests import web_city
from tests.integration.web.conftest import PASSWORD, SignedIn

NETWORK = web_city.demo()
DPI = 203
COPIES = 40


@pytest.fixture(scope="module")
def planned(engine: Engine) -> tuple[str, str, str, str]:
    """A run with a crate of many copies for its first stop: run, hub, place, crate."""
    with engine.begin() as connection:
        run = connection.execute(select(t.runs).order_by(t.runs.c.run_id)).first()
        stops = select(t.stops.c.place_id).where(t.stops.c.run_id == run.run_id).order_by(t.stops.c.position)
        place = connection.scalars(stops).first()
        crate = f"m-{run.day:%Y%m%d}-{place}-1"
        copies = connection.scalars(select(t.copies.c.copy_id).order_by(t.copies.c.copy_id).limit(COPIES)).all()
        for number, copy in enumerate(copies):
            leg = {"transfer_id": f"shipment-{copy}", "position": 3, "kind": "deliver", "from_place_id": run.hub_id}
            more = {"to_place_id": place, "day": run.day, "run_id": run.run_id, "crate_id": crate}
            connection.execute(insert(t.legs), leg | more)
            shelved = {
                "copy_id": copy,
                "told_at": run.departs_at,
                "call_number": f"I247.5/{number}",
                "barcode": f"3{number:05}",
            }
            connection.execute(insert(t.shelvings), shelved)
        for name, role, place_of in (("qian", Role.HUB, run.hub_id), ("he", Role.DRIVER, run.hub_id)):
            auth.add_user(connection, name, PASSWORD, role, [place_of])
        connection.execute(update(t.users).values(must_change=False))
    return run.run_id, run.hub_id, place, crate


def codes(pdf: bytes) -> set[tuple[str, str]]:
    """Return every code that a reader finds on the pages."""
    images = [page.render(scale=DPI / 72).to_pil() for page in pypdfium2.PdfDocument(pdf)]
    return {(code.format.name, code.text) for image in images for code in zxingcpp.read_barcodes(image)}


def words(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)


@pytest.mark.parametrize(("language", "said"), [("en", ("Handover sheet", "Empty crates")), ("zh", ("交接单", "空箱"))])
def test_a_runs_paper_has_a_handover_sheet_for_each_stop_and_every_crate(
    signed_in: SignedIn, planned: tuple[str, str, str, str], language: str, said: tuple[str, str]
) -> None:
    run, _, place, crate = planned
    browser = signed_in("he")
    browser.get(f"/language/{language}")
    pdf = browser.get(f"/driver/{run}/manifest.pdf").content
    text, found = words(pdf), codes(pdf)
    assert all(word in text for word in said)
    assert getattr(NETWORK.place[place].name, language) in text.replace("\n", "")
    assert {("QRCode", f"{run}/1"), ("Code128", crate), ("QRCode", crate)} <= found
    assert "I247.5/39" in text
    assert crate in browser.get(f"/driver/{run}/manifest").text


@pytest.mark.parametrize(("size", "paper"), [("a4", (210, 297)), ("label", (100, 50))])
def test_a_crates_manifest_names_each_copy_on_either_paper(
    signed_in: SignedIn, planned: tuple[str, str, str, str], size: str, paper: tuple[int, int]
) -> None:
    _, hub, _, crate = planned
    browser = signed_in("qian")
    browser.get("/language/zh")
    pdf = browser.get(f"/branch/{hub}/crates/{crate}/manifest.pdf?size={size}").content
    sides = {tuple(round(side / 72 * 25.4) for side in page.get_size()) for page in pypdfium2.PdfDocument(pdf)}
    assert sides == {paper}
    text = words(pdf)
    assert all(f"3{number:05}" in text for number in range(COPIES))
    assert {("Code128", crate), ("QRCode", crate)} <= codes(pdf)
    assert browser.get(f"/branch/{hub}/crates/{crate}/manifest?size={size}").status_code == 200


def test_a_crate_that_is_anothers_or_unknown_is_not_shown(
    signed_in: SignedIn, planned: tuple[str, str, str, str]
) -> None:
    _, hub, _, crate = planned
    browser = signed_in("dispatcher")
    other = next(place.id for place in NETWORK.hubs if place.id != hub)
    assert browser.get(f"/branch/{other}/crates/{crate}/manifest").status_code == 404
    assert browser.get(f"/branch/{hub}/crates/nobody/manifest").status_code == 404
    assert browser.get(f"/branch/{hub}/crates/{crate}/manifest?size=a3").status_code == 422
    assert browser.get("/driver/nobody/manifest").status_code == 404
