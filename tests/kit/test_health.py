"""Which loop has stopped, and why a server cannot be reached, in words."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from kit.health import LIMIT_SECONDS, Watchdog, brokers_in_words, in_words
from sandbox.stack.ports import free_ports
from sqlalchemy.exc import OperationalError

from tests.security.attacks.certificates import self_signed


@pytest.fixture
async def tls_server(tmp_path):
    """Starts a TLS server on loopback whose certificate is valid until the moment given; its port and certificate."""
    servers = []

    async def start(until):
        made = self_signed(tmp_path, until)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(made.with_key)
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        servers.append(server)
        return server.sockets[0].getsockname()[1], made.certificate

    yield start
    for server in servers:
        server.close()


async def test_a_broker_that_is_away_is_named_with_its_address():
    first, second = free_ports(2)
    words = await brokers_in_words(f"127.0.0.1:{first}, 127.0.0.1:{second}", None)
    assert words == f"127.0.0.1:{first}: it refuses the connection; 127.0.0.1:{second}: it refuses the connection"


async def test_an_expired_certificate_is_called_expired(tls_server):
    port, certificate = await tls_server(datetime.now(UTC) - timedelta(hours=1))
    context = ssl.create_default_context(cafile=certificate)
    words = await brokers_in_words(f"127.0.0.1:{port}", context)
    assert words == f"127.0.0.1:{port}: its certificate is refused: certificate has expired"


async def test_a_certificate_of_an_unknown_signer_is_refused_in_words(tls_server):
    port, certificate = await tls_server(datetime.now(UTC) + timedelta(hours=1))
    assert await brokers_in_words(f"127.0.0.1:{port}", ssl.create_default_context(cafile=certificate)) == ""
    words = await brokers_in_words(f"127.0.0.1:{port}", ssl.create_default_context())
    assert words.startswith(f"127.0.0.1:{port}: its certificate is refused: self-signed certificate")


async def test_a_wrong_address_is_no_crash():
    assert "ValueError" in await brokers_in_words("127.0.0.1:port", None)


def test_a_statement_that_failed_shows_no_parameters():
    error = OperationalError("SELECT :p", {"p": "hunter2"}, ConnectionRefusedError("x"), hide_parameters=True)
    assert in_words(error) == "it refuses the connection"
    assert in_words(TimeoutError()) == "it does not answer in time"


def test_the_watchdog_names_who_is_overdue():
    now = [0.0]
    watchdog = Watchdog(lambda: now[0])
    watchdog.beat("relay", "it looked")
    assert watchdog.complaints() == []
    now[0] = LIMIT_SECONDS + 1
    assert watchdog.complaints() == [f"relay has not run for {LIMIT_SECONDS + 1:.0f} s, since it looked"]
    watchdog.beat("relay")
    watchdog.fail("consumer", "halted")
    assert watchdog.complaints() == ["consumer stopped: halted"]
