"""What the check of a pipeline reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from stage_engine.domain.boxes import Domain
from stage_engine.domain.literals import Known, shown


class Severity(StrEnum):
    """An error refuses publication; a warning deserves a look; info tells what may surprise."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class LintFinding:
    """One finding. `pointer` is a JSON pointer into the pipeline, `witness` an example of facts that show it."""

    severity: Severity
    code: str
    pointer: str
    message: str
    witness: Mapping[str, str] | None = None


@dataclass(frozen=True)
class ScoreReach:
    """The scores that an assessment can give, in the scale that rules compare: bounds, and all of them when few."""

    minimum: Decimal | None
    maximum: Decimal | None
    scores: tuple[Decimal, ...] = ()

    @property
    def domain(self) -> Domain:
        """The same as a domain of the box algebra."""
        return Domain(self.minimum, self.maximum, self.scores)


def error(code: str, pointer: str, message: str, witness: Mapping[str, Known] | None = None) -> LintFinding:
    return _finding(Severity.ERROR, code, pointer, message, witness)


def warning(code: str, pointer: str, message: str, witness: Mapping[str, Known] | None = None) -> LintFinding:
    return _finding(Severity.WARNING, code, pointer, message, witness)


def info(code: str, pointer: str, message: str, witness: Mapping[str, Known] | None = None) -> LintFinding:
    return _finding(Severity.INFO, code, pointer, message, witness)


def _finding(
    severity: Severity, code: str, pointer: str, message: str, witness: Mapping[str, Known] | None
) -> LintFinding:
    texts = None if witness is None else {fact: shown(value) for fact, value in witness.items()}
    return LintFinding(severity, code, pointer, message, texts)
