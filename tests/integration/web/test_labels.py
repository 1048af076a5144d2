"""Labels of crates: each code on the PDF is read back by a reader of its own, and names its crate."""

from io import BytesIO

import pypdfium2
import pytest
import zxingcpp
from pypdf import PdfReader
from sqlalchemy import Engine, delete, insert, select, update

from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.store import tables as t
from tests import web_city
from tests.integration.web.conftest import PASSWORD, SignedIn

NETWORK = web_city.demo()
DPI = 203  # of a plain label printer


@pytest.fixture(scope="module")
def hub(engine: Engine) -> str:
    """A hub with a crate for each stop of a run, one of them so small that it is a bag."""
    with engine.begin() as connection:
        run = connection.execute(select(t.runs).order_by(t.runs.c.run_id)).first()
        connection.execute(delete(t.legs))
        places = connection.scalars(
            select(t.stops.c.place_id).where(t.stops.c.run_id == run.run_id).order_by(t.stops.c.position)
        )
        for number, place in enumerate(places.all()[:3]):
            for copy in range(20 if number else 2):
                leg = {
                    "transfer_id": f"x{number}-{copy}",
                    "position": 3,
                    "kind": "deliver",
                    "from_place_id": run.hub_id,
                }
                more = {"day": run.day, "run_id": run.run_id, "crate_id": f"d-{run.day:%Y%m%d}-{place}-1"}
                connection.execute(insert(t.legs), {**leg, **more, "to_place_id": place})
        auth.add_user(connection, "qian", PASSWORD, Role.HUB, [run.hub_id])
        connection.execute(update(t.users).values(must_change=False))
    return str(run.hub_id)


def test_each_code_of_each_label_is_read_back_as_its_crate(signed_in: SignedIn, engine: Engine, hub: str):
    pdf = signed_in("qian").get(f"/branch/{hub}/labels.pdf").content
    with engine.begin() as connection:
        crates = set(connection.scalars(select(t.legs.c.crate_id)))
    pages = list(pypdfium2.PdfDocument(pdf))
    assert len(pages) == len(crates) == 3
    read = []
    for drawn in pages:
        assert [round(side / 72 * 25.4) for side in drawn.get_size()] == [100, 50]
        found = zxingcpp.read_barcodes(drawn.render(scale=DPI / 72).to_pil())
        kinds = {code.format.name: code.text for code in found}
        assert set(kinds) == {"QRCode", "Code128"}, kinds
        assert len(set(kinds.values())) == 1
        read.append(kinds["QRCode"])
    assert set(read) == crates


def test_a_label_says_where_it_goes_large_and_the_last_stop_comes_first(signed_in: SignedIn, hub: str):
    browser = signed_in("qian")
    pages = PdfReader(BytesIO(browser.get(f"/branch/{hub}/labels.pdf").content)).pages
    words = [page.extract_text() for page in pages]
    assert ["stop 3" in words[0], "stop 2" in words[1], "stop 1" in words[2]] == [True] * 3
    assert "Bag" in words[2]
    assert "Crate" in words[0]
    assert browser.get(f"/branch/{hub}/labels").status_code == 200
