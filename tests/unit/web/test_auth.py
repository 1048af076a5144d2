"""Where a request comes from, and how often a password may be wrong."""

import pytest

from rotation.accounts.auth import is_from_our_page
from rotation.accounts.passwords import fits
from rotation.accounts.tries import PAIR, Tries, network_of

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


def test_after_some_wrong_passwords_one_has_to_wait_and_not_for_ever():
    tries = Tries()
    assert [tries.take("li", "192.0.2.1", now=0) for _ in range(PAIR.tries)] == [0] * PAIR.tries
    assert 0 < tries.take("li", "192.0.2.1", now=1) <= PAIR.within_s
    assert tries.take("li", "192.0.2.1", now=PAIR.within_s + 1) == 0


def test_a_right_password_gives_its_tries_back():
    tries = Tries()
    for _ in range(3 * PAIR.tries):
        assert tries.take("li", "192.0.2.1", now=0) == 0
        tries.was_right("li", "192.0.2.1")


@pytest.mark.parametrize(
    ("address", "network"), [("192.0.2.77", "192.0.2.0/24"), ("2001:db8::1:2", "2001:db8::/64"), ("unix", "unix")]
)
def test_an_address_belongs_to_a_network(address: str, network: str):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("password", "right"),
    [("short", False), ("just long enough", True), ("x" * 201, False), ("password1234", False), ("li-weiming1", False)],
)
def test_a_password_is_long_not_absurd_and_hard_to_guess(password: str, right: bool):
    assert fits(password, "li-weiming") is right
