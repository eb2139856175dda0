"""compose.yaml says only what Compose, the services and this repository know."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from kit.http.auth import TokenVerifier
from kit.settings import ServiceSettings
from sandbox.provision import drop_database
from sqlalchemy import make_url
from testing.infrastructure import Infrastructure

from tools import compose as topics_file
from tools.image import box
from tools.image.build import Image, build
from tools.image.dockerfile import read

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVICES = ("assessment", "scoring", "stage-engine", "crm-connector", "recommender")

# The parts of the Compose specification that this file uses.
KEYS = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "ports",
    "profiles", "read_only", "restart", "security_opt", "stop_grace_period", "user", "volumes",
}  # fmt: skip
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period", "start_interval"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


def package_of(service: str) -> str:
    return service.replace("-", "_")


def filled(text: str) -> str:
    """A value with the defaults of its variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def environment_of(container: str) -> dict[str, str]:
    return {name: filled(value) for name, value in CONTAINERS[container].get("environment", {}).items()}


def mounts_of(container: str) -> list[tuple[str, str, str]]:
    """(source, target, mode) of each; the mode is empty for one that can be written."""
    parts = [volume.split(":") for volume in CONTAINERS[container].get("volumes", [])]
    return [(source, target, mode[0] if mode else "") for source, target, *mode in parts]


class TestSpecification:
    def test_every_key_is_of_the_specification(self) -> None:
        assert {key for key in COMPOSE if not key.startswith("x-")} == {"name", "services", "volumes"}
        for container in CONTAINERS.values():
            assert set(container) <= KEYS
            assert set(container.get("healthcheck", {})) <= HEALTH_KEYS
            assert set(container.get("build", {})) <= {"context", "dockerfile", "args"}
            assert container.get("restart", "no") in ("no", "unless-stopped")
            values = container.get("environment", {}).values()
            assert all(isinstance(value, str) for value in values), "a number or boolean changes its spelling"

    def test_it_starts_without_a_file_of_variables(self) -> None:
        text = (ROOT / "compose.yaml").read_text()
        assert not re.findall(r"\$\{?\w+\}?", re.sub(r"\$\{\w+:-[^}]*\}|\$\(docker", "", text))

    def test_dependencies_exist_and_can_meet_their_condition(self) -> None:
        for name, container in CONTAINERS.items():
            for needed, how in container.get("depends_on", {}).items():
                assert set(how) == {"condition"}
                assert how["condition"] in CONDITIONS
                assert "profiles" not in CONTAINERS[needed], f"{needed} does not start by itself"
                if how["condition"] == "service_healthy":
                    assert "healthcheck" in CONTAINERS[needed], f"{name} waits for the health of {needed}"
                if how["condition"] == "service_completed_successfully":
                    assert CONTAINERS[needed]["restart"] == "no", f"{needed} never completes"
        assert_no_cycle({name: list(container.get("depends_on", {})) for name, container in CONTAINERS.items()})

    def test_volumes_are_declared_and_files_exist_and_cannot_be_written(self) -> None:
        used = set()
        for name in CONTAINERS:
            for source, target, mode in mounts_of(name):
                assert target.startswith("/")
                if source.startswith("./"):
                    assert (ROOT / source).exists(), source
                    assert mode == "ro", f"{name} can write {source}"
                else:
                    used.add(source)
        assert used == set(COMPOSE["volumes"])

    def test_ports_are_open_to_this_machine_only(self) -> None:
        published = [
            filled(port).split(":") for container in CONTAINERS.values() for port in container.get("ports", [])
        ]
        assert {host for host, _, _ in published} == {"127.0.0.1"}
        ports = [port for _, port, _ in published]
        assert len(ports) == len(set(ports))

    def test_every_image_is_built_here_or_pinned_to_a_version(self) -> None:
        declared = {i.text.partition("=")[0] for s in read(ROOT / "deploy/Dockerfile") for i in s.instructions
                    if i.keyword == "ARG"}  # fmt: skip
        for container in CONTAINERS.values():
            if built := container.get("build"):
                assert (ROOT / built["context"] / built["dockerfile"]).exists()
                assert set(built["args"]) <= declared
                assert container["image"] == f"stagecraft-{built['args']['SERVICE']}:local"
                assert built["args"]["SERVICE"] in SERVICES
            else:
                assert re.fullmatch(r"[\w/.-]+:v?\d+\.\d+(\.\d+)?(-\w+)?", container["image"]), container["image"]


