"""The assessment service: authoring, delivery ("which assessment now?") and capture, online and offline."""

from fastapi import FastAPI
from kit.app import create_app
from kit.delivery.pace import PATIENT

from assessment import consumers
from assessment.endpoints import authoring, capture, delivery
from assessment.settings import Settings


def create(settings: Settings | None = None) -> FastAPI:
    """The application, with settings from the environment unless given."""
    return create_app(
        settings or Settings.read(),
        description="Authors assessments, says which one an opportunity is due, and captures the answers",
        routers=[authoring.router, capture.router, delivery.router],
        handlers=consumers.HANDLERS,
        pace=PATIENT,
    )
