"""Everything a decision depends on and consists of as JSON, by the declarations of its values.

A stored decision is the opportunity before, the input, the decision, and the opportunity afterwards. Deciding again on
the first two under the same pipeline version and time must give the bytes of the last two. A field at its default is
not written, so that a field added later changes no bytes of what was stored before; input and opportunity before are
never written again.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field, TypeAdapter

from stage_engine.domain.decide import decide
from stage_engine.domain.decision import Decision
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Input
from stage_engine.domain.opportunity import Opportunity

_OPPORTUNITY = TypeAdapter(Opportunity)
_DECISION = TypeAdapter(Decision)
_INPUT: TypeAdapter[Input] = TypeAdapter(Annotated[Input, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """The four documents of one decision; `before` is None at the first observation."""

    before: str | None
    given: str
    decision: str
    after: str | None


def encode_opportunity(opportunity: Opportunity) -> str:
    """The opportunity as JSON."""
    return _OPPORTUNITY.dump_json(opportunity, exclude_defaults=True).decode()


def encode_input(given: Input) -> str:
    """The input as JSON, with its kind."""
    return _INPUT.dump_json(given).decode()


def encode_decision(decision: Decision) -> str:
    """The decision as JSON. The opportunity afterwards is a document of its own."""
    return _DECISION.dump_json(decision, exclude={"opportunity"}, exclude_defaults=True).decode()


def decode_opportunity(document: str) -> Opportunity:
    """The opportunity again."""
    return _OPPORTUNITY.validate_json(document)


def decode_input(document: str | bytes) -> Input:
    """The input again."""
    return _INPUT.validate_json(document)


def decode_decision(document: str) -> Decision:
    """The decision again, without the opportunity."""
    return _DECISION.validate_json(document)


def run_again(stored: StoredDecision, rules: Ruleset, decided_at: datetime) -> tuple[StoredDecision, bool]:
    """The decision made anew from what was stored, and whether it is the same to the byte."""
    before = None if stored.before is None else decode_opportunity(stored.before)
    decision = decide(before, decode_input(stored.given), rules, decided_at)
    after = None if decision.opportunity is None else encode_opportunity(decision.opportunity)
    again = StoredDecision(stored.before, stored.given, encode_decision(decision), after)
    return again, again == stored
