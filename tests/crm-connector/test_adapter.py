"""Decisions reach a real org process: whole, once, in order, and never over what a person did."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from crm_connector.synchronise import measure
from kit.contracts.facts import AMOUNT
from prometheus_client import REGISTRY
from stagecraft.crm.v1.crm_write_confirmed_pb2 import CrmWriteConfirmed
from stagecraft.crm.v1.crm_write_parked_pb2 import CrmWriteParked
from stagecraft.crm.v1.record_observed_pb2 import OBSERVATION_KIND_CONFLICT
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

from tests.builders import fact, mapped

pytestmark = pytest.mark.stack
GRAPH = "composite/graph"


async def _confirmed(linked: Any, opportunity_id: str) -> list[CrmWriteConfirmed]:
    events = await linked.service.events(
        CrmWriteConfirmed, tenant=linked.tenant, count=1, where=lambda each: each.opportunity_id == opportunity_id
    )
    return [e.message for e in events]


class TestWrite:
    async def test_a_decision_arrives_whole(self, linked: Any, make: SimpleNamespace) -> None:
        opportunity = await linked.created()
        submission = make.scored(opportunity, note="Said: @{opp.id} 'quoted'")
        sent = make.decision(opportunity, target="discovery", expected="prospecting", submission=submission)
        await linked.decide(sent)
        (intent,) = await linked.state_of(opportunity, "ECHOED")
        record = linked.record(opportunity)
        assert record["StageName"] == "Discovery"
        assert record["Stagecraft_Write_Id__c"] == intent["write_id"]
        assert record["Stagecraft_Score__c"] == 70
        assert record["Probability"] == 25
        (assessment,) = record["assessments"]
        assert assessment["External_Id__c"] == submission.submission_id
        assert assessment["Max_Score__c"] == 100
        assert assessment["Completed_At__c"] == "2026-11-22T09:30:00.000+0000"
        answers = {answer["Question_Key__c"]: answer for answer in assessment["answers"]}
        assert answers["hours"]["Value_Text__c"] == "More than five"
        assert answers["tools"]["Value_Text__c"] == "Sheets; CRM"
        assert answers["tools"]["Value_Json__c"] == '["sheets", "crm"]'
        assert answers["budget"]["Value_Number__c"] == 50000.5
        assert answers["note"]["Value_Text__c"] == "Said: @ {opp.id} 'quoted'"
        assert answers["signed"]["Value_Boolean__c"] is True
        assert {answer["Score__c"] for answer in answers.values()} == {14}
        (confirmed,) = await _confirmed(linked, opportunity)
        assert confirmed.stage_key == "discovery"
        assert confirmed.decision_id == sent.decision_id
        assert confirmed.write_id == intent["write_id"]
        assert (confirmed.attempts, confirmed.revision) == (1, 1)

    async def test_what_is_voided_later_keeps_its_answers_and_says_so(self, linked: Any, make: SimpleNamespace) -> None:
        opportunity = await linked.created()
        submission = make.scored(opportunity)
        first = make.decision(opportunity, target="discovery", expected="prospecting", submission=submission)
        voided = SubmissionScored(submission_id=submission.submission_id, voided=True)
        voided.captured_at.GetCurrentTime()
        back = make.decision(opportunity, 2, target="prospecting", expected="discovery", submission=voided)
        await linked.decide(first)
        await linked.state_of(opportunity, "ECHOED")
        await linked.decide(back)
        await linked.state_of(opportunity, "ECHOED", "ECHOED")
        record = linked.record(opportunity)
        (assessment,) = record["assessments"]
        assert (record["StageName"], assessment["Status__c"]) == ("Prospecting", "Voided")
        assert (assessment["Score__c"], len(assessment["answers"])) == (70, 5)
        assert (record["Stagecraft_Score__c"], record["Stagecraft_Last_Assessed__c"][:4]) == (70, "2026")

    async def test_the_echo_is_not_observed(self, linked: Any, make: SimpleNamespace) -> None:
        opportunity = await linked.created()
        before = await linked.observed(opportunity, 1)
        await linked.decide(make.decision(opportunity, target="discovery", expected="prospecting"))
        await linked.state_of(opportunity, "ECHOED")
        linked.org.sim("edit", {"id": opportunity, "fields": {"Amount": 1200}})
        after = await linked.observed(opportunity, len(before) + 1)
        assert len(after) == len(before) + 1
        assert (fact(after[-1], AMOUNT), list(after[-1].changed_facts)) == (
            1200,
            [AMOUNT, "opportunity.expected_revenue"],
        )
        assert (await linked.shows(opportunity, awaits_echo=False))["stage_key"] == "discovery"

    async def test_decisions_of_one_opportunity_go_in_order(self, linked: Any, make: SimpleNamespace) -> None:
        opportunity = await linked.created()
        path = ["prospecting", "discovery", "demo", "negotiation"]
        for number, target in enumerate(path[1:], start=1):
            # The engine had not heard of any confirmation: it still names the stage it began with.
            submission = make.scored(opportunity, score=str(60 + number))
            await linked.decide(
                make.decision(opportunity, number, target=target, expected="prospecting", submission=submission)
            )
        await linked.state_of(opportunity, "ECHOED", "ECHOED", "ECHOED")
        record = linked.record(opportunity)
        assert [row["StageName"] for row in record["history"]] == [
            "Prospecting", "Discovery", "Demo", "Negotiation",
        ]  # fmt: skip
        assert record["Stagecraft_Score__c"] == 63
        assert len(record["assessments"]) == 3

    async def test_a_decision_delivered_twice_is_written_once(self, linked: Any, make: SimpleNamespace) -> None:
        opportunity = await linked.created()
        message = make.decision(opportunity, target="discovery", expected="prospecting")
        await linked.decide(message)
        await linked.decide(message)
        await linked.state_of(opportunity, "ECHOED")
        assert len(await _confirmed(linked, opportunity)) == 1

    async def test_a_stage_the_pipeline_does_not_map_waits_for_a_person(
        self, linked: Any, make: SimpleNamespace
    ) -> None:
        opportunity = await linked.created()
        await linked.decide(make.decision(opportunity, target="nowhere", expected="prospecting"))
        (intent,) = await linked.state_of(opportunity, "PARKED")
        assert intent["code"] == "UNMAPPED_STAGE"
        assert "set the stage mapping" in intent["reason"]


class TestFaults:
    @pytest.fixture(autouse=True)
    def _no_faults(self, linked: Any) -> Any:
        yield
        linked.org.sim("faults", method="DELETE")

    async def test_a_lost_reply_leaves_no_duplicate(
        self, linked: Any, make: SimpleNamespace, freshness_shown: Any
    ) -> None:
        opportunity = await linked.created()
        linked.org.sim("faults", {"match": GRAPH, "drop_after_commit": True, "times": 2})
        submission = make.scored(opportunity)
        await linked.decide(
            make.decision(opportunity, target="discovery", expected="prospecting", submission=submission)
        )
        (intent,) = await linked.state_of(opportunity, "ECHOED")
        assert intent["attempts"] == 1
        record = linked.record(opportunity)
        assert len(record["history"]) == 2
        assert len(record["assessments"]) == 1
        assert len(await _confirmed(linked, opportunity)) == 1
        await freshness_shown()
        linked.org.sim("edit", {"id": opportunity, "fields": {"Amount": 5}})
        observations = await linked.observed(opportunity, 2)
        assert [fact(o, AMOUNT) for o in observations] == [None, 5]

    @pytest.mark.parametrize(
        "fault",
        [
            {"html_503": True},
            {"code": "UNABLE_TO_LOCK_ROW"},
            {"code": "SERVER_UNAVAILABLE"},
            {"code": "INVALID_SESSION_ID"},
        ],
        ids=lambda fault: next(iter(fault.values())),
    )
    async def test_a_passing_fault_is_outlived(self, linked: Any, make: SimpleNamespace, fault: dict[str, Any]) -> None:
        opportunity = await linked.created()
        linked.org.sim("faults", {"match": GRAPH, "times": 2, **fault})
        await linked.decide(make.decision(opportunity, target="discovery", expected="prospecting"))
        await linked.state_of(opportunity, "ECHOED")
        assert len(linked.record(opportunity)["history"]) == 2

    async def test_a_refusal_is_parked_in_the_orgs_words_and_can_be_retried(
        self, linked: Any, make: SimpleNamespace
    ) -> None:
        opportunity = await linked.created()
        words = "Close date must lie in this quarter"
        rule = {"code": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": words, "match": "Opportunity", "within": True}
        linked.org.sim("faults", rule)
        await linked.decide(make.decision(opportunity, target="discovery", expected="prospecting"))
        (intent,) = await linked.state_of(opportunity, "PARKED")
        assert (intent["code"], intent["reason"]) == ("FIELD_CUSTOM_VALIDATION_EXCEPTION", words)
        (parked,) = await linked.service.events(
            CrmWriteParked, tenant=linked.tenant, count=1, where=lambda each: each.opportunity_id == opportunity
        )
        assert parked.message.reason == words

        # Connectors of other tests may share this process and its gauges: measured and read with nothing in between.
        await measure(linked.service.runtime, linked.tenant)
        labels = {"service": "crm-connector", "what": "parked_writes"}
        assert (REGISTRY.get_sample_value("waiting_items", labels) or 0) >= 1
        assert (REGISTRY.get_sample_value("crm_cursor_age_seconds") or 0) > 0
        path = f"/v1/write-intents/{intent['intent_id']}/retry"
        reply = await linked.service.client.post(path, headers=linked.headers)
        assert reply.status_code == 200, reply.text
        await linked.state_of(opportunity, "ECHOED")
        again = await linked.service.client.post(path, headers=linked.headers)
        assert (again.status_code, again.json()["code"]) == (409, "write_intent_not_parked")

    async def test_a_retry_never_undoes_a_newer_decision(self, linked: Any, make: SimpleNamespace) -> None:
        opportunity = await linked.created()
        linked.org.sim("faults", {"code": "REQUIRED_FIELD_MISSING", "match": "Opportunity", "within": True})
        first = make.decision(
            opportunity, 1, target="discovery", expected="prospecting", submission=make.scored(opportunity)
        )
        await linked.decide(first)
        (parked,) = await linked.state_of(opportunity, "PARKED")
        await linked.decide(make.decision(opportunity, 2, target="demo", expected="prospecting"))
        await linked.state_of(opportunity, "PARKED", "ECHOED")
        path = f"/v1/write-intents/{parked['intent_id']}/retry"
        assert (await linked.service.client.post(path, headers=linked.headers)).status_code == 200
        await linked.state_of(opportunity, "SUPERSEDED", "ECHOED", "ECHOED")
        record = linked.record(opportunity)
        assert record["StageName"] == "Demo"
        assert len(record["assessments"]) == 1


class TestConflict:
    async def test_the_person_wins_and_no_answer_is_lost(self, linked: Any, make: SimpleNamespace) -> None:
        opportunity = await linked.created()
        linked.org.sim("edit", {"id": opportunity, "fields": {"StageName": "Closed Lost"}})
        submission = make.scored(opportunity)
        await linked.decide(
            make.decision(opportunity, target="discovery", expected="prospecting", submission=submission)
        )
        stage, answers = await linked.state_of(opportunity, "CONFLICT", "ECHOED")
        assert re.search(r"crm_conflicts_total [1-9]", (await linked.service.client.get("/metrics")).text)
        assert answers["follows"] == stage["intent_id"]
        record = linked.record(opportunity)
        assert record["StageName"] == "Closed Lost"
        assert len(record["assessments"][0]["answers"]) == 5
        observations = await linked.observed(opportunity, 3)
        conflict = next(o for o in observations if o.kind == OBSERVATION_KIND_CONFLICT)
        assert (mapped(conflict), conflict.crm_stage) == ("closed_lost", "Closed Lost")
        assert conflict.change_id == f"conflict:{stage['write_id']}"
        # Answers that went alone are not published.
        await linked.decide(make.decision(opportunity, 2, target="demo", expected="closed_lost"))
        await linked.state_of(opportunity, "CONFLICT", "ECHOED", "ECHOED")
        assert [c.stage_key for c in await _confirmed(linked, opportunity)] == ["demo"]
