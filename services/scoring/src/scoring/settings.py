"""Settings from the environment: those that every service has, and no others."""

from typing import ClassVar

from kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """Settings of the scoring service."""

    service: ClassVar[str] = "scoring"
