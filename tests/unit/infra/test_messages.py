"""The embedded servers' sentences."""

import re
import string
from pathlib import Path

import pytest

import infra
from infra.messages import SENTENCES, ServerError


def facts_named(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("code", SENTENCES)
def test_both_languages_tell_the_same_facts(code):
    english, chinese = SENTENCES[code]
    assert facts_named(english) == facts_named(chinese)


def test_a_failure_reads_as_a_sentence_in_either_language():
    error = ServerError("port.taken", name="Kafka", port=9092, owner="java (77)")
    assert str(error) == "Port 9092, set for Kafka, is taken by java (77): stop that program or choose another port."
    assert error.message.text("zh").startswith("Kafka 指定的端口 9092 已被 java (77) 占用")


def test_every_code_that_is_used_has_its_sentence_and_every_sentence_is_used():
    sources = "".join(file.read_text() for file in Path(infra.__file__).parent.glob("*.py"))
    used = set(re.findall(r'(?:Message|ServerError)\(\s*"([a-z_.]+)"', sources))
    assert used == set(SENTENCES)
