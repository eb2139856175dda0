"""What a person asks of the engine about a subject, besides a move: to put it off and go on, to void evidence, to end a
quarantine, to answer what waits for people."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

from stage_engine.domain.score import Score
from stage_engine.domain.value import value


class _Requested:
    """What a person asks for: a command names it, once."""

    __slots__ = ()
    command_id: str
    kind: Any

    @property
    def identity(self) -> str:
        return f"{self.kind}:{self.command_id}"

    @property
    def input_id(self) -> str:
        return self.command_id


@value
class HoldRequest(_Requested):
    """A person puts the opportunity off: until a time, or a date by the owner's calendar, or until `fact` meets `cell`;
    with none of them until a person goes on with it."""

    command_id: str
    opportunity_id: str
    expected_revision: int
    actor: str
    reason: str
    until: datetime | None = None
    until_day: date | None = None
    fact: str = ""
    cell: str = ""
    kind: Literal["hold"] = "hold"


@value
class ResumeRequest(_Requested):
    """A person goes on with an opportunity on hold."""

    command_id: str
    opportunity_id: str
    expected_revision: int
    actor: str
    reason: str = ""
    kind: Literal["resume"] = "resume"


@value
class VoidRequest:
    """A person says that a submission must not count. `assessment_key` and `remaining` are what it answered, and the
    latest other evidence of that assessment, which comes into force again."""

    command_id: str
    opportunity_id: str
    submission_id: str
    assessment_key: str
    remaining: Score | None
    actor: str
    role: str
    may_void: bool
    reason: str
    kind: Literal["void"] = "void"

    @property
    def identity(self) -> str:
        return f"void:{self.command_id}"

    @property
    def input_id(self) -> str:
        return self.submission_id


class Keep(StrEnum):
    """Whose stage counts where the engine and the CRM contested it."""

    CRM = "crm"
    ENGINE = "engine"


@value
class ReleaseRequest(_Requested):
    """A person ends the quarantine of an opportunity whose stage was contested, and says whose stage counts."""

    command_id: str
    opportunity_id: str
    expected_revision: int
    actor: str
    may_release: bool
    keep: Keep
    reason: str
    role: str = ""
    kind: Literal["release"] = "release"


class Answer(StrEnum):
    """What a person says of a move that waits for approval."""

    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"


@value
class ApprovalAnswer:
    """A person approves a move, rejects it, or takes back the own wish. `number` is that of the request; `roles` are
    those of the person that count for the subject, `teams` whom the person reports to."""

    command_id: str
    opportunity_id: str
    number: int
    answer: Answer
    actor: str
    roles: tuple[str, ...]
    teams: tuple[str, ...]
    manages_owner: bool
    reason: str = ""
    kind: Literal["approval_answer"] = "approval_answer"

    @property
    def identity(self) -> str:
        return f"approval:{self.command_id}"

    @property
    def input_id(self) -> str:
        return self.command_id


@value
class ProposalAnswer:
    """A person accepts what a rule proposed, or rejects it. `number` is that of the proposal."""

    command_id: str
    opportunity_id: str
    rule_id: str
    number: int
    accepted: bool
    actor: str
    role: str
    reason: str = ""
    kind: Literal["proposal_answer"] = "proposal_answer"

    @property
    def identity(self) -> str:
        return f"proposal:{self.command_id}"

    @property
    def input_id(self) -> str:
        return self.command_id
