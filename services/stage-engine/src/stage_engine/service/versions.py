"""What the versions of a pipeline hold, and what a plan would do with it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now

from stage_engine.domain.by_rules import all_facts, by_rules
from stage_engine.domain.decision import Outcome
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.on_migration import input_of, on_migration
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.replay import decode_opportunity
from stage_engine.domain.versions import Orphans, Plan, orphans, used_stages
from stage_engine.engine import compiled
from stage_engine.records.opportunities import OpportunityState
from stage_engine.repository.migrations import MigrationRepository
from stage_engine.repository.pending import PendingRepository
from stage_engine.service.migrating import check_names


@dataclass(frozen=True, slots=True)
class Flow:
    """Live opportunities of a version that go from one stage to another."""

    version: int
    from_stage: str
    to_stage: str
    opportunities: int


@dataclass(frozen=True, slots=True)
class Mover:
    """A live opportunity, where the plan takes it, and where the rules of the version would take it at the next input
    that they read; `next_outcome` says whether by themselves, empty when nowhere."""

    opportunity_id: str
    from_version: int
    from_stage: str
    to_stage: str
    next_stage: str
    next_outcome: str
    rule_id: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a plan would do: all flows, all that has no place, and a page of the opportunities that go."""

    version: int
    flows: list[Flow]
    nowhere: list[Orphans]
    is_injective: bool
    movers: list[Mover]
    pending_approvals: int


class Versions:
    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._repository = MigrationRepository(uow.session, uow.tenant_id)

    async def live(self, key: str, besides: int = 0) -> Mapping[int, int]:
        """How many live opportunities each version holds, but for one of them."""
        found: Counter[int] = Counter()
        for each in await self._repository.held(key, besides):
            found[each.version] += each.opportunities
        return dict(sorted(found.items()))

    async def dry_run(self, target: Pipeline, plan: Plan, after: str, limit: int) -> DryRun:
        """What carrying all live opportunities over to this version would do; nothing is changed."""
        held = await self._repository.held(target.key, besides=target.version)
        await check_names(self._uow, target.key, plan, held)
        whole = plan.completed(used_stages(held))
        nowhere = orphans(whole, held, target)
        flows: Counter[tuple[int, str, str]] = Counter()
        for each in held:
            if each.stage_key:
                flows[each.version, each.stage_key, whole.target(each.stage_key)] += each.opportunities
        rules = compiled(target)
        page = await self._repository.live(target.key, target.version, after, limit)
        return DryRun(
            target.version,
            [Flow(*flow, count) for flow, count in sorted(flows.items())],
            nowhere,
            whole.is_injective,
            [_mover(each, whole, rules) for each in page],
            await PendingRepository(self._uow.session, self._uow.tenant_id).pending_of(target.key),
        )


def _mover(of: OpportunityState, plan: Plan, rules: Ruleset) -> Mover:
    opportunity, now = decode_opportunity(of.state), utc_now()
    stage_key, to_stage = opportunity.stage_key, plan.target(opportunity.stage_key)
    given = input_of(plan, "", of.opportunity_id, rules.pipeline.version, "")
    after = on_migration(opportunity, given, rules.pipeline, now).opportunity
    next_stage = next_outcome = rule_id = ""
    if after is not None and after.pipeline_version == rules.pipeline.version and after.stage_key:
        ruling = by_rules(after, rules, now, all_facts(after, rules.pipeline, now), given)
        if ruling.outcome is Outcome.ACCEPTED and ruling.transition is not None:
            next_stage = ruling.transition.to_stage
        next_stage = next_stage or ruling.proposed_stage
        if next_stage:
            next_outcome, rule_id = ruling.outcome.value, ruling.explanation.rule_id
    return Mover(
        of.opportunity_id, opportunity.pipeline_version, stage_key, to_stage, next_stage, next_outcome, rule_id
    )
