"""Settings: defaults in default.toml, over them ROTATION_CONFIG's file, over both the environment.

Each key is documented by its description here and nowhere else; `rotation config show` prints them with their origins.
The environment names are the keys in capitals with ROTATION_ before them; DATABASE_URL and KAFKA_* carry their customary
names.
"""

import os
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

# Of an import: it stays with the data imported into the same folder.
KEPT_NETWORK = "network.json"
PREFIX = "ROTATION_"
# Of other programs: the city and the commands, the embedded servers, the compose file, the tests.
OTHER_NAMES = frozenset(
    PREFIX + name for name in ("CONFIG", "URL", "TOKEN", "CACHE", "NETWORK_FILE", "PUBLISH", "VERSION", "DATA")
)
DEFAULTS = Path(__file__).with_name("default.toml")


def _env(name: str) -> AliasChoices:
    """Return the customary environment name beside the key's own."""
    return AliasChoices(name.lower(), name)


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, populate_by_name=True)

    # Where things are
    data_dir: Path = Field(description="Folder of the embedded Kafka and PostgreSQL and of logs; kept between runs.")
    network: Path = Field(description="The network file (TOML); relative to the working folder or to config/networks.")

    # Kafka
    kafka_bootstrap: str | None = Field(
        default=None,
        validation_alias=_env("KAFKA_BOOTSTRAP"),
        description="host:port,... of an external Kafka; empty: an embedded one is started.",
    )
    kafka_tls: bool = Field(
        default=False,
        validation_alias=_env("KAFKA_TLS"),
        description="Speak TLS with Kafka, with the system's certificate authorities unless kafka_tls_ca names others.",
    )
    kafka_tls_cert: Path | None = Field(
        default=None,
        validation_alias=_env("KAFKA_TLS_CERT"),
        description="Our own certificate (PEM), where Kafka asks for it.",
    )
    kafka_tls_key: Path | None = Field(
        default=None,
        validation_alias=_env("KAFKA_TLS_KEY"),
        description="The certificate's key (PEM, without a password).",
    )
    kafka_sasl_without_tls: bool = Field(
        default=False,
        validation_alias=_env("KAFKA_SASL_WITHOUT_TLS"),
        description="Send Kafka's password although nothing is encrypted; for closed networks only.",
    )
    kafka_tls_ca: Path | None = Field(
        default=None,
        validation_alias=_env("KAFKA_TLS_CA"),
        description="Certificate authority file (PEM); set it to speak TLS with Kafka by an authority of your own.",
    )
    kafka_sasl_username: str | None = Field(
        default=None,
        validation_alias=_env("KAFKA_SASL_USERNAME"),
        description="User for SASL/SCRAM or PLAIN; with OAUTHBEARER, the client's id.",
    )
    kafka_sasl_password: SecretStr | None = Field(
        default=None,
        validation_alias=_env("KAFKA_SASL_PASSWORD"),
        description="Password of that user; with OAUTHBEARER, the client's secret.",
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        validation_alias=_env("KAFKA_SASL_MECHANISM"),
        description="How Kafka asks for the password; OAUTHBEARER: for a token of the endpoint kafka_oauth_token_url.",
    )
    kafka_oauth_token_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s]+$",
        validation_alias=_env("KAFKA_OAUTH_TOKEN_URL"),
        description="Token endpoint for OAUTHBEARER (https, OAuth 2.0 client credentials).",
    )
    kafka_oauth_scope: str = Field(
        default="",
        validation_alias=_env("KAFKA_OAUTH_SCOPE"),
        description="Scope that the token is asked for, where the endpoint wants it.",
    )
    kafka_replication: int = Field(
        ge=1, le=5, validation_alias=_env("KAFKA_REPLICATION"), description="Replicas of each topic that is created."
    )

    kafka_topic_prefix: str = Field(
        default="",
        max_length=100,
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$",
        validation_alias=_env("KAFKA_TOPIC_PREFIX"),
        description="Before the name of every topic and consumer group, such as city., on a cluster shared with others. Set it "
        "before the first start: under another prefix stand other topics.",
    )

    # PostgreSQL
    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=_env("DATABASE_URL"),
        description="postgresql://user:password@host/db?sslmode=... of a server; empty: an embedded one is started.",
    )

    # The page and the desk
    web_host: str = Field(description="Address the page listens on; 127.0.0.1 unless a reverse proxy stands before it.")
    proxies: str = Field(
        default="",
        description="Addresses or networks of your reverse proxies, with commas: only what they forward about a client's address "
        "and scheme is believed.",
    )
    web_port: int = Field(ge=0, le=65535, description="Port of the page; 0: any free one, kept in data_dir.")
    lan_host: str = Field(
        default="",
        description="Address on which the page is served over HTTPS as well, with a certificate of its own; `rotation run --lan` "
        "sets it.",
    )
    lan_port: int = Field(default=0, ge=0, le=65535, description="Port of that; 0: any free one, kept in data_dir.")
    secret_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Signs session cookies, 32 characters or more; empty: made at first start and kept in data_dir.",
    )
    session_hours: float = Field(gt=0, le=168, description="How long a sign-in lasts; a shift by default.")
    secure_cookies: bool = Field(
        description="Send session cookies over HTTPS only; set it behind a reverse proxy with TLS."
    )
    oidc_issuer: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Address of the city's OpenID Connect provider; people sign in there who are users here by the same name. "
        "Register https://this.page/sign-in/city/back as its redirect address.",
    )
    oidc_client_id: str = Field(default="rotation", description="Our id at that provider.")
    oidc_client_secret: SecretStr | None = Field(default=None, description="Our secret at that provider.")
    oidc_claim: str = Field(
        default="preferred_username",
        description="The claim that is the user's name here: one that people cannot change themselves.",
    )
    oidc_name: str = Field(default="OpenID Connect", description="What people call that provider, on the button.")
    map_tiles: str | None = Field(
        default=None,
        description="Tile address such as https://tiles.example/{z}/{x}/{y}.png; empty: the network's own outline.",
    )
    map_coordinates: Literal["wgs84", "gcj02"] = Field(
        description="What the tiles are drawn in: Amap gcj02, Tianditu wgs84."
    )
    map_attribution: str = Field(default="", description="Words that the tiles' owner asks for on the map.")
    approval: Literal["automatic", "held", "policy"] = Field(
        description="Whether a day's plan is ordered by itself, waits for a dispatcher, or goes by the policy below."
    )
    policy_cost_share: float = Field(
        ge=0, le=10, description="Policy: a hub's day goes by itself that costs at most this share more than the usual."
    )
    policy_moves: int = Field(ge=0, description="Policy: a day goes by itself that moves at most so many copies.")
    policy_until: str = Field(
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        description="Policy: until this time what is not as usual waits for a person.",
    )
    policy_then: Literal["approve", "send_back", "wait"] = Field(
        description="Policy: what is done at that time with what nobody decided on."
    )
    placement_default: Literal["stay", "home"] = Field(
        description="Where a returned copy goes while no night's prices are known, and where the desk's rule is held back or "
        "only watched."
    )

    # The plan
    seed: int = Field(ge=0, description="Seed of the plan, the routes and the demonstration city.")
    plan_at: str = Field(
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
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
    loans_per_km: float = Field(
        ge=0,
        le=1,
        description="A copy's share of a kilometre, in loans. A round of 60 km at 1.10 a kilometre, driver included, that "
        "carries 40 copies 10 km each costs 0.17 a copy and km, 0.08 loans of 200 cents; vans that drive anyway cost less.",
    )
    desk_chance: float = Field(
        ge=0,
        le=1,
        description="A copy likelier than this to come to a desk within the horizon is not picked; 1: no desk asks.",
    )
    held_back_share: float = Field(
        ge=0, lt=1, description="Share of proposed moves left undone at random, to measure what moves bring."
    )
    desk_held_back_share: float = Field(
        ge=0,
        lt=1,
        description="Share of places and weeks in which, at random, the desk answers by the library system's own rule "
        "(placement_default), to measure what its own brings; copies placed meanwhile are not picked for horizon_weeks.",
    )
    desk_mode: Literal["acts", "shadow"] = Field(
        description="Whether the desk's answers by the night's prices are given, or only kept while it answers by the library "
        "system's own rule (placement_default)."
    )
    publish_targets: bool = Field(
        description="Publish each lent copy's wanted place on stock.targets, for library systems that cannot ask."
    )
    planning: dict[str, float] = Field(
        description="Any other setting of rotation.rebalancing.snapshot.PlanningSettings by its name, such as equity = 0.3."
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

    keep_days: int = Field(
        ge=90,
        description="How long ended transfers and their scans, closed alerts and what people did about them, scans of hands, "
        "legs, hub orders, refusals at the edge, ended tokens and links, and the security log are kept. Movements, holds, crates "
        "and decisions stay.",
    )

    # Alerts
    feeds: str = Field(
        default="",
        description="Library systems that `serve` follows: koha=MAP.toml,folio=MAP.toml (KOHA_DATABASE_URL, FOLIO_KAFKA).",
    )
    write_back: str = Field(
        default="",
        description="Library systems that `serve` writes back to: sip2=MAP.toml,koha=MAP.toml,folio=MAP.toml (KOHA_API_URL, "
        "FOLIO_URL, SIP2_USER and so on).",
    )
    overdue_days: int = Field(
        ge=1,
        description="In transit longer than this: overdue, where the lane has too few journeys for a time of its own (PINES "
        "searches after 3 weeks).",
    )
    lost_days: tuple[Annotated[int, Field(ge=1, le=3650)], Annotated[int, Field(ge=1, le=3650)]] = Field(
        description="Days in transit after which both ends look for a copy, and after which it is missing.",
    )
    trace_days: tuple[Annotated[int, Field(ge=1, le=365)], ...] = Field(
        min_length=1,
        max_length=10,
        description="Days after a pick was not found on which its place looks again; after the last it is missing.",
    )
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

    @model_validator(mode="after")
    def _kafka_is_reached_safely(self) -> Self:
        tls = self.kafka_tls or self.kafka_tls_ca is not None
        if self.kafka_sasl_username and not (tls or self.kafka_sasl_without_tls):
            raise ValueError(
                "kafka_sasl_username without TLS: set KAFKA_TLS or KAFKA_TLS_CA, or KAFKA_SASL_WITHOUT_TLS=true"
            )
        if bool(self.kafka_tls_cert) != bool(self.kafka_tls_key) or (self.kafka_tls_cert and not tls):
            raise ValueError("kafka_tls_cert, kafka_tls_key and TLS (KAFKA_TLS=true or KAFKA_TLS_CA) belong together")
        return self

    @model_validator(mode="after")
    def _tokens_come_from_an_endpoint(self) -> Self:
        asked, url = self.kafka_sasl_mechanism == "OAUTHBEARER", self.kafka_oauth_token_url
        if asked and not (url and self.kafka_sasl_username and self.kafka_sasl_password):
            raise ValueError(
                "OAUTHBEARER needs KAFKA_OAUTH_TOKEN_URL, KAFKA_SASL_USERNAME (client id) and KAFKA_SASL_PASSWORD (secret)"
            )
        if asked and url and url.startswith("http:") and not self.kafka_sasl_without_tls:
            raise ValueError("kafka_oauth_token_url without https: the secret is sent to it")
        return self

    @model_validator(mode="after")
    def _every_name_is_known(self) -> Self:
        known = OTHER_NAMES | {f"{PREFIX}{key.upper()}" for key in type(self).model_fields}
        for name in sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known):
            near = get_close_matches(name, known, 1)
            raise ValueError(f"no setting is called {name}" + (f"; {near[0]} is meant?" if near else ""))
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


def topic_prefix() -> str:
    """Return the prefix of topics; none where the settings are wrong, which whoever loads them says."""
    with suppress(ValidationError):
        return load().kafka_topic_prefix
    return ""


class Shown(NamedTuple):
    """A key as `rotation config show` prints it."""

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
