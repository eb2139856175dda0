"""What rules read: named values of an opportunity and of its evidence."""

from collections.abc import Mapping
from datetime import datetime

from stage_engine.domain.grammar import Literal
from stage_engine.domain.literals import StoredLiteral
from stage_engine.domain.value import value

Facts = Mapping[str, Literal]

AMOUNT = "opportunity.amount"
CLOSE_DATE = "opportunity.close_date"
OWNER = "opportunity.owner_id"
OPPORTUNITY_FACTS = (AMOUNT, CLOSE_DATE, OWNER)


@value
class FactInForce:
    """What a source last said of a fact; None: that it is unknown. `sequence` places it among all that the source says
    of the subject, 0 where the source counts nothing."""

    name: str
    value: StoredLiteral | None
    source: str
    observed_at: datetime
    sequence: int = 0


def score_fact(assessment_key: str) -> str:
    """The fact that holds an assessment's score."""
    return f"{assessment_key}.score"


def assessment_of(fact: str) -> str | None:
    """The assessment whose score the fact is; None for a fact of the opportunity."""
    return None if fact in OPPORTUNITY_FACTS else fact.removesuffix(".score")
