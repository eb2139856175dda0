"""Pytest fixtures; loaded by entry point wherever the kit is installed.

What a fixture uses is imported in it: every run loads this file, in the process that only hands out tests too.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from sandbox.issuer import LocalIssuer
    from sandbox.stack.topics import Topic

    from testing.infrastructure import Infrastructure
    from testing.service import ServiceUnderTest, StartService

_RUN_DIR = "STAGECRAFT_TEST_RUN_DIR"
_OWNER = "STAGECRAFT_TEST_OWNER_PID"
_PASSWORD = "test"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--disorder SEED`."""
    parser.addoption(
        "--disorder", type=int, metavar="SEED", help="let the parts of services take their turns at random"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Workers are children of this process and share its folder and its infrastructure."""
    if (seed := config.getoption("--disorder")) is not None:
        from testing.disorder import disorder

        disorder(seed)
    if not hasattr(config, "workerinput"):
        os.environ[_RUN_DIR] = tempfile.mkdtemp(prefix="stagecraft-test-")
        os.environ[_OWNER] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what the run started."""
    if hasattr(config, "workerinput"):
        return
    run_dir = Path(os.environ.pop(_RUN_DIR))
    if (run_dir / "stack").exists():
        from sandbox.stack.control import Stack

        Stack(run_dir / "stack", durable=False).down()
    shutil.rmtree(run_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def test_run_dir() -> Path:
    """A folder all workers of this test run share."""
    return Path(os.environ[_RUN_DIR])


@contextmanager
def _exclusively(run_dir: Path, name: str) -> Iterator[None]:
    with (run_dir / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def infrastructure(test_run_dir: Path) -> Iterator[Infrastructure]:
    """A real PostgreSQL and a real Kafka broker."""
    from testing.infrastructure import infrastructure as open_infrastructure

    (test_run_dir / "stack").mkdir(exist_ok=True)
    with open_infrastructure(test_run_dir / "stack", int(os.environ[_OWNER])) as found:
        yield found


@pytest.fixture(scope="session")
def issuer(test_run_dir: Path) -> LocalIssuer:
    """Makes tokens every service under test accepts."""
    from sandbox.issuer import LocalIssuer

    with _exclusively(test_run_dir, "issuer"):
        return LocalIssuer(test_run_dir / "issuer")


def _template(infrastructure: Infrastructure, package: str, run_dir: Path) -> str:
    """A migrated database of the service to clone, made once for all workers."""
    from kit.schema.migrate import migrate
    from sandbox.provision import drop_database, provision_database

    name = f"{package}_template"
    done = run_dir / f"{name}.done"
    with _exclusively(run_dir, name):
        if not done.exists():
            drop_database(infrastructure.admin_url, name)
            made = provision_database(
                infrastructure.admin_url,
                package,
                app_password=_PASSWORD,
                owner_password=_PASSWORD,
                database=name,
            )
            migrate(package, made.migration_url)
            done.touch()
    return name


@asynccontextmanager
async def _starting(infrastructure: Infrastructure, issuer: LocalIssuer, run_dir: Path) -> AsyncIterator[StartService]:
    from sandbox.provision import drop_database, provision_database
    from sandbox.stack.topics import create_topics, delete_topics, topics_of

    from testing.service import running_service

    async with AsyncExitStack() as stack:
        created: set[str] = set()
        # Last of all: services that are stopped one by one may share topics.
        stack.push_async_callback(delete_topics, infrastructure.bootstrap_servers, created)

        async def start(package: str, topics: Sequence[Topic] | None = None, **settings: Any) -> ServiceUnderTest:
            prefix = settings.pop("topic_prefix", None) or f"t{secrets.token_hex(4)}."
            name = f"{package}_{secrets.token_hex(4)}"
            template = _template(infrastructure, package, run_dir)
            with _exclusively(run_dir, f"{package}_template"):
                made = provision_database(
                    infrastructure.admin_url, package, app_password=_PASSWORD, owner_password=_PASSWORD,
                    database=name, template=template,
                )  # fmt: skip
            stack.callback(drop_database, infrastructure.admin_url, name)
            topics = topics_of(package.replace("_", "-")) if topics is None else topics
            created.update(await create_topics(infrastructure.bootstrap_servers, topics, prefix))
            running = running_service(
                package, infrastructure, issuer, made.database_url, made.migration_url, prefix, **settings
            )
            return await stack.enter_async_context(running)

        yield start


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def start_service(
    infrastructure: Infrastructure, issuer: LocalIssuer, test_run_dir: Path
) -> AsyncIterator[StartService]:
    """Starts a service with a database and topics of its own, those of the platform unless others are given; all are
    stopped after the module."""
    async with _starting(infrastructure, issuer, test_run_dir) as start:
        yield start


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def start_shared_service(
    infrastructure: Infrastructure, issuer: LocalIssuer, test_run_dir: Path
) -> AsyncIterator[StartService]:
    """As start_service, for what the test files of a worker share; all are stopped at its end."""
    async with _starting(infrastructure, issuer, test_run_dir) as start:
        yield start


@pytest.fixture
def tenant() -> str:
    """A tenant no other test knows."""
    return f"tenant-{secrets.token_hex(4)}"


@pytest.fixture
def eventually() -> Callable[..., Awaitable[Any]]:
    """Repeats an async check until it stops raising AssertionError."""
    from testing.service import eventually as repeated

    return repeated


@pytest.fixture(autouse=True, scope="session")
def _quiet_kafka() -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
