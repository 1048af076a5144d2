"""Call numbers sort as books stand: lists written down as the shelves of each scheme read."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.facts.shelf_order import CallNumberScheme, shelf_key

CLC = [
    "A1/1",
    "F-4/2",
    "F(2)/1",
    "F0/3",
    "F49/1",
    "F5/1",
    "I2-61/7",
    "I210.6/3",
    "I247.5/77",
    "I247.5/208",
    "I247.5/0876",
    "I247.5/0876:2",
    "I247.5/0876:10",
    "I247.5/H123",
    "I247.5/L08",
    "I247.57/33",
    "I267/412",
    "I287.45/214",
    "I287.8/0876",
    "K82=5/1",
    "K820.5/1",
    "K825.6/8",
    "K825.6-49/3",
    "T-0/1",
    "TN/1",
    "TP3/1",
    "TP311.1/9",
    "TP312/2",
    "TS972.122/208",
    "TS976.15/19",
]
DEWEY = [
    "005.13 KER 1988",
    "005.133 KER",
    "512 A43",
    "512.5 ST8",
    "512.55 A1",
    "512.55 A11",
    "512.55 A2",
    "813 SMI",
    "813.54 SMI v.2",
    "813.54 SMI v.10",
    "813.54 SMITH",
    "823.8 AUS",
    "J 398.2 GRI",
    "REF 031 BRI",
]
LC = [
    "A1 .B2",
    "QA7 .C3",
    "QA76 .C3",
    "QA76 .C37",
    "QA76 .C4",
    "QA76.5 .B3",
    "QA76.73 .J38 B5",
    "QA76.73 .J38 B5 1999",
    "QA76.73 .J38 B5 2004 v.2",
    "QA76.73 .J38 B5 2004 v.10",
    "QA76.73 .P98 L8",
    "QA76.8 .A1",
    "QA300 .R8",
    "QA1000 .A1",
    "QB1 .A1",
    "Z8 .A2",
]


@pytest.mark.parametrize(("scheme", "shelf"), list(zip(CallNumberScheme, (CLC, DEWEY, LC), strict=True)))
def test_a_shuffled_shelf_is_put_back_as_it_stood(scheme: CallNumberScheme, shelf: list[str]) -> None:
    shuffled = random.Random(5).sample(shelf, len(shelf))
    assert sorted(shuffled, key=lambda one: shelf_key(scheme, one)) == shelf


def test_full_width_signs_and_a_small_first_letter_sort_as_the_usual_ones() -> None:
    assert shelf_key(CallNumberScheme.CLC, "Ｉ２４７．５／Ｈ１２３") == shelf_key(CallNumberScheme.CLC, "i247.5/H123")


def test_a_call_number_of_another_scheme_stands_behind_and_an_empty_one_last() -> None:
    assert sorted(["", "绘本 12", "TP312/2"], key=lambda one: shelf_key(CallNumberScheme.CLC, one)) == [
        "TP312/2",
        "绘本 12",
        "",
    ]


@given(st.lists(st.text(max_size=20), max_size=12), st.sampled_from(CallNumberScheme))
def test_any_words_can_be_sorted(words: list[str], scheme: CallNumberScheme) -> None:
    assert sorted(sorted(words, key=lambda one: shelf_key(scheme, one))) == sorted(words)
