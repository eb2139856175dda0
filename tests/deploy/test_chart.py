"""The steps of `python -m tools.chart` as tests: the charts are in step with the code, render, fit the schemas of two
versions of Kubernetes, agree with what was expected, and refuse what they should."""

import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart_files import BY_NAME, everything_on, rendered
from tools.chart import golden, sync
from tools.chart.cases import Case, cases
from tools.chart.manifests import complaints, custom_schemas
from tools.chart.places import APIS, CRDS, INFRA, KUBERNETES, ROOT, STAGECRAFT, VARIANTS, Variant
from tools.chart.render import Refused, Rendered, lint, package, render
from tools.chart.sizes import CONFIG_MAP_LIMIT, SECRET_LIMIT, Sizes, sizes

variants = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
needs_crds = pytest.mark.skipif(not CRDS.is_dir(), reason="the definitions of the custom resources are not here")


def test_made_files_are_in_step() -> None:
    made = sync.made_files()
    behind = [str(one.path.relative_to(ROOT)) for one in made if not one.in_step]
    assert not behind, "run `python -m tools.chart --update`"
    assert not sync.left_over(made), "run `python -m tools.chart --update`"


@pytest.mark.slow
@variants
def test_it_passes_the_strict_linter(variant: Variant) -> None:
    lint(variant)


@pytest.mark.parametrize("version", KUBERNETES)
@variants
def test_kubernetes_would_accept_every_manifest(variant: Variant, version: str) -> None:
    assert rendered(variant).documents
    assert complaints(rendered(variant).documents, version) == []


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_would_accept_what_is_off_by_default(version: str) -> None:
    kinds = {document["kind"] for document in everything_on().documents}
    assert {
        "HTTPRoute",
        "Ingress",
        "ScaledObject",
        "HorizontalPodAutoscaler",
        "ServiceMonitor",
        "PrometheusRule",
    } <= kinds
    assert complaints(everything_on().documents, version) == []


@variants
def test_it_renders_what_was_agreed_to(variant: Variant) -> None:
    everything = {other.name: rendered(other) for other in VARIANTS if other in (variant, BY_NAME.get(variant.base))}
    difference = golden.difference(variant, everything)
    assert not difference, f"{difference}\n\nIf this is meant, run `python -m tools.chart --update`."


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_it_refuses(case: Case) -> None:
    assert case.complaint() == ""


def test_it_refuses_an_unknown_service_also_where_the_schema_is_skipped() -> None:
    variant = BY_NAME["production"]
    with pytest.raises(Refused, match=r"services\.scorring: no such service\. The services are assessment, crm-conn"):
        render(variant, {"services": {"scorring": {}}}, skip_schema=True)


@needs_crds
@pytest.mark.parametrize(
    ("kind", "path", "value", "says"),
    [
        ("ScaledObject", ("spec", "triggers", 0, "metadata", "lagThreshold"), 100, "lagThreshold"),
        ("ScaledObject", ("spec", "maxReplicas"), 4, "maxReplicas"),
        ("ExternalSecret", ("spec", "target", "creationPolicy"), "Mine", "creationPolicy"),
        ("ServiceMonitor", ("spec", "endpoints", 0, "honorLabel"), True, "honorLabel"),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "labels"), ["page"], "labels"),
        ("HTTPRoute", ("spec", "rules", 0, "matches", 0, "path", "type"), "Regex", "type"),
        ("Deployment", ("spec", "replica"), 2, "replica"),
        ("NetworkPolicy", ("spec", "egres"), [], "egres"),
        ("Job", ("apiVersion",), "batch/v9", "no schema of batch/v9"),
        ("ScaledObject", ("kind",), "ScaledObjekt", "no schema of keda.sh/v1alpha1 ScaledObjekt"),
    ],
)
def test_a_planted_error_is_found(kind: str, path: tuple[str | int, ...], value: object, says: str) -> None:
    document = deepcopy(everything_on().of_kind(kind)[0])
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    (complaint,) = complaints([document], KUBERNETES[-1])
    assert says in complaint


@needs_crds
def test_no_custom_resource_goes_unchecked() -> None:
    rendered_kinds = {
        (document["apiVersion"], document["kind"])
        for one in (everything_on(), *map(rendered, VARIANTS))
        for document in one.documents
    }
    custom = {api for api in rendered_kinds if "." in api[0] and not api[0].startswith(("networking.k8s.io", "rbac."))}
    assert custom <= custom_schemas().keys()
    # TriggerAuthentication is not asked for by name: KEDA serves both or neither.
    asked = {tuple(api.rsplit("/", 1)) for api in APIS}
    assert custom - asked == {("keda.sh/v1alpha1", "TriggerAuthentication")}


def test_without_the_definitions_only_custom_resources_go_unchecked() -> None:
    nowhere = Path("/nonexistent")
    assert complaints(everything_on().documents, KUBERNETES[-1], nowhere) == []
    unknown = {"apiVersion": "batch/v1", "kind": "Jobb", "metadata": {"name": "x"}}
    assert len(complaints([unknown], KUBERNETES[-1], nowhere)) == 1


@pytest.mark.parametrize("chart", [STAGECRAFT, INFRA], ids=lambda chart: chart.name)
def test_a_release_fits_into_its_secret(chart: Path, tmp_path: Path) -> None:
    one = everything_on() if chart == STAGECRAFT else rendered(BY_NAME["infra-dev"])
    assert sizes(chart, package(chart, tmp_path), one).complaints == []


def test_what_is_too_large_is_named() -> None:
    large = Sizes(archive=1, config_map=CONFIG_MAP_LIMIT + 1, config_map_name="overview", release=SECRET_LIMIT)
    release, config_map = large.complaints
    assert "a release takes" in release
    assert "ConfigMap overview" in config_map


@pytest.mark.parametrize("chart", [STAGECRAFT, INFRA], ids=lambda chart: chart.name)
def test_chart_and_platform_are_one_version(chart: Path) -> None:
    facts = yaml.safe_load((chart / "Chart.yaml").read_text())
    project = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version"))
    assert project == f'version = "{facts["version"]}"'
    assert facts["appVersion"] == facts["version"]
    assert facts["kubeVersion"] == f">={KUBERNETES[0]}.0-0"


def test_a_difference_is_shown_with_its_place() -> None:
    variant = BY_NAME["infra-dev"]
    one = rendered(variant)
    changed = deepcopy(one.documents)
    changed[0]["metadata"]["name"] = "changed"
    shown = golden.difference(variant, {variant.name: Rendered(variant.name, one.text, changed)})
    assert "+  name: changed" in shown
    assert shown.startswith("--- expected/infra-dev.yaml")


@pytest.mark.slow
def test_the_command_fails_and_says_what_differs(tmp_path: Path) -> None:
    file = golden.file_of(BY_NAME["infra-production"])
    code = (
        "import sys; from pathlib import Path; from tools.chart import __main__, golden, places; "
        f"golden.EXPECTED = Path({str(tmp_path)!r}); places.VARIANTS = (); "
        "__main__.VARIANTS = tuple(v for v in __main__.VARIANTS if v.name.startswith('infra')); "
        "__main__._refused = lambda: ('', []); __main__._sizes = lambda rendered: ('', []); "
        "sys.argv = ['chart']; sys.exit(__main__.main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert ended.returncode == 1
    assert "expected         FAILED" in ended.stdout
    assert f"+++ rendered/{file.name}" in ended.stderr
