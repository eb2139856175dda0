"""A service and its database on a network where somebody listens."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from kit.database.faults import DatabaseUnreachable
from kit.database.unit_of_work import Database
from kit.schema.migrate import migrate
from sandbox.issuer import LocalIssuer
from sandbox.provision import drop_database, provision_database
from sandbox.stack.topics import lent_topics, topics_of
from scoring.main import create
from scoring.settings import Settings
from sqlalchemy import make_url
from testing.infrastructure import Infrastructure
from testing.service import eventually, running_service

from tests.security.attacks.certificates import SelfSigned, self_signed
from tests.security.attacks.encrypting import encrypting_proxy

TENANT = "acme"


@dataclass(frozen=True)
class Encrypted:
    """A database of scoring behind a port that only speaks TLS."""

    url: str
    plain_url: str
    owner_url: str
    certificate: SelfSigned

    def settings(self, **changes: object) -> Settings:
        given = {"database_url": self.url, "database_tls": True, "database_tls_ca_file": self.certificate.certificate}
        return Settings.model_validate({**given, **changes})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def encrypted(
    infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Encrypted]:
    certificate = self_signed(tmp_path_factory.mktemp("encrypted"))
    name = f"scoring_{secrets.token_hex(4)}"
    made = provision_database(
        infrastructure.admin_url, "scoring", app_password="test", owner_password="test", database=name
    )
    app, owner = make_url(made.database_url), make_url(made.migration_url)
    assert app.host and app.port
    async with encrypting_proxy(app.host, app.port, certificate) as port:
        verified = {"sslmode": "verify-full", "sslrootcert": str(certificate.certificate)}
        yield Encrypted(
            app.set(host="127.0.0.1", port=port).render_as_string(hide_password=False),
            made.database_url,
            owner.set(host="127.0.0.1", port=port, query=verified).render_as_string(hide_password=False),
            certificate,
        )
    drop_database(infrastructure.admin_url, name)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[None]:
    database = Database(settings)
    try:
        async with database.unit_of_work(TENANT):
            yield
    finally:
        await database.close()


async def test_migrations_and_the_service_work_over_it(
    encrypted: Encrypted, infrastructure: Infrastructure, issuer: LocalIssuer
) -> None:
    await asyncio.to_thread(migrate, "scoring", encrypted.owner_url)
    told = encrypted.settings()
    prefix = f"t{secrets.token_hex(4)}."
    tls = {"database_tls": told.database_tls, "database_tls_ca_file": told.database_tls_ca_file}
    async with (
        lent_topics(infrastructure.bootstrap_servers, topics_of("scoring"), prefix),
        running_service(
            "scoring", infrastructure, issuer, encrypted.url, encrypted.owner_url, prefix, **tls
        ) as scoring,
    ):
        answer = await scoring.client.get("/v1/scoring-profiles", headers=scoring.headers(TENANT))
        assert (answer.status_code, answer.json()["items"]) == (200, [])


async def test_a_server_that_nobody_vouches_for_is_told_nothing(encrypted: Encrypted) -> None:
    async with connected(encrypted.settings()):
        pass
    with pytest.raises(DatabaseUnreachable, match="self-signed"):
        async with connected(encrypted.settings(database_tls_ca_file=None)):
            pass


async def test_nor_is_one_of_another_name(encrypted: Encrypted) -> None:
    url = encrypted.url.replace("127.0.0.1", "localhost")
    with pytest.raises(DatabaseUnreachable, match="mismatch"):
        async with connected(encrypted.settings(database_url=url)):
            pass


async def test_nor_one_that_does_not_encrypt(encrypted: Encrypted) -> None:
    async with connected(encrypted.settings(database_url=encrypted.plain_url, database_tls=False)):
        pass
    with pytest.raises(DatabaseUnreachable, match="rejected SSL"):
        async with connected(encrypted.settings(database_url=encrypted.plain_url)):
            pass


async def test_an_expired_certificate_is_said_while_the_service_waits(
    encrypted: Encrypted, infrastructure: Infrastructure, issuer: LocalIssuer, tmp_path: Path
) -> None:
    expired = self_signed(tmp_path, datetime.now(UTC) - timedelta(minutes=1))
    plain = make_url(encrypted.plain_url)
    assert plain.host and plain.port
    async with encrypting_proxy(plain.host, plain.port, expired) as port:
        url = plain.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        settings = encrypted.settings(
            database_url=url,
            database_tls_ca_file=expired.certificate,
            kafka_bootstrap_servers=infrastructure.bootstrap_servers,
            oidc_jwks_url=issuer.jwks_url,
        )
        app = create(settings)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://scoring") as client,
        ):
            words = "its certificate is refused: certificate has expired"

            async def said() -> None:
                answer = await client.get("/readyz")
                assert answer.json()["reasons"] == [f"starting: waiting for the database: {words}"]

            await eventually(said)
            assert (await client.get("/livez")).status_code == 200
