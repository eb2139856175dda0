"""Assignment rules over HTTP."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Response
from kit.http.auth import Caller, requires
from kit.http.etag import IfMatch, etag
from kit.http.ownership import Owners
from kit.http.web import Uow
from kit.http.web import router as router_of

from stage_engine.endpoints.opportunities import SubjectId, shown_decision
from stage_engine.endpoints.pipelines import findings_out
from stage_engine.errors.opportunities import PLURALS
from stage_engine.schemas import assignment as schemas
from stage_engine.schemas.opportunities import DecisionOut
from stage_engine.service.assignment_rules import RulesOfAssignment
from stage_engine.service.by_hand import ByHand

router = router_of("assignment rules")

ObjectType = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,63}$", examples=["lead"])]


@router.get("/assignment-rules/{object_type}", dependencies=[requires("pipelines:read")])
async def get_assignment_rules(object_type: ObjectType, uow: Uow, response: Response) -> schemas.AssignmentRulesOut:
    """The rules by which new subjects of a type get their owner and their team. The ETag is the version."""
    rules = RulesOfAssignment(uow)
    found = await rules.one(object_type)
    response.headers["ETag"] = etag(found.version)
    findings = findings_out(await rules.findings(object_type, found.document))
    return schemas.out(object_type, found.version, found.document, findings)


@router.put("/assignment-rules/{object_type}", dependencies=[requires("pipelines:write")])
async def put_assignment_rules(
    object_type: ObjectType,
    body: schemas.AssignmentRulesBody,
    expected: IfMatch,
    uow: Uow,
    caller: Caller,
    response: Response,
) -> schemas.AssignmentRulesOut:
    """Put rules in force for what comes from now on; the first ones with If-Match "0". What has an owner keeps it."""
    put, findings = await RulesOfAssignment(uow).put(object_type, body.rules_of(), expected, caller)
    response.headers["ETag"] = etag(put.version)
    return schemas.out(object_type, put.version, put.document, findings_out(findings))


@router.post("/assignment-rules/{object_type}/simulate", dependencies=[requires("pipelines:write")])
async def simulate_assignment_rules(
    object_type: ObjectType, body: schemas.SimulationBody, uow: Uow, caller: Caller
) -> schemas.SimulationOut:
    """Try rules out on the subjects of the last month that the caller sees: who would have got each, and why. Nothing
    is assigned."""
    owners = Owners.seen_by(caller)
    found = await RulesOfAssignment(uow).simulate(object_type, body.rules_of(), body.since, owners)
    return schemas.SimulationOut(
        findings=findings_out(found.findings),
        by_owner=_tallies(found.by_owner),
        by_rule=_tallies(found.by_rule),
        items=[schemas.SimulatedOut.model_validate(each, from_attributes=True) for each in found.subjects],
    )


def assigning(object_type: str, plural: str) -> APIRouter:
    """Giving subjects of one type to a person."""
    api = router_of(plural, dependencies=[requires("transitions:write")])

    @api.post(f"/{plural}/{{record_id}}/assign", name=f"assign_{object_type}", status_code=201)
    async def assign(record_id: SubjectId, body: schemas.AssignBody, uow: Uow, caller: Caller) -> DecisionOut:
        """Give a role of the subject to a person. Rules choose no other from then on. The reply is the decision."""
        return shown_decision((await ByHand(uow, caller, object_type).assign(record_id, body)).record)

    return api


ASSIGNING = [assigning(object_type, plural) for object_type, plural in PLURALS.items()]


def _tallies(found: Mapping[str, int]) -> list[schemas.Tally]:
    most_first = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    return [schemas.Tally(name=name, subjects=number) for name, number in most_first]
