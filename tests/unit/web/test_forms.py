"""What viewers see of what was refused: names of fields and forms of values, and nothing of what was said."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from rotation.views.forms import KNOWN_WORDS, form_of_refused, message_without_values

EVENT = {
    "type": "copy.returned",
    "id": "Zhang San 13800138000",
    "time": "2026-03-02T08:00:00Z",
    "data": {"copy": "YZ0000130", "reader": "张三", "fine": 12.5, "王五": True, "many": list("abcdefg")},
}


def test_fields_keep_their_names_and_values_show_their_form() -> None:
    found = orjson.loads(form_of_refused(orjson.dumps([EVENT])))[0]
    assert found["type"] == "copy.returned"
    assert found["id"] == "Aaaaa Aaa 99999999999"
    assert found["time"] == "9999-99-99A99:99:99A"
    assert found["data"] == {
        "copy": "AA9999999",
        "reader": "字字",
        "fine": "number",
        "字字": True,
        "many": ["a", "a", "a", "a", "a", "and 2 more"],
    }


def test_what_is_no_json_shows_its_length_alone() -> None:
    assert form_of_refused("不是 JSON: Zhang San".encode()) == "22 bytes, no JSON"


def test_a_message_keeps_its_words_and_loses_the_values_it_quotes() -> None:
    assert message_without_values("no place 'Zhang San' here") == "no place 'Aaaaa Aaa' here"
    assert message_without_values('expected an id, found "李四 7"') == "expected an id, found '字字 9'"


def _says_something(text: str) -> bool:
    return text not in KNOWN_WORDS and any(sign.isalnum() and sign not in "aA9字" for sign in text)


@given(st.text(min_size=3).filter(_says_something))
def test_no_text_comes_through(text: str) -> None:
    assert orjson.dumps(text).decode()[1:-1] not in form_of_refused(orjson.dumps({"x": text}))
