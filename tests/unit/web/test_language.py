"""Chinese and English: every message is there in both, and the right one is chosen."""

from pathlib import Path

import pytest
from jinja2 import TemplateSyntaxError

from rotation.accounts.permissions import Role
from rotation.facts.events import RejectionReason
from rotation.facts.movements import CopyState
from rotation.language import extract, labels
from rotation.language.catalogues import CATALOGUES, chosen, language
from rotation.network import PlaceKind, Tier


@pytest.mark.parametrize("locale", CATALOGUES.values())
def test_no_message_is_missing(locale: str):
    assert list(extract.missing(locale)) == []


def test_the_extraction_finds_the_messages_of_templates_and_of_codes():
    ids = {message.id for message in extract.extracted()}
    assert {"Approve the day", "The time has no zone. Add +08:00 or Z.", "%(n)d min"} <= ids


def test_a_template_that_cannot_be_parsed_is_an_error_and_loses_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    templates = tmp_path / "web" / "templates"
    templates.mkdir(parents=True)
    (templates / "broken.html").write_text("{% for x in y if %}{{ _('Kept') }}{% endfor %}", encoding="utf-8")
    monkeypatch.setattr(extract, "SOURCES", tmp_path)
    with pytest.raises(TemplateSyntaxError):
        extract.extracted()


def test_a_message_that_is_not_translated_is_missed(monkeypatch: pytest.MonkeyPatch):
    source = extract.extracted()
    source.add("Nobody has translated this", None)
    monkeypatch.setattr(extract, "extracted", lambda: source)
    assert list(extract.missing("zh_CN")) == ["Nobody has translated this"]


def test_no_message_is_left_that_the_source_does_not_have():
    source = extract.extracted()
    assert [message.id for message in extract.read("zh_CN") if message.id and message.id not in source] == []


@pytest.mark.parametrize(
    ("codes", "known"),
    [
        (RejectionReason, labels.REJECTIONS),
        (CopyState, labels.STATES),
        (Tier, labels.TIERS),
        (PlaceKind, labels.KINDS),
        (Role, labels.ROLES),
    ],
)
def test_every_code_has_its_word(codes: type, known: dict[str, str]):
    assert {str(code) for code in codes} == set(known)


def test_chinese_says_it_in_chinese():
    assert language("zh").say("%(n)d min", n=5) == "5 分钟"


def test_a_code_without_a_word_shows_as_itself():
    assert labels.word(language("zh"), labels.STATUSES, "unheard_of") == "unheard_of"


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
