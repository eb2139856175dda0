"""The assessment service: authoring, delivery ("which assessment now?") and capture, online and offline."""

from fastapi import FastAPI
from kit.app import create_app
from kit.database.waiting import Waiting
from kit.delivery.pace import PATIENT
from kit.operators import people

from assessment import consumers
from assessment.endpoints import authoring, capture, delivery, review
from assessment.models import held_submission
from assessment.settings import Settings


def create(settings: Settings | None = None) -> FastAPI:
    """The application, with settings from the environment unless given."""
    return create_app(
        settings or Settings.read(),
        description="Authors assessments, says which one an opportunity is due, and captures the answers",
        routers=[authoring.router, capture.router, delivery.router, review.router, people.api],
        handlers=consumers.HANDLERS,
        waiting=[Waiting("held_submissions", held_submission, "received_at", "outcome IS NULL")],
        pace=PATIENT,
    )
