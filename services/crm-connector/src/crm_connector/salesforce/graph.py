"""Writes as Composite Graphs: the subject, its assessment and answers together, all of it or nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field, TypeAdapter, ValidationError

from crm_connector.domain.intents import Reply, Verdict
from crm_connector.domain.writes import CrmWrite
from crm_connector.salesforce.errors import HALTED, error_items, refusal_of, reply_of
from crm_connector.salesforce.objects import Objects
from crm_connector.salesforce.rows import (
    answer_fields,
    answer_key,
    assessment_fields,
    assessment_key,
    record_fields,
    typed_answers,
    writes_assessment,
)

# Salesforce's limits of one call.
MAX_GRAPHS = 75
MAX_NODES_PER_GRAPH = 500
# Ours, so that one call stays well under a minute even when every record fires automation.
NODES_PER_CALL = 500
# Ours, far below what the org takes: a long text is sent twice, and may be escaped.
TEXT_PER_CALL = 1_000_000
# One graph has the subject and the assessment besides.
_MOST_ANSWERS = MAX_NODES_PER_GRAPH - 2
SUBJECT, _ASSESSMENT, _ANSWER = "subject", "assessment", "answer_"
EVIDENCE_OBJECTS = ("Stagecraft_Assessment__c", "Stagecraft_Answer__c")
# By the first word of a node's reference, but for the subject.
_OBJECTS: Mapping[str, str] = dict(zip((_ASSESSMENT, _ANSWER), EVIDENCE_OBJECTS, strict=True))


def calls(writes: Sequence[CrmWrite]) -> Iterator[list[CrmWrite]]:
    """The writes, in order, in portions that one call may carry."""
    portion: list[CrmWrite] = []
    nodes = text = 0
    for write in writes:
        size, length = node_count(write), text_length(write)
        full = len(portion) == MAX_GRAPHS or nodes + size > NODES_PER_CALL or text + length > TEXT_PER_CALL
        if portion and full:
            yield portion
            portion, nodes, text = [], 0, 0
        portion.append(write)
        nodes, text = nodes + size, text + length
    if portion:
        yield portion


def node_count(write: CrmWrite) -> int:
    """How many records the write touches."""
    return 1 + (1 + len(typed_answers(write, _MOST_ANSWERS)) if writes_assessment(write) else 0)


def text_length(write: CrmWrite) -> int:
    """How many characters people typed into the answers that the write carries."""
    answers = typed_answers(write, _MOST_ANSWERS)
    return sum(len(line.value) for _, line in answers if isinstance(line.value, str))


@dataclass(frozen=True, slots=True)
class Patch:
    """One node of a graph: a record to create or to change, and the fields to set."""

    reference: str
    url: str
    fields: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"method": "PATCH", "url": self.url, "referenceId": self.reference, "body": self.fields}


@dataclass(frozen=True, slots=True)
class NodeReply:
    """What the org says of one node."""

    status: Annotated[int, Field(alias="httpStatusCode")] = 400
    body: Any = None
    reference: Annotated[str, Field(alias="referenceId")] = ""


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
    graphs: tuple[Any, ...] = ()


REPLIES = TypeAdapter(GraphReplies)
_GRAPH = TypeAdapter(GraphReply)


def payload(writes: Sequence[CrmWrite], base: str, objects: Objects) -> dict[str, Any]:
    """The body of one call; each write's graph is named by its place."""
    return {
        "graphs": [
            {"graphId": f"g{place}", "compositeRequest": [node.to_json() for node in _nodes(write, base, objects)]}
            for place, write in enumerate(writes)
        ]
    }


def replies(writes: Sequence[CrmWrite], body: GraphReplies, objects: Objects) -> list[Reply]:
    """What the org's reply says of each write; a write that it does not mention is unknown."""
    graphs = {graph.graph_id: graph for graph in readable(body)}
    found = [_reply(write, graphs.get(f"g{place}"), objects) for place, write in enumerate(writes)]
    taken = [write for write, reply in zip(writes, found, strict=True) if reply.verdict is Verdict.CONFIRMED]
    proven = {name for write in taken for name in touched(write, objects)}
    return [_about_the_record(reply) if _is_disproved(reply, proven) else reply for reply in found]


def touched(write: CrmWrite, objects: Objects) -> tuple[str, ...]:
    """The objects of the records that the write touches."""
    subject = objects[write.object_type].name
    return (subject, *EVIDENCE_OBJECTS) if writes_assessment(write) else (subject,)


def readable(body: GraphReplies) -> Iterator[GraphReply]:
    """The replies that can be read: one that cannot says nothing of the others."""
    for each in body.graphs:
        with suppress(ValidationError):
            yield _GRAPH.validate_python(each)


def _is_disproved(reply: Reply, proven: set[str]) -> bool:
    # The CRM took a like write in the same call: so it refuses the record, whatever its code says.
    return reply.refusal is not None and bool(proven) and (not reply.refusal.subject or reply.refusal.subject in proven)


def _about_the_record(reply: Reply) -> Reply:
    return replace(reply, verdict=Verdict.REFUSED, refusal=None)


def _reply(write: CrmWrite, graph: GraphReply | None, objects: Objects) -> Reply:
    if graph is None:
        return Reply(write.write_id, Verdict.UNKNOWN, "NO_RESULT", "The org's reply does not mention this write.")
    if graph.succeeded:
        return Reply(write.write_id, Verdict.CONFIRMED)
    for node in graph.response.nodes if graph.response else ():
        for item in error_items(node.body):
            # The nodes around the one that failed say only that they were taken back with it.
            if item.code != HALTED:
                name = _OBJECTS.get(node.reference.rstrip("0123456789"), objects[write.object_type].name)
                reply = reply_of(write.write_id, refusal_of(node.status, item), name)
                return replace(reply, refused=_evidence_at(write, node.reference))
    return Reply(write.write_id, Verdict.AGAIN, HALTED, "The org stopped before it came to this write.")


def _nodes(write: CrmWrite, base: str, objects: Objects) -> Iterator[Patch]:
    records, about = f"{base}/sobjects", objects[write.object_type]
    url = f"{records}/{about.name}/{quote(write.opportunity_id, safe='')}"
    yield Patch(SUBJECT, url, record_fields(write, about))
    evidence = write.evidence
    if evidence is None or not writes_assessment(write):
        return
    url = f"{records}/Stagecraft_Assessment__c/External_Id__c/{quote(assessment_key(evidence), safe='')}"
    yield Patch(_ASSESSMENT, url, assessment_fields(write, evidence))
    for number, line in typed_answers(write, _MOST_ANSWERS):
        key = quote(answer_key(evidence, line), safe="")
        fields = answer_fields(evidence, line, number, write.questions.get(line.question_key))
        yield Patch(f"{_ANSWER}{number}", f"{records}/Stagecraft_Answer__c/External_Id__c/{key}", fields)


def _evidence_at(write: CrmWrite, reference: str) -> str | None:
    """Which part of the evidence the node holds: the key of a question, empty for the assessment; None for neither."""
    if reference == _ASSESSMENT:
        return ""
    number = reference.removeprefix(_ANSWER)
    if write.evidence is None or number == reference or not number.isdecimal():
        return None
    answers = write.evidence.answers
    return answers[int(number) - 1].question_key if 0 < int(number) <= len(answers) else None
