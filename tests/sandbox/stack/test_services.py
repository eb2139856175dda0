"""What each service and the simulated org are told at their start."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from sandbox.stack.run_dir import RunDir
from sandbox.stack.services import (
    SERVICES,
    OrgAddress,
    answers_ready,
    common_environment,
    connector_environment,
    logins_of,
    org_process,
    service_process,
    variable_of,
)

ORG = OrgAddress(port=20010, pubsub_port=20011)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path)
    run.org_credentials.mkdir()
    client = {"client_id": "connector", "username": "integration@acme.example"}
    (run.org_credentials / "client.json").write_text(json.dumps(client))
    return run


def test_a_service_listens_on_loopback_only() -> None:
    spec = service_process("stage-engine", 20005, {"ENVIRONMENT": "local"})
    assert spec.name == "stage-engine"
    assert spec.command[1:5] == ["-m", "kit", "serve", "stage-engine"]
    assert spec.command[spec.command.index("--host") + 1] == "127.0.0.1"
    assert spec.command[spec.command.index("--port") + 1] == "20005"


def test_what_is_learned_takes_the_processor_time_that_others_leave() -> None:
    niceness = {name: int(service_process(name, 20005, {}).environment["NICENESS"]) for name in SERVICES}
    assert max(niceness.values()) == niceness.pop("recommender") > max(niceness.values())


def test_services_can_verify_the_tokens_of_the_local_issuer(run: RunDir) -> None:
    environment = common_environment(run, "127.0.0.1:20001", idempotence=False)
    keys = json.loads(Path(url2pathname(urlsplit(environment["OIDC_JWKS_URL"]).path)).read_text())
    assert keys["keys"]
    assert environment["OIDC_AUDIENCE"] == "stagecraft"
    assert environment["KAFKA_IDEMPOTENCE"] == "false"


def test_the_connector_is_told_what_the_org_made(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STACK_CRM_ADAPTER", "SALESFORCE_AUTH_FLOW"):
        monkeypatch.delenv(name, raising=False)
    environment = connector_environment(run, ORG)
    assert environment["SALESFORCE_CLIENT_ID"] == "connector"
    assert environment["SALESFORCE_USERNAME"] == "integration@acme.example"
    assert environment["SALESFORCE_LOGIN_URL"] == "http://127.0.0.1:20010"
    assert environment["SALESFORCE_PUBSUB_ENDPOINT"] == "http://127.0.0.1:20011"
    assert (environment["CRM_ADAPTER"], environment["SALESFORCE_AUTH_FLOW"]) == ("salesforce", "jwt")
    assert Path(environment["SALESFORCE_PRIVATE_KEY_FILE"]).parent == run.org_credentials


def test_the_recording_adapter_can_be_asked_for(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACK_CRM_ADAPTER", "recording")
    assert connector_environment(run, ORG)["CRM_ADAPTER"] == "recording"


def test_the_org_writes_where_the_connector_reads(run: RunDir) -> None:
    command = org_process(run, ORG).command
    assert command[command.index("--credentials-dir") + 1] == str(run.org_credentials)


def test_a_service_is_told_its_own_logins_only() -> None:
    known = {"SCORING_DATABASE_URL": "postgresql://scoring", "SCORING_KAFKA_PASSWORD": "s", "ADMIN_KAFKA_PASSWORD": "a"}
    told = {"DATABASE_URL": "postgresql://scoring", "KAFKA_USERNAME": "scoring", "KAFKA_PASSWORD": "s"}
    assert logins_of("scoring", known) == told
    assert logins_of("scoring", {"SCORING_DATABASE_URL": "postgresql://scoring"}) == {
        "DATABASE_URL": "postgresql://scoring"
    }


def test_addresses_have_shell_names() -> None:
    assert variable_of("crm-connector", "DATABASE_URL") == "CRM_CONNECTOR_DATABASE_URL"
    assert variable_of("partner.acme.northwind", "KAFKA_PASSWORD") == "PARTNER_ACME_NORTHWIND_KAFKA_PASSWORD"


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"", False),
    ],
)
async def test_a_service_is_ready_when_it_says_so(answer: bytes, ready: bool) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        assert await answers_ready(server.sockets[0].getsockname()[1])() is ready
    assert asked == [b"GET /readyz HTTP/1.1\r\n"]
