"""The five services, running, and what every attack needs to know of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from kit.testing.service import ServiceUnderTest

PACKAGES = ("assessment", "scoring", "stage_engine", "crm_connector", "recommender")
NOWHERE = "00000000-0000-7000-8000-000000000000"
METHODS = ("get", "put", "post", "patch", "delete")


@dataclass(frozen=True)
class Operation:
    """One operation of an OpenAPI document."""

    method: str
    path: str
    document: dict[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        return self.document["operationId"]

    @property
    def path_parameters(self) -> list[str]:
        return [p["name"] for p in self.document.get("parameters", []) if p["in"] == "path"]

    @property
    def has_body(self) -> bool:
        return "requestBody" in self.document

    def parameter(self, name: str) -> dict[str, Any] | None:
        found = [p for p in self.document.get("parameters", []) if p["name"] == name]
        return found[0] if found else None

    def url(self, given: dict[str, Any]) -> str:
        """The path with these parameters; those not given name something that cannot be there."""
        filled = {name: given.get(name, 1 if name == "version" else NOWHERE) for name in self.path_parameters}
        return self.path.format(**filled)

    def query(self) -> dict[str, str]:
        """Something for every required query parameter."""
        parameters = self.document.get("parameters", [])
        return {p["name"]: "nothing" for p in parameters if p["in"] == "query" and p.get("required")}


def operations_of(document: dict[str, Any]) -> list[Operation]:
    """Every operation under /v1; the probes beside it are for the platform and take no token."""
    return [
        Operation(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        if path.startswith("/v1/")
        for method, operation in methods.items()
        if method in METHODS
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=PACKAGES)
async def service(
    request: pytest.FixtureRequest, start_service: Callable[..., Awaitable[ServiceUnderTest]]
) -> ServiceUnderTest:
    """Each service in turn."""
    return await start_service(request.param)


@pytest.fixture
def operations(service: ServiceUnderTest) -> list[Operation]:
    """What the service can be asked to do."""
    return operations_of(service.app.openapi())


@pytest.fixture(scope="session")
def bodies() -> dict[str, dict[str, Any]]:
    """A body each operation accepts, by the operation's name."""
    from scoring.templates import profile_templates
    from stage_engine.templates import templates

    question = {"key": "compliance", "text": "Compliant?", "type": "boolean", "required": True}
    form = {"title": "Fit", "questions": [question]}
    pipeline = dict(templates()["field_example"])
    draft = {name: value for name, value in pipeline.items() if name != "key"}
    submission = {
        "opportunity_id": "006A",
        "assessment_key": "mine",
        "assessment_version": 1,
        "answers": {"compliance": True},
        "captured_at": "2026-03-02T09:30:00Z",
    }
    profile = {
        "assessment_key": "prospecting",
        "assessment_version": 1,
        "profile": profile_templates()["prospecting"].profile,
    }
    return {
        "create_assessment": {"key": "mine", **form},
        "change_assessment_draft": form,
        "put_submission": submission,
        "submit_batch": {"submissions": [{"submission_id": NOWHERE, **submission}]},
        "create_scoring_profile": profile,
        "replace_scoring_profile": {"title": "Points", "profile": profile["profile"]},
        "preview_score": {"answers": {"hours": "over_5", "compliance": "yes"}},
        "create_pipeline": pipeline,
        "change_pipeline_draft": draft,
        "lint_pipeline": draft,
        "transition_opportunity": {"to_stage": "discovery", "reason_code": "X"},
        "create_partner_feed": {"partner_key": "n", "topic": "stagecraft.partner.nobody.n.stage-changed.v1"},
        "put_stage_mapping": {"stages": {"prospecting": "Prospecting"}},
        "preview_recommendation": {"stage_key": "prospecting", "assessment_key": "fit", "score": "70"},
    }
