"""One tenant's belongings in each service: something of everything that has an id."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from crm_connector.domain.observation import Facts
from crm_connector.repository.opportunities import OpportunityRepository
from kit.contracts.events import Event, Record
from kit.ids import uuid7
from sqlalchemy import text
from stage_engine.errors.opportunities import PLURALS
from stagecraft.crm.v1.record_observed_pb2 import OBSERVATION_KIND_CREATED
from testing.service import ServiceUnderTest, eventually

from tests.builders import person_observed, sample
from tests.security.attacks.operations import BODIES, NOTE

OWNER = "attacked"
# Whose opportunity it is, their manager, that manager's, who has left, and the manager of another team.
REP, MANAGER, LEFT, STRANGER = "ann", "mona", "gary", "max"
_REPORTS = {REP: MANAGER, MANAGER: LEFT, LEFT: "", "eve": STRANGER, "bob": STRANGER, STRANGER: ""}
DEAL = "006A"
POSITION = 10**12
_QUARANTINE = text(f"""
    INSERT INTO quarantined_event (
        tenant_id, position, event_id, topic, key, value, headers, created_at, whole_topic, code, detail
    ) VALUES (:tenant_id, {POSITION}, :event_id, 't', 'k', '', '{{}}', now(), false, 'message_too_large', 'd')
    ON CONFLICT DO NOTHING
