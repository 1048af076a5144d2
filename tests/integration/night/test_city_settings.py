"""Settings that decide for people are the database's, whatever a process's own environment says."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from config import Settings, load
from rotation.store import city_settings
from rotation.store.city_settings import BadValue, NoSuchSetting
from rotation.store.engine import engine
from rotation.store.tables import decisions


@pytest.fixture
def database_engine(database: str):
    found = engine(database)
    yield found
    found.dispose()


def settings(**own: object) -> Settings:
    return load(data_dir=Path("unused"), **own)


def in_force(at: Engine, own: Settings) -> Settings:
    with at.connect() as connection:
        return city_settings.decided(connection, own)


def test_the_first_planners_settings_hold_in_every_process_and_differences_are_named(database_engine: Engine):
    first, other = settings(approval="held", moves_per_day=40), settings(approval="automatic", moves_per_day=40)
    assert in_force(database_engine, other).approval == "automatic"
    with database_engine.begin() as connection:
        city_settings.keep_first(connection, first)
        city_settings.keep_first(connection, other)
        assert city_settings.differing(connection, other) == {"approval": ("automatic", "held")}
    assert in_force(database_engine, other).approval == "held"


def test_a_change_holds_for_all_and_is_a_decision_of_its_author(database_engine: Engine):
    with database_engine.begin() as connection:
        city_settings.keep_first(connection, settings(moves_per_day=40))
        assert city_settings.change(connection, settings(), "moves_per_day", "25", "li") == 25
        assert city_settings.change(connection, settings(), "staff_minutes_per_day", "", "li") is None
        kept = connection.execute(select(decisions.c.who, decisions.c.subject, decisions.c.details)).all()
    assert in_force(database_engine, settings()).moves_per_day == 25
    assert kept[0] == ("li", "settings", {"setting": "moves_per_day", "before": 40, "after": 25})


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("moves_per_day", "-1", BadValue),
        ("approval", "maybe", BadValue),
        ("policy_until", "25:99", BadValue),
        ("secret_key", "x" * 40, NoSuchSetting),
    ],
)
def test_a_wrong_name_or_value_changes_nothing(database_engine: Engine, name: str, value: str, error: type[ValueError]):
    with database_engine.begin() as connection, pytest.raises(error):
        city_settings.change(connection, settings(), name, value, "li")
    assert in_force(database_engine, settings()) == settings()
