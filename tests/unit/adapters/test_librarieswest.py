"""LibrariesWest's snapshots and points: small ones made here, and the real ones against their published figures."""

from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import NotEnoughReplicasError

from rotation.feeds.librarieswest import (
    CopyLedger,
    TransitRow,
    TransitSnapshot,
    class_of,
    events,
    network,
    parse_snapshot,
    read_snapshot,
    send,
    slug,
    snapshot_files,
    snapshots,
)
from rotation.network import Network, Span
from tests.needs import SAMPLE

CHOICES = Path("config/networks/librarieswest.toml")
HEADER = "date_transited,item_type,from_library,from_authority,to_library,to_authority"
A_TO_B = "2020-03-02,Adult Fiction,Bath,BNES,Wells,Somerset"
B_TO_A = "2020-03-03,Music CD,Wells,Somerset,Bath,BNES"


def shows(*lines: str) -> TransitSnapshot:
    return parse_snapshot([HEADER, *lines], "file.csv")


def told(*shown: TransitSnapshot) -> list[dict[str, Any]]:
    ledger = CopyLedger()
    return [event for snapshot in shown for event in events(ledger, snapshot)]


def kinds(happened: list[dict[str, Any]]) -> list[object]:
    return [event["type"] for event in happened]


def test_a_new_row_becomes_a_copy_and_then_its_transfer():
    added, sent = told(shows(A_TO_B))
    assert (added["type"], sent["type"]) == ("copy.added", "transfer.sent")
    assert sent["data"] == {"copy": added["data"]["copy"], "place": "bath", "to": "wells"}
    assert (added["time"], sent["time"], sent["sequence"]) == ("2020-03-02T23:59:59+00:00",) * 2 + (1,)


def test_equal_rows_are_copies_of_their_own():
    assert len({event["data"]["copy"] for event in told(shows(A_TO_B, A_TO_B))}) == 2


def test_a_row_that_vanishes_has_been_received_by_the_end_of_the_newest_day():
    received = next(event for event in told(shows(A_TO_B), shows(B_TO_A)) if event["type"] == "transfer.received")
    assert (received["type"], received["data"]["place"]) == ("transfer.received", "wells")
    assert received["time"] == "2020-03-03T23:59:59+00:00"


def test_of_equal_rows_the_first_sent_arrive_first_and_one_that_comes_again_is_another_copy():
    happened = told(shows(A_TO_B, B_TO_A), shows(B_TO_A), shows(A_TO_B, B_TO_A))
    first, again = (event["data"]["copy"] for event in happened if event["data"].get("to") == "wells")
    assert first != again


def test_a_back_dated_row_counts_from_its_own_date():
    late = told(shows(B_TO_A), shows(B_TO_A, A_TO_B))[-1]
    assert late["time"] == "2020-03-02T23:59:59+00:00"


def test_a_bad_line_is_told_with_its_place_and_the_others_go_on():
    snapshot = shows(A_TO_B, "yesterday,Music CD,Bath,BNES,Wells,Somerset", "2020-03-02,,Bath,BNES,Wells,Somerset", "x")
    assert snapshot.rows.total() == 1
    found = [(fault.line, fault.field) for fault in snapshot.faults]
    assert found == [(3, "date_transited"), (4, "item_type"), (5, "line")]


def test_a_file_without_a_line_is_refused():
    with pytest.raises(ValueError, match=r"file\.csv"):
        shows()


rows = st.builds(
    TransitRow,
    st.sampled_from(["2020-03-01", "2020-03-02"]),
    st.just("Adult Fiction"),
    st.sampled_from(["Bath", "Wells"]),
    st.just("BNES"),
    st.sampled_from(["Frome", "Street"]),
    st.just("Somerset"),
)
multisets = st.lists(rows, min_size=1, max_size=12).map(lambda found: shows(*map(",".join, found)))


@given(st.lists(multisets, min_size=1, max_size=6))
def test_what_the_events_leave_in_transit_is_what_the_last_snapshot_shows(shown: list[TransitSnapshot]):
    happened = told(*shown)
    sent, received = (
        {event["data"]["copy"] for event in happened if event["type"] == kind}
        for kind in ("transfer.sent", "transfer.received")
    )
    assert received <= sent
    assert len(sent - received) == shown[-1].rows.total()


