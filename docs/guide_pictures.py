"""Pictures of the guide: `python docs/guide_pictures.py`.

Starts a demonstration of its own, follows a book through it by page and phone, as `tests/e2e/test_by_hand.py` does, and writes
each step to docs/pictures/guide/NAME.png in English and NAME-zh.png in Chinese.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.scenarios.by_hand import ByHand, Shoot, casts, demonstration
from tests.scenarios.camera import SEES, code_128

PICTURES = Path(__file__).parent / "pictures" / "guide"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ENDS = {"en": "", "zh": "-zh"}  # of the files' names


def camera(story: ByHand, shoot: Shoot) -> None:
    """Let another phone's camera see a label at the story's last stop; it sends nothing."""
    phone = story.administrator()
    phone.add_init_script(SEES)
    phone.route("**/scans", lambda route: route.abort())
    phone.goto(f"/driver/{story.cast.run}?stop={story.cast.destination}")
    crate = f"c-{story.cast.destination}-1"
    phone.evaluate("see", code_128(crate))
    phone.click("[data-camera]")
    expect(phone.locator("#camera [data-said]")).to_have_text(crate)
    shoot(phone, "camera")


def main() -> None:
    """Take all pictures."""
    PICTURES.mkdir(exist_ok=True, parents=True)
    program = next(path for path in CHROMIUM if Path(path).exists())
    with TemporaryDirectory() as folder, demonstration(Path(folder) / "data") as ready, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for number, (language, end) in enumerate(ENDS.items()):

            def shoot(page: Page, name: str, end: str = end) -> None:
                page.screenshot(path=PICTURES / f"{name}{end}.png")

            story = ByHand(browser, ready.address, language, casts(ready)[number], shoot)
            story.hire("admin", ready.password)
            story.whole()
            camera(story, shoot)
        browser.close()


if __name__ == "__main__":
    main()
