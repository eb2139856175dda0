"""What is kept of compiled profiles."""

from uuid import uuid4

from scoring.domain.plan import Bounds, compile_plan
from scoring.domain.profile import ZERO, profile_from_json
from scoring.plans import MAX_SIZE, PlanCache

from tests.scoring.largest import largest_form, largest_profile


def test_it_is_bounded_by_size_and_the_least_used_gives_way() -> None:
    plan = compile_plan(largest_form(), profile_from_json("f", 1, largest_profile()), Bounds(ZERO, ZERO))
    kept, room = PlanCache(), MAX_SIZE // plan.size
    ids = [uuid4() for _ in range(room + 1)]
    for profile_id in ids[:room]:
        kept.put("acme", profile_id, plan)
    assert kept.get("acme", ids[0]) is plan
    kept.put("acme", ids[room], plan)
    assert kept.get("acme", ids[1]) is None
    assert kept.get("acme", ids[0]) is plan
    assert kept.size == room * plan.size
