"""Plans: every live opportunity has a place, and where no two stages go into one there is a way back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.versions import Held, Plan, has_place, orphans, used_stages

STAGES = ["prospecting", "discovery", "demo", "negotiation", "closed_won", "closed_lost"]
KEYS = st.sampled_from([*STAGES, "gone"])
PLANS = st.dictionaries(KEYS, KEYS, max_size=7).map(Plan)
HELD = st.lists(
    st.builds(Held, st.integers(1, 3), st.sampled_from(["", *STAGES[:4], "gone"]), KEYS, st.integers(1, 9)), max_size=8
)


@given(plan=PLANS, held=HELD)
def test_nothing_is_lost(world: Any, plan: Plan, held: list[Held]) -> None:
    """What has no place is told with its number, and everything else has one."""
    pipeline = world.pipeline()
    told = orphans(plan, held, pipeline)
    without = [h for h in held if not has_place(plan, pipeline, h.stage_key, h.earned_stage)]
    assert sum(each.opportunities for each in told) == sum(each.opportunities for each in without)
    assert len({(o.version, o.stage_key, o.code, o.earned) for o in told}) == len(told)


@given(plan=PLANS, held=HELD)
def test_a_plan_that_is_completed_leads_where_it_did(plan: Plan, held: list[Held]) -> None:
    whole = plan.completed(used_stages(held))
    assert used_stages(held) <= whole.stages.keys()
    assert all(whole.target(key) == plan.target(key) for key in [*STAGES, "gone"])


@given(plan=PLANS, held=HELD)
def test_the_way_back_leads_to_the_same_stages_or_there_is_none(plan: Plan, held: list[Held]) -> None:
    whole = plan.completed(used_stages(held))
    if not whole.is_injective:
        with pytest.raises(ValueError, match="two stages"):
            whole.inverse()
        return
    back = whole.inverse()
    assert all(back.target(whole.target(key)) == key for key in whole.stages)


def test_why_there_is_no_place(world: Any) -> None:
    held = [Held(1, "gone", "prospecting", 2), Held(1, "gone", "gone", 3), Held(2, "demo", "gone", 1)]
    held += [Held(2, "discovery", "discovery", 4), Held(2, "", "prospecting", 9)]
    told = orphans(Plan({"discovery": "closed_lost"}), held, world.pipeline())
    assert [(o.version, o.stage_key, o.opportunities, o.code, o.earned) for o in told] == [
        (1, "gone", 5, "no_target", False),
        (2, "discovery", 4, "target_closed", False),
        (2, "gone", 1, "no_target", True),
    ]
