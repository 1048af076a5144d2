"""A dispatcher's morning, an alert's life and a month's report, by page and keys alone, in whatever day the page shows.

Two use it: tests/e2e/web/test_dispatcher.py proves each step, and docs/dispatcher_pictures.py takes the guide's pictures.
Fields and keys are named, and no words: it reads the same in both languages.
"""

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

Shoot = Callable[[Page, str], None]  # page, name of the step


def _form(page: Page | Locator, action: str, field: str, value: str) -> Locator:
    """Return the forms that post to an action with a hidden field of that value."""
    return page.locator(f'form[action$="{action}"]:has([name="{field}"][value="{value}"])')


# --- The morning ------------------------------------------------------------------------------------------------------


def morning(page: Page, shoot: Shoot) -> None:
    """See what needs somebody, pin a transfer, change a run, accept the draft, approve what waits."""
    page.goto("/today")
    expect(page.locator("#needs")).to_be_attached()
    shoot(page, "needs")
    pin(page, shoot)
    change(page, shoot)
    approve(page, shoot)


def pin(page: Page, shoot: Shoot) -> None:
    """Pin the first transfer that may be pinned, with a reason, and release it."""
    menu = page.locator('details.menu:has(form[action$="/mark"] [value="pinned"])').first
    menu.locator("summary").click()
    menu.locator('[name="why"]').fill("Friday")
    menu.locator('[value="pinned"]').click()
    marked = page.locator("#marked")
    expect(marked.locator("tbody tr")).to_have_count(1)
    marked.scroll_into_view_if_needed()
    shoot(page, "pinned")
    marked.locator('form[action$="/release"] button').click()
    expect(marked.locator("tbody tr")).to_have_count(0)


def change(page: Page, shoot: Shoot) -> None:
    """Split a run by keys, take that back, move a stop instead, and accept."""
    page.locator('#runs a[href*="/change"]').first.evaluate("link => link.click()")
    said = page.locator(".said-edits li")
    expect(page.locator("#draft-title")).to_be_visible()
    expect(said).to_have_count(0)
    _press(page, "s")
    expect(page.locator("#split")).to_be_focused()
    shoot(page, "split")
    _form(page, "/edits", "kind", "split").locator("button").click()
    expect(said).to_have_count(1)
    shoot(page, "judged")
    page.keyboard.press("z")
    expect(said).to_have_count(0)
    _press(page, "m")
    shoot(page, "move-to")
    page.locator("#move button.primary").click()
    expect(said).to_have_count(1)
    page.keyboard.press("a")
    page.wait_for_url("**/today?*")


def _press(page: Page, key: str) -> None:
    """Press a key on the second stop of the first run that has two."""
    row = page.locator("table.stops tr[data-visit][draggable] + tr[data-visit][draggable]").first
    row.focus()
    row.press(key)
    page.wait_for_url("**visit=*")


def approve(page: Page, shoot: Shoot) -> None:
    """Approve the first hub that waits."""
    page.goto("/today")
    waiting = _form(page.locator("#needs"), "/decisions", "action", "approve")
    before = waiting.count()
    with page.expect_navigation():
        waiting.first.locator("button").click()
    page.goto("/today")
    expect(_form(page.locator("#needs"), "/decisions", "action", "approve")).to_have_count(before - 1)
    shoot(page, "approved")


# --- An alert ---------------------------------------------------------------------------------------------------------


def alert(page: Page, shoot: Shoot) -> None:
    """Acknowledge an alert, comment on it, give it to oneself, put it off, and find it where it waits."""
    page.goto("/alerts")
    row = page.locator("tr[data-alert]").first
    number = row.get_attribute("data-alert")
    _open(row)
    shoot(page, "alert")
    for step, fill in (("acknowledged", ""), ("commented", "Crate on its way"), ("assigned", "")):
        _take(page, str(number), step, fill)
    _open(page.locator(f"#alert-{number}"))
    shoot(page, "alert-taken")
    _take(page, str(number), "snoozed", "")
    expect(page.locator(f"#alert-{number}")).to_have_count(0)
    page.goto("/alerts?state=snoozed")
    _open(page.locator(f"#alert-{number}"))
    shoot(page, "alert-put-off")


def _open(row: Locator) -> None:
    """Open the group of alerts that a row is in."""
    row.evaluate("row => { row.closest('details').open = true; }")
    row.scroll_into_view_if_needed()


def _take(page: Page, number: str, step: str, fill: str) -> None:
    row = page.locator(f"#alert-{number}")
    _open(row)
    row.locator("details summary").click()
    form = _form(row, "/alerts/steps", "step", step)
    if fill:
        form.locator('[name="comment"]').fill(fill)
    with page.expect_navigation():
        form.locator("button").click()


# --- A month ----------------------------------------------------------------------------------------------------------


def month(page: Page, shoot: Shoot) -> bytes:
    """Look at the key figures, take the report along as PDF, and return it."""
    page.goto("/figures")
    shoot(page, "figures")
    report = page.request.get(str(page.locator('a[href^="/figures.pdf"]').first.get_attribute("href")))
    assert report.ok, report.status_text
    return report.body()
