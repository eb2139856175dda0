"""What this service is told from outside."""

from typing import ClassVar

from kit.pace import PATIENT, Pace
from kit.settings import ServiceSettings


class Settings(ServiceSettings):
    service: ClassVar[str] = "recommender"
    pace: ClassVar[Pace] = PATIENT
