"""The recommender: learns from outcomes and recommends stages."""

from fastapi import FastAPI
from kit.app import create_app
from kit.database.waiting import Waiting
from kit.delivery.pace import PATIENT

from recommender import consumers, endpoints
from recommender.models import parked_submission
from recommender.settings import Settings
from recommender.tasks import stop_waiting


def create(settings: Settings | None = None) -> FastAPI:
    return create_app(
        settings or Settings.read(),
        description="Learns where opportunities with such evidence ended up, recommends a stage or says why not; "
        "it never moves one",
        routers=[endpoints.router],
        handlers=consumers.HANDLERS,
        tasks=[stop_waiting],
        pace=PATIENT,
        waiting=[Waiting("parked_submissions", parked_submission, "parked_at")],
    )
