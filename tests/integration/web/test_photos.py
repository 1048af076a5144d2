"""Photos of what is wrong: drawn anew without place or device, bounded, kept once, seen by dispatchers alone."""

import uuid
from io import BytesIO

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sqlalchemy import Engine, func, select, update

from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.hands import photos
from rotation.store import tables as t
from rotation.web.bodies import LARGEST_PHOTO_BYTES
from tests.integration.web.conftest import PASSWORD, SignedIn

GPS, MAKE, ORIENTATION = 0x8825, 0x010F, 0x0112


@pytest.fixture(scope="module")
def run(engine: Engine) -> tuple[str, str]:
    """A run with its driver `deng`, and its first stop."""
    with engine.begin() as connection:
        found = connection.execute(select(t.runs).order_by(t.runs.c.run_id)).first()
        stops = select(t.stops.c.place_id).where(t.stops.c.run_id == found.run_id).order_by(t.stops.c.position)
        auth.add_user(connection, "deng", PASSWORD, Role.DRIVER, [found.hub_id])
        connection.execute(update(t.users).values(must_change=False))
        return found.run_id, connection.scalars(stops).first()


def photo(size: tuple[int, int] = (3000, 2000), kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[MAKE], exif[ORIENTATION] = "SecretPhone", 6
    exif[GPS] = {1: "N", 2: (31.0, 13.0, 0.0)}
    out = BytesIO()
    Image.new("RGB", size, "red").save(out, kind, exif=exif)
    return out.getvalue()


def send(browser: TestClient, run: tuple[str, str], content: bytes, scan: str = "") -> int:
    sent = {"scan": scan or uuid.uuid4().hex, "tab": run[1], "note": "wet <b>"}
    files = {"photo": ("x.jpg", content, "image/jpeg")}
    return browser.post(f"/driver/{run[0]}/photos", data=sent, files=files).status_code


def test_a_photo_is_kept_once_upright_small_and_without_place_or_device(
    signed_in: SignedIn, engine: Engine, run: tuple[str, str]
) -> None:
    scan, content = uuid.uuid4().hex, photo()
    assert b"SecretPhone" in content
    assert [send(signed_in("deng"), run, content, scan) for _ in range(2)] == [303, 303]
    dispatcher = signed_in("dispatcher")
    html = dispatcher.get(f"/runs/{run[0]}/photos").text
    assert html.count("<figure>") == 1
    assert "wet &lt;b&gt;" in html
    answer = dispatcher.get(f"/runs/{run[0]}/photos/{scan}")
    with Image.open(BytesIO(answer.content)) as kept:
        assert (kept.format, kept.size, dict(kept.getexif())) == ("JPEG", (1067, 1600), {})
    assert b"SecretPhone" not in answer.content
    assert signed_in("viewer").get(f"/runs/{run[0]}/photos/{scan}").status_code == 403
    assert dispatcher.get(f"/runs/other/photos/{scan}").status_code == 404


@pytest.mark.parametrize(
    "content",
    [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a" + b"0" * 50, photo()[:2000], b"\xff\xd8" * 99],
)
def test_what_is_no_photo_by_its_content_is_refused(
    signed_in: SignedIn, engine: Engine, run: tuple[str, str], content: bytes
) -> None:
    before = _count(engine)
    assert send(signed_in("deng"), run, content) == 422
    assert _count(engine) == before


def test_pictures_and_bodies_that_are_too_large_and_runs_with_too_many_are_refused(
    signed_in: SignedIn, run: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in("deng")
    assert send(browser, run, photo() + b"0" * (LARGEST_PHOTO_BYTES + 1_000_000)) == 413
    monkeypatch.setattr(photos, "LARGEST_PIXELS", 1_000)
    assert send(browser, run, photo()) == 422
    monkeypatch.setattr(photos, "MOST_OF_A_RUN", 0)
    assert send(browser, run, photo()) == 422
    assert send(browser, (run[0], "elsewhere"), photo()) == 404


def _count(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(t.photos)) or 0
