"""What a write puts into the fields of each record: its subject, the assessment and its answers."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from forms.widths import TEXT_ANSWER, TextWidth

from crm_connector.domain.writes import AnswerLine, AnswerType, CrmWrite, Evidence, QuestionText, StageWrite
from crm_connector.salesforce import objects, widths
from crm_connector.salesforce.objects import SubjectObject
from crm_connector.salesforce.widths import Fields, fitted

_USER_ID = re.compile(r"005[0-9A-Za-z]{12}(?:[0-9A-Za-z]{3})?")
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
# So long may each text of the JSON copy be, until the copy fits.
_COPY_LENGTHS = (None, 2000, 200, 20)


def record_fields(write: CrmWrite, about: SubjectObject) -> Fields:
    """What the write sets on the record of its subject."""
    evidence, stage = write.evidence, write.stage
    fields: Fields = {
        objects.WRITE_ID: write.write_id,
        # Blank disarms the packaged rule that refuses the write when the org holds another stage.
        objects.EXPECTED_STAGE: (stage.expected or None) if stage else None,
    }
    limits = dict(widths.SUBJECT)
    if stage:
        fields |= _stage_fields(stage, about)
        limits |= {
            about.stage: widths.STAGE,
            about.outcome: limits[objects.OUTCOME],
            about.reason: limits[objects.REASON],
        }
    if stage or write.sync_error:
        fields[objects.SYNC_ERROR] = write.sync_error or None
    if evidence and not evidence.voided:
        fields[objects.LAST_ASSESSED] = _moment(evidence.captured_at)
        if evidence.score is not None:
            fields[objects.SCORE] = evidence.score
    return fitted(fields, limits)[0]


def _stage_fields(stage: StageWrite, about: SubjectObject) -> Fields:
    fields: Fields = {about.stage: stage.target}
    if stage.earned:
        fields |= {objects.EARNED_STAGE: stage.earned, objects.HEALTH: stage.health or None}
    if stage.ending is not None:
        fields |= {about.outcome: stage.ending.outcome or None, about.reason: stage.ending.reason or None}
    return fields


def typed_answers(write: CrmWrite, most: int) -> list[tuple[int, AnswerLine]]:
    """The answers that get a record of their own, by number. All of them are in the assessment's JSON copy."""
    if write.evidence is None or not writes_assessment(write):
        return []
    numbered = enumerate(write.evidence.answers[:most], start=1)
    return [(number, line) for number, line in numbered if line.question_key not in write.left_out]


def writes_assessment(write: CrmWrite) -> bool:
    """Whether the assessment itself is written: only opportunities have such records."""
    return write.evidence is not None and "" not in write.left_out and write.object_type == objects.OPPORTUNITY


def assessment_key(evidence: Evidence) -> str:
    """The external id of the assessment."""
    return _id_within(widths.EXTERNAL_ID, evidence.submission_id)


def answer_key(evidence: Evidence, line: AnswerLine) -> str:
    """The external id of an answer."""
    return _id_within(widths.ANSWER_ID, f"{evidence.submission_id}:{line.question_key}")


def _id_within(width: TextWidth, given: str) -> str:
    # A shortened id would be another's.
    return given if width.holds(given) else hashlib.sha256(given.encode()).hexdigest()


def assessment_fields(write: CrmWrite, evidence: Evidence) -> Fields:
    """The assessment's record. Of one that was voided its answers stay as they are."""
    if evidence.voided:
        return {"Opportunity__c": write.opportunity_id, "Status__c": "Voided"}
    fields: Fields = {
        "Opportunity__c": write.opportunity_id,
        "Template_Key__c": evidence.assessment_key,
        "Template_Version__c": str(evidence.assessment_version),
        "Stage__c": evidence.stage_key,
        "Status__c": "Scored" if evidence.complete else "Incomplete",
        "Max_Score__c": evidence.score_max,
        "Completed_At__c": _moment(evidence.captured_at),
        "Answers_Json__c": _answers_json(write, evidence),
    }
    if evidence.score is not None:
        fields["Score__c"] = evidence.score
    if evidence.percent is not None:
        fields["Result__c"] = f"{evidence.percent:f} %"
    if _is_user(evidence.submitted_by):
        fields["Completed_By__c"] = evidence.submitted_by
    found, notes = fitted(fields, widths.ASSESSMENT)
    if evidence.score is not None and any(note.startswith(("Score__c", "Max_Score__c")) for note in notes):
        result = widths.ASSESSMENT["Result__c"]
        assert isinstance(result, TextWidth)
        found["Result__c"] = result.shortened(f"{evidence.score:f} of {evidence.score_max:f}")
    return found


