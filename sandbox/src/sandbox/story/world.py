"""The people, accounts and opportunities of a story, what they will do, and the stages of the field example.

All of it is values. The modules that play it (`reps`, `org_load`) add ids and clocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

PIPELINE = "field_example"

PROSPECTING = "prospecting"
DISCOVERY = "discovery"
DEMO = "demo"
NEGOTIATION = "negotiation"
CLOSED_WON = "closed_won"
CLOSED_LOST = "closed_lost"

OPEN_STAGES = (PROSPECTING, DISCOVERY, DEMO, NEGOTIATION)
STAGES = (*OPEN_STAGES, CLOSED_WON, CLOSED_LOST)
CRM_STAGE: Mapping[str, str] = {
    PROSPECTING: "Prospecting",
    DISCOVERY: "Discovery",
    DEMO: "Demo",
    NEGOTIATION: "Negotiation",
    CLOSED_WON: "Closed Won",
    CLOSED_LOST: "Closed Lost",
}
# The assessment whose score decides whether an opportunity leaves the stage.
ASSESSMENT_OF: Mapping[str, str] = {
    PROSPECTING: "prospecting",
    DISCOVERY: "discovery",
    DEMO: "demo",
    NEGOTIATION: "sales_feedback",
}

Answers = Mapping[str, str | bool | int | list[str]]


def rank(stage: str) -> int:
    """How far along a stage is; a lost opportunity counts as nowhere."""
    return -1 if stage == CLOSED_LOST else STAGES.index(stage)


@dataclass(frozen=True, slots=True)
class Account:
    """A company that is sold to. Revenue in whole units of the org's currency."""

    key: str
    name: str
    industry: str
    country: str
    employees: int
    revenue: Decimal


@dataclass(frozen=True, slots=True)
class Rep:
    """A sales rep. `optimism` is the chance that a claim of theirs runs ahead of the truth; one who is `offline`
    answers without a network and hands everything in at the end of the day."""

    key: str
    first_name: str
    last_name: str
    manager: str
    region: str
    optimism: float
    offline: bool

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"

    @property
    def username(self) -> str:
        return f"{self.key}@acme.example"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One assessment a rep will hand in. `ready` is the hidden truth: whether its stage is done."""

    assessment_key: str
    answers: Answers
    ready: bool


@dataclass(frozen=True, slots=True)
class Opportunity:
    """An opportunity as the org holds it (`claimed`) and as it is (`supported`, the stage its evidence would earn).
    Its `account_key` is empty when it belongs to no account.

    `reviews` are answers about stages the claim has passed already; `attempts` about the claimed stage and the ones
    after it, each handed in when the opportunity has got there.
    """

    key: str
    name: str
    account_key: str
    rep_key: str
    amount: Decimal
    created_on: date
    close_on: date
    claimed: str
    supported: str
    reviews: tuple[Attempt, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.claimed in OPEN_STAGES


@dataclass(frozen=True, slots=True)
class Edit:
    """A person sets an opportunity's stage in Salesforce without an assessment."""

    opportunity_key: str
    to_stage: str
    by: str


class Flaw(StrEnum):
    """What is wrong with a submission that must be refused."""

    MISSING_ANSWER = "missing_answer"
    UNKNOWN_CHOICE = "unknown_choice"
    VERSION_UNKNOWN = "version_unknown"
    WRONG_HASH = "wrong_hash"
    OTHER_BODY = "other_body"


@dataclass(frozen=True, slots=True)
class BadSubmission:
    """A submission that must be refused, and why."""

    opportunity_key: str
    flaw: Flaw
    assessment_key: str
    answers: Answers


@dataclass(frozen=True, slots=True)
class Move:
    """A rep asks for a stage without the evidence; the engine must refuse."""

    opportunity_key: str
    to_stage: str


@dataclass(frozen=True, slots=True)
class World:
    """Accounts, people and opportunities before anything happens. `notes` say what was repaired in the source."""

    accounts: tuple[Account, ...]
    reps: tuple[Rep, ...]
    opportunities: tuple[Opportunity, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """A world and everything that will be done in it."""

    world: World
    edits: tuple[Edit, ...]
    bad_submissions: tuple[BadSubmission, ...]
    moves: tuple[Move, ...]

    @property
    def submission_count(self) -> int:
        return sum(len(opportunity.reviews) + len(opportunity.attempts) for opportunity in self.world.opportunities)
