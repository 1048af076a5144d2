"""FOLIO's map: its service points, locations and material types in the network's terms."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rotation.feeds import maps

# In the map: a location outside the network, such as one of e-resources.
NO_PLACE = "-"


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Tenant = Annotated[str, Field(min_length=1)]


class FolioMap(BaseModel):
    """Maps FOLIO's service points, locations and material types to the network's places and classes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # One tenant, or those of a consortium that one feed follows.
    tenant: Annotated[tuple[Tenant, ...], BeforeValidator(_several), Field(min_length=1)]
    source: Annotated[str, Field(min_length=1, max_length=100)] = "folio"
    service_points: dict[str, str]
    locations: dict[str, str]
    classes: dict[str, str] = {}
    default_class: str


def read_map(path: Path) -> FolioMap:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    return maps.read(path, FolioMap)


class UnmappedLocation(ValueError):
    """A service point or location that the map does not list, or lists as outside the network."""

    def __init__(self, field: str, value: object, outside: bool = False) -> None:
        super().__init__(f"{str(value)[:64]!r} is not in the map")
        self.field, self.outside = field, outside


def location_place(location: object, chosen: FolioMap) -> str:
    return _mapped(location, chosen.locations, "effectiveLocationId")


def service_point_place(point: object, chosen: FolioMap) -> str:
    return _mapped(point, chosen.service_points, "servicePointId")


def _mapped(value: object, places: Mapping[str, str], field: str) -> str:
    place = places.get(str(value))
    if place is None or place == NO_PLACE:
        raise UnmappedLocation(field, value, outside=place == NO_PLACE)
    return place
