"""Handing in submissions one by one."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from kit.ids import utc_now, uuid7
from sqlalchemy import text
from stagecraft.assessment.v1.assessment_submitted_pb2 import CHANNEL_ONLINE, AssessmentSubmitted

pytestmark = pytest.mark.stack


class TestPutSubmission:
    @pytest.mark.capability(6)
    async def test_accepts_and_publishes(self, world: Any) -> None:
        await world.at_prospecting()
        submission_id = str(uuid7())
        answer = await world.submit(submission_id)
        assert answer.status_code == 201, answer.text
        receipt = answer.json()
        assert receipt["submission_id"] == submission_id
        assert receipt["visit"] == {"stage_key": "prospecting", "visit_no": 1}
        assert receipt["warnings"] == []
        [event] = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=1)
        message = event.message
        assert message.submission_id == submission_id
        assert message.submitted_by == "rep"
        assert message.channel == CHANNEL_ONLINE
        assert (message.visit.stage_key, message.visit.visit_no) == ("prospecting", 1)
        assert list(message.visible_questions) == ["hours", "pains", "budget", "note", "compliance"]
        assert [a.question_key for a in message.answers] == ["hours", "pains", "budget", "compliance"]
        assert message.answers[2].number == "12.50"
        assert event.record.key == f"{world.tenant}:006A"

    async def test_exact_retry_gets_the_original_answer(self, world: Any) -> None:
        await world.publish_form()
        submission_id = str(uuid7())
        first = await world.submit(submission_id, sent_at=utc_now().isoformat())
        again = await world.submit(
            submission_id, sent_at=(utc_now() + timedelta(hours=1)).isoformat(), channel="offline"
        )
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == first.json()
        assert again.headers["Idempotent-Replay"] == "true"
        assert "Idempotent-Replay" not in first.headers
        assert len(await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=1)) == 1

    async def test_parallel_identical_puts_are_one_submission(self, world: Any) -> None:
        await world.publish_form()
        submission_id = str(uuid7())
        answers = await asyncio.gather(*(world.submit(submission_id) for _ in range(24)))
        assert sorted(a.status_code for a in answers) == [200] * 23 + [201]
        assert len({a.text for a in answers}) == 1
        assert len(await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=1)) == 1
        async with world.service.database.unit_of_work(world.tenant) as uow:
            count = await uow.session.execute(text("SELECT count(*) FROM submission"))
            assert count.scalar_one() == 1

    async def test_another_body_under_the_same_id(self, world: Any) -> None:
        await world.publish_form()
        submission_id = str(uuid7())
        first = await world.submit(submission_id)
        other = await world.submit(submission_id, answers={"hours": "few", "compliance": False})
        assert other.status_code == 409
        problem = other.json()
        assert problem["code"] == "payload_mismatch"
        assert problem["stored_sha256"] == first.json()["body_sha256"]
        assert problem["received_sha256"] != problem["stored_sha256"]

    async def test_an_id_of_another_caller_is_not_found(self, world: Any) -> None:
        await world.publish_form()
        submission_id = str(uuid7())
        assert (await world.submit(submission_id, subject="ann")).status_code == 201
        other = await world.submit(submission_id, subject="bob")
        assert (other.status_code, other.json()["code"]) == (404, "submission_not_found")

    async def test_an_id_of_another_tenant_is_not_found(self, world: Any) -> None:
        await world.publish_form()
        submission_id = str(uuid7())
        assert (await world.submit(submission_id)).status_code == 201
        stranger = type(world)(world.service, f"{world.tenant}-b", world.eventually)
        await stranger.publish_form()
        other = await stranger.submit(submission_id)
        assert (other.status_code, other.json()["code"]) == (404, "submission_not_found")
        assert (await stranger.call("GET", f"/submissions/{submission_id}")).status_code == 404

    async def test_points_at_every_wrong_answer(self, world: Any) -> None:
        await world.publish_form()
        answers = {"hours": "many", "pains": ["none", "cost"], "budget": -1, "note": 5, "colour": "red"}
        refused = await world.submit(answers=answers)
        assert refused.status_code == 422
        found = {(e["pointer"], e["code"]) for e in refused.json()["errors"]}
        assert found == {
            ("/answers/colour", "unknown_question"),
            ("/answers/pains", "exclusive_choice"),
            ("/answers/budget", "out_of_range"),
            ("/answers/note", "wrong_type"),
            ("/answers/compliance", "required_missing"),
        }

    async def test_null_is_no_answer(self, world: Any) -> None:
        await world.publish_form()
        refused = await world.submit(answers={"hours": None, "note": None, "compliance": True})
        assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [("/answers/hours", "required_missing")]
        assert (await world.submit(answers={"hours": "few", "note": None, "compliance": True})).status_code == 201

    @pytest.mark.parametrize("value", [{"a": 1}, [1], ["a" * 101], "a" * 10_001, 10**41, ["a"] * 201])
    async def test_an_answer_of_no_kind_is_one_error_in_words(self, world: Any, value: Any) -> None:
        await world.publish_form()
        refused = await world.submit(answers={"hours": value, "compliance": True})
        (error,) = refused.json()["errors"]
        assert (refused.status_code, error["pointer"], error["code"]) == (422, "/answers/hours", "bad_answer")
        assert "An answer is a choice's key" in error["detail"]

    async def test_all_answers_together_are_bounded(self, world: Any) -> None:
        await world.publish_form()
        answers = {f"q{number}": "a" * 10_000 for number in range(11)}
        refused = await world.submit(answers=answers)
        assert [error["code"] for error in refused.json()["errors"]] == ["answers_too_large"]

    async def test_no_expression_is_shown_to_a_person(self, world: Any) -> None:
        refused = await world.submit(opportunity_id="no id")
        (error,) = refused.json()["errors"]
        assert (error["pointer"], error["code"]) == ("/opportunity_id", "bad_text")
        assert "letters, digits" in error["detail"]

    async def test_a_short_record_id_is_completed(self, world: Any) -> None:
        await world.publish_form()
        accepted = await world.submit(opportunity_id="006Qy00000AbCdE")
        assert accepted.json()["opportunity_id"] == "006Qy00000AbCdEIAV"

    async def test_the_right_hash_is_accepted(self, world: Any) -> None:
        published = await world.publish_form()
        assert (await world.submit(definition_hash=published["definition_hash"])).status_code == 201

    async def test_a_version_is_found_as_soon_as_it_exists(self, world: Any) -> None:
        await world.publish_form()
        assert (await world.submit(assessment_version=2)).status_code == 202
        await world.publish_form()
        assert (await world.submit(assessment_version=2)).status_code == 201

    async def test_the_same_capture_under_another_id_is_flagged_and_belongs_to_the_same_visit(self, world: Any) -> None:
        await world.at_prospecting()
        first, second = str(uuid7()), str(uuid7())
        assert "probable_duplicate" not in (await world.submit(first)).json()["warnings"]
        await world.place(stage="discovery", revision=2)
        await world.settled(visit={"stage_key": "discovery", "visit_no": 2})
        again = (await world.submit(second, attempt_no=2)).json()
        assert "probable_duplicate" in again["warnings"]
        assert again["visit"] == {"stage_key": "prospecting", "visit_no": 1}
        assert (
            "probable_duplicate"
            not in (await world.submit(answers={**world.body()["answers"], "hours": "few"})).json()["warnings"]
        )
        events = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=3)
        assert [event.message.duplicate_of for event in events] == ["", first, ""]

    async def test_older_version_is_scored_as_answered(self, world: Any) -> None:
        await world.publish_form()
        await world.publish_form()
        answer = await world.submit()
        assert answer.status_code == 201
        assert "older_form_version" in answer.json()["warnings"]
        [event] = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=1)
        assert event.message.assessment_version == 1

    async def test_retired_version(self, world: Any) -> None:
        await world.publish_form()
        before = utc_now() - timedelta(seconds=1)
        kept = str(uuid7())
        assert (await world.submit(kept, captured_at=before.isoformat())).status_code == 201
        retired = await world.call("POST", "/assessments/prospecting/versions/1/retire", role="admin")
        assert retired.status_code == 200
        assert (await world.submit(captured_at=before.isoformat())).status_code == 201
        late = await world.submit(captured_at=utc_now().isoformat())
        assert (late.status_code, late.json()["code"]) == (202, "version_retired")
        assert (await world.submit(kept, captured_at=before.isoformat())).status_code == 200

    async def test_hidden_answers_are_stored_and_not_published(self, world: Any) -> None:
        await world.publish_form()
        answers = {"hours": "few", "budget": 99, "compliance": False}
        answer = await world.submit(answers=answers)
        assert answer.status_code == 201
        assert answer.json()["warnings"] == ["hidden_answers_ignored", "opportunity_unknown"]
        [event] = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=1)
        assert [a.question_key for a in event.message.answers] == ["hours", "compliance"]
        assert "budget" not in event.message.visible_questions
        async with world.service.database.unit_of_work(world.tenant) as uow:
            body = (await uow.session.execute(text("SELECT body FROM submission"))).scalar_one()
        assert json.loads(body)["answers"] == answers

    async def test_clocks_never_refuse(self, world: Any) -> None:
        await world.publish_form()
        for years in (-1, 1):
            device = utc_now() + timedelta(days=365 * years)
            answer = await world.submit(
                captured_at=(device - timedelta(minutes=10)).isoformat(), sent_at=device.isoformat()
            )
            assert answer.status_code == 201
            receipt = answer.json()
            assert "clock_skew" in receipt["warnings"]
            age = datetime.fromisoformat(receipt["received_at"]) - datetime.fromisoformat(receipt["captured_at"])
            assert timedelta(minutes=9) < age < timedelta(minutes=11)
        for moment in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"):
            answer = await world.submit(captured_at=moment)
            assert answer.status_code == 201, answer.text
            assert answer.json()["captured_at"] == answer.json()["received_at"]

    async def test_of_an_opportunity_of_another_the_answer_is_as_of_none(self, world: Any) -> None:
        await world.at_prospecting()
        unknown = await world.submit(opportunity_id="006Z", subject="bob")
        assert (unknown.status_code, unknown.json()["warnings"]) == (201, ["opportunity_unknown"])
        foreign = await world.submit(subject="bob")
        varies = {"submission_id", "opportunity_id", "received_at", "body_sha256"}
        of_unknown, of_foreign = (
            (answer.status_code, {name: value for name, value in answer.json().items() if name not in varies})
            for answer in (unknown, foreign)
        )
        assert of_foreign == of_unknown
        followed = [
            (await world.call("GET", f"/submissions/{answer.json()['submission_id']}", subject="bob")).json()
            for answer in (unknown, foreign)
        ]
        first, second = ({k: v for k, v in each.items() if k not in varies} for each in followed)
        assert first == second
        assert (first["status"], first["visit"], first["attempt_no"]) == ("received", None, None)

    async def test_a_number_of_an_attempt_that_was_not_given_out_does_no_harm(self, world: Any) -> None:
        await world.at_prospecting()
        for _ in range(2):
            assert (await world.submit(attempt_no=2**31 - 1)).status_code == 201
        # Until the decisions are here, nothing is due; the next number is what the engine and the rep go by.
        events = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=2)
        assert [event.message.attempt_no for event in events] == [1, 2]
        assert (await world.submit(attempt_no=3)).status_code == 201
        events = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=3)
        assert [event.message.attempt_no for event in events] == [1, 2, 3]

    async def test_captured_in_a_stage_that_was_left(self, world: Any) -> None:
        await world.at_prospecting()
        await world.place(stage="demo", revision=2)
        await world.settled(reason="no_assessment_in_stage")
        visit = {"stage_key": "prospecting", "visit_no": 1}
        answer = await world.submit(visit=visit)
        assert answer.json()["visit"] == visit
        assert answer.json()["warnings"] == ["late_stage_moved"]

    async def test_rejects_malformed_bodies(self, world: Any) -> None:
        await world.publish_form()
        for change in (
            {"captured_at": "2026-03-02T09:30:00"},
            {"attempt_no": 0},
            {"opportunity_id": "a b"},
            {"surplus": 1},
            {"assessment_version": 2**40},
            {"answers": {"hours": None}},
            {"answers": {"hours": "few\x00"}},
            {"channel": "carrier_pigeon"},
        ):
            answer = await world.submit(**change)
            assert answer.status_code == 422, change
            assert answer.json()["errors"], change
        assert (await world.submit("not-a-uuid")).status_code == 422

    async def test_needs_the_scope(self, world: Any) -> None:
        answer = await world.submit(str(uuid4()), role="partner")
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
