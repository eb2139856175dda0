"""What is released together."""

from typing import Annotated

from pydantic import ConfigDict, Field

from stage_engine.schemas.pipelines import Key
from stage_engine.schemas.versions import Publication


class Release(Publication):
    """The pipeline whose draft becomes the next version, and the versions of assessments, with their points, that its
    opportunities get from then on. Of an assessment that is not named they get the newest."""

    model_config = ConfigDict(extra="forbid")

    pipeline: Key = Field(examples=["field_example"])
    assessments: dict[Key, Annotated[int, Field(ge=1, le=2**31 - 1)]] = Field(
        min_length=1, max_length=200, examples=[{"prospecting": 2}]
    )
