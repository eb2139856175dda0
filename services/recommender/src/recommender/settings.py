"""What this service is told from outside."""

from typing import ClassVar

from kit.settings import ServiceSettings


class Settings(ServiceSettings):
    service: ClassVar[str] = "recommender"
