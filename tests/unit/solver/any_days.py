"""Random days with everything that the format can say, small enough that a second is a long search."""

import random
from contextlib import suppress
from typing import Any

from solver.check import ProblemError, read
from solver.problem import Problem

DAY = (6 * 3600, 20 * 3600)
PLACES = [f"p{number}" for number in range(9)]
Dice = random.Random
Fields = dict[str, Any]


def any_day(seed: int) -> Problem:
    """Return the first day of this seed's that is no contradiction."""
    dice = random.Random(seed)
    while True:
        try:
            return read(_day(dice))
        except ProblemError:
            continue


def limited_day(seed: int) -> Problem:
    """Return a day of this seed's with limits that others ask for, on its runs, legs and loads, and work kept apart."""
    dice = random.Random(seed)
    while True:
        day = _day(dice)
        day["travel"]["kinds"] = {"cart": _ways(dice, len(day["travel"]["places"]))}
        for van in day["vans"]:
            van |= _some(
                dice,
                0.4,
                max_visits=dice.randint(1, 5),
                max_leg_metres=dice.randint(4000, 12_000),
                max_leg_s=dice.randint(500, 2000),
                max_wait_s=dice.randint(0, 7200),
                kind="cart",
            )
        for shipment in day["shipments"]:
            shipment |= _some(dice, 0.6, max_on_board_s=dice.randint(600, 5400))
        for call in [*day["stops"], *(one[half] for one in day["shipments"] for half in ("collect", "deliver"))]:
            call |= _some(dice, 0.4, setup_s=dice.randint(60, 900))
        work = [one["id"] for one in [*day["stops"], *day["shipments"]]]
        dice.shuffle(work)
        if len(work) > 1 and dice.random() < 0.5:
            day["apart"] = [{"groups": [work[:1], work[1:3], work[4:]]}]
        with suppress(ProblemError):
            return read(day)


def _day(dice: Dice) -> Fields:
    depots = [_depot(dice, f"h{number}") for number in range(dice.choice([1, 1, 2]))]
    names = [one["id"] for one in depots]
    dimensions = dice.choice([["crates"], ["crates", "kg"]])
    zones = [_zone(dice)] if dice.random() < 0.3 else []
    vans = [_van(dice, f"v{number}", names, dimensions) for number in range(dice.randint(1, 3))]
    stops = [_stop(dice, f"s{number}", names, dimensions, vans, zones) for number in range(dice.randint(0, 6))]
    shipments = [
        _shipment(dice, f"d{number}", dimensions, zones) for number in range(dice.randint(0 if stops else 1, 2))
    ]
    visits = [one["id"] for one in stops]
    day: Fields = {
        "dimensions": dimensions,
        "depots": depots,
        "vans": vans,
        "stops": stops,
        "shipments": shipments,
        "zones": zones,
        "travel": _travel(dice, [*names, *PLACES]),
        "costs": _some(
            dice, 0.3, not_preferred_cents=500, imbalance_hour_cents=1000, change_cents=200, co2_cents_per_kg=30
        ),
        "weekday": 2,
    }
    if dice.random() < 0.25:
        day["slots"] = [{"from_s": "07:00", "until_s": "09:00", "percent": dice.choice([70, 130, 180])}]
    if dice.random() < 0.25 and len(visits) > 1:
        day["locks"] = [_lock(dice, visits, vans)]
    if dice.random() < 0.2 and visits:
        day["baseline"] = [{"van": vans[0]["id"], "visits": dice.sample(visits, min(2, len(visits)))}]
    return day


def _some(dice: Dice, likely: float, **fields: Any) -> Fields:
    """Return each of the fields with this likelihood."""
    return {name: value for name, value in fields.items() if dice.random() < likely}


def _hours(dice: Dice, most: int = 2) -> list[list[int]]:
    ends = sorted(dice.sample(range(DAY[0], DAY[1], 600), 2 * dice.randint(0, most)))
    return [list(pair) for pair in zip(ends[::2], ends[1::2], strict=True)]


def _amount(dice: Dice, dimensions: list[str], most: int) -> Any:
    return {one: dice.randint(0, most) for one in dimensions} if dice.random() < 0.5 else dice.randint(0, most)


