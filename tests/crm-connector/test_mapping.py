"""Stage mappings: what they make of the CRM's stages, and which of them are refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from crm_connector.domain.stages import CrmStage
from crm_connector.service.mapping import keep_catalog
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_OPEN, PipelinePublished, Stage
from testing.service import eventually

from tests.builders import mapped

pytestmark = pytest.mark.stack


def edit(linked: Any, opportunity_id: str, **fields: Any) -> None:
    linked.org.sim("edit", {"id": opportunity_id, "fields": fields})


class TestMapping:
    async def test_an_unmapped_stage_is_published_and_again_once_mapped(self, linked: Any) -> None:
        opportunity_id = await linked.created()
        edit(linked, opportunity_id, StageName="Legal Review")
        _, unmapped = await linked.observed(opportunity_id, 2)
        assert (unmapped.crm_stage, mapped(unmapped)) == ("Legal Review", "")
        edit(linked, opportunity_id, StageName="Negotiation")
        await linked.observed(opportunity_id, 3)
        client, path = linked.service.client, "/v1/stage-mappings/sales"
        current = await client.get(path, headers=linked.headers)
        stages = current.json()["stages"]
        assert current.json()["unmapped"] == []
        del stages["negotiation"]
        headers = {**linked.headers, "If-Match": current.headers["etag"]}
        changed = await client.put(path, json={"stages": stages}, headers=headers)
        assert changed.status_code == 200, changed.text
        assert mapped((await linked.observed(opportunity_id, 4))[-1]) == ""
        stale = await client.put(path, json={"stages": stages}, headers=headers)
        assert stale.status_code == 412
        stages["negotiation"] = "Negotiation"
        headers["If-Match"] = changed.headers["etag"]
        assert (await client.put(path, json={"stages": stages}, headers=headers)).status_code == 200
        assert mapped((await linked.observed(opportunity_id, 5))[-1]) == "negotiation"

    async def test_a_mapping_that_disagrees_with_the_org_is_refused(self, linked: Any) -> None:
        client, path = linked.service.client, "/v1/stage-mappings/sales"
        current = await client.get(path, headers=linked.headers)
        headers = {**linked.headers, "If-Match": current.headers["etag"]}
        wrong = {"closed_won": "Demo", "demo": "Closed Won", "ghost": "Discovery", "discovery": "Nowhere"}
        reply = await client.put(path, json={"stages": wrong}, headers=headers)
        assert reply.status_code == 422
        codes = {error["pointer"]: error["code"] for error in reply.json()["errors"]}
        assert codes == {
            "/stages/closed_won": "category_disagrees",
            "/stages/demo": "category_disagrees",
            "/stages/ghost": "stage_unknown",
            "/stages/discovery": "crm_stage_unknown",
        }


class TestCheck:
    async def test_stages_that_the_org_lacks_are_named_before_publication(self, linked: Any) -> None:
        stages = [
            {"key": "demo", "name": "Demo", "category": "open"},
            {"key": "trial", "name": "Trial Run", "category": "open"},
            {"key": "gone", "name": "Closed Lost", "category": "open"},
        ]
        path, client = "/v1/stage-mappings/check", linked.service.client
        body = {"pipeline_key": "new_one", "stages": stages}
        reply = await client.post(path, json=body, headers=linked.headers)
        assert reply.status_code == 200, reply.text
        found = reply.json()
        assert found["stages"] == {"demo": "Demo"}
        assert [(each["stage_key"], each["code"]) for each in found["missing"]] == [
            ("trial", "crm_stage_missing"),
            ("gone", "category_disagrees"),
        ]
        assert "'Trial Run'" in found["missing"][0]["detail"]
        assert (await client.get("/v1/stage-mappings/new_one", headers=linked.headers)).status_code == 404
        rep = linked.service.headers(linked.tenant, "rep")
        assert (await client.post(path, json=body, headers=rep)).status_code == 403


def crm(name: str, label: str) -> CrmStage:
    return CrmStage(name, label, 1, is_active=True, is_closed=False, is_won=False)


def version(number: int, **stages: str) -> PipelinePublished:
    found = [Stage(key=key, name=name, category=CATEGORY_OPEN) for key, name in stages.items()]
    return PipelinePublished(pipeline_key="sales", version=number, name="Sales", stages=found, is_default=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def idle(start_service: Any) -> AsyncIterator[Any]:
    """The connector, with the CRM of no tenant of these tests."""
    yield await start_service("crm_connector", salesforce_tenant="another")


class TestVersions:
    """Each version of a pipeline has a mapping of its own, by the CRM's API names."""

    @pytest.fixture
    async def known(self, idle: Any, tenant: str) -> Any:
        """Asks for the mapping of a version once that is known."""
        service = idle

        async def mapping(number: int) -> dict[str, str]:
            async def there() -> dict[str, str]:
                path, headers = f"/v1/stage-mappings/sales?version={number}", service.headers(tenant)
                reply = await service.client.get(path, headers=headers)
                assert reply.status_code == 200
                return reply.json()["stages"]

            return await eventually(there)

        mapping.service = service  # pyright: ignore[reportFunctionMemberAccess]
        async with service.database.unit_of_work(tenant) as uow:
            await keep_catalog(uow, [crm("Prospecting", "Prospecting"), crm("Demo", "Demo")])
        await service.publish(version(1, prospecting="Prospecting", demo="Demo"), tenant=tenant)
        await mapping(1)
        return mapping

    async def test_a_new_label_in_the_crm_changes_nothing(self, known: Any, tenant: str) -> None:
        before = await known(1)
        async with known.service.database.unit_of_work(tenant) as uow:
            await keep_catalog(uow, [crm("Prospecting", "Akquise"), crm("Demo", "Vorf\u00fchrung"), crm("D2", "Demo")])
        assert await known(1) == before == {"prospecting": "Prospecting", "demo": "Demo"}

    async def test_a_removed_stage_stays_mapped_in_its_version_and_can_be_repaired_there(
        self, known: Any, tenant: str
    ) -> None:
        await known.service.publish(version(2, prospecting="Lead", trial="Demo"), tenant=tenant)
        assert await known(2) == {"prospecting": "Prospecting", "trial": "Demo"}
        assert await known(1) == {"prospecting": "Prospecting", "demo": "Demo"}
        client, headers = known.service.client, known.service.headers(tenant) | {"If-Match": '"0"'}
        body = {"stages": {"demo": "Prospecting"}}
        newest = await client.put("/v1/stage-mappings/sales", json=body, headers=headers)
        assert newest.json()["errors"][0]["code"] == "stage_unknown"
        repaired = await client.put("/v1/stage-mappings/sales?version=1", json=body, headers=headers)
        assert repaired.status_code == 200, repaired.text
        assert await known(1) == {"demo": "Prospecting"}
        assert (await known(2))["trial"] == "Demo"
        missing = await client.get("/v1/stage-mappings/sales?version=3", headers=headers)
        assert missing.json()["code"] == "pipeline_not_found"

    async def test_a_stage_that_the_crm_gets_later_is_found_by_its_name(self, known: Any, tenant: str) -> None:
        await known.service.publish(version(2, prospecting="Prospecting", legal="Legal"), tenant=tenant)
        assert await known(2) == {"prospecting": "Prospecting"}
        async with known.service.database.unit_of_work(tenant) as uow:
            await keep_catalog(uow, [crm("Prospecting", "Prospecting"), crm("Demo", "Demo"), crm("Legal", "Legal")])
        assert await known(2) == {"prospecting": "Prospecting", "legal": "Legal"}