""")
SUBMISSION, HELD = str(uuid7()), str(uuid7())
AMOUNT, SCORE = "7391.17", "41.25"
SECRETS = (AMOUNT, SCORE, NOTE)


class Owner:
    """The tenant, as its administrator."""

    def __init__(self, service: ServiceUnderTest) -> None:
        self.service = service
        self.headers = service.headers(OWNER)

    async def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        return await self.call_as(self.headers, method, path, body, **params)

    async def call_as(self, headers: dict[str, str], method: str, path: str, body: Any = None, **params: Any) -> Any:
        given = {"json": body} if body is not None else {}
        answer = await self.service.client.request(method, f"/v1{path}", headers=headers, params=params, **given)
        assert answer.is_success, answer.text
        return answer.json()

    async def one(self, path: str, **params: Any) -> Any:
        """The first item of a list, once there is one."""

        async def found() -> Any:
            items = (await self.call("GET", path, **params))["items"]
            assert items
            return items[0]

        return await eventually(found)

    async def there(self, path: str, subject: str = "") -> Any:
        """What is at the path, once it is there, for the administrator or this rep."""
        headers = self.service.headers(OWNER, "rep", subject) if subject else self.headers

        async def found() -> Any:
            return await self.call_as(headers, "GET", path)

        return await eventually(found)

    async def tell(self, name: str, **fields: Any) -> None:
        await self.service.publish(sample(name, **fields), tenant=OWNER)


async def _assessment(owner: Owner) -> dict[str, Any]:
    await owner.call("POST", "/assessments", BODIES["create_assessment"])
    await owner.call("POST", "/assessments/prospecting/publish")
    await owner.tell("PipelinePublished")
    await owner.tell("RecordObserved", owner_id=REP, amount=AMOUNT)
    await owner.tell("StageChanged")

    async def placed() -> None:
        due = await owner.call("GET", f"/opportunities/{DEAL}/next-assessment")
        assert due["reason"] not in ("stage_unknown", "pipeline_unknown")

    await eventually(placed)
    await owner.one("/worklist", owner_id=REP)
    for subject, submission_id in ((REP, SUBMISSION), ("bob", HELD)):
        headers = owner.service.headers(OWNER, "rep", subject)
        await owner.call_as(headers, "PUT", f"/submissions/{submission_id}", BODIES["put_submission"])
    await owner.tell("SubmissionScored", submission_id=SUBMISSION, score=SCORE)

    async def scored() -> None:
        assert (await owner.call("GET", f"/submissions/{SUBMISSION}"))["status"] == "scored"

    await eventually(scored)
    ids = {"key": "prospecting", "version": 1, "opportunity_id": DEAL}
    return {**ids, "submission_id": SUBMISSION, "held_id": HELD}


async def _scoring(owner: Owner) -> dict[str, Any]:
    await owner.tell("AssessmentPublished")
    profile = await owner.call("POST", "/scoring-profiles", BODIES["create_scoring_profile"])
    path = f"/scoring-profiles/{profile['profile_id']}"

    async def known() -> None:
        assert (await owner.call("GET", path))["findings"] is not None

    await eventually(known)
    await owner.call("POST", f"{path}/publish")
    await owner.tell("RecordObserved", owner_id=REP)
    await owner.tell("AssessmentSubmitted", submission_id=SUBMISSION)
    await owner.there(f"/submissions/{SUBMISSION}/score", REP)
    draft = await owner.call("POST", "/scoring-profiles", BODIES["create_scoring_profile"])
    ids = {"key": "prospecting", "submission_id": SUBMISSION, "opportunity_id": DEAL}
    return {**ids, "profile_id": draft["profile_id"]}


def _waiting() -> dict[str, Any]:
    """The pipeline, where the score makes a proposal and a lost opportunity has to be approved."""
    given = BODIES["create_pipeline"]
    approval = {"approvers": {"roles": ["manager"]}}
    stages = [{**s, "approval": approval} if s["key"] == "closed_lost" else s for s in given["stages"]]
    first = {**given["rules"][0], "mode": "propose", "conditions": [{"fact": "prospecting.score", "cell": "> 40"}]}
    return {**given, "stages": stages, "rules": [first, *given["rules"][1:]]}


async def _stage_engine(owner: Owner) -> dict[str, Any]:
    await owner.call("POST", "/pipelines", _waiting())
    await owner.call("POST", "/pipelines/field_example/publish")
    created = {"owner_id": REP, "kind": OBSERVATION_KIND_CREATED}
    await owner.tell("RecordObserved", amount=AMOUNT, **created)
    await owner.one(f"/opportunities/{DEAL}/decisions")
    await owner.tell("SubmissionScored", submission_id=SUBMISSION, score=SCORE)

    async def decided() -> Any:
        found = (await owner.call("GET", f"/opportunities/{DEAL}/decisions"))["items"]
        assert len(found) == 2
        return found[1]

    decision = await eventually(decided)
    lost = {"to_stage": "closed_lost", "reason_code": "X", "text": NOTE}
    await owner.call_as({**owner.headers, "If-Match": '"1"'}, "POST", f"/opportunities/{DEAL}/transitions", lost)
    subject = await owner.call("GET", f"/opportunities/{DEAL}")
    first = {**owner.headers, "If-Match": '"0"'}
    await owner.call_as(first, "PUT", "/calendars/tenant", BODIES["put_calendar"])
    await owner.call_as(first, "PUT", "/assignment-rules/lead", BODIES["put_assignment_rules"])
    migration = await owner.call("POST", "/pipelines/field_example/versions/1/migrations", {})
    for object_type, plural in PLURALS.items():
        if object_type != "opportunity":
            draft = {**BODIES["create_pipeline"], "key": plural, "object_type": object_type}
            await owner.call("POST", "/pipelines", draft)
            await owner.call("POST", f"/pipelines/{plural}/publish")
            record = {"opportunity_id": f"{DEAL}-{object_type}", "object_type": object_type, "pipelines": (plural,)}
            await owner.tell("RecordObserved", amount="", close_date="", **created, **record)
            await owner.one(f"/{plural}/{DEAL}-{object_type}/decisions")
    return {
        "key": "field_example",
        "record_id": DEAL,
        "decision_id": decision["decision_id"],
        "approval_id": subject["approval"]["approval_id"],
        "proposal_id": subject["proposals"][0]["proposal_id"],
        "migration_id": migration["migration_id"],
        "rule_id": "prospecting_to_discovery",
        "figure_key": "optimism_gap",
        "scope": "tenant",
        "object_type": "lead",
    }


async def _crm_connector(owner: Owner) -> dict[str, Any]:
    await owner.tell("PipelinePublished")
    await owner.there("/stage-mappings/sales")
    run = await owner.call("POST", "/imports")
    lead = await owner.call("POST", "/leads", BODIES["take_lead"])
    await owner.tell("StageDecided", decision_id=str(uuid4()), crm_target_stage="discovery")
    intent = await owner.one("/write-intents")
    async with owner.service.database.unit_of_work(OWNER) as uow:
        opportunities = OpportunityRepository(uow.session, OWNER)
        row = (await opportunities.lock([DEAL]))[DEAL]
        facts = Facts("Prospecting", REP, {"opportunity.amount": AMOUNT})
        await opportunities.save([replace(row, known=replace(row.known, facts=facts))], datetime.now(UTC))
    return {
        "pipeline_key": "sales",
        "import_id": run["import_id"],
        "lead_id": lead["lead_id"],
        "opportunity_id": DEAL,
        "intent_id": intent["intent_id"],
    }


async def _recommender(owner: Owner) -> dict[str, Any]:
    for name in ("PipelinePublished", "AssessmentPublished", "ScoringProfilePublished", "StageChanged"):
        await owner.tell(name)
    await owner.tell("RecordObserved", owner_id=REP)
    await owner.tell("SubmissionScored", submission_id=SUBMISSION)
    await owner.there(f"/opportunities/{DEAL}/recommendation", REP)
    return {"opportunity_id": DEAL}


_MAKERS = {
    "assessment": _assessment,
    "scoring": _scoring,
    "stage_engine": _stage_engine,
    "crm_connector": _crm_connector,
    "recommender": _recommender,
}


async def _people(owner: Owner) -> None:
    for person_id, manager_id in _REPORTS.items():
        active = person_id != LEFT
        message = person_observed(person_id, OWNER, manager_id=manager_id, active=active)
        await owner.service.publish(message, tenant=OWNER)

    async def known() -> None:
        async with owner.service.database.unit_of_work(OWNER) as uow:
            found = (await uow.session.execute(text("SELECT count(*) FROM person"))).scalar()
        assert found == len(_REPORTS)

    await eventually(known)


async def belongings(service: ServiceUnderTest) -> dict[str, Any]:
    """Give the tenant something of everything; the path parameters that lead to it."""
    owner = Owner(service)
    consumer = service.runtime.consumer
    assert consumer is not None
    broken = Event(OWNER, sample("PipelinePublished"), 1, time=datetime.now(UTC)).record("test")
    await service.send(Record(consumer.topics[0], broken.key, b"\xff\xff", broken.headers))
    letter = await owner.one("/dead-letters")
    async with service.database.as_relay() as connection:
        await connection.execute(_QUARANTINE, {"tenant_id": OWNER, "event_id": uuid4()})
    await _people(owner)
    found = await _MAKERS[service.settings.package](owner)
    return {**found, "dead_letter_id": letter["dead_letter_id"], "position": POSITION, "partner_key": "n"}
