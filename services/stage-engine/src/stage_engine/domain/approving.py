"""Which moves have to be approved, by whom, and what becomes of one that waits for it."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.approval import Approval
from stage_engine.domain.clocks import duration_of
from stage_engine.domain.decision import Code, EndedRequest, Outcome, Reason, Ruling
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pending import ApprovalRequest, ApprovalState, Vote
from stage_engine.domain.pipeline import Pipeline


def steps_of(pipeline: Pipeline, source: str, target: str) -> tuple[tuple[str, str], ...]:
    """The single steps of a move, which is held to what each of them asks."""
    return _through(pipeline, source, target) if pipeline.is_open(target) else ((source, target),)


def _through(pipeline: Pipeline, source: str, target: str) -> tuple[tuple[str, str], ...]:
    skipped = pipeline.skipped(source, target)
    return tuple(zip((source, *skipped), (*skipped, target), strict=True))


def judged_from(pipeline: Pipeline, source: str, last_open: str) -> str:
    """The open stage that a move counts from: of a closed subject the one it was closed in, the first where that is not
    known. So closing it and opening it again is no way past what lies between."""
    if not source or pipeline.is_open(source):
        return source
    return last_open if last_open in pipeline and pipeline.is_open(last_open) else pipeline.first


def approvals_of(pipeline: Pipeline, source: str, target: str, last_open: str = "") -> tuple[Approval, ...]:
    """What a move has to be approved by, on all its steps: what the rule of the step asks, whatever its mode, else what
    the stage asks. A way back to an earlier stage is approved only where its rule says so. Who wins passes over stages
    like who goes on. `last_open` is the open stage that a closed subject was closed in."""
    if not pipeline.asks_approval or not source or source == target:
        return ()
    begins = judged_from(pipeline, source, last_open)
    through = _through(pipeline, begins, target) if begins != target else ()
    found = (_approval_of(pipeline, a, b) for a, b in ((source, target), *through))
    return tuple(dict.fromkeys(each for each in found if each is not None))


def approvals_for(opportunity: Opportunity, pipeline: Pipeline, target: str) -> tuple[Approval, ...]:
    """What the opportunity's move to there has to be approved by."""
    return approvals_of(pipeline, opportunity.stage_key, target, opportunity.last_open)


def approvals_of_request(opportunity: Opportunity, pipeline: Pipeline) -> tuple[Approval, ...]:
    """What the move that waits has to be approved by; nothing where none waits."""
    request = opportunity.approval_request
    if request is None:
        return ()
    return approvals_of(pipeline, request.from_stage, request.to_stage, opportunity.last_open)


def _approval_of(pipeline: Pipeline, source: str, target: str) -> Approval | None:
    is_open = pipeline.is_open(source)
    for rule in pipeline.rules:
        from_here = rule.from_stage == source or (rule.from_stage is None and is_open)
        if rule.approval is not None and rule.to_stage == target and from_here:
            return rule.approval
    back = is_open and pipeline.is_open(target) and pipeline.rank(target) < pipeline.rank(source)
    return None if back else pipeline.stage(target).approval


def is_exempt(pipeline: Pipeline, actor: str, roles: tuple[str, ...]) -> bool:
    """Whether a person's moves count as they are: the same people and roles whose edits in the CRM always do."""
    return actor in pipeline.exempt_people or any(role in pipeline.exempt_roles for role in roles)


def may_vote(vote: Vote, approval: Approval, asked_by: str) -> bool:
    """Whether this person is one of the approvers."""
    if vote.actor == asked_by and not approval.own:
        return False
    of = approval.approvers
    return (
        vote.actor in of.people
        or (of.manager_of_owner and vote.manages_owner)
        or not set(vote.roles).isdisjoint(of.roles)
        or not set(vote.teams).isdisjoint(of.teams)
    )