def _depot(dice: Dice, name: str) -> Fields:
    return {"id": name} | _some(
        dice,
        0.3,
        windows=_hours(dice) or [list(DAY)],
        load_s=600,
        unload_s=300,
        docks=1,
        sort_cutoff_s=dice.randint(*DAY),
    )


def _van(dice: Dice, name: str, depots: list[str], dimensions: list[str]) -> Fields:
    begin = dice.randrange(DAY[0], DAY[0] + 3 * 3600, 600)
    shift = [begin, dice.randrange(begin + 3600, DAY[1], 600)]
    fields = {
        "id": name,
        "start": dice.choice(depots),
        "shift": shift,
        "capacity": dict.fromkeys(dimensions, dice.randint(2, 12)),
        "fixed_cents": dice.choice([0, 2000]),
    }
    extras = _some(
        dice,
        0.2,
        end=dice.choice(depots),
        open_end=True,
        open_start=True,
        latest_start_s=shift[0] + 7200,
        normal_s=4 * 3600,
        max_duration_s=6 * 3600,
        max_metres=60_000,
        time_percent=120,
        skills=["x"],
        sizes={"height_cm": 250},
        plate="A123",
        energy=dice.choice(["diesel_van", "cargo_bike"]),
        max_reloads=dice.randint(1, 2),
        breaks=[{"id": "rest", "length_s": 1800, "windows": _hours(dice, 1)}],
    )
    return fields | extras


def _call(dice: Dice, zones: list[Fields]) -> Fields:
    more: Fields = {"zone": "z"} if zones and dice.random() < 0.4 else {}
    common = {"place": dice.choice(PLACES), "windows": _hours(dice), "service_s": dice.choice([0, 300, 900])}
    return common | more | _some(dice, 0.2, service_s_per_unit=60, sizes={"height_cm": dice.choice([210, 300])})


def _worth(dice: Dice, vans: list[Fields]) -> Fields:
    names = [one["id"] for one in vans]
    return _some(dice, 0.5, prize_cents=dice.randint(0, 9000)) | _some(
        dice,
        0.15,
        priority=dice.randint(0, 100),
        skills=["x"],
        vans=[dice.choice(names)],
        preferred_vans=[dice.choice(names)],
    )


def _stop(
    dice: Dice, name: str, depots: list[str], dimensions: list[str], vans: list[Fields], zones: list[Fields]
) -> Fields:
    work = {"id": name, "deliver": _amount(dice, dimensions, 4), "collect": _amount(dice, dimensions, 3)}
    own = _some(dice, 0.2, depot=dice.choice(depots), ready_s=dice.randint(*DAY), due_s=dice.randint(*DAY))
    return work | _call(dice, zones) | _worth(dice, vans) | own


def _shipment(dice: Dice, name: str, dimensions: list[str], zones: list[Fields]) -> Fields:
    ends = {"collect": _call(dice, zones), "deliver": _call(dice, zones)}
    return {"id": name, "amount": _amount(dice, dimensions, 3), **ends} | _worth(dice, [{"id": "v0"}])


def _zone(dice: Dice) -> Fields:
    return {
        "id": "z",
        "bans": [{"windows": _hours(dice) or [[25_200, 32_400]], "plate_ends": dice.choice([[], ["3"]])}],
    }


def _lock(dice: Dice, visits: list[str], vans: list[Fields]) -> Fields:
    chosen = dice.sample(visits, dice.randint(1, min(3, len(visits))))
    return {"visits": chosen, "order": dice.choice(["free", "kept", "unbroken"])} | _some(
        dice, 0.5, van=dice.choice(vans)["id"]
    )


def _travel(dice: Dice, places: list[str]) -> Fields:
    """Asymmetric as roads are."""
    return {"places": places, **_ways(dice, len(places))}


def _ways(dice: Dice, count: int) -> Fields:
    metres = [[0 if a == b else dice.randint(500, 12_000) for b in range(count)] for a in range(count)]
    seconds = [[round(way / dice.uniform(6, 12)) for way in row] for row in metres]
    return {"metres": metres, "seconds": seconds}
