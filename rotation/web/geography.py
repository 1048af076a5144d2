"""The map's layers: places, runs, and the network's own outline where no tile server is set.

The store knows WGS-84 only. Tiles of Chinese makers are drawn in GCJ-02; for those each point is shifted on its way out.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rotation.network import Network, Place, Tier

GCJ_AXIS_M = 6_378_245.0  # Krasovsky 1940, on which GCJ-02 stands
GCJ_ECCENTRICITY = 0.00669342162296594323
CHINA = (72.004, 137.8347, 0.8293, 55.8271)  # lon and lat between which GCJ-02 shifts
MARGIN_SHARE = 0.03  # of the network's extent, around the outermost places of an area
CITY_MARGINS = 2.5  # how much wider the city is drawn than its districts
CORNERS = 16  # of the round margin about each place

Point = tuple[float, float]  # lon, lat


def shown_at(lon: float, lat: float, coordinates: str) -> Point:
    """Return where a WGS-84 point is drawn on tiles in `coordinates` ("wgs84" or "gcj02"), to about 10 cm."""
    if coordinates == "gcj02" and CHINA[0] <= lon <= CHINA[1] and CHINA[2] <= lat <= CHINA[3]:
        lon, lat = _gcj02(lon, lat)
    return round(lon, 6), round(lat, 6)


def _gcj02(lon: float, lat: float) -> Point:
    """Shift a point as the published reverse engineering of GCJ-02 has it."""
    x, y = lon - 105.0, lat - 35.0
    wave = (20 * math.sin(6 * x * math.pi) + 20 * math.sin(2 * x * math.pi)) * 2 / 3
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * math.sqrt(abs(x)) + wave
    north += (20 * math.sin(y * math.pi) + 40 * math.sin(y / 3 * math.pi)) * 2 / 3
    north += (160 * math.sin(y / 12 * math.pi) + 320 * math.sin(y * math.pi / 30)) * 2 / 3
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * math.sqrt(abs(x)) + wave
    east += (20 * math.sin(x * math.pi) + 40 * math.sin(x / 3 * math.pi)) * 2 / 3
    east += (150 * math.sin(x / 12 * math.pi) + 300 * math.sin(x / 30 * math.pi)) * 2 / 3
    phi = math.radians(lat)
    w = 1 - GCJ_ECCENTRICITY * math.sin(phi) ** 2
    metres_north = GCJ_AXIS_M * (1 - GCJ_ECCENTRICITY) / (w * math.sqrt(w))
    metres_east = GCJ_AXIS_M / math.sqrt(w) * math.cos(phi)
    return lon + math.degrees(east / metres_east), lat + math.degrees(north / metres_north)


def point(place: Place, coordinates: str) -> Point | None:
    """Return where a place is drawn, or None where it has no coordinates."""
    return shown_at(place.lon, place.lat, coordinates) if place.lon is not None and place.lat is not None else None


def outline(network: Network, coordinates: str) -> dict[str, object]:
    """Return the network's areas as GeoJSON, the city first: hulls around all places, and around each district library's."""
    located = [(place, at) for place in network.places if (at := point(place, coordinates))]
    if not located:
        return {"type": "FeatureCollection", "features": []}
    lats = [at[1] for _, at in located]
    margin = max((max(lats) - min(lats)) * MARGIN_SHARE, 0.001)
    areas: defaultdict[str, list[Point]] = defaultdict(list)
    for place, at in located:
        areas[_area(network, place)].extend(_around(at, margin))
    city = [corner for _, at in located for corner in _around(at, margin * CITY_MARGINS)]
    root = next((place.id for place in network.places if place.parent is None), network.places[0].id)
    districts = [
        _feature(network, "district", area, hull(points)) for area, points in sorted(areas.items()) if area != root
    ]
    return {"type": "FeatureCollection", "features": [_feature(network, "city", root, hull(city)), *districts]}


def _area(network: Network, place: Place) -> str:
    """Return the district library above a place, or the topmost place."""
    return next(at.id for at in network.upward(place.id) if at.tier is Tier.DISTRICT or at.parent is None)


def _around(at: Point, margin: float) -> Iterable[Point]:
    stretch = margin / max(math.cos(math.radians(at[1])), 0.1)
    for corner in range(CORNERS):
        angle = 2 * math.pi * corner / CORNERS
        yield round(at[0] + stretch * math.cos(angle), 6), round(at[1] + margin * math.sin(angle), 6)


def _feature(network: Network, kind: str, area: str, ring: Sequence[Point]) -> dict[str, object]:
    name = network.place[area].name
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return {
        "type": "Feature",
        "properties": {"kind": kind, "id": area, "zh": name.zh, "en": name.en},
        "geometry": geometry,
    }


def hull(points: Iterable[Point]) -> list[Point]:
    """Return the convex hull, counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered
    lower, upper = _chain(ordered), _chain(reversed(ordered))
    return lower[:-1] + upper[:-1]


