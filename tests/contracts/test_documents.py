"""The committed documents say what the code does, and are well formed."""

import importlib
import re
import sys
from pathlib import Path

import pytest
import yaml
from faststream.specification.asyncapi.v3_0_0.schema.schema import ApplicationSchema
from jsonschema import Draft202012Validator
from kit.contracts.events import registry

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
SERVICES = ("assessment", "scoring", "stage_engine", "crm_connector", "recommender")


@pytest.fixture(scope="module")
def asyncapi():
    return yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())


def references(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_asyncapi_document_is_in_step(asyncapi):
    assert importlib.import_module("asyncapi").generate() == (ROOT / "docs/asyncapi.yaml").read_text()


def test_the_asyncapi_document_is_valid(asyncapi):
    assert ApplicationSchema.model_validate(asyncapi).asyncapi == "3.0.0"
    for reference in references(asyncapi):
        if reference.startswith("../"):
            assert (ROOT / "docs" / reference).is_file()
            continue
        node = asyncapi
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    for message in asyncapi["components"]["messages"].values():
        proto = (ROOT / "docs" / message["payload"]["schema"]["$ref"]).read_text()
        assert f"message {message['title']} " in proto
        assert message["summary"]
    assert asyncapi["servers"]["broker"]["security"]


def test_topics_yaml_and_the_contracts_name_the_same_topics():
    declared = {topic["name"] for topic in yaml.safe_load((ROOT / "deploy/kafka/topics.yaml").read_text())["topics"]}
    assert declared == {kind.topic for kind in registry().values()}


@pytest.mark.parametrize("package", SERVICES)
def test_a_service_reads_exactly_the_topics_it_may(package, monkeypatch):
    topics = yaml.safe_load((ROOT / "deploy/kafka/topics.yaml").read_text())["topics"]
    allowed = {topic["name"] for topic in topics if package.replace("_", "-") in topic["readers"]}
    monkeypatch.setenv("CRM_ADAPTER", "recording")
    consumer = importlib.import_module(f"{package}.main").create().state.runtime.consumer
    assert set(consumer.topics) == allowed


def test_nothing_that_decides_reads_the_recommender():
    """Scores, decisions and writes go on while it is away: only what people look at shows its advice."""
    topics = yaml.safe_load((ROOT / "deploy/kafka/topics.yaml").read_text())["topics"]
    readers = {reader for topic in topics if topic["writer"] == "recommender" for reader in topic["readers"]}
    assert readers == {"assessment"}


@pytest.mark.parametrize("package", SERVICES)
def test_the_openapi_document_is_in_step_and_well_formed(package):
    text = importlib.import_module("openapi").generate(package)
    assert (ROOT / f"docs/openapi/{package.replace('_', '-')}.json").read_text() == text
    document = importlib.import_module(f"{package}.main").create().openapi()
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["operationId"].isidentifier(), (method, path)
            assert operation.get("summary") or operation.get("description"), (method, path)


def test_a_removed_operation_and_a_new_duty_are_found():
    breaking = importlib.import_module("openapi").breaking_changes
    operation = {"operationId": "a", "responses": {"200": {}}, "parameters": []}
    old = {"paths": {"/x": {"get": operation}}}
    assert breaking(old, old) == []
    assert breaking(old, {"paths": {}}) == ["GET /x was removed"]
    needs = {**operation, "parameters": [{"in": "query", "name": "q", "required": True}]}
    assert breaking(old, {"paths": {"/x": {"get": needs}}}) == ["GET /x now requires query q"]


def test_only_messages_know_the_generated_contracts():
    """One room for the wire: elsewhere a field of an event could be read in another way than its neighbour's."""
    root = Path(__file__).parents[2]
    strangers = [
        str(path.relative_to(root))
        for path in root.glob("services/*/src/**/*.py")
        if "messages" not in (path.stem, path.parent.name)
        and re.search(r"^\s*(from|import) stagecraft\b", path.read_text(), re.MULTILINE)
    ]
    assert strangers == []
