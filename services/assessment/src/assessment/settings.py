"""What this service is told from outside: nothing beyond what every service is."""

from typing import ClassVar

from kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """Settings of the assessment service."""

    service: ClassVar[str] = "assessment"
