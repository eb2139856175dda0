"""Reading the org's JSON into values. What has another shape than expected is a passing fault, never a crash: a gateway
may answer in the org's place."""

import json
import logging
import re
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from crm_connector.salesforce.errors import OutcomeUnknown

log = logging.getLogger(__name__)

K = TypeVar("K")
# Texts that no database and no event can hold: a half of a character, and the null character.
_UNFIT = re.compile(rb"(\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w)|\\u[dD][89a-fA-F]\w\w|\\u0000")
# Salesforce's currency fields have at most 18 digits.
_MOST_DIGITS = 18


def parse(content: bytes) -> Any:
    """The JSON, numbers with a point as Decimal. OutcomeUnknown when it is none."""
    if b"\\u" in content:
        content = _UNFIT.sub(lambda found: found[1] or b"\\ufffd", content)
    try:
        return json.loads(content.decode("utf-8-sig", "replace"), parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise OutcomeUnknown(f"the org answered with something else than JSON: {error}") from error


def read(kind: TypeAdapter[K], content: bytes) -> K:
    """The JSON as a value of that kind. OutcomeUnknown when it is none."""
    return checked(kind, parse(content))


def checked(kind: TypeAdapter[K], found: object) -> K:
    """What was read as a value of that kind. OutcomeUnknown when it is none."""
    try:
        return kind.validate_python(found)
    except ValidationError as error:
        raise OutcomeUnknown(f"the org's answer has another shape than expected: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """The first thing wrong, as `place: reason`; values stay out of it, since they may be confidential."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, fault["loc"])) or "the whole"
    return f"{place}: {fault['msg']}"


def amount_of(value: Decimal | float | None) -> Decimal | None:
    """An amount as it can be published and compared. One that no currency field can hold is unknown, with a warning, so
    that the rest of its record counts."""
    if value is None:
        return None
    amount = Decimal(str(value))
    if not amount.is_finite() or (amount and not -_MOST_DIGITS <= amount.adjusted() < _MOST_DIGITS):
        log.warning("an amount that no currency field can hold is taken as unknown")
        return None
    return amount
