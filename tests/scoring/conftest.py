"""A running scoring service and the field example's events."""

import json
from collections.abc import Awaitable, Callable
from importlib.resources import files
from uuid import UUID

import pytest
import pytest_asyncio
from forms.answers import Answers
from forms.check import visible_questions
from forms.definition import Form, form_from_json
from forms.messages import answers_to_proto, form_to_event_fields
from google.protobuf.timestamp_pb2 import Timestamp
from kit.ids import utc_now, uuid7
from scoring.templates import profile_templates
from stagecraft.assessment.v1.assessment_published_pb2 import ASSESSMENT_STATUS_PUBLISHED, AssessmentPublished
from stagecraft.assessment.v1.assessment_submitted_pb2 import CHANNEL_ONLINE, AssessmentSubmitted
from stagecraft.common.v1.visit_pb2 import Visit
from testing.service import ServiceUnderTest, StartService

FIELD_ANSWERS: Answers = {"hours": "over_5", "compliance": "yes"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scoring(start_service: StartService) -> ServiceUnderTest:
    return await start_service("scoring")


@pytest.fixture(scope="session")
def load_form() -> Callable[[str], Form]:
    """Reads a shipped assessment, as its version 1."""

    def load(key: str) -> Form:
        document = json.loads((files("assessment") / "templates" / f"{key}.json").read_text(encoding="utf-8"))
        return form_from_json(document, 1)

    return load


@pytest.fixture
def field_form(load_form: Callable[[str], Form]) -> Form:
    """The field example's prospecting assessment."""
    return load_form("prospecting")


def published(form: Form) -> AssessmentPublished:
    return AssessmentPublished(**form_to_event_fields(form), status=ASSESSMENT_STATUS_PUBLISHED)


@pytest.fixture
def submission(field_form: Form) -> Callable[..., AssessmentSubmitted]:
    """Makes submissions of the prospecting assessment; 70 points unless told otherwise."""

    def make(
        opportunity_id: str = "opp-1",
        answers: Answers = FIELD_ANSWERS,
        submission_id: UUID | None = None,
        form: Form = field_form,
    ) -> AssessmentSubmitted:
        now = Timestamp()
        now.FromDatetime(utc_now())
        return AssessmentSubmitted(
            submission_id=str(submission_id or uuid7()),
            opportunity_id=opportunity_id,
            assessment_key=form.key,
            assessment_version=form.version,
            answers=answers_to_proto(form, answers),
            visible_questions=visible_questions(form, answers),
            visit=Visit(stage_key="prospecting", visit_no=1),
            submitted_by="rep-1",
            captured_at=now,
            received_at=now,
            channel=CHANNEL_ONLINE,
            attempt_no=1,
        )

    return make


@pytest.fixture
def draft() -> dict[str, object]:
    """The body of a draft with the field example's points."""
    return {
        "assessment_key": "prospecting",
        "assessment_version": 1,
        "title": "Prospecting points",
        "profile": profile_templates()["prospecting"].profile,
    }


@pytest.fixture
def publish_assessment(
    scoring: ServiceUnderTest, field_form: Form, tenant: str, eventually: Callable[..., Awaitable[object]]
) -> Callable[..., Awaitable[None]]:
    """Publishes an assessment and waits until scoring knows it."""

    async def publish(form: Form = field_form) -> None:
        await scoring.publish(published(form), tenant=tenant, sequence=form.version)
        headers = scoring.headers(tenant)
        body = {
            "assessment_key": form.key,
            "assessment_version": form.version,
            "profile": {"scale": "raw", "questions": []},
        }
        probe = (await scoring.client.post("/v1/scoring-profiles", json=body, headers=headers)).json()

        async def known() -> None:
            found = await scoring.client.get(f"/v1/scoring-profiles/{probe['profile_id']}", headers=headers)
            assert found.json()["findings"] is not None

        await eventually(known)

    return publish


@pytest.fixture
def publish_profile(
    scoring: ServiceUnderTest, tenant: str, draft: dict[str, object]
) -> Callable[..., Awaitable[dict[str, object]]]:
    """Writes and publishes a profile; the published view."""

    async def publish(**changes: object) -> dict[str, object]:
        headers = scoring.headers(tenant)
        made = await scoring.client.post("/v1/scoring-profiles", json=draft | changes, headers=headers)
        assert made.status_code == 201, made.text
        url = f"/v1/scoring-profiles/{made.json()['profile_id']}/publish"
        done = await scoring.client.post(url, headers=headers)
        assert done.status_code == 200, done.text
        return done.json()

    return publish
