"""One book by page and phone alone, through the running demonstration: returned, crated, carried, sorted, received, on the shelf.

Two use it: tests/e2e/test_by_hand.py proves each step, and docs/guide_pictures.py takes the guide's pictures on the way. Each
person has a phone and knows a code only from the book, label or page before them.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Connection, text

from rotation.facts.lifecycle import RunState, TransferState
from rotation.facts.movements import CopyState
from rotation.store.engine import engine
from tests.needs import REPOSITORY

PHONE = {"width": 360, "height": 740}
LOCALES = {"zh": "zh-CN", "en": "en-GB"}
PASSWORD = "a long password"
WAIT_MS = 20_000  # for what goes round through Kafka; seen: under 2 s

ROUND_MS = 3_000  # a fact has gone through Kafka into the tables by then; seen: under 1 s

Shoot = Callable[[Page, str], None]  # page, name of the step


def no_picture(page: Page, name: str) -> None:
    """Take none."""


# --- The demonstration ------------------------------------------------------------------------------------------------

STOP_S = 60
OWN_TIME_S = 86_400  # of a simulated day: it passes in its own time, so the city sleeps while people work
WEEKS = 2


class Demonstration(NamedTuple):
    """A demonstration that runs: the page's address, the first administrator's password, and its environment."""

    address: str
    password: str
    environment: Mapping[str, str]


@contextmanager
def demonstration(folder: Path) -> Iterator[Demonstration]:
    """Start `rotation run` in an empty folder, at four in the morning of a planned day that passes in its own time."""
    own = {
        "ROTATION_DATA_DIR": str(folder),
        "ROTATION_WEB_PORT": "0",
        "ROTATION_DEMO_HISTORY_WEEKS": str(WEEKS),
        "ROTATION_DEMO_DAY_S": str(OWN_TIME_S),
        "PYTHONPATH": str(REPOSITORY),
    }
    outside = ("DATABASE_URL", "KAFKA_BOOTSTRAP")
    environment = {name: value for name, value in os.environ.items() if name not in outside} | own
    command = [sys.executable, "-m", "rotation", "run", "--json"]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield _ready(process, environment)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=STOP_S)


def _ready(process: "subprocess.Popen[str]", environment: Mapping[str, str]) -> Demonstration:
    assert process.stderr
    heard = ""
    for line in process.stderr:
        heard += line
        if address := re.search(r"Ready after .* (http://\S+)", line):
            password = re.search(r"admin / (\S+)", heard)
            assert password, heard
            return Demonstration(address[1], password[1], environment)
    raise RuntimeError(heard)


# --- Who plays where ----------------------------------------------------------------------------------------------------


class Cast(NamedTuple):
    """Where the story plays: a room, the hub that serves it, the next stop of the same van, its run, and books on loan."""

    room: str
    hub: str
    destination: str
    run: str
    books: Sequence[str]


_CASTS = text(f"""
    SELECT DISTINCT ON (r.run_id) s.place_id AS room, r.hub_id AS hub, n.place_id AS destination, r.run_id AS run
    FROM runs r JOIN stops s USING (run_id) JOIN stops n ON n.run_id = s.run_id AND n.position = s.position + 1
    WHERE r.status = '{RunState.ORDERED}' AND 1 < (
        SELECT count(*) FROM transfers t WHERE t.from_place_id = s.place_id AND t.status = '{TransferState.ORDERED}')
    ORDER BY r.run_id, s.position""")
_BOOKS = text(f"""
    SELECT copy_id FROM copies c WHERE state = '{CopyState.ON_LOAN}' AND home_place_id = :destination
    AND NOT EXISTS (SELECT FROM holds h WHERE h.title_id = c.title_id) ORDER BY copy_id LIMIT 20""")


def casts(demonstrated: Demonstration) -> list[Cast]:
    """Return a cast for each run of the day; no two have a person in common."""
    with engine(_database(demonstrated)).connect() as connection:
        return [_cast(connection, row) for row in connection.execute(_CASTS).all()]


def _cast(connection: Connection, row: Sequence[str]) -> Cast:
    room, hub, destination, run = row
    books = connection.scalars(_BOOKS, {"destination": destination}).all()
    return Cast(room, hub, destination, run, books)


def _database(demonstrated: Demonstration) -> str:
    addresses = Path(demonstrated.environment["ROTATION_DATA_DIR"], "addresses").read_text(encoding="utf-8")
    return next(line.partition("=")[2] for line in addresses.splitlines() if line.startswith("DATABASE_URL="))


# --- The story ----------------------------------------------------------------------------------------------------------


@dataclass
class ByHand:
    """The people of the story in one language, each signed in on an own phone."""

    browser: Browser
    address: str
    language: str
    cast: Cast
    shoot: Shoot = no_picture
    phones: dict[str, Page] = field(default_factory=dict)

    # --- People -------------------------------------------------------------------------------------------------------

    def hire(self, administrator: str, password: str) -> None:
        """Let the administrator add a person of each kind, bound to a place, and let each sign in."""
        desk = self._phone()
        if not _sign_in(desk, administrator, password):
            assert _sign_in(desk, administrator, PASSWORD)
        cast = self.cast
        for kind, role, place in (
            ("room", "branch", cast.room),
            ("hub", "hub", cast.hub),
            ("driver", "driver", cast.hub),
            ("destination", "branch", cast.destination),
        ):
            once = _add(desk, self.name(kind), role, place)
            self.phones[kind] = self._phone()
            _sign_in(self.phones[kind], self.name(kind), once)
        desk.context.close()

    def administrator(self) -> Page:
        """Return a phone on which the administrator has signed in, after `hire`."""
        phone = self._phone()
        assert _sign_in(phone, "admin", PASSWORD)
        return phone

    def name(self, kind: str) -> str:
        """Return a person's name."""
        return f"{kind}-{self.language}"

    def _phone(self) -> Page:
        context = self.browser.new_context(base_url=self.address, locale=LOCALES[self.language], viewport=PHONE)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        return page

    # --- Steps ----------------------------------------------------------------------------------------------------

    def whole(self) -> dict[str, str]:
        """Let it all happen; return the answers at its turning points."""
        book = self.returned(self.cast.books)
        lost = self.picked()
        crate = self.crated()
        self.collected(crate)
        found = self.found_again(lost)
        self.brought_back(crate)
        sorted_into = self.sorted_out(book)
        self.carried(sorted_into)
        self.received(sorted_into, 1)
        return {"book": book, "lost": lost, "found": found, "scanned_again": self.on_the_shelf(book)}

    def returned(self, books: Sequence[str]) -> str:
        """Scan returned books at the room's desk until one is to be sent; a reader at the destination asks for that one."""
        phone = self._at("room", f"/desk/{self.cast.room}")
        book = next(book for book in books if self.scan(phone, book) == "send")
        self.shoot(phone, "desk")
        phone.locator("#said [data-overrule]").click()
        phone.locator("#overrule [name=to]").select_option(self.cast.destination)
        phone.locator("#overrule input[value=reader_asked]").check()
        self.shoot(phone, "overrule")
        assert self.press(phone, "#overrule button.primary") == "send"
        return book

    def picked(self) -> str:
        """Take the list's first copy, and do not find its second, which a shelver finds later; return the second."""
        phone = self._at("room", f"/branch/{self.cast.room}")
        self.shoot(phone, "pick-list")
        first, second = (phone.locator("li.pick.open").nth(number) for number in (0, 1))
        name, lost = first.get_attribute("id"), second.get_attribute("id")
        assert self.press(phone, f"#{name} button[value=pick]") == "taken"
        barcode = phone.locator(f"#{lost} p > small.soft").first.inner_text()
        assert self.press(phone, f"#{lost} button[value=not_found]") == "not_found"
        expect(phone.locator("li.pick.not_found")).to_be_visible()
        self.shoot(phone, "not-found")
        return barcode

    def found_again(self, book: str) -> str:
        """Scan a copy that was looked for in vain at the room's desk, when its refusal has gone round."""
        phone = self._at("room", f"/branch/{self.cast.room}")
        expect(phone.locator("li.pick.not_found")).to_be_visible(timeout=WAIT_MS)
        phone.wait_for_timeout(ROUND_MS)
        answer = self.scan(phone, book)
        self.shoot(phone, "found-again")
        return answer

    def crated(self) -> str:
        """Close the crate that all lie in, by the number that the plan gave it; return the number."""
        phone = self._at("room", f"/branch/{self.cast.room}?tab=crates")
        self.shoot(phone, "close-crate")
        crate = str(
            phone.locator("input[name=work][value=close_crate] ~ input[name=code]").first.get_attribute("value")
        )
        assert self.press(phone, "form:has(input[value=close_crate]) button.primary") == "crate_closed"
        return crate

    def collected(self, crate: str) -> None:
        """Let the driver take the crate where there is no signal; the scan waits on the phone and is sent once."""
        phone = self._at("driver", f"/driver/{self.cast.run}?stop={self.cast.room}")
        phone.wait_for_function("navigator.serviceWorker.controller || navigator.serviceWorker.ready")
        phone.reload()
        phone.context.set_offline(True)
        phone.locator("input[data-focus]").fill(crate)
        phone.keyboard.press("Enter")
        expect(phone.locator("#offline")).to_be_visible()
        self.shoot(phone, "offline")
        with phone.expect_response(lambda answer: answer.url.endswith("/scans")):
            phone.context.set_offline(False)
        expect(phone.locator("#offline")).to_be_hidden()
        assert self.answered(phone) == "crate_taken"
        self.shoot(phone, "driver-stop")

    def brought_back(self, crate: str) -> None:
        """Let the driver set the crate down at the hub."""
        phone = self._at("driver", f"/driver/{self.cast.run}?stop={self.cast.hub}")
        expect(phone.locator("[data-part=work] li.crate").first).to_be_visible(timeout=WAIT_MS)
        assert self.scan(phone, crate) == "handed_over"

    def sorted_out(self, book: str) -> str:
        """Sort the book at the hub into its crate, first into a wrong one; close the crate and return its number."""
        phone = self._at("hub", f"/hub/{self.cast.hub}")
        phone.wait_for_timeout(ROUND_MS)
        assert self.scan(phone, book) == "into"
        self.shoot(phone, "hub-into")
        crate = str(phone.locator("[data-part=crates] input[name=code]").first.get_attribute("value"))
        assert self.scan(phone, crate) == "sorted"
        assert self.press(phone, "[data-part=crates] button") == "hub_crate_closed"
        self.shoot(phone, "hub-closed")
        return crate

    def carried(self, crate: str) -> None:
        """Let the driver load the crate at the hub and hand it over at the destination, both sides counting."""
        phone = self._at("driver", f"/driver/{self.cast.run}?stop={self.cast.hub}")
        waiting = phone.locator("[data-part=work] li.crate:not(.soft)")
        for _ in range(WAIT_MS // ROUND_MS):  # the closed crate goes round through Kafka first
            if waiting.count():
                break
            phone.wait_for_timeout(ROUND_MS)
            phone.reload()
        expect(waiting.first).to_be_visible(timeout=WAIT_MS)
        self.shoot(phone, "load")
        assert self.scan(phone, crate) == "crate_taken"
        phone.wait_for_timeout(ROUND_MS)
        phone = self._at("driver", f"/driver/{self.cast.run}?stop={self.cast.destination}")
        assert self.scan(phone, crate) == "handed_over"
        self.shoot(phone, "handed-over")

    def received(self, crate: str, copies: int) -> None:
        """Receive the crate at the destination, by its count."""
        phone = self._at("destination", f"/branch/{self.cast.destination}?tab=crates")
        form = phone.locator("form.count", has=phone.locator(f"input[value='{crate}']"))
        expect(form).to_be_visible(timeout=WAIT_MS)
        form.locator("input[name=counted]").fill(str(copies))
        self.shoot(phone, "receive")
        with phone.expect_response(lambda answer: answer.url.endswith("/scans")):
            form.locator("button.primary").click()
        assert self.answered(phone) == "crate_received"
        self.shoot(phone, "received")

    def on_the_shelf(self, book: str) -> str:
        """Scan the book once more at the destination, when its receipt has gone round; return the answer."""
        phone = self._at("destination", f"/branch/{self.cast.destination}?tab=crates")
        phone.wait_for_timeout(ROUND_MS)
        return self.scan(phone, book)

    # --- Scans --------------------------------------------------------------------------------------------------------

    def _at(self, kind: str, address: str) -> Page:
        phone = self.phones[kind]
        phone.goto(address)
        return phone

    def scan(self, page: Page, code: str) -> str:
        """Type a code as a scanner does; return the code of the page's answer."""
        _forget_answer(page)
        page.locator("input[data-focus]").fill(code)
        with page.expect_response(lambda answer: answer.url.endswith("/scans")):
            page.keyboard.press("Enter")
        return self.answered(page)

    def press(self, page: Page, selector: str) -> str:
        """Press a button that counts as a scan; return the code of the page's answer."""
        _forget_answer(page)
        with page.expect_response(lambda answer: answer.url.endswith("/scans")):
            page.locator(selector).first.click()
        return self.answered(page)

    def answered(self, page: Page) -> str:
        """Return the code of the answer on the page."""
        result = page.locator("#said .result[data-code]")
        expect(result).to_be_visible(timeout=WAIT_MS)
        return str(result.get_attribute("data-code"))


def _forget_answer(page: Page) -> None:
    """Let the answer before not be taken for the next, which is drawn a moment after its response."""
    page.evaluate("document.querySelector('#said .result')?.removeAttribute('data-code')")


def _sign_in(page: Page, name: str, password: str) -> bool:
    """Sign in, and choose an own password where this one holds once; return whether it was taken."""
    page.goto("/sign-in")
    page.fill("[name=name]", name)
    page.fill("[name=password]", password)
    page.click("main button.primary")
    page.wait_for_load_state("networkidle")
    if "/password" in page.url:
        _choose_password(page, password)
    return "/sign-in" not in page.url


def _add(page: Page, name: str, role: str, place: str) -> str:
    """Add a user; return the one-time password that the page shows."""
    page.goto("/users")
    form = page.locator("form[action='/users']")
    form.locator("[name=name]").fill(name)
    form.locator("[name=role]").select_option(role)
    form.locator("[name=places]").select_option(place)
    form.locator("button.primary").click()
    return page.locator("p.because code").inner_text()


def _choose_password(page: Page, once: str) -> None:
    page.fill("[name=old]", once)
    page.fill("[name=new]", PASSWORD)
    page.fill("[name=again]", PASSWORD)
    page.click("main button.primary")
    page.wait_for_url(lambda url: "/password" not in url)