def is_approved(request: ApprovalRequest, approvals: tuple[Approval, ...]) -> bool:
    """Whether so many people agree as each approval needs."""
    return all(sum(may_vote(v, each, request.asked_by) for v in request.votes) >= each.needed for each in approvals)


def approver_names(request: ApprovalRequest, approvals: tuple[Approval, ...]) -> frozenset[str]:
    """Who may still decide, as names to look for: `role:`, `person:` and `team:` with whom, `manager_of_owner`, and
    `barred:` with those who may not, or have."""
    of = [each.approvers for each in approvals]
    names = {f"role:{role}" for each in of for role in each.roles}
    names |= {f"person:{person}" for each in of for person in each.people}
    names |= {f"team:{person}" for each in of for person in each.teams}
    names |= {"manager_of_owner"} if any(each.manager_of_owner for each in of) else set()
    barred = {vote.actor for vote in request.votes}
    if request.asked_by and not any(each.own for each in approvals):
        barred.add(request.asked_by)
    return frozenset(names | {f"barred:{person}" for person in barred})


def asked_for(
    opportunity: Opportunity, wanted: ApprovalRequest, approvals: tuple[Approval, ...], pipeline: Pipeline
) -> Ruling:
    """The move waits for approval. An opportunity waits for one at a time: what is asked for again goes on waiting, a
    person's wish to go elsewhere takes its place, and a rule's that of another rule."""
    first = opportunity.approval_request
    if first is not None and (first.to_stage == wanted.to_stage or (first.is_of_person and not wanted.is_of_person)):
        outcome = Outcome.PROPOSED if first.to_stage == wanted.to_stage else Outcome.REJECTED
        proposed = first.to_stage if outcome is Outcome.PROPOSED else ""
        reason = _pending(opportunity, first, approvals, pipeline)
        return Ruling(outcome, opportunity, (reason,), proposed_stage=proposed)
    until = min(duration_of(each.expires_after).after(wanted.asked_at, pipeline.calendar) for each in approvals)
    request = replace(wanted, expires_at=until, needed=max(each.needed for each in approvals))
    ended: tuple[EndedRequest, ...] = ()
    if first is not None:
        ended = (
            EndedRequest(first, ApprovalState.SUPERSEDED, wanted.asked_by, f"{wanted.to_stage} is wanted instead"),
        )
    reasons = (_pending(opportunity, request, approvals, pipeline),)
    after = opportunity.changed(approval_request=request)
    return Ruling(Outcome.PROPOSED, after, reasons, proposed_stage=request.to_stage, ended_requests=ended)


def wish(
    opportunity: Opportunity, target: str, asked_by: str, now: datetime, rule_id: str = "", *, accepted: bool = False
) -> ApprovalRequest:
    """A move from where the opportunity is, as it is going to be asked for."""
    number, source = opportunity.decision_no, opportunity.stage_key
    return ApprovalRequest(number, source, target, asked_by, now, now, rule_id, accepted=accepted)


def lacks_approval(approvals: tuple[Approval, ...], target: str) -> Reason:
    """That a move has to be approved first."""
    text = f"moving to {target} has to be approved by {' and by '.join(map(str, approvals))}"
    return Reason(Code.APPROVAL_PENDING, "", None, text)


def _pending(
    opportunity: Opportunity, request: ApprovalRequest, approvals: tuple[Approval, ...], pipeline: Pipeline
) -> Reason:
    if request.from_stage in pipeline and request.to_stage in pipeline:
        last_open = opportunity.last_open
        approvals = approvals_of(pipeline, request.from_stage, request.to_stage, last_open) or approvals
    return lacks_approval(approvals, request.to_stage)


def ended(opportunity: Opportunity, state: ApprovalState, by: str, text: str) -> tuple[Opportunity, EndedRequest]:
    """The opportunity without the request that it waits for."""
    request = opportunity.approval_request
    assert request is not None
    return opportunity.changed(approval_request=None), EndedRequest(request, state, by, text)