@given(st.lists(multisets, min_size=1, max_size=6))
def test_reading_the_same_files_again_makes_the_same_events_and_no_id_twice(shown: list[TransitSnapshot]):
    happened = told(*shown)
    ids = [event["id"] for event in happened]
    assert happened == told(*shown)
    assert len(set(ids)) == len(ids)


class Recorder:
    """Keeps what would have been sent."""

    def __init__(self, full: bool = False) -> None:
        self.sent: list[bytes] = []
        self.full = full

    def send(self, topic: str, value: bytes) -> "Recorder":
        self.sent.append(value)
        return self

    def get(self, timeout: float) -> None:
        if self.full:
            raise NotEnoughReplicasError

    def flush(self) -> None:
        self.sent.append(b"flushed")


def test_the_sender_waits_for_the_broker_and_says_what_it_sent():
    recorder = Recorder()
    done = send(recorder, "events", [shows(A_TO_B), shows(B_TO_A)])
    assert recorder.sent[-1] == b"flushed"
    assert (done.files, done.events, done.batches) == (2, 5, 1)
    new = ["copy.added", "transfer.sent"]
    assert kinds(orjson.loads(recorder.sent[0])) == [*new, "transfer.received", *new]


def test_a_batch_that_the_broker_does_not_take_is_an_error():
    with pytest.raises(NotEnoughReplicasError):
        send(Recorder(full=True), "events", [shows(A_TO_B)])


# --- The real data, where the machine has it --------------------------------------------------------------------------

FIGURES = """\
2020-03-04 2020-03-02 45743 7047 6702 3099 7351 797
2020-03-05 2020-03-03 43972 6830 6502 3162 7226 794
2020-03-06 2020-03-04 43571 5600 5314 2468 7337 794
2020-03-07 2020-03-05 41362 6358 6068 2720 7417 796
2020-03-09 2020-03-07 45429 6989 6845 3120 7399 789
2020-03-10 2020-03-08 45947 607 592 267 7598 792
2020-03-11 2020-03-09 46029 7572 7194 3171 7267 782
2020-03-12 2020-03-10 45169 7258 6916 3114 7157 772
2020-03-13 2020-03-11 43957 5578 5317 2556 7069 773
""".splitlines()


@pytest.fixture(scope="module")
def real() -> Network:
    return network(SAMPLE, CHOICES)


def snapshot_named(name: str, request: pytest.FixtureRequest) -> Path:
    """Return the file of a day: the sample's, else of the longer data."""
    found = [path for path in snapshot_files(SAMPLE) if path.name.startswith(name)]
    more = [] if found else snapshot_files(request.getfixturevalue("rotation_data") / "librarieswest")
    return next(path for path in (*found, *more) if path.name.startswith(name))


def figures(snapshot: TransitSnapshot, located: set[str]) -> list[int]:
    """Return rows, sent that day, both ends located, lanes among those, out over 21 days, over 365."""
    today = {row: count for row, count in snapshot.rows.items() if row.date_transited == snapshot.day.isoformat()}
    both = {row: count for row, count in today.items() if {row.from_library, row.to_library} <= located}
    ages = [(snapshot.day - date.fromisoformat(row.date_transited)).days for row in snapshot.rows.elements()]
    lanes = {(row.from_library, row.to_library) for row in both}
    overdue = [sum(age > days for age in ages) for days in (21, 365)]
    return [snapshot.rows.total(), sum(today.values()), sum(both.values()), len(lanes), *overdue]


@pytest.mark.parametrize("line", FIGURES)
def test_each_snapshot_has_its_published_figures(line: str, request: pytest.FixtureRequest, real: Network):
    name, day, *numbers = line.split()
    snapshot = read_snapshot(snapshot_named(name, request))
    located = {place.name.en for place in real.places if place.located}
    assert (str(snapshot.day), snapshot.faults, figures(snapshot, located)) == (day, (), [int(n) for n in numbers])


def test_the_points_are_all_there_with_one_hub_an_authority(real: Network):
    assert (len(real.places), sum(place.located for place in real.places)) == (166, 137)
    assert sorted(place.owner for place in real.hubs) == sorted(owner.id for owner in real.owners)
    assert all(real.hub_of(place.id) for place in real.places)


def test_hours_join_by_name_then_by_postcode_and_closed_twins_do_not_hide_them(real: Network):
    assert real.place["pill-library"].open_spans(date(2020, 3, 10)) == (Span(34_200, 45_000), Span(48_600, 61_200))
    assert real.place["portland-tophill-library"].hours  # its row is named Portland: the postcode joins it
    assert real.place["dorchester-library"].hours  # a second Dorchester in hours.csv has none


