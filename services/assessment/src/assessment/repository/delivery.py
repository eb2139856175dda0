"""Queries behind "what now?": opportunities, their stages, attempts and history."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from kit.database.rows import rows
from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    String,
    Table,
    and_,
    case,
    cast,
    func,
    literal,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB, distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from assessment.domain.capture import visit_of
from assessment.domain.delivery import Available, OpportunityState, Stage
from assessment.domain.outcome import Attempt, Decision, NearMiss, Reason, Score
from assessment.models import (
    assessment_version,
    opportunity,
    pipeline_version,
    stage_change,
    stage_decision,
    submission,
    submission_score,
)

Row = dict[str, Any]
PipelineStages = dict[tuple[str, int], dict[str, Stage]]


class DeliveryRepository:
    """Reads of one tenant. owner_id None means whoever the owner is."""

    def __init__(self, session: AsyncSession, tenant_id: str) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def opportunity(self, opportunity_id: str, owner_id: str | None) -> Row | None:
        """One opportunity; None also when it is another owner's."""
        statement = self._opportunities().where(opportunity.c.opportunity_id == opportunity_id)
        if owner_id is not None:
            statement = statement.where(opportunity.c.owner_id == owner_id)
        found = await rows(self._session, statement)
        return found[0] if found else None

    async def open_opportunities(self, owner_id: str, after: str, limit: int) -> list[Row]:
        """An owner's open opportunities by id, from behind `after`."""
        c = opportunity.c
        statement = self._opportunities().where(
            c.owner_id == owner_id,
            c.opportunity_id > after,
            c.stage_category == "open",
            c.deleted.is_(False),
        )
        return await rows(self._session, statement.order_by(c.opportunity_id).limit(limit))

    async def stages(self, pipelines: Collection[tuple[str, int]]) -> PipelineStages:
        """Stages by key of each known one of these (pipeline_key, version) pairs."""
        c = pipeline_version.c
        statement = select(c.pipeline_key, c.version, c.stages).where(
            c.tenant_id == self._tenant_id, tuple_(c.pipeline_key, c.version).in_(sorted(pipelines))
        )
        return {
            (row["pipeline_key"], row["version"]): {
                stage["key"]: Stage(stage["key"], stage["name"], stage["category"], tuple(stage["assessment_keys"]))
                for stage in row["stages"]
            }
            for row in await rows(self._session, statement)
        }

    async def available(self, assessment_keys: Collection[str]) -> dict[str, Available]:
        """The newest version of each of these assessments that may be started."""
        c = assessment_version.c
        statement = (
            select(c.assessment_key, c.version, c.title, c.definition_hash)
            .ext(distinct_on(c.assessment_key))
            .where(
                c.tenant_id == self._tenant_id,
                c.assessment_key.in_(sorted(assessment_keys)),
                c.retired_at.is_(None),
            )
            .order_by(c.assessment_key, c.version.desc())
        )
        return {row["assessment_key"]: Available(**row) for row in await rows(self._session, statement)}

    async def attempts(self, opportunity_ids: Collection[str]) -> dict[str, list[Attempt]]:
        """Every submission of these opportunities with its newest score and decision, in the order received."""
        statement = self._submissions().where(submission.c.opportunity_id.in_(sorted(opportunity_ids)))
        found: dict[str, list[Attempt]] = {}
        for row in await rows(self._session, statement.order_by(submission.c.received_at)):
            found.setdefault(row["opportunity_id"], []).append(attempt_of(row))
        return found

    async def submission(self, submission_id: UUID, submitted_by: str | None) -> Row | None:
        """One submission with its newest score and decision; None also when it is another submitter's."""
        statement = self._submissions().where(submission.c.submission_id == submission_id)
        if submitted_by is not None:
            statement = statement.where(submission.c.submitted_by == submitted_by)
        found = await rows(self._session, statement)
        return found[0] if found else None

    async def timeline(self, opportunity_id: str, after: tuple[datetime, str, str] | None, limit: int) -> list[Row]:
        """Submissions, scores, decisions and stage changes in the order of their time, from behind `after`."""
        s, v, d, g = submission.c, submission_score.c, stage_decision.c, stage_change.c
        # Scores and most decisions are found by their submissions: an index of theirs by opportunity would be written
        # for nothing else.
        submitted = select(s.submission_id).where(s.tenant_id == self._tenant_id, s.opportunity_id == opportunity_id)
        decided = [
            d.submission_id, d.input_kind, d.outcome, d.from_stage, d.to_stage, d.proposed_stage, d.reasons, d.actor,
        ]  # fmt: skip
        facts = union_all(
            self._facts(
                submission, "submission", s.received_at, s.submission_id, s.opportunity_id == opportunity_id,
                [s.assessment_key, s.assessment_version, s.attempt_no, s.submitted_by, s.channel, s.captured_at,
                 s.stage_key, s.visit_no, s.warnings],
            ),
            self._facts(
                submission_score, "score", v.scored_at, v.score_id, v.submission_id.in_(submitted),
                [v.submission_id, v.score, v.scale, v.percent, v.raw_points, v.reachable_max, v.complete,
                 v.profile_version],
            ),
            self._facts(
                stage_decision, "decision", d.decided_at, d.decision_id, d.submission_id.in_(submitted), decided,
            ),
            self._facts(
                stage_decision, "decision", d.decided_at, d.decision_id,
                and_(d.opportunity_id == opportunity_id, d.submission_id.is_(None)), decided,
            ),
            self._facts(
                stage_change, "stage_change", g.changed_at, g.transition_id, g.opportunity_id == opportunity_id,
                [g.revision, g.kind, g.from_stage, g.to_stage, g.visit_no, g.cause, g.submission_id, g.actor],
            ),
        ).subquery()  # fmt: skip
        key = (facts.c.at, facts.c.kind, facts.c.id)
        statement = select(facts)
        if after is not None:
            at, kind, fact_id = after
            last = tuple_(literal(at, DateTime(timezone=True)), literal(kind, String), literal(fact_id, String))
            statement = statement.where(tuple_(*key) > last)
        return await rows(self._session, statement.order_by(*key).limit(limit))

    def _facts(
        self,
        table: Table,
        kind: str,
        at: ColumnElement[datetime],
        fact_id: ColumnElement[UUID],
        of_the_opportunity: ColumnElement[bool],
        details: Sequence[ColumnElement[Any]],
    ) -> Select[*tuple[Any, ...]]:
        # A decimal leaves as text: JSON numbers would lose digits.
        pairs = [part for column in details for part in (literal(column.key, String), _json_value(column))]
        detail = cast(func.jsonb_build_object(*pairs), JSONB)
        return select(
            at.label("at"),
            literal(kind, String).label("kind"),
            cast(fact_id, String).label("id"),
            detail.label("detail"),
        ).where(table.c.tenant_id == self._tenant_id, of_the_opportunity)

    def _opportunities(self) -> Select[*tuple[Any, ...]]:
        s, d, o = submission.c, stage_decision.c, opportunity.c
        # A migrated opportunity is pinned to a newer version before it moves: its decisions tell first.
        newest = select(func.max(d.pipeline_version)).where(
            d.tenant_id == o.tenant_id, d.pipeline_key == o.pipeline_key
        )
        on_submissions = newest.where(
            s.tenant_id == o.tenant_id, s.opportunity_id == o.opportunity_id, d.submission_id == s.submission_id
        )
        others = newest.where(d.opportunity_id == o.opportunity_id, d.submission_id.is_(None))
        versions = [o.pipeline_version, on_submissions.scalar_subquery(), others.scalar_subquery()]
        pinned = case((o.pipeline_version.is_(None), None), else_=func.greatest(*versions))
        return select(
            o.opportunity_id, o.owner_id, o.amount, o.deleted, o.pipeline_key, pinned.label("pipeline_version"),
            o.stage_key, o.stage_category, o.visit_no, o.recommended_stage, o.abstained, o.abstention_code,
            o.probability, o.support, o.recommended_at,
        ).where(o.tenant_id == self._tenant_id)  # fmt: skip

    def _submissions(self) -> Select[*tuple[Any, ...]]:
        s, v, d = submission.c, submission_score.c, stage_decision.c
        score = (
            select(v.score_id, v.score, v.scale, v.reachable_max, v.complete, v.unanswered, v.scored_at)
            .where(v.tenant_id == s.tenant_id, v.submission_id == s.submission_id)
            .order_by(v.scored_at.desc(), v.score_id.desc())
            .limit(1)
            .lateral("newest_score")
        )
        decision = (
            select(
                d.decision_id, d.outcome, d.from_stage, d.to_stage, d.proposed_stage, d.reasons, d.near_misses,
                d.decided_at,
            )
            .where(d.tenant_id == s.tenant_id, d.submission_id == s.submission_id)
            .order_by(d.decision_no.desc())
            .limit(1)
            .lateral("newest_decision")
        )  # fmt: skip
        return (
            select(
                s.submission_id, s.opportunity_id, s.assessment_key, s.assessment_version, s.stage_key, s.visit_no,
                s.attempt_no, s.channel, s.submitted_by, s.captured_at, s.received_at, s.warnings,
                *score.c, *decision.c,
            )
            .select_from(submission.outerjoin(score, true()).outerjoin(decision, true()))
            .where(s.tenant_id == self._tenant_id)
        )  # fmt: skip


