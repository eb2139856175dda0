"""Which loop has stopped, and why a server cannot be reached, in words."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from kit.observability.health import LIMIT_SECONDS, Progress, Shared, Watchdog, brokers_in_words, in_words
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
    assert watchdog.complaints() == []


def test_what_has_work_and_does_not_move_is_stuck():
    now = [0.0]
    progress = Progress(lambda: now[0])
    for position in (5, 6, 6, 6):
        progress.at("moves once", position, behind=True)
        progress.at("has nothing to do", 3, behind=False)
        progress.at("moves", int(now[0]), behind=True)
        now[0] += 40
    assert progress.stuck(60) == ["moves once"]
    progress.at("moves once", 7, behind=True)
    assert progress.stuck(60) == []
    now[0] += 61
    progress.at("moves once", 7, behind=False)
    assert progress.stuck(60) == ["moves"]


async def test_all_who_ask_at_once_share_one_measurement(monkeypatch):
    monkeypatch.setattr("kit.observability.health._SHARED_SECONDS", 600)
    begun = []

    async def measure():
        begun.append(True)
        await asyncio.sleep(0.01)
        return len(begun)

    shared = Shared(measure)
    first = asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    first.cancel()
    assert set(await asyncio.gather(*(shared.get() for _ in range(100)))) == {1}
    assert await shared.get() == 1
    shared._began_at -= 601
    assert await shared.get() == 2


@pytest.mark.parametrize("severity", ["ERROR", "FATAL"])
def test_only_what_ends_a_session_is_told_with_its_message(severity):
    error = asyncpg.UndefinedTableError('relation "secret" does not exist')
    error.severity_en = severity
    assert ("secret" in in_words(error)) == (severity == "FATAL")