def answer_fields(evidence: Evidence, line: AnswerLine, number: int, question: QuestionText | None) -> Fields:
    """An answer's record."""
    return _answer(evidence, line, number, question)[0]


def _answer(
    evidence: Evidence, line: AnswerLine, number: int, question: QuestionText | None
) -> tuple[Fields, tuple[str, ...]]:
    fields = {
        "Assessment__r": {"External_Id__c": assessment_key(evidence)},
        "Question_Key__c": line.question_key,
        "Question_Text__c": _question(line, question),
        "Answer_Type__c": line.type.value,
        "Score__c": line.points,
        "Weight__c": line.max_points,
        "Sequence__c": number,
        **_value(line, question),
    }
    found, notes = fitted(fields, widths.ANSWER)
    if line.type is AnswerType.NUMBER and found["Value_Number__c"] is None:
        found["Value_Text__c"] = line.value
    return found, notes


def _value(line: AnswerLine, question: QuestionText | None) -> Fields:
    match line.type:
        case AnswerType.NUMBER:
            return {"Value_Number__c": Decimal(str(line.value))}
        case AnswerType.BOOLEAN:
            return {"Value_Boolean__c": line.value}
        case AnswerType.TEXT:
            return {"Value_Text__c": line.value}
        case _:
            keys = json.dumps(line.value)
            # Half of it would be no JSON.
            whole = {"Value_Json__c": keys} if TEXT_ANSWER.holds(keys.replace("@{", "@ {")) else {}
            return {"Value_Text__c": _text(line, question)} | whole


def _answers_json(write: CrmWrite, evidence: Evidence) -> str | None:
    """Every answer, with what its own record could not hold; None when even a short copy is too long."""
    notes = [
        _answer(evidence, line, number, write.questions.get(line.question_key))[1]
        for number, line in enumerate(evidence.answers, start=1)
    ]
    for length in _COPY_LENGTHS:
        entries = [
            _entry(line, write.questions, note, TextWidth(length) if length else None)
            for line, note in zip(evidence.answers, notes, strict=True)
        ]
        text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).replace("@{", "@ {")
        if widths.JSON_COPY.holds(text):
            return text
    return None


def _entry(
    line: AnswerLine, questions: Mapping[str, QuestionText], notes: tuple[str, ...], width: TextWidth | None
) -> dict[str, Any]:
    question = questions.get(line.question_key)
    texts = {"question": _question(line, question), "answer": _text(line, question)}
    if width is not None:
        texts = {name: width.shortened(text) for name, text in texts.items()}
    entry = {
        "key": line.question_key,
        **texts,
        "points": f"{line.points:f}",
        "max_points": f"{line.max_points:f}",
    }
    return entry | ({"note": "; ".join(notes)} if notes else {})


def _question(line: AnswerLine, question: QuestionText | None) -> str:
    return question.text if question else line.question_key


def _text(line: AnswerLine, question: QuestionText | None) -> str:
    keys = line.value if isinstance(line.value, tuple) else (line.value,)
    choices = question.choices if question else {}
    return "; ".join(choices.get(key, key) if isinstance(key, str) else str(key).lower() for key in keys)


def _moment(at: datetime) -> str:
    return f"{at.isoformat(timespec='seconds')[:19]}.000+0000"


def _is_user(subject: str) -> bool:
    """Whether the text is an id of one of the org's users: of 18 characters, the last three check the case of the
    others."""
    if not _USER_ID.fullmatch(subject):
        return False
    groups = [subject[start : start + 5] for start in (0, 5, 10)]
    checks = (_CHECK[sum(1 << at for at, letter in enumerate(group) if letter.isupper())] for group in groups)
    return len(subject) == 15 or subject[15:].upper() == "".join(checks)
