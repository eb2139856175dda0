"""With 100,000 opportunities in one pipeline, what goes over a set goes over it in pages: it ends, and no statement and
no transaction grows with the data."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from crm_connector.crm import ChangeBatch
from crm_connector.domain.intents import Reply, Verdict
from crm_connector.domain.observation import ChangeKind, CrmChange
from crm_connector.recording import RecordingCrm
from crm_connector.repository.connection import ConnectionRepository
from crm_connector.sender import LEASE
from crm_connector.service import inbound
from crm_connector.service.mapping import PAGE, remap_page
from crm_connector.service.outbound import prepare
from crm_connector.service.settling import Replied, settle_replies
from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now
from sqlalchemy import text
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_OPEN, PipelinePublished, Stage

from tests.plans.statements import largest_statement
from tests.published import publish_pipelines

pytestmark = [pytest.mark.slow, pytest.mark.stack]
OPPORTUNITIES = 100_000
# One in so many is in a stage whose mapping changes.
ONE_IN = 20
MOST_PARAMETERS = 100
# Of the queue, for each write that is sent or settled.
MOST_OF_QUEUE = 12


def pipeline(version: int, *stages: str) -> PipelinePublished:
    found = [Stage(key=name.lower(), name=name, category=CATEGORY_OPEN) for name in stages]
    return PipelinePublished(pipeline_key="sales", version=version, name="Sales", stages=found, is_default=True)


def fill(service: Any, tenant: str, statement: str, *parameters: Any) -> None:
    with psycopg.connect(service.owner_url) as connection:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant])
        connection.execute(statement, [tenant, *parameters])  # pyright: ignore[reportArgumentType]
        connection.execute("ANALYZE")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def connector(start_service: Any) -> tuple[Any, str]:
    """The connector with all opportunities in the first version of a pipeline."""
    tenant = f"tenant-{uuid4().hex[:8]}"
    service = await start_service("crm_connector", salesforce_tenant="another")
    await publish_pipelines(service, tenant, pipeline(1, "Prospecting", "Demo"))
    fill(service, tenant, "UPDATE pipeline SET remap_after = NULL WHERE tenant_id = %s")
    fill(
        service,
        tenant,
        """
        INSERT INTO opportunity (
            tenant_id, opportunity_id, object_type, known, pipeline_key, pipeline_version, stage_key, stage_is_ours,
            sequence, mapped_stages
        )
        SELECT %s, '006' || lpad(n::text, 12, '0'), 'opportunity',
               jsonb_build_object('facts', jsonb_build_object('stage', stage)),
               'sales', 1, lower(stage), false, 1, '[]'
        FROM generate_series(1, %s) AS n,
             LATERAL (SELECT CASE WHEN n %% %s = 0 THEN 'Demo' ELSE 'Prospecting' END AS stage) AS s
        """,
        OPPORTUNITIES,
        ONE_IN,
    )
    return service, tenant


async def rows_read(uow: UnitOfWork, table: str) -> int:
    """How many rows of the table this transaction has read."""
    counted = text(
        "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
        " WHERE relname = :table"
    )
    return (await uow.session.execute(counted, {"table": table})).scalar_one()


class TestConnector:
    async def remap(self, service: Any, tenant: str) -> tuple[int, int]:
        """How many pages there were, and how much was published."""
        pages = published = 0
        while True:
            async with service.database.unit_of_work(tenant) as uow:
                found = await remap_page(uow)
            if not found:
                return pages, published
            assert uow.published <= PAGE
            pages, published = pages + 1, published + uow.published

    async def test_a_changed_mapping_and_a_new_version(self, connector: tuple[Any, str]) -> None:
        service, tenant = connector
        headers, path = service.headers(tenant), "/v1/stage-mappings/sales"
        with largest_statement(service.database) as largest:
            current = await service.client.get(path, headers=headers)
            headers["If-Match"] = current.headers["etag"]
            body = {"stages": {"prospecting": "Prospecting"}}
            changed = await service.client.put(path, json=body, headers=headers)
            assert changed.json()["unmapped"] == ["demo"]
            pages, published = await self.remap(service, tenant)
            assert published == OPPORTUNITIES // ONE_IN
            assert pages == OPPORTUNITIES // PAGE + 1

            await publish_pipelines(service, tenant, pipeline(2, "Prospecting", "Trial"))
            # The opportunities are in the first version still.
            assert (await self.remap(service, tenant))[1] == 0
        assert largest.parameters <= MOST_PARAMETERS
        assert largest.values <= PAGE

    async def test_a_batch_of_changes_larger_than_a_statement_may_have_parameters(
        self, connector: tuple[Any, str]
    ) -> None:
        service, tenant = connector
        now = utc_now()
        changes = [
            CrmChange(
                f"c{n}", f"006{n:012d}", ChangeKind.UPDATED, now + timedelta(microseconds=n), fields={"OwnerId": "u"},
                facts={"owner_id": "u"},
            )
            for n in range(1, 33_001)
        ]  # fmt: skip
        with largest_statement(service.database) as largest:
            async with service.database.unit_of_work(tenant) as uow:
                assert await inbound.ids_to_read(uow, changes) == []
                await inbound.apply_changes(uow, ChangeBatch(changes, b"1"), {}, now)
            async with service.database.unit_of_work(tenant) as uow:
                assert await ConnectionRepository(uow.session, tenant).unseen([c.change_id for c in changes]) == set()
        assert largest.parameters <= MOST_PARAMETERS

    async def test_a_long_queue_is_drained_by_reading_little_of_it(self, connector: tuple[Any, str]) -> None:
        service, tenant = connector
        fill(
            service,
            tenant,
            """
            WITH given AS (
                SELECT %s AS tenant_id, gen_random_uuid() AS id, '006' || lpad(n::text, 12, '0') AS opportunity_id, n
                FROM generate_series(1, %s) AS n
            ), intents AS (
                INSERT INTO write_intent (
                    tenant_id, intent_id, opportunity_id, decision_id, decision_no, submission_id, pipeline_key,
                    pipeline_version, target_stage, expected_stage, reason_code, object_type
                )
                SELECT tenant_id, id, opportunity_id, id, 1, '', 'sales', 1, 'prospecting', '', '', 'opportunity'
                FROM given
            )
            INSERT INTO write_queue (
                tenant_id, intent_id, opportunity_id, decision_id, decision_no, revision, submission_id, pipeline_key,
                pipeline_version, target_stage, expected_stage, expected_version, earned_stage, reason_code,
                assessment_key, assessment_version, traceparent, priority, state, attempts, write_id, code, reason,
                left_out, due_at, created_at, object_type
            )
            SELECT tenant_id, id, opportunity_id, id, 1, 1, '', 'sales', 1, 'prospecting', '', 0, '', '', '', 0, '', 0,
                   CASE WHEN n %% 10 = 0 THEN 'PARKED' ELSE 'NEW' END, 0, '', 'X', '', '{}', now(),
                   now() + n * interval '1 microsecond', 'opportunity'
            FROM given
            """,
            OPPORTUNITIES,
        )
        crm, now = RecordingCrm(), utc_now() + timedelta(seconds=1)
        for _ in range(3):
            async with service.database.unit_of_work(tenant) as uow:
                ready, due = await prepare(uow, crm, now, crm.writes_at_once, LEASE)
                await uow.flush()
                assert len(ready) == due == crm.writes_at_once
                assert await rows_read(uow, "write_queue") / due <= MOST_OF_QUEUE
            replies = [
                Replied(each.queued, Reply(each.write.write_id, Verdict.CONFIRMED), "Prospecting") for each in ready
            ]
            async with service.database.unit_of_work(tenant) as uow:
                await settle_replies(uow, replies, now)
                await uow.flush()
                assert await rows_read(uow, "write_queue") / due <= MOST_OF_QUEUE
        headers, path = service.headers(tenant), "/v1/write-intents/retry"
        with largest_statement(service.database) as largest:
            for _ in range(3):
                reply = await service.client.post(path, json={"code": "X"}, headers=headers)
                assert reply.json() == {"count": 1000, "more": True}
        assert largest.values <= PAGE
