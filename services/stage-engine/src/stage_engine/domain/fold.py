"""A batch of inputs to one opportunity, applied in order, each with the moves that its own may lead to."""

from collections.abc import Iterable
from datetime import datetime

from stage_engine.domain.decide import decide
from stage_engine.domain.decision import Cause, Decision, Outcome, TransitionKind
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Hop, Input, relevant
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.value import value


@value
class Step:
    """One input, the opportunity as it was, and the decision."""

    before: Opportunity | None
    given: Input
    decision: Decision


def fold(
    opportunity: Opportunity | None, inputs: Iterable[Input], rules: Ruleset, now: datetime, decided: set[str]
) -> list[Step]:
    """A step for every input that was not decided before. `decided` holds the identities of inputs that were, and
    gains the new ones: the same input never costs a second decision."""
    steps: list[Step] = []
    for given in inputs:
        if given.identity in decided:
            continue
        decided.add(given.identity)
        read = relevant(given, rules.pipeline)
        decision = decide(opportunity, read, rules, now)
        steps.append(Step(opportunity, read, decision))
        opportunity = decision.opportunity
        if rules.pipeline.cascade_at_most > 1:
            hops = _hops(given.identity, decision, rules, now, decided)
            steps += hops
            opportunity = hops[-1].decision.opportunity if hops else opportunity
    return steps


_ONWARD = (TransitionKind.ADVANCE, TransitionKind.SKIP)


def _hops(cause: str, first: Decision, rules: Ruleset, now: datetime, decided: set[str]) -> list[Step]:
    """The moves that a rule's move led on to, each with a decision of its own, as many as the pipeline allows. Each
    goes on to a later stage, so none comes round; a hop that leads nowhere is not logged."""
    steps: list[Step] = []
    decision = first
    for number in range(1, rules.pipeline.cascade_at_most):
        move, before = decision.transition, decision.opportunity
        if move is None or before is None or move.cause is not Cause.RULE or move.kind not in _ONWARD:
            break
        given = Hop(cause, before.opportunity_id, number, move.hops)
        decision = decide(before, given, rules, now)
        if decision.outcome not in (Outcome.ACCEPTED, Outcome.PROPOSED):
            break
        decided.add(given.identity)
        steps.append(Step(before, given, decision))
    return steps
