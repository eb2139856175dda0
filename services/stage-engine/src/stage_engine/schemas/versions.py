"""Plans, what they would do, and migrations."""

from datetime import datetime
from uuid import UUID

from kit.http.pagination import Page
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from stage_engine.domain.versions import ApprovalPolicy, OverridePolicy, Plan, ProposalPolicy
from stage_engine.domain.wording import ChangeKind
from stage_engine.schemas.pipelines import FindingOut, Key, VersionOut


class PlanBody(BaseModel):
    """Where live opportunities go by the stage they are in or have earned; a stage that is not named keeps its key."""

    model_config = ConfigDict(extra="forbid")

    stages: dict[Key, Key] = Field(default={}, max_length=200, examples=[{"demo": "presentation"}])
    overrides: OverridePolicy = Field(default=OverridePolicy.KEEP, description="what becomes of overrides")
    proposals: ProposalPolicy = Field(
        default=ProposalPolicy.KEEP,
        description="what becomes of earned stages to confirm, and of what rules propose",
    )

    approvals: ApprovalPolicy = Field(
        default=ApprovalPolicy.KEEP,
        description="what becomes of moves that wait for approval, where they still have to",
    )

    def plan(self) -> Plan:
        return Plan(self.stages, self.overrides, self.proposals, self.approvals)


class Publication(BaseModel):
    """How to publish. Without `migrate`, opportunities stay on the version that they are on."""

    model_config = ConfigDict(extra="forbid")

    take_over_default: bool = Field(default=False, description="become the default in place of another pipeline")
    migrate: PlanBody | None = Field(default=None, description="carry live opportunities over to the new version")


class VersionSummary(BaseModel):
    """A published version in a list."""

    key: str = Field(validation_alias=AliasChoices("key", "pipeline_key"))
    version: int
    is_default: bool
    published_at: datetime
    published_by: str
    opportunities: int = Field(description="live ones that it still holds: open, or in no stage yet")


class HeldOut(BaseModel):
    """Live opportunities of a version."""

    version: int
    opportunities: int


class FlowOut(BaseModel):
    """Live opportunities of a version that go from one stage to another."""

    version: int
    from_stage: str
    to_stage: str
    opportunities: int


class OrphansOut(BaseModel):
    """Live opportunities that the plan has no place for."""

    version: int
    stage_key: str
    opportunities: int
    code: str = Field(description="no_target: there is no such stage; target_closed: a migration closes nothing")
    earned: bool = Field(description="they have earned the stage, and are in another")


class MoverOut(BaseModel):
    """An opportunity that would go, and where rules would then take it at the next input."""

    opportunity_id: str
    from_version: int
    from_stage: str = Field(description="empty: it is in none yet")
    to_stage: str
    next_stage: str = Field(description="where rules would take it next; empty: nowhere")
    next_outcome: str = Field(description="accepted: by themselves; proposed: a person is asked")
    rule_id: str


class DryRunOut(Page[MoverOut]):
    """What a plan would do; `items` are the opportunities that would go, page by page."""

    version: int
    flows: list[FlowOut]
    without_target: list[OrphansOut] = Field(description="empty: the plan can be carried out")
    can_be_undone: bool = Field(description="no two stages go into one")
    pending_approvals: int = Field(description="moves of the pipeline that wait for approval now")


class MigrationOut(BaseModel):
    """Opportunities on their way to another version."""

    migration_id: UUID
    pipeline_key: str
    to_version: int = Field(description="0: each goes back to the version it came from")
    undoes: UUID | None = Field(description="the migration that this one takes back")
    plan: PlanBody
    can_be_undone: bool
    planned: int = Field(description="live opportunities when it started")
    moved: int
    left: int = Field(description="that came to a stage without a place in the plan before their turn")
    started_at: datetime
    started_by: str
    finished_at: datetime | None


class PublishedOut(VersionOut):
    """A version just published, with what its author should look at."""

    findings: list[FindingOut]
    staying: list[HeldOut] = Field(
        description="live opportunities of versions before: they stay there, unless `migration` carries them over"
    )
    migration: MigrationOut | None


class DifferenceOut(BaseModel):
    """One difference between two versions, in words."""

    kind: ChangeKind
    key: str = Field(description="of the stage or rule; empty: of the pipeline itself")
    text: str = Field(examples=["Discovery → Demo: > 75 becomes > 70."])


class DiffOut(BaseModel):
    """What differs between two versions."""

    key: str
    from_version: str
    to_version: str
    changes: list[DifferenceOut]
