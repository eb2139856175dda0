"""Queries of submissions with what became of them."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from kit.database.rows import columns
from kit.database.sets import among
from pydantic import TypeAdapter
from pydantic_core import ArgsKwargs
from sqlalchemy import Select, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.domain.outcome import Attempt, Decision, Score
from assessment.models import opportunity, stage_decision, submission, submission_score
from assessment.records import SubmissionRecord

K = TypeVar("K")

# Of an opportunity with many attempts, a few decide: the others are neither read nor joined.
_LATEST = text("""
    WITH attempt AS (
        SELECT
            submission_id,
            count(*) OVER in_visit AS in_visit,
            row_number() OVER (PARTITION BY opportunity_id ORDER BY received_at DESC, submission_id DESC) AS newest,
            row_number() OVER (
                PARTITION BY opportunity_id, assessment_key ORDER BY attempt_no DESC, received_at DESC
            ) AS highest,
            row_number() OVER (in_visit ORDER BY attempt_no DESC, received_at DESC) AS latest
        FROM submission
        WHERE tenant_id = :tenant_id
        AND opportunity_id = any(:opportunity_ids)
        AND (
            entitled
            OR EXISTS (
                SELECT
                FROM opportunity
                WHERE opportunity.tenant_id = submission.tenant_id
                AND opportunity.opportunity_id = submission.opportunity_id
                AND opportunity.owner_id = submission.submitted_by
            )
        )
        WINDOW in_visit AS (PARTITION BY opportunity_id, assessment_key, stage_key, visit_no)
    )
    SELECT submission_id, in_visit
    FROM attempt
    WHERE newest = 1
    OR highest = 1
    OR latest = 1
""")
_SUBMISSION = columns(submission, SubmissionRecord)
_SCORE = columns(submission_score, Score)
_DECISION = columns(stage_decision, Decision)
_READ_SUBMISSION = TypeAdapter(SubmissionRecord)
_READ_SCORE = TypeAdapter(Score)
_READ_DECISION = TypeAdapter(Decision)


class AttemptRepository:
    """Submissions of one tenant, each with its newest score and decision."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def attempts(self, opportunity_ids: Collection[str]) -> dict[str, list[Attempt]]:
        """Of what counts for each of these opportunities, the submissions that a next step depends on, with their
        newest score and decision, in the order received: the newest, of each assessment the highest attempt, and of
        each assessment and visit the last."""
        given = {"tenant_id": self._tenant_id, "opportunity_ids": list(opportunity_ids)}
        chosen = {row.submission_id: row.in_visit for row in await self._session.execute(_LATEST, given)}
        found: dict[str, list[Attempt]] = {}
        for row, attempt in await self._submissions(among(submission.c.submission_id, chosen)):
            counted = replace(attempt, in_visit=chosen[attempt.submission_id])
            found.setdefault(row.opportunity_id, []).append(counted)
        return found

    async def submission(self, submission_id: UUID) -> tuple[SubmissionRecord, Attempt, str | None] | None:
        """One submission with its newest score and decision, and its opportunity's owner, None while not known."""
        found = await self._submissions(submission.c.submission_id == submission_id)
        if not found:
            return None
        [(handed_in, attempt)] = found
        owner = select(opportunity.c.owner_id).where(
            opportunity.c.tenant_id == self._tenant_id, opportunity.c.opportunity_id == handed_in.opportunity_id
        )
        return handed_in, attempt, (await self._session.execute(owner)).scalar()

    async def _submissions(self, condition: Any) -> list[tuple[SubmissionRecord, Attempt]]:
        found = await self._session.execute(_with_newest(self._tenant_id).where(condition))
        return [_followed(row) for row in found]


def _with_newest(tenant_id: str) -> Select[Any]:
    """Submissions beside their newest score and decision. Of all pairs of a score and a decision of one submission, the
    newest score comes first with the newest decision."""
    s, v, d = submission.c, submission_score.c, stage_decision.c
    return (
        select(*_SUBMISSION, *_SCORE, *_DECISION)
        .ext(distinct_on(s.received_at, s.submission_id))
        .outerjoin(submission_score, (v.tenant_id == s.tenant_id) & (v.submission_id == s.submission_id))
        .outerjoin(stage_decision, (d.tenant_id == s.tenant_id) & (d.submission_id == s.submission_id))
        .where(s.tenant_id == tenant_id)
        .order_by(s.received_at, s.submission_id, v.scored_at.desc(), v.score_id.desc(), d.decision_no.desc())
    )


def _followed(row: Sequence[Any]) -> tuple[SubmissionRecord, Attempt]:
    after_submission, after_score = len(_SUBMISSION), len(_SUBMISSION) + len(_SCORE)
    handed_in = _value(_READ_SUBMISSION, row[:after_submission])
    assert handed_in is not None
    attempt = Attempt(
        handed_in.submission_id,
        handed_in.assessment_key,
        handed_in.visit,
        handed_in.attempt_no,
        handed_in.received_at,
        _value(_READ_SCORE, row[after_submission:after_score]),
        _value(_READ_DECISION, row[after_score:]),
    )
    return handed_in, attempt


def _value(reader: TypeAdapter[K], values: Sequence[Any]) -> K | None:
    """A value from its columns; None where the join found no row, so that even its first column, the id, is NULL."""
    return None if values[0] is None else reader.validate_python(ArgsKwargs(tuple(values)))
