"""The page of channels and the digest: keys stay secret, wrong addresses say what is wanted, and a day in at most ten lines."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from rotation.store.tables import channel_messages, channel_secrets

SignedIn = Callable[[str], TestClient]
KEY = "a-key-of-a-robot"
CHANNEL = {
    "kind": "wecom",
    "name": "Desk",
    "address": f"https://qyapi.example.org/send?key={KEY}",
    "quiet_from": "21:00",
}


def test_a_channel_is_added_tried_and_ended_and_its_key_is_never_shown(engine: Engine, signed_in: SignedIn):
    browser = signed_in("administrator")
    assert (
        browser.post("/channels", data={**CHANNEL, "kinds": ["late", "lost"], "quiet_to": "07:00"}).status_code == 303
    )
    shown = browser.get("/channels").text
    assert "https://qyapi.example.org/…" in shown
    assert "21:00–07:00" in shown
    assert KEY not in shown
    with engine.connect() as connection:
        channel = connection.scalar(
            select(channel_secrets.c.channel_id).where(channel_secrets.c.address == CHANNEL["address"])
        )
    assert browser.post(f"/channels/{channel}/try").status_code == 303
    with engine.connect() as connection:
        assert connection.scalar(select(channel_messages.c.subject).where(channel_messages.c.channel_id == channel))
    assert browser.post(f"/channels/{channel}/end").status_code == 303
    with engine.connect() as connection:
        assert KEY not in str(connection.execute(select(channel_secrets)).all())
    assert browser.post(f"/channels/{channel}/try").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "email", "address": "desk@example.org"}, "smtps://user:password"),
        ({"kind": "wecom", "address": "file:///etc/passwd"}, "https://qyapi.weixin.qq.com"),
        ({"quiet_from": "25:00"}, "Not accepted: quiet_from"),
    ],
)
def test_a_wrong_channel_says_what_is_wanted(signed_in: SignedIn, wrong: dict[str, str], said: str):
    browser = signed_in("administrator")
    origin = {"Referer": "http://testserver/channels"}
    assert browser.post("/channels", data={**CHANNEL, **wrong}, headers=origin).status_code == 303
    assert said in browser.get("/channels").text


def test_dispatchers_see_no_channel(signed_in: SignedIn):
    assert signed_in("dispatcher").get("/channels").status_code == 403


def test_the_day_stands_in_ten_lines_with_what_needs_somebody_first(signed_in: SignedIn):
    text = signed_in("viewer").get("/digest").text.split("<main")[1]
    assert "Runs that wait for approval: 8" in text
    lines = text.split("<li")[1:]
    assert 2 <= len(lines) <= 10
    needs = ["needs somebody" in line for line in lines]
    assert needs == sorted(needs, reverse=True)
