"""Settings from the environment."""

from typing import ClassVar

from kit.settings import ServiceSettings
from pydantic import Field


class Settings(ServiceSettings):
    """Settings of the assessment service."""

    service: ClassVar[str] = "assessment"
    held_submission_quota: int = Field(
        default=1000,
        ge=0,
        description="submissions of one person that may be held for review; beyond, what would wait is refused",
    )
    unknown_opportunity_quota: int = Field(
        default=100,
        ge=0,
        description="submissions of one person that may wait for opportunities not known yet; more are held for review",
    )
