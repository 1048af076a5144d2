"""The drawn city: the same for a seed, and as the network file says."""

import numpy as np
import pytest

from city import model, visits
from tests.unit.city.conftest import NETWORK, SMALL


@pytest.fixture(scope="module")
def world():
    return model.build(NETWORK, 7, SMALL)


def test_the_same_seed_draws_the_same_city_and_the_same_visits(world):
    again = model.build(NETWORK, 7, SMALL)
    wanted, wanted_again = visits.interest(world), visits.interest(again)
    assert np.array_equal(world.first_place, again.first_place)
    assert np.array_equal(visits.of_day(world, 7, 40, wanted), visits.of_day(again, 7, 40, wanted_again))


def test_another_seed_draws_another_city(world):
    assert not np.array_equal(world.first_place, model.build(NETWORK, 8, SMALL).first_place)


def test_copies_stand_where_there_is_room_for_their_class(world):
    stand = np.zeros_like(model.shelf_rooms(NETWORK))
    np.add.at(stand, (world.first_place, world.cls[world.title]), 1)
    assert (stand <= model.shelf_rooms(NETWORK)).all()


def test_every_title_has_a_copy(world):
    assert set(world.title.tolist()) == set(range(SMALL.titles))


def test_a_city_without_shelves_is_refused():
    bare = NETWORK.model_copy(update={"places": tuple(p.model_copy(update={"shelf": {}}) for p in NETWORK.places)})
    with pytest.raises(ValueError, match="no place has a shelf"):
        model.build(bare, 1, SMALL)


def test_a_city_with_too_little_shelf_is_refused():
    with pytest.raises(ValueError, match="shelves have room for"):
        model.build(NETWORK, 1, SMALL._replace(copies=90_000))


def test_readers_come_while_the_place_is_open(world):
    day = 4
    today = visits.of_day(world, 7, day, visits.interest(world))
    date = model.START + model.timedelta(days=day)
    second = today["at_s"] - day * model.DAY_S
    for place, at in zip(today["place"], second, strict=True):
        spans = NETWORK.places[place].open_spans(date)
        assert any(span.begin_s <= at < span.end_s for span in spans)


def test_visits_are_in_order_of_time(world):
    today = visits.of_day(world, 7, 4, visits.interest(world))
    assert (np.diff(today["at_s"]) >= 0).all()


def test_a_week_has_as_many_visits_as_were_asked_for(world):
    week = visits.tape(world, 7, range(7, 14))
    assert sum(map(len, week)) == pytest.approx(SMALL.visits_a_week, rel=0.15)


def test_most_loans_come_back_where_they_were_made(world):
    today = visits.of_day(world, 7, 4, visits.interest(world))
    assert (today["back"] == today["place"]).mean() == pytest.approx(model.BACK_WHERE_LENT, abs=0.08)


def test_a_copy_travels_by_the_hubs_of_both_places():
    km, row = model.lanes_km(NETWORK), {p.id: i for i, p in enumerate(NETWORK.places)}
    far, hub = row["baishi-room-1"], row["yunling-library"]
    assert km[far, row["hubin-room"]] == pytest.approx(
        km[far, hub] + km[hub, row["chenghu-library"]] + km[row["chenghu-library"], row["hubin-room"]], rel=1e-5
    )
