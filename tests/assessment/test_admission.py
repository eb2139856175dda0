"""The judgement of captures, without any service."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from assessment.domain.admission import (
    CaptureRefused,
    Context,
    Published,
    Stored,
    admit,
    replay,
    typed_answers,
)
from assessment.domain.capture import (
    Capture,
    Channel,
    Place,
    Visit,
    Warning,
    canonical_body,
    canonical_json,
    estimate_capture,
)
from forms.definition import Form, Question, QuestionType
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FORM = Form(
    "fit",
    1,
    "Fit",
    "",
    (
        Question("ready", "Ready?", QuestionType.BOOLEAN, required=True),
        Question("why", "Why?", QuestionType.TEXT, visible_if="{ready} = true"),
        Question("seats", "Seats?", QuestionType.NUMBER),
    ),
)
PUBLISHED = Published(FORM, "a" * 64)
HERE = Visit("prospecting", 1)
PLACE = Place("ann", HERE, closed=False, deleted=False)
CONTEXT = Context(PLACE, None, 1)
CAPTURE = Capture(UUID(int=7), "006A", "fit", 1, {"ready": True, "why": "now"}, NOW, Channel.ONLINE)

moments = st.datetimes(timezones=st.just(UTC))


def admitted(capture: Capture = CAPTURE, context: Context = CONTEXT, who: str = "ann") -> Any:
    return admit(capture, PUBLISHED, context, who, NOW)


def refusal(capture: Capture = CAPTURE, context: Context = CONTEXT, published: Any = PUBLISHED) -> str:
    with pytest.raises(CaptureRefused) as caught:
        admit(capture, published, context, "ann", NOW)
    return caught.value.code


class TestClock:
    @given(moments, moments, st.integers(-20_000, 20_000))
    def test_any_clock_gives_a_time_not_after_receipt(
        self, captured_at: datetime, sent_at: datetime, days: int
    ) -> None:
        received_at = NOW + timedelta(days=days)
        for sent in (sent_at, None):
            assert estimate_capture(captured_at, sent, received_at).captured_at <= received_at

    @given(st.timedeltas(timedelta(days=-4000), timedelta(days=4000)), st.integers(0, 10_000))
    def test_a_wrong_clock_is_taken_out(self, wrong: timedelta, minutes_ago: int) -> None:
        device_now = NOW + wrong
        time = estimate_capture(device_now - timedelta(minutes=minutes_ago), device_now, NOW)
        assert abs(time.captured_at - (NOW - timedelta(minutes=minutes_ago))) <= timedelta(seconds=2)
        assert time.skewed is (abs(wrong) > timedelta(minutes=5))

    def test_small_offsets_are_the_networks(self) -> None:
        captured = NOW - timedelta(minutes=1)
        assert estimate_capture(captured, NOW - timedelta(seconds=2), NOW).captured_at == captured
        shifted = estimate_capture(captured, NOW - timedelta(seconds=3), NOW)
        assert shifted.captured_at == captured + timedelta(seconds=3)

    def test_future_without_sending_time_is_clamped_with_a_warning(self) -> None:
        time = estimate_capture(NOW + timedelta(days=365), None, NOW)
        assert (time.captured_at, time.skewed) == (NOW, True)


class TestBody:
    @given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3))))
    def test_key_order_never_matters(self, answers: dict[str, Any]) -> None:
        turned = dict(reversed(list(answers.items())))
        assert canonical_body(replace(CAPTURE, answers=answers)) == canonical_body(replace(CAPTURE, answers=turned))

    def test_the_way_it_travelled_is_no_part_of_it(self) -> None:
        later = replace(CAPTURE, sent_at=NOW + timedelta(days=1), channel=Channel.OFFLINE)
        assert canonical_body(later) == canonical_body(CAPTURE)

    @pytest.mark.parametrize(
        "change",
        [
            {"answers": {"ready": False}},
            {"attempt_no": 2},
            {"opportunity_id": "006B"},
            {"assessment_version": 2},
            {"captured_at": NOW + timedelta(seconds=1)},
            {"visit": HERE},
            {"definition_hash": "a" * 64},
        ],
    )
    def test_whatever_was_captured_is(self, change: dict[str, Any]) -> None:
        assert canonical_body(replace(CAPTURE, **change)) != canonical_body(CAPTURE)

    def test_is_plain_ascii(self) -> None:
        assert canonical_json({"b": "é", "a": 1}) == '{"a":1,"b":"\\u00e9"}'
        with pytest.raises(ValueError, match="JSON compliant"):
            canonical_json(float("inf"))


class TestAdmission:
    def test_defaults_to_the_current_visit(self) -> None:
        assert admitted().receipt.visit == HERE
        there = Visit("demo", 3)
        assert admitted(replace(CAPTURE, visit=there)).receipt.visit == there
        assert admitted(context=replace(CONTEXT, place=None)).receipt.visit is None

    def test_hidden_answers_do_not_count(self) -> None:
        item = admitted(replace(CAPTURE, answers={"ready": False, "why": "x", "seats": 3}))
        assert list(item.answers) == ["ready", "seats"]
        assert item.visible == ("ready", "seats")
        assert item.receipt.warnings == (Warning.HIDDEN_ANSWERS_IGNORED,)

    @pytest.mark.parametrize(
        ("place", "visit", "who", "warnings"),
        [
            (PLACE, None, "ann", ()),
            (None, None, "ann", (Warning.OPPORTUNITY_UNKNOWN,)),
            (PLACE, None, "bob", (Warning.NOT_OWNER,)),
            (replace(PLACE, owner_id=None), None, "bob", ()),
            (replace(PLACE, closed=True), None, "ann", (Warning.OPPORTUNITY_CLOSED,)),
            (replace(PLACE, deleted=True), None, "ann", (Warning.OPPORTUNITY_DELETED,)),
            (PLACE, Visit("prospecting", 2), "ann", (Warning.LATE_STAGE_MOVED,)),
            (PLACE, HERE, "ann", ()),
            (replace(PLACE, visit=None), HERE, "ann", ()),
        ],
    )
    def test_warns_without_refusing(self, place: Any, visit: Any, who: str, warnings: tuple[str, ...]) -> None:
        item = admitted(replace(CAPTURE, visit=visit), replace(CONTEXT, place=place), who)
        assert item.receipt.warnings == warnings

    def test_refusals(self) -> None:
        assert refusal(published=None) == "version_unknown"
        assert refusal(replace(CAPTURE, definition_hash="b" * 64)) == "form_hash_mismatch"
        assert refusal(replace(CAPTURE, answers={})) == "validation_failed"
        assert refusal(context=replace(CONTEXT, retired_at=NOW)) == "version_retired"

    def test_retirement_spares_what_was_captured_before(self) -> None:
        context = replace(CONTEXT, retired_at=NOW)
        early = replace(CAPTURE, captured_at=NOW - timedelta(microseconds=1))
        assert admitted(early, context).receipt.captured_at < NOW

    def test_older_version_warns(self) -> None:
        assert admitted(context=replace(CONTEXT, latest_version=2)).receipt.warnings == (Warning.OLDER_FORM_VERSION,)

    def test_retry_gets_the_stored_receipt(self) -> None:
        receipt = admitted().receipt
        assert replay(CAPTURE, Stored("ann", receipt), "ann") is receipt
        for capture, who, code in (
            (CAPTURE, "bob", "submission_not_found"),
            (replace(CAPTURE, attempt_no=2), "ann", "payload_mismatch"),
            (replace(CAPTURE, attempt_no=2), "bob", "submission_not_found"),
        ):
            with pytest.raises(CaptureRefused) as caught:
                replay(capture, Stored("ann", receipt), who)
            assert caught.value.code == code


class TestTypedAnswers:
    def test_numbers_may_be_text(self) -> None:
        assert typed_answers(FORM, {"seats": "12.50"}) == typed_answers(FORM, {"seats": 12.5})
        assert str(typed_answers(FORM, {"seats": 0.1})["seats"]) == "0.1"

    @given(
        st.dictionaries(
            st.sampled_from(["ready", "why", "seats", "other"]),
            st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text()
            | st.lists(st.text()),
        )
    )
    def test_any_answer_is_accepted_or_refused_never_an_error(self, answers: dict[str, Any]) -> None:
        capture = replace(CAPTURE, answers=answers)
        try:
            item = admitted(capture)
        except CaptureRefused as refused:
            assert refused.code == "validation_failed"
            assert {fault.path[1] for fault in refused.faults} <= {*answers, "ready"}
        else:
            assert isinstance(item.answers["ready"], bool)
