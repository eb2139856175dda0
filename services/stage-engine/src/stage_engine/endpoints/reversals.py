"""Reopening, voiding evidence and releasing from quarantine over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from kit.http.auth import Caller, requires
from kit.http.etag import IfMatch
from kit.http.texts import RecordId
from kit.http.web import Uow, router

from stage_engine.endpoints.holds import reply
from stage_engine.endpoints.opportunities import SubjectId
from stage_engine.errors.opportunities import PLURALS
from stage_engine.schemas.opportunities import DecisionOut
from stage_engine.schemas.reversals import ReleaseBody, ReopenBody, VoidBody
from stage_engine.service.reversing import Reversing

SubmissionId = Annotated[RecordId, Path(max_length=200, examples=["0190d3a0-5b3e-7c1f-8a2b-3c4d5e6f7a8b"])]


def reversals(object_type: str, plural: str) -> APIRouter:
    """What is taken back of subjects of one type. It takes a manager."""
    api = router(plural, dependencies=[requires("transitions:override")])

    @api.post(f"/{plural}/{{record_id}}/reopen", name=f"reopen_{object_type}", status_code=201)
    async def reopen(
        record_id: SubjectId, body: ReopenBody, expected: IfMatch, uow: Uow, caller: Caller, response: Response
    ) -> DecisionOut:
        """Open a closed subject again, in the open stage that it was closed in unless another is named. A new cycle
        begins, and `taken_back` says which outcome counts no more. The reply is the decision: look at `outcome`."""
        return reply(await Reversing(uow, caller, object_type).reopen(record_id, body, expected), response)

    @api.post(
        f"/{plural}/{{record_id}}/evidence/{{submission_id}}/void", name=f"void_{object_type}_evidence", status_code=201
    )
    async def void(
        record_id: SubjectId, submission_id: SubmissionId, body: VoidBody, uow: Uow, caller: Caller, response: Response
    ) -> DecisionOut:
        """Let a submission count no more, however often it is delivered or scored again. The earned stage falls to what
        the rest supports. The stage itself stays, or goes there too, as the pipeline says in `voided_evidence`."""
        return reply(await Reversing(uow, caller, object_type).void(record_id, submission_id, body), response)

    @api.post(f"/{plural}/{{record_id}}/release", name=f"release_{object_type}", status_code=201)
    async def release(
        record_id: SubjectId, body: ReleaseBody, expected: IfMatch, uow: Uow, caller: Caller, response: Response
    ) -> DecisionOut:
        """End the quarantine of a subject whose stage went to and fro between the engine and the CRM, and say whose
        stage counts. `GET` lists them with `quarantined=true`; their `quarantine_code` is CONTESTED."""
        return reply(await Reversing(uow, caller, object_type).release(record_id, body, expected), response)

    return api


REVERSALS = [reversals(object_type, plural) for object_type, plural in PLURALS.items()]
