"""What a pipeline says about moves that its rules did not make."""

from enum import StrEnum


class SkipPolicy(StrEnum):
    """Whether open stages may be passed over. An override and a person's edit in the CRM may in any case."""

    FORBID = "forbid"
    IF_GUARDS_HOLD = "if_guards_hold"


class CrmEditPolicy(StrEnum):
    """What becomes of a person's edit of the stage in the CRM: it counts and is remembered as an override; it counts if
    it lacks nothing and is undone otherwise; it counts and what it lacks is named with the way back; it is undone."""

    ADOPT_AS_OVERRIDE = "adopt_as_override"
    VALIDATE_THEN_ADOPT = "validate_then_adopt"
    PROPOSE_BACK = "propose_back"
    REVERT = "revert"


class OtherPipelinePolicy(StrEnum):
    """What becomes of a subject to which another pipeline applies that says no place for its stage."""

    STAY = "stay"
    QUARANTINE = "quarantine"


class VoidedEvidencePolicy(StrEnum):
    """What becomes of a stage that rested on evidence which a person has voided: it stays, and the decision says that
    it is no longer supported; it goes back to the last stage that the rest supports."""

    KEEP = "keep"
    REGRESS = "regress"
