"""What a person meets after an installation: the notes, the pods of `helm test`, and a migration's own words."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.deploy.chart_files import BY_NAME, named, rendered
from tools.chart.places import INFRA, SERVICES, STAGECRAFT
from tools.chart.render import helm


def notes(variant: str, *more: str) -> str:
    one = BY_NAME[variant]
    arguments = ["install", "stagecraft", str(one.chart), "--dry-run=client"]
    arguments += [part for file in one.files for part in ("--values", str(file))]
    return helm(*arguments, *more).partition("\nNOTES:\n")[2]


def test_the_notes_say_how_to_reach_and_to_test_it() -> None:
    said = notes("dev")
    assert "http://stagecraft.localhost/api/<service>/docs" in said
    assert "helm test stagecraft" in said
    assert "Services: assessment, crm-connector, recommender, scoring, stage-engine" in said
    assert "serviceMonitor is off" in said
    assert "networkPolicy is off" not in said


def test_the_notes_name_what_is_switched_off() -> None:
    off = ["ingress.enabled=false", "networkPolicy.enabled=false", "migrations.enabled=false"]
    said = notes("dev", "--set", ",".join(off))
    assert "port-forward service/stagecraft-scoring" in said
    assert "networkPolicy is off: any pod of the cluster reaches these services." in said
    assert "migrations is off" in said


def test_the_notes_of_the_infrastructure_say_when_nothing_is_on() -> None:
    assert "every part of this chart is off" in helm("install", "infra", str(INFRA), "--dry-run=client")


class Answers(BaseHTTPRequestHandler):
    """As a service answers: not ready at first, then ready."""

    ready_after = 0

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # pyright: ignore[reportAttributeAccessIssue]
        ready = self.server.asked.count("/readyz") > self.ready_after  # pyright: ignore[reportAttributeAccessIssue]
        found = {
            "/readyz": (200, {"ready": True}) if ready else (503, {"ready": False, "reasons": ["the database"]}),
            "/api/scoring/openapi.json": (200, {"paths": {"/v1/scores": {}}}),
        }
        status, body = found.get(self.path, (404, {}))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    handler = type("Handler", (Answers,), {"ready_after": request.param})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.asked = []  # pyright: ignore[reportAttributeAccessIssue]
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def run_pod(service: str, base: str, prefix: str, seconds: str) -> subprocess.CompletedProcess[str]:
    """The command of a pod of `helm test`, against another address and with less patience."""
    pod = named(rendered(BY_NAME["production"]), "Pod", f"stagecraft-{service}-test")
    container = pod["spec"]["containers"][0]
    script, address, given_prefix, patience = container["args"]
    assert (address, given_prefix, patience) == (f"http://stagecraft-{service}:8000", f"/api/{service}", "120")
    assert container["command"] == ["python", "-c"]
    return subprocess.run(
        [sys.executable, "-c", script, base, prefix, seconds], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("server", [1], indirect=True)
def test_the_pod_waits_until_the_service_is_ready(server: str) -> None:
    done = run_pod("scoring", server, "/api/scoring", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "openapi.json: 200, 1 paths" in done.stdout


@pytest.mark.parametrize("server", [1000], indirect=True)
def test_the_pod_fails_with_the_reasons_of_a_service_that_does_not_become_ready(server: str) -> None:
    done = run_pod("scoring", server, "/api/scoring", "0")
    assert done.returncode == 1
    assert 'readyz: 503 {"ready": false, "reasons": ["the database"]}' in done.stdout


@pytest.mark.parametrize("server", [0], indirect=True)
def test_the_pod_fails_where_the_prefix_does_not_answer(server: str) -> None:
    done = run_pod("scoring", server, "/elsewhere", "0")
    assert done.returncode == 1
    assert "/elsewhere/openapi.json: 404, 0 paths" in done.stdout


def test_the_pod_fails_where_nothing_listens() -> None:
    done = run_pod("scoring", "http://127.0.0.1:9", "/api/scoring", "0")
    assert done.returncode == 1
    assert "refused" in done.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_a_migration_with_the_environment_of_its_job_insists_on_tls(infrastructure, service: str) -> None:
    """The local server speaks none, so the migration must stop before it sends a password."""
    job = named(rendered(BY_NAME["production"]), "Job", f"stagecraft-{service}-migration")
    container = job["spec"]["template"]["spec"]["containers"][0]
    environment = {e["name"]: e["value"] for e in container["env"] if "value" in e} | {"PATH": os.environ["PATH"]}
    environment["MIGRATION_DATABASE_URL"] = infrastructure.admin_url
    # Mounted in the pod; here any certificate will do, since the handshake does not come that far.
    assert environment["PGSSLROOTCERT"] == "/etc/stagecraft/database-ca/ca.crt"
    environment["PGSSLROOTCERT"] = "system"
    command = [sys.executable, *container["command"][1:], *container["args"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=STAGECRAFT)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "server does not support SSL" in done.stderr
