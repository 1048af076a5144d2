"""Pictures of the running page for the README: `python docs/screenshots.py ADDRESS USER PASSWORD`.

Writes docs/pictures/NAME.png in English and NAME-zh.png in Chinese. Run it
beside `rotation run`, with the administrator's name and password.
"""

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parent / "pictures"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
NAMES = {"en": "", "zh": "-zh"}  # of the files
DESK, PHONE = {"width": 1360, "height": 1000}, {"width": 390, "height": 844}
PAGES = ("today", "imbalance", "alerts", "feeds")
SETTLES_MS = 2_500  # the map's and the stream's first answers


def sign_in(browser: Browser, address: str, name: str, password: str, language: str, size: dict[str, int]) -> Page:
    """Return a page of someone who has signed in."""
    page = browser.new_context(base_url=address, locale=LOCALES[language], viewport=size).new_page()
    page.goto("/sign-in")
    page.fill("[name=name]", name)
    page.fill("[name=password]", password)
    page.click("main button.primary")
    page.wait_for_url("**/today")
    return page


def open_a_run(page: Page) -> None:
    """Open the first run's stops, where there is a run."""
    first = page.locator("details.run > summary").first
    if first.count():
        first.click()


def pictures(browser: Browser, address: str, name: str, password: str) -> None:
    """Take every page in both languages, and the day on a phone."""
    for language in LOCALES:
        page = sign_in(browser, address, name, password, language, DESK)
        for path in PAGES:
            page.goto(f"/{path}")
            open_a_run(page)
            page.wait_for_timeout(SETTLES_MS)
            page.screenshot(path=IMAGES / f"{path}{NAMES[language]}.png")
        page.context.close()
    phone = sign_in(browser, address, name, password, "zh", PHONE)
    phone.wait_for_timeout(SETTLES_MS)
    phone.screenshot(path=IMAGES / "today-phone.png")


def main(address: str, name: str, password: str) -> None:
    """Take all pictures."""
    IMAGES.mkdir(exist_ok=True)
    program = next(path for path in CHROMIUM if Path(path).exists())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        pictures(browser, address, name, password)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
