"""The funnel and the optimism gap, over HTTP."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from kit.ids import utc_now

from tests.stage_engine import Tenant, stamp

pytestmark = pytest.mark.stack


class TestKpis:
    async def stage(self, world_of: Tenant, key: str) -> Any:
        stages = (await world_of.get("/v1/funnel"))["stages"]
        return next(stage for stage in stages if stage["key"] == key)

    @pytest.mark.capability(3, 38, 81)
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
        assert (first["entered"], first["judged"], first["censored"], first["reached_later"]) == (3, 2, 1, 1)
        # The young one was watched for a day only, on which nothing happened to anyone.
        assert (first["conversion"]["value"], first["strict_conversion"]["value"]) == ("0.5", "0.5")
        assert Decimal(first["conversion"]["low"]) < Decimal("0.2") and Decimal(first["conversion"]["high"]) > Decimal(
            "0.8"
        )
        assert first["median_days"] == 10
        assert (first["claimed"], first["earned"]["opportunities"]) == (
            {"opportunities": 2, "amounts": [{"currency": "", "amount": "250"}]},
            5,
        )
        assert stages["demo"]["conversion"] is None

        # Won by mistake, then lost in one move: it did not get on.
        await world_of.observe("o3", "closed_won", committed_at=stamp(soon), amount="400")
        await world_of.changes(9)
        assert (await self.stage(world_of, "negotiation"))["reached_later"] == 1
        await world_of.observe("o3", "closed_lost", committed_at=stamp(soon + timedelta(days=1)), amount="400")
        await world_of.changes(10)
        last = await self.stage(world_of, "negotiation")
        assert (last["reached_later"], last["conversion"]["value"]) == (0, "0")
        await world_of.observe("o3", "negotiation", committed_at=stamp(soon + timedelta(days=2)), amount="400")
        await world_of.changes(11)

        gap = await world_of.get("/v1/optimism-gap")
        assert gap["overall"]["open"] == {"opportunities": 5, "amounts": [{"currency": "", "amount": "1050"}]}
        assert gap["overall"]["ahead"] == {"opportunities": 3, "amounts": [{"currency": "", "amount": "800"}]}
        assert gap["overall"]["gaps"] == [{"currency": "", "gap": "0.7619"}]
        assert Decimal(gap["by_owner"][0]["mean_rank_gap"]) == 1

    async def test_amounts_of_two_currencies_are_never_added_up(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline(currency="EUR")
        for number, (amount, currency) in enumerate((("50000", "EUR"), ("1500000", "JPY"), ("0.10", "EUR"))):
            await world_of.observe(f"o{number}", "discovery", amount=amount, currency=currency)
        await world_of.changes(3)
        total = {"opportunities": 3, "amounts": [{"currency": "EUR", "amount": "50000.1"},
                                                 {"currency": "JPY", "amount": "1500000"}]}  # fmt: skip
        assert (await self.stage(world_of, "discovery"))["claimed"] == total
        gap = await world_of.get("/v1/optimism-gap")
        assert gap["overall"]["ahead"] == total
        assert gap["overall"]["gaps"] == [{"currency": "EUR", "gap": "1"}, {"currency": "JPY", "gap": "1"}]
        assert (await world_of.get("/v1/opportunities/o1"))["currency"] == "JPY"
