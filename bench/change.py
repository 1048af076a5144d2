"""Changing a plan of many stops by page: how soon it is usable, and a change judged and drawn; many reviewers. JSON lines.

    python -m bench.change [--stops 300] [--changes 40] [--reviewers 50] [--seconds 60]

A browser opens the plan, and moves stops one after the other as a drag does: from the form's sending until the judged plan and
its map stand there again. Then reviewers change the plans of several hubs over HTTP, each every five seconds. A reviewer who was
not the first tries again on the page as it is now; afterwards every change that was answered as made must stand in a draft.
"""

import argparse
import asyncio
import json
import os
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import Engine, select, update

from bench.web import CHROMIUM, PASSWORD, processes, quantiles, ready, wait_for
from infra.ports import HOST, new_port
from infra.postgres import embedded_postgres
from rotation.accounts import auth
from rotation.accounts.permissions import Role
from rotation.network import Network, from_tables
from rotation.store import migrate
from rotation.store.engine import engine as engine_of
from rotation.store.network_text import as_toml
from rotation.store.tables import day_plans, plan_drafts, users
from tests import web_city

STOPS_A_VAN = 12
EVERY_S = 5.0
OPENED = 8  # times that the browser opens the page
HUBS = 10
SEED = 7
# A page without the map's tiles is usable when its rows can be chosen and its map is drawn.
USABLE = "#runs tr[data-visit] a"
DRAWN = "#map[data-drawn]"
VERSION = re.compile(r'name="version" value="(\d+)"')
VISIT = re.compile(r'data-visit="([^"]+)" draggable')


