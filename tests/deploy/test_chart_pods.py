"""Pods of the chart: confined, probed where the code answers, stopped as the code stops, scaled by one hand only."""

import ast
import importlib

import pytest
from kit import app, runtime
from kit.contracts.events import event_type
from kit.observability import health as watchdog
from kit.operators import operations

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
from tools.chart.sync import MAY_REST
from tools.image.dockerfile import read as read_dockerfile

variants = pytest.mark.parametrize("variant", APPLICATION, ids=lambda variant: variant.name)
services = pytest.mark.parametrize("service", SERVICES)


def containers(one: Rendered) -> list[tuple[str, Document]]:
    return [(name, container) for name, _, spec in pods(one) for container in spec["containers"]]


@of_the_application
def test_no_pod_runs_as_root_or_may_write_to_its_root(rendering: Rendering) -> None:
    one = rendering()
    found = list(pods(one))
    assert len(found) >= 15
    for name, _, spec in found:
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] == 10001, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys(), name
        assert all("hostPath" not in volume for volume in spec["volumes"]), name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
            assert writable == ["/tmp"], name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name


@variants
def test_the_command_of_the_chart_is_the_one_of_the_image(variant: Variant) -> None:
    last = {one.keyword: one for one in read_dockerfile(ROOT / "deploy/Dockerfile")[-1].instructions}
    for name, container in containers(rendered(variant)):
        kind = name.split()[0]
        if kind != "Pod":
            assert container["command"] == last["ENTRYPOINT"].form(), name
            assert container["args"] == (last["CMD"].form() if kind == "Deployment" else ["migrate"]), name
    assert last["USER"].text == "10001:10001"
    assert last["EXPOSE"].text == "8000"


@variants
def test_probes_ask_what_the_code_answers_and_wait_long_enough(variant: Variant) -> None:
    answered = {route.path for route in operations.probes.routes}  # pyright: ignore[reportAttributeAccessIssue]
    for deployment in rendered(variant).of_kind("Deployment"):
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        asked = {name: container[f"{name}Probe"] for name in ("startup", "liveness", "readiness")}
        assert {probe["httpGet"]["path"] for probe in asked.values()} == {"/livez", "/readyz"}
        assert {probe["httpGet"]["path"] for probe in asked.values()} <= answered
        assert asked["readiness"]["httpGet"]["path"] == "/readyz"
        # Liveness must not ask for the database: a restart cures no outage.
        assert asked["liveness"]["httpGet"]["path"] == asked["startup"]["httpGet"]["path"] == "/livez"
        assert all(probe["timeoutSeconds"] > runtime._MEASURE_SECONDS for probe in asked.values())
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert all(ports[probe["httpGet"]["port"]] == 8000 for probe in asked.values())
        assert asked["liveness"]["periodSeconds"] < watchdog.LIMIT_SECONDS
        # The port opens within this, also while the database is away.
        patience = asked["startup"]["periodSeconds"] * asked["startup"]["failureThreshold"]
        assert patience > 2 * app._START_SECONDS


@variants
def test_a_pod_has_the_time_that_its_service_takes_to_end(variant: Variant) -> None:
    one = rendered(variant)
    for service in SERVICES:
        drain = float(named(one, "ConfigMap", f"stagecraft-{service}")["data"]["DRAIN_SECONDS"])
        spec = named(one, "Deployment", f"stagecraft-{service}")["spec"]["template"]["spec"]
        # The group and the outbox take so long at most, each.
        assert spec["terminationGracePeriodSeconds"] > drain + 2 * app._SHUTDOWN_SECONDS + 5
        # The service drains by itself, after SIGTERM; a preStop sleep would come on top.
        assert "lifecycle" not in spec["containers"][0]


@variants
def test_replicas_are_written_by_one_hand_only(variant: Variant) -> None:
    one = rendered(variant)
    scaled = [scaler["spec"]["scaleTargetRef"]["name"] for scaler in one.of_kind("ScaledObject")]
    scaled += [scaler["spec"]["scaleTargetRef"]["name"] for scaler in one.of_kind("HorizontalPodAutoscaler")]
    assert len(scaled) == len(set(scaled))
    assert len(scaled) == (0 if variant.name == "dev" else len(SERVICES))
    for deployment in one.of_kind("Deployment"):
        assert ("replicas" in deployment["spec"]) == (deployment["metadata"]["name"] not in scaled)


