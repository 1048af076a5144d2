"""The ways between a network's places: straight lines stretched to roads, or a routing service's matrix, asked once and kept."""

import structlog

from config import Settings
from rotation.network import Network
from solver.problem import Roads, Travel
from solver.road_table import roads_between
from solver.routing_service import Osrm, StraightLines, Valhalla

KEPT = "ways.npz"  # in data_dir: asked again only when a place is new or has moved

log = structlog.get_logger(__name__)


def ways(network: Network, settings: Settings) -> Travel | None:
    """Return metres and seconds between all located places; None: straight lines, reckoned where they are needed.

    Raises
    ------
    TravelError
        When the service that is set gives no matrix, and `roads_fall_back` does not let straight lines stand in.
    """
    if settings.roads == "straight_lines":
        return None
    service = (Osrm if settings.roads == "osrm" else Valhalla)(settings.roads_url or "")
    points = {
        place.id: (place.lat, place.lon) for place in network.places if place.lat is not None and place.lon is not None
    }
    roads = Roads() if settings.roads_fall_back else None
    travel, report = roads_between(points, service, kept=settings.data_dir / KEPT, fall_back=roads)
    for line in report.lines():
        log.warning("place_off_the_roads", about=line)
    if report.name == StraightLines.name:
        log.warning("straight_lines_stand_in", service=settings.roads)
        return None
    return travel
