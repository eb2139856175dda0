"""Writes as Composite Graphs: opportunity, assessment and answers together, all of it or nothing."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field, TypeAdapter, ValidationError

from crm_connector.domain.intents import Reply, Verdict
from crm_connector.domain.writes import AnswerLine, AnswerType, CrmWrite, Evidence, QuestionText, SentFields
from crm_connector.salesforce.errors import HALTED, ApiRefusal, error_items, reply_of

# Salesforce's limits of one call.
MAX_GRAPHS = 75
MAX_NODES_PER_GRAPH = 500
# Ours, so that one call stays well under a minute even when every record fires automation.
NODES_PER_CALL = 500

# What we write on the opportunity besides the stage; no change of another is ever about these.
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


@dataclass(frozen=True, slots=True)
class Patch:
    """One node of a graph: a record to create or to change, and the fields to set."""

    reference: str
    url: str
    fields: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        body = {name: _literal(value) for name, value in self.fields.items()}
        return {"method": "PATCH", "url": self.url, "referenceId": self.reference, "body": body}


@dataclass(frozen=True, slots=True)
class NodeReply:
    """What the org says of one node."""

    status: Annotated[int, Field(alias="httpStatusCode")] = 400
    body: Any = None


@dataclass(frozen=True, slots=True)
class NodeReplies:
    nodes: Annotated[tuple[NodeReply, ...], Field(alias="compositeResponse")] = ()


@dataclass(frozen=True, slots=True)
class GraphReply:
    """What the org says of one graph."""

    graph_id: Annotated[str, Field(alias="graphId")] = ""
    succeeded: Annotated[bool, Field(alias="isSuccessful")] = False
    response: Annotated[NodeReplies | None, Field(alias="graphResponse")] = None


@dataclass(frozen=True, slots=True)
class GraphReplies:
    graphs: tuple[GraphReply, ...] = ()


_REPLIES = TypeAdapter(GraphReplies)


def opportunity_fields(write: CrmWrite) -> SentFields:
    """What the write sets on the opportunity."""
    evidence = write.evidence
    return {
        "Stagecraft_Write_Id__c": write.write_id,
        # Blank disarms the packaged rule that refuses the write when the org holds another stage.
        "Stagecraft_Expected_Stage__c": (write.stage.expected or None) if write.stage else None,
        **_given(
            StageName=write.stage.target if write.stage else None,
            Stagecraft_Last_Assessed__c=_moment(evidence) if evidence else None,
            Stagecraft_Score__c=_optional_number(evidence.score) if evidence else None,
        ),
    }


def payload(writes: Sequence[CrmWrite], base: str) -> dict[str, Any]:
    """The body of one call; each write's graph is named by its place."""
    return {
        "graphs": [
            {"graphId": f"g{place}", "compositeRequest": [node.to_json() for node in _nodes(write, base)]}
            for place, write in enumerate(writes)
        ]
    }


def replies(writes: Sequence[CrmWrite], body: Any) -> list[Reply]:
    """What the org's reply says of each write; a write that it does not mention is unknown."""
    try:
        graphs = {graph.graph_id: graph for graph in _REPLIES.validate_python(body).graphs}
    except ValidationError:
        graphs = {}
    return [_reply(write.write_id, graphs.get(f"g{place}")) for place, write in enumerate(writes)]


def _reply(write_id: str, graph: GraphReply | None) -> Reply:
    if graph is None:
        return Reply(write_id, Verdict.UNKNOWN, "NO_RESULT", "The org's reply does not mention this write.")
    if graph.succeeded:
        return Reply(write_id, Verdict.CONFIRMED)
    refusals = [
        ApiRefusal(node.status, item.code, item.message, item.fields)
        for node in (graph.response.nodes if graph.response else ())
        for item in error_items(node.body)
    ]
    # The nodes around the one that failed say only that they were taken back with it.
    causes = [refusal for refusal in refusals if refusal.code != HALTED]
    if causes:
        return reply_of(write_id, causes[0])
    return Reply(write_id, Verdict.AGAIN, HALTED, "The org stopped before it came to this write.")


def _nodes(write: CrmWrite, base: str) -> Iterator[Patch]:
    records = f"{base}/sobjects"
    url = f"{records}/Opportunity/{quote(write.opportunity_id, safe='')}"
    yield Patch("opportunity", url, dict(opportunity_fields(write)))
    evidence = write.evidence
    if evidence is None:
        return
    url = f"{records}/Stagecraft_Assessment__c/External_Id__c/{quote(evidence.submission_id, safe='')}"
    yield Patch("assessment", url, _assessment(write, evidence))
    for number, line in enumerate(_typed_answers(evidence), start=1):
        key = quote(f"{evidence.submission_id}:{line.question_key}", safe="")
        fields = _answer(evidence, line, number, write.questions.get(line.question_key))
        yield Patch(f"answer_{number}", f"{records}/Stagecraft_Answer__c/External_Id__c/{key}", fields)


def _literal(value: Any) -> Any:
    # The org would read "@{...}" in what people typed as a reference to another node; it knows no escape.
    return value.replace("@{", "@ {") if isinstance(value, str) else value


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _typed_answers(evidence: Evidence) -> tuple[AnswerLine, ...]:
    # Answers beyond the room of one graph are still in the assessment's JSON copy.
    return evidence.answers[: MAX_NODES_PER_GRAPH - 2]


def _assessment(write: CrmWrite, evidence: Evidence) -> dict[str, Any]:
    by_user = evidence.submitted_by.startswith(_USER_PREFIX) and len(evidence.submitted_by) in (15, 18)
    return {
        "Opportunity__c": write.opportunity_id,
        "Template_Key__c": evidence.assessment_key,
        "Template_Version__c": str(evidence.assessment_version),
        "Stage__c": evidence.stage_key,
        "Status__c": "Scored" if evidence.complete else "Incomplete",
        "Max_Score__c": _number(evidence.score_max),
        "Completed_At__c": _moment(evidence),
        "Answers_Json__c": _answers_json(write, evidence),
        **_given(
            Score__c=_optional_number(evidence.score),
            Result__c=None if evidence.percent is None else f"{evidence.percent:f} %",
            Completed_By__c=evidence.submitted_by if by_user else None,
        ),
    }


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
    return {
        "Assessment__r": {"External_Id__c": evidence.submission_id},
        "Question_Key__c": line.question_key,
        "Question_Text__c": _question(line, question)[:_TEXT_LENGTH],
        "Answer_Type__c": line.type.value,
        "Score__c": _number(line.points),
        "Weight__c": _number(line.max_points),
        "Sequence__c": number,
        **_value(line, question),
    }


def _value(line: AnswerLine, question: QuestionText | None) -> dict[str, Any]:
    match line.type:
        case AnswerType.NUMBER:
            return {"Value_Number__c": _number(Decimal(str(line.value)))}
        case AnswerType.BOOLEAN:
            return {"Value_Boolean__c": line.value}
        case AnswerType.TEXT:
            return {"Value_Text__c": line.value}
        case _:
            return {"Value_Text__c": _text(line, question), "Value_Json__c": json.dumps(line.value)}


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


def _optional_number(value: Decimal | None) -> float | int | None:
    return None if value is None else _number(value)
