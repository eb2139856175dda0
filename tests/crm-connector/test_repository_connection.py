"""Since when records of a type are followed: what is older is imported, whatever shows it first."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from crm_connector.repository.connection import ConnectionRepository
from kit.ids import utc_now, uuid7
from stagecraft.crm.v1.record_observed_pb2 import OBSERVATION_KIND_CREATED, OBSERVATION_KIND_IMPORTED
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_OPEN, PipelinePublished, Stage

from tests.published import publish_pipelines

pytestmark = pytest.mark.stack


def leads_pipeline(at: datetime) -> PipelinePublished:
    stages = [Stage(key="new", name="Open - Not Contacted", category=CATEGORY_OPEN)]
    return PipelinePublished(
        pipeline_key="leads", version=1, name="Leads", stages=stages, object_type="lead", published_at=at
    )


async def lead_of(linked: Any, company: str) -> str:
    async with linked.org.session() as client:
        body = {"LastName": "Lee", "Company": company, "Status": "Open - Not Contacted"}
        reply = await client.post("/services/data/v67.0/sobjects/Lead", json=body)
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


async def test_a_lead_counts_as_new_from_the_publication_of_the_first_pipeline_on(linked: Any) -> None:
    """Also one that came before the connector heard of the pipeline, and began to read leads."""
    old = await lead_of(linked, "Old Bank")
    # The org keeps whole seconds.
    await asyncio.sleep(1.1)
    published = utc_now()
    new = await lead_of(linked, "New Bank")
    await linked.service.publish(leads_pipeline(published), tenant=linked.tenant)
    kinds = [(await linked.observed(each, 1))[0].kind for each in (old, new)]
    assert kinds == [OBSERVATION_KIND_IMPORTED, OBSERVATION_KIND_CREATED]


async def test_a_type_is_followed_from_its_pipeline_on_also_before_its_import_has_begun(
    start_service: Any, tenant: str
) -> None:
    service = await start_service("crm_connector", salesforce_tenant="none")

    async def followed(*types: str) -> dict[str, datetime]:
        async with service.database.unit_of_work(tenant) as uow:
            connection = ConnectionRepository(uow.session, tenant)
            if types:
                run = await connection.start_import(uuid7(), "admin")
                await connection.begin_import(run, types, "fields")
                await connection.complete_import(run.import_id, utc_now())
            return await connection.followed_since()

    published = utc_now() + timedelta(hours=1)
    await publish_pipelines(service, tenant, leads_pipeline(published))
    assert await followed() == {}
    first = await followed("opportunity")
    assert first == {"opportunity": first["opportunity"], "lead": published.replace(microsecond=0)}
    # An import that began before the publication read all that was there by then.
    both = await followed("opportunity", "lead")
    assert both["opportunity"] == first["opportunity"] < both["lead"] < published
