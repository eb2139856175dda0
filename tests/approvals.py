"""The field example with moves that people have to approve, and what they say of these."""

from typing import Any

from stage_engine.domain.decision import Decision
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.requests import Answer, ApprovalAnswer, ProposalAnswer
from stage_engine.engine import compiled

TWO_MANAGERS: dict[str, Any] = {"approvers": {"roles": ["manager"]}, "needed": 2}
RULE = "prospecting_to_discovery"


def gated(world: Any, approval: dict[str, Any] = TWO_MANAGERS, stage: str = "discovery", **changes: Any) -> Any:
    """Rules where this stage has to be approved."""
    stages = [{**s, "approval": approval} if s["key"] == stage else s for s in world.document()["stages"]]
    return compiled(world.pipeline(stages=stages, **changes))


def answer(opportunity: Opportunity, actor: str, given: Answer = Answer.APPROVE, **more: Any) -> ApprovalAnswer:
    """What a person, a manager unless given otherwise, says of the move that waits."""
    request = opportunity.approval_request
    fields: dict[str, Any] = {"roles": ("manager",), "teams": (), "manages_owner": False, "reason": "because"}
    number = request.number if request else 0
    return ApprovalAnswer(f"{actor}-{given}-{number}", "o1", number, given, actor, **{**fields, **more})


def word(opportunity: Opportunity, actor: str = "mona", *, accepted: bool = True, **given: Any) -> ProposalAnswer:
    """What a person says of what the rule proposes."""
    number = opportunity.proposals[RULE].number
    fields: dict[str, Any] = {"role": "manager", "reason": "fine", **given}
    return ProposalAnswer(f"{actor}-{accepted}-{number}", "o1", RULE, number, accepted, actor, **fields)


def passed(world: Any, opportunity: Opportunity, rules: Any, score: str = "70", **given: Any) -> Decision:
    """A score of the first stage comes in."""
    return world.decide(opportunity, world.submission("prospecting", score, opportunity, **given), rules)
