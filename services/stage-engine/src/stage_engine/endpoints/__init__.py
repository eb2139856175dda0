"""The HTTP edge, by the use it serves."""

from stage_engine.endpoints import kpis, opportunities, partner_feeds, pipelines, versions

ROUTERS = (pipelines.router, versions.router, partner_feeds.router, opportunities.router, kpis.router)
