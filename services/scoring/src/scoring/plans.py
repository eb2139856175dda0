"""Compiled profiles and analyses, kept because what they are of never changes."""

from collections import OrderedDict
from uuid import UUID

from scoring.domain.lint import Analysis
from scoring.domain.plan import ScoringPlan

# Questions and choices that the plans kept may have together, each a kilobyte or less: a usual profile has a hundred,
# the largest some ten thousand.
MAX_SIZE = 100_000


class PlanCache:
    """Plans of published profiles by tenant and profile id; the least recently used ones give way once all together are
    too large."""

    def __init__(self) -> None:
        self._plans: OrderedDict[tuple[str, UUID], ScoringPlan] = OrderedDict()
        self.size = 0

    def get(self, tenant_id: str, profile_id: UUID) -> ScoringPlan | None:
        plan = self._plans.get((tenant_id, profile_id))
        if plan is not None:
            self._plans.move_to_end((tenant_id, profile_id))
        return plan

    def put(self, tenant_id: str, profile_id: UUID, plan: ScoringPlan) -> None:
        if (tenant_id, profile_id) in self._plans:
            return
        self._plans[tenant_id, profile_id] = plan
        self.size += plan.size
        while self.size > MAX_SIZE and len(self._plans) > 1:
            self.size -= self._plans.popitem(last=False)[1].size


# Each may list 5,000 scores and 500 findings.
MAX_ANALYSES = 100


class AnalysisCache:
    """Analyses by tenant, profile id and revision; the least recently used one gives way."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, UUID, int], Analysis] = OrderedDict()

    def get(self, key: tuple[str, UUID, int]) -> Analysis | None:
        if key in self._found:
            self._found.move_to_end(key)
        return self._found.get(key)

    def put(self, key: tuple[str, UUID, int], analysis: Analysis) -> None:
        self._found[key] = analysis
        if len(self._found) > MAX_ANALYSES:
            self._found.popitem(last=False)
