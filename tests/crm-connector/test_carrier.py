"""Actions from the event that asks for them to the one that settles them, through a real org process."""

from typing import Any
from uuid import uuid4

import pytest
from crm_connector.domain.actions import ActionState, after_reply
from crm_connector.messages import owner_actions, read_action
from crm_connector.recording import RecordingCrm
from crm_connector.repository.actions import ActionRepository
from crm_connector.service.acting import accept_owners, settle_actions
from crm_connector.signals import Signals
from kit.ids import utc_now
from stagecraft.crm.v1.action_settled_pb2 import (
    SETTLEMENT_DONE,
    SETTLEMENT_EXPIRED,
    SETTLEMENT_REFUSED,
    ActionSettled,
)
from stagecraft.stage.v1 import action_requested_pb2 as requests
from stagecraft.stage.v1.stage_decided_pb2 import Assigned, StageDecided

from tests.builders import MOMENT, action_requested, received, stage_decided

pytestmark = pytest.mark.stack


async def ask(linked: Any, opportunity_id: str, **given: Any) -> str:
    action_id = str(uuid4())
    message = action_requested(action_id=action_id, opportunity_id=opportunity_id, **{"person_id": "", **given})
    await linked.service.publish(message, tenant=linked.tenant)
    return action_id


async def settled(linked: Any, action_id: str) -> ActionSettled:
    (only,) = await linked.service.events(
        ActionSettled, tenant=linked.tenant, count=1, where=lambda each: each.action_id == action_id
    )
    return only.message


async def rows(linked: Any, soql: str) -> list[dict[str, Any]]:
    async with linked.org.session() as client:
        return (await client.get("/services/data/v67.0/query", params={"q": soql})).json()["records"]


@pytest.mark.capability(98)
async def test_a_task_reaches_the_org_and_its_id_comes_back(linked: Any) -> None:
    deal = await linked.created()
    action_id = await ask(linked, deal)
    done = await settled(linked, action_id)
    assert done.settlement == SETTLEMENT_DONE
    (task,) = await rows(linked, f"SELECT Id, Subject FROM Task WHERE WhatId = '{deal}'")
    assert (task["Id"], task["Subject"]) == (done.record_id, "Call the customer")


async def test_a_refusal_comes_back_in_the_orgs_words(linked: Any) -> None:
    deal = await linked.created()
    fields = [requests.ActionField(name="NextStep", value="x" * 300)]
    refused = await settled(linked, await ask(linked, deal, kind=requests.ACTION_KIND_FIELD_UPDATE, fields=fields))
    assert (refused.settlement, refused.code) == (SETTLEMENT_REFUSED, "STRING_TOO_LONG")


async def test_what_is_asked_for_too_late_expires(linked: Any) -> None:
    deal = await linked.created()
    expired = await settled(linked, await ask(linked, deal, expires_at=MOMENT))
    assert expired.settlement == SETTLEMENT_EXPIRED
    assert await rows(linked, f"SELECT Id FROM Task WHERE WhatId = '{deal}'") == []


async def test_what_was_left_on_its_way_is_read_before_it_is_sent_again(linked: Any) -> None:
    """The process died between the call and its settlement: the task is there, the row says SENT."""
    deal, action_id = await linked.created(), uuid4()
    async with linked.org.session() as client:
        path = f"/services/data/v67.0/sobjects/Task/Stagecraft_Action_Id__c/{action_id}"
        reply = await client.patch(path, json={"WhatId": deal, "Subject": "Done before"})
    message = action_requested(action_id=str(action_id), opportunity_id=deal)
    action = read_action(received(message), utc_now())
    assert action is not None
    async with linked.service.database.unit_of_work(linked.tenant) as uow:
        ActionRepository(uow.session, linked.tenant).add([action.changed(state=ActionState.SENT, attempts=1)])
    linked.service.runtime.resources.get(Signals).actions.set()
    done = await settled(linked, str(action_id))
    assert (done.settlement, done.record_id) == (SETTLEMENT_DONE, reply.json()["id"])
    (task,) = await rows(linked, f"SELECT Id, Subject FROM Task WHERE WhatId = '{deal}'")
    assert task["Subject"] == "Done before"


async def user(linked: Any, name: str) -> str:
    body = {"Username": f"{name}@acme.org", "LastName": name, "Email": f"{name}@acme.org"}
    async with linked.org.session() as client:
        return (await client.post("/services/data/v67.0/sobjects/User", json=body)).json()["id"]


def chosen(deal: str, person_id: str, number: int) -> tuple[str, StageDecided]:
    action_id = str(uuid4())
    owner = Assigned(role="owner", person_id=person_id, rule_id="web", action_id=action_id)
    adviser = Assigned(role="adviser", person_id=person_id)
    message = stage_decided(
        opportunity_id=deal, decision_no=number, assigned=[owner, adviser], submission=None, decided_at=utc_now()
    )
    return action_id, message


@pytest.mark.capability(61)
async def test_the_owner_whom_a_decision_chose_is_shown_in_the_org(linked: Any) -> None:
    deal = await linked.created()
    owner, first, second = linked.record(deal)["OwnerId"], await user(linked, "ron"), await user(linked, "rita")
    for number, person_id in enumerate((first, second), start=1):
        action_id, message = chosen(deal, person_id, number)
        await linked.service.publish(message, tenant=linked.tenant, sequence=number)
        assert (await settled(linked, action_id)).settlement == SETTLEMENT_DONE
        assert linked.record(deal)["OwnerId"] == person_id
    seen = await linked.observed(deal, 3)
    assert [each.owner_id for each in seen] == [owner, first, second]


async def test_of_owners_that_wait_only_the_newest_is_shown(linked: Any) -> None:
    deal = await linked.created()
    person_id = linked.record(deal)["OwnerId"]
    events = [received(chosen(deal, person_id, number)[1]) for number in (1, 2)]
    ids = [event.message.assigned[0].action_id for event in events]
    async with linked.service.database.unit_of_work(linked.tenant) as uow:
        await accept_owners(uow, events)
    states = [(await settled(linked, each)).settlement for each in ids]
    assert states == [SETTLEMENT_EXPIRED, SETTLEMENT_DONE]


async def test_the_recording_adapter_shows_the_owner_itself(linked: Any) -> None:
    deal = await linked.created()
    (given,) = owner_actions(received(chosen(deal, "005Somebody", 1)[1]), utc_now())
    carried = await RecordingCrm().carry_out(given)
    outcome = after_reply(given.changed(state=ActionState.SENT, attempts=1), carried, utc_now(), 0.5)
    async with linked.service.database.unit_of_work(linked.tenant) as uow:
        ActionRepository(uow.session, linked.tenant).add([given.changed(due_at=given.expires_at)])
        await uow.flush()
        # A second word about the same action shows nothing anew.
        await settle_actions(uow, [outcome, outcome], utc_now())
    seen = await linked.observed(deal, 2)
    assert [(each.owner_id, each.crm_stage) for each in seen[1:]] == [("005Somebody", "Prospecting")]
