"""Events read and built, without a broker: what is refused, and under which code."""

from uuid import UUID, uuid4

import pytest
from kit.errors import InvalidEvent
from scoring import messages
from scoring.records import OwnerRecord
from stagecraft.assessment.v1.assessment_published_pb2 import ASSESSMENT_STATUS_RETIRED

from tests.builders import MOMENT, assessment_published, assessment_submitted, received, record_observed, shipped_form


def test_a_published_form_is_read_with_the_number_of_its_event() -> None:
    record = messages.read_assessment(received(assessment_published(), sequence=7))
    assert (record.assessment_key, record.version, record.retired) == ("prospecting", 1, False)
    assert record.revision == 7


def test_a_retired_form_is_read_as_one() -> None:
    assert messages.read_assessment(received(assessment_published(status=ASSESSMENT_STATUS_RETIRED))).retired


def test_a_form_that_its_own_lint_refuses_is_not_kept() -> None:
    broken = assessment_published()
    broken.questions[0].key = broken.questions[1].key
    with pytest.raises(InvalidEvent) as refused:
        messages.read_assessment(received(broken))
    assert refused.value.code == "bad_definition"


def test_a_submission_is_read_whole() -> None:
    submission_id = uuid4()
    message = assessment_submitted(submission_id=str(submission_id), opportunity_id="006B")
    read = messages.read_submission(message)
    assert (read.submission_id, read.opportunity_id) == (submission_id, "006B")
    assert (read.stage_key, read.visit_no, read.attempt_no) == ("prospecting", 1, 1)
    assert read.answers == {"hours": "over_5", "compliance": "yes"}
    assert set(read.visible_questions) <= {question.key for question in shipped_form().questions}
    assert read.captured_at == read.received_at == MOMENT


@pytest.mark.parametrize("field", ["submission_id", "opportunity_id", "assessment_key"])
def test_a_submission_without_what_names_it_is_refused(field: str) -> None:
    with pytest.raises(InvalidEvent):
        messages.read_submission(assessment_submitted(**{field: ""}))


def test_an_answer_that_no_question_could_have_is_refused() -> None:
    message = assessment_submitted()
    message.answers[0].number = "many"
    with pytest.raises(InvalidEvent) as refused:
        messages.read_submission(message)
    assert refused.value.code == "bad_answers"
    assert isinstance(messages.read_submission(assessment_submitted()).submission_id, UUID)


@pytest.mark.parametrize("object_type", ["opportunity", "lead", "account"])
def test_a_record_of_any_type_has_an_owner(object_type: str) -> None:
    message = record_observed(object_type=object_type, owner_id="ann")
    assert messages.read_owner(received(message, sequence=3)) == OwnerRecord("006A", "ann", 3)
    with pytest.raises(InvalidEvent):
        messages.read_owner(received(record_observed(object_type="")))
