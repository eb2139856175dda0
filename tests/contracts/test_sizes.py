"""What the API takes fits through every topic: the events that carry it on have room for what they add to it."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest
import yaml
from assessment.domain.admission import CaptureRefused, Context, Published, admit
from assessment.domain.capture import Capture, Channel, Visit
from assessment.domain.holding import Right
from assessment.messages import assessment_published, assessment_submitted
from assessment.records import VersionRecord
from assessment.service.judging import must_fit
from crm_connector.messages import crm_write_parked
from crm_connector.records import QueuedWrite
from forms.definition import Choice, Form, Question, QuestionType, definition_hash
from kit.contracts.events import MAX_EVENT_BYTES, MAX_RECORD_BYTES, Event, check_size, event_type, registry
from kit.delivery.kafka import _REQUEST_SECONDS
from kit.errors import EventTooLarge
from kit.relay.lease import MARGIN_SECONDS, TERM_SECONDS
from kit.relay.sending import ACKNOWLEDGE_SECONDS
from sandbox.stack.topics import TOPICS_FILE, load_topics
from scoring.domain.profile import Profile, QuestionPoints, Scale, Section, SectionFunction
from scoring.domain.reach import survey
from scoring.domain.score import score
from scoring.messages import profile_published, read_submission, submission_scored
from scoring.records import ProfileRecord
from scoring.service.submissions import ProfileInForce, _scored
from stage_engine.domain.evaluate import Finding, RuleResult, Truth
from stage_engine.domain.explain import NEAR_MISS_LIMIT, QUESTION_LIMIT, REASON_LIMIT, reasons_of
from stage_engine.domain.grammar import Blank
from stage_engine.domain.parsed import Kind, ParsedCondition, ParsedRule
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.policies import SkipPolicy
from stage_engine.domain.rules import Rule
from stage_engine.domain.stages import Category, Condition, Stage
from stage_engine.messages import pipeline_published
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

# Four bytes in UTF-8, one character for every limit of the API.
WIDE = "\U0001f600"
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
QUESTIONS, KEY, SECTIONS = 500, 100, 100
LONG_NUMBER = Decimal("-1234567890123456789012345.678")


def key_of(number):
    return f"q{number:03}_".ljust(KEY, "x")


def form_of(kind, choices=()):
    """All questions of one kind, but for the last one, which gives points."""

    def question(number):
        last = number == QUESTIONS - 1
        return Question(
            key=key_of(number), text=WIDE * 2000, type=QuestionType.BOOLEAN if last else kind, help_text=WIDE * 2000,
            section=WIDE * 200, choices=() if last else choices,
        )  # fmt: skip

    questions = tuple(question(number) for number in range(QUESTIONS))
    return Form("k" * 64, 2**31 - 1, WIDE * 200, WIDE * 4000, questions)


def admitted(form, answers):
    capture = Capture(
        uuid4(), "o" * 128, form.key, form.version, answers, MOMENT, Channel.OFFLINE, 2**31 - 1, None,
        Visit(WIDE * 100, 2**31 - 1), MOMENT,
    )  # fmt: skip
    return admit(
        capture, Published(form, definition_hash(form)), Context(None, None, 1), Right.UNKNOWN, "s" * 500, MOMENT
    )


def largest_submission(form, answer_of):
    """As many of the largest answers as the API takes."""

    def answered(count):
        answers = {q.key: True if q.type is QuestionType.BOOLEAN else answer_of(q) for q in form.questions[:count]}
        return assessment_submitted(admitted(form, answers))

    none, one = answered(0).ByteSize(), answered(1).ByteSize()
    room = (event_type(AssessmentSubmitted).max_bytes - none) // (one - none)
    return answered(min(room, QUESTIONS))


CHOICES = tuple(Choice(f"c{n:03}".ljust(KEY, "x"), "text") for n in range(200))
LARGEST = {
    "texts": (form_of(QuestionType.TEXT), lambda question: WIDE * 10_000),
    # Fewer bytes for each answer, so that all questions are answered: most is added to these.
    "short texts": (form_of(QuestionType.TEXT), lambda question: "x" * 1800),
    "choices": (
        form_of(QuestionType.MULTIPLE_CHOICE, choices=CHOICES),
        lambda question: [choice.key for choice in CHOICES],
    ),
    "numbers": (form_of(QuestionType.NUMBER), lambda question: "9" * 40),
    "nothing": (form_of(QuestionType.BOOLEAN), lambda question: True),
}


def profile_of(form):
    """Points for all questions, with as many digits as points have, and all sections."""
    points = Decimal("123456789.123456")
    kinds = {QuestionType.BOOLEAN: {"points_if_true": points, "points_if_false": -points}}
    questions = tuple(
        QuestionPoints(question_key=q.key, weight=Decimal("999.9999"), **kinds[q.type])
        for q in form.questions
        if q.type in kinds
    )
    sections = tuple(
        Section(WIDE * 90 + f"{number:010}", SectionFunction.SUM, (questions[-1].question_key,))
        for number in range(SECTIONS)
    )
    return Profile(form.key, form.version, Scale.RAW, questions, sections)


def scored(form, message):
    plan = survey(form, profile_of(form)).plan
    submission = read_submission(message)
    found = score(plan, submission.visible_questions, submission.answers)
    # Figures at their longest.
    found = replace(
        found,
        contributions=tuple(replace(c, points=LONG_NUMBER, max_points=LONG_NUMBER) for c in found.contributions),
        sections=tuple(replace(s, points=LONG_NUMBER, max_points=LONG_NUMBER) for s in found.sections),
    )
    return submission_scored(form, _scored(submission, ProfileInForce(uuid4(), 2**31 - 1, plan), found, MOMENT), found)


def unmet(count):
    condition = Condition("f" * KEY, "c" * 500)
    rule = Rule("r" * 64, "s" * 64, "t" * 64, (condition,) * 20)
    parsed = ParsedRule(rule, Kind.ADVANCE, (), (), frozenset(), acts=True, possible=True)
    read = [
        ParsedCondition(f"f{n:05}" + WIDE * 130, Blank(), WIDE * 500, lambda v: False, lambda v: None)
        for n in range(count)
    ]
    findings = [Finding(Truth.FAILED, each, WIDE * 500, LONG_NUMBER) for each in read]
    return RuleResult(parsed, findings, findings)


def largest_decision(evidence):
    reasons = reasons_of([unmet(4000)])
    assert len(reasons) == REASON_LIMIT
    near = [
        decided.NearMiss(
            rule_id="r" * 64, to_stage="t" * 64, fact="f" * 100, cell=WIDE * 500, actual=str(LONG_NUMBER),
            margin=str(LONG_NUMBER), question_keys=["q" * KEY] * QUESTION_LIMIT,
        )
        for _ in range(NEAR_MISS_LIMIT)
    ]  # fmt: skip
    return StageDecided(
        opportunity_id="o" * 128,
        reasons=[decided.Reason(code=r.code, fact=r.fact, margin=str(r.margin), message=r.message) for r in reasons],
        near_misses=near,
        submission=evidence,
        actor="a" * 500,
    )


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_submission_fits_all_the_way(name):
    form, answer_of = LARGEST[name]
    submitted = largest_submission(form, answer_of)
    check_size(submitted)
    evidence = scored(form, submitted)
    check_size(evidence)
    check_size(largest_decision(evidence))


def test_the_limits_leave_room_for_what_the_next_event_adds():
    """Some questions with answers as long as they may be, all others with keys and figures only."""
    form, _ = LARGEST["nothing"]
    added = scored(form, largest_submission(form, lambda question: True)).ByteSize()
    submitted, evidence = event_type(AssessmentSubmitted).max_bytes, event_type(SubmissionScored).max_bytes
    assert submitted + added <= evidence
    assert evidence + largest_decision(None).ByteSize() <= event_type(StageDecided).max_bytes
    assert event_type(StageDecided).max_bytes <= MAX_EVENT_BYTES


def test_a_submission_that_is_too_large_is_refused_with_its_limit():
    form, answer_of = LARGEST["texts"]
    item = admitted(form, {q.key: answer_of(q) for q in form.questions[:30]})
    with pytest.raises(CaptureRefused, match=str(event_type(AssessmentSubmitted).max_bytes)) as refused:
        must_fit(item)
    assert refused.value.code == "submission_too_large"


def test_the_largest_definition_is_refused_with_its_limit():
    form = form_of(QuestionType.TEXT)
    proof = definition_hash(form)
    version = VersionRecord(form.key, 1, form.title, form.description, form.questions, proof, MOMENT, "a")
    with pytest.raises(EventTooLarge, match=f"AssessmentPublished may have {MAX_EVENT_BYTES} bytes"):
        Event("acme", assessment_published(version), 1).record("assessment")


def test_the_largest_profile_fits():
    form = form_of(QuestionType.BOOLEAN)
    found = survey(form, profile_of(form))
    # More scores are not listed than there are combinations that are looked at.
    reachable = replace(found.reachable, scores=(LONG_NUMBER,) * 5000)
    at, by = MOMENT, "a"
    record = ProfileRecord(uuid4(), form.key, 1, 1, "t", {}, 1, at, by, at, by, at, by)
    check_size(profile_published(record, found.plan, reachable, "prospecting"))


def test_the_largest_pipeline_is_refused_with_its_limit():
    stages = tuple(Stage(f"s{n}", WIDE * 200, Category.OPEN, ("k" * 64,) * 20, WIDE * 2000) for n in range(50))
    conditions = tuple(Condition(WIDE * 100, WIDE * 500) for _ in range(20))
    rules = tuple(Rule(f"r{n}", None, "s1", conditions) for n in range(200))
    pipeline = Pipeline("p", 1, WIDE * 200, stages, rules, SkipPolicy.FORBID)
    with pytest.raises(EventTooLarge, match=f"PipelinePublished may have {MAX_EVENT_BYTES} bytes"):
        Event("acme", pipeline_published(pipeline, MOMENT), 1).record("stage-engine")


def test_the_longest_refusal_of_the_crm_fits():
    """A proxy may send a page of any length."""
    write = SimpleNamespace(
        intent_id=uuid4(), opportunity_id="o" * 128, decision_id=uuid4(), submission_id="", target_stage="s" * 64,
        revision=1, code="c", reason=WIDE * MAX_RECORD_BYTES,
    )  # fmt: skip
    check_size(crm_write_parked(cast(QueuedWrite, write), MOMENT))


def test_every_part_agrees_on_the_largest_record():
    assert yaml.safe_load(TOPICS_FILE.read_text())["max_message_bytes"] == MAX_RECORD_BYTES
    assert {topic.configs["max.message.bytes"] for topic in load_topics()} == {str(MAX_RECORD_BYTES)}
    assert max(kind.max_bytes for kind in registry().values()) <= MAX_EVENT_BYTES
    # Headers of any event and of its dead letter, and what the batch around it takes.
    assert MAX_EVENT_BYTES + 64 * 1024 <= MAX_RECORD_BYTES


def test_what_was_sent_has_failed_or_arrived_before_another_may_lead():
    assert ACKNOWLEDGE_SECONDS <= MARGIN_SECONDS and _REQUEST_SECONDS <= MARGIN_SECONDS
    assert MARGIN_SECONDS < TERM_SECONDS
