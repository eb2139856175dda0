"""Answers that survive a retry: a POST with an `Idempotency-Key` stores its answer in the transaction of its effects;
the same key then returns that answer without acting again (draft-ietf-httpapi-idempotency-key-header).
"""

import hashlib

from fastapi import Request, Response
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from kit.database.tables import idempotency
from kit.database.unit_of_work import UnitOfWork
from kit.http.problems import FieldError, InvalidProblem

REPLAY_HEADER = "Idempotent-Replay"
_MAX_KEY = 255


class AnsweredBefore(Exception):
    """The key was used for the same request; `response` is its stored answer."""

    def __init__(self, response: Response) -> None:
        super().__init__("answered before")
        self.response = response


async def claim_key(request: Request, uow: UnitOfWork, subject: str, key: str) -> None:
    """Take the key for this request, or raise AnsweredBefore or InvalidProblem."""
    if not 0 < len(key) <= _MAX_KEY:
        _refuse_key("bad_idempotency_key", f"The key must have 1 to {_MAX_KEY} characters.")
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    fingerprint = digest.hexdigest()
    table = idempotency
    names = {"tenant_id": uow.tenant_id, "subject": subject, "key": key}
    # A twin that is still running holds this row: the insert waits for its outcome.
    claim = insert(table).values(**names, fingerprint=fingerprint).on_conflict_do_nothing()
    if (await uow.session.execute(claim.returning(table.c.key))).scalar() is not None:
        return
    stored = (
        await uow.session.execute(select(table).where(*(table.c[name] == value for name, value in names.items())))
    ).one()
    if stored.fingerprint != fingerprint:
        _refuse_key("idempotency_key_reused", "This key was used for another request. Make a new one.")
    raise AnsweredBefore(Response(stored.body, stored.status, {**stored.headers, REPLAY_HEADER: "true"}))


def _refuse_key(code: str, detail: str) -> None:
    raise InvalidProblem(detail, code=code, errors=[FieldError("/header/idempotency-key", code, detail)])


async def store_answer(uow: UnitOfWork, subject: str, key: str, response: Response) -> None:
    """Keep the answer beside the effects of its request."""
    kept = {name: response.headers[name] for name in ("content-type", "etag", "location") if name in response.headers}
    table = idempotency
    await uow.session.execute(
        update(table)
        .where(table.c.tenant_id == uow.tenant_id, table.c.subject == subject, table.c.key == key)
        .values(status=response.status_code, headers=kept, body=bytes(response.body))
    )
