"""The scoring service: points to scores, with sub-scores and a trace."""

from fastapi import FastAPI
from kit.app import create_app
from kit.database.tables import parked
from kit.database.waiting import Waiting

from scoring import consumers, endpoints
from scoring.settings import Settings


def create(settings: Settings | None = None) -> FastAPI:
    """The application, with settings from the environment unless given."""
    return create_app(
        settings or Settings.read(),
        description="Turns answers into exact, explained scores",
        routers=[endpoints.router],
        handlers=consumers.HANDLERS,
        waiting=[Waiting("parked_submissions", parked, "parked_at")],
    )
