"""The score of an assessment, as evidence of an opportunity."""

from datetime import datetime
from decimal import Decimal

from stage_engine.domain.literals import StoredLiteral
from stage_engine.domain.value import value


@value
class Score:
    """The evidence in force of one assessment. `lost` are the questions that lost points, most first."""

    score: Decimal
    submission_id: str
    stage_key: str
    visit_no: int
    attempt_no: int
    received_at: datetime
    profile_version: int
    captured_at: datetime
    submitted_by: str
    lost: tuple[tuple[str, Decimal], ...]
    # Its sections and answers that the pipeline reads, by the rest of their facts' names: `answers.budget`.
    details: tuple[tuple[str, StoredLiteral], ...] = ()

    @property
    def order(self) -> tuple[int, int, datetime, int]:
        """Later evidence is greater: a later visit, then the attempt, then when it arrived, then a newer scoring of
        the same answers. Device clocks have no say."""
        return (self.visit_no, self.attempt_no, self.received_at, self.profile_version)
