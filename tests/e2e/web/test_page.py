"""A dispatcher's day in the browser, in both languages, at a desk and on a phone."""

import json
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Connection, delete, insert, select, text, update

from rotation.store import topic_identity as identity
from rotation.store.tables import alerts, day_plans, runs, stops, topics_read, transfers
from rotation.web.app import ROUTERS, routes_of
from tests.e2e.web.conftest import DESK, PHONE, Open, Served
from tests.web_city import DAY, demo

AXE = Path("node_modules/axe-core/axe.min.js")
NO_PAGES = ("/", "/live", "/shell", "/sign-in", "/sign-in/city", "/sign-in/city/back")
FOR_MACHINES = ("/health/live", "/health/ready", "/metrics")
# Pages of things that this day does not have; a draft's is looked at in test_dispatcher.
NOT_HERE = ("/alerts/thresholds/preview", "/closures/{row_id}", "/plans/{plan_id}/change")
RUN = f"{DAY:%Y%m%d}-van-gudu-1"
TRIED_THRESHOLD = "/alerts/thresholds/preview?kind=shortage&tier=room&value=60"
HUB = next(van.hub for van in demo().vans if van.id == "van-yunling-1")
HEADINGS = {"zh": ("今日", "馆藏", "预警", "指标", "系统"), "en": ("Today", "Stock", "Alerts", "Figures", "System")}


def told(served: Served, statement: Any, kind: str) -> None:
    """Do something as a writer would: change, and tell in the same transaction."""
    with served.engine.begin() as connection:
        connection.execute(statement)
        connection.execute(text("SELECT pg_notify('rotation', :told)"), {"told": json.dumps({"kind": kind})})


