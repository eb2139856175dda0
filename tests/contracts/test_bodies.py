"""What a client reads, it can change and send back; and what it need not say, it can leave out."""

from typing import cast

import pytest
from pydantic import BaseModel

from tests.contracts.test_numbers import SERVICES, app_of, routes_of

# The content of what was read with more around it.
DRAFTS = {"/v1/pipelines/{key}/draft": {"key"}}
# What acts on all there is has to be asked for with a body, if only {}.
ON_ALL = {
    "/v1/dead-letters/replay",
    "/v1/write-intents/discard",
    "/v1/write-intents/retry",
    "/v1/pipelines/{key}/versions/{version}/migrations",
}


@pytest.fixture(params=SERVICES)
def service(request):
    return request.param


@pytest.fixture
def document(service):
    return app_of(service).openapi()


def bodies_of(service):
    """The models of bodies by path, of PUT."""
    for route in routes_of(service):
        if "PUT" in (route.methods or ()) and route.body_field is not None:
            yield f"/v1{route.path.removeprefix('/v1')}", cast(type[BaseModel], route.body_field.field_info.annotation)


def members_of(document, operation):
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    return set(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]["properties"])


def test_what_was_read_may_be_sent_back_whole(service, document):
    for path, body in bodies_of(service):
        read = document["paths"][path].get("get")
        if path.startswith("/v1/submissions/"):
            continue  # What is read of a submission is how far it has come, not what was handed in.
        more = members_of(document, read) if read else DRAFTS.get(path, set())
        if path == "/v1/assessments/{key}/draft":
            more = members_of(document, document["paths"]["/v1/assessments/{key}"]["get"])
        unknown = more - body.model_fields.keys() - getattr(body, "only_read", set())
        assert not unknown, f"PUT {path} refuses what GET gives: {sorted(unknown)}"


# Numbers as texts, of which the models say how many digits they have; and a preview, of which nothing is kept.
_UNBOUNDED = {
    "scoring": (".points", ".lower", ".upper", "_points", "_if_true", "_if_false", ".weight", "preview.answers"),
    "assessment": (".minimum", ".maximum"),
    "recommender": ("preview.score",),
}


def unbounded(schema, schemas, path, trail=frozenset()):
    """Where a body has a text, a list or a map that no member of its schema bounds."""
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    if name:
        if name not in trail:
            yield from unbounded(schemas[name], schemas, path, trail | {name})
        return
    for each in [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]:
        yield from unbounded(each, schemas, path, trail)
    kind, pattern = schema.get("type"), schema.get("pattern", "*")
    if kind == "string" and not {"maxLength", "enum", "const", "format"} & schema.keys():
        # A pattern bounds what it counts.
        if "{" not in pattern and ("*" in pattern or "+" in pattern):
            yield path
    if kind == "array":
        if "maxItems" not in schema:
            yield f"{path}[]"
        yield from unbounded(schema.get("items", {}), schemas, f"{path}[]", trail)
    for member, each in schema.get("properties", {}).items():
        yield from unbounded(each, schemas, f"{path}.{member}", trail)
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        if "maxProperties" not in schema:
            yield path
        yield from unbounded({"type": "string", **schema.get("propertyNames", {})}, schemas, f"{path}{{key}}", trail)
        yield from unbounded(values, schemas, f"{path}{{}}", trail)


def test_whatever_a_body_holds_is_bounded(service, document):
    """A text as long as a body, kept with a subject, would be in each of its events and decisions from then on."""
    found = [
        place
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for place in unbounded(content["schema"], document["components"]["schemas"], f"{method} {path}")
    ]
    known = _UNBOUNDED.get(service, ())
    assert [place for place in found if not any(part in place for part in known)] == []


def test_a_body_of_which_nothing_is_needed_may_be_left_out(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {})
            if not body.get("required") or path in ON_ALL:
                continue
            reference = body["content"]["application/json"]["schema"].get("$ref", "")
            schema = document["components"]["schemas"].get(reference.rsplit("/", 1)[-1], {"required": True})
            assert schema.get("required"), f"{method.upper()} {path} asks for a body of which nothing is needed"
