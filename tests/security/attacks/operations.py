"""The operations of an OpenAPI document, and bodies that they accept."""

from dataclasses import dataclass, field
from typing import Any

from scoring.templates import profile_templates
from stage_engine.templates import templates

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


_QUESTION = {"key": "compliance", "text": "Compliant?", "type": "boolean", "required": True}
_FORM = {"title": "Fit", "questions": [_QUESTION]}
_PIPELINE = dict(templates()["field_example"])
_DRAFT = {name: value for name, value in _PIPELINE.items() if name != "key"}
_PROFILE = profile_templates()["prospecting"].profile
_SUBMISSION = {
    "opportunity_id": "006A",
    "assessment_key": "prospecting",
    "assessment_version": 1,
    "answers": {"compliance": True},
    "captured_at": "2026-03-02T09:30:00Z",
}

BODIES: dict[str, dict[str, Any]] = {
    "dismiss_the_dead_letter": {"reason": "an attack"},
    "create_assessment": {"key": "prospecting", **_FORM},
    "change_assessment_draft": _FORM,
    "put_submission": _SUBMISSION,
    "submit_batch": {"items": [{"submission_id": NOWHERE, **_SUBMISSION}]},
    "create_scoring_profile": {"assessment_key": "prospecting", "assessment_version": 1, "profile": _PROFILE},
    "replace_scoring_profile": {"title": "Points", "profile": _PROFILE},
    "preview_score": {"answers": {"hours": "over_5", "compliance": "yes"}},
    "create_pipeline": _PIPELINE,
    "change_pipeline_draft": _DRAFT,
    "lint_pipeline": _DRAFT,
    "transition_opportunity": {"to_stage": "discovery", "reason_code": "X"},
    "create_partner_feed": {"partner_key": "n", "topic": "stagecraft.partner.nobody.n.stage-changed.v1"},
    "put_stage_mapping": {"stages": {"prospecting": "Prospecting"}},
    "preview_recommendation": {"stage_key": "prospecting", "assessment_key": "prospecting", "score": "70"},
}