def faults(page: Page) -> list[str]:
    """Return what axe finds serious or critical."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        "async () => (await axe.run()).violations.filter(v => ['serious', 'critical'].includes(v.impact))"
    )
    return [f"{one['id']}: {node['target']}" for one in found for node in one["nodes"]]


def every_page(connection: Connection) -> list[str]:
    """Return the address of each page: a route that answers with one, with the first thing that there is for its parameters."""
    hub = demo().hubs[0].id
    first = {
        "{place_id}": hub,
        "{table}": "place",
        "{row_id}": "gudu-library",
        "{cls}": demo().classes[0].id,
        "{run_id}": RUN,
        "{transfer_id}": str(connection.scalar(select(transfers.c.transfer_id).limit(1))),
    }
    found = {TRIED_THRESHOLD, "/alerts?state=closed", "/upkeep/floors/all"}
    routes = {route.removeprefix("GET ") for route in routes_of(*ROUTERS) if route.startswith("GET ")}
    for route in routes - {*NO_PAGES, *FOR_MACHINES, *NOT_HERE}:
        path = reduce(lambda path, name: path.replace(name, first[name]), first, route)
        if "." not in path and "{" not in path and not path.startswith("/api/"):
            found.add(path)
    return sorted(found)


def test_the_check_for_readability_finds_what_is_not(open_as: Open):
    page = open_as("viewer")
    page.evaluate("document.querySelector('main').innerHTML = '<input><button></button>'")
    assert len(faults(page)) == 2


@pytest.mark.parametrize(("language", "size"), [("zh", DESK), ("en", DESK), ("zh", PHONE)])
def test_each_page_is_readable_by_everyone(language: str, size: dict[str, int], open_as: Open, served: Served):
    served.complaints.clear()
    page = open_as("administrator", language, size)
    assert tuple(page.locator("nav > a, nav > details > summary").all_inner_texts()) == HEADINGS[language]
    with served.engine.connect() as connection:
        paths = every_page(connection)
    for path in paths:
        answer = page.goto(path)
        assert answer
        assert (path, answer.status) == (path, 200)
        assert (path, faults(page)) == (path, [])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than the screen"
    assert served.complaints == []


def test_the_map_shows_runs_and_places_and_follows_a_click(open_as: Open):
    page = open_as("viewer")
    expect(page.locator("#map[data-drawn]")).to_be_visible()
    assert page.locator("path.route").count() == 8
    assert page.locator(".visit.pin").count() == 64
    assert page.locator("path.area").count() == 5
    page.locator(".visit.pin").first.dispatch_event("click")
    expect(page.locator("details.run[open]")).to_have_count(1)


def test_map_and_chart_are_one_tab_stop_each_and_arrows_go_from_stop_to_stop(open_as: Open):
    page = open_as("viewer")
    expect(page.locator("#map[data-drawn]")).to_be_visible()
    focusable = "#map [tabindex='0'], #map a:not([tabindex='-1'])"
    assert page.locator(focusable).count() == 0
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") != first
    page.locator(".chart-keys").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("rect.block.chosen")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("details.run[open]")).to_have_count(1)


def test_a_page_that_opens_loads_no_live_part_again(open_as: Open):
    page = open_as("viewer")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/today")
    page.wait_for_timeout(2_000)
    assert [one for one in asked if "part=" in one] == []


def test_a_stop_turns_done_while_one_looks_and_what_was_open_stays_open(open_as: Open, served: Served):
    page = open_as("viewer")
    page.locator(f"#run-{RUN} > summary").click()
    row = page.locator(f"#run-{RUN} tbody tr").nth(0)
    expect(row).to_have_class("planned")
    told(served, update(stops).where(stops.c.run_id == RUN, stops.c.position == 1).values(status="done"), "runs")
    expect(row).to_have_class("done")
    expect(row).to_contain_text("✓ Done")
    expect(page.locator(f"#run-{RUN}")).to_have_attribute("open", "")
    expect(page.locator("#chart rect.block.done")).to_have_count(2)  # the stop, and the key


def test_an_alert_opens_and_closes_while_one_looks(open_as: Open, served: Served):
    page = open_as("viewer", "zh")
    page.goto("/alerts")
    shown = page.locator("tr[data-alert]")
    expect(shown.first).to_be_attached()  # its group is closed
    before = shown.count()
    row = {
        "kind": "shortage",
        "place_id": "new-place",
        "class": "fiction",
        "opened_at": text("'2026-03-12T04:00:00Z'"),
        "changed_at": text("now()"),
    }
    told(served, insert(alerts).values(**row, numbers={"level": 0, "low": 3, "high": 8}), "alert")
    expect(shown).to_have_count(before + 1)
    expect(page.locator("tr", has_text="new-place")).to_contain_text("在架 0 册，在途 0 册，目标 3 至 8 册")
    told(served, update(alerts).where(alerts.c.place_id == "new-place").values(closed_at=text("now()")), "alert")
    expect(shown).to_have_count(before)


def test_a_run_is_approved_on_one_screen_and_seen_on_another(open_as: Open, served: Served):
    looking, deciding = open_as("viewer", "zh"), open_as("dispatcher")
    chip = looking.locator(f"#run-{RUN} > summary .chip")
    expect(chip).to_have_text("待批准")
    expect(looking.locator("button", has_text="批准")).to_have_count(0)
    deciding.locator(f"#run-{RUN} > summary").click()
    deciding.locator(f"#run-{RUN} button", has_text="Approve the run").click()
    expect(chip).to_have_text("已下达")
    expect(looking.locator("#decided")).to_contain_text("dispatcher")


def test_a_hub_is_sent_back_with_a_reason_and_not_without(open_as: Open, served: Served):
    page = open_as("dispatcher", "zh", PHONE)
    page.goto(f"/today?hub={HUB}")
    page.locator("#summary [data-send-back]").click()
    page.locator("dialog button.primary").click()
    expect(page.locator("dialog")).to_be_visible()  # nothing was said yet
    page.fill("dialog textarea", "大雪封路")
    page.locator("dialog button.primary").click()
    expect(page.locator("#decided")).to_contain_text("大雪封路")
    with served.engine.connect() as connection:
        assert connection.scalar(select(day_plans.c.status).where(day_plans.c.hub_id == HUB)) == "sent_back"


def test_whoever_decides_on_an_old_page_is_told_who_was_first(open_as: Open, served: Served):
    slow, quick = open_as("administrator", "zh"), open_as("dispatcher")
    slow.route("**/today?*part=*", lambda route: route.abort())  # this page hears nothing more
    quick.locator("#summary button.primary").click()
    expect(quick.locator("#summary")).to_contain_text("Ordered")
    slow.locator("#summary button.primary").click()
    expect(slow.locator("[role=alert]")).to_contain_text("dispatcher 已于")
    with served.engine.connect() as connection:
        assert "draft" not in set(connection.scalars(select(runs.c.status)))


def test_the_run_sheet_prints_on_a4(open_as: Open, tmp_path: Path):
    page = open_as("viewer", "zh")
    page.goto(f"/runs/{RUN}/sheet")
    page.emulate_media(media="print")
    expect(page.locator("button")).to_be_hidden()
    expect(page.locator("h1")).to_have_text("行车单 · 古渡区图书馆 1 号车")
    assert page.pdf(path=tmp_path / "sheet.pdf", prefer_css_page_size=True).startswith(b"%PDF")


def test_kafka_that_goes_away_is_told_and_forgotten_when_it_is_back(open_as: Open, served: Served):
    page = open_as("viewer")
    banner = page.locator("[data-trouble=kafka]")
    expect(banner).to_be_hidden()
    served.broker.go()
    expect(banner).to_be_visible(timeout=12_000)
    served.broker.come()
    expect(banner).to_be_hidden(timeout=12_000)


@pytest.mark.parametrize(("language", "said"), [("en", "t does not exist any more"), ("zh", "t 已不存在")])
def test_a_topic_that_is_not_as_it_was_is_a_banner_while_one_looks(
    language: str, said: str, open_as: Open, served: Served
):
    page, words = open_as("viewer", language=language), identity.TopicFinding("gone", {"topic": "t"}).words()
    banner = page.locator("#kafka-findings .banner")
    expect(banner).to_have_count(0)
    topic = insert(topics_read).values(topic="t", cluster_id="c", topic_id="i", partitions=6, findings=[words])
    told(served, topic, "alerts")
    expect(banner).to_contain_text(said)
    told(served, delete(topics_read), "alerts")
    expect(banner).to_have_count(0)


def test_a_session_that_ends_while_the_page_is_open_is_told(open_as: Open):
    page = open_as("viewer", "zh")
    page.context.clear_cookies()
    page.evaluate("document.body.dispatchEvent(new CustomEvent('changed-runs'))")
    expect(page.locator("[data-trouble=session]")).to_contain_text("登录已过期。")
    expect(page.locator("#runs")).to_be_visible()  # what was there stays


def test_a_database_away_for_a_while_is_told_and_the_page_goes_on_without_reloading(open_as: Open, served: Served):
    page = open_as("viewer", "zh")
    page.goto("/alerts")
    page.evaluate("window.neverReloaded = true")
    shown = page.locator("tr[data-alert]")
    expect(shown.first).to_be_attached()  # its group is closed
    before, banner = shown.count(), page.locator("[data-trouble=database]")
    served.postgres.stop()
    expect(banner).to_be_visible()
    expect(banner).to_contain_text("暂时无法连接数据库")
    expect(shown).to_have_count(before)
    served.postgres.start()
    served.postgres.wait()
    with served.engine.begin() as connection:  # told to nobody: the page looks when it is back
        connection.execute(update(alerts).where(alerts.c.place_id == "central").values(closed_at=text("now()")))
        row = {
            "kind": "surplus",
            "place_id": "after-the-storm",
            "opened_at": text("now()"),
            "changed_at": text("now()"),
            "numbers": {},
        }
        connection.execute(insert(alerts).values(**row))
    expect(page.locator("tr", has_text="after-the-storm")).to_be_attached()
    expect(banner).to_be_hidden()
    assert page.evaluate("window.neverReloaded")


def test_a_change_is_planned_beside_today_while_one_waits_and_drawn(open_as: Open):
    page = open_as("dispatcher", "zh")
    page.locator("nav details", has=page.locator("a[href='/what-if']")).locator("summary").click()
    page.click("nav a[href='/what-if']")
    page.fill("[name=moves]", "500")
    page.select_option("[name=closed]", demo().places[6].id)
    page.click("main button.primary")
    expect(page.locator("#answer[data-answered]")).to_be_visible()
    expect(page.locator("#answer rect")).to_have_count(18)
    expect(page.locator("#answer")).to_contain_text("改变后")
    expect(page.locator("[name=moves]")).to_have_value("500")
    assert faults(page) == []


def test_a_place_is_closed_for_snow_by_keyboard_and_a_mistake_keeps_the_input(open_as: Open):
    page = open_as("administrator", "zh")
    page.goto("/closures")
    page.locator("[name=last]").focus()
    page.fill("[name=last]", "2026-03-01")
    page.locator("form.upkeep [name=places]").first.select_option("gudu-library")
    page.fill("[name='why.zh']", "大雪")
    page.keyboard.press("Enter")
    wrong = page.locator("#wrong-exception, #wrong-last, .because")
    expect(wrong.first).to_contain_text("早于首日")
    expect(page.locator("[name=last]")).to_have_value("2026-03-01")
    expect(page.locator("[name='why.zh']")).to_have_value("大雪")
    assert faults(page) == []
    page.fill("[name=last]", page.input_value("[name=first]"))
    page.locator("[name=last]").press("Enter")
    expect(page.locator("[data-table=closures]")).to_contain_text("大雪")
    page.goto("/today")
    expect(page.locator(".summary")).to_contain_text("排定于网络修改之前")
    page.goto("/closures")
    page.locator("form[action$='/remove'] button").press("Enter")
    expect(page.locator(".because")).to_contain_text("已保存")
    expect(page.locator("[data-table=closures]")).to_have_count(0)


def test_a_question_that_cannot_be_answered_says_so_where_one_waits(open_as: Open):
    page = open_as("viewer")
    page.goto("/imbalance")
    page.fill("main [name=title]", "t-unheard")
    page.select_option("main [name=place]", demo().places[6].id)
    page.click("main form[action='/why-not'] button")
    expect(page.locator("#answer")).to_contain_text("no night has been planned yet")
