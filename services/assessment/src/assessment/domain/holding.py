"""What is held for a reviewer: why, how much of it, and what entitles a person to hand in at once."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from assessment.domain.capture import Capture


class Right(StrEnum):
    """What entitles a person to hand in answers for an opportunity."""

    SEEN = "seen"
    """They see it: it is their own, or they see all."""
    UNKNOWN = "unknown"
    """Its owner is not known here yet; the stage engine asks again when it is."""
    OVER_QUOTA = "over_quota"
    """As unknown, and as much of theirs as is allowed waits for unknown opportunities already."""
    NONE = "none"
    """It is another person's."""
    EXHAUSTED = "exhausted"
    """So much of theirs is held already that no more may wait."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many submissions of a person wait for an opportunity whose owner is not known, and how many are held; or how
    many may."""

    unknown: int
    held: int

    def next(self, right: Right, quota: "Waiting", *, counts: bool = True) -> tuple[Right, "Waiting"]:
        """The right to hand in one more that has to wait, and how much waits then: for an opportunity that the person
        does not see, or, unless it `counts`, by a definition that does not. When too much is held, it is the same for
        any opportunity, or it would tell which are there."""
        if self.held >= quota.held:
            return Right.EXHAUSTED, self
        if not counts:
            return right, Waiting(self.unknown, self.held + 1)
        if right is Right.UNKNOWN and self.unknown < quota.unknown:
            return right, Waiting(self.unknown + 1, self.held)
        held = Right.OVER_QUOTA if right is Right.UNKNOWN else right
        return held, Waiting(self.unknown, self.held + 1)


class HoldReason(StrEnum):
    """Why a capture is held for a reviewer. That its definition does not count is said to the submitter, and goes
    before; the rest is not: it would say whether the opportunity exists."""

    NOT_OWNER = "not_owner"
    TOO_MANY_UNKNOWN = "too_many_unknown"
    VERSION_UNKNOWN = "version_unknown"
    FORM_HASH_MISMATCH = "form_hash_mismatch"
    VERSION_RETIRED = "version_retired"

    @property
    def is_told(self) -> bool:
        """Whether the submitter learns it."""
        return self not in {HoldReason.NOT_OWNER, HoldReason.TOO_MANY_UNKNOWN}


HeldOutcome = Literal["accepted", "discarded"]
"""What a reviewer made of what was held."""


def explained(reason: HoldReason, capture: Capture) -> str:
    """A reason that is said to the submitter, in words."""
    key, version = capture.assessment_key, capture.assessment_version
    if reason is HoldReason.VERSION_UNKNOWN:
        return f"{key} has no published version {version}. Answer the one that next-assessment names."
    if reason is HoldReason.VERSION_RETIRED:
        return f"Version {version} of {key} was retired before this was captured."
    return "The definition that was answered is not the one that was published."
