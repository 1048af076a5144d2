"""Where a request comes from, and how often a password may be wrong."""

import pytest

from rotation.web.auth import TRIES, TRIES_WITHIN_S, Tries, fits, is_from_our_page

HOST = {"host": "rotation.example"}


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://rotation.example"}, False),
        ({"origin": "https://rotation.example"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "https://rotation.example.evil.example"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
def test_a_change_must_come_from_a_page_of_ours(headers: dict[str, str], ours: bool):
    assert is_from_our_page("POST", {**HOST, **headers}) is ours


def test_looking_may_come_from_anywhere():
    assert is_from_our_page("GET", {**HOST, "sec-fetch-site": "cross-site"})


def test_after_some_wrong_passwords_one_has_to_wait():
    tries = Tries()
    for _ in range(TRIES):
        assert tries.wait_s("here li", now=0) == 0
        tries.add("here li", now=0)
    assert 0 < tries.wait_s("here li", now=1) <= TRIES_WITHIN_S
    assert tries.wait_s("here li", now=TRIES_WITHIN_S + 1) == 0


def test_wrong_passwords_of_one_do_not_make_another_wait():
    tries = Tries()
    for _ in range(TRIES):
        tries.add("here li", now=0)
    assert tries.wait_s("elsewhere li", now=1) == 0


@pytest.mark.parametrize(("password", "right"), [("short", False), ("just long enough", True), ("x" * 201, False)])
def test_a_password_is_long_and_not_absurd(password: str, right: bool):
    assert fits(password) is right
