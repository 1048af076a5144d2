"""States of copies by the table of their city: a code means different things, and an unknown word is refused with its count."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rotation.feeds import carrying
from rotation.feeds.carrying import EventDict
from rotation.feeds.tables import TableMap, read_map, states_of, translate

COLUMNS = 'source = "s"\nrows = "stock"\n[columns]\ncopy = "copy"\nplace = "place"\nhome = "home"\nto = "home"\nsays = "state"\n'


def told(folder: Path, words: list[str], head: str, end: str = "") -> tuple[dict[str, str], dict[str, Any]]:
    """Return each copy's state, or its event's kind, by the word of its state; and the report."""
    (folder / "map.toml").write_text(head + COLUMNS + end, encoding="utf-8")
    rows = [f"{number},p1,p2,{word}" for number, word in enumerate(words)]
    (folder / "t.csv").write_text("\n".join(("copy,place,home,state", *rows)), encoding="utf-8")
    sent: list[EventDict] = []
    report = carrying.carry(
        translate(folder / "t.csv", read_map(folder / "map.toml"), datetime(2026, 3, 5, tzinfo=UTC)),
        sent.extend,
        lambda _: None,
    )
    states = {words[int(one["data"]["copy"])]: one["data"].get("now", one["type"]) for one in sent}
    return states, report.as_dict()


@pytest.mark.parametrize(
    ("city", "word", "state"),
    [
        ("guangzhou", "34", "withdrawn"),
        ("taizhou", "34", "unknown"),
        ("anhui", "31", "withdrawn"),
        ("hefei", "31", "transfer.sent"),
        ("guangzhou", "2020不在架", "missing"),
        ("wenzhou", "已通还", "transfer.sent"),
        ("huaian", "借出-应还日期:2027-01-17", "on_loan"),
        ("nanjing", "借出-应还日期：2026-12-01", "on_loan"),
        ("jiangmen", "b", "on_shelf"),
        ("xuzhou", "本馆归还: 正在上架", "unknown"),
    ],
)
def test_a_word_means_what_it_means_in_its_city(tmp_path: Path, city: str, word: str, state: str) -> None:
    assert told(tmp_path, [word], f'city = "{city}"\n')[0] == {word: state}


def test_words_that_the_city_has_not_are_refused_by_name_with_their_count(tmp_path: Path) -> None:
    states, report = told(tmp_path, ["在馆", "66", "66", "吃了"], 'city = "guangzhou"\n')
    assert states == {"在馆": "on_shelf"}
    assert report["not_in_the_map"] == Counter(
        {"'66' is not in the map's [says]": 2, "'吃了' is not in the map's [says]": 1}
    )


def test_a_maps_own_words_come_before_its_citys(tmp_path: Path) -> None:
    states, _ = told(
        tmp_path, ["在馆", "阅览"], 'city = "tianjin"\n', '[says]\n"阅览" = "on_shelf"\n"在馆" = "on_shelf"\n'
    )
    assert states == {"在馆": "on_shelf", "阅览": "on_shelf"}


def test_an_unknown_city_is_refused_and_the_known_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no table of states for the city 'atlantis'; there are anhui, bengbu"):
        told(tmp_path, ["在馆"], 'city = "atlantis"\n')


def test_every_citys_table_is_one_of_states() -> None:
    cities = ("guangzhou", "chengdu", "suzhou", "wenzhou", "taizhou", "qingdao", "xian", "jiangyin", "hefei", "anhui")
    for city in cities:
        assert TableMap.model_validate(
            {"source": "s", "rows": "stock", "columns": {"copy": "c", "place": "p"}, "city": city}
        ).says == states_of(city)
