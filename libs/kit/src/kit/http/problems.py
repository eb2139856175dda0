"""Every refusal of a request, and the document that says so (RFC 9457).

Problem                       an expected refusal; rendered as application/problem+json
├── InvalidProblem       422  the content breaks a rule; says where
├── UnauthenticatedProblem 401
├── ForbiddenProblem     403
├── NotFoundProblem      404  also for what belongs to another tenant
├── ConflictProblem      409
├── PreconditionFailedProblem 412, PreconditionRequiredProblem 428
├── TooManyRequestsProblem 429
└── UnavailableProblem   503  try again later
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry import trace
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from kit.errors import DeadlineExceeded, EventTooLarge, RetryableError

PROBLEM_MEDIA_TYPE = "application/problem+json"
_HTTP_CODES = {400: "malformed_json", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with the request; pointer is a JSON pointer (RFC 6901) into its body, from the body's root. What
    is no part of the body is `/query/...`, `/path/...` or `/header/...`: no body has members of these names."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):
    """A refusal the caller can act on. Subclasses fix `status` and `title`; `code` is stable API."""

    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request cannot be carried out"
    code: str = "bad_request"
    # Why the caller may not have it, for the log alone: the reply must not tell what exists.
    refused: str = ""

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


class InvalidProblem(Problem):
    status = 422
    title = "The content breaks a rule"
    code = "validation_failed"


class UnauthenticatedProblem(Problem):
    status = 401
    refused = "token"
    title = "A valid access token is needed"
    code = "unauthenticated"


class ForbiddenProblem(Problem):
    status = 403
    refused = "scope"
    title = "The token does not permit this"
    code = "forbidden"


class NotFoundProblem(Problem):
    status = 404
    title = "There is no such resource"
    code = "not_found"


class ConflictProblem(Problem):
    status = 409
    title = "The resource is in another state"
    code = "conflict"


class PreconditionFailedProblem(Problem):
    status = 412
    title = "The resource has changed since it was read"
    code = "precondition_failed"


class PreconditionRequiredProblem(Problem):
    status = 428
    title = "If-Match is required"
    code = "precondition_required"


class TooManyRequestsProblem(Problem):
    status = 429
    title = "Too many requests at once"
    code = "too_many_requests"


class UnavailableProblem(Problem):
    status = 503
    title = "The service cannot answer right now"
    code = "unavailable"


class ProblemDocument(BaseModel):
    """The body of every error answer: RFC 9457 with `code`, `errors` and `trace_id`."""

    type: str = Field(examples=["urn:stagecraft:problem:validation_failed"])
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="stable: branch on this")
    errors: tuple[FieldError, ...] = ()
    trace_id: str = ""


def _respond(request: Request, status: int, code: str, title: str, detail: str, **more: Any) -> JSONResponse:
    request.state.problem_code = code
    context = trace.get_current_span().get_span_context()
    document = ProblemDocument(
        type=f"urn:stagecraft:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        instance=request.url.path,
        code=code,
        errors=more.get("errors", ()),
        trace_id=format(context.trace_id, "032x") if context.is_valid else "",
    )
    body = document.model_dump() | more.get("extra", {})
    return JSONResponse(body, status, more.get("headers"), media_type=PROBLEM_MEDIA_TYPE)


def problem_response(request: Request, problem: Problem) -> JSONResponse:
    """The problem as the answer to a request."""
    if problem.refused:
        request.state.refused = problem.refused
    more = {"errors": problem.errors, "extra": problem.extra, "headers": problem.headers}
    return _respond(request, problem.status, problem.code, problem.title, problem.detail, **more)


def pointer(*location: str | int) -> str:
    """A JSON pointer from path parts, escaped as RFC 6901 asks."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


# What the checker of types says where its own words are those of a programmer.
_WORDS = {
    "extra_forbidden": "There is no field of this name.",
    "missing": "This field is required.",
    "model_attributes_type": "This must be an object.",
    "model_type": "This must be an object.",
    "timezone_aware": "This time needs an offset from UTC, such as Z or +01:00.",
    "uuid_parsing": "This must be a UUID, such as 0190a6a2-5c1e-7c3a-9f0e-3b1d2c4e5f60.",
    "string_pattern_mismatch": "This text has another form than is allowed: {pattern}.",
    "string_too_short": "This must have at least {min_length} characters.",
    "string_too_long": "This must have at most {max_length} characters.",
    "too_short": "This must have at least {min_length} members; it has {actual_length}.",
    "too_long": "This must have at most {max_length} members.",
    "enum": "This must be {expected}.",
    "literal_error": "This must be {expected}.",
}
# Times and dates that cannot be read have many codes of the checker, and one remedy.
_TIMES = {
    "datetime": "This must be a time such as 2026-11-30T09:00:00Z",
    "date": "This must be a date such as 2026-11-30",
}


# A value that may be of several kinds is refused once for each of them.
_KINDS = {
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a number",
    "int_parsing": "a number",
    "float_type": "a number",
    "float_parsing": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "list_type": "a list",
}


