"""The org's refusals and the shapes in which each interface words them.

ApiError
├── NotFound            404 NOT_FOUND
├── SessionInvalid      401 INVALID_SESSION_ID
├── InvalidField        400 INVALID_FIELD
└── every other code    by `ApiError(code, message, status)`
OAuthError              the token endpoint's object, not an array
"""

from typing import Any

# The codes a fault may name, and the HTTP status each comes with when no other is asked for.
STATUS_OF = {
    "INVALID_SESSION_ID": 401,
    "REQUEST_LIMIT_EXCEEDED": 403,
    "TXN_SECURITY_METERING_ERROR": 403,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": 403,
    "NOT_FOUND": 404,
    "ENTITY_IS_DELETED": 404,
    "INVALID_CROSS_REFERENCE_KEY": 404,
    "SERVER_UNAVAILABLE": 503,
    "UNKNOWN_EXCEPTION": 500,
}
MESSAGE_OF = {
    "INVALID_SESSION_ID": "Session expired or invalid",
    "REQUEST_LIMIT_EXCEEDED": "TotalRequests Limit exceeded.",
    "UNABLE_TO_LOCK_ROW": "unable to obtain exclusive access to this record",
    "SERVER_UNAVAILABLE": "The server is temporarily unavailable",
    "QUERY_TIMEOUT": "Your query request was running for too long.",
    "ENTITY_IS_DELETED": "entity is deleted",
    "STORAGE_LIMIT_EXCEEDED": "storage limit exceeded",
}


class ApiError(Exception):
    """A refusal with Salesforce's own code, words and the names of the fields at fault."""

    def __init__(self, code: str, message: str, status: int = 400, fields: tuple[str, ...] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields

    def rest(self) -> list[dict[str, Any]]:
        """The body of a REST reply and of a failed subrequest."""
        error: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.status == 400 and self.code not in _WITHOUT_FIELDS:
            error["fields"] = list(self.fields)
        return [error]

    def item(self) -> dict[str, Any]:
        """One result of a Collections call, where the code is called `statusCode`."""
        error = {"statusCode": self.code, "message": self.message, "fields": list(self.fields)}
        return {"success": False, "errors": [error]}


_WITHOUT_FIELDS = frozenset(
    {"MALFORMED_QUERY", "INVALID_TYPE", "INVALID_QUERY_LOCATOR", "JSON_PARSER_ERROR", "PROCESSING_HALTED"}
)


class NotFound(ApiError):
    def __init__(self, message: str = "The requested resource does not exist") -> None:
        super().__init__("NOT_FOUND", message, 404)


class SessionInvalid(ApiError):
    def __init__(self) -> None:
        super().__init__("INVALID_SESSION_ID", "Session expired or invalid", 401)


class InvalidField(ApiError):
    def __init__(self, name: str, object_name: str) -> None:
        super().__init__("INVALID_FIELD", f"No such column '{name}' on sobject of type {object_name}")


class OAuthError(Exception):
    """A refusal of the token endpoint: HTTP 400 with `error` and `error_description`."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.body = {"error": error, "error_description": description}
