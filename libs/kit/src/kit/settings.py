"""The settings of a service, read from environment variables of the same names."""

import hashlib
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, FilePath, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


def postgresql_url(given: str, driver: str) -> str:
    """The URL with the driver's name, whatever it named or did not; ValueError, which does not tell it, when it is none
    of a PostgreSQL database."""
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError("is not of the form postgresql://user:password@host:port/database")
    return url.set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)


class ServiceSettings(BaseSettings):
    """Settings every service has. A subclass sets `service` and adds its own.

    Defaults suit one machine. `ENVIRONMENT=production` refuses what is only safe there, all of it at once.
    """

    # An error names one setting and shows none of the others, among which are passwords.
    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    # kebab-case: consumer group, telemetry name and event source. Fixed by the code, not by the environment.
    service: ClassVar[str]
    # No default: a production that forgets it would run without its refusals.
    environment: Literal["local", "test", "production"]
    database_url: SecretStr = Field(
        default=SecretStr("postgresql+asyncpg://127.0.0.1:5432/stagecraft"),
        description="login of the application role",
    )
    database_tls: bool = Field(default=False, description="encrypt, and check the server's certificate and name")
    database_tls_ca_file: FilePath | None = Field(
        default=None, description="PEM file of who signs the server's certificate; without it, whom the system trusts"
    )
    database_pool_size: int = Field(default=12, ge=2, description="connections kept open")
    database_statement_seconds: int = Field(default=20, ge=1, description="how long one statement may take")
    database_lock_seconds: int = Field(default=10, ge=1, description="how long a statement may wait for a lock")
    database_idle_seconds: int = Field(
        default=60, ge=1, description="how long a transaction may wait for its client before the server ends it"
    )
    database_age_seconds: int = Field(default=600, ge=1, description="when a connection is replaced by a new one")
    parked_limit_per_key: int = Field(
        default=100, ge=1, description="events of one key, mostly an opportunity, that may wait for others to come"
    )
    parked_days: int = Field(default=30, ge=1, description="how long an event waits before it becomes a dead letter")
    kafka_bootstrap_servers: str = Field(default="127.0.0.1:9092", description="host:port, comma separated")
    kafka_idempotence: bool = Field(default=True, description="off only for brokers without producer ids")
    kafka_username: str = Field(default="", description="SCRAM-SHA-512 user; empty for a broker without authentication")
    kafka_password: SecretStr = SecretStr("")
    kafka_tls: bool = Field(default=False, description="encrypt, and check the brokers' certificates")
    kafka_tls_ca_file: FilePath | None = Field(
        default=None, description="PEM file of who signs the brokers' certificates; without it, whom the system trusts"
    )
    kafka_instance_id: str = Field(
        default="",
        pattern=r"^[a-zA-Z0-9._-]{0,200}$",
        description="stable name of this replica, which no other of its service has: restarted, it goes on with its "
        "partitions at once; without it, after the 10 s in which a replica that vanished is missed",
    )
    topic_prefix: str = Field(
        default="", description="put before every topic and group, so that tests can share a broker"
    )
    oidc_issuer: str = Field(default="https://issuer.stagecraft.local", description="required `iss`")
    oidc_audience: str = Field(default="stagecraft", description="required `aud`")
    oidc_jwks_url: str = Field(default="file:///dev/null", description="https URL, or file URL of the local issuer")
    person_claim: str = Field(
        default="sub",
        min_length=1,
        description="the claim of a token that says which user of the CRM its bearer is, the owner of their "
        "opportunities",
    )
    person_claim_is: Literal["crm_id", "federation_id", "username", "email"] = Field(
        default="crm_id", description="what that claim holds of the user: the id, or one of the user's names in the CRM"
    )
    managers_see: Literal["team", "all"] = Field(
        default="team",
        description="the opportunities of those who report to them in the CRM, directly or through others; or all",
    )
    root_path: str = Field(
        default="",
        pattern=r"^(/[a-z0-9-]+)*$",
        description="prefix under which a proxy serves this API, such as /api/scoring; answered with and without it",
    )
    drain_seconds: float = Field(
        default=0, ge=0, description="how long to go on answering after SIGTERM, not ready; above the balancer's poll"
    )
    niceness: int = Field(
        default=0,
        ge=0,
        le=19,
        description="how far to yield to other processes of the machine, once started",
    )
    public_docs: bool = Field(default=False, description="serve /docs in production too, to callers without a token")
    cors_origins: str = Field(
        default="", description="origins of web pages that may call this API, comma separated; none by default"
    )
    log_level: str = "INFO"
    trace_sample_ratio: float = Field(default=0.1, ge=0, le=1, description="share of new traces that are recorded")
    otel_exporter_otlp_endpoint: str = Field(default="", description="OTLP/HTTP collector; empty exports nothing")

    @classmethod
    def read(cls) -> Self:
        """The settings that the environment gives. ValidationError with all that is wrong."""
        return cls(**dict[str, Any]())

    @property
    def package(self) -> str:
        """Import name of the service."""
        return self.service.replace("-", "_")

    @property
    def shows_docs(self) -> bool:
        """Whether /docs and /openapi.json are served."""
        return self.public_docs or self.environment != "production"

    @cached_property
    def cursor_secret(self) -> bytes:
        """What the cursors of lists are signed with: the same for all instances, and not to be guessed."""
        password = make_url(self.database_url.get_secret_value()).password or ""
        return hashlib.sha256(f"cursors of {self.service}\n{password}".encode()).digest()

    @field_validator("database_url")
    @classmethod
    def _for_the_driver(cls, given: SecretStr) -> SecretStr:
        return SecretStr(postgresql_url(given.get_secret_value(), "asyncpg"))

    @model_validator(mode="after")
    def _safe_in_production(self) -> "ServiceSettings":
        unsafe = self.unsafe() if self.environment == "production" else []
        if unsafe:
            raise ValueError("; ".join(unsafe))
        return self

    def unsafe(self) -> list[str]:
        """What of these settings is unsafe in production, each with the reason. A subclass adds its own."""
        rules = {
            "OIDC_JWKS_URL must be https in production: the local issuer's keys are not to be trusted": (
                self.oidc_jwks_url.startswith("https://")
            ),
            "OIDC_ISSUER must be https in production": self.oidc_issuer.startswith("https://"),
            "KAFKA_TLS must be true in production, or every event can be read on the way": self.kafka_tls,
            "KAFKA_USERNAME must be set in production: a broker without a login obeys all who reach it": (
                bool(self.kafka_username)
            ),
            "DATABASE_TLS must be true in production, or every row can be read on the way": self.database_tls,
        }
        return [reason for reason, holds in rules.items() if not holds]