def _chain(points: Iterable[Point]) -> list[Point]:
    chain: list[Point] = []
    for at in points:
        while len(chain) >= 2 and _turn(chain[-2], chain[-1], at) <= 0:
            chain.pop()
        chain.append(at)
    return chain


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


# --- A run's map on a phone -------------------------------------------------------------------------------------------------

TILE_PIXELS, DEEPEST_ZOOM, MAP_TILES = 256, 16, 3  # a run is drawn on about so many tiles a side
DOTS_ACROSS = 26  # a stop's dot is this part of the map's longer side: a thumb's width on a phone


class MapMark(NamedTuple):
    """A stop on a run's map, in pixels of the tiles; `state` is a class of the style."""

    place: str
    label: str
    state: str
    x: float
    y: float


class MapTile(NamedTuple):
    """A tile under a run's map."""

    address: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class RunMap:
    """A run as SVG draws it: the view box, the areas' outlines, the way from the hub and back, and its stops."""

    box: str
    dot: float
    outline: list[str]
    way: str
    marks: list[MapMark]
    tiles: list[MapTile]


def run_map(
    network: Network, hub: str, stops: Sequence[tuple[str, str, str]], tiles: str, coordinates: str
) -> RunMap | None:
    """Return the map of a run; `stops` are place, label and state of each. None where too few places have coordinates."""
    called = [(hub, "", "hub"), *stops]
    known = [
        (one, at) for one in called if one[0] in network.place and (at := point(network.place[one[0]], coordinates))
    ]
    if len(known) < len(("hub", "stop")):
        return None
    zoom = _zoom([at for _, at in known])
    marks = [MapMark(*one, *_pixels(at, zoom)) for one, at in known]
    xs, ys = [mark.x for mark in marks], [mark.y for mark in marks]
    size = max(max(xs) - min(xs), max(ys) - min(ys), TILE_PIXELS / 4)
    left, top, right, bottom = (
        edge + side * size / 8 for edge, side in ((min(xs), -1), (min(ys), -1), (max(xs), 1), (max(ys), 1))
    )
    features: Any = outline(network, coordinates)["features"]
    areas = [_path([_pixels(at, zoom) for at in one["geometry"]["coordinates"][0]]) for one in features]
    return RunMap(
        box=f"{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}",
        dot=round(size / DOTS_ACROSS, 1),
        outline=areas,
        way=_path([(mark.x, mark.y) for mark in [*marks, marks[0]]]),
        marks=marks,
        tiles=_tiles(tiles, zoom, (left, top, right, bottom)) if tiles else [],
    )


def _zoom(points: Sequence[Point]) -> int:
    """Return the deepest zoom at which the points lie on MAP_TILES tiles a side."""
    for zoom in range(DEEPEST_ZOOM, 0, -1):
        xs, ys = zip(*(_pixels(at, zoom) for at in points), strict=True)
        if max(max(xs) - min(xs), max(ys) - min(ys)) <= MAP_TILES * TILE_PIXELS:
            return zoom
    return 0


def _pixels(at: Point, zoom: int) -> Point:
    """Return where Web Mercator draws a point, in pixels of the zoom's tiles."""
    world = TILE_PIXELS * 2**zoom
    north = math.asinh(math.tan(math.radians(at[1])))
    return round((at[0] + 180) / 360 * world, 1), round((1 - north / math.pi) / 2 * world, 1)


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _tiles(address: str, zoom: int, box: tuple[float, float, float, float]) -> list[MapTile]:
    left, top, right, bottom = (int(edge // TILE_PIXELS) for edge in box)
    return [
        MapTile(address.format(x=x, y=y, z=zoom, s="a", r=""), x * TILE_PIXELS, y * TILE_PIXELS)
        for x in range(left, right + 1)
        for y in range(top, bottom + 1)
    ]
