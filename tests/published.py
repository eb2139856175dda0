"""Publishes pipelines to a connector, which hears of them on a topic of their own."""

from typing import Any

from stagecraft.stage.v1.pipeline_published_pb2 import PipelinePublished
from testing.service import eventually


async def publish_pipelines(service: Any, tenant: str, *pipelines: PipelinePublished) -> None:
    """Publish these versions, and wait until the connector reads by them: before that, what it says of a record's stage
    may differ, and it says it again afterwards."""
    for each in pipelines:
        await service.publish(each, tenant=tenant)

    async def known() -> None:
        for each in pipelines:
            path = f"/v1/stage-mappings/{each.pipeline_key}?version={each.version}"
            assert (await service.client.get(path, headers=service.headers(tenant))).status_code == 200

    await eventually(known)
