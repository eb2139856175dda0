"""What the intake of leads takes and says."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_connector.domain.leads import LeadState, NewLead

_EXAMPLE: dict[str, Any] = {
    "idempotency_key": "web-form-20411",
    "name": "Ada Lee",
    "company": "Acme Bank",
    "source": "Web",
    "kind": "compliance",
    "email": "ada.lee@acmebank.example",
}
Line = Annotated[str, Field(pattern=r"^[^\r\n\x00]*$")]


class LeadBody(BaseModel):
    """A lead: who, of which organisation, from where, and what it is about."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, json_schema_extra={"examples": [_EXAMPLE]})

    idempotency_key: Line = Field(min_length=1, max_length=200, description="names this lead once for the tenant")
    name: Line = Field(min_length=1, max_length=80)
    company: Line = Field(min_length=1, max_length=255)
    source: Line = Field("", max_length=255, description="where it came from, a value that the CRM's list has")
    kind: Line = Field("", max_length=255, description="what kind of opportunity it is about")
    email: Annotated[str, Field(pattern=r"^([^@\s]+@[^@\s]+)?$")] = Field("", max_length=80)
    phone: Line = Field("", max_length=40)

    def lead(self) -> NewLead:
        return NewLead(self.name, self.company, self.source, self.kind, self.email, self.phone)


class LeadOut(BaseModel):
    """A lead that was handed in, and what the CRM made of it: `record_id` once it has it, its words when it refused."""

    model_config = ConfigDict(from_attributes=True)

    lead_id: UUID
    state: LeadState
    record_id: str
    code: str
    words: str
    repeated: bool = Field(False, description="whether it was handed in before")
    created_at: datetime
    settled_at: datetime | None
