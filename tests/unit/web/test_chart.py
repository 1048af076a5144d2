"""The day's runs over time, as geometry."""

from datetime import UTC, date, datetime, timedelta

from rotation.views.day import RunLine, StopLine
from rotation.web.chart import LABEL, NARROWEST, WIDTH, chart

EIGHT = datetime(2026, 3, 12, 0, tzinfo=UTC)  # 08:00 in Shanghai


def stop(
    position: int, minutes: int, deliver: int, collect: int, load: int, stays: int = 10, waits: int = 0
) -> StopLine:
    begins = EIGHT + timedelta(minutes=minutes)
    return StopLine(
        position,
        f"p{position}",
        begins - timedelta(minutes=waits),
        begins,
        begins + timedelta(minutes=stays),
        deliver,
        collect,
        load,
        "planned",
        None,
    )


def run(*stops: StopLine) -> RunLine:
    until = EIGHT + timedelta(minutes=100)
    return RunLine("r1", "d1", date(2026, 3, 12), "hub", "van1", "draft", EIGHT, until, 20_000, 0, 10, stops)


TWO_STOPS = run(stop(1, 30, deliver=4, collect=0, load=2), stop(2, 60, deliver=2, collect=3, load=3, waits=10))


def test_no_run_no_chart():
    assert chart([], EIGHT, {}) is None


def test_blocks_stand_where_their_times_are():
    drawn = chart([TWO_STOPS], EIGHT, {"van1": 10})
    assert drawn
    two_hours = WIDTH - LABEL  # 08:00 to 10:00
    first, second = drawn.rows[0].blocks
    assert first.x == round(LABEL + two_hours * 30 / 120, 1)
    assert second.wait_width == round(two_hours * 10 / 120, 1)
    assert [at.hour for _, at in drawn.hours] == [0, 1, 2]


def test_a_stop_of_seconds_can_still_be_pointed_at():
    drawn = chart([run(stop(1, 30, 1, 0, 0, stays=0))], EIGHT, {})
    assert drawn
    assert drawn.rows[0].blocks[0].width == NARROWEST


def test_the_load_begins_with_what_is_handed_over():
    drawn = chart([TWO_STOPS], EIGHT, {"van1": 6})
    assert drawn
    full, bottom = 24.0, drawn.rows[0].y + 27
    # largest_load_crates is 10: the row's height is 10 crates, 6 are loaded
    assert f"V{round(bottom - full * 6 / 10, 1)}H" in drawn.rows[0].load


def test_now_is_marked_only_while_the_day_goes():
    assert chart([TWO_STOPS], EIGHT + timedelta(minutes=5), {}).now_x
    assert chart([TWO_STOPS], EIGHT + timedelta(days=1), {}).now_x is None
