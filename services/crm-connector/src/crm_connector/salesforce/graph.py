"""Writes as Composite Graphs: opportunity, assessment and answers together, all of it or nothing."""

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from crm_connector.domain.intents import Verdict, WriteResult
from crm_connector.domain.writes import AnswerLine, AnswerType, CrmWrite, Evidence, QuestionText
from crm_connector.salesforce.errors import HALTED, ApiRefusal, error_items, result_of

# Salesforce's limits of one call.
MAX_GRAPHS = 75
MAX_NODES_PER_GRAPH = 500
# Ours, so that one call stays well under a minute even when every record fires automation.
NODES_PER_CALL = 500

# What we write on the opportunity besides the stage; nobody else's change is ever about these.
OWN_FIELDS = frozenset(
    {
        "Stagecraft_Score__c",
        "Stagecraft_Recommended_Stage__c",
        "Stagecraft_Health__c",
        "Stagecraft_Last_Assessed__c",
        "Stagecraft_Expected_Stage__c",
        "Stagecraft_Write_Id__c",
        "Stagecraft_Last_Writer__c",
        "Stagecraft_Sync_Error__c",
        "Stagecraft_External_Id__c",
    }
)
_TEXT_LENGTH = 255
_LONG_TEXT_LENGTH = 131072
_USER_PREFIX = "005"


def calls(writes: Sequence[CrmWrite]) -> Iterator[list[CrmWrite]]:
    """The writes, in order, in portions that one call may carry."""
    portion: list[CrmWrite] = []
    nodes = 0
    for write in writes:
        size = node_count(write)
        if portion and (len(portion) == MAX_GRAPHS or nodes + size > NODES_PER_CALL):
            yield portion
            portion, nodes = [], 0
        portion.append(write)
        nodes += size
    if portion:
        yield portion


def node_count(write: CrmWrite) -> int:
    """How many records the write touches."""
    return 1 + (1 + len(_typed_answers(write.evidence)) if write.evidence else 0)


def opportunity_fields(write: CrmWrite) -> dict[str, Any]:
    """What the write sets on the opportunity."""
    fields: dict[str, Any] = {
        "Stagecraft_Write_Id__c": write.write_id,
        # Blank disarms the packaged rule that refuses the write when another stage stands.
        "Stagecraft_Expected_Stage__c": (write.stage.expected or None) if write.stage else None,
    }
    if write.stage:
        fields["StageName"] = write.stage.target
    if write.evidence:
        fields["Stagecraft_Last_Assessed__c"] = _moment(write.evidence)
        if write.evidence.score is not None:
            fields["Stagecraft_Score__c"] = _number(write.evidence.score)
    return fields


def payload(writes: Sequence[CrmWrite], base: str) -> dict[str, Any]:
    """The body of one call; each write's graph is named by its place."""
    return {
        "graphs": [
            {"graphId": f"g{place}", "compositeRequest": _nodes(write, base)} for place, write in enumerate(writes)
        ]
    }


def results(writes: Sequence[CrmWrite], body: dict[str, Any]) -> list[WriteResult]:
    """What the reply says of each write; a write it does not mention is unknown."""
    graphs = {graph.get("graphId"): graph for graph in body.get("graphs", ())}
    return [_result(write.write_id, graphs.get(f"g{place}")) for place, write in enumerate(writes)]


def _result(write_id: str, graph: dict[str, Any] | None) -> WriteResult:
    if graph is None:
        return WriteResult(write_id, Verdict.UNKNOWN, "NO_RESULT", "the reply does not mention this write")
    if graph.get("isSuccessful"):
        return WriteResult(write_id, Verdict.CONFIRMED)
    refusals = [
        ApiRefusal(int(node.get("httpStatusCode", 400)), item.code, item.message, item.fields)
        for node in (graph.get("graphResponse") or {}).get("compositeResponse", ())
        for item in error_items(node.get("body"))
    ]
    # The nodes around the one that failed say only that they were taken back with it.
    causes = [refusal for refusal in refusals if refusal.code != HALTED]
    if causes:
        return result_of(write_id, causes[0])
    return WriteResult(write_id, Verdict.AGAIN, HALTED, "the org stopped before it came to this write")