def town(places: int, hubs: int) -> Network:
    """Return a network of so many places around hubs, each with vans for all of its places."""
    network = web_city.large(places + hubs)
    raw = network.model_dump(mode="json", by_alias=True, exclude_none=True)
    for number, place in enumerate(raw["place"]):
        place.pop("hub", None)
        place |= {"tier": "room", "parent": f"p{number % hubs}", "hours": {"mon-sun": "08:00-18:00"}}
        if number < hubs:
            place |= {"tier": "district", "parent": "p0", "hub": {}} if number else {"tier": "central", "hub": {}}
        if not number:
            place.pop("parent")
    vans = max(places // hubs // STOPS_A_VAN, 2)
    raw["van"] = [{"id": f"van{hub}-{n}", "hub": f"p{hub}", "crates": 60} for hub in range(hubs) for n in range(vans)]
    return from_tables(raw, "change.toml")


@contextmanager
def served(network: Network, transfers: int) -> Iterator[tuple[str, Engine]]:
    """Serve a planned day of a network; yield the page's address."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-change-") as name,
        embedded_postgres(Path(name) / "postgres") as postgres,
    ):
        migrate.upgrade(postgres.url)
        engine = engine_of(postgres.url)
        with engine.begin() as connection:
            web_city.fill(connection, network, stops_a_run=STOPS_A_VAN + 1, transfers=transfers, copies_a_level=1)
            web_city.plan_really(connection, network)
            auth.add_user(connection, "dispatcher", PASSWORD, Role.DISPATCHER)
            connection.execute(update(users).values(must_change=False))
        written = as_toml(network.model_dump_json(by_alias=True), "network.json")
        Path(name, "network.toml").write_text(written, encoding="utf-8")
        port = new_port("page", set())
        environment = {
            "DATABASE_URL": postgres.url,
            "ROTATION_NETWORK": str(Path(name) / "network.toml"),
            "ROTATION_DATA_DIR": name,
            "ROTATION_WEB_PORT": str(port),
        }
        with processes(environment, Path(name), "rotation.web"):
            wait_for(lambda: ready(f"http://{HOST}:{port}"), "the page")
            yield f"http://{HOST}:{port}", engine
        engine.dispose()


# --- A browser ----------------------------------------------------------------------------------------------------------------


def one_person(stops: int, changes: int) -> Iterator[dict[str, Any]]:
    """Measure a browser that opens a hub's plan of so many stops, and changes it."""
    network = town(stops, 1)
    with served(network, stops * 8) as (address, engine), sync_playwright() as playwright:
        with engine.connect() as connection:
            plan = connection.scalar(select(day_plans.c.day_plan_id))
        program = next(path for path in CHROMIUM if Path(path).exists())
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_page(base_url=address, viewport={"width": 1440, "height": 900})
        page.goto("/sign-in")
        page.fill("[name=name]", "dispatcher")
        page.fill("[name=password]", PASSWORD)
        page.click("main button.primary")
        page.wait_for_url("**/today")
        opened = [shown_ms(page, f"/plans/{plan}/change") for _ in range(OPENED + 1)][1:]
        about = {"stops": page.locator("#runs tr[data-visit] a").count(), "load": round(os.getloadavg()[0], 1)}
        yield {"figure": "plan opened until usable", **about, **quantiles(opened), "asked_ms": 1_500}
        draw = random.Random(SEED)
        moved = [moved_ms(page, draw) for _ in range(changes)]
        yield {
            "figure": "change judged and drawn",
            **about,
            "changes": changes,
            **quantiles(moved),
            "asked_p95_ms": 200,
        }
        yield {"figure": "scrolled from end to end", **about, "longest_frame_ms": longest_frame_ms(page)}
        browser.close()


def shown_ms(page: Page, path: str) -> float:
    """Return the milliseconds until a page's rows and map are there."""
    begin = time.perf_counter()
    page.goto(path, wait_until="commit")
    page.wait_for_selector(USABLE)
    page.wait_for_selector(DRAWN)
    return (time.perf_counter() - begin) * 1000


MOVE = """([visit, van, before]) => {
  delete document.getElementById("map").dataset.drawn;
  const form = document.getElementById("moved");
  Object.assign(form.elements.kind, {value: "move"}); form.elements.visit.value = visit;
  form.elements.van.value = van; form.elements.before.value = before; form.requestSubmit();
}"""
PLACES_IN_RUNS = """() => [...document.querySelectorAll("#runs tr[data-visit][draggable]")]
  .map((row) => [row.dataset.visit, row.closest("table").dataset.van])"""
BACK = f"() => document.querySelector({json.dumps(USABLE)}) && document.querySelector({json.dumps(DRAWN)})"


def moved_ms(page: Page, draw: random.Random) -> float:
    """Move a random stop before another; return the milliseconds until the judged plan stands there again."""
    (visit, _), (before, van) = draw.sample(page.evaluate(PLACES_IN_RUNS), 2)
    begin = time.perf_counter()
    page.evaluate(MOVE, [visit, van, before])
    page.wait_for_function(BACK, polling=5)
    return (time.perf_counter() - begin) * 1000


FRAMES = """() => new Promise((done) => {
  let last = performance.now(), longest = 0, y = 0;
  const step = (now) => {
    longest = Math.max(longest, now - last); last = now; y += 120; scrollTo(0, y);
    if (y < document.body.scrollHeight) requestAnimationFrame(step); else done(longest);
  };
  requestAnimationFrame(step);
})"""


def longest_frame_ms(page: Page) -> float:
    """Scroll through the page; return the longest time between two frames."""
    return round(float(page.evaluate(FRAMES)), 1)


# --- Many reviewers -----------------------------------------------------------------------------------------------------------


def many(stops: int, reviewers: int, seconds: float) -> dict[str, Any]:
    """Let reviewers change the plans of several hubs at once; return their times, and changes that are missing."""
    network = town(stops, HUBS)
    with served(network, stops * 8) as (address, engine):
        with engine.connect() as connection:
            plans = list(connection.scalars(select(day_plans.c.day_plan_id).order_by(day_plans.c.day_plan_id)))
        times, made, met = asyncio.run(reviewed(address, plans, reviewers, seconds))
        with engine.connect() as connection:
            kept = {
                plan: len(edits)
                for plan, edits in connection.execute(select(plan_drafts.c.day_plan_id, plan_drafts.c.edits))
            }
    lost = sum(abs(made[plan] - kept.get(plan, 0)) for plan in plans)
    return {
        "figure": "reviewers at once: a change, from its sending to the judged page",
        "reviewers": reviewers,
        "plans": len(plans),
        "drafts": len(kept),
        "stops": stops,
        "seconds": seconds,
        "changes": made.total(),
        "others_were_first": met,
        "lost": lost,
        "load": round(os.getloadavg()[0], 1),
        **quantiles(times),
        "asked_p95_ms": 300,
    }


async def reviewed(
    address: str, plans: list[str], reviewers: int, seconds: float
) -> tuple[list[float], Counter[str], int]:
    """Return the milliseconds of each change, the changes made by plan, and how often another was first."""
    times: list[float] = []
    made: Counter[str] = Counter()
    met = [0]
    end = time.monotonic() + seconds
    headers = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30, follow_redirects=True) as entrance:
        await entrance.post("/sign-in", data={"name": "dispatcher", "password": PASSWORD})
        cookies = entrance.cookies

        async def review(number: int) -> None:
            draw, plan = random.Random(SEED + number), plans[number % len(plans)]
            async with httpx.AsyncClient(
                base_url=address, headers=headers, cookies=cookies, timeout=30, follow_redirects=True
            ) as person:
                shown = (await person.get(f"/plans/{plan}/change")).text
                await asyncio.sleep(draw.uniform(0, EVERY_S))
                while time.monotonic() < end:
                    visit, version = draw.choice(VISIT.findall(shown)), VERSION.search(shown)
                    form = {"kind": "lock", "visit": visit, "version": version[1] if version else "0"}
                    begin = time.perf_counter()
                    answer = await person.post(f"/plans/{plan}/edits", data=form)
                    times.append((time.perf_counter() - begin) * 1000)
                    answer.raise_for_status()
                    shown, was_second = answer.text, "before you" in answer.text or "在您之前" in answer.text
                    if was_second:
                        met[0] += 1
                        continue
                    made[plan] += 1
                    await asyncio.sleep(draw.uniform(0.5, 1.5) * EVERY_S)

        await asyncio.gather(*(review(number) for number in range(reviewers)))
    return times, made, met[0]


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=300)
    parser.add_argument("--changes", type=int, default=40)
    parser.add_argument("--reviewers", type=int, default=50, help="0: only the browser")
    parser.add_argument("--seconds", type=float, default=60.0)
    wanted = parser.parse_args()
    about = {"bench": "change", "seed": SEED}
    for figure in one_person(wanted.stops, wanted.changes):
        print(json.dumps(about | figure), flush=True)
    if wanted.reviewers:
        print(json.dumps(about | many(wanted.stops, wanted.reviewers, wanted.seconds)), flush=True)


if __name__ == "__main__":
    main()
