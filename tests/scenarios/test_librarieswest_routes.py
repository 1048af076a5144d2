"""A real Tuesday: what LibrariesWest checked in on Monday 9 March 2020 is on its vans, and where it goes, by Wednesday."""

from collections import Counter
from datetime import date
from typing import Any

import pytest

from rotation.courier.legs import OpenTransfer, Where
from rotation.courier.routes import schedule
from rotation.feeds.librarieswest import copy_id, network, read_snapshot, slug, snapshot_files
from rotation.network import Network
from tests.needs import REPOSITORY, SAMPLE

TUESDAY = date(2020, 3, 10)


@pytest.fixture(scope="module")
def west() -> Network:
    return network(SAMPLE, REPOSITORY / "config" / "networks" / "librarieswest.toml")


@pytest.fixture(scope="module")
def report(west: Network) -> dict[str, Any]:
    file = next(path for path in snapshot_files(SAMPLE) if path.name.startswith("2020-03-11"))
    monday = [row for row in read_snapshot(file).rows.elements() if row.date_transited == "2020-03-09"]
    numbered = Counter[Any]()
    checked_in = []
    for row in monday:
        numbered[row] += 1
        copy = copy_id(row, numbered[row])
        checked_in.append(OpenTransfer(copy, copy, slug(row.to_library), Where.PLACE, slug(row.from_library)))
    return schedule(west, checked_in, TUESDAY, 3, time_s=0.3, seed=1)


def test_every_copy_has_its_days_or_its_reason(report: dict[str, Any]):
    assert (report["copies"], report["scheduled_copies"], report["lanes"]) == (7572, 7194, 3171)
    assert len(report["no_coordinates"]) == 378
    assert round(report["other_hub_share"], 2) == 0.38
    assert report["served"]["total"] + report["served"]["later"] == 7194


def test_no_copy_that_can_be_served_is_left_out(report: dict[str, Any]):
    assert report["not_scheduled"] == []
    assert report["complete"]


def test_all_copies_whose_both_ends_are_open_arrive_within_two_days(report: dict[str, Any]):
    served = report["served"]
    assert served["both_ends_open"] == served["both_ends_open_within_two_days"] == 4953


def test_every_later_copy_names_the_closed_place_and_the_day_that_is_next(report: dict[str, Any], west: Network):
    for lane in report["later"]:
        assert lane["reasons"]
        for reason in lane["reasons"]:
            place, wanted, next_day = west.place[reason["place"]], reason["wanted"], reason["next_day"]
            assert reason["code"] == "closed"
            assert not place.receiving_spans(date.fromisoformat(wanted))
            assert place.receiving_spans(date.fromisoformat(next_day))


def test_mixed_crates_are_a_ninth_of_one_a_lane(report: dict[str, Any]):
    assert report["crates"]["one_a_lane"] == 3187
    assert 330 <= report["crates"]["mixed"] + report["crates"]["direct"] <= 360


def test_points_without_usable_hours_are_flagged(report: dict[str, Any]):
    assert report["default_hours"]["count"] == 16
    assert set(report["default_hours"]["called_at"]) <= set(report["default_hours"]["points"])


def test_no_stop_lies_outside_its_receiving_window(report: dict[str, Any], west: Network):
    for run in report["runs"]:
        for stop in run["stops"]:
            begin_s, end_s = (second(stop[name]) for name in ("begins_at", "departs_at"))
            spans = west.place[stop["place"]].receiving_spans(date.fromisoformat(run["day"]))
            assert any(a <= begin_s and end_s <= b for a, b in spans), stop


def second(instant: str) -> int:
    hours, minutes, seconds = map(int, instant[11:19].split(":"))
    return hours * 3600 + minutes * 60 + seconds
