"""Checks of approvals: whether there are people who can give them, and whether they are ever asked for."""

from collections.abc import Iterator

from stage_engine.domain.approval import ROLES, Approval
from stage_engine.domain.approving import approvals_of
from stage_engine.domain.breaker import length_of
from stage_engine.domain.clocks import duration_of
from stage_engine.domain.finding import LintFinding, error, warning
from stage_engine.domain.pipeline import Pipeline


def approval_findings(pipeline: Pipeline, people: frozenset[str] | None) -> Iterator[LintFinding]:
    """Every approval by itself, and whether it is asked for. `people` are those of the named who are active in the CRM;
    None where that is not known."""
    for pointer, approval in _placed(pipeline):
        yield from _findings(pointer, approval, people)
    yield from _never_asked(pipeline)
    yield from _ambiguous(pipeline)
    yield from _mapped_past(pipeline)
    yield from _duration("/proposals_expire_after", pipeline.proposals_expire_after)
    yield from _breaker(pipeline)


def named_in(pipeline: Pipeline) -> frozenset[str]:
    """All people that approvals name."""
    of = [approval.approvers for _, approval in _placed(pipeline)]
    return frozenset(person for each in of for person in (*each.people, *each.teams))


def _placed(pipeline: Pipeline) -> Iterator[tuple[str, Approval]]:
    for i, stage in enumerate(pipeline.stages):
        if stage.approval is not None:
            yield f"/stages/{i}/approval", stage.approval
    for i, rule in enumerate(pipeline.rules):
        if rule.approval is not None:
            yield f"/rules/{i}/approval", rule.approval


def _findings(pointer: str, approval: Approval, people: frozenset[str] | None) -> Iterator[LintFinding]:
    of = approval.approvers
    if not of:
        text = "no one may approve it; name roles, people or teams, or manager_of_owner"
        yield error("approval_without_approvers", f"{pointer}/approvers", text)
    for i, role in enumerate(of.roles):
        if role not in ROLES:
            text = f"there is no role {role!r}; there are {', '.join(ROLES)}"
            yield error("approver_unknown", f"{pointer}/approvers/roles/{i}", text)
    for name, persons in (("people", of.people), ("teams", of.teams)):
        for i, person in enumerate(persons):
            if people is not None and person not in people:
                text = f"{person} is no active user of the CRM; name one who is"
                yield error("approver_unknown", f"{pointer}/approvers/{name}/{i}", text)
    if approval.needed < 1:
        yield error("approval_needs_no_one", f"{pointer}/needed", "at least one person has to agree")
    count = len(set(of.people))
    if of.are_named and approval.needed > count:
        text = f"{approval.needed} have to agree, and {count} may; name more people, or ask for fewer"
        yield error("approval_needs_more", f"{pointer}/needed", text)
    elif of.are_named and approval.needed == count and not approval.own:
        text = "all who are named have to agree: when one of them asks for the move, it cannot be approved"
        yield warning("approval_needs_all", f"{pointer}/needed", text)
    yield from _duration(f"{pointer}/expires_after", approval.expires_after)


def _never_asked(pipeline: Pipeline) -> Iterator[LintFinding]:
    led = {rule.to_stage for rule in pipeline.rules}
    for i, stage in enumerate(pipeline.stages):
        if stage.approval is None or stage.key in led:
            continue
        text = f"no rule leads to {stage.key}: only people who move there themselves ask for approval"
        if stage.key == pipeline.first:
            text = f"{stage.key} is where subjects begin, and going back is free: hardly anything asks for approval"
        yield warning("approval_not_led_to", f"/stages/{i}/approval", text)


def _ambiguous(pipeline: Pipeline) -> Iterator[LintFinding]:
    first: dict[tuple[str | None, str], Approval] = {}
    for i, rule in enumerate(pipeline.rules):
        if rule.approval is None:
            continue
        known = first.setdefault((rule.from_stage, rule.to_stage), rule.approval)
        if known != rule.approval:
            text = f"another rule for the step to {rule.to_stage} asks for another approval; one step has one"
            yield error("approval_ambiguous", f"/rules/{i}/approval", text)


def _mapped_past(pipeline: Pipeline) -> Iterator[LintFinding]:
    """Stages to which subjects of other pipelines come past an approval: going to another pipeline asks no one."""
    for source, stages in pipeline.reassign.items():
        for stage_key, target in stages.items():
            if target in pipeline and pipeline.is_open(target) and approvals_of(pipeline, pipeline.first, target):
                text = f"from {source} subjects come to {target} without the approval that others need"
                yield warning("reassign_past_approval", f"/reassign/{source}/{stage_key}", text)


def _duration(pointer: str, text: str) -> Iterator[LintFinding]:
    try:
        duration_of(text)
    except ValueError as fault:
        yield error("duration_invalid", pointer, str(fault))


def _breaker(pipeline: Pipeline) -> Iterator[LintFinding]:
    breaker = pipeline.breaker
    if breaker is None:
        return
    faults = 0
    for name, text in (("window", breaker.window), ("trailing", breaker.trailing)):
        try:
            length_of(text)
        except ValueError as fault:
            faults += 1
            yield error("duration_invalid", f"/breaker/{name}", str(fault))
    if not faults and length_of(breaker.trailing) < length_of(breaker.window):
        text = f"{breaker.trailing} is shorter than the window, so nothing usual is known; look back further"
        yield error("breaker_without_baseline", "/breaker/trailing", text)
