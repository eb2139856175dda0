"""The CRM connector: the CRM in both directions, and the only place that knows Salesforce."""

from fastapi import FastAPI
from kit.app import create_app

from crm_connector import consumers, endpoints, lead_endpoints, stage_endpoints
from crm_connector.settings import Settings
from crm_connector.synchronise import synchronise


def create(settings: Settings | None = None) -> FastAPI:
    """The application, with settings from the environment unless given."""
    return create_app(
        settings or Settings.read(),
        description="Writes decisions into the CRM and observes what people change there",
        routers=[endpoints.router, stage_endpoints.router, lead_endpoints.router],
        handlers=consumers.HANDLERS,
        tasks=[synchronise],
    )
