"""Deciding on who was chosen for a subject, and what a person's choice means for the rules'."""

from collections.abc import Sequence
from dataclasses import replace

from stage_engine.domain.acting import settled
from stage_engine.domain.assigned import OWNER_ROLE, Assigned
from stage_engine.domain.decision import Code, Outcome, Reason, Ruling
from stage_engine.domain.inputs import Assignment, Input, Observation
from stage_engine.domain.opportunity import Opportunity

# What the CRM never shows is forgotten after so many others.
_MOST_ASKED_FOR = 10


def on_assignment(opportunity: Opportunity, given: Assignment) -> Ruling:
    """Each role goes to who was chosen, with the reason; what a person chose stays. The stage does not change. Whatever
    comes of it, the action that asked for it is over."""
    if given.action is not None:
        opportunity = settled(opportunity, *given.action)
    if opportunity.deleted:
        reason = Reason(Code.TERMINAL, "", None, "the opportunity was deleted in the CRM")
        return Ruling(Outcome.NO_OP, opportunity, (reason,))
    assigned, reasons = dict(opportunity.assigned), list[Reason]()
    changed: list[Assigned] = []
    for choice in given.choices:
        fact, held = f"assignment.{choice.role}", assigned.get(choice.role)
        if held is not None and held.by_person and not choice.by_person:
            text = f"{held.person_id} was chosen by a person, and stays {choice.role}"
            reasons.append(Reason(Code.OVERRIDE_ACTIVE, fact, None, text))
        elif not choice.person_id:
            reasons.append(Reason(Code.MISSING, fact, None, f"there is no {choice.role}: {choice.reason}"))
        elif held is None or (held.person_id, held.by_person) != (choice.person_id, choice.by_person):
            assigned[choice.role] = choice
            changed.append(choice)
    if not changed:
        return Ruling(Outcome.NO_OP, opportunity, tuple(reasons))
    after = _with_owner_asked_for(opportunity.changed(assigned=assigned), changed)
    return Ruling(Outcome.ACCEPTED, after, tuple(reasons), assigned=tuple(changed))


def _with_owner_asked_for(opportunity: Opportunity, changed: Sequence[Assigned]) -> Opportunity:
    """The opportunity for which the CRM is asked for another owner, unless that one is shown and no other is on the
    way."""
    chosen = next((each.person_id for each in changed if each.role == OWNER_ROLE), "")
    asked_for = opportunity.owners_asked_for
    if not chosen or (chosen == opportunity.owner_id and not asked_for):
        return opportunity
    return opportunity.changed(owners_asked_for=(*asked_for, chosen)[-_MOST_ASKED_FOR:])


def owner_refused(opportunity: Opportunity, person_id: str) -> Opportunity:
    """The opportunity whose CRM does not take this owner, so that it will not show them on our word."""
    left = tuple(each for each in opportunity.owners_asked_for if each != person_id)
    return opportunity if left == opportunity.owners_asked_for else opportunity.changed(owners_asked_for=left)


def with_owner_of_crm(before: Opportunity, given: Input, ruling: Ruling) -> Ruling:
    """The ruling where a person gave the subject another owner in the CRM: this choice stays. An owner that we asked
    for, as it comes back from the CRM, is none, also when another was chosen meanwhile."""
    after = ruling.opportunity
    if after is None or not after.assigned or not isinstance(given, Observation):
        return ruling
    asked_for = after.owners_asked_for
    if after.owner_id in asked_for and after.owner_id != before.owner_id:
        left = asked_for[asked_for.index(after.owner_id) + 1 :]
        return replace(ruling, opportunity=after.changed(owners_asked_for=left))
    held = after.assigned.get(OWNER_ROLE)
    if held is None or after.owner_id in ("", held.person_id, before.owner_id):
        return ruling
    reason = f"{given.changed_by or 'a person'} chose {after.owner_id} in the CRM"
    chosen = Assigned(OWNER_ROLE, after.owner_id, "", "", reason, given.committed_at, by_person=True)
    assigned = {**after.assigned, OWNER_ROLE: chosen}
    return replace(ruling, opportunity=after.changed(assigned=assigned, owners_asked_for=()))
