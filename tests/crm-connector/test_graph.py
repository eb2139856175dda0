"""Writes as composite graphs, and the results they bring."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from crm_connector.domain.intents import Verdict
from crm_connector.domain.writes import CrmWrite, Ending, StageWrite
from crm_connector.messages import question_texts, read_evidence
from crm_connector.salesforce import graph
from crm_connector.salesforce.objects import STANDARD, subject_objects
from crm_connector.salesforce.preflight import EVIDENCE_FIELDS
from crm_connector.salesforce.rows import record_fields
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

BASE = "/services/data/v67.0"


def write(make: Any, write_id: str = "w1", **submission: Any) -> CrmWrite:
    evidence = read_evidence(make.scored("006A", "s1", **submission))
    texts = question_texts(make.assessment())
    return CrmWrite(write_id, "006A", StageWrite("Discovery", "Prospecting"), evidence, texts)


class TestGraph:
    def test_one_graph_holds_opportunity_assessment_and_answers(self, make: Any) -> None:
        (found,) = graph.payload([write(make)], BASE, STANDARD)["graphs"]
        nodes = found["compositeRequest"]
        assert [node["url"].removeprefix(BASE + "/sobjects/") for node in nodes] == [
            "Opportunity/006A",
            "Stagecraft_Assessment__c/External_Id__c/s1",
            *(
                f"Stagecraft_Answer__c/External_Id__c/s1%3A{key}"
                for key in ("hours", "tools", "budget", "note", "signed")
            ),
        ]
        assert nodes[0]["body"] == {
            "StageName": "Discovery",
            "Stagecraft_Expected_Stage__c": "Prospecting",
            "Stagecraft_Write_Id__c": "w1",
            "Stagecraft_Score__c": 70,
            "Stagecraft_Last_Assessed__c": "2026-11-22T09:30:00.000+0000",
            "Stagecraft_Sync_Error__c": None,
        }
        assert len({node["referenceId"] for node in nodes}) == len(nodes)
        assert nodes[2]["body"]["Assessment__r"] == {"External_Id__c": "s1"}

    def test_of_what_was_voided_the_assessment_is_marked_and_nothing_else_changes(self) -> None:
        at = Timestamp(seconds=1_800_000_000)
        evidence = read_evidence(SubmissionScored(submission_id="s1", captured_at=at, voided=True))
        (found,) = graph.payload([CrmWrite("w1", "006A", None, evidence, {})], BASE, STANDARD)["graphs"]
        subject, assessment = found["compositeRequest"]
        assert subject["body"] == {"Stagecraft_Expected_Stage__c": None, "Stagecraft_Write_Id__c": "w1"}
        assert assessment["url"].endswith("Stagecraft_Assessment__c/External_Id__c/s1")
        assert assessment["body"] == {"Opportunity__c": "006A", "Status__c": "Voided"}

    @pytest.mark.parametrize(
        ("object_type", "name", "field"), [("lead", "Lead", "Status"), ("account", "Account", "Type")]
    )
    def test_of_a_lead_or_an_account_the_record_alone_is_written(
        self, make: Any, object_type: str, name: str, field: str
    ) -> None:
        about = replace(write(make), object_type=object_type)
        objects = subject_objects(account_stage="Type")
        (found,) = graph.payload([about], BASE, objects)["graphs"]
        (node,) = found["compositeRequest"]
        assert node["url"] == f"{BASE}/sobjects/{name}/006A"
        assert (node["body"][field], node["body"]["Stagecraft_Score__c"]) == ("Discovery", 70)
        assert (graph.node_count(about), graph.touched(about, objects)) == (1, (name,))

    def test_answers_alone_disarm_the_stage_rule(self, make: Any) -> None:
        found = write(make)
        fields = record_fields(CrmWrite("w", "006A", None, found.evidence, {}), STANDARD["opportunity"])
        assert fields["Stagecraft_Expected_Stage__c"] is None
        assert "StageName" not in fields

    def test_what_people_type_refers_to_nothing(self, make: Any) -> None:
        text = json.dumps(graph.payload([write(make, note="@{opp.id}")], BASE, STANDARD))
        assert "@{" not in text

    def test_a_graph_has_at_most_five_hundred_nodes(self, make: Any) -> None:
        scored = make.scored("006A", "s1")
        part = scored.contributions[0]
        for number in range(600):
            copy = scored.contributions.add()
            copy.CopyFrom(part)
            copy.question_key = copy.answer.question_key = f"q{number}"
        found = CrmWrite("w", "006A", None, read_evidence(scored), {})
        assert graph.node_count(found) == 500
        assert len(graph.payload([found], BASE, STANDARD)["graphs"][0]["compositeRequest"]) == 500

    @given(st.lists(st.none() | st.sampled_from([1, 1000, 40_000]), max_size=200))
    def test_portions_keep_order_and_limits(self, lengths: list[int | None]) -> None:
        def evidence(length: int) -> Any:
            return SimpleNamespace(answers=(SimpleNamespace(question_key="q", value="x" * length),) * 30)

        writes: Any = [
            CrmWrite(str(n), "006A", None, evidence(length) if length else None, {}) for n, length in enumerate(lengths)
        ]
        portions = list(graph.calls(writes))
        assert [w for portion in portions for w in portion] == writes
        for portion in portions:
            assert 0 < len(portion) <= graph.MAX_GRAPHS
            assert sum(map(graph.node_count, portion)) <= graph.NODES_PER_CALL
            assert len(portion) == 1 or sum(map(graph.text_length, portion)) <= graph.TEXT_PER_CALL

    def test_each_graph_gets_its_own_result(self, make: Any) -> None:
        writes = [write(make, f"w{n}") for n in range(5)]

        def failed(number: int, *codes: str) -> dict[str, Any]:
            nodes = [{"body": [{"errorCode": code, "message": f"m {code}"}], "httpStatusCode": 400} for code in codes]
            return {"graphId": f"g{number}", "isSuccessful": False, "graphResponse": {"compositeResponse": nodes}}

        body = {"graphs": [
            {"graphId": "g0", "isSuccessful": True},
            failed(1, "PROCESSING_HALTED", "STRING_TOO_LONG", "PROCESSING_HALTED"),
            failed(2, "PROCESSING_HALTED"),
            failed(3, "UNABLE_TO_LOCK_ROW"),
        ]}  # fmt: skip
        results = graph.replies(writes, graph.REPLIES.validate_python(body), STANDARD)
        assert [r.write_id for r in results] == ["w0", "w1", "w2", "w3", "w4"]
        assert [r.verdict for r in results] == [
            Verdict.CONFIRMED, Verdict.REFUSED, Verdict.AGAIN, Verdict.AGAIN, Verdict.UNKNOWN,
        ]  # fmt: skip
        assert results[1].code == "STRING_TOO_LONG"

    def test_a_refused_answer_is_named_and_left_out_of_the_next_graph(self, make: Any) -> None:
        first = write(make)
        nodes = [
            {"referenceId": reference, "body": [{"errorCode": code, "message": "m"}], "httpStatusCode": 400}
            for reference, code in (("subject", "PROCESSING_HALTED"), ("answer_3", "STRING_TOO_LONG"))
        ]
        failed = {"graphId": "g0", "isSuccessful": False, "graphResponse": {"compositeResponse": nodes}}
        (reply,) = graph.replies([first], graph.REPLIES.validate_python({"graphs": [failed]}), STANDARD)
        assert (reply.verdict, reply.refused) == (Verdict.REFUSED, "budget")
        (found,) = graph.payload([replace(first, left_out=("budget",))], BASE, STANDARD)["graphs"]
        references = [node["referenceId"] for node in found["compositeRequest"]]
        assert references == ["subject", "assessment", "answer_1", "answer_2", "answer_4", "answer_5"]
        (found,) = graph.payload([replace(first, left_out=("",))], BASE, STANDARD)["graphs"]
        assert [node["referenceId"] for node in found["compositeRequest"]] == ["subject"]
        assert graph.node_count(replace(first, left_out=("",))) == 1

    def test_the_end_of_an_opportunity_goes_into_the_fields_that_the_org_has_for_it(self, make: Any) -> None:
        names = subject_objects("Outcome__c", "Loss_Reason__c")["opportunity"]
        closing = StageWrite("Closed Lost", "Demo", "Discovery", "Ahead of its evidence", Ending("lost", "PRICE"))
        fields = record_fields(CrmWrite("w", "006A", closing, None, {}), names)
        assert fields == {
            "Stagecraft_Write_Id__c": "w",
            "Stagecraft_Expected_Stage__c": "Demo",
            "StageName": "Closed Lost",
            "Stagecraft_Earned_Stage__c": "Discovery",
            "Stagecraft_Health__c": "Ahead of its evidence",
            "Outcome__c": "lost",
            "Loss_Reason__c": "PRICE",
            "Stagecraft_Sync_Error__c": None,
        }
        opened = record_fields(CrmWrite("w", "006A", replace(closing, ending=Ending()), None, {}), names)
        assert (opened["Outcome__c"], opened["Loss_Reason__c"]) == (None, None)

    @pytest.mark.parametrize("code", ["INVALID_FIELD", "INSUFFICIENT_ACCESS_OR_READONLY", "API_DISABLED_FOR_ORG"])
    def test_a_refusal_is_about_the_record_where_the_org_takes_its_like(self, make: Any, code: str) -> None:
        error = {"errorCode": code, "message": "m", "fields": ["StageName"]}
        node = {"referenceId": "subject", "body": [error], "httpStatusCode": 400}
        refused = {"isSuccessful": False, "graphResponse": {"compositeResponse": [node]}}
        taken = {"isSuccessful": True}

        def replies(*graphs: dict[str, Any]) -> list[Any]:
            writes = [write(make, f"w{n}") for n in range(len(graphs))]
            body = {"graphs": [{"graphId": f"g{n}", **each} for n, each in enumerate(graphs)]}
            return graph.replies(writes, graph.REPLIES.validate_python(body), STANDARD)

        alone = replies(refused, refused)
        assert [each.verdict for each in alone] == [Verdict.AGAIN] * 2
        assert all(each.refusal and each.refusal.code == code for each in alone)
        first, second = replies(refused, taken)
        assert (first.verdict, first.refusal, second.verdict) == (Verdict.REFUSED, None, Verdict.CONFIRMED)

    def test_the_object_of_the_record_that_was_refused_is_named(self, make: Any) -> None:
        error = {"errorCode": "INVALID_FIELD_FOR_INSERT_UPDATE", "message": "m", "fields": ["Value_Json__c"]}
        halted = {"errorCode": "PROCESSING_HALTED", "message": "h"}
        nodes = [
            {"referenceId": "subject", "body": [halted], "httpStatusCode": 400},
            {"referenceId": "answer_3", "body": [error], "httpStatusCode": 400},
        ]
        body = {"graphs": [{"graphId": "g0", "graphResponse": {"compositeResponse": nodes}}]}
        (found,) = graph.replies([write(make)], graph.REPLIES.validate_python(body), STANDARD)
        assert found.refusal is not None
        assert (found.refusal.subject, found.refusal.fields) == ("Stagecraft_Answer__c", ("Value_Json__c",))


def test_every_field_that_is_written_is_checked_before(make: Any) -> None:
    names = {"assessment": "Stagecraft_Assessment__c", "answer": "Stagecraft_Answer__c"}
    (sent,) = graph.payload([write(make)], "/base", STANDARD)["graphs"]
    for node in sent["compositeRequest"]:
        name = names.get(node["referenceId"].partition("_")[0])
        known = EVIDENCE_FIELDS[name] if name else STANDARD["opportunity"].written_fields
        fields = {name.replace("__r", "__c") for name in node["body"]}
        assert fields <= set(known)
