"""Salesforce's refusals, and what each is worth.

CrmFault
├── CrmUnavailable
│   ├── NotReached          no connection was made: certainly nothing was done
│   ├── OutcomeUnknown      the reply was lost or says nothing: it may have been done
│   └── LimitExceeded       the org's allocation is used up
├── CrmRefused
│   └── AuthRefused         the token endpoint's `invalid_*`: never tried again with the same credentials
└── ApiRefusal              a reply with an errorCode
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from crm_connector.crm import CrmFault, CrmRefused, CrmUnavailable
from crm_connector.domain.intents import Reply, Verdict

STAGE_CONFLICT = "STAGECRAFT_STAGE_CONFLICT"
# A graph that was not tried, or was taken back because another of its nodes failed.
HALTED = "PROCESSING_HALTED"


class NotReached(CrmUnavailable):
    """No connection could be made."""


class OutcomeUnknown(CrmUnavailable):
    """The request left and no usable reply came."""


class LimitExceeded(CrmUnavailable):
    """The org refuses further calls for now."""


class AuthRefused(CrmRefused):
    """The org rejects our credentials."""


class ApiRefusal(CrmFault):
    """Salesforce replied with an error of its own."""

    def __init__(self, status: int, code: str, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields


class Remedy(StrEnum):
    """What can be done about a refusal."""

    REAUTHENTICATE = "REAUTHENTICATE"
    AWAIT_LIMIT = "AWAIT_LIMIT"
    AGAIN = "AGAIN"
    AGAIN_ONCE = "AGAIN_ONCE"
    AGAIN_HOURLY = "AGAIN_HOURLY"
    READ_FIRST = "READ_FIRST"
    CONFLICT = "CONFLICT"
    PARK = "PARK"


_REMEDY = {
    "INVALID_SESSION_ID": Remedy.REAUTHENTICATE,
    "REQUEST_LIMIT_EXCEEDED": Remedy.AWAIT_LIMIT,
    "STORAGE_LIMIT_EXCEEDED": Remedy.AGAIN_HOURLY,
    "ENTITY_IS_LOCKED": Remedy.AGAIN_HOURLY,
    "UNABLE_TO_LOCK_ROW": Remedy.AGAIN,
    "QUERY_TIMEOUT": Remedy.AGAIN,
    "TXN_SECURITY_METERING_ERROR": Remedy.AGAIN_ONCE,
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": Remedy.AGAIN_ONCE,
    "APEX_ERROR": Remedy.AGAIN_ONCE,
    "DUPLICATE_VALUE": Remedy.AGAIN_ONCE,
    "SERVER_UNAVAILABLE": Remedy.READ_FIRST,
    "UNKNOWN_EXCEPTION": Remedy.READ_FIRST,
    HALTED: Remedy.AGAIN,
}


def remedy(status: int, code: str, message: str) -> Remedy:
    """The remedy of a refusal. One that is not known to pass is parked: a person sees it in the org's own words."""
    if code == "FIELD_CUSTOM_VALIDATION_EXCEPTION" and STAGE_CONFLICT in message:
        return Remedy.CONFLICT
    if code in _REMEDY:
        return _REMEDY[code]
    if status == 420:
        return Remedy.AGAIN
    return Remedy.READ_FIRST if status >= 500 else Remedy.PARK


def reply_of(write_id: str, refusal: ApiRefusal) -> Reply:
    """A refusal as the reply to one write."""
    verdict, wait, most = _VERDICTS[remedy(refusal.status, refusal.code, refusal.message)]
    reason = refusal.message
    if refusal.fields:
        reason += f" (fields: {', '.join(refusal.fields)})"
    return Reply(write_id, verdict, refusal.code, reason, wait, most)


_VERDICTS: dict[Remedy, tuple[Verdict, timedelta, int | None]] = {
    Remedy.REAUTHENTICATE: (Verdict.AGAIN, timedelta(seconds=1), None),
    Remedy.AWAIT_LIMIT: (Verdict.AGAIN, timedelta(seconds=30), None),
    Remedy.AGAIN: (Verdict.AGAIN, timedelta(), None),
    Remedy.AGAIN_ONCE: (Verdict.AGAIN, timedelta(seconds=1), 2),
    Remedy.AGAIN_HOURLY: (Verdict.AGAIN, timedelta(hours=1), None),
    Remedy.READ_FIRST: (Verdict.UNKNOWN, timedelta(), None),
    Remedy.CONFLICT: (Verdict.CONFLICT, timedelta(), None),
    Remedy.PARK: (Verdict.REFUSED, timedelta(), None),
}


@dataclass(frozen=True, slots=True)
class ErrorItem:
    """One entry of a REST error body."""

    code: str
    message: str
    fields: tuple[str, ...]


def error_items(body: Any) -> list[ErrorItem]:
    """The errors in a REST body: a list, or one object; other shapes give none."""
    entries = body if isinstance(body, list) else [body]
    return [
        ErrorItem(
            str(entry.get("errorCode") or entry.get("statusCode")),
            str(entry.get("message", "")),
            tuple(str(name) for name in entry.get("fields") or ()),
        )
        for entry in entries
        if isinstance(entry, dict) and (entry.get("errorCode") or entry.get("statusCode"))
    ]