def assert_no_cycle(edges: dict[str, list[str]]) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path, name))
        if name not in done:
            for needed in edges[name]:
                visit(needed, (*path, name))
            done.add(name)

    for name in edges:
        visit(name, ())


class TestServices:
    @pytest.mark.parametrize("service", SERVICES)
    def test_every_variable_is_a_setting_and_has_a_right_value(
        self, service: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings: type[ServiceSettings] = import_module(f"{package_of(service)}.settings").Settings
        given = environment_of(service)
        assert {name.lower() for name in given} <= set(settings.model_fields)
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        known = settings()
        url = make_url(known.database_url.get_secret_value())
        assert (url.username, url.database) == (f"{package_of(service)}_app", package_of(service))
        assert known.kafka_bootstrap_servers == "kafka:9092"

    @pytest.mark.parametrize("service", SERVICES)
    def test_it_is_migrated_by_the_owner_before_it_starts(self, service: str) -> None:
        migration = CONTAINERS[f"{service}-migration"]
        assert migration["image"] == CONTAINERS[service]["image"]
        assert migration["command"] == ["migrate"]
        (variable,) = environment_of(f"{service}-migration").items()
        url = make_url(variable[1])
        assert variable[0] == "MIGRATION_DATABASE_URL"
        assert (url.username, url.database) == (f"{package_of(service)}_owner", package_of(service))
        needed = CONTAINERS[service]["depends_on"]
        assert needed[f"{service}-migration"]["condition"] == "service_completed_successfully"
        assert CONTAINERS[service]["ports"][0].endswith(":8000")

    @pytest.mark.parametrize("service", SERVICES)
    def test_it_runs_with_the_least_rights(self, service: str) -> None:
        for container in (CONTAINERS[service], CONTAINERS[f"{service}-migration"]):
            assert container["read_only"] is True
            assert container["cap_drop"] == ["ALL"]
            assert "user" not in container, "the image has its own"
        assert all(mode == "ro" for _, _, mode in mounts_of(service))

    def test_a_stop_leaves_the_time_that_a_service_takes(self) -> None:
        drained = ServiceSettings.model_fields["drain_seconds"].default
        for service in SERVICES:
            assert int(CONTAINERS[service]["stop_grace_period"].removesuffix("s")) > drained + 55

    def test_topics_are_those_of_the_platform(self) -> None:
        assert topics_file.TARGET.read_text() == topics_file.generate(), "run tools/compose.py"


def config(name: str) -> Any:
    return yaml.safe_load((ROOT / "deploy/compose" / name).read_text())


class TestObservability:
    def test_prometheus_asks_every_service_under_its_label(self) -> None:
        (job,) = config("prometheus.yaml")["scrape_configs"]
        assert job["job_name"] == "stagecraft"
        assert job["honor_labels"] is True
        assert [(t["targets"], t["labels"]) for t in job["static_configs"]] == [
            ([f"{service}:8000"], {"service": service}) for service in SERVICES
        ]

    def test_prometheus_accepts_its_configuration_and_the_rules(self, tmp_path: Path) -> None:
        promtool = shutil.which("promtool")
        if promtool is None:
            assert os.environ.get("REQUIRE_PROMETHEUS") != "1", "promtool is required and not installed"
            pytest.skip("promtool is not installed: the Debian package prometheus has it")
        targets = {target: source for source, target, _ in mounts_of("prometheus")}
        text = (ROOT / targets["/etc/prometheus/prometheus.yaml"]).read_text()
        assert "--config.file=/etc/prometheus/prometheus.yaml" in CONTAINERS["prometheus"]["command"]
        moved = text.replace("/etc/prometheus/rules", str(ROOT / targets["/etc/prometheus/rules"]))
        (tmp_path / "prometheus.yaml").write_text(moved)
        done = subprocess.run(
            [promtool, "check", "config", tmp_path / "prometheus.yaml"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "SUCCESS: 0 rule files found" not in done.stdout

    def test_grafana_finds_the_committed_dashboards_and_their_data_source(self) -> None:
        targets = {target: source for source, target, _ in mounts_of("grafana")}
        (provider,) = config("grafana/dashboards.yaml")["providers"]
        assert targets[provider["options"]["path"]] == "./deploy/grafana"
        home = environment_of("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        assert (ROOT / "deploy/grafana" / Path(home).relative_to("/etc/grafana/dashboards")).exists()
        sources = config("grafana/datasources.yaml")["datasources"]
        assert [source["type"] for source in sources if source.get("isDefault")] == ["prometheus"]
        for source in sources:
            assert source["url"].split("/")[2].split(":")[0] in CONTAINERS
        for file in (ROOT / "deploy/grafana").glob("*.json"):
            asked = [
                v["query"] for v in json.loads(file.read_text())["templating"]["list"] if v["type"] == "datasource"
            ]
            assert set(asked) <= {source["type"] for source in sources}, file.name

    def test_spans_reach_the_backend_through_the_collector(self) -> None:
        collector = config("collector.yaml")
        for pipeline in collector["service"]["pipelines"].values():
            for kind in ("receivers", "processors", "exporters"):
                assert set(pipeline[kind]) <= set(collector[kind])
        port = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
        for service in SERVICES:
            assert environment_of(service)["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://collector:{port}"
        assert collector["exporters"]["otlp_grpc"]["endpoint"].split(":")[0] in CONTAINERS
        (source, target, _), command = mounts_of("collector")[0], CONTAINERS["collector"]["command"]
        assert (source, command) == ("./deploy/compose/collector.yaml", [f"--config={target}"])


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    if why := box.unavailable():
        pytest.skip(f"no image can be built here: {why}")
    with tempfile.TemporaryDirectory(prefix="stagecraft-compose-") as folder:
        # The image's user must be able to pass.
        Path(folder).chmod(0o755)
        yield build(Path(folder, "scoring"), {"SERVICE": "scoring"})


@pytest.fixture
def issuer() -> Iterator[Path]:
    """The volume of the local issuer, which the user of the image may write."""
    with tempfile.TemporaryDirectory(prefix="stagecraft-issuer-") as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.stack
async def test_what_compose_prepares_is_what_services_need(
    image: Image, infrastructure: Infrastructure, issuer: Path
) -> None:
    admin = make_url(infrastructure.admin_url)

    def run(container: str, *arguments: str, **environment: str) -> str:
        """Run it as compose.yaml says, with this machine's addresses in the place of Compose's."""
        here = {"issuer": issuer} | {f"./{name}": ROOT / name for name in ("deploy/compose", "sandbox/src")}
        mounts = [box.Mount(here[s], target, mode != "ro") for s, target, mode in mounts_of(container)]
        line = image.command_line(
            CONTAINERS[container].get("command", arguments), entrypoint=CONTAINERS[container].get("entrypoint", []),
            environment=environment_of(container) | environment, mounts=mounts,
        )  # fmt: skip
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    addresses = {
        "POSTGRES_ADMIN_URL": admin.set(drivername="postgresql").render_as_string(hide_password=False),
        "KAFKA_BOOTSTRAP_SERVERS": infrastructure.bootstrap_servers,
        "SERVICE_PASSWORD": "test",
    }
    try:
        assert f"topics: {len(json.loads(topics_file.TARGET.read_text()))} created" in run("prepare", **addresses)
        assert "topics: 0 created" in run("prepare", **addresses), "a second start finds everything"
        owner = make_url(environment_of("scoring-migration")["MIGRATION_DATABASE_URL"])
        owner = owner.set(host=admin.host, port=admin.port, password="test")
        run("scoring-migration", MIGRATION_DATABASE_URL=owner.render_as_string(hide_password=False))
        app = owner.set(username="scoring_app").render_as_string(hide_password=False)
        with psycopg.connect(app) as connection:
            assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        token = run("token", "--role", "rep", "--tenant", "acme", "--subject", "ann").strip()
    finally:
        for service in SERVICES:
            drop_database(infrastructure.admin_url, package_of(service))
    verifier = TokenVerifier(ServiceSettings(oidc_jwks_url=(issuer / "jwks.json").as_uri()))
    await verifier.refresh()
    principal = verifier.verify(token)
    assert (principal.tenant_id, principal.subject, principal.roles) == ("acme", "ann", {"rep"})
