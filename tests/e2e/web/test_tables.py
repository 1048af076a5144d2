"""Tables and figures in the browser: sorted by key, filtered, both in the address, taken away as a file."""

import pytest
from playwright.sync_api import expect

from rotation.night import day_figures
from rotation.store.clock import read_clock
from tests.e2e.web.conftest import DESK, PHONE, Open, Served
from tests.e2e.web.test_page import faults
from tests.web_city import demo

PAGES = ("/figures", "/imbalance?sort-levels=-4&find-levels=a")


@pytest.fixture(autouse=True)
def _counted(served: Served) -> None:
    with served.engine.begin() as connection:
        day_figures.keep(connection, demo(), read_clock(connection).now(), 8)


@pytest.mark.parametrize(("language", "size"), [("zh", DESK), ("en", PHONE)])
def test_figures_and_tables_are_readable_by_everyone(
    language: str, size: dict[str, int], open_as: Open, served: Served
):
    served.complaints.clear()
    page = open_as("dispatcher", language, size)
    for path in PAGES:
        page.goto(path)
        expect(page.locator("[data-tools-of]").first).to_be_visible()
        assert (path, faults(page)) == (path, [])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than the screen"
    assert served.complaints == []


def test_a_table_is_sorted_by_key_as_numbers_and_keeps_sort_and_filter_in_its_address(open_as: Open):
    page = open_as("viewer")
    page.goto("/figures")
    head = page.locator("table[data-table=places] th").nth(2)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    expect(head).to_have_attribute("aria-sort", "descending")
    cells = page.locator("table[data-table=places] tbody tr td:nth-child(3)").all_inner_texts()
    numbers = [float(cell.replace(",", "")) for cell in cells if cell]
    assert numbers == sorted(numbers, reverse=True)
    first = page.locator("table[data-table=places] tbody tr th").first.inner_text()
    page.locator("[data-tools-of=places] input").fill(first.lower())
    page.reload()
    expect(page.locator("table[data-table=places] tbody tr:visible")).to_have_count(1)
    expect(head).to_have_attribute("aria-sort", "descending")
    with page.expect_download() as download:
        page.locator("[data-tools-of=places] a", has_text="CSV").click()
    assert first in download.value.path().read_text(encoding="utf-8-sig")


def test_a_live_update_keeps_the_order_and_what_is_typed(open_as: Open):
    page = open_as("viewer")
    page.goto("/imbalance?sort-levels=4")
    field = page.locator("[data-tools-of=levels] input")
    field.fill("a")
    page.evaluate("changed(['levels'])")
    expect(page.locator("table[data-table=levels] th[aria-sort=ascending]")).to_have_count(1)
    expect(page.locator("[data-tools-of=levels] input")).to_have_value("a")
    expect(page.locator("[data-tools-of=levels] input")).to_be_focused()
