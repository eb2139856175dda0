"""The recommender: `create` builds it, `app` is what a server runs."""

from fastapi import FastAPI
from kit.app import create_app

from recommender import consumers, endpoints
from recommender.settings import Settings


def create(settings: Settings | None = None) -> FastAPI:
    return create_app(
        settings or Settings(),
        description="Learns where deals with such evidence ended up, recommends a stage or says why not; "
        "it never moves one",
        routers=[endpoints.router],
        handlers=consumers.HANDLERS,
    )


app = create()