@services
def test_keda_watches_what_the_service_consumes(service: str) -> None:
    handlers = importlib.import_module(f"{service.replace('-', '_')}.consumers").HANDLERS
    one = render(BY_NAME["production"], {"services": {"assessment": {"autoscaling": {"by": "lag", "maxReplicas": 4}}}})
    triggers = named(one, "ScaledObject", f"stagecraft-{service}")["spec"]["triggers"]
    assert {trigger["metadata"]["topic"] for trigger in triggers} == {event_type(message).topic for message in handlers}
    for trigger in triggers:
        metadata = trigger["metadata"]
        assert metadata["consumerGroup"] == service
        assert metadata["excludePersistentLag"] == "true"
        assert (metadata["tls"], metadata["sasl"]) == ("enable", "scram_sha512")
        assert all(isinstance(value, str) for value in metadata.values())
    login = named(one, "TriggerAuthentication", triggers[0]["authenticationRef"]["name"])["spec"]
    container = named(one, "Deployment", f"stagecraft-{service}")["spec"]["template"]["spec"]["containers"][0]
    password = next(entry for entry in container["env"] if entry["name"] == "KAFKA_PASSWORD")["valueFrom"][
        "secretKeyRef"
    ]
    given = {entry["parameter"]: entry for entry in (*login["secretTargetRef"], *login["configMapTargetRef"])}
    assert (given["password"]["name"], given["password"]["key"]) == (password["name"], password["key"])
    assert named(one, "ConfigMap", given["username"]["name"])["data"][given["username"]["key"]] == service


def test_topics_with_a_prefix_are_watched_under_it() -> None:
    one = render(BY_NAME["production"], {"defaults": {"settings": {"TOPIC_PREFIX": "blue."}}})
    for scaler in one.of_kind("ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            assert trigger["metadata"]["topic"].startswith("blue.stagecraft.")
            assert trigger["metadata"]["consumerGroup"].startswith("blue.")


@services
def test_only_a_service_without_tasks_of_its_own_may_go_to_zero(service: str) -> None:
    tree = ast.parse((ROOT / f"services/{service}/src/{service.replace('-', '_')}/main.py").read_text())
    given = {keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords}
    assert "handlers" in given, "nothing would wake it"
    if service in MAY_REST:
        tasks = {
            element.id
            for node in ast.walk(tree)
            if isinstance(node, ast.keyword) and node.arg == "tasks" and isinstance(node.value, ast.List | ast.Tuple)
            for element in node.value.elts
            if isinstance(element, ast.Name)
        }
        # Giving up what waited for a month has time until an event wakes the service.
        assert tasks <= {"stop_waiting"}


def test_the_recommender_may_go_to_zero_and_is_not_tested_then() -> None:
    one = render(BY_NAME["production"], {"services": {"recommender": {"autoscaling": {"minReplicas": 0}}}})
    spec = named(one, "ScaledObject", "stagecraft-recommender")["spec"]
    assert spec["minReplicaCount"] == 0
    assert spec["fallback"]["replicas"] == 1
    assert {pod["metadata"]["name"] for pod in one.of_kind("Pod")} == {
        f"stagecraft-{service}-test" for service in SERVICES if service != "recommender"
    }


def test_a_digest_beats_the_tag() -> None:
    digest = f"sha256:{'ab' * 32}"
    image = {"registry": "registry.example.com/", "tag": "1.2.3", "digest": digest}
    one = render(BY_NAME["production"], {"services": {"scoring": {"image": image}}})
    used = {container["image"] for name, container in containers(one) if "scoring" in name}
    assert used == {f"registry.example.com/stagecraft-scoring@{digest}"}


@of_the_application
def test_every_selector_finds_its_pods_and_no_others(rendering: Rendering) -> None:
    one = rendering()
    labels = {name: found for name, found, _ in pods(one)}
    for deployment in one.of_kind("Deployment"):
        own = f"Deployment {deployment['metadata']['name']}"
        same = [d for d in (*one.of_kind("PodDisruptionBudget"), deployment) if d["metadata"]["name"] == own.split()[1]]
        assert len(same) == 2
        for document in same:
            assert [name for name, found in labels.items() if selects(document["spec"]["selector"], found)] == [own]
        service = named(one, "Service", own.split()[1])
        selector = {"matchLabels": service["spec"]["selector"]}
        assert [name for name, found in labels.items() if selects(selector, found)] == [own]


def test_prometheus_finds_the_services_and_not_the_console() -> None:
    one = everything_on()
    (monitor,) = one.of_kind("ServiceMonitor")
    found = {
        s["metadata"]["name"]
        for s in one.of_kind("Service")
        if selects(monitor["spec"]["selector"], s["metadata"]["labels"])
    }
    assert found == {f"stagecraft-{service}" for service in SERVICES}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
    assert {"action": "replace", "targetLabel": "job", "replacement": "stagecraft"} in endpoint["relabelings"]
    component = next(rule for rule in endpoint["relabelings"] if rule["targetLabel"] == "service")
    assert component["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_component"]
    for service in SERVICES:
        template = named(one, "Deployment", f"stagecraft-{service}")["spec"]["template"]
        assert template["metadata"]["labels"]["app.kubernetes.io/component"] == service
