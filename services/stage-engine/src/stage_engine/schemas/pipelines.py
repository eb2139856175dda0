"""Pipelines and findings."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from kit.http.read_back import ReadBack
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from stage_engine.domain.actions import ActionKind
from stage_engine.domain.clocks import Starts
from stage_engine.domain.finding import Severity
from stage_engine.domain.literals import FactType
from stage_engine.domain.policies import CrmEditPolicy, OtherPipelinePolicy, SkipPolicy, VoidedEvidencePolicy
from stage_engine.domain.rules import RuleMode
from stage_engine.domain.stages import Category, ForecastCategory, Need

Key = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$", examples=["prospecting"])]

_STAGES = [
    {"key": "prospecting", "name": "Prospecting", "category": "open", "assessment_keys": ["prospecting"]},
    {"key": "discovery", "name": "Discovery", "category": "open", "assessment_keys": ["discovery"]},
    {"key": "closed_won", "name": "Closed Won", "category": "won"},
    {"key": "closed_lost", "name": "Closed Lost", "category": "lost"},
]
_RULES = [
    {
        "rule_id": "prospecting_to_discovery",
        "from_stage": "prospecting",
        "to_stage": "discovery",
        "conditions": [{"fact": "prospecting.score", "cell": "> 60"}],
        "mode": "auto",
    }
]
_EXAMPLE = {"name": "New business", "skip_policy": "forbid", "is_default": True, "stages": _STAGES, "rules": _RULES}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ConditionBody(_Strict):
    """A fact and the cell it must meet."""

    fact: str = Field(max_length=140, examples=["prospecting.score", "opportunity.amount"])
    cell: str = Field(max_length=500, examples=["> 60", "[10..20)", "'a', 'b'", "older than 14d", "known"])


class CriterionBody(_Strict):
    """A named demand of a stage: met once every condition holds on the evidence and facts in force."""

    key: Key
    name: str = Field(min_length=1, max_length=200, examples=["The economic buyer has agreed to the budget"])
    conditions: list[ConditionBody] = Field(max_length=20)
    need: Need = Need.REQUIRED
    help: str = Field("", max_length=2000)
    playbook_url: str = Field("", max_length=2000, pattern=r"^(https://\S+)?$")
    supplied_by: str = Field("", max_length=140, description="the question or field of the CRM that answers it")


class MilestoneBody(_Strict):
    """Remembered once it was reached in its stage; rules read `milestones.<key>`."""

    key: Key
    name: str = Field(min_length=1, max_length=200)
    conditions: list[ConditionBody] = Field(max_length=20)
    repeatable: bool = Field(False, description="count how often, instead of whether")


class ActionFieldBody(_Strict):
    """A field of the CRM, or a parameter of another program; its value is a text over facts."""

    name: str = Field(min_length=1, max_length=100, examples=["NextStep"])
    value: str = Field(max_length=2000, examples=["Agree on {opportunity.amount|the amount}"])


class ActionBody(_Strict):
    """What another service is asked to do. Texts name facts in braces: `{opportunity.amount}`, or with words for a fact
    that is unknown: `{opportunity.amount|not known}`."""

    key: Key
    kind: ActionKind
    text: str = Field("", max_length=2000, examples=["Call the customer about {opportunity.amount|the offer}"])
    details: str = Field("", max_length=2000)
    to: str = Field(
        "", max_length=200, description="whom it is for, a person of the CRM; empty: the owner. Of assign: who gets it"
    )
    target: str = Field(
        "",
        max_length=100,
        description="the object to create, the template, the list, the receiver of a webhook, or the role to assign",
    )
    fields: list[ActionFieldBody] = Field(default=[], max_length=50)
    due_after: str = Field("", max_length=8, examples=["2bd"], description="until when a task is to be done")
    expires_after: str = Field("30d", max_length=8, description="until when it is to be settled")
    once_per_cycle: bool = Field(False, description="a way back does not ask for it again")


class TimerBody(_Strict):
    """Fires once its time has come; rules that read `timers.<key>.fired` decide on moves."""

    key: Key
    after: str = Field(max_length=8, examples=["90d", "36h", "2bh", "3bd"], description="bh and bd: in business time")
    starts: Starts = Starts.ON_ENTRY
    fact: str = Field("", max_length=140, description="of after_fact", examples=["activity.last_touch_at"])
    repeats: str = Field("", max_length=8, description="how long between firings; empty: it fires once")
    actions: list[ActionBody] = Field(default=[], max_length=20, description="asked for each time that it fires")


class ObligationBody(_Strict):
    """What the owner owes within a time: a call every 90 days, a first call within two hours of business."""

    key: Key
    name: str = Field(min_length=1, max_length=200, examples=["Call the customer"])
    within: str = Field(max_length=8, examples=["2bh", "90d"])
    met_by: str = Field(max_length=140, description="a fact", examples=["activity.call.last_at"])
    cell: str = Field("known", max_length=500, description="of a fact that is not the last moment of activities")
    starts: Starts = Field(Starts.ON_ENTRY, description="on_entry or on_first_sight")
    stage_key: str = Field("", max_length=64, description="of on_entry; empty: each open stage")
    repeats: str = Field("", max_length=8, description="owed again each time this has passed; empty: once")


PersonId = Annotated[str, Field(min_length=1, max_length=64)]
PersonIds = Annotated[list[PersonId], Field(max_length=50)]
RoleName = Annotated[str, Field(min_length=1, max_length=64)]


class ApproversBody(_Strict):
    """Who may decide. A role counts for those who see the subject."""

    roles: list[Literal["rep", "manager", "admin"]] = Field(default=[], max_length=3)
    people: PersonIds = Field(default=[], examples=[["005Qy00000AbCdEIAV"]])
    teams: PersonIds = Field(default=[], description="all who report to these people, directly or through others")
    manager_of_owner: bool = Field(False, description="those the owner reports to, directly or through others")


class ApprovalBody(_Strict):
    """How many people have to agree before a move is made."""

    approvers: ApproversBody
    needed: int = Field(1, ge=1, le=20)
    own: bool = Field(False, description="let the person who asks be one of them")
    expires_after: str = Field("72h", max_length=8, examples=["72h", "3bd"], description="bh and bd: in business time")


class StageBody(_Strict):
    """A stage; their order is the order of progress."""

    key: Key
    name: str = Field(min_length=1, max_length=200)
    category: Category
    description: str = Field("", max_length=2000)
    assessment_keys: list[Key] = Field(default=[], max_length=20, description="whose scores count in this stage")
    entry: list[CriterionBody] = Field(default=[], max_length=20, description="asked of what comes")
    exit: list[CriterionBody] = Field(default=[], max_length=20, description="asked of what goes on")
    milestones: list[MilestoneBody] = Field(default=[], max_length=20)
    timers: list[TimerBody] = Field(default=[], max_length=20, description="those that run in this stage")
    on_entry: list[ActionBody] = Field(default=[], max_length=20, description="asked for when a subject comes")
    on_exit: list[ActionBody] = Field(default=[], max_length=20, description="asked for when a subject goes")
    on_close: list[ActionBody] = Field(default=[], max_length=20, description="asked for when it is closed from here")
    expected_days: int | None = Field(None, ge=1, le=500, description="business days after which it takes too long")
    stalled_after_days: int | None = Field(None, ge=1, le=3650, description="days without a touch or new evidence")
    forecast: ForecastCategory | None = Field(
        None, description="how far it is counted on; null: pipeline while open, closed once won, else omitted"
    )
    win_probability: int | None = Field(None, ge=0, le=100, description="percent that win from here, as people say")
    approval: ApprovalBody | None = Field(None, description="of moves to this stage, but for a way back")


class RuleBody(_Strict):
    """Moves an opportunity once every condition holds."""

    rule_id: Key
    from_stage: Key | None = Field(None, description="null: from any open stage")
    to_stage: Key
    conditions: list[ConditionBody] = Field(max_length=20)
    mode: RuleMode = Field(RuleMode.PROPOSE, description="how far the rule may go by itself")
    priority: int = Field(0, ge=-1000, le=1000, description="a smaller number goes first")
    reason_code: str = Field("", max_length=64, description="needed to close as lost or abandoned by itself")
    back: bool = Field(False, description="it leads to an earlier stage on purpose")
    lasting: str = Field(
        "", max_length=8, examples=["3d", "2bd"], description="of one that leads back: how long it must have held"
    )
    approval: ApprovalBody | None = Field(
        None, description="of this step, by a person or a rule; in place of what the stage asks"
    )
    actions: list[ActionBody] = Field(default=[], max_length=20, description="what its moves ask for")


# Together with 200 rules these bound what the check of a pipeline and its compiled form may cost.
MAX_CONDITIONS = 1000
MAX_CELL_CHARACTERS = 50_000
MAX_ACTIONS = 200


class DeclaredFactBody(_Strict):
    """A fact that is not built in."""

    name: str = Field(max_length=140, examples=["account.industry"])
    type: FactType
    sources: list[Key] = Field(
        default=[], max_length=10, description="who may write it, the first before the others; empty: any source"
    )
    unit: str = Field("", max_length=20, description="of its numbers", examples=["seats"])


class BreakerBody(_Strict):
    """When rules are held back for moving unusually many subjects: they propose until a person closes the breaker."""

    window: str = Field("1h", max_length=8, examples=["1h"])
    trailing: str = Field("7d", max_length=8, description="the time before the window, for what is usual")
    times: int = Field(5, ge=2, le=1000, description="how many times as many as usual")
    at_least: int = Field(50, ge=1, le=1_000_000, description="below that it never opens")


class DraftBody(_Strict, ReadBack):
    """The content of a pipeline, with at most 1,000 conditions of together 50,000 characters, and 200 actions. A draft
    may have errors; publishing refuses them."""

    only_read = frozenset({"key"})
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    name: str = Field(min_length=1, max_length=200)
    skip_policy: SkipPolicy = SkipPolicy.FORBID
    is_default: bool = Field(False, description="for opportunities that the CRM assigns to no pipeline")
    confirm_own: bool = Field(False, description="let a person confirm what rules propose on the person's own answers")
    currency: str = Field(
        "", pattern=r"^([A-Z]{3})?$", description="of its amounts, ISO 4217; empty in an org of one", examples=["EUR"]
    )
    stages: list[StageBody] = Field(min_length=1, max_length=50)
    rules: list[RuleBody] = Field(default=[], max_length=200)
    evidence_max_age: int | None = Field(None, ge=1, le=3650, description="days for which evidence counts")
    assessment_max_age: dict[Key, Annotated[int, Field(ge=1, le=3650)]] = Field(
        default={}, max_length=100, description="days for which evidence of single assessments counts"
    )
    object_type: str = Field("opportunity", pattern=r"^[a-z][a-z0-9_]{0,63}$", description="of the records it takes")
    applies_when: list[ConditionBody] = Field(default=[], max_length=20, description="which of them it takes")
    priority: int = Field(0, ge=-1000, le=1000, description="a smaller number is asked first")
    reassign: dict[Key, dict[Key, Key]] = Field(
        default={}, max_length=50, description="where subjects of other pipelines go that come here: by stage"
    )
    on_other_pipeline: OtherPipelinePolicy = Field(
        OtherPipelinePolicy.STAY, description="when another pipeline applies that says no place for the stage"
    )
    breaker: BreakerBody | None = Field(None, description="null: rules are never held back for moving too many")
    proposals_expire_after: str = Field("30d", max_length=8, description="how long what rules propose is waited for")
    crm_edit_policy: CrmEditPolicy = Field(
        CrmEditPolicy.ADOPT_AS_OVERRIDE,
        description="what becomes of a stage that a person sets in the CRM, also of a new record",
    )
    start_by_criteria: bool = Field(
        False, description="let a new subject begin in the furthest open stage whose entry criteria its facts meet"
    )
    exempt_people: list[PersonId] = Field(default=[], max_length=200, description="whose edits in the CRM always count")
    timers: list[TimerBody] = Field(default=[], max_length=20, description="those that run in every open stage")
    segment_fact: str = Field(
        "", max_length=140, description="the fact by which figures are cut", examples=["opportunity.type"]
    )
    on_first_sight: list[ActionBody] = Field(
        default=[], max_length=20, description="asked for when a subject is first seen, unless it is imported"
    )
    on_hold: list[ActionBody] = Field(default=[], max_length=20, description="asked for when a subject is put off")
    on_resume: list[ActionBody] = Field(default=[], max_length=20, description="asked for when it goes on")
    reassign_after: str = Field(
        "", max_length=8, description="without a touch: what rules assigned goes to another owner", examples=["14d"]
    )
    obligations: list[ObligationBody] = Field(default=[], max_length=20, description="what owners owe by a time")
    exempt_roles: list[RoleName] = Field(default=[], max_length=20, description="whose edits in the CRM always count")
    cascade_at_most: int = Field(
        1, ge=1, le=50, description="moves by rules that may follow one another from one input"
    )
    voided_evidence: VoidedEvidencePolicy = Field(
        VoidedEvidencePolicy.KEEP, description="what becomes of a stage whose evidence a person voids"
    )
    alternations_at_most: int = Field(
        3, ge=1, le=20, description="how often within an hour it may go to and fro before it is quarantined"
    )
    facts: list[DeclaredFactBody] = Field(default=[], max_length=200, description="those that are not built in")

    @model_validator(mode="after")
    def _is_of_a_size_to_check(self) -> Self:
        read: list[RuleBody | CriterionBody | MilestoneBody] = list(self.rules)
        for stage in self.stages:
            read += [*stage.entry, *stage.exit, *stage.milestones]
        cells = [condition.cell for each in read for condition in each.conditions]
        if len(cells) > MAX_CONDITIONS:
            raise ValueError(f"a pipeline has at most {MAX_CONDITIONS} conditions, this one has {len(cells)}")
        lists = [self.on_first_sight, self.on_hold, self.on_resume, *(rule.actions for rule in self.rules)]
        lists += (timer.actions for timer in self.timers)
        for stage in self.stages:
            lists += (stage.on_entry, stage.on_exit, stage.on_close, *(timer.actions for timer in stage.timers))
        if (actions := sum(map(len, lists))) > MAX_ACTIONS:
            raise ValueError(f"a pipeline has at most {MAX_ACTIONS} actions, this one has {actions}")
        if (characters := sum(map(len, cells))) > MAX_CELL_CHARACTERS:
            raise ValueError(f"cells have together at most {MAX_CELL_CHARACTERS} characters, these have {characters}")
        return self


class NewPipeline(DraftBody):
    """A new pipeline with its first draft."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"key": "new_business", **_EXAMPLE}]})

    key: Key


