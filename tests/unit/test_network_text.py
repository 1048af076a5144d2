"""A network's file with changes in it: what nobody changed stays byte for byte; exceptions of a week on their days."""

import tomllib
from datetime import date
from pathlib import Path

import pytest

from rotation.network import NetworkError, from_tables
from rotation.store.network_text import NetworkChange, as_toml, edited, network_of, tables_of
from tests.integration.night.small_city import NETWORK

ROOT = Path(__file__).parents[2]
FILES = [file for file in ROOT.rglob("*.toml") if "\n[network]" in file.read_text(encoding="utf-8")]
FILES = [file for file in FILES if not {".venv", "node_modules"} & set(file.relative_to(ROOT).parts)]
DEMO = (ROOT / "config/networks/demo.toml").read_text(encoding="utf-8")
SNOW = {
    "id": "snow",
    "first": "2026-12-01",
    "last": "2026-12-02",
    "places": ["central"],
    "why": {"zh": "雪", "en": "Snow"},
}
CHANGES = [
    NetworkChange("place", "central", {"hours": {"mon-fri": ["09:00-12:00", "13:00-17:00"]}, "phone": "0571-123"}),
    NetworkChange("exception", "snow", SNOW),
    NetworkChange("van", "van-gudu-1", {"crates": 7, "driver": "李师傅"}),
    NetworkChange("owner", "schools", {"id": "schools", "name": "学校"}),
    NetworkChange("floors", "", {"special_shelf_share": 0.4, "holdings_per_head": 1}),
    NetworkChange("network", "", {"copies_per_crate": 30}),
]


def test_there_are_network_files():
    assert {"demo.toml", "librarieswest.toml"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_that_nobody_edits_stays_byte_for_byte(file: Path):
    text = file.read_bytes().decode()
    assert edited(as_toml(text, file.name), []).encode() == file.read_bytes()
    there_and_back = [
        NetworkChange("network", "", {"copies_per_crate": copies})
        for copies in (99, tomllib.loads(text)["network"]["copies_per_crate"])
    ]
    assert edited(text, there_and_back).encode() == file.read_bytes()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.table)
def test_an_edit_changes_its_own_lines_alone_and_is_read_as_the_tables_are(change: NetworkChange):
    text = edited(DEMO, [change])
    before, after = DEMO.splitlines(), text.splitlines()
    fields = set(change.values or {})
    assert all(line.partition(" =")[0] in fields for line in set(before) - set(after))
    assert {line for line in before if line.startswith("#")} <= set(after)
    as_dumped = network_of(text, [], "a.toml").model_dump()
    assert as_dumped == network_of(DEMO, [change], "a.toml").model_dump() != network_of(DEMO, [], "a.toml").model_dump()


def test_rows_are_added_with_empty_lines_around_and_removed_whole():
    text = edited(
        DEMO, [NetworkChange("exception", "snow", SNOW), NetworkChange("owner", "x", {"id": "x", "name": "X"})]
    )
    assert '\n\n[[exception]]\nid = "snow"\nfirst = 2026-12-01\n' in text
    assert '\n\n[[owner]]\nid = "x"\nname = "X"\n\n[[place]]' in text
    gone = edited(text, [NetworkChange("exception", "snow", None), NetworkChange("owner", "x", None)])
    assert tomllib.loads(gone).get("exception", []) == []
    assert "snow" not in gone
    assert [one["id"] for one in tables_of(text, [NetworkChange("owner", "x", None)])["owner"]] == [
        one["id"] for one in tomllib.loads(DEMO)["owner"]
    ]


COMMENTED = """# the town

# closed on Mondays
[[place]]
id = "north"
[place.hours]
tue = "9-17"

# rented until 2030
# from the parish
[[place]]
id = "south"

# bought in 2024
[[van]]
id = "v"
"""


@pytest.mark.parametrize(
    ("table", "row", "gone"),
    [
        ("place", "north", '# closed on Mondays\n[[place]]\nid = "north"\n[place.hours]\ntue = "9-17"\n\n'),
        ("place", "south", '# rented until 2030\n# from the parish\n[[place]]\nid = "south"\n\n'),
        ("van", "v", '\n# bought in 2024\n[[van]]\nid = "v"\n'),
    ],
)
def test_a_row_goes_with_the_comment_above_it_and_no_other(table: str, row: str, gone: str):
    assert edited(COMMENTED, [NetworkChange(table, row, None)]) == COMMENTED.replace(gone, "")


def test_an_import_in_json_becomes_a_file_that_reads_the_same():
    text = as_toml(NETWORK.model_dump_json(by_alias=True), "kept.json")
    assert network_of(text, [], "a.toml").model_dump() == NETWORK.model_dump()


def with_exceptions(*exceptions: dict[str, object]):
    tables = NETWORK.model_dump(mode="json", by_alias=True, exclude_none=True)
    hours = {"mon-fri": ["09:00-17:00"], "sat": ["10:00-12:00"]}
    tables["place"] = [{**place, "hours": hours} for place in tables["place"]]
    return from_tables({**tables, "exception": list(exceptions)}, "a.toml")


SATURDAY, SUNDAY, MONDAY = date(2026, 10, 10), date(2026, 10, 11), date(2026, 10, 12)


def test_places_are_closed_on_the_days_of_an_exception_and_open_on_the_next():
    network = with_exceptions({"id": "snow", "first": "2026-10-10", "last": "2026-10-10", "places": ["branch"]})
    branch, room = network.place["branch"], network.place["room"]
    assert (branch.open_spans(SATURDAY), branch.receiving_spans(SATURDAY)) == ((), ())
    assert branch.receiving_spans(MONDAY) == room.receiving_spans(MONDAY) != ()
    assert room.receiving_spans(SATURDAY) != ()
    suspended = with_exceptions({"id": "works", "first": "2026-10-11", "places": ["branch"]}).place["branch"]
    assert suspended.receiving_spans(SATURDAY) != ()
    assert suspended.receiving_spans(date(2031, 10, 13)) == ()


def test_a_worked_day_has_the_hours_of_the_day_off_unless_a_place_is_closed():
    worked = {"id": "work", "first": "2026-10-11", "last": "2026-10-11", "hours_of": "wed"}
    network = with_exceptions(worked, {"id": "snow", "first": "2026-10-11", "last": "2026-10-11", "places": ["room"]})
    assert network.place["branch"].open_spans(SUNDAY) == network.place["branch"].open_spans(MONDAY) != ()
    assert network.place["room"].open_spans(SUNDAY) == ()
    assert network.also_closed({"branch": [MONDAY]}).place["branch"].open_spans(SUNDAY) != ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"places": ["nowhere"]}, "'nowhere' is no known place"),
        ({"last": "2026-10-09"}, "is before the first"),
        ({"hours_of": "holiday"}, "expected a weekday"),
    ],
)
def test_a_wrong_exception_is_a_mistake(wrong: dict[str, object], said: str):
    with pytest.raises(NetworkError, match=said):
        with_exceptions({"id": "x", "first": "2026-10-10", **wrong})
