"""What the API refuses.

Problem
├── ConflictProblem
│   ├── IntentNotParked
│   ├── TenantNotConnected
│   ├── LeadKeyUsed
│   └── CrmNotReached
├── NotFoundProblem
│   ├── IntentNotFound, ImportNotFound, OpportunityNotFound, PipelineNotFound, LeadNotFound
└── InvalidProblem
    ├── MappingInvalid
    └── FieldMappingInvalid
"""

from collections.abc import Sequence

from kit.http.problems import ConflictProblem, FieldError, InvalidProblem, NotFoundProblem, pointer

from crm_connector.domain.fields import FieldFault
from crm_connector.domain.stages import MappingFault


class IntentNotFound(NotFoundProblem):
    code = "write_intent_not_found"


class ImportNotFound(NotFoundProblem):
    code = "import_not_found"


class OpportunityNotFound(NotFoundProblem):
    code = "opportunity_not_found"


class LeadNotFound(NotFoundProblem):
    code = "lead_not_found"


class PipelineNotFound(NotFoundProblem):
    code = "pipeline_not_found"


class LeadKeyUsed(ConflictProblem):
    """A key names one lead."""

    code = "lead_key_used"

    def __init__(self, key: str) -> None:
        super().__init__(f"The key {key!r} came with another lead before. Use another key for another lead.")


class IntentNotParked(ConflictProblem):
    """Only what is parked waits for a person."""

    code = "write_intent_not_parked"


class TenantNotConnected(ConflictProblem):
    """The tenant has no CRM behind this deployment."""

    code = "tenant_not_connected"


class MappingInvalid(InvalidProblem):
    """Some pairs of a mapping contradict each other or the CRM."""

    code = "stage_mapping_invalid"

    def __init__(self, faults: Sequence[MappingFault]) -> None:
        errors = [FieldError(pointer("stages", fault.stage_key), fault.code, fault.detail) for fault in faults]
        super().__init__(" ".join(fault.detail for fault in faults[:3]), errors=errors)


class CrmNotReached(ConflictProblem):
    """What only the CRM knows cannot be read now."""

    code = "crm_not_reached"


class FieldMappingInvalid(InvalidProblem):
    """Some facts of a mapping cannot be read."""

    code = "field_mapping_invalid"

    def __init__(self, faults: Sequence[FieldFault]) -> None:
        errors = [FieldError(pointer(*fault.place), fault.code, fault.detail) for fault in faults]
        super().__init__(" ".join(fault.detail for fault in faults[:3]), errors=errors)
