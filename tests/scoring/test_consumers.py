"""Submissions become scores exactly once, also when they come early, twice or broken."""

import copy
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from forms.definition import Form
from forms.messages import form_to_event_fields
from kit.database.tables import parked
from kit.http.auth import Principal
from kit.ids import derived, uuid7
from scoring.models import assessment, score
from scoring.service.profiles import ProfileService
from sqlalchemy import func, select, text
from stagecraft.assessment.v1.assessment_published_pb2 import (
    ASSESSMENT_STATUS_PUBLISHED,
    ASSESSMENT_STATUS_RETIRED,
    AssessmentPublished,
)
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.common.v1.answer_pb2 import Answer
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_PERCENT, SCALE_RAW
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored
from testing.service import ServiceUnderTest

from tests.builders import record_observed, shipped_form

WAITING_FOR_A_NAMED_LOCK = """locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""

pytestmark = pytest.mark.stack
Publish = Callable[..., Awaitable[Any]]
Submission = Callable[..., AssessmentSubmitted]
Eventually = Callable[..., Awaitable[Any]]


async def score_of(scoring: ServiceUnderTest, tenant: str, submission_id: str) -> Any:
    return await scoring.client.get(
        f"/v1/submissions/{submission_id}/score", headers=scoring.headers(tenant, role="manager")
    )


async def count(scoring: ServiceUnderTest, tenant: str, table: Any) -> int:
    async with scoring.database.unit_of_work(tenant) as uow:
        return (await uow.session.execute(select(func.count()).select_from(table))).scalar_one()


@pytest.mark.capability(7, 19)
async def test_a_submission_is_scored_with_its_trace(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    publish_assessment: Publish,
    publish_profile: Publish,
) -> None:
    await publish_assessment()
    profile = await publish_profile()
    sent = submission()
    await scoring.publish(sent, tenant=tenant, sequence=7)
    (event,) = await scoring.events(SubmissionScored, tenant=tenant, count=1)
    got = event.message
    score_id = derived(UUID(sent.submission_id), f"score by {profile['profile_id']}")
    assert (got.score_id, event.id, event.sequence) == (str(score_id), score_id, 7)
    assert (got.score, got.raw_points, got.percent, got.scale, got.complete) == ("70", "70", "100", SCALE_RAW, True)
    assert (got.reachable_min, got.reachable_max) == ("10", "70")
    assert (got.profile_id, got.profile_version, got.assessment_version) == (profile["profile_id"], 1, 1)
    assert [(each.question_key, each.answer.choice, each.points, each.max_points) for each in got.contributions] == [
        ("hours", "over_5", "40", "40"),
        ("compliance", "yes", "30", "30"),
    ]
    assert [(each.section, each.points, each.percent) for each in got.sections] == [("need", "70", "100")]
    assert (got.visit, got.submitted_by, got.attempt_no) == (sent.visit, "ann", 1)
    assert (got.captured_at, got.received_at) == (sent.captured_at, sent.received_at)

    record = (await score_of(scoring, tenant, sent.submission_id)).json()
    assert (record["score_id"], record["score"], record["opportunity_id"]) == (str(score_id), "70", "opp-1")
    assert record["contributions"][0]["answer"] == "over_5"
    assert len(record["inputs_hash"]) == 64


async def test_a_submission_before_its_profile_waits_and_is_scored_on_publish(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    eventually: Eventually,
    publish_assessment: Publish,
    publish_profile: Publish,
) -> None:
    sent = [submission(f"opp-{number}") for number in range(3)]
    for number, each in enumerate(sent):
        await scoring.publish(each, tenant=tenant, sequence=number + 1)

    async def all_parked() -> None:
        assert await count(scoring, tenant, parked) == 3

    await eventually(all_parked)
    pending = await score_of(scoring, tenant, sent[0].submission_id)
    assert (pending.status_code, pending.json()["code"]) == (404, "score_pending")

    await publish_assessment()
    await publish_profile()
    events = await scoring.events(SubmissionScored, tenant=tenant, count=3)
    assert sorted((each.message.opportunity_id, each.sequence, each.message.score) for each in events) == [
        ("opp-0", 1, "70"),
        ("opp-1", 2, "70"),
        ("opp-2", 3, "70"),
    ]
    assert await count(scoring, tenant, parked) == 0
    assert (await score_of(scoring, tenant, sent[0].submission_id)).json()["score"] == "70"


async def test_a_submission_that_meets_a_publication_half_done_is_scored(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    draft: dict[str, Any],
    eventually: Eventually,
    publish_assessment: Publish,
) -> None:
    await publish_assessment()
    made = await scoring.client.post("/v1/scoring-profiles", json=draft, headers=scoring.headers(tenant))
    admin = Principal(tenant, "admin", "admin", frozenset(), frozenset())
    async with scoring.database.unit_of_work(tenant) as uow:
        await ProfileService(uow, admin).publish(UUID(made.json()["profile_id"]))
        await scoring.publish(submission(), tenant=tenant)

        async def consumer_waits() -> None:
            waiting = select(func.count()).select_from(text("pg_locks")).where(text(WAITING_FOR_A_NAMED_LOCK))
            assert (await uow.session.execute(waiting)).scalar_one() == 1

        await eventually(consumer_waits)
    (event,) = await scoring.events(SubmissionScored, tenant=tenant, count=1)
    assert event.message.score == "70"
    assert await count(scoring, tenant, parked) == 0


async def test_delivered_again_under_any_event_id_it_changes_nothing(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    publish_assessment: Publish,
    publish_profile: Publish,
) -> None:
    await publish_assessment()
    await publish_profile()
    sent, last = submission(), submission("opp-1")
    event_id = await scoring.publish(sent, tenant=tenant)
    await scoring.events(SubmissionScored, tenant=tenant, count=1)
    await publish_profile()
    await scoring.publish(sent, tenant=tenant, event_id=event_id)
    await scoring.publish(sent, tenant=tenant)
    await scoring.publish(last, tenant=tenant)
    events = await scoring.events(SubmissionScored, tenant=tenant, count=2)
    assert [(each.message.submission_id, each.message.profile_version) for each in events] == [
        (sent.submission_id, 1),
        (last.submission_id, 2),
    ]
    assert await count(scoring, tenant, score) == 2


async def test_a_version_is_scored_by_its_own_profile_and_scale(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    field_form: Form,
    draft: dict[str, Any],
    publish_assessment: Publish,
    publish_profile: Publish,
) -> None:
    second = dataclasses.replace(field_form, version=2)
    await publish_assessment()
    await publish_assessment(second)
    await publish_profile()
    await publish_profile(assessment_version=2, profile=draft["profile"] | {"scale": "percent"})
    answers = {"hours": "one_to_two", "compliance": "yes"}
    await scoring.publish(submission(answers=answers, form=second), tenant=tenant)
    await scoring.publish(submission(answers=answers), tenant=tenant)
    events = await scoring.events(SubmissionScored, tenant=tenant, count=2)
    assert [(each.message.assessment_version, each.message.scale, each.message.score) for each in events] == [
        (2, SCALE_PERCENT, "57.14"),
        (1, SCALE_RAW, "40"),
    ]


async def test_an_incomplete_submission_is_recorded_without_a_score(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    draft: dict[str, Any],
    publish_assessment: Publish,
    publish_profile: Publish,
) -> None:
    await publish_assessment()
    await publish_profile(profile=draft["profile"] | {"unanswered": {"policy": "block"}})
    sent = submission(answers={"hours": "over_5"})
    await scoring.publish(sent, tenant=tenant)
    (event,) = await scoring.events(SubmissionScored, tenant=tenant, count=1)
    assert (event.message.score, event.message.complete, event.message.raw_points) == ("", False, "40")
    assert event.message.contributions[1].unanswered
    assert not event.message.contributions[1].HasField("answer")
    assert (await score_of(scoring, tenant, sent.submission_id)).json()["score"] is None


async def test_broken_events_are_dead_lettered_and_do_not_stop_the_rest(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    eventually: Eventually,
    publish_assessment: Publish,
    publish_profile: Publish,
) -> None:
    await publish_assessment()
    await publish_profile()
    no_uuid, no_value = submission(), submission()
    no_uuid.submission_id = "mine"
    no_value.answers.append(Answer(question_key="empty"))
    good = submission()
    # What comes after a broken event of its own opportunity would wait behind it.
    no_uuid.opportunity_id, no_value.opportunity_id = "broken-1", "broken-2"
    for each in (no_uuid, no_value, good):
        await scoring.publish(each, tenant=tenant)
    broken_form = AssessmentPublished(
        assessment_key="broken", version=1, title="Broken", status=ASSESSMENT_STATUS_PUBLISHED
    )
    broken_form.questions.add(key="q")
    await scoring.publish(broken_form, tenant=tenant)
    (event,) = await scoring.events(SubmissionScored, tenant=tenant, count=1)
    assert event.message.submission_id == good.submission_id

    async def buried() -> None:
        letters = await scoring.client.get("/v1/dead-letters", headers=scoring.headers(tenant))
        codes = sorted(letter["code"] for letter in letters.json()["items"])
        assert codes == ["bad_answers", "bad_definition", "bad_id"]

    await eventually(buried)


async def test_a_retired_assessment_is_still_scored(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    field_form: Form,
    eventually: Eventually,
    publish_assessment: Publish,
    publish_profile: Publish,
) -> None:
    await publish_assessment()
    await publish_profile()
    retired = AssessmentPublished(**form_to_event_fields(field_form), status=ASSESSMENT_STATUS_RETIRED)
    await scoring.publish(retired, tenant=tenant, sequence=2)

    async def is_retired() -> None:
        async with scoring.database.unit_of_work(tenant) as uow:
            assert (await uow.session.execute(select(assessment.c.retired))).scalars().all() == [True]

    await eventually(is_retired)
    await scoring.publish(submission(), tenant=tenant)
    (event,) = await scoring.events(SubmissionScored, tenant=tenant, count=1)
    assert event.message.score == "70"


async def test_scores_of_an_opportunity_newest_first_and_of_its_tenant_only(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    publish_assessment: Publish,
    publish_profile: Publish,
) -> None:
    await publish_assessment()
    await publish_profile()
    sent = [submission("opp-1"), submission("opp-1"), submission("opp-1"), submission("opp-2")]
    for number, each in enumerate(sent):
        await scoring.publish(each, tenant=tenant)
        await scoring.events(SubmissionScored, tenant=tenant, count=number + 1)
    url = "/v1/scores?opportunity_id=opp-1&limit=2"
    headers = scoring.headers(tenant, role="manager")
    first = (await scoring.client.get(url, headers=headers)).json()
    second = (await scoring.client.get(f"{url}&cursor={first['next_cursor']}", headers=headers)).json()
    got = [item["submission_id"] for item in first["items"] + second["items"]]
    assert got == [each.submission_id for each in reversed(sent[:3])]
    assert second["next_cursor"] is None

    other = await score_of(scoring, f"{tenant}-other", sent[0].submission_id)
    assert (other.status_code, other.json()["code"]) == (404, "score_not_found")
    listed = await scoring.client.get(url, headers=scoring.headers(f"{tenant}-other"))
    assert listed.json()["items"] == []
    assert (await score_of(scoring, tenant, str(uuid7()))).json()["code"] == "score_not_found"
    assert (await scoring.client.get("/v1/scores", headers=headers)).status_code == 422


async def test_a_rep_sees_the_scores_of_their_own_opportunities(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    eventually: Eventually,
    publish_assessment: Publish,
    publish_profile: Publish,
) -> None:
    await publish_assessment()
    await publish_profile()
    scored, parked = submission("opp-1"), submission("opp-1", form=shipped_form(version=2))
    for each in (scored, parked):
        await scoring.publish(each, tenant=tenant)
    await scoring.events(SubmissionScored, tenant=tenant, count=1)

    async def seen(subject: str) -> list[str]:
        headers, found = scoring.headers(tenant, "rep", subject), []
        for path in (
            f"/v1/submissions/{scored.submission_id}/score",
            f"/v1/submissions/{parked.submission_id}/score",
            "/v1/scores?opportunity_id=opp-1",
        ):
            answer = await scoring.client.get(path, headers=headers)
            found.append(answer.json().get("code", "seen"))
        return found

    async def seen_by(subject: str, expected: list[str]) -> None:
        assert await seen(subject) == expected

    nothing, all_of_it = (
        ["score_not_found", "score_not_found", "opportunity_not_found"],
        ["seen", "score_pending", "seen"],
    )
    await seen_by("ann", nothing)
    await scoring.publish(record_observed(opportunity_id="opp-1", owner_id="ann"), tenant=tenant, sequence=2)
    await eventually(lambda: seen_by("ann", all_of_it))
    await seen_by("eve", nothing)
    # What was observed before the last says nothing new.
    await scoring.publish(record_observed(opportunity_id="opp-1", owner_id="eve"), tenant=tenant, sequence=1)
    await scoring.publish(record_observed(opportunity_id="opp-1", owner_id="bob"), tenant=tenant, sequence=3)
    await eventually(lambda: seen_by("bob", all_of_it))
    await seen_by("ann", nothing)


async def test_another_tenants_profile_does_not_score(
    scoring: ServiceUnderTest,
    tenant: str,
    submission: Submission,
    eventually: Eventually,
    publish_assessment: Publish,
    publish_profile: Publish,
) -> None:
    await publish_assessment()
    await publish_profile()
    other = f"{tenant}-other"
    sent = copy.deepcopy(submission())
    await scoring.publish(sent, tenant=other)

    async def waits() -> None:
        assert (await score_of(scoring, other, sent.submission_id)).json()["code"] == "score_pending"

    await eventually(waits)
    assert await count(scoring, tenant, score) == 0
