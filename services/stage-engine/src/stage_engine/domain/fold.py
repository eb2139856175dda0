"""A batch of inputs to one opportunity, applied in order."""

from collections.abc import Iterable
from datetime import datetime

from stage_engine.domain.decide import decide
from stage_engine.domain.decision import Decision
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Input, relevant
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
    return steps
