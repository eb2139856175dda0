"""What can make the engine decide: a scored submission, an observation of the opportunity in the CRM, a person's
command, facts from any source, a migration to another version of its pipeline, a timer, a hold and its end."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from stage_engine.domain.actions import Action
from stage_engine.domain.assigned import Assigned
from stage_engine.domain.facts import FactInForce
from stage_engine.domain.literals import StoredLiteral
from stage_engine.domain.owed import Touch
from stage_engine.domain.pipeline import OPPORTUNITY, Pipeline
from stage_engine.domain.requests import (
    ApprovalAnswer,
    HoldRequest,
    ProposalAnswer,
    ReleaseRequest,
    ResumeRequest,
    VoidRequest,
)
from stage_engine.domain.value import value


@value
class SuppliedFact:
    """A fact that a person adds, as it was written down: the pipeline says what type it has."""

    name: str
    value: StoredLiteral | None


@value
class RequestedMove:
    """The move that a person asks for together with answers, and the facts that the person adds to them.
    `expected_revision` is None for whatever revision the opportunity is at, in the visit of the answers."""

    to_stage: str
    expected_revision: int | None = None
    reason_code: str = ""
    text: str = ""
    skip: bool = False
    facts: tuple[SuppliedFact, ...] = ()


@value
class Submission:
    """A submission with its score; `score` None when unanswered questions block it. `lost` are the questions that lost
    most points, with how many, most first; `unanswered` the first of those that block. `entitled` says that the
    submitter's right to the opportunity was checked on receipt. `move` is what the submitter asks for besides."""

    submission_id: str
    opportunity_id: str
    assessment_key: str
    score: Decimal | None
    stage_key: str
    visit_no: int
    attempt_no: int
    captured_at: datetime
    received_at: datetime
    profile_id: str
    profile_version: int
    submitted_by: str
    lost: tuple[tuple[str, Decimal], ...]
    unanswered: tuple[str, ...]
    entitled: bool
    # Its sections and answers, by the rest of their facts' names: `answers.budget`.
    details: tuple[tuple[str, StoredLiteral], ...] = ()
    move: RequestedMove | None = None
    kind: Literal["submission"] = "submission"

    @property
    def identity(self) -> str:
        """The same answers under the same points are the same input."""
        return f"submission:{self.submission_id}:{self.profile_id}:{self.profile_version}"

    @property
    def input_id(self) -> str:
        return self.submission_id

    @property
    def actor(self) -> str:
        return self.submitted_by


class Occasion(StrEnum):
    """Why the CRM was observed."""

    IMPORTED = "imported"
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    UNDELETED = "undeleted"
    CONFLICT = "conflict"


@value
class MappedStage:
    """What the CRM's stage is in a version of a pipeline; empty when it is not mapped."""

    pipeline_key: str
    version: int
    stage_key: str


@value
class Observation:
    """The opportunity as the CRM holds it. `currency` is that of the amount, empty in an org of one; `unread` are facts
    that it holds in a form that cannot be read: they count as unknown. `mapped` names its stage in every
    pipeline; `stage_key` is that of its own, as soon as it is known which that is, and empty when the CRM's stage is
    not mapped. `number` counts all reports about the opportunity, its confirmed writes included, so that the order of
    both is known; 0 when it is not. `facts` are the other fields that it was asked for, those that changed or all."""

    change_id: str
    opportunity_id: str
    occasion: Occasion
    stage_key: str
    crm_stage: str
    amount: Decimal | None
    close_date: str
    owner_id: str
    changed_by: str
    committed_at: datetime
    number: int = 0
    currency: str = ""
    unread: tuple[str, ...] = ()
    # Since when it is in its stage, and how the CRM knows: only of what was read.
    in_stage_since: datetime | None = None
    in_stage_since_source: str = ""
    facts: tuple[FactInForce, ...] = ()
    # Those of `changed_by` here, where that person is known.
    changed_by_roles: tuple[str, ...] = ()
    object_type: str = OPPORTUNITY
    mapped: tuple[MappedStage, ...] = ()
    # The account of an opportunity, and the type of that, or of the account itself.
    account_id: str = ""
    account_type: str = ""
    # Rules choose its owner, by a decision that follows.
    owner_to_come: bool = False
    kind: Literal["observation"] = "observation"

    def stage_in(self, pipeline: Pipeline) -> str | None:
        """Its stage in this pipeline; None where nothing was said of that. A version that is not named has the stages
        of the nearest one that is."""
        named = [each for each in self.mapped if each.pipeline_key == pipeline.key]
        if not named:
            return None
        return min(named, key=lambda each: abs(each.version - pipeline.version)).stage_key

    @property
    def identity(self) -> str:
        """A conflict may show a change that was observed before, and still needs a decision."""
        return f"{'conflict' if self.occasion is Occasion.CONFLICT else 'observation'}:{self.change_id}"

    @property
    def input_id(self) -> str:
        return self.change_id

    @property
    def actor(self) -> str:
        return self.changed_by


# The role on record of who edits a stage in the CRM, which says nothing of the roles of a person.
IN_THE_CRM = "crm"


