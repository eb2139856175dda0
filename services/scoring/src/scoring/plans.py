"""Compiled profiles, kept because published ones never change."""

from collections import OrderedDict
from uuid import UUID

from scoring.domain.plan import ScoringPlan

MAX_PLANS = 500


class PlanCache:
    """Plans of published profiles by tenant and profile id; the least recently used one gives way."""

    def __init__(self) -> None:
        self._plans: OrderedDict[tuple[str, UUID], ScoringPlan] = OrderedDict()

    def get(self, tenant_id: str, profile_id: UUID) -> ScoringPlan | None:
        plan = self._plans.get((tenant_id, profile_id))
        if plan is not None:
            self._plans.move_to_end((tenant_id, profile_id))
        return plan

    def put(self, tenant_id: str, profile_id: UUID, plan: ScoringPlan) -> None:
        self._plans[tenant_id, profile_id] = plan
        if len(self._plans) > MAX_PLANS:
            self._plans.popitem(last=False)
