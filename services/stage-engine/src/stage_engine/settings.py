"""What is configured from outside."""

from typing import ClassVar

from kit.settings import ServiceSettings
from pydantic import Field


class Settings(ServiceSettings):
    """Settings of the stage engine."""

    service: ClassVar[str] = "stage-engine"
    parked_submission_limit: int = Field(
        default=10_000, ge=1, description="scores of unknown opportunities that one tenant may have waiting"
    )
    timers_per_second: int = Field(
        default=500, ge=1, description="timers that one instance fires in a second at most, so that others are served"
    )
    replay_check_seconds: float = Field(
        default=10, ge=0, description="how often a stored decision is decided again and compared; 0 for never"
    )
