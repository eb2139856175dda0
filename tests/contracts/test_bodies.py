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


def test_a_body_of_which_nothing_is_needed_may_be_left_out(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {})
            if not body.get("required") or path in ON_ALL:
                continue
            reference = body["content"]["application/json"]["schema"].get("$ref", "")
            schema = document["components"]["schemas"].get(reference.rsplit("/", 1)[-1], {"required": True})
            assert schema.get("required"), f"{method.upper()} {path} asks for a body of which nothing is needed"
