"""Assignment rules."""

from datetime import datetime
from typing import Any

from kit.http.read_back import ReadBack
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from stage_engine.domain.assignment import (
    MOST_ABSENCES,
    MOST_FACTS,
    MOST_FALLBACKS,
    MOST_OF_A_POOL,
    MOST_POOLS,
    MOST_RULES,
    AssignmentRules,
    Turn,
)
from stage_engine.schemas.moments import Moment
from stage_engine.schemas.pipelines import ConditionBody, DeclaredFactBody, FindingOut, Key, PersonId

_RULES = TypeAdapter(AssignmentRules)
_EXAMPLE: dict[str, Any] = {
    "rules": [
        {
            "rule_id": "banks",
            "conditions": [{"fact": "account.industry", "cell": "'Banking'"}],
            "to": {"pool": "banking"},
        }
    ],
    "pools": [{"key": "banking", "people": ["005Qy00000AbCdEIAV"], "turn": "round_robin", "capacity": 50}],
    "fallback": {"owner": {"person": "005Qy00000AbCdFIAV"}},
    "facts": [{"name": "account.industry", "type": "text"}],
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GoalBody(_Strict):
    """A person, the person that a fact names, or a pool: exactly one of them."""

    person: str = Field("", max_length=64)
    person_of: str = Field("", max_length=140, description="a fact", examples=["account.owner_id"])
    pool: str = Field("", max_length=64)


class AssignmentRuleBody(_Strict):
    """Gives a role to the goal once every condition holds."""

    rule_id: Key
    conditions: list[ConditionBody] = Field(default=[], max_length=20)
    to: GoalBody
    role: Key = Field("owner", examples=["owner"])


class PoolBody(_Strict):
    """People who take turns."""

    key: Key
    people: list[PersonId] = Field(max_length=MOST_OF_A_POOL)
    turn: Turn = Turn.LEAST_LOADED
    capacity: int | None = Field(None, ge=1, le=100_000, description="open subjects of a person; null: any number")
    working_hours: bool = Field(False, description="only those who are at work")


class AbsenceBody(_Strict):
    """A person takes nothing from one moment until another."""

    person_id: PersonId
    since: Moment
    until: Moment


class AssignmentRulesBody(_Strict, ReadBack):
    """Rules in order: for each role the first that holds and finds a person decides."""

    only_read = frozenset({"object_type", "version", "findings"})
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    rules: list[AssignmentRuleBody] = Field(max_length=MOST_RULES)
    pools: list[PoolBody] = Field(default=[], max_length=MOST_POOLS)
    absences: list[AbsenceBody] = Field(default=[], max_length=MOST_ABSENCES)
    fallback: dict[Key, GoalBody] = Field(
        default={}, max_length=MOST_FALLBACKS, description="by role; asks for no hours"
    )
    facts: list[DeclaredFactBody] = Field(default=[], max_length=MOST_FACTS, description="those that are not built in")
    currency: str = Field("", pattern=r"^([A-Z]{3})?$", description="of amounts that are compared; ISO 4217")

    def rules_of(self) -> AssignmentRules:
        return _RULES.validate_python(self.model_dump())


class AssignmentRulesOut(AssignmentRulesBody):
    """The rules in force for a type of object."""

    object_type: str
    version: int
    findings: list[FindingOut] = Field(description="what to look at")


class SimulationBody(AssignmentRulesBody):
    """Rules to try out, and on what: subjects that came since a time, a month back when left out."""

    since: Moment | None = None

    def rules_of(self) -> AssignmentRules:
        return _RULES.validate_python(self.model_dump(exclude={"since"}))


class AssignBody(_Strict):
    """Who gets a role, and why."""

    person_id: PersonId = Field(examples=["005Qy00000AbCdEIAV"])
    role: Key = "owner"
    reason: str = Field(min_length=1, max_length=2000, examples=["She knows the customer."])


class AssignedOut(BaseModel):
    """Who gets a role, and why; an empty person: no one could."""

    role: str
    person_id: str
    rule_id: str = Field(description="empty of the fallback")
    pool: str
    reason: str
    at: datetime
    by_person: bool = Field(description="a person chose: rules choose no other")


class SimulatedOut(BaseModel):
    """Whom the rules would have chosen for a subject."""

    opportunity_id: str
    seen_at: datetime
    choices: list[AssignedOut]


class Tally(BaseModel):
    """How many subjects an owner, or a rule, would have had; empty: none, or the fallback."""

    name: str
    subjects: int


class SimulationOut(BaseModel):
    """What the rules would have done with the newest 500 of those subjects, the oldest first."""

    findings: list[FindingOut]
    by_owner: list[Tally]
    by_rule: list[Tally]
    items: list[SimulatedOut]


def out(object_type: str, version: int, rules: AssignmentRules, findings: list[FindingOut]) -> AssignmentRulesOut:
    """The rules as they were put."""
    document = _RULES.dump_python(rules, mode="json")
    return AssignmentRulesOut(object_type=object_type, version=version, findings=findings, **document)
