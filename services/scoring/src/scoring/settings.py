"""What this service is told from outside: nothing beyond what every service is."""

from kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """Settings of the scoring service."""

    service: str = "scoring"
