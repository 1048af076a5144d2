"""What the pages say, in both languages; parts of them; addresses that lead nowhere; a database that goes away."""

import re
from collections.abc import Callable
from io import BytesIO

import orjson
import pytest
from fastapi.testclient import TestClient
from pypdf import PdfReader
from sqlalchemy import Engine, delete, insert, select, text, update

from config.settings import Settings
from rotation.accounts.permissions import Role
from rotation.facts.parts import Needed
from rotation.feeds.staying import Outage
from rotation.store import topic_identity as identity
from rotation.store.tables import day_plans, rejections, runs, topics_read
from rotation.web.app import create_app
from tests.integration.web.conftest import AS_A_PAGE, PASSWORD, SignedIn
from tests.web_city import DAY, PAGES

CHINESE = {"Accept-Language": "zh-CN"}
RUN = f"{DAY:%Y%m%d}-van-gudu-1"


@pytest.fixture
def viewer(signed_in: SignedIn) -> TestClient:
    return signed_in("viewer")


@pytest.mark.parametrize("path", PAGES)
def test_each_page_speaks_the_language_it_is_asked_in(path: str, viewer: TestClient):
    english, chinese = viewer.get(path), viewer.get(path, headers=CHINESE)
    assert (english.status_code, chinese.status_code) == (200, 200)
    assert '<html lang="en">' in english.text
    assert '<html lang="zh-CN">' in chinese.text
    assert "图书流转" in chinese.text


def words_of(html: str) -> set[str]:
    """Return what stands between tags and is no name, number or code."""
    body = re.sub(r"<(script|pre|code|option|title|small)\b.*?</\1>", " ", html.split("<main", 1)[1], flags=re.S)
    return {piece.strip() for piece in re.split(r"<[^>]+>", body) if piece.strip()}


@pytest.mark.parametrize("path", ["/alerts", "/feeds", "/unplaced", "/rejections", "/prices", "/sets", "/decisions"])
def test_a_chinese_page_has_no_english_sentence(path: str, viewer: TestClient):
    english = {
        piece
        for piece in words_of(viewer.get(path, headers=CHINESE).text)
        if re.search(r"[A-Za-z]+ [a-z]+ [a-z]+", piece)
    }
    assert {piece for piece in english if "rotation rejected replay" not in piece} == set()


def test_the_switch_at_the_top_outlives_the_browser_s_wish(viewer: TestClient):
    answer = viewer.get("/language/zh?next=/alerts?kind=shortage")
    assert answer.headers["location"] == "/alerts?kind=shortage"
    assert '<html lang="zh-CN">' in viewer.get("/alerts").text


def test_today_shows_runs_stops_transfers_reasons_and_what_is_not_served(viewer: TestClient):
    html = viewer.get("/today").text
    assert "van-gudu-1" in html
    assert "The day over time" in html
    assert "A reader waits for it there." in html
    assert "The place has no coordinates, so that no van can be sent there." in html
    assert html.count('<tr class="planned">') == 64


def test_the_transfers_of_a_run_a_place_and_a_word_are_found(viewer: TestClient):
    def rows(query: str) -> int:
        return viewer.get(f"/today?part=transfers&{query}").text.count("<tr>") - 1

    assert rows("") == 60
    assert rows("page=3") == 40
    assert 0 < rows(f"run={RUN}") < 60
    assert rows("text=c77") == 1
    assert rows("text=100%25_") <= 0
    assert rows("kind=shipment") == 40


def test_a_part_is_the_part_and_nothing_around_it(viewer: TestClient):
    html = viewer.get("/today?part=runs").text
    assert html.lstrip().startswith("<section")
    assert "<html" not in html


@pytest.mark.parametrize("part", ["title", "main", "nothing", "__class__"])
def test_only_blocks_of_the_page_are_parts(part: str, viewer: TestClient):
    assert viewer.get(f"/today?part={part}").status_code in (200, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/transfers/none",
        "/runs/none/sheet",
        "/runs/none/sheet.pdf",
        "/language/xx",
        "/transfers/%00",
        "/runs/%2e%2e",
    ],
)
def test_what_does_not_exist_is_told_in_words(path: str, viewer: TestClient):
    answer = viewer.get(path, headers=CHINESE)
    assert answer.status_code == 404
    assert "该地址没有内容，或内容已不存在。" in answer.text


@pytest.mark.parametrize(
    "path", ["/today?day=tomorrow", "/today?page=0", "/today?page=x", "/today/map.json", "/imbalance?place=%00"]
)
def test_what_cannot_be_understood_is_told_in_words(path: str, viewer: TestClient):
    assert viewer.get(path).status_code in (404, 422)


def test_a_day_without_a_plan_says_so(viewer: TestClient):
    assert "No run on this day." in viewer.get("/today?day=2001-01-01").text


def test_a_transfer_shows_its_reason_its_numbers_and_its_way(viewer: TestClient):
    html = viewer.get(f"/transfers/plan-{DAY:%Y%m%d}-c0", headers=CHINESE).text
    assert "目的地有读者预约等候。" in html
    assert html.count("<td>收</td>") == 1


