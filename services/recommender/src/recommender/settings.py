"""What this service is told from outside."""

from kit.settings import ServiceSettings


class Settings(ServiceSettings):
    service: str = "recommender"
