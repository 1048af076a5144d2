"""Courier days for measurements: a city, its hub, and a morning's work, drawn from a seed.

The idea: the difficulties of real days are drawn from the seed too (how clustered the branches are, how tight their hours, how
large the vans), so that no two days are alike and nothing can be tuned to a single day. Shares follow the real network's
file of branches: most open all day, a third close for lunch, few take crates before opening.
"""

from collections.abc import Iterator

import numpy as np

from solver.problem import Call, Depot, Problem, Shipment, Stop, Travel, Van, Window

ROAD_FACTOR = 1.35  # roads against straight lines, towns of a province
ROAD_SPREAD = 0.12  # one-way streets and hills: there is not as long as back again
CITY_KMH, COUNTRY_KMH = 24, 48  # near and far drives
COUNTRY_M = 8_000
LUNCH_SHARE, EARLY_SHARE, SHORT_SHARE = 0.35, 0.15, 0.20
OPTIONAL_SHARE = 0.15  # of stops: a round that can wait a day
DIRECT_SHARE = 0.25  # shipments per stop: full crates that go straight to another branch
SHIFT = Window(from_s=7 * 3600, until_s=18 * 3600)
STOPS_PER_VAN = 9  # generous: the number of vans never decides alone


def courier_day(stops: int, seed: int, hubs: int = 1) -> Problem:
    """Return a day of `stops` stops and a quarter as many direct shipments; the same seed gives the same day.

    Further hubs stand around the first, each in the middle of a district; each stop's crates belong to the nearest hub.
    """
    draw = np.random.default_rng([seed, stops])
    points_m = _points(draw, stops)
    day = Problem(
        name=f"courier-{stops}-{seed}",
        depots=[Depot(id="hub", place="p0", load_s=900, unload_s=600)],
        vans=_vans(draw, stops),
        stops=[_stop(draw, index) for index in range(1, stops + 1)],
        shipments=list(_shipments(draw, points_m, int(stops * DIRECT_SHARE))),
        travel=_travel(draw, points_m),
    )
    return day if hubs == 1 else _of_several_hubs(day, points_m, hubs)


def _of_several_hubs(day: Problem, points_m: np.ndarray, hubs: int) -> Problem:
    """Return the day with its stops and vans shared among hubs, each new hub at the stop in the middle of a sector."""
    x, y = (points_m[1:] - points_m[0]).T
    districts = np.array_split(1 + np.argsort(np.arctan2(y, x)), hubs - 1)
    at = [0, *(1 + int(_ways_m(points_m[1:], points_m[one].mean(axis=0)).argmin()) for one in districts)]
    own = np.array([_ways_m(points_m, points_m[hub]) for hub in at]).argmin(axis=0)
    of_hub = np.bincount(own[1:], minlength=hubs) / len(day.stops)
    starts = np.repeat(np.arange(hubs), np.ceil(of_hub * len(day.vans)).astype(int) + 1)
    depots = [
        day.depots[0].model_copy(update={"id": f"hub{hub}", "place": f"p{place}"}) for hub, place in enumerate(at)
    ]
    vans = [
        day.vans[0].model_copy(update={"id": f"van{index}", "start": f"hub{hub}"})
        for index, hub in enumerate(starts.tolist(), start=1)
    ]
    stops = [stop.model_copy(update={"depot": f"hub{own[index]}"}) for index, stop in enumerate(day.stops, start=1)]
    return day.model_copy(update={"name": f"{day.name}-{hubs}", "depots": depots, "vans": vans, "stops": stops})


def _ways_m(points_m: np.ndarray, from_m: np.ndarray) -> np.ndarray:
    """Return metres in straight lines."""
    return np.asarray(np.linalg.norm(points_m - from_m, axis=1))