class FindingOut(BaseModel):
    """What the check found. `pointer` points into the draft, `witness` is an example of facts that show it."""

    severity: Severity
    code: str = Field(examples=["threshold_selective"])
    pointer: str = Field(examples=["/rules/0/conditions/0/cell"])
    message: str = Field(examples=["only 70 of 10, 20, 40, 50, 70 passes"])
    witness: dict[str, str] | None = Field(None, examples=[{"prospecting.score": "70"}])


class VersionFindingOut(FindingOut):
    """What is wrong now with a version in use."""

    version: int
    opportunities: int = Field(description="open ones that this concerns")


class LintOut(BaseModel):
    """Everything the check found, errors first."""

    publishable: bool
    findings: list[FindingOut]


class PipelineSummary(BaseModel):
    """A pipeline in a list; `newest_version` 0: never published."""

    key: str = Field(validation_alias=AliasChoices("key", "pipeline_key"))
    revision: int
    newest_version: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class PipelineOut(PipelineSummary):
    """A pipeline with its draft."""

    draft: dict[str, Any]


class VersionOut(BaseModel):
    """A published version, immutable."""

    key: str = Field(validation_alias=AliasChoices("key", "pipeline_key"))
    version: int
    is_default: bool
    published_at: datetime
    published_by: str
    document: dict[str, Any]


class StageOut(BaseModel):
    """A stage as partners need it."""

    key: str
    name: str
    category: Category


class StagesOut(BaseModel):
    """The stages of a published pipeline in their order, without what leads from one to another."""

    key: str
    version: int
    name: str
    stages: list[StageOut]


class TemplateSummary(BaseModel):
    """A pipeline to start from."""

    key: str
    name: str
    stage_count: int
    rule_count: int