class TestPinned:
    async def test_an_opportunity_is_read_by_the_version_that_it_is_in(self, linked: Any, make: Any) -> None:
        first, second = make.pipeline(1, key="new", default=False), make.pipeline(2, key="new", default=False)
        second.stages[2].key = "trial"
        await linked.publish_pipelines(first, second)
        opportunity_id = await linked.created(StageName="Demo")
        for number, stage_key in ((1, "demo"), (2, "trial")):
            # Once a decision says that the opportunity is in this version, its stage is published as that reads it.
            decision = make.decision(opportunity_id, number)
            decision.pipeline_key, decision.pipeline_version = "new", number
            await linked.decide(decision)
            await linked.shows(opportunity_id, pipeline_version=number, stage_key=stage_key)
        assert [mapped(each) for each in await linked.observed(opportunity_id, 3)][1:] == ["demo", "trial"]


class TestMigrated:
    """A decision that brings an opportunity to another version, where its stage has another key."""

    async def migrated(self, linked: Any, make: Any, name: str, key: str) -> Any:
        first, second = make.pipeline(1, key=key, default=False), make.pipeline(2, key=key, default=False)
        second.stages[2].key, second.stages[2].name = "trial", name
        # The counterpart of a stage that the version before had is free again.
        del second.stages[3]
        await linked.publish_pipelines(first, second)
        opportunity_id = await linked.created(StageName="Demo")
        placed = make.decision(opportunity_id, 1)
        placed.pipeline_key = key
        await linked.decide(placed)
        await linked.shows(opportunity_id, pipeline_version=1, stage_key="demo")
        moves = make.decision(opportunity_id, 2, target="trial", expected="demo")
        moves.pipeline_key, moves.pipeline_version, moves.crm_expected_version = key, 2, 1
        await linked.decide(moves)
        return opportunity_id

    async def test_what_the_crm_calls_alike_is_not_written(self, linked: Any, make: Any) -> None:
        opportunity_id = await self.migrated(linked, make, "Demo", "alike")
        await linked.state_of(opportunity_id, "SUPERSEDED")
        assert mapped((await linked.observed(opportunity_id, 3))[-1]) == "trial"
        assert linked.record(opportunity_id)["StageName"] == "Demo"

    async def test_another_name_replaces_the_one_of_the_version_before(self, linked: Any, make: Any) -> None:
        opportunity_id = await self.migrated(linked, make, "Negotiation", "renamed")
        (written,) = await linked.state_of(opportunity_id, "ECHOED")
        assert written["attempts"] == 1
        assert linked.record(opportunity_id)["StageName"] == "Negotiation"
        await linked.shows(opportunity_id, stage_key="trial")

    async def test_an_edit_in_between_wins(self, linked: Any, make: Any) -> None:
        opportunity_id = await self.migrated(linked, make, "Demo", "edited")
        # Else the edit may be read by the version before, and the move reads nothing differently.
        await linked.shows(opportunity_id, pipeline_version=2)
        edit(linked, opportunity_id, StageName="Discovery")
        late = make.decision(opportunity_id, 3, target="prospecting", expected="demo")
        late.pipeline_key, late.pipeline_version, late.crm_expected_version = "edited", 2, 1
        await linked.observed(opportunity_id, 3)
        await linked.decide(late)
        await linked.state_of(opportunity_id, "SUPERSEDED", "CONFLICT")
        assert linked.record(opportunity_id)["StageName"] == "Discovery"