def test_located_points_without_usable_hours_get_their_tiers_window_and_are_flagged(real: Network):
    flagged = [place for place in real.places if place.default_hours]
    assert len(flagged) == 16
    assert all(place.located and place.receiving and not place.hours for place in flagged)
    assert not any(place.located and not place.hours and not place.default_hours for place in real.places)


def test_without_hours_every_located_point_has_its_tiers_window_flagged(tmp_path: Path) -> None:
    for name in ("branches.csv", "items_summary.csv"):
        (tmp_path / name).write_bytes((SAMPLE / name).read_bytes())
    made = network(tmp_path, CHOICES)
    located = [place for place in made.place.values() if place.lat is not None]
    assert located
    assert all(place.default_hours and place.receiving for place in located)


def test_every_point_is_closed_on_bank_holidays() -> None:
    made = network(SAMPLE, CHOICES)
    boxing_day, next_day = date(2020, 12, 28), date(2020, 12, 29)
    open_points = [place for place in made.place.values() if place.receiving_spans(next_day)]
    assert len(open_points) > 100
    assert not [place for place in made.place.values() if place.receiving_spans(boxing_day)]


def test_every_row_names_points_and_classes_of_the_network(real: Network):
    rows = next(snapshots(SAMPLE)).rows
    classes = {title_class.id for title_class in real.classes}
    assert {slug(name) for row in rows for name in (row.from_library, row.to_library)} <= real.place.keys()
    assert {class_of(row.item_type) for row in rows} <= classes


def test_a_day_whose_export_is_empty_is_skipped_and_named(tmp_path: Path):
    days = tmp_path / "in_transit"
    days.mkdir()
    row = "2020-03-{},BOOK,Yate Library,South Gloucestershire,Bath Central Library,Bath"
    for name, lines in (
        ("2020-03-04", [row.format("02")]),
        ("2020-03-05", None),
        ("2020-03-06", []),
        ("2020-03-07", [row.format("05")]),
        ("2020-03-08", None),
    ):
        content = "" if lines is None else "\n".join([HEADER, *lines]) + "\n"
        (days / f"{name}.csv").write_text(content, encoding="utf-8")
    shown = list(snapshots(tmp_path))
    assert [len(one.rows) for one in shown] == [1, 1]
    assert [fault.file for one in shown for fault in one.faults] == [
        "2020-03-05.csv",
        "2020-03-06.csv",
        "2020-03-08.csv",
    ]


def test_a_copy_for_a_place_that_is_in_no_list_is_not_on_the_senders_shelf():
    shown = shows(A_TO_B)
    told_of = list(events(CopyLedger(places=frozenset({"bath"})), shown))
    assert [event["type"] for event in told_of] == ["copy.added", "copy.corrected", "transfer.sent"]
    assert told_of[1]["data"]["now"] == "unknown"
    listed = list(events(CopyLedger(places=frozenset({"bath", "wells"})), shown))
    assert [event["type"] for event in listed] == ["copy.added", "transfer.sent"]


def test_without_any_table_the_points_and_classes_are_those_of_the_snapshots(tmp_path: Path, real: Network) -> None:
    (tmp_path / "in_transit").symlink_to((SAMPLE / "in_transit").absolute())
    made = network(tmp_path, CHOICES)
    rows = next(snapshots(SAMPLE)).rows
    assert {slug(name) for row in rows for name in (row.from_library, row.to_library)} <= made.place.keys()
    assert {class_of(row.item_type) for row in rows} <= {title_class.id for title_class in made.classes}
    assert {place.id: (place.owner, made.hub_of(place.id)) for place in made.places}.items() <= {
        place.id: (place.owner, real.hub_of(place.id)) for place in real.places
    }.items()
    assert not any(place.located for place in made.places)


def test_an_authority_without_a_hub_is_named(tmp_path: Path) -> None:
    (tmp_path / "branches.csv").write_text(
        (SAMPLE / "branches.csv").read_text(encoding="utf-8-sig").replace(",Poole,", ",Poole & Bournemouth,", 1),
        encoding="utf-8",
    )
    with pytest.raises(ValueError, match="Poole & Bournemouth"):
        network(tmp_path, CHOICES)
