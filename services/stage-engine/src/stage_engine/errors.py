"""How this service refuses.

NotFoundProblem
├── PipelineNotFound, PipelineNotPublished, TemplateNotFound
├── OpportunityNotFound
├── PartnerFeedNotFound
├── MigrationNotFound
├── ApprovalNotFound, ProposalNotFound
├── CalendarNotFound
├── RuleNotFound
├── FigureNotFound
├── PersonNotFound
├── EvidenceNotFound       no decision on the subject rests on the submission
├── ActionNotFound
└── DecisionNotFound
ConflictProblem
├── ActionSettledBefore    something else became of the action
├── PipelineExists
├── PlanIncomplete         the plan of a migration has no place for live opportunities
├── MigrationUnderWay      another migration of the pipeline is not finished
├── ApprovalEnded, ProposalEnded   people have decided, or it is overtaken
├── MigrationNotInvertible two stages went into one, or it is a way back itself
├── DefaultTaken           another pipeline is the default
└── PartnerFeedExists
InvalidProblem
├── PipelineInvalid        publication refused: the pipeline has errors
├── CalendarInvalid        its hours are none that people could work by
├── GroupUnknown           the figure cannot be cut so
├── GroupByMissing         a group is named, and not by what the figure is cut
├── PeriodEmpty            the period ends before it begins
├── ObligationUnknown      no pipeline in force declares it
├── PlanStageUnknown       the plan names a stage that no version in use has
├── StageUnknown           the opportunity's pipeline has no such stage
└── PartnerTopicMissing    the broker does not know the topic
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from kit.http.problems import ConflictProblem, FieldError, InvalidProblem, NotFoundProblem

from stage_engine.domain.finding import LintFinding
from stage_engine.domain.versions import Orphans
from stage_engine.records import ActionRecord, ApprovalRecord, MigrationRecord, ProposalRecord


class PipelineNotFound(NotFoundProblem):
    code = "pipeline_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no pipeline {key!r}.")


class PipelineVersionNotFound(NotFoundProblem):
    code = "pipeline_not_found"

    def __init__(self, key: str, version: int) -> None:
        text = f"The pipeline {key!r} has no published version {version}."
        super().__init__(f"{text} GET /v1/pipelines/{key}/versions lists those that there are.")


class FigureNotFound(NotFoundProblem):
    code = "figure_not_found"

    def __init__(self, key: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no figure {key!r}. There are {', '.join(known)}.")


class PersonNotFound(NotFoundProblem):
    code = "person_not_found"

    def __init__(self, person_id: str) -> None:
        super().__init__(f"There is no person {person_id!r} whose opportunities you see.")


class GroupUnknown(InvalidProblem):
    code = "group_unknown"

    def __init__(self, key: str, group: str, known: Sequence[str]) -> None:
        detail = f"{key} cannot be cut by {group}. Cut it by {', '.join(known)}."
        super().__init__(detail, errors=[FieldError("/query/group_by", self.code, detail)])


class GroupByMissing(InvalidProblem):
    code = "group_by_missing"

    def __init__(self) -> None:
        detail = "A group is one of several: say by group_by what the figure is cut by."
        super().__init__(detail, errors=[FieldError("/query/group_by", self.code, detail)])


class PeriodEmpty(InvalidProblem):
    code = "period_empty"

    def __init__(self, begins: str = "from", ends: str = "to") -> None:
        detail = f"The period is empty: let `{ends}` be later than `{begins}`."
        super().__init__(detail, errors=[FieldError(f"/query/{ends}", self.code, detail)])


class ObligationUnknown(InvalidProblem):
    code = "obligation_unknown"

    def __init__(self, key: str, there: Sequence[str]) -> None:
        detail = f"No pipeline in force declares the obligation {key!r}. There are {', '.join(there)}."
        super().__init__(detail, errors=[FieldError("/query/key", self.code, detail)])


class TemplateNotFound(NotFoundProblem):
    code = "template_not_found"

    def __init__(self, key: str, there: Iterable[str]) -> None:
        super().__init__(f"There is no template {key!r}. There are {', '.join(sorted(there))}.")


# Types of subjects, and what their operations are found under.
PLURALS = {"opportunity": "opportunities", "lead": "leads", "account": "accounts"}


class OpportunityNotFound(NotFoundProblem):
    """A subject that is not there, or of another type: then `is_a` says where to look."""

    code = "opportunity_not_found"

    def __init__(self, record_id: str, object_type: str = "opportunity", is_a: str = "") -> None:
        text = f"There is no {object_type} {record_id!r}."
        if is_a in PLURALS:
            text += f" It is of type {is_a}: look at /v1/{PLURALS[is_a]}/{record_id}."
        super().__init__(text)
        self.code = f"{object_type}_not_found"


class PartnerFeedNotFound(NotFoundProblem):
    code = "partner_feed_not_found"

    def __init__(self, partner_key: str) -> None:
        super().__init__(f"There is no feed for the partner {partner_key!r}.")


class DecisionNotFound(NotFoundProblem):
    code = "decision_not_found"

    def __init__(self, decision_id: UUID) -> None:
        super().__init__(f"There is no decision {decision_id}.")


class EvidenceNotFound(NotFoundProblem):
    code = "evidence_not_found"

    def __init__(self, record_id: str, submission_id: str) -> None:
        super().__init__(
            f"No decision on {record_id!r} was made on a submission {submission_id!r}. Its `scores` and its decisions "
            "name those that there are."
        )


class ActionNotFound(NotFoundProblem):
    code = "action_not_found"

    def __init__(self, action_id: UUID) -> None:
        super().__init__(f"There is no action {action_id}.")


class ActionSettledBefore(ConflictProblem):
    code = "action_settled"

    def __init__(self, action: ActionRecord) -> None:
        text = f"The action is {action.state} since {action.settled_at:%Y-%m-%dT%H:%M:%SZ}"
        super().__init__(f"{text}, as {action.settled_by} said: the first word counts.")


class PipelineNotPublished(NotFoundProblem):
    code = "pipeline_not_found"

    def __init__(self, key: str | None) -> None:
        super().__init__(f"No pipeline {key!r} is published." if key else "No default pipeline is published.")


class TemplateRefused(ConflictProblem):
    """Something that a process template brings is there already, with another content."""

    code = "template_refused"

    def __init__(self, found: Sequence[tuple[str, str]]) -> None:
        errors = [FieldError(pointer, self.code, words) for pointer, words in found]
        detail = (
            "Something of another content is there already, and stays as it is. "
            "Install the template with another `as`, which begins all its keys."
        )
        super().__init__(detail, errors=errors)


class PoolUnknown(InvalidProblem):
    code = "pool_unknown"

    def __init__(self, pools: Sequence[str], known: Sequence[str]) -> None:
        errors = [FieldError(f"/people/{pool}", self.code, f"{pool!r} is no pool of the template.") for pool in pools]
        there = f"It has {', '.join(known)}." if known else "It has none."
        super().__init__(f"Only people of the template's pools can be named. {there}", errors=errors)


class PipelineExists(ConflictProblem):
    code = "pipeline_exists"

    def __init__(self, key: str) -> None:
        super().__init__(f"There is a pipeline {key!r} already.")


_NOWHERE = {
    "no_target": "version {} has no such stage",
    "target_closed": "version {} closes there, and a migration closes nothing",
}


class PlanIncomplete(ConflictProblem):
    code = "plan_incomplete"

    def __init__(self, version: int, nowhere: Sequence[Orphans]) -> None:
        named = [
            f"{o.opportunities} of version {o.version} {'have earned' if o.earned else 'are in'} {o.stage_key!r}"
            for o in nowhere
        ]
        errors = [
            FieldError(f"/stages/{o.stage_key}", o.code, f"{text}: {_NOWHERE[o.code].format(version)}.")
            for o, text in zip(nowhere, named, strict=True)
        ]
        detail = f"The plan has no place for live opportunities: {'; '.join(named)}. Name an open stage for each."
        super().__init__(detail, errors=errors)


class PlanStageUnknown(InvalidProblem):
    code = "stage_unknown"

    def __init__(self, stage_keys: Sequence[str]) -> None:
        errors = [
            FieldError(f"/stages/{key}", self.code, f"No version with live opportunities has a stage {key!r}.")
            for key in stage_keys
        ]
        super().__init__(f"The plan names stages that are not in use: {', '.join(stage_keys)}.", errors=errors)


class CalendarNotFound(NotFoundProblem):
    code = "calendar_not_found"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"No hours were put for {scope!r}: those of the team or tenant count, or Monday to Friday, 9 to 17 UTC. "
            'Put the first ones with If-Match "0".'
        )


class CalendarInvalid(InvalidProblem):
    code = "calendar_invalid"

    def __init__(self, member: str, detail: str) -> None:
        super().__init__(detail, errors=[FieldError(f"/{member}", self.code, detail)])


class RuleNotFound(NotFoundProblem):
    code = "rule_not_found"

    def __init__(self, key: str, rule_id: str) -> None:
        super().__init__(f"No version of {key!r} that is in use has a rule {rule_id!r}.")


class MigrationNotFound(NotFoundProblem):
    code = "migration_not_found"

    def __init__(self, migration_id: UUID) -> None:
        super().__init__(f"There is no migration {migration_id}.")


class ApprovalNotFound(NotFoundProblem):
    code = "approval_not_found"

    def __init__(self, approval_id: UUID) -> None:
        super().__init__(f"There is no approval {approval_id}.")


class ApprovalEnded(ConflictProblem):
    code = "approval_ended"

    def __init__(self, approval: ApprovalRecord) -> None:
        super().__init__(f"The move does not wait for approval any more: it is {approval.state.replace('_', ' ')}.")


class ProposalNotFound(NotFoundProblem):
    code = "proposal_not_found"

    def __init__(self, proposal_id: UUID) -> None:
        super().__init__(f"There is no proposal {proposal_id}.")


class ProposalEnded(ConflictProblem):
    code = "proposal_ended"

    def __init__(self, proposal: ProposalRecord) -> None:
        super().__init__(f"The proposal is not open any more: it is {proposal.state.replace('_', ' ')}.")


class MigrationUnderWay(ConflictProblem):
    code = "migration_under_way"

    def __init__(self, key: str) -> None:
        super().__init__(f"A migration of the pipeline {key!r} is not finished. Wait for it, and try again.")


class MigrationNotInvertible(ConflictProblem):
    code = "migration_not_invertible"

    def __init__(self, migration: MigrationRecord) -> None:
        why = "it takes another one back" if migration.undoes else "it brought several stages together in one"
        super().__init__(
            f"The migration {migration.migration_id} cannot be undone, because {why}. Migrate with a plan instead."
        )


class DefaultTaken(ConflictProblem):
    code = "default_taken"

    def __init__(self, key: str, opportunities: int) -> None:
        super().__init__(
            f"{key!r} is the default pipeline, with {opportunities} open opportunities. They would stay there, and new "
            "ones would come here. Publish with `take_over_default`, or make the draft no default."
        )


class ReleaseIncomplete(ConflictProblem):
    code = "release_incomplete"

    def __init__(self, missing: Sequence[tuple[str, str]]) -> None:
        errors = [FieldError(f"/assessments/{key}", self.code, detail) for key, detail in missing]
        detail = "Not all that is to be released is there. Publish what the errors name, and try again."
        super().__init__(detail, errors=errors)


class PartnerFeedExists(ConflictProblem):
    code = "partner_feed_exists"

    def __init__(self, partner_key: str) -> None:
        super().__init__(f"The partner {partner_key!r} has a feed already.")


class PipelineInvalid(InvalidProblem):
    code = "pipeline_invalid"

    def __init__(self, findings: Sequence[LintFinding]) -> None:
        errors = [FieldError(each.pointer, each.code, each.message) for each in findings]
        number = f"{len(errors)} errors" if len(errors) > 1 else "an error"
        super().__init__(f"The pipeline has {number}.", errors=errors)


class StageUnknown(InvalidProblem):
    code = "stage_unknown"

    def __init__(self, pipeline_key: str, stage_key: str, there: Iterable[str], kind: str = "") -> None:
        detail = f"The pipeline {pipeline_key!r} has no {kind}stage {stage_key!r}. It has {', '.join(there)}."
        super().__init__(detail, errors=[FieldError("/to_stage", self.code, detail)])


class AssignmentRulesNotFound(NotFoundProblem):
    code = "assignment_rules_not_found"

    def __init__(self, object_type: str) -> None:
        super().__init__(
            f"No rules assign records of type {object_type!r}: each stays with the owner that the CRM shows. "
            'Put the first ones with If-Match "0".'
        )


class AssignmentRulesInvalid(InvalidProblem):
    code = "assignment_rules_invalid"

    def __init__(self, findings: Sequence[LintFinding]) -> None:
        errors = [FieldError(each.pointer, each.code, each.message) for each in findings]
        number = f"{len(errors)} errors" if len(errors) > 1 else "an error"
        super().__init__(f"The assignment rules have {number}.", errors=errors)


class PersonUnknown(InvalidProblem):
    code = "person_unknown"

    def __init__(self, person_id: str) -> None:
        detail = f"The CRM has no active user {person_id!r}. Name one who is there."
        super().__init__(detail, errors=[FieldError("/person_id", self.code, detail)])


class ZoneUnknown(InvalidProblem):
    code = "zone_unknown"

    def __init__(self, zone: str) -> None:
        detail = f"There is no time zone {zone!r}. Name one such as Europe/Berlin."
        super().__init__(detail, errors=[FieldError("/query/zone", self.code, detail)])


class FactInvalid(InvalidProblem):
    code = "fact_invalid"

    def __init__(self, index: int, member: str, detail: str) -> None:
        super().__init__(detail, errors=[FieldError(f"/facts/{index}/{member}", self.code, detail)])


class PartnerTopicMissing(InvalidProblem):
    code = "partner_topic_missing"

    def __init__(self, topic: str) -> None:
        detail = (
            f"The broker has no topic {topic!r}. Add it to `partners` in deploy/kafka/topics.yaml, "
            "create it with the rights of its user and of this service, and try again."
        )
        super().__init__(detail, errors=[FieldError("/partner_key", self.code, detail)])