def test_the_map_has_every_located_place_and_every_run(viewer: TestClient):
    found = viewer.get(f"/today/map.json?day={DAY}").json()
    assert len(found["runs"]) == 8
    assert len(found["places"]) >= 80
    assert len(viewer.get("/imbalance/map.json").json()["places"]) >= 80


def test_imbalance_narrows_to_a_tier_a_class_and_a_kind(viewer: TestClient):
    html = viewer.get("/imbalance?part=levels&tier=room&cls=fiction&kind=shortage").text
    assert "▼" in html
    assert "▲" not in html


def test_a_rejected_event_shows_its_reason_and_its_bytes_to_those_who_decide(signed_in: SignedIn):
    html = signed_in("dispatcher").get("/rejections").text
    assert "The time has no zone. Add +08:00 or Z." in html
    assert "\\xff" in html


@pytest.mark.parametrize("path", ["/rejections", "/api/rejections"])
def test_a_viewer_sees_of_a_rejected_event_the_forms_of_its_fields_alone(
    path: str, signed_in: SignedIn, viewer: TestClient, engine: Engine
):
    name, unit = "Wang Xiaoming", {"data": {"reason": "for Wang Xiaoming"}}
    with engine.begin() as connection:
        rejected = {
            "topic": "http",
            "partition": 0,
            "offset": 77,
            "index": len(path),
            "reason": "schema",
            "field": "data",
        }
        words = {"message": f"no such reason '{name}'", "original": orjson.dumps(unit)}
        connection.execute(insert(rejections).values(**rejected, **words))
    assert name in signed_in("dispatcher").get(path).text
    seen = viewer.get(path).text
    assert name not in seen
    assert "Aaaa Aaaaaaaa" in seen
    assert "reason" in seen


def test_a_silent_feed_is_told_from_one_that_is_heard(viewer: TestClient):
    html = viewer.get("/feeds").text
    assert (html.count("✕ Silent"), html.count("✓ Heard")) == (1, 1)


def test_a_feed_that_is_away_says_since_when_and_what_it_cannot_reach(viewer: TestClient, engine: Engine):
    outage = Outage(engine, "koha-town")
    outage.begin("the library system's database cannot be reached: (2003, 'refused')", Needed.LIBRARY_DATABASE)
    html = viewer.get("/feeds").text
    assert "Away since" in html
    assert "(2003," in html
    assert "自" in viewer.get("/feeds", headers={"accept-language": "zh-CN"}).text
    outage.end()
    assert "koha-town" not in viewer.get("/feeds").text


def test_copies_that_nobody_can_place_are_listed_with_where_they_were_last(viewer: TestClient, engine: Engine):
    assert "Every copy can be placed" in viewer.get("/unplaced").text
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE copies SET state = 'unknown' WHERE copy_id = (SELECT min(copy_id) FROM copies)")
        )
        (copy,) = connection.execute(text("SELECT min(copy_id) FROM copies")).one()
    assert copy in viewer.get("/unplaced").text
    assert viewer.get("/api/unplaced").json()[0]["copy_id"] == copy


def test_what_readers_wrote_is_never_run_as_code(viewer: TestClient, engine: Engine):
    with engine.begin() as connection:
        connection.execute(text("UPDATE titles SET name = '<script>alert(1)</script>' WHERE title_id = 't0'"))
    html = viewer.get("/today").text
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html


# --- Paper ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "words"),
    [("zh-CN", ["行车单", "古渡区图书馆", "签字"]), ("en", ["Run sheet", "Gudu District Library", "Signature"])],
)
def test_the_run_sheet_is_an_a4_pdf_whose_text_can_be_read(language: str, words: list[str], viewer: TestClient):
    answer = viewer.get(f"/runs/{RUN}/sheet.pdf", headers={"Accept-Language": language})
    assert answer.headers["content-type"] == "application/pdf"
    pages = PdfReader(BytesIO(answer.content)).pages
    said = "".join(page.extract_text() for page in pages).replace("\n", "")
    assert [word for word in words if word not in said] == []
    assert "van-gudu-1" in said
    assert (round(float(pages[0].mediabox.width)), round(float(pages[0].mediabox.height))) == (595, 842)


# --- Decisions by the page ---------------------------------------------------------------


def seen(engine: Engine) -> str:
    with engine.connect() as connection:
        rows = connection.execute(select(day_plans.c.day_plan_id, day_plans.c.version)).all()
    return ",".join(f"{plan}={version}" for plan, version in rows)


def test_of_two_dispatchers_the_second_is_told_who_was_first(signed_in: SignedIn, engine: Engine):
    form = {"action": "approve", "day": str(DAY), "seen": seen(engine), "run": RUN}
    first, second = signed_in("dispatcher"), signed_in("administrator")
    assert first.post("/decisions", data=form).status_code == 303
    answer = second.post("/decisions", data=form, headers=CHINESE)
    assert answer.status_code == 409
    assert "dispatcher 已于" in answer.text
    assert "您的操作未生效" in answer.text


