"""What this service is told from outside."""

from typing import ClassVar

from kit.settings import ServiceSettings
from pydantic import Field


class Settings(ServiceSettings):
    """Settings of the stage engine."""

    service: ClassVar[str] = "stage-engine"
    parked_submission_limit: int = Field(
        default=10_000, ge=1, description="scores of opportunities not yet seen that one tenant may have waiting"
    )
