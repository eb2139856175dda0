"""The HTTP edge, by the use it serves."""

from stage_engine.endpoints import (
    actions,
    assignment,
    calendars,
    facts,
    holds,
    kpis,
    modes,
    obligations,
    opportunities,
    partner_feeds,
    pipelines,
    portfolio,
    releases,
    unplaced,
    versions,
)

ROUTERS = (
    pipelines.router,
    versions.router,
    releases.router,
    modes.router,
    partner_feeds.router,
    # Before the accounts themselves: it is not the id of one.
    portfolio.router,
    *opportunities.SUBJECTS,
    opportunities.decisions,
    *actions.ACTIONS,
    actions.actions,
    unplaced.router,
    *holds.HOLDS,
    calendars.router,
    facts.router,
    kpis.router,
    assignment.router,
    *assignment.ASSIGNING,
    obligations.router,
)