@value
class Command:
    """A person wants the opportunity in another stage. `override` puts it there without the evidence, `skip` agrees to
    pass over stages. `role` is for the record; `may_override` is what counts. `facts` are what the person adds: they
    count together with the move, or not at all."""

    command_id: str
    opportunity_id: str
    to_stage: str
    expected_revision: int
    actor: str
    role: str
    may_override: bool
    reason_code: str
    text: str
    override: bool
    skip: bool
    expires_at: datetime | None
    facts: tuple[FactInForce, ...] = ()
    # It is meant for a closed opportunity only.
    reopens: bool = False
    kind: Literal["command"] = "command"

    @property
    def identity(self) -> str:
        return f"command:{self.command_id}"

    @property
    def input_id(self) -> str:
        return self.command_id


@value
class FactChange:
    """What a source says of facts of one opportunity."""

    change_id: str
    opportunity_id: str
    source: str
    facts: tuple[FactInForce, ...]
    reported_by: str = ""
    # Activities behind the facts that obligations ask for: that took place, and ids of those that count no more.
    touches: tuple[Touch, ...] = ()
    withdrawn: tuple[str, ...] = ()
    # How many moves of subjects led to this report, one after the other.
    hops: int = 0
    kind: Literal["facts"] = "facts"

    @property
    def identity(self) -> str:
        """A source names each of its reports once."""
        return f"facts:{self.source}:{self.change_id}"

    @property
    def input_id(self) -> str:
        return self.change_id

    @property
    def actor(self) -> str:
        return self.reported_by


@value
class Migration:
    """The opportunity is to go to another version of its pipeline. `stages` are the stages that have another key there;
    `actor` is who started the migration."""

    migration_id: str
    opportunity_id: str
    to_version: int
    stages: tuple[tuple[str, str], ...]
    end_override: bool
    withdraw_proposal: bool
    actor: str
    cancel_approval: bool = False
    kind: Literal["migration"] = "migration"

    @property
    def identity(self) -> str:
        """An opportunity goes once with each migration."""
        return f"migration:{self.migration_id}"

    @property
    def input_id(self) -> str:
        return self.migration_id


@value
class TimerFired:
    """A timer of the opportunity is due; `number` is the decision that set it."""

    opportunity_id: str
    key: str
    number: int
    due: datetime
    kind: Literal["timer"] = "timer"

    @property
    def identity(self) -> str:
        """A decision sets each timer once at most, and what is set fires once. The time leads: so do the others'."""
        return f"timer:{self.due.isoformat()}:{self.key}:{self.number}"

    @property
    def input_id(self) -> str:
        return f"{self.key}:{self.number}"

    @property
    def actor(self) -> str:
        return ""


@value
class Reassignment:
    """Another pipeline applies to the facts of the subject now, or its own does again. `to_stage` is where the mapping
    of the other one leads, empty where it names no place; `shown_stage` is there what the CRM shows. `cause` is the
    identity of the input that changed the facts, and `facts` what it said; `left` is what the stage that it leaves asks
    for."""

    cause: str
    opportunity_id: str
    to_pipeline: str
    to_version: int
    to_stage: str
    shown_stage: str
    facts: tuple[FactInForce, ...]
    actor: str
    left: tuple[Action, ...] = ()
    kind: Literal["reassignment"] = "reassignment"

    @property
    def identity(self) -> str:
        """An input reassigns a subject once."""
        return f"reassign:{self.cause}"

    @property
    def input_id(self) -> str:
        return self.cause


@value
class Hop:
    """A rule has moved the opportunity, and its pipeline lets a move lead to the next: rules are asked about all that
    is known in its new stage. `cause` is the identity of the input that began it, `number` counts from 1."""

    cause: str
    opportunity_id: str
    number: int
    hops: int = 0
    kind: Literal["hop"] = "hop"

    @property
    def identity(self) -> str:
        return f"{self.cause}:hop:{self.number}"

    @property
    def input_id(self) -> str:
        return self.cause

    @property
    def actor(self) -> str:
        return ""


@value
class Assignment:
    """Who was chosen for the subject, each for a role: by a version of the rules for its type, by a person, who is the
    `actor`, or by an action of the pipeline, which is settled with it; then `rules_version` is 0."""

    assignment_id: str
    opportunity_id: str
    rules_version: int
    choices: tuple[Assigned, ...]
    actor: str = ""
    # The key and the revision of the action.
    action: tuple[str, int] | None = None
    kind: Literal["assignment"] = "assignment"

    @property
    def identity(self) -> str:
        return f"assignment:{self.assignment_id}"

    @property
    def input_id(self) -> str:
        return self.assignment_id


Input = (
    Submission
    | Observation
    | Command
    | FactChange
    | Migration
    | Reassignment
    | TimerFired
    | HoldRequest
    | ResumeRequest
    | Hop
    | VoidRequest
    | ReleaseRequest
    | Assignment
    | ApprovalAnswer
    | ProposalAnswer
)


def relevant(given: Input, pipeline: Pipeline) -> Input:
    """The input without what the pipeline version does not read, which would only fill the log: its facts, and what the
    CRM's stage is in other pipelines."""
    reads = pipeline.reads
    if isinstance(given, Submission):
        if given.details:
            prefix = f"{given.assessment_key}."
            return replace(given, details=tuple(d for d in given.details if prefix + d[0] in reads))
    elif isinstance(given, Observation) and given.mapped:
        facts = tuple(fact for fact in given.facts if fact.name in reads)
        return replace(given, facts=facts, mapped=(), stage_key=given.stage_in(pipeline) or "")
    elif isinstance(given, Observation | FactChange | Reassignment) and given.facts:
        return replace(given, facts=tuple(fact for fact in given.facts if fact.name in reads))
    return given
