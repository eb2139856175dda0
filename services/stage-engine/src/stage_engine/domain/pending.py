"""What waits for people: a move that has to be approved, and moves that rules propose."""

from datetime import datetime
from enum import StrEnum

from stage_engine.domain.inputs import Command
from stage_engine.domain.value import value


class ApprovalState(StrEnum):
    """Whether a request is still waited for, and if not, how it ended."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    NO_LONGER_VALID = "no_longer_valid"


class ProposalState(StrEnum):
    """Whether a proposal is open, and if not, how it ended."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    NO_LONGER_VALID = "no_longer_valid"


@value
class Vote:
    """A person agrees. `roles` are those that count for the subject, `teams` whom the person reports to."""

    actor: str
    at: datetime
    roles: tuple[str, ...]
    teams: tuple[str, ...]
    manages_owner: bool
    text: str = ""


@value
class ApprovalRequest:
    """A move that waits for approval; `number` is the decision that asked for it. `command` is what a person wants;
    without one the rule wants it, or `asked_by` has accepted what the rule proposed."""

    number: int
    from_stage: str
    to_stage: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    rule_id: str = ""
    command: Command | None = None
    accepted: bool = False
    # How many have to agree.
    needed: int = 1
    votes: tuple[Vote, ...] = ()

    @property
    def is_of_person(self) -> bool:
        """Whether a person asked for it, and not a rule."""
        return self.command is not None or self.accepted


@value
class Proposal:
    """A move that a rule proposes, on these facts; `number` is the decision that made it."""

    number: int
    rule_id: str
    from_stage: str
    to_stage: str
    facts: tuple[tuple[str, str], ...]
    made_at: datetime
    expires_at: datetime
