"""Writes as composite graphs, and the results they bring."""

import json
from types import SimpleNamespace
from typing import Any

from crm_connector.domain.intents import Verdict
from crm_connector.domain.writes import CrmWrite, StageWrite
from crm_connector.messages import question_texts, read_evidence
from crm_connector.salesforce import graph
from hypothesis import given
from hypothesis import strategies as st

BASE = "/services/data/v67.0"


def write(make: Any, write_id: str = "w1", **submission: Any) -> CrmWrite:
    evidence = read_evidence(make.scored("006A", "s1", **submission))
    texts = question_texts(make.assessment())
    return CrmWrite(write_id, "006A", StageWrite("Discovery", "Prospecting"), evidence, texts)


class TestGraph:
    def test_one_graph_holds_opportunity_assessment_and_answers(self, make: Any) -> None:
        (found,) = graph.payload([write(make)], BASE)["graphs"]
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
        }
        assert len({node["referenceId"] for node in nodes}) == len(nodes)
        assert nodes[2]["body"]["Assessment__r"] == {"External_Id__c": "s1"}

    def test_answers_alone_disarm_the_stage_rule(self, make: Any) -> None:
        found = write(make)
        fields = graph.opportunity_fields(CrmWrite("w", "006A", None, found.evidence, {}))
        assert fields["Stagecraft_Expected_Stage__c"] is None
        assert "StageName" not in fields

    def test_what_people_type_refers_to_nothing(self, make: Any) -> None:
        text = json.dumps(graph.payload([write(make, note="@{opp.id}")], BASE))
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
        assert len(graph.payload([found], BASE)["graphs"][0]["compositeRequest"]) == 500

    @given(st.lists(st.booleans(), max_size=200))
    def test_portions_keep_order_and_limits(self, with_evidence: list[bool]) -> None:
        evidence = SimpleNamespace(answers=(1,) * 30)
        writes: Any = [
            CrmWrite(str(n), "006A", None, evidence if has else None, {})  # pyright: ignore[reportArgumentType]
            for n, has in enumerate(with_evidence)
        ]
        portions = list(graph.calls(writes))
        assert [w for portion in portions for w in portion] == writes
        for portion in portions:
            assert 0 < len(portion) <= graph.MAX_GRAPHS
            assert sum(map(graph.node_count, portion)) <= graph.NODES_PER_CALL

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
        results = graph.replies(writes, body)
        assert [r.write_id for r in results] == ["w0", "w1", "w2", "w3", "w4"]
        assert [r.verdict for r in results] == [
            Verdict.CONFIRMED, Verdict.REFUSED, Verdict.AGAIN, Verdict.AGAIN, Verdict.UNKNOWN,
        ]  # fmt: skip
        assert results[1].code == "STRING_TOO_LONG"