def test_sending_back_without_a_reason_is_refused_in_words(signed_in: SignedIn, engine: Engine):
    form = {"action": "send_back", "day": str(DAY), "seen": seen(engine), "why": " "}
    answer = signed_in("dispatcher").post("/decisions", data=form)
    assert answer.status_code == 400
    assert "Say why you send it back" in answer.text


@pytest.mark.parametrize("versions", ["", "nonsense", "20260312-gudu=x", "a=1,b=2", "=1,,="])
def test_a_form_that_saw_nothing_decides_nothing(versions: str, signed_in: SignedIn, engine: Engine):
    form = {"action": "approve", "day": str(DAY), "seen": versions}
    assert signed_in("dispatcher").post("/decisions", data=form).status_code in (409, 422)
    with engine.connect() as connection:
        assert "draft" in set(connection.scalars(select(runs.c.status)))


def test_the_api_decides_like_the_page(client: TestClient, token: Callable[[Role], dict[str, str]], engine: Engine):
    run = f"{DAY:%Y%m%d}-van-gudu-2"
    versions = dict(pair.split("=") for pair in seen(engine).split(","))
    body = {
        "action": "approve",
        "day": str(DAY),
        "run": run,
        "seen": {plan: int(version) for plan, version in versions.items()},
    }
    assert client.post("/api/decisions", json=body, headers=token(Role.VIEWER)).status_code == 403
    answer = client.post("/api/decisions", json=body, headers=token(Role.DISPATCHER))
    assert (answer.status_code, answer.json()["runs"]) == (200, 1)
    assert client.get(f"/api/runs/{run}", headers=token(Role.VIEWER)).json()["status"] == "ordered"
    assert client.post("/api/decisions", json=body, headers=token(Role.DISPATCHER)).status_code == 409


# --- Trouble ---------------------------------------------------------------


def test_a_database_that_is_away_is_told_in_words_and_comes_back(
    viewer: TestClient, app: object, settings: Settings, engine: Engine
):
    away = settings.model_copy(
        update={"database_url": type(settings.database_url)("postgresql://postgres@127.0.0.1:1/none")}
    )
    browser = TestClient(create_app(away), headers={**AS_A_PAGE, **CHINESE}, follow_redirects=False)
    browser.cookies = viewer.cookies
    page, part, ready = browser.get("/today"), browser.get("/today?part=runs"), browser.get("/health/ready")
    assert (page.status_code, part.status_code, ready.status_code) == (503, 503, 503)
    assert "暂时无法连接数据库" in page.text
    assert browser.get("/health/live").status_code == 200
    assert browser.post("/sign-in", data={"name": "viewer", "password": PASSWORD}).status_code == 503


def test_connections_that_died_are_replaced_without_a_word(viewer: TestClient, engine: Engine):
    assert viewer.get("/today").status_code == 200
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        ours = "pid <> pg_backend_pid() AND datname = current_database()"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"))
    assert viewer.get("/today").status_code == 200


def test_a_body_too_large_is_refused_before_it_is_read(signed_in: SignedIn):
    answer = signed_in("dispatcher").post("/decisions", content=b"x" * 1_000_001)
    assert answer.status_code == 413


def test_machines_hear_metrics_and_readiness(client: TestClient, token: Callable[[Role], dict[str, str]]):
    assert client.get("/health/ready").json() == {
        "status": "ready",
        "database": True,
        "kafka": True,
        "standing_still": [],
    }
    figures = client.get("/metrics", headers=token(Role.VIEWER)).text
    assert 'rotation_alerts_open{kind="shortage"}' in figures
    assert "rotation_web_seconds_bucket{" in figures
    assert 'rotation_feed_behind_seconds{source="city/centre"} 40.0' in figures


def test_a_draft_waits_in_the_top_line_until_it_is_decided_on(viewer: TestClient, engine: Engine):
    assert "plans wait" in viewer.get("/shell").text
    with engine.begin() as connection:
        connection.execute(update(day_plans).values(status="ordered"))
    assert "plans wait" not in viewer.get("/shell").text


def test_what_is_otherwise_with_kafka_stands_on_every_page_in_its_language(viewer: TestClient, engine: Engine) -> None:
    words = identity.TopicFinding(
        "deleted_unread", {"topic": "t", "partition": 1, "position": 3, "count": 8, "last": 10}
    ).words()
    assert "8 messages" not in viewer.get("/shell").text
    with engine.begin() as connection:
        connection.execute(
            insert(topics_read).values(topic="t", cluster_id="c", topic_id="i", partitions=6, findings=[words])
        )
    assert (
        "8 messages of partition 1 of t (offsets 3 to 10) were deleted before they were read"
        in viewer.get("/shell").text
    )
    viewer.get("/language/zh")
    chinese = viewer.get("/shell", headers={"Accept-Language": "zh"}).text
    assert "t 的分区 1 有 8 条消息（偏移量 3 至 10）未读取即被删除" in chinese
    viewer.get("/language/en")
    with engine.begin() as connection:
        connection.execute(delete(topics_read))
