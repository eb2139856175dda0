"""One deal that goes through the whole system, to be copied a million times."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from crm_connector.crm import ChangeBatch
from crm_connector.domain.observation import ChangeKind, CrmChange, FactChanges
from crm_connector.service.inbound import apply_changes, ids_to_read
from kit.ids import utc_now, uuid7
from sandbox.story.api import Caller, Refused
from testing.service import eventually

from tests.plans.platform import TENANT, Platform

DEAL, UNKNOWN, REP = "006000000000001", "006000000000002", "005000000000001"
PASSING = {"hours": "over_5", "compliance": "yes"}
FAILING = {"hours": "two_to_four", "compliance": "yes"}
PREVIEW = {"stage_key": "prospecting", "assessment_key": "prospecting", "score": 50}
FIELDS, FACTS = {"StageName": "Prospecting"}, FactChanges(stage="Prospecting")


def answers(opportunity_id: str, given: dict[str, str]) -> dict[str, object]:
    """The body of a submission."""
    return {
        "opportunity_id": opportunity_id,
        "assessment_key": "prospecting",
        "assessment_version": 1,
        "answers": given,
        "captured_at": utc_now().isoformat(),
    }


async def live(platform: Platform) -> None:
    """Have the deal seen, assessed, scored, decided on, written to the CRM and recommended on; and another one assessed
    that nobody has ever seen, so that something waits."""
    facts = FactChanges(stage="Prospecting", amount=Decimal(1000), owner_id=REP)
    seen = CrmChange(str(uuid7()), DEAL, ChangeKind.CREATED, utc_now(), "jo", "", FIELDS, facts)
    rep, admin = platform.caller("rep", REP), platform.caller("admin")
    await eventually(lambda: _answered(admin, "crm-connector", "/v1/stage-mappings/field_example"))
    await change_in_crm(platform, [seen])
    await eventually(lambda: _due(rep))
    for deal in (DEAL, UNKNOWN):
        await rep.send("PUT", "assessment", f"/v1/submissions/{uuid7()}", answers(deal, FAILING))
    await eventually(lambda: _through(admin))
    # Requests with keys, where no service has had one yet.
    await admin.post("crm-connector", "/v1/imports")
    await admin.post("recommender", "/v1/recommendations/preview", PREVIEW)


async def change_in_crm(platform: Platform, changes: Sequence[CrmChange]) -> None:
    """The CRM's stream brings these changes, as it cannot with the recording adapter."""
    database = platform.services["crm-connector"].database
    async with database.unit_of_work(TENANT) as uow:
        await ids_to_read(uow, changes)
    async with database.unit_of_work(TENANT) as uow:
        await apply_changes(uow, ChangeBatch(changes, b"here"), {}, {"stage": "StageName"}, utc_now())


async def _due(rep: Caller) -> None:
    found = await _answered(rep, "assessment", f"/v1/opportunities/{DEAL}/next-assessment")
    assert found["due"], found


async def _answered(caller: Caller, service: str, path: str) -> Any:
    try:
        return await caller.get(service, path)
    except Refused as refusal:
        raise AssertionError(str(refusal)) from refusal


async def _through(admin: Caller) -> None:
    intents = (await admin.get("crm-connector", "/v1/write-intents"))["items"]
    assert [intent["state"] for intent in intents] == ["CONFIRMED"]
    (work,) = (await admin.get("assessment", "/v1/worklist", owner_id=REP))["items"]
    assert work["recommendation"] and work["last_outcome"]["missing"], work
    (advice,) = (await admin.get("recommender", "/v1/recommendations"))["items"]
    assert advice["engine_outcome"], advice
    # The second one waits for its first visit.
    assert (await admin.get("recommender", "/v1/model"))["waiting"] == {"visit": 1}