def _field_errors(found: Sequence[Mapping[str, Any]], body: Any) -> tuple[FieldError, ...]:
    """What is wrong with each value, once: where it may be of several kinds, what its own kind objects to, and
    otherwise the kinds that are allowed."""
    by_pointer: dict[str, list[Mapping[str, Any]]] = {}
    for error in found:
        by_pointer.setdefault(_pointer_of(error, body), []).append(error)
    errors: list[FieldError] = []
    for where, group in by_pointer.items():
        kinds = list(dict.fromkeys(_KINDS[each["type"]] for each in group if each["type"] in _KINDS))
        of_its_kind = [each for each in group if each["type"] not in _KINDS]
        if not of_its_kind and any(other.startswith(where + "/") for other in by_pointer):
            continue
        if len(kinds) > 1 and not of_its_kind:
            errors.append(FieldError(where, "type_not_allowed", f"This must be {', or '.join(kinds)}."))
        else:
            errors += [_field_error(where, each) for each in of_its_kind or group]
    return tuple(dict.fromkeys(errors))


def _field_error(where: str, error: Mapping[str, Any]) -> FieldError:
    words = _words(error, in_url=where.startswith("/query/"))
    return FieldError(where, error["type"], words if words.endswith(".") else words + ".")


def _words(error: Mapping[str, Any], *, in_url: bool) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        # What a validator of ours says; the checker puts its own words before it.
        words = str(context["error"])
        return words[:1].upper() + words[1:]
    if (of := kind.split("_", 1)[0]) in _TIMES and kind.endswith(("_parsing", "_type", "_inexact")):
        # In a URL a plus is a blank.
        plus = "; write + as %2B in a URL" if in_url and of == "datetime" else ""
        return f"{_TIMES[of]}{plus}."
    if kind == "string_too_short" and context["min_length"] == 1:
        return "This must not be empty."
    return _WORDS[kind].format_map(context) if kind in _WORDS else error["msg"]


def _pointer_of(error: Mapping[str, Any], body: Any) -> str:
    """Where the value is. The checker adds parts to the place that are no part of the body: which kind it tried."""
    location = error["loc"]
    if location[0] != "body":
        return pointer(*location)
    place: list[str | int] = []
    for part in location[1:]:
        if (isinstance(body, Mapping) and part in body) or (isinstance(body, list) and part in range(len(body))):
            body = body[part]
            place.append(part)
        elif error["type"] == "missing":
            place.append(part)
    return pointer(*place)


def _with_members(error: FieldError, annotation: Any) -> FieldError:
    """The error, and of a name that is not there also the names that are, where the body is as annotated."""
    if error.code != "extra_forbidden":
        return error
    parts = [part.replace("~1", "/").replace("~0", "~") for part in error.pointer.split("/")[1:]]
    names = ", ".join(sorted(_members(annotation, parts[:-1])))
    return replace(error, detail=f"{error.detail} Allowed are: {names}.") if names else error


def _members(annotation: Any, place: Sequence[str]) -> set[str]:
    """The names of an object's members, at this place below the annotated type; of all types that it may have there."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        if not place:
            return set(fields)
        return _members(fields.get(place[0]), place[1:])
    kind, inner = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        inner = inner[:1]
    elif kind not in (Union, UnionType):
        # What else has types inside are lists and maps: one part of the place says which of theirs.
        if not place:
            return set()
        place = place[1:]
    return set[str]().union(*(_members(each, place) for each in inner))


def _malformed(body: str, offset: int, why: str) -> Problem:
    line, column = body.count("\n", 0, offset) + 1, offset - body.rfind("\n", 0, offset)
    detail = f"The body is no JSON: {why} at line {line}, column {column}."
    errors = [FieldError("", "json_invalid", detail)]
    return InvalidProblem(detail, code="malformed_json", errors=errors, extra={"line": line, "column": column})


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error of the application, also the framework's own, leave as a problem document."""

    async def on_problem(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return problem_response(request, error)

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        found = error.errors()
        if found and found[0]["type"] == "json_invalid":
            return problem_response(request, _malformed(str(error.body), found[0]["loc"][-1], found[0]["ctx"]["error"]))
        field = getattr(request.scope.get("route"), "body_field", None)
        annotation = field and field.field_info.annotation
        errors = tuple(_with_members(each, annotation) for each in _field_errors(found, error.body))
        detail = "; ".join(f"{e.pointer or 'the body'}: {e.detail}" for e in errors[:3]) or "See errors."
        if len(errors) > 3:
            detail += f" And {len(errors) - 3} more: see errors."
        return _respond(request, 422, InvalidProblem.code, InvalidProblem.title, detail, errors=errors)

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = _HTTP_CODES.get(error.status_code, "http_error")
        detail = error.detail if error.detail.endswith(".") else error.detail + "."
        if detail == "Not Found.":
            detail = "There is no such path here. /openapi.json lists all, and /docs shows them."
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            detail = f"{request.method} is not possible here; {allowed} is." if allowed else detail
        return _respond(request, error.status_code, code, error.detail.rstrip("."), detail, headers=error.headers)

    async def on_too_large(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, EventTooLarge)
        return _respond(request, 413, error.code, "The content is too large", error.detail)

    async def on_unexpected(request: Request, error: Exception) -> JSONResponse:
        detail = "The fault is ours and has been recorded; quote the trace_id when you report it."
        return _respond(request, 500, "internal_error", "Something failed inside", detail)

    async def on_deadline(request: Request, error: Exception) -> JSONResponse:
        return problem_response(request, InvalidProblem(str(error), code="too_complex"))

    async def on_passing(request: Request, error: Exception) -> JSONResponse:
        problem = UnavailableProblem(f"{error} Repeat the same request.", headers={"Retry-After": "1"})
        return problem_response(request, problem)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(DeadlineExceeded, on_deadline)
    app.add_exception_handler(RetryableError, on_passing)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(EventTooLarge, on_too_large)
    app.add_exception_handler(Exception, on_unexpected)
