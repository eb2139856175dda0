"""Short ways to say what a decision of the engine holds."""

from typing import Any

from stage_engine.domain.decision import Code, Decision, TransitionKind
from stage_engine.domain.opportunity import Opportunity

OVERRIDE: dict[str, Any] = {"override": True, "reason_code": "EXEC", "text": "the board asked for it"}


def codes(decision: Decision) -> list[Code]:
    """What the decision gives as reasons."""
    return [reason.code for reason in decision.reasons]


def after(decision: Decision) -> Opportunity:
    """The opportunity after the decision."""
    assert decision.opportunity is not None
    return decision.opportunity


def kind(decision: Decision) -> TransitionKind:
    """What kind of transition was decided."""
    assert decision.transition is not None
    return decision.transition.kind
