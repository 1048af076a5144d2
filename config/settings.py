"""Settings: defaults in default.toml, over them ROTATION_CONFIG's file, over both the environment.

Each key is documented by its description here and nowhere else; `rotation config show` prints them with their origins.
The environment names are the keys in capitals with ROTATION_ before them; DATABASE_URL and KAFKA_* carry their customary
names.
"""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

KEPT_NETWORK = "network.json"  # of an import: it stays with the data that was imported into the same folder
DEFAULTS = Path(__file__).with_name("default.toml")


def _env(name: str) -> AliasChoices:
    """Return the customary environment name beside the key's own."""
    return AliasChoices(name.lower(), name)


class Settings(BaseSettings):
    """All that can be set."""

    model_config = SettingsConfigDict(env_prefix="ROTATION_", extra="forbid", frozen=True, populate_by_name=True)

    # Where things are
    data_dir: Path = Field(description="Folder of the embedded Kafka and PostgreSQL and of logs; kept between runs.")
    network: Path = Field(description="The network file (TOML); relative to the working folder or to config/networks.")

    # Kafka
    kafka_bootstrap: str | None = Field(
        default=None,
        validation_alias=_env("KAFKA_BOOTSTRAP"),
        description="host:port,... of an external Kafka; empty: an embedded one is started.",
    )
    kafka_tls_ca: Path | None = Field(
        default=None,
        validation_alias=_env("KAFKA_TLS_CA"),
        description="Certificate authority file; set it to speak TLS with Kafka.",
    )
    kafka_sasl_username: str | None = Field(
        default=None, validation_alias=_env("KAFKA_SASL_USERNAME"), description="User for SASL/SCRAM-SHA-512 or PLAIN."
    )
    kafka_sasl_password: SecretStr | None = Field(
        default=None, validation_alias=_env("KAFKA_SASL_PASSWORD"), description="Password of that user."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        validation_alias=_env("KAFKA_SASL_MECHANISM"), description="How Kafka asks for the password."
    )
    kafka_replication: int = Field(
        ge=1, le=5, validation_alias=_env("KAFKA_REPLICATION"), description="Replicas of each topic that is created."
    )

    # PostgreSQL
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=_env("DATABASE_URL"),
        description="postgresql://user:password@host/db?sslmode=... of a server; empty: an embedded one is started.",
    )

    # The page and the desk
    web_host: str = Field(description="Address the page listens on; 127.0.0.1 unless a reverse proxy stands before it.")
    web_port: int = Field(ge=0, le=65535, description="Port of the page; 0: any free one, kept in data_dir.")
    secret_key: SecretStr | None = Field(
        default=None,
        description="Signs session cookies; empty: made at first start and kept in data_dir (one machine only).",
    )
    session_hours: float = Field(gt=0, le=168, description="How long a sign-in lasts; a shift by default.")
    secure_cookies: bool = Field(
        description="Send session cookies over HTTPS only; set it behind a reverse proxy with TLS."
    )
    map_tiles: str | None = Field(
        default=None,
        description="Tile address such as https://tiles.example/{z}/{x}/{y}.png; empty: the network's own outline.",
    )
    map_coordinates: Literal["wgs84", "gcj02"] = Field(
        description="What the tiles are drawn in: Amap gcj02, Tianditu wgs84."
    )
    map_attribution: str = Field(default="", description="Words that the tiles' owner asks for on the map.")
    approval: Literal["automatic", "held"] = Field(
        description="Whether a day's plan is ordered by itself or waits for a dispatcher."
    )
    placement_default: Literal["stay", "home"] = Field(
        description="Where a returned copy goes while no night's prices are known."
    )

    # The plan
    seed: int = Field(ge=0, description="Seed of the plan, the routes and the demonstration city.")
    plan_at: str = Field(
        pattern=r"^\d\d:\d\d$",
        description="Local time of the nightly plan; after the last hub sorted, before the first van.",
    )
    moves_per_day: int = Field(ge=0, description="Budget of shelf picks a day, met by a price per move.")
    staff_minutes_per_day: float | None = Field(
        default=None,
        ge=0,
        description="Budget of all places' staff for picks, met by a price of the minute; empty: none.",
    )
    van_hours_per_day: float | None = Field(
        default=None, ge=0, description="Budget of van hours for picks, met by a price of the hour; empty: none."
    )
    loan_cents: int = Field(
        ge=0,
        description="What a loan is worth to the city, in cents; 200: of a book for 40 yuan that is lent twenty times. "
        "A visit that only picks ask for must be worth its way, and what is not comes back to the plan; 0: all are made.",
    )
    desk_chance: float = Field(
        ge=0,
        le=1,
        description="A copy likelier than this to come to a desk within the horizon is not picked; 1: no desk asks.",
    )
    held_back_share: float = Field(
        ge=0, lt=1, description="Share of proposed moves left undone at random, to measure what moves bring."
    )
    publish_targets: bool = Field(
        description="Publish each lent copy's wanted place on stock.targets, for library systems that cannot ask."
    )
    planning: dict[str, float] = Field(
        description="Any other setting of rotation.rebalancing.snapshot.Settings by its name, such as equity = 0.3."
    )
    horizon_weeks: int = Field(ge=1, le=52, description="Over how many weeks a copy's expected loans count.")
    history_weeks: int = Field(ge=1, le=520, description="How many weeks of the past tell demand.")
    local_first_days: int = Field(
        ge=0, description="For so many days a hold is filled from its own district only; 0: from anywhere at once."
    )
    cooldown_days: int = Field(ge=0, description="How long a moved copy stays before a plan may move it again.")
    route_seconds: float = Field(gt=0, description="Longest time a hub's routes may take to solve.")
    solving: Literal["here", "workers"] = Field(
        description="Where routes are solved: beside the planner, or by the solver workers on route.requests."
    )

    # The roads
    roads: Literal["straight_lines", "osrm", "valhalla"] = Field(
        description="Where ways and driving times come from: straight lines stretched to roads, or a routing service."
    )
    roads_url: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="That service's address, such as http://osrm:5000; its matrix is kept in data_dir.",
    )
    roads_fall_back: bool = Field(
        description="Whether straight lines stand in where the service fails; else the night waits for it."
    )

    # Alerts
    overdue_days: int = Field(ge=1, description="In transit longer than this: overdue (PINES searches after 3 weeks).")
    silent_hours: int = Field(ge=1, description="Open hours without any event after which a place is silent.")

    # Figures
    metrics_port: int = Field(
        ge=0,
        le=65535,
        description="Port of a worker's figures for Prometheus (/metrics); 0: none. One each on a machine.",
    )
    metrics_host: str = Field(description="Address of that port; it asks for no token, so keep it from the public.")

    # The demonstration
    demo_day_s: float = Field(gt=0, description="Seconds that a simulated day lasts in the demonstration.")
    demo_history_weeks: int = Field(ge=1, description="Weeks of history the demonstration city starts with.")

    @model_validator(mode="after")
    def _a_service_has_an_address(self) -> Self:
        if self.roads != "straight_lines" and not self.roads_url:
            raise ValueError(f"roads = {self.roads}: roads_url is missing, such as http://{self.roads}:5000")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over ROTATION_CONFIG's file over default.toml."""
        own = os.environ.get("ROTATION_CONFIG")
        files = [Path(own)] if own else []
        return (
            init_settings,
            env_settings,
            *(TomlConfigSettingsSource(settings_cls, file) for file in (*files, DEFAULTS)),
        )

    def database_address(self) -> str:
        """Return the database's URL.

        Raises
        ------
        ValueError
            When none is set and none is running.
        """
        if self.database_url is None:
            raise ValueError("no database: start `rotation run`, or set DATABASE_URL")
        return self.database_url.get_secret_value()

    def network_file(self) -> Path:
        """Return where the network file is.

        Raises
        ------
        FileNotFoundError
            When it is neither in the working folder nor among those that come with Rotation.
        """
        kept = self.data_dir / KEPT_NETWORK
        if kept.is_file() and "ROTATION_NETWORK" not in os.environ:
            return kept
        for path in (self.network, DEFAULTS.parent / "networks" / self.network):
            if path.is_file():
                return path
        raise FileNotFoundError(f"no network file {self.network}; set ROTATION_NETWORK to one, such as demo.toml")


def load(**overrides: Any) -> Settings:
    """Return the effective settings."""
    return Settings(**overrides)


class Shown(NamedTuple):
    """One key as `rotation config show` prints it."""

    key: str
    value: str
    origin: str
    description: str


def shown(settings: Settings) -> Iterator[Shown]:
    """Yield every key with its effective value, secrets hidden, and where the value comes from."""
    own = os.environ.get("ROTATION_CONFIG")
    in_own = tomllib.loads(Path(own).read_text(encoding="utf-8")) if own else {}
    for key, field in Settings.model_fields.items():
        names = [f"ROTATION_{key.upper()}", key.upper()]
        name = next((name for name in names if name in os.environ), None)
        origin = f"environment {name}" if name else (own if key in in_own and own else DEFAULTS.name)
        yield Shown(key, str(getattr(settings, key) or ""), origin, field.description or "")
