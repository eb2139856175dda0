"""Stage mappings: what they make of the CRM's stages, and which of them are refused."""

from typing import Any

import pytest

pytestmark = pytest.mark.stack


def edit(linked: Any, opportunity_id: str, **fields: Any) -> None:
    linked.org.sim("edit", {"id": opportunity_id, "fields": fields})


class TestMapping:
    async def test_an_unmapped_stage_is_published_and_again_once_mapped(self, linked: Any) -> None:
        opportunity_id = await linked.created()
        edit(linked, opportunity_id, StageName="Legal Review")
        _, unmapped = await linked.observed(opportunity_id, 2)
        assert (unmapped.crm_stage, unmapped.stage_key) == ("Legal Review", "")
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
        assert (await linked.observed(opportunity_id, 4))[-1].stage_key == ""
        stale = await client.put(path, json={"stages": stages}, headers=headers)
        assert stale.status_code == 412
        stages["negotiation"] = "Negotiation"
        headers["If-Match"] = changed.headers["etag"]
        assert (await client.put(path, json={"stages": stages}, headers=headers)).status_code == 200
        assert (await linked.observed(opportunity_id, 5))[-1].stage_key == "negotiation"

    async def test_a_mapping_that_disagrees_with_the_org_is_refused(self, linked: Any) -> None:
        client, path = linked.service.client, "/v1/stage-mappings/sales"
        current = await client.get(path, headers=linked.headers)
        headers = {**linked.headers, "If-Match": current.headers["etag"]}
        wrong = {"closed_won": "Demo", "demo": "Closed Won", "ghost": "Discovery", "discovery": "Nowhere"}
        reply = await client.put(path, json={"stages": wrong}, headers=headers)
        assert reply.status_code == 422
        codes = {error["pointer"]: error["code"] for error in reply.json()["errors"]}
        assert codes == {
            "/body/stages/closed_won": "category_disagrees",
            "/body/stages/demo": "category_disagrees",
            "/body/stages/ghost": "stage_unknown",
            "/body/stages/discovery": "crm_stage_unknown",
        }
