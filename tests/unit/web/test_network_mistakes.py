"""What the network reader says is said in Chinese on pages, for each mistake that a form can make."""

import re
from typing import Any

import pytest

from rotation.language.catalogues import CHINESE, ENGLISH, language
from rotation.language.network_mistakes import in_words
from rotation.network import NetworkError, from_tables
from tests.integration.night.small_city import NETWORK

PLACE = "place"
WRONG: list[tuple[str, dict[str, Any]]] = [
    (PLACE, {"lat": "north"}),
    (PLACE, {"lat": 91}),
    (PLACE, {"lat": None}),
    (PLACE, {"lat": 12}),
    (PLACE, {"population": -1}),
    (PLACE, {"population": 1.5}),
    (PLACE, {"phone": "call me"}),
    (PLACE, {"hours": {"mon": ["9-18"]}}),
    (PLACE, {"hours": {"mon": ["all day"]}}),
    (PLACE, {"hours": {"mon": ["18:00-09:00"]}}),
    (PLACE, {"hours": {"mon": ["09:00-12:00", "11:00-13:00"]}}),
    (PLACE, {"service_days": ["someday"]}),
    (PLACE, {"parent": "nowhere"}),
    (PLACE, {"parent": "branch"}),
    (PLACE, {"parent": "room"}),
    (PLACE, {"id": "room"}),
    ("van", {"crates": 0}),
    ("van", {"hub": "branch"}),
    ("van", {"driver": "L" * 61}),
    ("van", {"crates": None}),
    ("owner", {"lends_to": ["nobody"]}),
    ("exception", {"first": "soon"}),
    ("exception", {"last": "2026-01-01"}),
    ("exception", {"hours_of": "feast"}),
]


@pytest.mark.parametrize(("table", "changes"), WRONG)
def test_each_mistake_has_its_sentence_in_both_languages(table: str, changes: dict[str, Any]):
    tables = NETWORK.model_dump(mode="json", by_alias=True, exclude_none=True)
    tables["exception"] = [{"id": "snow", "first": "2026-12-01", "last": "2026-12-02"}]
    at = 1 if table == PLACE else 0
    row = {key: one for key, one in {**tables[table][at], **changes}.items() if one is not None}
    tables[table] = [*tables[table][:at], row, *tables[table][at + 1 :]]
    with pytest.raises(NetworkError) as told:
        from_tables(tables, "a.toml")
    for fault in told.value.faults:
        assert re.search(r"[\u4e00-\u9fff]", in_words(fault.what, language(CHINESE))), fault.what
        assert in_words(fault.what, language(ENGLISH)) != fault.what


def test_an_unknown_sentence_stays_as_it_is():
    assert in_words("something else", language(CHINESE)) == "something else"
