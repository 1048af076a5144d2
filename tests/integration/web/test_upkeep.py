"""Upkeep by page: an edit of each kind, mistakes beside their fields, two people at once, files out and in, who may."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, select

from config.settings import Settings
from rotation.accounts.permissions import PERMISSIONS, Role
from rotation.store import networks
from rotation.store.tables import decisions, network_changes
from rotation.web.app import _look_once, create_app
from tests.integration.web.conftest import SignedIn
from tests.web_city import DAY, DEMO

TOMORROW = DAY + timedelta(days=1)
PLACE = "gudu-library"


@pytest.fixture(autouse=True)
def _from_the_file(engine: Engine, app: object) -> Iterator[None]:
    yield
    with engine.begin() as connection:
        connection.execute(delete(network_changes))
    web = app.state.web  # type: ignore[attr-defined]
    web.network = web.given


def form_of(browser: TestClient, path: str, at: str = "") -> dict[str, list[str]]:
    """Return the fields of the page's form that posts to `at` (its own address) as a browser would send them."""
    html = browser.get(path).text
    form = next(one for one in html.split("<form ")[1:] if f'action="{at or path}"' in one).split("</form>")[0]
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input[^>]*?name="([^"]+)"[^>]*?value="([^"]*)"', form):
        fields.setdefault(name, []).append(value)
    for name, body in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        fields.setdefault(name, []).extend(re.findall(r'value="([^"]*)" selected', body))
    for name, text in re.findall(r'<textarea name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL):
        fields.setdefault(name, []).append(text.replace("\n", "\r\n"))  # as browsers send it
    return fields


def save(browser: TestClient, path: str, at: str = "", **changes: object) -> str:
    """Send a page's form with some fields changed; return the main part of the page that answers."""
    fields = form_of(browser, path, at) | {name.replace("__", "."): value for name, value in changes.items()}
    answer = browser.post(at or path, data=fields, headers={"Referer": f"http://testserver{path}"})
    assert answer.status_code == 303, answer.text
    return browser.get(answer.headers["location"]).text.split("<main")[1]


EDITS = [
    ("place", PLACE, {"phone": "0571-5550100", "hours__mon": "09:00-12:00 13:30-17:00"}, ["phone", "hours"]),
    ("place", PLACE, {"shelf": "fiction = 900\r\nlife = 100"}, ["shelf"]),
    ("place", PLACE, {"lat": "30.98", "lon": "112.03"}, ["lat", "lon"]),
    (
        "van",
        "van-gudu-1",
        {"crates": "31", "driver": "李师傅", "phone": "138 0000 0000"},
        ["crates", "driver", "phone"],
    ),
    ("owner", "city", {"asks": "education"}, ["asks"]),
    (
        "floors",
        "all",
        {"holdings_per_head": "1.2", "fresh_per_quarter": "room = 40"},
        ["holdings_per_head", "fresh_per_quarter"],
    ),
    ("network", "all", {"copies_per_crate": "30"}, ["copies_per_crate"]),
]


@pytest.mark.parametrize(("table", "row", "changes", "fields"), EDITS)
def test_an_edit_holds_from_its_day_and_changes_its_own_lines_alone(
    engine: Engine, signed_in: SignedIn, table: str, row: str, changes: dict[str, str], fields: list[str]
):
    browser = signed_in("administrator")
    said = save(browser, f"/upkeep/{table}/{row}", **changes, holds_from=str(TOMORROW), why="new lease")
    assert f"It holds from {TOMORROW}" in said
    assert browser.get("/network.toml").content == DEMO.read_bytes()
    before = DEMO.read_text(encoding="utf-8").splitlines()
    after = browser.get(f"/network.toml?on={TOMORROW}").text.splitlines()
    changed = {line.partition(" =")[0] for line in {*before} ^ {*after}}
    assert changed == set(fields)
    with engine.connect() as connection:
        made = connection.execute(select(decisions).order_by(decisions.c.id.desc())).first()
    assert made is not None
    assert (made.who, made.what, made.why) == ("administrator", "upkeep", "new lease")
    assert made.details["holds_from"] == str(TOMORROW)
    assert set(made.details["changes"][0][2]) == set(fields)
    assert "new lease" in browser.get("/upkeep").text


def test_rows_come_and_go(signed_in: SignedIn, app: object):
    browser = signed_in("administrator")
    fields = {"new_id": "van-new", "hub": "gudu-library", "crates": "20", "holds_from": str(DAY)}
    save(browser, "/upkeep/van/_new", **fields)
    web = app.state.web  # type: ignore[attr-defined]
    assert "van-new" in {van.id for van in web.network.vans}
    assert save(browser, "/upkeep/van/van-new", "/upkeep/van/van-new/remove").count(">van-new<") == 0
    assert "van-new" not in {van.id for van in web.network.vans}
    assert browser.get("/upkeep/van/van-new").status_code == 404
    said = save(browser, "/upkeep/van/_new", **{**fields, "new_id": "no id"})
    assert "Nothing was changed" in said


@pytest.mark.parametrize(
    ("path", "changes", "field", "said"),
    [
        (f"/upkeep/place/{PLACE}", {"hours__tue": "18:00-09:00"}, "hours", "18:00-09:00 ends before it begins."),
        (f"/upkeep/place/{PLACE}", {"lat": "north"}, "lat", "A number is expected"),
        (f"/upkeep/place/{PLACE}", {"parent": PLACE}, "parent", "would be under itself"),
        ("/upkeep/van/van-gudu-1", {"crates": "0"}, "crates", "More than 0"),
        ("/upkeep/owner/city", {"lends_to": "nobody"}, "lends_to", "is not known"),
        ("/upkeep/floors/all", {"holdings_per_head": "-1"}, "holdings_per_head", "At least 0"),
    ],
)
def test_a_mistake_is_said_beside_its_field_and_the_input_kept(
    engine: Engine, signed_in: SignedIn, path: str, changes: dict[str, str], field: str, said: str
):
    html = save(signed_in("administrator"), path, **changes)
    beside = re.search(rf'id="wrong-{field}" role="alert">([^<]*)<', html)
    assert beside
    assert said in beside[1]
    assert f'aria-describedby="wrong-{field}"' in html
    name, value = next(iter(changes.items()))
    assert f"[&#34;{name.replace('__', '.')}&#34;, &#34;{value}&#34;]" in html
    with engine.connect() as connection:
        assert connection.execute(select(network_changes).where(network_changes.c.who != "")).first() is None


def test_days_that_are_over_and_forms_without_a_difference_change_nothing(engine: Engine, signed_in: SignedIn):
    browser = signed_in("administrator")
    yesterday = str(DAY - timedelta(days=1))
    assert "That day is over" in save(browser, "/upkeep/van/van-gudu-1", crates="9", holds_from=yesterday)
    assert "Nothing differs" in save(browser, f"/upkeep/place/{PLACE}")
    with engine.connect() as connection:
        assert networks.history(connection) == []


def test_of_two_people_at_once_the_second_is_refused_with_who_was_first_and_loses_nothing(
    signed_in: SignedIn, app: object
):
    one, other = signed_in("administrator"), signed_in("administrator")
    path = "/upkeep/van/van-gudu-1"
    seen = form_of(other, path)
    save(one, path, crates="31")
    answer = other.post(path, data=seen | {"driver": ["王师傅"]})
    html = other.get(answer.headers["location"]).text
    assert "administrator changed this on" in html
    assert r'"driver&#34;, &#34;\u738b\u5e08\u5085&#34;' in html.replace("[&#34;", '"')
    assert "crates&#34;, &#34;20" not in html
    assert 'name="crates" value="31"' in html
    save(other, path, driver="王师傅")
    van = next(one for one in app.state.web.network.vans if one.id == "van-gudu-1")  # type: ignore[attr-defined]
    assert (van.crates, van.driver) == (31, "王师傅")
    save(one, "/upkeep/van/van-gudu-2", crates="12", seen="1")  # another row is nobody's concern


def test_of_two_who_save_at_the_same_moment_one_is_refused(signed_in: SignedIn, engine: Engine):
    path, browsers = "/upkeep/van/van-gudu-1", [signed_in("administrator") for _ in range(4)]
    save(browsers[0], "/upkeep/network/all", copies_per_crate="26")  # so that the file is taken already
    forms = [form_of(browser, path) | {"crates": [str(40 + n)]} for n, browser in enumerate(browsers)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda both: both[0].post(path, data=both[1]), zip(browsers, forms, strict=True)))
    said = [browser.get(path).text for browser in browsers]
    assert sum("changed this on" in html for html in said) == 3
    with engine.connect() as connection:
        assert len([one for one in networks.history(connection) if one.who]) == 2


def test_a_later_change_stays_above_an_earlier_day(
    signed_in: SignedIn, app: object, engine: Engine, settings: Settings
):
    browser, path = signed_in("administrator"), "/upkeep/van/van-gudu-1"
    save(browser, path, crates="40", holds_from=str(DAY + timedelta(days=9)))
    save(browser, path, crates="30", driver="Li", holds_from=str(TOMORROW))
    with engine.connect() as connection:
        given = app.state.web.given  # type: ignore[attr-defined]
        held = [
            next(
                (van.crates, van.driver)
                for van in networks.in_force(connection, given, DAY + timedelta(days=days)).vans
                if van.id == "van-gudu-1"
            )
            for days in (0, 1, 8, 9)
        ]
    assert held[0][1] is None
    assert held[1:] == [(30, "Li"), (30, "Li"), (40, "Li")]
    html = save(browser, path, "/upkeep/van/van-gudu-1/remove", holds_from=str(TOMORROW))
    assert "which would be gone" in html  # the change that stands for the ninth day would have no van
    assert str(DAY + timedelta(days=9)) in html


def test_snow_closes_places_today_and_flags_the_plan(signed_in: SignedIn, app: object, engine: Engine):
    dispatcher = signed_in("dispatcher")
    assert "Planned before a change" not in dispatcher.get(f"/today?day={DAY}").text
    html = save(dispatcher, "/closures", "/closures/_new", places=[PLACE, "central"], why__en="Snow", why__zh="雪")
    assert "Snow" in html
    place = app.state.web.network.place  # type: ignore[attr-defined]
    assert (place[PLACE].receiving_spans(DAY), place[PLACE].receiving_spans(TOMORROW) != ()) == ((), True)
    assert "Planned before a change of the network (dispatcher" in dispatcher.get(f"/today?day={DAY}").text
    remove = re.search(r'action="(/closures/[^"]+/remove)"', html)
    assert remove
    dispatcher.post(remove[1], data=form_of(dispatcher, "/closures", remove[1]))
    assert app.state.web.network.place[PLACE].receiving_spans(DAY) != ()  # type: ignore[attr-defined]
    assert "Planned before a change" not in dispatcher.get(f"/today?day={DAY}").text


def test_a_closure_of_another_day_flags_no_plan_of_today(signed_in: SignedIn):
    dispatcher = signed_in("dispatcher")
    next_week = str(DAY + timedelta(days=7))
    save(dispatcher, "/closures", "/closures/_new", first=next_week, last="")
    assert "until further notice" in dispatcher.get("/closures").text
    assert "Planned before a change" not in dispatcher.get(f"/today?day={DAY}").text


def test_public_holidays_close_and_worked_days_open(signed_in: SignedIn, app: object):
    dispatcher = signed_in("dispatcher")
    days = ["2026-05-01", "2026-05-09"]
    html = save(dispatcher, "/closures", "/holidays", days=days, places=[PLACE])
    assert "Labor Day" in html
    place = app.state.web.network.place[PLACE]  # type: ignore[attr-defined]
    assert place.weekday_on(DAY.replace(month=5, day=4)) is None
    assert place.weekday_on(DAY.replace(month=5, day=9)) == 1  # for 5 May, a Tuesday
    assert html.count("kept already") == 2
    assert "劳动节" in dispatcher.get("/closures", headers={"Accept-Language": "zh"}).text


def test_a_file_is_compared_before_it_is_taken_and_given_out_as_it_was(signed_in: SignedIn, app: object):
    browser = signed_in("administrator")
    content = DEMO.read_bytes().replace(b"copies_per_crate = 25", b"copies_per_crate = 26").replace(b"\n", b"\r\n")
    looked = browser.post("/network/import", files={"file": ("mine.toml", content)})
    assert "copies_per_crate = 26" in looked.text
    fields = dict(re.findall(r'<input[^>]*?name="(content|seen)"[^>]*?value="([^"]*)"', looked.text))
    browser.post("/network/accept", data=fields | {"holds_from": str(TOMORROW)})
    assert browser.get("/network.toml").content == DEMO.read_bytes()
    assert browser.get(f"/network.toml?on={TOMORROW}").content == content
    again = browser.post("/network/accept", data=fields | {"holds_from": str(TOMORROW)})
    assert "changed the network meanwhile" in browser.get(again.headers["location"]).text
    wrong = browser.post("/network/import", files={"file": ("mine.toml", content.replace(b"\r\ntier", b"\r\nteir", 1))})
    assert "network.toml:" in wrong.text
    assert "content" not in dict(re.findall(r'name="(content)"()', wrong.text))


def test_a_file_that_changed_beside_the_pages_is_offered_and_neither_is_lost(
    engine: Engine, settings: Settings, signed_in: SignedIn, tmp_path: Path
):
    file = tmp_path / "city.toml"
    file.write_bytes(DEMO.read_bytes())
    app = create_app(settings.model_copy(update={"network": file}))
    browser = TestClient(
        app,
        headers={"Sec-Fetch-Site": "same-origin", "Accept": "text/html", "Accept-Language": "en"},
        follow_redirects=False,
    )  # type: ignore[arg-type]
    browser.post("/sign-in", data={"name": "administrator", "password": "a long password"})
    save(browser, "/upkeep/van/van-gudu-1", crates="31")
    file.write_bytes(DEMO.read_bytes().replace(b"copies_per_crate = 25", b"copies_per_crate = 26"))
    assert "has changed since it was taken" in browser.get("/upkeep").text
    held = app.state.web.network
    assert (held.network.copies_per_crate, held.vans[0].crates) != (26, 20)
    looked = browser.post("/network/import").text
    assert "+copies_per_crate = 26" in looked
    assert "-crates = 31" in looked
    assert browser.post("/network/leave-file").status_code == 303
    assert "has changed since it was taken" not in browser.get("/upkeep").text
    assert "crates = 31" in browser.get("/network.toml").text


def test_another_process_takes_the_new_network_at_its_next_look(settings: Settings, signed_in: SignedIn):
    other = create_app(settings).state.web
    save(signed_in("administrator"), "/upkeep/network/all", copies_per_crate="30")
    assert other.network.network.copies_per_crate == 25
    _look_once(other)
    assert other.network.network.copies_per_crate == 30


ROUTES = [route for route in PERMISSIONS if re.search(r"/(upkeep|closures|holidays|network)\b", route)]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DISPATCHER, Role.ADMINISTRATOR])
def test_each_route_is_closed_to_other_roles(signed_in: SignedIn, role: Role):
    browser = signed_in(role)
    for route in ROUTES:
        method, path = route.replace("{table}", "van").replace("{row_id}", "van-gudu-1").split()
        assert (browser.request(method, path).status_code == 403) == (role not in (PERMISSIONS[route] or ())), route
    assert len(ROUTES) == 14


def test_pages_speak_chinese(signed_in: SignedIn):
    browser = signed_in("administrator")
    for path in (
        "/closures",
        "/upkeep",
        "/upkeep/place",
        "/upkeep/van",
        f"/upkeep/place/{PLACE}",
        "/upkeep/floors/all",
    ):
        text = browser.get(path, headers={"Accept-Language": "zh"}).text.split("<main")[1]
        assert re.search(r"<h1>[^<]*[\u4e00-\u9fff]", text), path
        assert not re.search(r">(Save|Changes|Holds from|Name|Remove)\b", text), path
