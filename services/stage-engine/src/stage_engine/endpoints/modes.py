"""Switching rules, and all automation of a pipeline, without a new version, over HTTP."""

from typing import Annotated

from fastapi import Path, Response
from kit.http.auth import Caller, requires
from kit.http.etag import IfMatch, etag
from kit.http.web import Uow, router

from stage_engine.domain.modes import Switch
from stage_engine.endpoints.pipelines import Key
from stage_engine.schemas import modes as schemas
from stage_engine.service.switching import InForce, SwitchingModes

router = router("modes")


@router.get("/pipelines/{key}/modes", dependencies=[requires("pipelines:read")])
async def get_modes(key: Key, uow: Uow, caller: Caller, response: Response) -> schemas.ModesOut:
    """What is switched in the pipeline, for all its versions."""
    return _modes(key, await SwitchingModes(uow, caller).in_force(key), response)


@router.put("/pipelines/{key}/rules/{rule_id}/mode", dependencies=[requires("pipelines:write")])
async def switch_rule(
    key: Key,
    rule_id: Annotated[str, Path(max_length=64, examples=["prospecting_to_discovery"])],
    body: schemas.RuleModeBody,
    expected: IfMatch,
    uow: Uow,
    caller: Caller,
    response: Response,
) -> schemas.ModesOut:
    """Let a rule go this far from the next decision on, for all opportunities of all versions that have it. The ETag is
    that of the modes. Refused where a version could not be published so."""
    switch = Switch.AS_PUBLISHED if body.mode is None else Switch(body.mode.value)
    found = await SwitchingModes(uow, caller).rule(key, rule_id, switch, body.reason, expected)
    return _modes(key, found, response)


@router.put("/pipelines/{key}/automation", dependencies=[requires("pipelines:write")])
async def switch_automation(
    key: Key, body: schemas.AutomationBody, uow: Uow, caller: Caller, response: Response
) -> schemas.ModesOut:
    """Stop all rules of the pipeline from moving opportunities, or let them again. While they are stopped they judge
    and explain: a decision that would have moved something is rejected with AUTOMATION_OFF; a person may confirm it."""
    found = await SwitchingModes(uow, caller).automation(key, enabled=body.enabled, reason=body.reason)
    return _modes(key, found, response)


@router.put("/pipelines/{key}/breaker", dependencies=[requires("pipelines:write")])
async def switch_breaker(
    key: Key, body: schemas.BreakerSwitchBody, uow: Uow, caller: Caller, response: Response
) -> schemas.ModesOut:
    """Close the breaker of the pipeline, so that rules move subjects again, or open it by hand. While it is open they
    propose with BREAKER_OPEN; people move what they like. What was moved before it was closed counts no more."""
    found = await SwitchingModes(uow, caller).breaker(key, opened=body.open, reason=body.reason)
    return _modes(key, found, response)


def _modes(key: str, found: InForce, response: Response) -> schemas.ModesOut:
    response.headers["ETag"] = etag(found.revision)
    return schemas.ModesOut(
        pipeline_key=key,
        revision=found.revision,
        automation=found.automation,
        breaker_open=found.breaker_open,
        switched=[schemas.SwitchedOut.model_validate(each, from_attributes=True) for each in found.switched],
    )
