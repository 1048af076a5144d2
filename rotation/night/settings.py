"""The city's settings in the planner's words."""

from typing import Any

from config import Settings
from rotation.rebalancing.snapshot import PlanningSettings

DEFAULTS = PlanningSettings()


def rebalancing_settings(settings: Settings, season: float = 1.0) -> PlanningSettings:
    """Return the planner's settings; `season` scales demand on the planned day.

    Raises
    ------
    ValueError
        When `planning` names a setting that does not exist, or that has a name of its own here.
    """
    own: dict[str, Any] = {
        "horizon_weeks": float(settings.horizon_weeks),
        "budget_moves": settings.moves_per_day,
        "budget_staff_minutes": settings.staff_minutes_per_day,
        "budget_van_hours": settings.van_hours_per_day,
        "cool_down_weeks": settings.cooldown_days / 7,
        "desk_chance": settings.desk_chance,
        "held_back_share": settings.held_back_share,
        "season": season,
    }
    others = set(PlanningSettings.__slots__) - own.keys()
    if unknown := sorted(settings.planning.keys() - others):
        raise ValueError(f"unknown planning setting '{unknown[0]}'; valid settings: {', '.join(sorted(others))}")
    more = {name: type(getattr(DEFAULTS, name))(value) for name, value in settings.planning.items()}
    return PlanningSettings(**own, **more)