def _points(draw: np.random.Generator, stops: int) -> np.ndarray:
    """Return (stops + 1, 2) metres; the hub is first, a little off the middle. Clusters are towns, the rest is country."""
    radius_m = 4_500 * np.sqrt(stops / 20)  # so that density stays that of a city at any size
    towns_m = draw.normal(0, radius_m * 0.5, (max(2, stops // 25), 2))
    clustered = draw.random(stops) < draw.uniform(0.3, 0.8)
    near_m = towns_m[draw.integers(0, len(towns_m), stops)] + draw.normal(0, radius_m * 0.07, (stops, 2))
    anywhere_m = draw.uniform(-radius_m, radius_m, (stops, 2))
    return np.vstack([draw.normal(0, radius_m * 0.1, (1, 2)), np.where(clustered[:, None], near_m, anywhere_m)])


def _travel(draw: np.random.Generator, points_m: np.ndarray) -> Travel:
    straight_m = np.linalg.norm(points_m[:, None] - points_m[None], axis=2)
    metres = straight_m * ROAD_FACTOR * draw.uniform(1 - ROAD_SPREAD, 1 + ROAD_SPREAD, straight_m.shape)
    near_m = np.minimum(metres, COUNTRY_M)
    seconds = near_m / (CITY_KMH / 3.6) + (metres - near_m) / (COUNTRY_KMH / 3.6)
    places = [f"p{index}" for index in range(len(points_m))]
    return Travel(places=places, metres=metres.astype(np.int64), seconds=seconds.astype(np.int64))


def _vans(draw: np.random.Generator, stops: int) -> list[Van]:
    crates, fixed_cents = int(draw.integers(45, 110)), int(draw.choice([2_500, 4_000, 8_000]))
    van = Van(id="van", capacity=crates, shift=SHIFT, fixed_cents=fixed_cents, hour_cents=2_520, km_cents=30)
    count = max(3, -(-stops // STOPS_PER_VAN))
    return [van.model_copy(update={"id": f"van{index}"}) for index in range(1, count + 1)]


def _stop(draw: np.random.Generator, index: int) -> Stop:
    optional = draw.random() < OPTIONAL_SHARE
    return Stop(
        id=f"s{index}",
        place=f"p{index}",
        deliver=int(draw.integers(0, 9)),
        collect=int(draw.integers(1, 8)),
        windows=_hours(draw),
        service_s=180,
        service_s_per_unit=20,
        prize_cents=int(draw.integers(300, 3_000)) if optional else None,
    )


def _hours(draw: np.random.Generator) -> list[Window]:
    kind = draw.random()
    if kind < LUNCH_SHARE:
        return [Window(from_s=9 * 3600, until_s=12 * 3600), Window(from_s=14 * 3600, until_s=17 * 3600)]
    if kind < LUNCH_SHARE + EARLY_SHARE:
        return [Window(from_s=7 * 3600, until_s=9 * 3600 + 1800)]
    if kind < LUNCH_SHARE + EARLY_SHARE + SHORT_SHARE:
        opens_s = int(draw.integers(9, 15)) * 3600
        return [Window(from_s=opens_s, until_s=opens_s + 2 * 3600)]
    return [Window(from_s=9 * 3600, until_s=17 * 3600)]


def _shipments(draw: np.random.Generator, points_m: np.ndarray, count: int) -> Iterator[Shipment]:
    """Yield shipments to a place of the nearest tenth: further ones go through the hub."""
    for number in range(1, count + 1):
        origin = int(draw.integers(1, len(points_m)))
        nearest = np.argsort(np.linalg.norm(points_m - points_m[origin], axis=1))[1 : max(3, len(points_m) // 10)]
        target = int(draw.choice(nearest[nearest > 0]))
        yield Shipment(
            id=f"d{number}",
            amount=int(draw.integers(1, 6)),
            collect=Call(place=f"p{origin}", windows=[Window(from_s=9 * 3600, until_s=17 * 3600)], service_s=120),
            deliver=Call(place=f"p{target}", windows=[Window(from_s=9 * 3600, until_s=17 * 3600)], service_s=120),
            prize_cents=int(draw.integers(500, 4_000)) if draw.random() < 0.5 else None,
        )
