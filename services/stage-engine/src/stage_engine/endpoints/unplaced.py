"""Records that no pipeline takes, over HTTP."""

from typing import Annotated

from fastapi import Query
from kit.http.auth import Caller, requires
from kit.http.ownership import Owners
from kit.http.pagination import Page, Paging
from kit.http.web import Uow, router

from stage_engine.domain.choosing import NotPlaced
from stage_engine.records.opportunities import UnplacedRecord
from stage_engine.schemas import unplaced as schemas
from stage_engine.service.viewing import Viewing

router = router("unplaced")


@router.get("/unplaced", dependencies=[requires("opportunities:read")])
async def list_unplaced(
    uow: Uow,
    caller: Caller,
    paging: Paging,
    object_type: Annotated[str | None, Query(max_length=64, examples=["lead"])] = None,
    code: Annotated[NotPlaced | None, Query(description="of this reason only")] = None,
) -> Page[schemas.Unplaced]:
    """Records of the CRM that no pipeline takes, by id; a rep sees their own. Each is placed by itself as soon as a
    pipeline is published, or one of its facts changes, so that one applies."""
    after = paging.after(str) or ""
    found = await Viewing(uow, Owners.seen_by(caller)).unplaced(object_type, code, after, paging.limit + 1)
    return paging.page(found, lambda record: [record.record_id], _shown)


def _shown(record: UnplacedRecord) -> schemas.Unplaced:
    return schemas.Unplaced.model_validate(record, from_attributes=True)
