"""The ways between a network's places: straight lines stretched to roads, or a routing service's matrix, asked once and kept."""

import structlog

from config import Settings
from rotation.network import Network
from solver.problem import Travel
from solver.roadmap import Kept, Osrm, TravelError, Valhalla

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
    try:
        metres, seconds = Kept(service, settings.data_dir / KEPT).matrix(list(points.values()))
    except TravelError as error:
        if not settings.roads_fall_back:
            raise
        log.warning("straight_lines_stand_in", error=str(error))
        return None
    return Travel(places=list(points), metres=metres, seconds=seconds)
