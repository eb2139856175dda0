"""Every setting that a service reads can be set in the values, and arrives as it was given: the real settings classes
read what the chart renders."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kit.settings import ServiceSettings
from pydantic import SecretStr

from tests.deploy.chart_files import APPLICATION, BY_NAME, named, rendered
from tools.chart.places import SERVICES, STAGECRAFT, Variant
from tools.chart.render import Document, Rendered, render
from tools.chart.settings_schema import settings_of, variables_of

services = pytest.mark.parametrize("service", SERVICES)

# Read by `python -m kit`, not by a settings class.
OF_THE_COMMAND = {"HOST", "PORT", "STAGECRAFT_SERVICE"}
# Development with nothing mounted, so that each path can be given by hand.
BARE: Document = {
    "defaults": {
        "database": {"ca": {"existingSecret": ""}},
        "kafka": {"ca": {"existingSecret": ""}},
        "issuer": {"configMap": ""},
        "terminationGracePeriodSeconds": 90,
    }
}
GIVEN = {
    "CRM_ADAPTER": "salesforce",
    "DRAIN_SECONDS": 7.5,
    "ENVIRONMENT": "test",
    "OIDC_JWKS_URL": "https://issuer.example.com/keys",
    "PARKED_SUBMISSION_LIMIT": 5_000_000,
    "ROOT_PATH": "/elsewhere/v2",
    "SALESFORCE_AUTH_FLOW": "client_credentials",
    "TRACE_SAMPLE_RATIO": 0.25,
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that exists, because settings check that theirs do."""
    path = tmp_path_factory.mktemp("mounted") / "file.pem"
    path.write_text("content")
    return path


def secrets_of(service: str) -> set[str]:
    """The variables that hold passwords."""
    fields = settings_of(service).model_fields
    return {name.upper() for name, field in fields.items() if field.annotation is SecretStr}


def sample(variable: str, schema: Mapping[str, Any], file: Path) -> object:
    """A value other than the default."""
    if variable in GIVEN:
        return GIVEN[variable]
    if variable.endswith("_FILE"):
        return str(file)
    if "enum" in schema:
        return schema["enum"][-1]
    return {"boolean": True, "integer": schema.get("minimum", 0) + 6, "number": 6.5, "string": "given"}[schema["type"]]


# What Kubernetes says of the pod itself.
OF_THE_POD = {"KAFKA_INSTANCE_ID"}


def environment(one: Rendered, service: str) -> dict[str, str]:
    """What a pod of the service finds in its environment, with a word for each Secret."""
    data = dict(named(one, "ConfigMap", f"stagecraft-{service}")["data"])
    container = named(one, "Deployment", f"stagecraft-{service}")["spec"]["template"]["spec"]["containers"][0]
    for variable in container["env"]:
        assert "value" not in variable, "what is no secret belongs to the ConfigMap"
        data[variable["name"]] = "postgresql://app:pw@db/name" if "URL" in variable["name"] else "word"
    return data


def read(service: str, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> ServiceSettings:
    """The settings as the service would read them."""
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    return settings_of(service)()


@services
def test_every_setting_can_be_set_and_arrives(service: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = secrets_of(service)
    assert {"DATABASE_URL", "KAFKA_PASSWORD"} <= secrets
    given = {
        variable: sample(variable, schema, file)
        for variable, schema in variables_of(settings_of(service)).items()
        if variable not in secrets | OF_THE_POD
    }
    overlay = BARE | {"services": {service: {"settings": given}}}
    if service == "crm-connector":
        overlay["services"][service]["salesforce"] = {"existingSecret": "salesforce"}
    variables = environment(render(BY_NAME["dev"], overlay), service)
    assert variables.keys() == given.keys() | secrets | OF_THE_COMMAND | OF_THE_POD

    settings = read(service, variables, monkeypatch)
    for variable, value in given.items():
        arrived = getattr(settings, variable.lower())
        assert arrived == (Path(str(value)) if variable.endswith("_FILE") else value), variable


@services
def test_every_setting_is_described_in_the_schema(service: str) -> None:
    schema = json.loads((STAGECRAFT / "values.schema.json").read_text())
    listed = schema["$defs"][f"settings-of-{service}"]
    assert listed["additionalProperties"] is False
    assert listed["properties"].keys() == variables_of(settings_of(service)).keys()
    assert all(name.upper() in listed["properties"] for name in settings_of(service).model_fields)


@services
@pytest.mark.parametrize("variant", APPLICATION, ids=lambda variant: variant.name)
def test_the_service_accepts_what_each_variant_gives_it(
    service: str, variant: Variant, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = environment(rendered(variant), service)
    mounted = {name: str(file) for name in variables if name.endswith("_FILE")}
    settings = read(service, variables | mounted, monkeypatch)
    assert settings.environment == ("local" if variant.name == "dev" else "production")
    assert settings.kafka_username == service
    assert settings.database_tls
    assert settings.kafka_tls
    assert settings.root_path == f"/api/{service}"
    unknown = {name for name in variables if name.lower() not in type(settings).model_fields}
    assert unknown == OF_THE_COMMAND


@pytest.mark.parametrize("variant", APPLICATION, ids=lambda variant: variant.name)
def test_every_file_that_a_setting_names_is_mounted(variant: Variant) -> None:
    one = rendered(variant)
    for service in SERVICES:
        spec = named(one, "Deployment", f"stagecraft-{service}")["spec"]["template"]["spec"]
        mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for variable, value in named(one, "ConfigMap", f"stagecraft-{service}")["data"].items():
            if variable.endswith("_FILE") or value.startswith("file:"):
                folder, _, name = value.removeprefix("file://").rpartition("/")
                volume = volumes[mounts[folder]]
                source = volume.get("secret") or volume["configMap"]
                assert [item["path"] for item in source["items"]] == [name], variable


def test_whole_numbers_stay_whole_however_large() -> None:
    overlay = {"services": {"stage-engine": {"settings": {"PARKED_SUBMISSION_LIMIT": 123_456_789}}}}
    data = named(render(BY_NAME["dev"], overlay), "ConfigMap", "stagecraft-stage-engine")["data"]
    assert data["PARKED_SUBMISSION_LIMIT"] == "123456789"


def test_a_changed_setting_restarts_its_service_and_no_other() -> None:
    changed = render(BY_NAME["dev"], {"services": {"scoring": {"settings": {"LOG_LEVEL": "DEBUG"}}}})
    restarted = {
        service
        for service in SERVICES
        if named(changed, "Deployment", f"stagecraft-{service}")["spec"]["template"]
        != named(rendered(BY_NAME["dev"]), "Deployment", f"stagecraft-{service}")["spec"]["template"]
    }
    assert restarted == {"scoring"}
