"""Salesforce's refusals, and what each is worth.

CrmFault
├── CrmUnavailable
│   ├── NotReached          no connection was made: certainly nothing was done
│   ├── OutcomeUnknown      the reply was lost or says nothing: it may have been done
│   │   └── StillWorking    no reply came in time: it may still be done
│   └── LimitExceeded       the org's allocation of calls is used up
├── CrmRefused
│   ├── AuthRefused         the token endpoint's `invalid_*`
│   └── LastingRefusal      an ApiRefusal whose cause a person has to remove
└── ApiRefusal              a reply with an errorCode

The lists of codes are closed: what is in none of them is tried a few times, with pauses, and then parked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from crm_connector.crm import CrmFault, CrmRefused, CrmUnavailable
from crm_connector.domain.holds import Refusal, Scope
from crm_connector.domain.intents import Reply, Verdict

STAGE_CONFLICT = "STAGECRAFT_STAGE_CONFLICT"
# A graph that was not tried, or was taken back because another of its nodes failed.
HALTED = "PROCESSING_HALTED"
# As the start of a message of INVALID_FIELD: the value is wrong, not the field.
_NO_SUCH_PARENT = "Foreign key external ID"
_MOST_WORDS = 1000


class NotReached(CrmUnavailable):
    """No connection could be made."""


class OutcomeUnknown(CrmUnavailable):
    """The request left and no usable reply came."""


class StillWorking(OutcomeUnknown):
    """The request left and no reply came in time."""


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


class LastingRefusal(ApiRefusal, CrmRefused):
    """A refusal that does not pass by itself."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What can be done about a refusal: what it says of a write, whom it is about, how long to wait at least before the
    next attempt, and after how many of them to park."""

    verdict: Verdict
    scope: Scope = Scope.RECORD
    wait: timedelta = timedelta()
    most_attempts: int | None = None

    @property
    def passes(self) -> bool:
        """Whether the cause may go away by itself."""
        return self.verdict is not Verdict.REFUSED and self not in (ORG_REFUSED, OBJECT, FIELD)


AGAIN = Remedy(Verdict.AGAIN)
A_FEW_TIMES = Remedy(Verdict.AGAIN, wait=timedelta(seconds=2), most_attempts=4)
HOURLY = Remedy(Verdict.AGAIN, wait=timedelta(hours=1))
READ_FIRST = Remedy(Verdict.UNKNOWN)
CONFLICT = Remedy(Verdict.CONFLICT)
PARK = Remedy(Verdict.REFUSED)
NEVER_HEARD_OF = Remedy(Verdict.AGAIN, wait=timedelta(seconds=30), most_attempts=5)
ORG_BUSY = Remedy(Verdict.AGAIN, Scope.ORG, timedelta(seconds=30))
ORG_REFUSED = Remedy(Verdict.AGAIN, Scope.ORG, timedelta(minutes=1))
OBJECT = Remedy(Verdict.AGAIN, Scope.OBJECT, timedelta(minutes=1))
FIELD = Remedy(Verdict.AGAIN, Scope.FIELD, timedelta(minutes=1))

_CODES: dict[Remedy, Sequence[str]] = {
    AGAIN: ("UNABLE_TO_LOCK_ROW", "QUERY_TIMEOUT", "REQUEST_RUNNING_TOO_LONG", HALTED),
    A_FEW_TIMES: (
        "TXN_SECURITY_METERING_ERROR", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "APEX_ERROR", "DUPLICATE_VALUE",
        "CANNOT_EXECUTE_FLOW_TRIGGER",
    ),
    HOURLY: ("ENTITY_IS_LOCKED",),
    READ_FIRST: ("SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"),
    ORG_BUSY: (
        "INVALID_SESSION_ID", "REQUEST_LIMIT_EXCEEDED", "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
        "API_CURRENTLY_DISABLED", "CLIENT_NOT_ACCESSIBLE_FOR_USER", "CONCURRENT_REQUEST_LIMIT_EXCEEDED",
    ),
    ORG_REFUSED: (
        "API_DISABLED_FOR_ORG", "ORG_LOCKED", "ORGANIZATION_LOCKED", "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
        "PASSWORD_LOCKOUT", "INACTIVE_ORG", "INSUFFICIENT_ACCESS", "FUNCTIONALITY_NOT_ENABLED", "TRIAL_EXPIRED",
        "LOGIN_DURING_RESTRICTED_DOMAIN", "LOGIN_DURING_RESTRICTED_TIME", "UNSUPPORTED_API_VERSION",
    ),
    OBJECT: (
        "INVALID_TYPE", "INVALID_TYPE_FOR_OPERATION", "STORAGE_LIMIT_EXCEEDED", "INSUFFICIENT_ACCESS_OR_READONLY",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
    ),
    FIELD: ("INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE"),
    PARK: (
        "FIELD_CUSTOM_VALIDATION_EXCEPTION", "FIELD_FILTER_VALIDATION_EXCEPTION", "FIELD_INTEGRITY_EXCEPTION",
        "REQUIRED_FIELD_MISSING", "STRING_TOO_LONG", "NUMBER_OUTSIDE_VALID_RANGE", "INVALID_EMAIL_ADDRESS",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "BAD_CUSTOM_ENTITY_PARENT_DOMAIN", "JSON_PARSER_ERROR",
        "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID", "ENTITY_IS_DELETED", "NOT_FOUND", "DUPLICATES_DETECTED",
        "DUPLICATE_EXTERNAL_ID", "CIRCULAR_DEPENDENCY", "SELF_REFERENCE_FROM_TRIGGER", "DELETE_FAILED",
        "INVALID_STATUS", "LIMIT_EXCEEDED", "OP_WITH_INVALID_USER_TYPE_EXCEPTION", "INACTIVE_OWNER_OR_USER",
        "INVALID_INPUT", "ILLEGAL_QUERY_PARAMETER_VALUE", "CANNOT_UPDATE_CONVERTED_LEAD", "FIELD_PROTECTED",
        "OBJECT_UNKNOWN", "RECORD_TYPE_UNKNOWN",
    ),
}  # fmt: skip
_REMEDIES = {code: remedy for remedy, codes in _CODES.items() for code in codes}


def remedy(status: int, code: str, message: str) -> Remedy:
    """The remedy of a refusal, by its code and, where automation of the org wraps another one, by its words."""
    if code == "FIELD_CUSTOM_VALIDATION_EXCEPTION" and STAGE_CONFLICT in message:
        return CONFLICT
    if code == "INVALID_FIELD" and message.startswith(_NO_SUCH_PARENT):
        return PARK
    if "UNABLE_TO_LOCK_ROW" in message:
        return AGAIN
    known = _REMEDIES.get(code)
    if known is not None:
        return known
    if status in (420, 429):
        return ORG_BUSY
    return READ_FIRST if status >= 500 else NEVER_HEARD_OF


def refusal_of(status: int, item: "ErrorItem") -> ApiRefusal:
    """One error of the org as a fault."""
    kind = ApiRefusal if remedy(status, item.code, item.message).passes else LastingRefusal
    return kind(status, item.code, item.message, item.fields)


def reply_of(write_id: str, refusal: ApiRefusal, subject: str = "") -> Reply:
    """A refusal as the reply to one write; `subject` is the object of the record that was refused."""
    found = remedy(refusal.status, refusal.code, refusal.message)
    reason = refusal.message
    if refusal.fields:
        reason += f" (fields: {', '.join(refusal.fields)})"
    reply = Reply(write_id, found.verdict, refusal.code, reason, found.wait, found.most_attempts)
    if found.scope is Scope.RECORD:
        return reply
    about = subject if found.scope is not Scope.ORG else ""
    return replace(reply, refusal=Refusal(found.scope, about, refusal.fields, refusal.code, reason))


@dataclass(frozen=True, slots=True)
class ErrorItem:
    """One entry of a REST error body."""

    code: str
    message: str
    fields: tuple[str, ...]


def error_items(body: Any) -> list[ErrorItem]:
    """The errors in a REST body: a list, or one object; other shapes give none."""
    entries = body if isinstance(body, list) else [body]
    return [_item(entry) for entry in entries if isinstance(entry, dict) and _code(entry)]


def _item(entry: dict[str, Any]) -> ErrorItem:
    fields = entry.get("fields")
    names = tuple(str(name)[:100] for name in fields[:20]) if isinstance(fields, list) else ()
    return ErrorItem(_code(entry), str(entry.get("message", ""))[:_MOST_WORDS], names)


def _code(entry: dict[str, Any]) -> str:
    code = entry.get("errorCode") or entry.get("statusCode")
    return code[:100] if isinstance(code, str) else ""
