"""What may reach what, what is reachable from outside, and where passwords come from."""

import json
from collections.abc import Iterator

import pytest

from tests.deploy.chart_files import (
    APPLICATION,
    BY_NAME,
    Rendering,
    everything_on,
    named,
    of_the_application,
    pods,
    rendered,
    selects,
)
from tools.chart.places import ROOT, SERVICES, Variant
from tools.chart.render import Document, Rendered, render

variants = pytest.mark.parametrize("variant", APPLICATION, ids=lambda variant: variant.name)
services = pytest.mark.parametrize("service", SERVICES)
PROBES = {"/livez", "/readyz", "/statusz", "/metrics"}


def policies_of(one: Rendered, labels: Document) -> list[Document]:
    return [p["spec"] for p in one.of_kind("NetworkPolicy") if selects(p["spec"]["podSelector"], labels)]


def flows(policies: list[Document], direction: str, peers: str) -> Iterator[tuple[int, str]]:
    """Every port and peer that the policies let through, a missing peer as `anywhere`."""
    for policy in policies:
        for rule in policy.get(direction, []):
            for port in rule["ports"]:
                for peer in rule.get(peers, ["anywhere"]):
                    yield port["port"], peer if isinstance(peer, str) else json.dumps(peer, sort_keys=True)


@of_the_application
def test_every_pod_is_denied_everything_first(rendering: Rendering) -> None:
    one = rendering()
    for name, labels, _ in pods(one):
        policies = policies_of(one, labels)
        denied = [p for p in policies if not p.get("ingress") and not p.get("egress") and "console" not in name]
        assert denied or "console" in name, name
        assert all(policy["policyTypes"] == ["Ingress", "Egress"] for policy in policies), name
        assert len(policies) == 2, f"{name} has the policy that denies, and one of its own"


@services
def test_a_service_reaches_what_it_needs_and_nothing_else(service: str) -> None:
    one = rendered(BY_NAME["production"])
    labels = named(one, "Deployment", f"stagecraft-{service}")["spec"]["template"]["metadata"]["labels"]
    reached = set(flows(policies_of(one, labels), "egress", "to"))
    expected = {
        (53, json.dumps({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}})),
        (5432, json.dumps({"podSelector": {"matchLabels": {"cnpg.io/cluster": "stagecraft-postgres"}}})),
        (9093, json.dumps({"podSelector": {"matchLabels": {"strimzi.io/cluster": "stagecraft"}}})),
        (4318, json.dumps({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}})),
        (443, "anywhere"),
    }
    assert reached == expected | ({(7443, "anywhere")} if service == "crm-connector" else set())
    heard = set(flows(policies_of(one, labels), "ingress", "from"))
    assert {port for port, _ in heard} == {8000}
    assert len(heard) == 3, "the gateway, Prometheus, and the pods of helm test"


def test_a_local_issuer_and_no_collector_need_no_way_out() -> None:
    one = rendered(BY_NAME["dev"])
    for service in SERVICES:
        labels = named(one, "Deployment", f"stagecraft-{service}")["spec"]["template"]["metadata"]["labels"]
        assert {port for port, _ in flows(policies_of(one, labels), "egress", "to")} == {53, 5432, 9093}


@variants
def test_a_migration_reaches_its_database_only(variant: Variant) -> None:
    one = rendered(variant)
    for job in one.of_kind("Job"):
        policies = policies_of(one, job["spec"]["template"]["metadata"]["labels"])
        assert {port for port, _ in flows(policies, "egress", "to")} == {53, 5432}
        assert not set(flows(policies, "ingress", "from"))


