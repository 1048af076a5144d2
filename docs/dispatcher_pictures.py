"""Pictures of the guide's second part: `python docs/dispatcher_pictures.py ADDRESS USER PASSWORD`, beside `rotation run`.

Follows a dispatcher's morning, an alert's life and a month's report by page alone, as `tests/e2e/web/test_dispatcher.py` does.
Each step goes to docs/pictures/guide/NAME.png in English and NAME-zh.png in Chinese. It changes the day that it is shown: in each
language a run is changed and a hub approved, so that plans must wait for approval (`ROTATION_APPROVAL=held`).
"""

import sys
from functools import partial
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.screenshots import CHROMIUM, DESK, NAMES, sign_in
from tests.scenarios import dispatcher

PICTURES = Path(__file__).parent / "pictures" / "guide"
SETTLES_MS = 1_500  # the map's first answer


def shoot(end: str, page: Page, name: str) -> None:
    """Take a picture of a step."""
    page.wait_for_timeout(SETTLES_MS)
    page.screenshot(path=PICTURES / f"{name}{end}.png")


def main(address: str, name: str, password: str) -> None:
    """Take all pictures."""
    PICTURES.mkdir(exist_ok=True, parents=True)
    program = next(path for path in CHROMIUM if Path(path).exists())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for language, end in NAMES.items():
            page = sign_in(browser, address, name, password, language, DESK)
            for story in (dispatcher.morning, dispatcher.alert, dispatcher.month):
                story(page, partial(shoot, end))
            page.context.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
