"""A person takes something back: an outcome, evidence, a quarantine."""

from kit.database.unit_of_work import UnitOfWork
from kit.http.auth import Principal
from kit.http.etag import check_revision
from kit.ids import uuid7
from kit.operators.audit import record

from stage_engine.domain.inputs import Command, Input, Submission
from stage_engine.domain.on_submission import score_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.replay import decode_input
from stage_engine.domain.requests import ReleaseRequest, VoidRequest
from stage_engine.domain.score import Score
from stage_engine.errors.opportunities import EvidenceNotFound
from stage_engine.errors.pipelines import StageUnknown
from stage_engine.repository.views import ViewRepository
from stage_engine.schemas.reversals import ReleaseBody, ReopenBody, VoidBody
from stage_engine.service.commanding import OVERRIDE, strongest_role
from stage_engine.service.deciding import Arrival, Decided, Deciding
from stage_engine.service.rulesets import Rulesets
from stage_engine.service.subjects import demanded

# Submissions that are read at once.
_PAGE = 100


class Reversing:
    """The decision on the wish, also when it is a refusal. PreconditionFailedProblem when the subject has moved on:
    then nothing is logged."""

    def __init__(self, uow: UnitOfWork, caller: Principal, object_type: str) -> None:
        self._uow = uow
        self._caller = caller
        self._object_type = object_type
        self._rulesets = Rulesets(uow)
        self._deciding = Deciding(uow, self._rulesets)
        self._views = ViewRepository(uow.session)

    async def reopen(self, record_id: str, body: ReopenBody, expected_revision: int) -> Decided:
        """Back into the open stage that it was closed in, unless another is named. StageUnknown where neither is
        known."""
        self._caller.demand(OVERRIDE)
        subject = await self._subject(record_id, expected_revision)
        pipeline = (await self._rulesets.of([(subject.pipeline_key, subject.pipeline_version)])).popitem()[1].pipeline
        target = body.to_stage or (subject.last_open if subject.last_open in pipeline else pipeline.first)
        if target not in pipeline or not pipeline.is_open(target):
            raise StageUnknown(
                pipeline.key, target, (s.key for s in pipeline.stages if pipeline.is_open(s.key)), "open "
            )
        given = Command(
            command_id=str(uuid7()),
            opportunity_id=record_id,
            to_stage=target,
            expected_revision=expected_revision,
            actor=self._caller.person_id,
            role=strongest_role(self._caller),
            may_override=True,
            reason_code=body.reason_code,
            text=body.text,
            override=False,
            skip=False,
            expires_at=None,
            reopens=True,
        )
        return await self._decide(given, "opportunity.reopen_requested", to_stage=target)

    async def void(self, record_id: str, submission_id: str, body: VoidBody) -> Decided:
        """The submission counts no more; the latest other answers to the same assessment do again. EvidenceNotFound for
        a submission that no decision on the subject rests on."""
        self._caller.demand(OVERRIDE)
        subject, _ = await demanded(self._deciding, self._rulesets, self._caller, self._object_type, record_id)
        found = await self._views.submission(record_id, submission_id)
        voided = None if found is None else decode_input(found)
        if not isinstance(voided, Submission):
            raise EvidenceNotFound(record_id, submission_id)
        given = VoidRequest(
            command_id=str(uuid7()),
            opportunity_id=record_id,
            submission_id=submission_id,
            assessment_key=voided.assessment_key,
            remaining=await self._remaining(subject, voided),
            actor=self._caller.person_id,
            role=strongest_role(self._caller),
            may_void=True,
            reason=body.reason,
        )
        return await self._decide(given, "opportunity.evidence_voided", submission_id=submission_id)

    async def release(self, record_id: str, body: ReleaseBody, expected_revision: int) -> Decided:
        """The quarantine of a contested stage ends."""
        self._caller.demand(OVERRIDE)
        await self._subject(record_id, expected_revision)
        given = ReleaseRequest(
            command_id=str(uuid7()),
            opportunity_id=record_id,
            expected_revision=expected_revision,
            actor=self._caller.person_id,
            may_release=True,
            keep=body.keep,
            reason=body.reason,
            role=strongest_role(self._caller),
        )
        return await self._decide(given, "opportunity.release_requested", keep=body.keep.value)

    async def _subject(self, record_id: str, expected_revision: int) -> Opportunity:
        subject, _ = await demanded(self._deciding, self._rulesets, self._caller, self._object_type, record_id)
        check_revision(expected_revision, subject.revision)
        return subject

    async def _remaining(self, subject: Opportunity, voided: Submission) -> Score | None:
        """The latest score of the assessment that could count, without what is voided. A subject may have very many
        submissions: they are read in pages, and others have their turn meanwhile."""
        best: Score | None = None
        after, more = 0, True
        while more:
            page = await self._views.submissions(subject.opportunity_id, after, _PAGE)
            more = len(page) == _PAGE
            for number, text in page:
                after, given = number, decode_input(text)
                score = _score_that_counts(subject, given, voided) if isinstance(given, Submission) else None
                if score is not None and (best is None or score.order > best.order):
                    best = score
        return best

    async def _decide(self, given: Input, action: str, **detail: str) -> Decided:
        decided = (await self._deciding.decide([Arrival(given)]))[0]
        outcome = decided.decision.outcome.value
        decision_id = str(decided.record.decision_id)
        await record(
            self._uow, self._caller, action, given.opportunity_id, decision_id=decision_id, outcome=outcome, **detail
        )
        return decided


def _score_that_counts(subject: Opportunity, given: Submission, voided: Submission) -> Score | None:
    """The score of a submission that could count; None of one that could not."""
    gone = given.submission_id in subject.voided or given.submission_id == voided.submission_id
    entitled = given.entitled or given.submitted_by == subject.owner_id
    if gone or not entitled or given.score is None or given.visit_no > subject.visit_no:
        return None
    return score_of(given, given.score) if given.assessment_key == voided.assessment_key else None
