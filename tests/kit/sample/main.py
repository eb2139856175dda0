from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from kit.app import create_app
from kit.http.auth import Caller, requires
from kit.http.bodies import DOCUMENT_BODY, accepts
from kit.http.etag import IfMatch, check_revision, etag
from kit.http.ownership import Owners
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router
from kit.ids import uuid7
from kit.operators import audit, people
from pydantic import BaseModel
from sqlalchemy import insert, select, update
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

from sample.consumers import HANDLERS
from sample.models import Note
from sample.settings import Settings

api = router("notes")


class NoteBody(BaseModel):
    text: str
    fail: bool = False


@api.post("/notes", status_code=201, dependencies=[requires("assessments:write")])
@accepts(DOCUMENT_BODY)
async def create_note(body: NoteBody, uow: Uow, caller: Caller, response: Response) -> dict[str, str]:
    note_id = uuid7()
    await uow.session.execute(insert(Note).values(tenant_id=uow.tenant_id, note_id=note_id, text=body.text, seen=1))
    uow.publish(SubmissionScored(submission_id=str(note_id), opportunity_id="o1"), sequence=1)
    await audit.record(uow, caller, "note.created", str(note_id))
    if body.fail:
        raise ZeroDivisionError("a bug")
    response.headers["etag"] = etag(1)
    return {"note_id": str(note_id)}


@api.put("/notes/{note_id}", dependencies=[requires("assessments:write")])
async def change_note(note_id: UUID, body: NoteBody, uow: Uow, expected: IfMatch) -> dict[str, str]:
    table = Note.__table__
    found = (await uow.session.execute(select(table.c.seen).where(table.c.note_id == note_id))).scalar_one()
    check_revision(expected, found)
    await uow.session.execute(update(Note).where(table.c.note_id == note_id).values(text=body.text, seen=found + 1))
    return {"text": body.text}


@api.get("/notes", dependencies=[requires("assessments:read")])
async def list_notes(uow: Uow, paging: Paging, text: Annotated[str | None, Query()] = None) -> Page[str]:
    table = Note.__table__
    statement = select(table.c.note_id, table.c.text).order_by(table.c.note_id).limit(paging.limit + 1)
    if (after := paging.after(UUID)) is not None:
        statement = statement.where(table.c.note_id > after)
    found = (await uow.session.execute(statement)).all()
    return paging.page(found, lambda row: [row.note_id], lambda row: row.text)


@api.get("/me", dependencies=[requires("opportunities:read")])
async def get_me(caller: Caller) -> dict[str, object]:
    owners = Owners.seen_by(caller).person_ids
    return {"person_id": caller.person_id, "owners": None if owners is None else sorted(owners)}


def create(settings: Settings | None = None):
    return create_app(settings or Settings.read(), description="A sample", routers=[api, people.api], handlers=HANDLERS)
