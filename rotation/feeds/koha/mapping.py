"""Koha's codes: the map of its branches, item types and reasons to the network's, and its times."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from rotation.feeds import maps

# Written in place of a branch by renewals that no branch made (system preference OpacRenewalBranch, cron jobs).
NO_BRANCH = frozenset({"", "None", "OPACRenew"})


# A word of the map that tells why a copy cannot be picked; it becomes part of event ids.
ReasonWord = Annotated[str, Field(pattern=r"^[a-z_]{1,30}$")]


class FixedCopies(BaseModel):
    """Which copies never leave their home: those of these item types, shelving locations or collections (`ccode`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    types: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()

    def has(self, itype: object, location: object, collection: object) -> bool:
        """Return whether a copy of this type, location and collection is fixed."""
        return itype in self.types or location in self.locations or collection in self.collections


class KohaMap(BaseModel):
    """Maps Koha's branches and item types to the network's places and classes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=1, max_length=100)] = "koha"
    timezone: maps.TimeZone = "Asia/Shanghai"
    branches: dict[str, str] = {}
    classes: dict[str, str] = {}
    default_class: str
    # Values of `notforloan` and their reasons; other negative values mean "in_process", other positive ones "not_for_loan".
    not_for_loan: dict[str, ReasonWord] = {"-1": "on_order", "1": "reference", "2": "staff"}
    # Shelving locations from which nothing can be picked, and their reasons.
    off_shelf: dict[str, ReasonWord] = {"PROC": "in_process", "CART": "cart"}
    fixed: FixedCopies = Field(default_factory=FixedCopies)


def read_map(path: Path) -> KohaMap:
    """Read the map; raises ValueError with every mistake, each with file and key."""
    return maps.read(path, KohaMap)


class UnmappedBranch(ValueError):
    """A branch that the map does not list."""

    def __init__(self, field: str, branch: object) -> None:
        super().__init__(f"branch {str(branch)[:32]!r} is not in the map's [branches]")
        self.field = field


class NoTime(ValueError):
    """Not a time, such as MariaDB's 0000-00-00."""


def place_of(branch: object, field: str, chosen: KohaMap) -> str:
    place = chosen.branches.get(str(branch)) if chosen.branches else str(branch or "")
    if not place:
        raise UnmappedBranch(field, branch)
    return place


def instant_of(local: object, chosen: KohaMap) -> datetime:
    """Return a Koha time in UTC, from its own zone if it has none, a date's beginning; raises NoTime for anything else."""
    if not isinstance(local, date):
        raise NoTime(f"expected a time, got {str(local)[:32]!r}")
    at = local if isinstance(local, datetime) else datetime(local.year, local.month, local.day)  # noqa: DTZ001
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(chosen.timezone))).astimezone(UTC)
