"""The judgement of captures, without any service."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from assessment.domain.admission import (
    Admitted,
    Context,
    Held,
    Published,
    Stored,
    Twin,
    admit,
    number_attempts,
    replay,
)
from assessment.domain.answers import CaptureRefused, typed_answers
from assessment.domain.capture import (
    Capture,
    Channel,
    Place,
    Visit,
    Warning,
    canonical_body,
    canonical_json,
    content_sha256,
    estimate_capture,
)
from assessment.domain.holding import HoldReason, Right, Waiting
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


def admitted(
    capture: Capture = CAPTURE, context: Context = CONTEXT, who: str = "ann", right: Right = Right.SEEN
) -> Any:
    return admit(capture, PUBLISHED, context, right, who, NOW)


def refusal(
    capture: Capture = CAPTURE, context: Context = CONTEXT, published: Any = PUBLISHED, right: Right = Right.SEEN
) -> str:
    with pytest.raises(CaptureRefused) as caught:
        admit(capture, published, context, right, "ann", NOW)
    return caught.value.code


# Captures by a definition that does not count, with the reason.
LACKING: list[tuple[Any, ...]] = [
    (CAPTURE, CONTEXT, None, HoldReason.VERSION_UNKNOWN),
    (replace(CAPTURE, definition_hash="b" * 64), CONTEXT, PUBLISHED, HoldReason.FORM_HASH_MISMATCH),
    (CAPTURE, replace(CONTEXT, retired_at=NOW), PUBLISHED, HoldReason.VERSION_RETIRED),
]


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

    @pytest.mark.parametrize("right", [Right.NONE, Right.OVER_QUOTA, Right.UNKNOWN])
    @pytest.mark.parametrize("visit", [None, Visit("demo", 7)])
    def test_of_what_the_submitter_does_not_see_the_receipt_tells_nothing(self, right: Right, visit: Any) -> None:
        capture = replace(CAPTURE, visit=visit)
        of_nothing = admitted(capture, replace(CONTEXT, place=None), "eve", Right.UNKNOWN).receipt
        for place in (PLACE, replace(PLACE, closed=True), replace(PLACE, deleted=True)):
            for twin in (None, Twin(UUID(int=8), Visit("demo", 3))):
                context = replace(CONTEXT, place=place, twin=twin)
                assert admitted(capture, context, "eve", right).receipt == of_nothing
        assert of_nothing.warnings == (Warning.OPPORTUNITY_UNKNOWN,)

    def test_what_a_reviewer_has_to_see_is_held(self) -> None:
        for right, reason in ((Right.NONE, HoldReason.NOT_OWNER), (Right.OVER_QUOTA, HoldReason.TOO_MANY_UNKNOWN)):
            item = admitted(right=right)
            assert isinstance(item, Held)
            assert item.reason is reason
        assert isinstance(admitted(right=Right.UNKNOWN), Admitted)
        assert [admitted(right=right).entitled for right in (Right.SEEN, Right.UNKNOWN)] == [True, False]

    def test_refusals(self) -> None:
        assert refusal(replace(CAPTURE, answers={})) == "validation_failed"

    @pytest.mark.parametrize(("capture", "context", "published", "reason"), LACKING)
    def test_a_definition_that_does_not_count_is_held_and_told(
        self, capture: Capture, context: Context, published: Any, reason: HoldReason
    ) -> None:
        assert reason.is_told
        receipts = []
        for right in (Right.SEEN, Right.UNKNOWN, Right.NONE):
            # The answers are judged when it is accepted.
            item = admit(replace(capture, answers={}), published, context, right, "ann", NOW)
            assert isinstance(item, Held)
            assert item.reason is reason
            receipts.append(item.receipt)
        assert receipts[0].visit == HERE
        assert receipts[1] == receipts[2]
        assert receipts[1].visit is None
        assert refusal(capture, context, published, Right.EXHAUSTED) == reason

    def test_a_twin_gives_its_visit_and_a_warning(self) -> None:
        twin = Twin(UUID(int=8), Visit("demo", 3))
        item = admitted(context=replace(CONTEXT, twin=twin))
        assert (item.receipt.visit, item.duplicate_of) == (twin.visit, twin.submission_id)
        assert item.receipt.warnings == (Warning.PROBABLE_DUPLICATE,)
        assert admitted(context=replace(CONTEXT, twin=replace(twin, visit=None))).receipt.visit == HERE

    def test_only_the_same_persons_capture_is_a_twin(self) -> None:
        again = replace(CAPTURE, submission_id=UUID(int=8), attempt_no=2)
        assert content_sha256(again, "ann") == content_sha256(CAPTURE, "ann") != content_sha256(CAPTURE, "eve")

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


class TestWaiting:
    @given(
        st.lists(st.tuples(st.sampled_from([Right.UNKNOWN, Right.NONE]), st.booleans()), max_size=40),
        st.integers(0, 5),
        st.integers(0, 5),
    )
    def test_no_more_waits_than_is_allowed_and_what_is_refused_tells_nothing(
        self, handed_in: list[tuple[Right, bool]], unknown: int, held: int
    ) -> None:
        waiting, quota = Waiting(0, 0), Waiting(unknown, held)
        for right, counts in handed_in:
            given_right, after = waiting.next(right, quota, counts=counts)
            if not counts:
                assert waiting.next(Right.SEEN, quota, counts=False)[1] == after
            assert after.unknown <= unknown
            assert after.held <= held
            # Whether it is taken at all does not depend on whether the opportunity is there.
            for other in (Right.UNKNOWN, Right.NONE):
                exhausted = waiting.next(other, quota, counts=counts)[0] is Right.EXHAUSTED
                assert exhausted is (given_right is Right.EXHAUSTED)
            if right is Right.NONE:
                assert given_right in (Right.NONE, Right.EXHAUSTED)
            waiting = after

    def test_what_is_not_taken_says_so(self) -> None:
        with pytest.raises(CaptureRefused) as caught:
            admitted(right=Right.EXHAUSTED)
        assert caught.value.code == "too_many_held"


def numbers(given_numbers: list[int], last: int = 0) -> list[int]:
    """What attempts of these numbers get that come together."""
    items = [(admitted(replace(CAPTURE, attempt_no=number)), last) for number in given_numbers]
    return [item.attempt_no for item in number_attempts(items)]


class TestAttempts:
    @given(st.lists(st.lists(st.integers(1, 5) | st.integers(1, 2**31 - 1), max_size=5), max_size=5))
    def test_no_number_of_a_client_runs_ahead_of_the_attempts(self, batches: list[list[int]]) -> None:
        last = received = 0
        for batch in batches:
            received += len(batch)
            found = numbers(batch, last)
            assert all(1 <= number <= min(given, received) for number, given in zip(found, batch, strict=True))
            last = max([last, *found])
        # Whatever came before, the next number that is given out is counted as it says.
        assert numbers([last + 1], last) == [last + 1]
        assert last <= received

    @given(st.permutations(range(1, 8)))
    def test_a_queue_keeps_its_order_of_attempts(self, queue: list[int]) -> None:
        assert numbers(queue) == queue

    def test_each_assessment_of_each_opportunity_counts_alone(self) -> None:
        captures = [
            replace(CAPTURE, opportunity_id=o, attempt_no=n) for o, n in (("006A", 1), ("006B", 1), ("006A", 2))
        ]
        found = number_attempts([(admitted(each), 0) for each in captures])
        assert [(item.capture.opportunity_id, item.attempt_no) for item in found] == [
            ("006A", 1),
            ("006B", 1),
            ("006A", 2),
        ]


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
