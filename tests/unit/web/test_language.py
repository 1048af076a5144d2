"""Chinese and English: every message is there in both, and the right one is chosen."""

import pytest

from rotation.events import Reason
from rotation.movements import State
from rotation.network import Kind, Tier
from rotation.web import catalogue, words
from rotation.web.language import CATALOGUES, chosen, language
from rotation.web.permissions import Role


@pytest.mark.parametrize("locale", CATALOGUES.values())
def test_no_message_is_missing(locale: str):
    assert list(catalogue.missing(locale)) == []


def test_the_extraction_finds_the_messages_of_templates_and_of_codes():
    ids = {message.id for message in catalogue.extracted()}
    assert {"Approve the day", "The time has no zone. Add +08:00 or Z.", "%(n)d min"} <= ids


def test_a_message_that_is_not_translated_is_missed(monkeypatch: pytest.MonkeyPatch):
    source = catalogue.extracted()
    source.add("Nobody has translated this", None)
    monkeypatch.setattr(catalogue, "extracted", lambda: source)
    assert list(catalogue.missing("zh_CN")) == ["Nobody has translated this"]


def test_no_message_is_left_that_the_source_does_not_have():
    source = catalogue.extracted()
    assert [message.id for message in catalogue.read("zh_CN") if message.id and message.id not in source] == []


@pytest.mark.parametrize(
    ("codes", "known"),
    [(Reason, words.REJECTIONS), (State, words.STATES), (Tier, words.TIERS), (Kind, words.KINDS), (Role, words.ROLES)],
)
def test_every_code_has_its_word(codes: type, known: dict[str, str]):
    assert {str(code) for code in codes} == set(known)


def test_chinese_says_it_in_chinese():
    assert language("zh").say("%(n)d min", n=5) == "5 分钟"


def test_a_code_without_a_word_shows_as_itself():
    assert words.word(language("zh"), words.STATUSES, "unheard_of") == "unheard_of"


@pytest.mark.parametrize(
    ("accept", "code"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.1", "en"),
        ("zh-Hant-TW", "zh"),
        ("fr,zh;q=0.5,en;q=0.4", "zh"),
        ("fr", "en"),
        ("zh;q=0,en;q=0.1", "en"),
        ("", "en"),
        (";q=,,;q=x", "en"),
    ],
)
def test_the_browser_s_language_is_taken(accept: str, code: str):
    assert chosen({}, accept).code == code


def test_what_was_chosen_on_the_page_comes_first():
    assert chosen({"language": "zh"}, "en").code == "zh"


def test_a_cookie_of_nonsense_is_passed_over():
    assert chosen({"language": "../../etc"}, "zh").code == "zh"
