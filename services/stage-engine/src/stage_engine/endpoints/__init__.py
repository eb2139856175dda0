"""The HTTP edge, by the use it serves."""

from stage_engine.endpoints import facts, kpis, opportunities, partner_feeds, pipelines

ROUTERS = (pipelines.router, partner_feeds.router, opportunities.router, facts.router, kpis.router)
