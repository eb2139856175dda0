"""Which pipeline a record gets."""

from decimal import Decimal
from typing import Any

from stage_engine.domain.choosing import choose


class TestChoose:
    def test_the_first_by_priority_whose_cells_hold(self, world: Any) -> None:
        renewal = world.pipeline(
            key="renewal", priority=-1, applies_when=[{"fact": "opportunity.type", "cell": "'renewal'"}]
        )
        large = world.pipeline(key="large", applies_when=[{"fact": "opportunity.amount", "cell": ">= 100000"}])
        rest = world.pipeline(key="rest", priority=5)
        lead = world.pipeline(key="lead", object_type="lead")
        every = [rest, large, lead, renewal]
        facts = {"opportunity.type": "renewal", "opportunity.amount": Decimal(200000)}
        for given, chosen in ((facts, "renewal"), ({**facts, "opportunity.type": "new"}, "large"), ({}, "rest")):
            found = choose(every, "opportunity", given).pipeline
            assert found is not None and found.key == chosen
        nothing = choose([large, renewal], "opportunity", {})
        assert nothing.pipeline is None
        assert nothing.reason == (
            "no pipeline applies: renewal (opportunity.type has to be 'renewal'), "
            "large (opportunity.amount has to be >= 100000)"
        )
        assert choose(every, "account", facts).reason == "no pipeline is for a record of type account"
