"""The funnel and the optimism gap, over HTTP."""

from datetime import timedelta
from decimal import Decimal

import pytest
from kit.ids import utc_now

from tests.stage_engine import Tenant, stamp

pytestmark = pytest.mark.stack


class TestKpis:
    async def test_the_funnel_judges_no_opportunity_too_early_and_counts_each_once(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline()
        long_ago = utc_now() - timedelta(days=200)
        for number, stage in enumerate(("prospecting", "prospecting", "discovery", "negotiation")):
            await world_of.observe(f"o{number}", stage, committed_at=stamp(long_ago), amount=str(100 * (number + 1)))
        await world_of.observe("young", "prospecting", amount="50")
        await world_of.changes(5)
        soon = long_ago + timedelta(days=10)
        await world_of.observe("o0", "discovery", committed_at=stamp(soon), amount="100")
        await world_of.observe("o0", "prospecting", committed_at=stamp(soon + timedelta(days=1)), amount="100")
        await world_of.observe("o0", "discovery", committed_at=stamp(soon + timedelta(days=2)), amount="100")
        await world_of.changes(8)
        stages = {s["key"]: s for s in (await world_of.get("/v1/funnel"))["stages"]}
        first = stages["prospecting"]
        assert (first["entered"], first["censored"], first["reached_later"]) == (3, 1, 1)
        assert (first["conversion"], first["strict_conversion"]) == ("0.5", "0.5")
        assert (first["claimed"], first["earned"]["opportunities"]) == ({"opportunities": 2, "amount": "250"}, 5)
        assert stages["demo"]["conversion"] is None

        gap = await world_of.get("/v1/optimism-gap")
        assert gap["overall"]["open"] == {"opportunities": 5, "amount": "1050"}
        assert gap["overall"]["ahead"] == {"opportunities": 3, "amount": "800"}
        assert Decimal(gap["overall"]["gap"]) == Decimal("0.7619")
        assert Decimal(gap["by_owner"][0]["mean_rank_gap"]) == 1
