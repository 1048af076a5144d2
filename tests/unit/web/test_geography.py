"""What the map draws."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.web.geography import _turn, hull, outline, shown_at
from tests.web_city import demo

TIANANMEN = (116.391, 39.907)


def test_gcj02_lies_where_the_published_points_lie():
    lon, lat = shown_at(*TIANANMEN, "gcj02")
    assert (lon, lat) == pytest.approx((116.397242, 39.908404), abs=2e-5)


def test_wgs84_stays_where_it_is():
    assert shown_at(*TIANANMEN, "wgs84") == TIANANMEN


def test_outside_china_nothing_is_shifted():
    assert shown_at(-2.6, 51.45, "gcj02") == (-2.6, 51.45)


def test_the_hull_of_a_square_is_its_corners():
    assert set(hull([(0, 0), (2, 0), (2, 2), (0, 2), (1, 1)])) == {(0, 0), (2, 0), (2, 2), (0, 2)}


points = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=40)


@given(points)
@settings(max_examples=60, deadline=None)
def test_no_point_is_outside_its_hull(some: list[tuple[float, float]]):
    ring = hull(some)
    for a, b in zip(ring, [*ring[1:], *ring[:1]], strict=True):
        assert all(_turn(a, b, one) >= 0 for one in some)


def test_the_outline_has_the_city_and_its_districts_as_closed_rings():
    features = outline(demo(), "wgs84")["features"]
    assert [feature["properties"]["kind"] for feature in features] == ["city"] + ["district"] * 4
    assert all(
        feature["geometry"]["coordinates"][0][0] == feature["geometry"]["coordinates"][0][-1] for feature in features
    )
