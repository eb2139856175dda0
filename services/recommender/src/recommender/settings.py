"""Settings from the environment."""

from typing import ClassVar

from kit.settings import ServiceSettings


class Settings(ServiceSettings):
    service: ClassVar[str] = "recommender"