@variants
def test_what_a_hook_needs_is_a_hook_before_it(variant: Variant) -> None:
    """At an installation nothing else exists yet when a migration runs."""
    one = rendered(variant)
    hooks = {
        (d["kind"], d["metadata"]["name"]): int(d["metadata"]["annotations"]["helm.sh/hook-weight"])
        for d in one.documents
        if d["metadata"].get("annotations", {}).get("helm.sh/hook") == "pre-install,pre-upgrade"
    }
    made = {d["metadata"]["name"] for d in one.of_kind("ExternalSecret")}
    for job in one.of_kind("Job"):
        name, spec = job["metadata"]["name"], job["spec"]["template"]["spec"]
        assert hooks["NetworkPolicy", name] < hooks["Job", name]
        assert "serviceAccountName" not in spec
        used = {e["valueFrom"]["secretKeyRef"]["name"] for e in spec["containers"][0]["env"] if "valueFrom" in e}
        used |= {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
        assert all(hooks[("ExternalSecret", secret)] < hooks["Job", name] for secret in used & made)
        assert "envFrom" not in spec["containers"][0]


@pytest.mark.parametrize("variant", APPLICATION[1:], ids=lambda variant: variant.name)
def test_no_service_sees_the_login_of_the_owner(variant: Variant) -> None:
    one = rendered(variant)
    for name, _, spec in pods(one):
        text = json.dumps(spec)
        assert ("MIGRATION_DATABASE_URL" in text) == name.startswith("Job"), name
        assert ("-migration" in text) == name.startswith("Job"), name


@variants
def test_every_secret_is_made_by_the_vault_or_by_an_operator(variant: Variant) -> None:
    one = rendered(variant)
    made = {(d["metadata"]["name"], e["secretKey"]) for d in one.of_kind("ExternalSecret") for e in d["spec"]["data"]}
    operators = {("stagecraft-postgres-ca", "ca.crt"), ("stagecraft-cluster-ca-cert", "ca.crt")}
    operators |= {(f"kafka-user-{service}", "password") for service in SERVICES}
    by_hand = {("postgres-provider-ca", "ca.crt")} if variant.name == "managed-postgres" else set()
    if variant.name == "dev":
        by_hand = {(f"{s}-database", key) for s in SERVICES for key in ("DATABASE_URL", "MIGRATION_DATABASE_URL")}
    used = set()
    for _, _, spec in pods(one):
        for entry in (e for container in spec["containers"] for e in container.get("env", []) if "valueFrom" in e):
            if reference := entry["valueFrom"].get("secretKeyRef"):
                used.add((reference["name"], reference["key"]))
        for volume in (v["secret"] for v in spec["volumes"] if "secret" in v):
            used |= {(volume["secretName"], item["key"]) for item in volume["items"]}
    assert used <= made | operators | by_hand
    assert made <= used, "a Secret that nothing uses"


@variants
def test_no_secret_is_a_manifest(variant: Variant) -> None:
    assert not rendered(variant).of_kind("Secret")


@pytest.mark.parametrize("kind", ["Ingress", "HTTPRoute"])
def test_from_outside_there_is_the_api_of_each_service_and_no_more(kind: str) -> None:
    (entry,) = everything_on().of_kind(kind)
    if kind == "Ingress":
        found = {
            (path["path"], path["pathType"], path["backend"]["service"]["name"])
            for rule in entry["spec"]["rules"]
            for path in rule["http"]["paths"]
        }
    else:
        found = {
            (match["path"]["value"], match["path"]["type"].removeprefix("Path"), rule["backendRefs"][0]["name"])
            for rule in entry["spec"]["rules"]
            for match in rule["matches"]
        }
    expected = {("/", "Prefix", "stagecraft-console")}
    for service in SERVICES:
        paths = {("/v1", "Prefix"), ("/docs", "Exact"), ("/openapi.json", "Exact")}
        expected |= {(f"/api/{service}{path}", how, f"stagecraft-{service}") for path, how in paths}
    assert found == expected


@services
def test_the_prefix_from_outside_covers_every_operation_but_probes(service: str) -> None:
    operations = json.loads((ROOT / f"docs/openapi/{service}.json").read_text())["paths"]
    assert {path for path in operations if not path.startswith("/v1/")} == PROBES


def test_a_prefix_of_ones_own_moves_entry_and_service_alike() -> None:
    one = render(BY_NAME["production"], {"services": {"scoring": {"settings": {"ROOT_PATH": "/scores"}}}})
    paths = {path["path"] for rule in one.of_kind("Ingress")[0]["spec"]["rules"] for path in rule["http"]["paths"]}
    assert {"/scores/v1", "/scores/docs", "/scores/openapi.json"} <= paths
    assert named(one, "ConfigMap", "stagecraft-scoring")["data"]["ROOT_PATH"] == "/scores"
    assert "/scores" in named(one, "Pod", "stagecraft-scoring-test")["spec"]["containers"][0]["args"]


def test_ports_are_free_where_no_policy_is() -> None:
    overlay = {
        "networkPolicy": {"enabled": False},
        "defaults": {"settings": {"KAFKA_BOOTSTRAP_SERVERS": "broker:9999"}},
    }
    assert not render(BY_NAME["production"], overlay).of_kind("NetworkPolicy")
