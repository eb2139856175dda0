"""Process templates and what installing one brings."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from stage_engine.domain.assignment import MOST_OF_A_POOL
from stage_engine.schemas.pipelines import FindingOut, Key, PersonId


class ProcessTemplateOut(BaseModel):
    """A process to start from: what it installs, and the pools whose people can be named."""

    key: str = Field(examples=["bant_lead"])
    name: str
    description: str
    pipelines: list[str]
    assessments: list[str]
    pools: list[str] = Field(examples=[["sdr"]])


class InstallBody(BaseModel):
    """How to install a process template."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    prefix: Annotated[str, Field(pattern=r"^([A-Za-z][A-Za-z0-9_-]{0,19})?$")] = Field(
        default="",
        alias="as",
        description="begins all keys, so that the same process can be there twice",
        examples=["emea"],
    )
    people: dict[Key, Annotated[list[PersonId], Field(max_length=MOST_OF_A_POOL)]] = Field(
        default={}, max_length=20, description="by pool; of one that is not named you are the only one"
    )
    take_over_default: bool = Field(default=False, description="also where another pipeline is the default one")


class InstalledOut(BaseModel):
    """What is in force: versions by key. While points of assessments are not published yet nothing is, and
    `waiting_for` names them: the same call again goes on."""

    pipelines: dict[str, int] = Field(examples=[{"bant_lead": 1}])
    assessments: dict[str, int] = Field(examples=[{"bant": 1}])
    assignment_rules: dict[str, int] = Field(description="by type of object", examples=[{"lead": 1}])
    waiting_for: list[str]
    changed: bool = Field(description="false: all of it was there already")
    findings: list[FindingOut] = Field(
        description="people who get nothing by the assignment rules, and people who were named for a pool that has some"
    )