def _nodes(write: CrmWrite, base: str) -> list[dict[str, Any]]:
    records = f"{base}/sobjects"
    url = f"{records}/Opportunity/{quote(write.opportunity_id, safe='')}"
    nodes = [_patch("opportunity", url, opportunity_fields(write))]
    evidence = write.evidence
    if evidence is None:
        return nodes
    url = f"{records}/Stagecraft_Assessment__c/External_Id__c/{quote(evidence.submission_id, safe='')}"
    nodes.append(_patch("assessment", url, _assessment(write, evidence)))
    for number, line in enumerate(_typed_answers(evidence), start=1):
        key = quote(f"{evidence.submission_id}:{line.question_key}", safe="")
        body = _answer(evidence, line, number, write.questions.get(line.question_key))
        nodes.append(_patch(f"answer_{number}", f"{records}/Stagecraft_Answer__c/External_Id__c/{key}", body))
    return nodes


def _patch(reference: str, url: str, body: dict[str, Any]) -> dict[str, Any]:
    literal = {name: _literal(value) for name, value in body.items()}
    return {"method": "PATCH", "url": url, "referenceId": reference, "body": literal}


def _literal(value: Any) -> Any:
    # The org would read "@{...}" in what people typed as a reference to another node; it knows no escape.
    return value.replace("@{", "@ {") if isinstance(value, str) else value


def _typed_answers(evidence: Evidence) -> tuple[AnswerLine, ...]:
    # Answers beyond the room of one graph are still in the assessment's JSON copy.
    return evidence.answers[: MAX_NODES_PER_GRAPH - 2]


def _assessment(write: CrmWrite, evidence: Evidence) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "Opportunity__c": write.opportunity_id,
        "Template_Key__c": evidence.assessment_key,
        "Template_Version__c": str(evidence.assessment_version),
        "Stage__c": evidence.stage_key,
        "Status__c": "Scored" if evidence.complete else "Incomplete",
        "Max_Score__c": _number(evidence.score_max),
        "Completed_At__c": _moment(evidence),
        "Answers_Json__c": _answers_json(write, evidence),
    }
    if evidence.score is not None:
        fields["Score__c"] = _number(evidence.score)
    if evidence.percent is not None:
        fields["Result__c"] = f"{evidence.percent:f} %"
    if evidence.submitted_by.startswith(_USER_PREFIX) and len(evidence.submitted_by) in (15, 18):
        fields["Completed_By__c"] = evidence.submitted_by
    return fields


def _answers_json(write: CrmWrite, evidence: Evidence) -> str | None:
    entries = [
        {
            "key": line.question_key,
            "question": _question(line, write.questions.get(line.question_key)),
            "answer": _text(line, write.questions.get(line.question_key)),
            "points": f"{line.points:f}",
            "max_points": f"{line.max_points:f}",
        }
        for line in evidence.answers
    ]
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _LONG_TEXT_LENGTH else None


def _answer(evidence: Evidence, line: AnswerLine, number: int, question: QuestionText | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "Assessment__r": {"External_Id__c": evidence.submission_id},
        "Question_Key__c": line.question_key,
        "Question_Text__c": _question(line, question)[:_TEXT_LENGTH],
        "Answer_Type__c": line.type.value,
        "Score__c": _number(line.points),
        "Weight__c": _number(line.max_points),
        "Sequence__c": number,
    }
    match line.type:
        case AnswerType.NUMBER:
            fields["Value_Number__c"] = _number(Decimal(str(line.value)))
        case AnswerType.BOOLEAN:
            fields["Value_Boolean__c"] = line.value
        case AnswerType.TEXT:
            fields["Value_Text__c"] = line.value
        case _:
            fields["Value_Text__c"] = _text(line, question)
            fields["Value_Json__c"] = json.dumps(line.value)
    return fields


def _question(line: AnswerLine, question: QuestionText | None) -> str:
    return question.text if question else line.question_key


def _text(line: AnswerLine, question: QuestionText | None) -> str:
    keys = line.value if isinstance(line.value, tuple) else (line.value,)
    choices = question.choices if question else {}
    return "; ".join(choices.get(key, key) if isinstance(key, str) else str(key).lower() for key in keys)


def _moment(evidence: Evidence) -> str:
    return f"{evidence.captured_at:%Y-%m-%dT%H:%M:%S.000+0000}"


def _number(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)