def _json_value(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(column, String) if column.type.python_type is Decimal else column


def state_of(row: Row) -> OpportunityState:
    """The domain's view of an opportunity."""
    return OpportunityState(
        row["opportunity_id"],
        row["owner_id"],
        visit_of(row["stage_key"], row["visit_no"]),
        closed=row["stage_category"] not in {None, "open"},
        deleted=row["deleted"],
    )


def attempt_of(row: Row) -> Attempt:
    """The domain's view of a submission with its score and decision."""
    return Attempt(
        row["submission_id"],
        row["assessment_key"],
        visit_of(row["stage_key"], row["visit_no"]),
        row["attempt_no"],
        row["received_at"],
        _score(row),
        _decision(row),
    )


def _score(row: Row) -> Score | None:
    if row["score_id"] is None:
        return None
    return Score(
        row["score_id"],
        row["score"],
        row["scale"],
        row["reachable_max"],
        row["complete"],
        tuple(row["unanswered"]),
        row["scored_at"],
    )


def _decision(row: Row) -> Decision | None:
    if row["decision_id"] is None:
        return None
    reasons = tuple(Reason(r["code"], r["fact"], _decimal(r["margin"]), r["message"]) for r in row["reasons"])
    near = tuple(
        NearMiss(
            n["rule_id"],
            n["to_stage"],
            n["fact"],
            n["cell"],
            n["actual"],
            _decimal(n["margin"]),
            tuple(n["question_keys"]),
        )
        for n in row["near_misses"]
    )
    return Decision(
        row["decision_id"],
        row["outcome"],
        row["from_stage"],
        row["to_stage"],
        row["proposed_stage"],
        reasons,
        near,
        row["decided_at"],
    )


def _decimal(text: str | None) -> Decimal | None:
    return Decimal(text) if text else None
