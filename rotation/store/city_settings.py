"""Settings that decide for people (approval, budgets, prices): kept in the database once, so that no process decides by its own.

The planner's first start keeps its own values. From then on the database's hold in every process; one whose environment or file
says something else is named, and `rotation config set` or the page changes them.
"""

from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, insert, text

from config import Settings
from rotation.store.kept import keep, kept
from rotation.store.locks import AdvisoryLock
from rotation.store.tables import decisions

DECIDING = (
    "approval",
    "policy_cost_share",
    "policy_moves",
    "policy_until",
    "policy_then",
    "moves_per_day",
    "staff_minutes_per_day",
    "van_hours_per_day",
    "loan_cents",
    "loans_per_km",
    "held_back_share",
    "desk_held_back_share",
    "desk_mode",
)
NAME = "city_settings"
SUBJECT = "settings"  # of decisions on them
CHANGED = "change"


class NoSuchSetting(ValueError):
    """No setting of that name is kept in the database."""


class BadValue(ValueError):
    """The setting does not take that value; the message says which it takes."""


def decided(connection: Connection, settings: Settings) -> Settings:
    """Return the settings with the city's in place of the process's own."""
    found = _kept(connection)
    return settings.model_copy(update=found) if found else settings


def keep_first(connection: Connection, settings: Settings) -> None:
    """Keep a process's own values as the city's, where none are kept yet; those of a newer version are added."""
    _lock(connection)
    found = _kept(connection)
    if missing := {name: getattr(settings, name) for name in DECIDING if name not in found}:
        keep(connection, NAME, found | missing)


def differing(connection: Connection, settings: Settings) -> dict[str, tuple[Any, Any]]:
    """Return the process's own value and the city's of each setting in which they differ."""
    found = _kept(connection)
    pairs = {name: (getattr(settings, name), value) for name, value in found.items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def change(connection: Connection, settings: Settings, name: str, value: str, who: str) -> Any:
    """Change a setting of the city, as text; an empty text is none. Return the value taken; recorded as a decision.

    Raises
    ------
    NoSuchSetting, BadValue
        When the setting or its value is not allowed.
    """
    if name not in DECIDING:
        raise NoSuchSetting(f"no setting '{name}' is kept in the database; those that are: {', '.join(DECIDING)}")
    _lock(connection)
    taken = _valid(decided(connection, settings), name, value.strip() or None)
    before = _kept(connection)
    keep(connection, NAME, before | {name: taken})
    details = {"setting": name, "before": before.get(name, getattr(settings, name)), "after": taken}
    said = {"who": who, "what": CHANGED, "subject": SUBJECT, "details": details}
    connection.execute(insert(decisions), said)
    return taken


def _valid(settings: Settings, name: str, value: str | None) -> Any:
    try:
        checked = Settings.__pydantic_validator__.validate_assignment(settings.model_copy(), name, value)
    except ValidationError as error:
        raise BadValue(f"{name}: {error.errors()[0]['msg']}") from None
    return getattr(checked, name)


def _kept(connection: Connection) -> dict[str, Any]:
    found: dict[str, Any] = kept(connection, NAME) or {}
    return {name: value for name, value in found.items() if name in DECIDING}


def _lock(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": AdvisoryLock.SETTINGS})
