"""The operations of an OpenAPI document, and bodies that they accept."""

from dataclasses import dataclass, field
from typing import Any

from kit.http.etag import etag
from scoring.templates import profile_templates
from stage_engine.templates import templates
from testing.service import ServiceUnderTest

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
        numbers = ("version", "position")
        filled = {name: given.get(name, 1 if name in numbers else NOWHERE) for name in self.path_parameters}
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


# What a rep writes about a customer.
NOTE = "their board wavers"
_QUESTIONS = [
    {"key": "compliance", "text": "Compliant?", "type": "boolean", "required": True},
    {"key": "note", "text": "Note", "type": "text"},
]
_FORM = {"title": "Fit", "questions": _QUESTIONS}
# Asked for when a subject is created, so that its owner has an action to see.
_CALL = {"key": "call", "kind": "task", "text": "Call"}
_PIPELINE = {**templates()["field_example"], "on_first_sight": [_CALL]}
_DRAFT = {name: value for name, value in _PIPELINE.items() if name != "key"}
_PROFILE = profile_templates()["prospecting"].profile
_SUBMISSION = {
    "opportunity_id": "006A",
    "assessment_key": "prospecting",
    "assessment_version": 1,
    "answers": {"compliance": True, "note": NOTE},
    "captured_at": "2026-03-02T09:30:00Z",
}

BODIES: dict[str, dict[str, Any]] = {
    "discard_held_submission": {"note": "an attack"},
    "dismiss_the_dead_letter": {"reason": "an attack"},
    "dismiss_quarantined_event": {"reason": "an attack"},
    "dismiss_the_dead_letters": {"reason": "an attack"},
    "replay_the_dead_letters": {},
    "create_assessment": {"key": "prospecting", **_FORM},
    "change_assessment_draft": _FORM,
    "put_submission": _SUBMISSION,
    "submit_batch": {"items": [{"submission_id": NOWHERE, **_SUBMISSION}]},
    "plan_migration": {},
    "start_migration": {},
    "switch_rule": {"mode": "off", "reason": "an attack"},
    "switch_automation": {"enabled": False, "reason": "an attack"},
    "switch_breaker": {"open": True, "reason": "an attack"},
    "check_stages": {"pipeline_key": "sales", "stages": [{"key": "demo", "name": "Demo", "category": "open"}]},
    "create_scoring_profile": {"assessment_key": "prospecting", "assessment_version": 1, "profile": _PROFILE},
    "replace_scoring_profile": {"title": "Points", "profile": _PROFILE},
    "preview_score": {"answers": {"hours": "over_5", "compliance": "yes"}},
    "create_pipeline": _PIPELINE,
    # Refused: whoever installs what is shipped has pipelines of their own afterwards.
    "install_process_template": {"people": {"nobodys": ["eve"]}},
    "change_pipeline_draft": _DRAFT,
    "lint_pipeline": _DRAFT,
    "settle_action": {"state": "done"},
    "approve_approval": {},
    "reject_approval": {"reason": "an attack"},
    "withdraw_approval": {},
    "accept_proposal": {},
    "reject_proposal": {"reason": "an attack"},
    "transition_opportunity": {"to_stage": "discovery", "reason_code": "X"},
    "hold_opportunity": {"reason": "an attack"},
    "resume_opportunity": {},
    "hold_lead": {"reason": "an attack"},
    "resume_lead": {},
    "hold_account": {"reason": "an attack"},
    "resume_account": {},
    **{f"reopen_{subject}": {"reason_code": "X"} for subject in ("opportunity", "lead", "account")},
    **{f"void_{subject}_evidence": {"reason": "an attack"} for subject in ("opportunity", "lead", "account")},
    **{f"release_{subject}": {"reason": "an attack"} for subject in ("opportunity", "lead", "account")},
    "put_calendar": {"zone": "UTC", "hours": [{"weekday": "monday", "opens": "09:00", "closes": "17:00"}]},
    "put_assignment_rules": {"rules": []},
    "simulate_assignment_rules": {"rules": []},
    "assign_opportunity": {"person_id": "eve", "reason": "an attack"},
    "assign_lead": {"person_id": "eve", "reason": "an attack"},
    "assign_account": {"person_id": "eve", "reason": "an attack"},
    "transition_lead": {"to_stage": "discovery", "reason_code": "X"},
    "transition_account": {"to_stage": "discovery", "reason_code": "X"},
    "report_facts": {
        "items": [
            {
                "idempotency_key": "k",
                "subject_id": "006A",
                "name": "opportunity.type",
                "value": "new",
                "observed_at": "2026-03-02T09:30:00Z",
                "source": "attack",
            }
        ]
    },
    "take_lead": {"idempotency_key": "k", "name": "Ada Lee", "company": "Acme Bank"},
    "create_partner_feed": {"partner_key": "n"},
    "put_field_mappings": {"facts": {"opportunity.lead_source": {"field": "LeadSource", "type": "text"}}},
    "put_stage_mapping": {"stages": {"prospecting": "Prospecting"}},
    "preview_recommendation": {"stage_key": "prospecting", "assessment_key": "prospecting", "score": "70"},
}


async def call(service: ServiceUnderTest, operation: Operation, given: dict[str, Any], headers: dict[str, str]) -> Any:
    """Carry out an operation on what is given, with a body that it accepts."""
    options = {"json": BODIES[operation.name]} if operation.name in BODIES else {}
    for object_type in ("lead", "account"):
        if operation.path.startswith(f"/v1/{object_type}s/") and "record_id" in given:
            given = {**given, "record_id": f"{given['record_id']}-{object_type}"}
    query = {"stage": "prospecting", "opportunity_id": "006A", "key": "first_call"}
    params = {name: query[name] for name in operation.query()}
    return await service.client.request(
        operation.method, operation.url(given), params=params, headers=headers | {"If-Match": etag(1)}, **options
    )
