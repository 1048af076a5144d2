"""A planned night on a real database: sets and what fills them, owners who are asked, moves held back, wishes for lent copies."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, Engine, func, insert, select, update

from config import Settings, load
from rotation.dispatch.review import NothingThere, answer_owner
from rotation.facts.clock import standing_at
from rotation.facts.movements import CopyState
from rotation.network import Network, from_tables
from rotation.night import kept_prices, loop, requested_sets, uplift
from rotation.night.loop import plan_nights
from rotation.night.run import NightReport, plan_night
from rotation.night.settings import rebalancing_settings
from rotation.store.clock import set_clock
from rotation.store.conservation import broken
from rotation.store.engine import driver, engine
from rotation.store.tables import copies, daily_figures, day_plans, legs, movements, outbox, plans, transfers
from rotation.views.explanations import NoNight, not_there
from rotation.views.owner_balances import Balance, balances
from solver.routing_service import TRIES
from tests.integration.night.small_city import (
    LENT_IN_THE_ROOM_EVERY_MONTH,
    MONDAY,
    NETWORK,
    NEVER_LENT_AT_THE_CENTRE,
    moved,
    weeks_ago,
    write,
)
from tests.unit.routing_service import Service, serving

TODAY = MONDAY.date()
MEANWHILE_S = 0.5  # in which one who waited for nobody would have come to an end
MORNING = MONDAY - timedelta(hours=8)  # before the first van leaves
FREE = {"move_price": 0.0, "fresh_bonus": 0.0, "floor_bonus": 0.0}
COUNTY = {"id": "county", "name": "County"}


def settings(**changes: Any) -> Settings:
    chosen = {
        "data_dir": Path("unused"),
        "moves_per_day": 20,
        "desk_chance": 1.0,
        "planning": FREE,
        "route_seconds": 0.2,
    }
    return load(**chosen | changes)


@pytest.fixture
def city(database: str) -> Iterator[Engine]:
    """Nine copies of nine titles, one of them lent from the room."""
    at = engine(database)
    with at.begin() as connection:
        facts = [
            *LENT_IN_THE_ROOM_EVERY_MONTH,
            *NEVER_LENT_AT_THE_CENTRE,
            moved("c1", weeks_ago(1), CopyState.ON_LOAN, "room"),
        ]
        write(connection, {f"c{number}": f"t{number}" for number in range(1, 10)}, facts)
        set_clock(connection, standing_at(MONDAY))
    yield at
    at.dispose()


def test_a_night_in_an_empty_city_plans_nothing_but_its_hubs_two_sortings(database: str):
    at = engine(database)
    with at.begin() as connection:
        set_clock(connection, standing_at(MONDAY))
    report = plan_night(at, NETWORK, settings(), TODAY)
    assert (report.moves, report.gap, report.runs, report.orders) == (0, 0.0, 0, 2)
    at.dispose()


def test_a_night_before_the_first_copy_came_keeps_no_figure_and_ends(database: str):
    at = engine(database)
    network = from_tables(
        {
            "network": {"id": "town", "name": {"zh": "小城", "en": "Town"}, "timezone": "Asia/Shanghai"},
            "class": [{"id": "fiction", "name": {"zh": "小说", "en": "Fiction"}}],
            "place": [
                {
                    "id": "east",
                    "name": {"zh": "东馆", "en": "East"},
                    "tier": "district",
                    "lat": 30.0,
                    "lon": 120.0,
                    "hub": {},
                }
            ],
            "van": [{"id": "e1", "hub": "east", "crates": 20}],
        },
        "town.toml",
    )
    with at.begin() as connection:
        set_clock(connection, standing_at(MONDAY))
    assert plan_night(at, network, settings(), TODAY).moves == 0
    with at.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(daily_figures)) == 0
    at.dispose()


def test_the_night_counts_whether_facts_add_up_for_the_alerts(city: Engine):
    plan_night(city, NETWORK, settings(), TODAY)
    with city.connect() as connection:
        found = broken(driver(connection).cursor())
    assert [one.subject for one in found] == ["events"]  # the fixture's facts came by no worker, which counts them


def test_the_night_waits_for_the_routing_service_and_the_vans_drive_by_its_times(
    city: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("LOOK_S", "AWAY_S"):
        monkeypatch.setattr(loop, name, 0.01)
    with city.begin() as connection:
        waits_at_the_branch(connection)
    told, stop = list[NightReport](), Event()
    with serving(monkeypatch) as address:
        Service.trouble = ["busy"] * TRIES
        chosen = settings(data_dir=tmp_path, roads="osrm", roads_url=address)
        plan_nights(city, NETWORK, chosen, stop, lambda report: (told.append(report), stop.set()))
    assert len(told) == 1
    assert len(Service.asked) == TRIES + 1  # refused a night, then asked once
    with city.connect() as connection:
        (problem,) = connection.execute(select(day_plans.c.problem)).scalars()
    ways = problem["travel"]
    assert ways["seconds"][0][ways["places"].index("branch")] == 451  # .05 degrees in all, at 9,000.5 s a degree


def waits_at_the_branch(connection: Connection) -> None:
    """A copy on its way from the branch to the centre: the hub has a run that day."""
    row = {"state": "in_transit", "place_id": "branch", "to_place_id": "centre"}
    connection.execute(update(copies).where(copies.c.copy_id == "c9").values(row))


def test_what_a_hub_picks_from_its_own_shelves_is_ordered_with_its_day(city: Engine):
    with city.begin() as connection:
        waits_at_the_branch(connection)
        set_clock(connection, standing_at(MORNING))
    assert {(row.from_place_id, row.to_place_id, row.status) for row in planned(city)} == {
        ("centre", "room", "ordered")
    }


def planned(city: Engine, network: Network = NETWORK, **changes: Any) -> list[Any]:
    plan_night(city, network, settings(**changes), TODAY)
    with city.connect() as connection:
        return list(connection.execute(select(transfers).order_by(transfers.c.transfer_id)))


@pytest.mark.parametrize(
    ("loan_cents", "gives"), [(1, {"centre"}), (100_000, {"centre", "branch"}), (0, {"centre", "branch"})]
)
def test_a_visit_that_no_pick_is_worth_is_not_made_and_the_night_is_planned_without_it(
    city: Engine, loan_cents: int, gives: set[str]
):
    with city.begin() as connection:
        connection.execute(update(copies).where(copies.c.copy_id == "c9").values(place_id="branch"))
        connection.execute(update(movements).where(movements.c.copy_id == "c9").values(place_id="branch"))
        set_clock(connection, standing_at(MORNING))
    rows = planned(city, loan_cents=loan_cents)
    assert {row.from_place_id for row in rows} == gives
    with city.connect() as connection:
        told = connection.execute(select(plans.c.moves)).scalars().all()
        of_moves = set(connection.execute(select(legs.c.transfer_id)).scalars())
    assert told == [len(rows)]
    assert of_moves == {row.transfer_id for row in rows}


def ask(city: Engine, **asked: Any) -> str:
    with city.begin() as connection:
        wanted = {"place": "branch", "due": TODAY + timedelta(days=3), **asked}
        return requested_sets.ask(connection, NETWORK, requested_sets.SetRequest(**wanted), who="librarian", at=MONDAY)


def standing(city: Engine) -> requested_sets.SetProgress:
    with city.connect() as connection:
        (one,) = requested_sets.progress(connection)
    return one


@pytest.mark.parametrize("wanted", [{"titles": ["t2", "t3", "t4"]}, {"title_class": "children", "copies": 3}])
def test_a_set_is_planned_with_the_night_and_is_not_asked_for_twice(city: Engine, wanted: dict[str, Any]):
    asked = ask(city, **wanted)
    dear = {"planning": {"move_price": 1.0, "request_worth": 5.0}}
    filling = [row for row in planned(city, **dear) if row.set_id == asked]
    assert [(row.to_place_id, row.reason["code"]) for row in filling] == [("branch", "requested")] * 3
    assert (standing(city).coming, standing(city).come) == (3, 0)
    with city.connect() as connection:
        assert requested_sets.still_open(connection.connection.driver_connection, TODAY) == []


def test_two_sets_that_are_asked_for_at_once_are_kept_under_two_numbers(city: Engine):
    with city.connect() as one, ThreadPoolExecutor(1) as other:
        wanted = requested_sets.SetRequest(place="branch", due=TODAY + timedelta(days=3), titles=["t2"])
        first = requested_sets.ask(one, NETWORK, wanted, who="librarian", at=MONDAY)
        second = other.submit(ask, city, titles=["t3"])
        with pytest.raises(TimeoutError):
            second.result(MEANWHILE_S)
        one.commit()
        assert [first[-2:], second.result(10)[-2:]] == ["-1", "-2"]


def test_a_set_that_was_cancelled_is_not_gathered(city: Engine):
    asked = ask(city, titles=["t2"])
    with city.begin() as connection:
        requested_sets.cancel(connection, asked, MONDAY)
    assert [row for row in planned(city) if row.set_id] == []
    assert standing(city).cancelled
    with pytest.raises(requested_sets.NotPossible), city.begin() as connection:
        requested_sets.cancel(connection, asked, MONDAY)


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"place": "moon", "titles": ["t1"]}, "no place 'moon'"),
        ({"titles": ["t1"], "title_class": "children"}, "of titles or of a class"),
        ({}, "of titles or of a class"),
        ({"title_class": "maps", "copies": 3}, "no class 'maps'"),
        ({"titles": ["t1", "t77"]}, "ever heard of: t77"),
        ({"title_class": "children", "copies": 0}, "1 to 5000 copies, not 0"),
        ({"titles": ["t1"], "due": date(2026, 1, 1)}, "due on 2026-01-01"),
        ({"titles": ["t1"], "return_on": TODAY}, "before it is due"),
    ],
)
def test_a_set_that_cannot_be_is_refused_with_a_sentence(city: Engine, asked: dict[str, Any], part: str):
    with pytest.raises(requested_sets.NotPossible, match=part):
        ask(city, **asked)


# --- Owners ---------------------------------------------------------------------------------------------------------------


def owned(lends_to: list[str], asks: list[str]) -> Network:
    """The small city, whose room belongs to the county."""
    tables = NETWORK.model_dump(by_alias=True, exclude_defaults=True)
    rooms = [place | {"owner": "county" if place["id"] == "room" else "city"} for place in tables["place"]]
    city = {"id": "city", "name": "City", "lends_to": lends_to, "asks": asks}
    return from_tables({**tables, "owner": [city, COUNTY], "place": rooms}, "small.toml")


def to_the_room(rows: list[Any]) -> list[Any]:
    return [row for row in rows if row.to_place_id == "room"]


def test_copies_go_to_an_owner_who_was_not_consented_to_only_when_asked_and_agreed(city: Engine):
    assert to_the_room(planned(city, owned(["city"], ["county"])))
    with city.begin() as connection:
        asked = connection.execute(select(transfers).where(transfers.c.to_place_id == "room")).all()
        assert {row.status for row in asked} == {"asked"}
        yes, no = asked[0].transfer_id, asked[1].transfer_id
        answer_owner(connection, yes, agreed=True, who="librarian", at=MONDAY)
        answer_owner(connection, no, agreed=False, who="librarian", at=MONDAY)
        with pytest.raises(NothingThere):
            answer_owner(connection, no, agreed=True, who="librarian", at=MONDAY)
        set_clock(connection, standing_at(MORNING + timedelta(days=1)))
        waits_at_the_branch(connection)
    plan_night(city, owned(["city"], ["county"]), settings(), TODAY + timedelta(days=1))
    with city.connect() as connection:
        status = dict(connection.execute(select(transfers.c.transfer_id, transfers.c.status)).all())
    assert (status[yes], status[no]) == ("ordered", "cancelled")


def test_without_any_consent_nothing_goes_there(city: Engine):
    assert not to_the_room(planned(city, owned(["city"], [])))


def test_what_owners_owe_each_other_is_counted_from_where_copies_stand(city: Engine):
    with city.connect() as connection:
        connection.execute(update(copies).where(copies.c.copy_id.in_(["c2", "c3"])).values(place_id="room"))
        connection.execute(update(copies).where(copies.c.copy_id == "c4").values(owner_id="county"))
        assert balances(connection, owned(["*"], [])) == [Balance("city", "county", 3, 1)]
        assert balances(connection, owned(["*"], []))[0].owed == 2


# --- What moves bring -----------------------------------------------------------------------------------------------------


def lent_in_the_room(copy: str, at: datetime) -> dict[str, Any]:
    about = {"sequence": 0, "source": "test", "event_id": f"lent-{at}", "state": "on_loan", "place_id": "room"}
    return {"copy_id": copy, "occurred_at": at, **about}


def test_moves_held_back_are_kept_rest_and_are_compared_with_the_others(city: Engine):
    rows = planned(city, held_back_share=0.5)
    back = {row.copy_id for row in rows if row.status == "held_back"}
    done = {row.copy_id for row in rows} - back
    assert back
    assert len(done) > 1
    later = MONDAY + timedelta(weeks=9)
    with city.begin() as connection:
        assert uplift.measured(connection, weeks=8, now=MONDAY) is None
        lent = [lent_in_the_room(copy, MONDAY + timedelta(weeks=week)) for copy in done for week in (1, 3, 8.5)]
        connection.execute(insert(movements), lent)
        found = uplift.measured(connection, weeks=8, now=later)
        assert found is not None
        assert (found.moved, found.held_back, found.a_move, found.half_width) == (len(done), len(back), 2.0, 0.0)
        set_clock(connection, standing_at(MONDAY + timedelta(days=1)))
    plan_night(city, NETWORK, settings(), TODAY + timedelta(days=1))
    with city.connect() as connection:
        again = connection.scalars(select(transfers.c.copy_id).where(transfers.c.day > TODAY)).all()
    assert back.isdisjoint(again)


# --- Wishes -----------------------------------------------------------------------------------------------------------------


def wishes(city: Engine) -> dict[str, str | None]:
    with city.connect() as connection:
        told = connection.scalars(select(outbox.c.value).where(outbox.c.topic == "stock.targets").order_by(outbox.c.id))
        return {message["copy"]: message["to"] for message in map(orjson.loads, told)}


def test_lent_copies_wishes_are_published_once_and_taken_back(city: Engine):
    with city.begin() as connection:
        connection.execute(update(copies).where(copies.c.copy_id == "c9").values(state="on_loan"))
    planned(city, publish_targets=True, moves_per_day=0)
    assert wishes(city) == {"c9": "room"}
    with city.begin() as connection:
        connection.execute(outbox.delete())
        connection.execute(update(copies).where(copies.c.copy_id == "c9").values(state="on_shelf"))
        set_clock(connection, standing_at(MONDAY + timedelta(days=1)))
    plan_night(city, NETWORK, settings(publish_targets=True, moves_per_day=0), TODAY + timedelta(days=1))
    assert wishes(city) == {"c9": None}


# --- Why not ----------------------------------------------------------------------------------------------------------------


def test_why_a_title_does_not_go_to_a_place_is_told_at_the_last_nights_prices(city: Engine):
    with city.connect() as connection, pytest.raises(NoNight):
        not_there(connection, NETWORK, settings(), "t5", "room")
    (coming, *_) = to_the_room(planned(city))

    def against(title: str, place: str) -> dict[str, Any]:
        with city.connect() as connection:
            return not_there(connection, NETWORK, settings(), title, place)

    assert against(coming.title_id, "room")["transfer"] == coming.transfer_id
    assert against("t1", "branch")["reason"]["code"] == "no_copy_free"  # its one copy is lent
    assert against("t99", "branch")["reason"]["code"] == "unknown"
    assert against("t1", "branch")["why"]["zh"].startswith("没有可以调出的复本")


# --- Settings and details -------------------------------------------------------------------------------------------------


def test_any_setting_of_the_plan_can_be_set_by_its_name_and_no_other():
    assert rebalancing_settings(settings(planning={"equity": 0.25})).equity == 0.25
    with pytest.raises(ValueError, match="unknown planning setting 'equty'; valid settings"):
        rebalancing_settings(settings(planning={"equty": 0.25}))


def test_the_nights_prices_and_floors_are_kept_for_the_page_and_the_day(city: Engine):
    tables = NETWORK.model_dump(by_alias=True, exclude_defaults=True)
    promised = from_tables(
        {**tables, "floors": {"fresh_per_quarter": {"subdistrict": 9, "room": "nobody-knows"}}}, "small.toml"
    )
    planned(city, promised, staff_minutes_per_day=3.0, planning={"move_price": 0.0})
    with city.connect() as connection:
        details = connection.scalars(select(plans.c.details)).one()
        kept = kept_prices.last(connection)
    (floor,) = details["floors"]
    assert (floor["kind"], floor["place"], floor["cls"], floor["asked"]) == ("fresh", "branch", None, 7)
    assert details["floors_unset"] == [{"floor": "fresh_per_quarter.room", "figure": "nobody-knows"}]
    assert kept is not None
    assert kept.prices.staff_minute == pytest.approx(details["staff_minute_price"]) != 0
