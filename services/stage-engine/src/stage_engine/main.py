"""The stage engine: decides when an opportunity changes its stage, and says why."""

from fastapi import FastAPI
from kit.app import create_app
from kit.database.tables import parked
from kit.database.waiting import Waiting

from stage_engine import consumers
from stage_engine.endpoints import ROUTERS
from stage_engine.models.opportunities import opportunity
from stage_engine.models.pipelines import migration, mode_switching
from stage_engine.repository.modes import BREAKER_IS_OPEN
from stage_engine.settings import Settings
from stage_engine.tasks import (
    begin_meetings,
    carry_migrations,
    check_replays,
    fire_timers,
    measure_gap,
    place_unplaced,
    watch_breakers,
)


def create(settings: Settings | None = None) -> FastAPI:
    """The application, with settings from the environment unless given."""
    return create_app(
        settings or Settings.read(),
        description="Moves opportunities through their stages on evidence, and explains every decision",
        routers=ROUTERS,
        handlers=consumers.HANDLERS,
        tasks=[
            check_replays,
            measure_gap,
            carry_migrations,
            place_unplaced,
            fire_timers,
            begin_meetings,
            watch_breakers,
        ],
        waiting=[
            Waiting("parked_events", parked, "parked_at"),
            Waiting("migrations", migration, "started_at", "finished_at IS NULL"),
            Waiting("quarantined_opportunities", opportunity, "updated_at", "quarantined AND NOT deleted"),
            Waiting("open_breakers", mode_switching, "changed_at", BREAKER_IS_OPEN),
        ],
    )
