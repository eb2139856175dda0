"""What is configured from outside."""

from typing import ClassVar

from kit.settings import ServiceSettings
from pydantic import Field


class Settings(ServiceSettings):
    """Settings of the scoring service."""

    service: ClassVar[str] = "scoring"
    parked_submission_limit: int = Field(
        default=50_000, ge=1, description="submissions that one tenant may have waiting for a scoring profile"
    )
