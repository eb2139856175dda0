"""The API: whether the org has a place for the stages of a pipeline that is yet to be published."""

from kit.http.auth import requires
from kit.http.web import Uow, router

from crm_connector import schemas
from crm_connector.service import stage_check

router = router("crm-connector")


@router.post("/stage-mappings/check", dependencies=[requires("connection:read")])
async def check_stages(uow: Uow, body: schemas.StagesToCheck) -> schemas.StagesChecked:
    """Which stage of the CRM each of these stages would map to once they are published, and why some would map to
    none: opportunities could not be written there. Nothing is changed."""
    found = await stage_check.check(uow, body.pipeline_key, [each.stage() for each in body.stages])
    missing = [schemas.StageMissing.model_validate(each, from_attributes=True) for each in found.missing]
    return schemas.StagesChecked(stages=dict(found.pairs), missing=missing, stages_as_of=found.as_of)
