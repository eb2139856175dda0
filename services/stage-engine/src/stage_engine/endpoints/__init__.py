"""The HTTP edge, by the use it serves."""

from stage_engine.endpoints import deals, kpis, pipelines

ROUTERS = (pipelines.router, deals.router, kpis.router)
