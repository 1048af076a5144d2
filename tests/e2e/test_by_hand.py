"""One book followed by page and phone alone in the running demonstration, in both languages; the facts agree afterwards."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.needs import REPOSITORY
from tests.scenarios.by_hand import ByHand, Demonstration, casts, demonstration

READY_S = 400  # seen: 55 s; a loaded machine takes many times that
COMMAND_S = 120


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demonstration]:
    with demonstration(tmp_path_factory.mktemp("hands") / "data") as ready:
        yield ready


@pytest.mark.timeout(READY_S)
@pytest.mark.parametrize(("number", "language"), [(0, "zh"), (1, "en")])
def test_one_book_goes_from_a_readers_hand_to_another_shelf_by_page_and_phone_alone(
    demonstrated: Demonstration, browser: Browser, number: int, language: str
) -> None:
    story = ByHand(browser, demonstrated.address, language, casts(demonstrated)[number])
    story.hire("admin", demonstrated.password)
    answers = story.whole()
    assert (answers["found"], answers["scanned_again"]) == ("found_again", "received_before")
    audit = subprocess.run(
        [sys.executable, "-m", "rotation", "audit"],
        cwd=REPOSITORY,
        env=dict(demonstrated.environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_S,
    )
    assert (audit.returncode, audit.stderr.splitlines()[0]) == (0, "everything agrees with the facts")
    for phone in story.phones.values():
        phone.context.close()
