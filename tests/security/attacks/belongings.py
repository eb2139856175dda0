"""One tenant's belongings in each service: something of everything that has an id."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kit.events import Event, Record
from kit.ids import uuid7
from testing.service import ServiceUnderTest, eventually

from tests.builders import sample
from tests.security.attacks.operations import BODIES

OWNER = "attacked"
DEAL = "006A"
SUBMISSION = str(uuid7())


class Owner:
    """The tenant, as its administrator."""

    def __init__(self, service: ServiceUnderTest) -> None:
        self.service = service
        self.headers = service.headers(OWNER)

    async def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        given = {"json": body} if body is not None else {}
        answer = await self.service.client.request(method, f"/v1{path}", headers=self.headers, params=params, **given)
        assert answer.is_success, answer.text
        return answer.json()

    async def one(self, path: str, **params: Any) -> Any:
        """The first item of a list, once there is one."""

        async def found() -> Any:
            items = (await self.call("GET", path, **params))["items"]
            assert items
            return items[0]

        return await eventually(found)

    async def there(self, path: str) -> Any:
        async def found() -> Any:
            return await self.call("GET", path)

        return await eventually(found)

    async def tell(self, name: str, **fields: Any) -> None:
        await self.service.publish(sample(name, **fields), tenant=OWNER)


async def _assessment(owner: Owner) -> dict[str, Any]:
    await owner.call("POST", "/assessments", BODIES["create_assessment"])
    await owner.call("POST", "/assessments/prospecting/publish")
    await owner.tell("PipelinePublished")
    await owner.tell("OpportunityObserved", owner_id="ann")
    await owner.tell("StageChanged")
    await owner.one("/worklist", owner_id="ann")
    await owner.call("PUT", f"/submissions/{SUBMISSION}", BODIES["put_submission"])
    return {"key": "prospecting", "version": 1, "submission_id": SUBMISSION, "opportunity_id": DEAL}


async def _scoring(owner: Owner) -> dict[str, Any]:
    await owner.tell("AssessmentPublished")
    profile = await owner.call("POST", "/scoring-profiles", BODIES["create_scoring_profile"])
    path = f"/scoring-profiles/{profile['profile_id']}"

    async def known() -> None:
        assert (await owner.call("GET", path))["findings"] is not None

    await eventually(known)
    await owner.call("POST", f"{path}/publish")
    await owner.tell("AssessmentSubmitted", submission_id=SUBMISSION)
    await owner.there(f"/submissions/{SUBMISSION}/score")
    draft = await owner.call("POST", "/scoring-profiles", BODIES["create_scoring_profile"])
    return {"profile_id": draft["profile_id"], "submission_id": SUBMISSION, "opportunity_id": DEAL}


async def _stage_engine(owner: Owner) -> dict[str, Any]:
    await owner.call("POST", "/pipelines", BODIES["create_pipeline"])
    await owner.call("POST", "/pipelines/field_example/publish")
    await owner.tell("OpportunityObserved", owner_id="ann")
    decision = await owner.one(f"/opportunities/{DEAL}/decisions")
    return {"key": "field_example", "opportunity_id": DEAL, "decision_id": decision["decision_id"]}


async def _crm_connector(owner: Owner) -> dict[str, Any]:
    await owner.tell("PipelinePublished")
    await owner.there("/stage-mappings/sales")
    run = await owner.call("POST", "/imports")
    await owner.tell("StageDecided", decision_id=str(uuid4()), crm_target_stage="discovery")
    intent = await owner.one("/write-intents")
    return {
        "pipeline_key": "sales",
        "import_id": run["import_id"],
        "opportunity_id": DEAL,
        "intent_id": intent["intent_id"],
    }


async def _recommender(owner: Owner) -> dict[str, Any]:
    for name in ("PipelinePublished", "AssessmentPublished", "ScoringProfilePublished", "StageChanged"):
        await owner.tell(name)
    await owner.tell("SubmissionScored", submission_id=SUBMISSION)
    await owner.there(f"/opportunities/{DEAL}/recommendation")
    return {"opportunity_id": DEAL}


_MAKERS = {
    "assessment": _assessment,
    "scoring": _scoring,
    "stage_engine": _stage_engine,
    "crm_connector": _crm_connector,
    "recommender": _recommender,
}


async def belongings(service: ServiceUnderTest) -> dict[str, Any]:
    """Give the tenant something of everything; the path parameters that lead to it."""
    owner = Owner(service)
    consumer = service.runtime.consumer
    assert consumer is not None
    broken = Event(OWNER, sample("PipelinePublished"), 1, time=datetime.now(UTC)).record("test")
    await service.send(Record(consumer.topics[0], broken.key, b"\xff\xff", broken.headers))
    letter = await owner.one("/dead-letters")
    found = await _MAKERS[service.settings.package](owner)
    return {**found, "dead_letter_id": letter["dead_letter_id"]}
