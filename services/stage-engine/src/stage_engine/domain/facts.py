"""What rules read: named values of an opportunity and of its evidence, and what is known of each name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from stage_engine.domain.literals import FactType, Known, StoredLiteral
from stage_engine.domain.value import value

Facts = Mapping[str, Known]

AMOUNT = "opportunity.amount"
CLOSE_DATE = "opportunity.close_date"
OWNER = "opportunity.owner_id"
CURRENCY = "opportunity.currency"
CREATED = "opportunity.created_at"
AGE = "opportunity.age_days"
STAGE_AGE = "visit.age_days"
BUSINESS_AGE = "stage.age_business_days"
ROTTING = "stage.rotting"
STALLED = "stage.stalled"
LAST_TOUCH = "activity.last_touch_at"
# The account of an opportunity, and what kind of account one is.
ACCOUNT, ACCOUNT_TYPE = "opportunity.account_id", "account.type"
LAST_INBOUND = "activity.last_inbound_at"
ACTIVITY_COUNT = "activity.count"
ACTIVITY_KINDS = ("call", "email", "meeting", "task", "other")

# Objects of the CRM and of the engine: no assessment is called so.
OBJECTS = frozenset({
    "opportunity", "lead", "account", "contact", "contacts", "activity", "milestones", "signal", "crm", "visit",
    "stage", "timers",
})  # fmt: skip
# What a caller of the fact API may not say of itself: the CRM's own word, and what the engine works out.
CRM = "crm"
# The source of what people say with a move.
PERSON = "person"

_KEY = "[A-Za-z][A-Za-z0-9_-]{0,63}"
NAME = re.compile(rf"{_KEY}\.{_KEY}(?:\.{_KEY})?")
_EVIDENCE = re.compile(rf"({_KEY})\.(score|percent|sections\.{_KEY}|answers\.{_KEY})")
_CONTACTS = re.compile(rf"contacts\.{_KEY}")
_MILESTONE = re.compile(rf"milestones\.({_KEY})")
_TIMER = re.compile(rf"timers\.({_KEY})\.fired")

# A unit that the pipeline says: its currency.
MONEY = "currency"


@value
class FactInForce:
    """What a source last said of a fact; None: that it is unknown. `sequence` places it among all that the source says
    of the subject, 0 where the source counts nothing."""

    name: str
    value: StoredLiteral | None
    source: str
    observed_at: datetime
    sequence: int = 0

    @property
    def order(self) -> tuple[int, datetime]:
        """Greater is later, among facts of one name and source."""
        return self.sequence, self.observed_at


@dataclass(frozen=True, slots=True)
class FactKind:
    """What is known of a fact by its name: its type, None where only the answers tell, and the unit of its numbers."""

    type: FactType | None
    unit: str = ""


_BUILT_IN = {
    AMOUNT: FactKind(FactType.DECIMAL, MONEY),
    CLOSE_DATE: FactKind(FactType.DATE),
    OWNER: FactKind(FactType.TEXT),
    "lead.owner_id": FactKind(FactType.TEXT),
    "account.owner_id": FactKind(FactType.TEXT),
    CURRENCY: FactKind(FactType.TEXT),
    CREATED: FactKind(FactType.INSTANT),
    AGE: FactKind(FactType.DECIMAL, "days"),
    STAGE_AGE: FactKind(FactType.DECIMAL, "days"),
    BUSINESS_AGE: FactKind(FactType.DECIMAL, "days"),
    ROTTING: FactKind(FactType.BOOLEAN),
    STALLED: FactKind(FactType.BOOLEAN),
    LAST_TOUCH: FactKind(FactType.INSTANT),
    LAST_INBOUND: FactKind(FactType.INSTANT),
    ACTIVITY_COUNT: FactKind(FactType.DECIMAL, "activities"),
    "opportunity.record_type": FactKind(FactType.TEXT),
    "opportunity.lead_source": FactKind(FactType.TEXT),
    "lead.source": FactKind(FactType.TEXT),
    "opportunity.type": FactKind(FactType.TEXT),
}
_BUILT_IN |= {f"activity.{kind}.count": FactKind(FactType.DECIMAL, "activities") for kind in ACTIVITY_KINDS}
_BUILT_IN |= {f"activity.{kind}.last_at": FactKind(FactType.INSTANT) for kind in ACTIVITY_KINDS}
# Time alone changes them.
AGES = frozenset({AGE, STAGE_AGE, BUSINESS_AGE, ROTTING, STALLED})
# Those that the engine works out itself, from the observation and the time.
WORKED_OUT = frozenset({AMOUNT, CLOSE_DATE, CURRENCY, OWNER, "lead.owner_id", "account.owner_id", *AGES})
# In words, for people who look for a fact.
NAMES = (*_BUILT_IN, "contacts.<role>", "milestones.<key>", "timers.<key>.fired", "<assessment>.score",
         "<assessment>.percent", "<assessment>.sections.<section>", "<assessment>.answers.<question>")  # fmt: skip


@lru_cache(4096)
def kind_by_name(name: str) -> FactKind | None:
    """What a name says by itself; None for one that a pipeline has to declare."""
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if _CONTACTS.fullmatch(name):
        return FactKind(FactType.DECIMAL, "contacts")
    evidence = assessment_of(name)
    if evidence is None:
        return None
    detail = name.removeprefix(evidence + ".")
    if detail.startswith("answers."):
        return FactKind(None)
    return FactKind(FactType.DECIMAL, "percent" if detail == "percent" else "points")


def score_fact(assessment_key: str) -> str:
    """The fact that holds an assessment's score."""
    return f"{assessment_key}.score"


@lru_cache(4096)
def assessment_of(fact: str) -> str | None:
    """The assessment whose score, section or answer the fact is; None for a fact of another kind."""
    match = _EVIDENCE.fullmatch(fact)
    return None if match is None or match[1] in OBJECTS else match[1]


@lru_cache(4096)
def milestone_of(fact: str) -> str | None:
    """The milestone that the fact tells of; None for a fact of another kind."""
    match = _MILESTONE.fullmatch(fact)
    return None if match is None else match[1]


@lru_cache(4096)
def timer_of(fact: str) -> str | None:
    """The timer that the fact tells of; None for a fact of another kind."""
    match = _TIMER.fullmatch(fact)
    return None if match is None else match[1]
