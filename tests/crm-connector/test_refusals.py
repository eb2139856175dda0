"""What the CRM refuses holds back nothing else: not a stage for an answer, not one opportunity for another."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from crm_connector.domain.intents import Reply, Verdict
from crm_connector.domain.writes import CrmWrite
from sqlalchemy import text
from testing.service import eventually

from tests import senders
from tests.published import publish_pipelines

pytestmark = pytest.mark.stack
# What of the evidence the CRM does not take, how it says so, and how many calls it takes until the stage is there.
REFUSED, STORAGE = {"verdict": Verdict.REFUSED}, {"verdict": Verdict.AGAIN, "not_before": timedelta(hours=1)}
KINDS = {
    "one answer": (["note"], REFUSED, 2),
    "two answers": (["note", "budget"], REFUSED, 3),
    "every answer": (["hours", "tools", "budget", "note", "signed"], REFUSED, 3),
    "the assessment": ([""], REFUSED, 2),
    "an answer and the assessment": (["note", ""], REFUSED, 3),
    "no storage for answers": (["note"], STORAGE, 2),
    "an answer, twice at fault": (["note"], {"verdict": Verdict.AGAIN, "most_attempts": 1}, 2),
}


class PickyCrm:
    """Confirms whatever does not hold a refused part."""

    name = "picky"
    writes_at_once = 25
    subject_objects = {"opportunity": "Opportunity"}  # noqa: RUF012
    evidence_objects = ("Assessment", "Answer")

    def __init__(self, refused: Sequence[str], how: dict[str, Any]) -> None:
        self.refused, self.how, self.calls = refused, how, 0

    def sent_fields(self, write: CrmWrite) -> dict[str, Any]:
        return {"StageName": write.stage.target} if write.stage else {}

    async def read(self, opportunity_ids: Sequence[str]) -> list[Any]:
        return []

    async def write(self, writes: Sequence[CrmWrite]) -> list[Reply]:
        self.calls += 1
        return [self.reply(write) for write in writes]

    def reply(self, write: CrmWrite) -> Reply:
        sent = {"", *(line.question_key for line in write.evidence.answers)} if write.evidence else set[str]()
        if "" in write.left_out:
            sent = set()
        for part in self.refused:
            if part in sent - set(write.left_out):
                return Reply(write.write_id, code="BAD", reason=f"not {part}", refused=part, **self.how)
        return Reply(write.write_id, Verdict.CONFIRMED)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(start_service: Any) -> AsyncIterator[Any]:
    yield await start_service("crm_connector", salesforce_tenant="none", crm_poll_seconds=0.2)


@pytest.fixture
async def queue(service: Any, tenant: str, make: SimpleNamespace) -> Any:
    """Publishes decisions, and gives the intents in the order of decisions and of what was left of each."""
    await publish_pipelines(service, tenant, make.pipeline())
    await service.publish(make.assessment(), tenant=tenant)

    async def intents() -> list[dict[str, Any]]:
        reply = await service.client.get("/v1/write-intents?limit=200", headers=service.headers(tenant))
        return sorted(reply.json()["items"][::-1], key=lambda each: (each["opportunity_id"], each["created_at"]))

    async def decide(*messages: Any) -> None:
        for message in messages:
            await service.publish(message, tenant=tenant, sequence=message.decision_no)

        async def stored() -> None:
            assert len(await intents()) == len(messages)

        await eventually(stored)

    async def states(*expected: str) -> list[dict[str, Any]]:
        async def check() -> list[dict[str, Any]]:
            found = await intents()
            assert [each["state"] for each in found] == list(expected)
            return found

        return await eventually(check)

    return SimpleNamespace(decide=decide, states=states)


@pytest.fixture
def sending(service: Any, tenant: str) -> Callable[[Any], Any]:
    return lambda crm: senders.sending(service, tenant, crm)


class TestAnswers:
    @pytest.mark.parametrize(("kind", "target"), [*((kind, "discovery") for kind in KINDS), ("one answer", "")])
    async def test_an_answer_holds_back_nothing_else(
        self, service: Any, tenant: str, queue: Any, make: Any, sending: Any, kind: str, target: str
    ) -> None:
        parts, how, calls = KINDS[kind]
        await queue.decide(make.decision("d1", target=target, submission=make.scored("d1")))
        crm = PickyCrm(parts, how)
        async with sending(crm):
            written, rest = await queue.states("CONFIRMED", "PARKED")
        assert crm.calls == calls
        assert set(parts[:2]) <= written["left_out"].keys()
        assert "BAD: not " + parts[0] in written["left_out"].values()
        assert (rest["code"], rest["follows"], rest["target_stage"]) == ("ANSWER_REFUSED", written["intent_id"], "")
        assert rest["left_out"] == written["left_out"]
        # It can be sent again, and waits again where nothing was repaired; or it can be given up.
        path, headers = f"/v1/write-intents/{rest['intent_id']}", service.headers(tenant)
        assert (await service.client.post(f"{path}/retry", headers=headers)).json()["state"] == "NEW"
        if how is REFUSED:
            async with sending(crm):
                await queue.states("CONFIRMED", "PARKED")
        async with sending(PickyCrm([], REFUSED)):
            if how is REFUSED:
                assert (await service.client.post(f"{path}/retry", headers=headers)).status_code == 200
            await queue.states("CONFIRMED", "CONFIRMED")


class Hostile(PickyCrm):
    """Replies to one opportunity as the test says, and confirms the others."""

    def __init__(self, reply: Callable[[Reply], Reply]) -> None:
        super().__init__([], REFUSED)
        self._reply = reply

    def reply(self, write: CrmWrite) -> Reply:
        good = Reply(write.write_id, Verdict.CONFIRMED)
        return self._reply(good) if write.opportunity_id == "d2" else good


def refused(reason: str, **changes: Any) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, verdict=Verdict.REFUSED, code="BAD", reason=reason, **changes)


POISON = {
    "words that cannot be stored": refused("\0"),
    "half a surrogate pair": refused("\ud800"),
    "a megabyte of words": refused("x" * 1_000_000),
    "a part that was never sent": refused("no", refused="ghost"),
    "no times": lambda reply: replace(reply, verdict=Verdict.AGAIN, not_before=None),
}


class TestIsolation:
    @pytest.mark.parametrize("kind", POISON)
    async def test_one_reply_stops_no_other(self, queue: Any, make: Any, sending: Any, kind: str) -> None:
        await queue.decide(*[make.decision(each, target="discovery") for each in ("d1", "d2", "d3")])
        async with sending(Hostile(POISON[kind])):
            await queue.states("CONFIRMED", "PARKED", "CONFIRMED")

    async def test_evidence_that_cannot_be_read_stops_no_other_and_no_stage(
        self, service: Any, tenant: str, queue: Any, make: Any, sending: Any
    ) -> None:
        first = make.decision("d1", target="discovery", submission=make.scored("d1"))
        await queue.decide(first, make.decision("d2", submission=make.scored("d2")), make.decision("d3", target="demo"))
        async with service.database.unit_of_work(tenant) as uow:
            spoilt = text("UPDATE write_queue SET evidence = 'x' WHERE evidence IS NOT NULL")
            await uow.session.execute(spoilt)
        async with sending(PickyCrm([], REFUSED)):
            found = await queue.states("CONFIRMED", "PARKED", "PARKED", "CONFIRMED")
        assert [each["code"] for each in found] == ["", "UNREADABLE_ANSWERS", "UNREADABLE_ANSWERS", ""]


class TestOrg:
    """The same against a simulated org, whose administrator made rules."""

    @pytest.fixture
    def rules(self, linked: Any) -> Any:
        def make(*rules: dict[str, Any]) -> None:
            linked.org.sim("validation-rules", list(rules), method="PUT")

        yield make
        make()

    async def test_a_rule_of_the_org_about_one_answer(self, linked: Any, make: Any, rules: Any) -> None:
        opportunity = await linked.created()
        note = {"object": "Stagecraft_Answer__c", "when": {"Question_Key__c": "note"}, "message": "No notes, please"}
        rules(note)
        submission = make.scored(opportunity)
        await linked.decide(make.decision(opportunity, target="discovery", submission=submission))
        written, rest = await linked.state_of(opportunity, "ECHOED", "PARKED")
        assert written["left_out"] == {"note": "FIELD_CUSTOM_VALIDATION_EXCEPTION: No notes, please"}
        record = linked.record(opportunity)
        (assessment,) = record["assessments"]
        assert record["StageName"] == "Discovery"
        assert {each["Question_Key__c"] for each in assessment["answers"]} == {"hours", "tools", "budget", "signed"}
        assert "calls back" in assessment["Answers_Json__c"]
        rules()
        path = f"/v1/write-intents/{rest['intent_id']}/retry"
        assert (await linked.service.client.post(path, headers=linked.headers)).status_code == 200
        await linked.state_of(opportunity, "ECHOED", "ECHOED")
        assert len(linked.record(opportunity)["assessments"][0]["answers"]) == 5

    async def test_a_close_brings_the_reason_that_the_org_demands(self, linked: Any, make: Any, rules: Any) -> None:
        opportunity = await linked.created()
        when = {"StageName": "Closed Lost"}
        rules({"object": "Opportunity", "when": when, "needs": "Stagecraft_Reason__c", "message": "Say why"})
        unexplained = make.decision(opportunity, 1, target="closed_lost", expected="prospecting")
        await linked.decide(unexplained)
        (parked,) = await linked.state_of(opportunity, "PARKED")
        assert parked["reason"] == "Say why"
        lost = make.decision(opportunity, 2, target="closed_lost", expected="prospecting")
        lost.change.reason_code, lost.earned_stage = "PRICE", "prospecting"
        await linked.decide(lost)
        await linked.state_of(opportunity, "PARKED", "ECHOED")
        record = linked.record(opportunity)
        assert (record["StageName"], record["Stagecraft_Outcome__c"]) == ("Closed Lost", "lost")
        assert (record["Stagecraft_Reason__c"], record["Stagecraft_Earned_Stage__c"]) == ("PRICE", "Prospecting")
        # Made once more after a conflict, a write says the reason again; when it is opened again, there is none.
        linked.org.sim("edit", {"id": opportunity, "fields": {"StageName": "Demo", "Stagecraft_Reason__c": None}})
        await linked.shows(opportunity, crm_stage="Demo")
        await linked.decide(make.decision(opportunity, 3, target="closed_lost", expected="demo"))
        await linked.state_of(opportunity, "PARKED", "ECHOED", "ECHOED")
        assert linked.record(opportunity)["Stagecraft_Reason__c"] == "PRICE"
        opened = make.decision(opportunity, 4, target="demo", expected="closed_lost")
        opened.earned_stage = "discovery"
        await linked.decide(opened)
        await linked.state_of(opportunity, "PARKED", "ECHOED", "ECHOED", "ECHOED")
        record = linked.record(opportunity)
        assert (record.get("Stagecraft_Reason__c"), record.get("Stagecraft_Outcome__c")) == (None, None)
        assert record["Stagecraft_Health__c"] == "Ahead of its evidence"

    async def test_why_a_stage_is_not_there_is_shown_until_one_is(self, linked: Any, make: Any, rules: Any) -> None:
        opportunity = await linked.created()
        rules({"object": "Opportunity", "when": {"StageName": "Demo"}, "message": "No demo in December"})
        await linked.decide(make.decision(opportunity, 1, target="demo", expected="prospecting"))
        await linked.state_of(opportunity, "PARKED")
        await linked.decide(make.decision(opportunity, 2, submission=make.scored(opportunity)))
        await linked.state_of(opportunity, "PARKED", "ECHOED")
        assert linked.record(opportunity)["Stagecraft_Sync_Error__c"] == "No demo in December"
        await linked.decide(make.decision(opportunity, 3, target="discovery", expected="prospecting"))
        await linked.state_of(opportunity, "PARKED", "ECHOED", "ECHOED")
        assert linked.record(opportunity).get("Stagecraft_Sync_Error__c") is None


class TestBulk:
    async def test_parked_writes_are_retried_or_given_up_by_filter(
        self, service: Any, tenant: str, queue: Any, make: Any, sending: Callable[[Any], Any]
    ) -> None:
        client, headers = service.client, service.headers(tenant)
        names = [f"d{n}" for n in range(6)]
        await queue.decide(*[make.decision(each, target="discovery") for each in names])
        async with sending(_Numbered()):
            parked = await queue.states(*["PARKED"] * 6)

        async def post(deed: str, **body: Any) -> dict[str, Any]:
            reply = await client.post(f"/v1/write-intents/{deed}", json=body, headers=headers)
            assert reply.status_code == 200, reply.text
            return reply.json()

        assert await post("retry", code="OTHER") == {"count": 0, "more": False}
        assert await post("retry", parked_before=parked[0]["created_at"]) == {"count": 0, "more": False}
        assert await post("discard", code="BAD", reason="number 1") == {"count": 1, "more": False}
        assert await post("discard", opportunity_id="d2", parked_since=parked[0]["created_at"]) == {
            "count": 1, "more": False,
        }  # fmt: skip
        await queue.states("PARKED", "DISCARDED", "DISCARDED", "PARKED", "PARKED", "PARKED")
        assert await post("retry", code="BAD", limit=3) == {"count": 3, "more": True}
        assert await post("retry", code="BAD", limit=3) == {"count": 1, "more": False}
        async with sending(PickyCrm([], REFUSED)):
            await queue.states("CONFIRMED", "DISCARDED", "DISCARDED", "CONFIRMED", "CONFIRMED", "CONFIRMED")
        audit = (await client.get("/v1/audit-entries", headers=headers)).json()["items"]
        done = [(each["action"], each["detail"]["count"]) for each in audit if each["action"].startswith("write-int")]
        assert done[2:] == [("write-intents.discarded", 1), ("write-intents.discarded", 1),
                            ("write-intents.retried", 3), ("write-intents.retried", 1)]  # fmt: skip
        one = f"/v1/write-intents/{parked[1]['intent_id']}"
        again = await client.post(f"{one}/discard", headers=headers)
        assert (again.status_code, again.json()["code"]) == (409, "write_intent_not_parked")
        forbidden = await client.post("/v1/write-intents/discard", json={}, headers=service.headers(tenant, "rep"))
        assert forbidden.status_code == 403


class _Numbered(PickyCrm):
    """Refuses everything, each opportunity in its own words."""

    def __init__(self) -> None:
        super().__init__([], REFUSED)

    def reply(self, write: CrmWrite) -> Reply:
        return Reply(write.write_id, Verdict.REFUSED, "BAD", f"number {write.opportunity_id[1:]}")
