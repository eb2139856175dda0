"""Reading the org's JSON into values. What has another shape than expected is a passing fault, never a crash: a gateway
may answer in the org's place."""

import json
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from crm_connector.salesforce.errors import OutcomeUnknown

K = TypeVar("K")


def parse(content: bytes) -> Any:
    """The JSON, numbers with a point as Decimal. OutcomeUnknown when it is none."""
    try:
        return json.loads(content, parse_float=Decimal)
    except ValueError as error:
        raise OutcomeUnknown(f"the org answered with something else than JSON: {error}") from error


def read(kind: TypeAdapter[K], content: bytes) -> K:
    """The JSON as a value of that kind. OutcomeUnknown when it is none."""
    try:
        return kind.validate_python(parse(content))
    except ValidationError as error:
        raise OutcomeUnknown(f"the org's answer has another shape than expected: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """The first thing wrong, as `place: reason`; values stay out of it, since they may be confidential."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, fault["loc"])) or "the whole"
    return f"{place}: {fault['msg']}"
