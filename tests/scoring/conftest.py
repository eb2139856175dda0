"""A running scoring service and the field example's events."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
import pytest_asyncio
from forms.answers import Answers
from forms.definition import Form
from kit.ids import uuid7
from scoring.templates import profile_templates
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from testing.service import ServiceUnderTest, StartService

from tests.builders import ANSWERS, assessment_published, assessment_submitted, shipped_form


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scoring(start_service: StartService) -> ServiceUnderTest:
    return await start_service("scoring")


@pytest.fixture
def field_form() -> Form:
    """The field example's prospecting assessment."""
    return shipped_form()


@pytest.fixture
def submission(field_form: Form) -> Callable[..., AssessmentSubmitted]:
    """Makes submissions of the prospecting assessment, of 70 points by default."""

    def make(
        opportunity_id: str = "opp-1",
        answers: Answers = ANSWERS,
        submission_id: UUID | None = None,
        form: Form = field_form,
    ) -> AssessmentSubmitted:
        return assessment_submitted(
            form, answers, opportunity_id=opportunity_id, submission_id=str(submission_id or uuid7())
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
        await scoring.publish(assessment_published(form), tenant=tenant, sequence=form.version)
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
