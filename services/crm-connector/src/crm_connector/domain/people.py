"""The CRM's users, as the connector reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CrmPerson:
    """A user of the CRM as it is now; empty where the CRM holds nothing."""

    person_id: str
    active: bool
    manager_id: str
    federation_id: str
    username: str
    email: str
    modified_at: datetime

    @property
    def names(self) -> Mapping[str, str]:
        """What a token may name the user by, by claim."""
        named = {
            "crm_id": self.person_id,
            "federation_id": self.federation_id,
            "username": self.username,
            "email": self.email,
        }
        return {claim: name for claim, name in named.items() if name}
