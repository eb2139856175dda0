"""What the org makes of a write before it is saved: types, required fields, stage effects, validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from sandbox.salesforce import schema
from sandbox.salesforce.clock import parse_time, wire_time
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.ids import MalformedId, full_id
from sandbox.salesforce.schema import Field, SObject

# A record holds wire values (texts, JSON numbers, booleans) under canonical field names; an absent
# field is null. A stored record is never changed in place.
Record = dict[str, Any]

STAGE_CONFLICT = "STAGECRAFT_STAGE_CONFLICT"
HISTORY_FIELDS = ("StageName", "Amount", "Probability", "CloseDate")


def coerce(field: Field, value: Any) -> Any:  # noqa: PLR0911
    """Gives the value as the org stores it. Raises ApiError with the code a real org would give."""
    if value is None:
        return False if field.kind == "boolean" else None
    if field.kind == "boolean":
        return _boolean(field, value)
    if field.kind in schema.NUMBERS:
        return _number(field, value)
    if isinstance(value, bool | int | float):
        value = str(value)
    if not isinstance(value, str):
        raise _unreadable(field, value)
    if value == "":
        return None
    if field.kind in schema.TEXTS:
        return _text(field, value)
    if field.kind == "date":
        return _date(field, value)
    if field.kind == "datetime":
        try:
            return wire_time(parse_time(value))
        except ValueError:
            raise _unreadable(field, value) from None
    return reference_id(field, value)


def reference_id(field: Field, value: str) -> str:
    """Normalises an id given for `field`. Raises MALFORMED_ID if it cannot be one of the target's."""
    try:
        record_id = full_id(value)
    except MalformedId:
        raise _malformed_id(field, value) from None
    target = schema.object_of_id(record_id)
    if field.targets and (target is None or target.name not in field.targets):
        raise _malformed_id(field, value)
    return record_id


def _malformed_id(field: Field, value: str) -> ApiError:
    message = f"{field.label}: id value of incorrect type: {value}"
    return ApiError("MALFORMED_ID", message, fields=(field.name,))


def _unreadable(field: Field, value: Any) -> ApiError:
    message = f"Cannot deserialize instance of {field.kind} from value {value!r}"
    return ApiError("JSON_PARSER_ERROR", message, fields=(field.name,))


def _boolean(field: Field, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise _unreadable(field, value)


def _number(field: Field, value: Any) -> float | int | None:
    if value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _unreadable(field, value)
    try:
        exact = Decimal(str(value)).quantize(Decimal(1).scaleb(-field.scale), ROUND_HALF_UP)
    except InvalidOperation:
        raise _unreadable(field, value) from None
    if abs(exact) >= Decimal(10) ** (field.precision - field.scale):
        message = f"{field.label}: value outside of valid range on numeric field: {value}"
        raise ApiError("NUMBER_OUTSIDE_VALID_RANGE", message, fields=(field.name,))
    return int(exact) if field.kind == "int" else float(exact)


def _text(field: Field, value: str) -> str:
    if field.length and len(value.encode("utf-16-le")) > 2 * field.length:
        message = f"{field.label}: data value too large: {value[:60]} (max length={field.length})"
        raise ApiError("STRING_TOO_LONG", message, fields=(field.name,))
    if field.restricted and value not in field.values:
        message = f"{field.label}: bad value for restricted picklist field: {value}"
        raise ApiError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, fields=(field.name,))
    return value


def _date(field: Field, value: str) -> str:
    try:
        return date.fromisoformat(value[:10]).isoformat()
    except ValueError:
        raise _unreadable(field, value) from None


def settle_task(after: Record, now: str) -> None:
    """Completes a task in place: its status says whether it is done, and since when."""
    after["IsClosed"] = after.get("Status") == "Completed"
    if after["IsClosed"]:
        after.setdefault("CompletedDateTime", now)
    else:
        after.pop("CompletedDateTime", None)


def settle_name(obj: SObject, after: Record) -> None:
    """Gives a person their full name."""
    if obj.find("FirstName") is not None:
        after["Name"] = f"{after.get('FirstName', '')} {after.get('LastName', '')}".strip()


def check_required(obj: SObject, record: Record) -> None:
    """Raises REQUIRED_FIELD_MISSING if a required field is null."""
    missing = tuple(f.name for f in obj.required if record.get(f.name) is None)
    if missing:
        message = f"Required fields are missing: [{', '.join(missing)}]"
        raise ApiError("REQUIRED_FIELD_MISSING", message, fields=missing)


def settle_opportunity(
    before: Record | None, after: Record, given: Mapping[str, Any], stages: Mapping[str, Record], now: str
) -> None:
    """Completes an opportunity in place: everything that setting StageName or Amount moves with it.

    What the writer gave explicitly (`given`) wins over the stage's defaults. A stage the org does
    not know is accepted, as StageName is no restricted picklist, and moves nothing.
    """
    moved = before is None or before.get("StageName") != after.get("StageName")
    stage = stages.get(after.get("StageName") or "")
    if moved and stage is not None:
        after["IsClosed"] = stage["IsClosed"]
        after["IsWon"] = stage["IsWon"]
        if given.get("Probability") is None:
            after["Probability"] = stage["DefaultProbability"]
        if given.get("ForecastCategoryName") is None:
            after["ForecastCategoryName"] = stage["ForecastCategoryName"]
    category = after.get("ForecastCategoryName")
    if category is not None:
        after["ForecastCategory"] = _FORECAST.get(category, category)
    if moved and before is not None:
        after["LastStageChangeDate"] = now
    amount, probability = after.get("Amount"), after.get("Probability")
    if amount is None or probability is None:
        after.pop("ExpectedRevenue", None)
    else:
        revenue = Decimal(str(amount)) * Decimal(str(probability)) / 100
        after["ExpectedRevenue"] = float(revenue.quantize(Decimal("0.01"), ROUND_HALF_UP))


_FORECAST = {"Best Case": "BestCase", "Commit": "Forecast"}


def check_stage_conflict(obj: SObject, before: Record, after: Record) -> None:
    """The packaged validation rule: a compare-and-set on the field that holds the stage.

    AND(ISCHANGED(Stagecraft_Write_Id__c), NOT(ISBLANK(Stagecraft_Expected_Stage__c)),
    TEXT(PRIORVALUE(StageName)) <> Stagecraft_Expected_Stage__c)
    """
    if obj.name not in schema.STAGE_FIELDS:
        return
    expected = after.get("Stagecraft_Expected_Stage__c")
    if (
        before.get("Stagecraft_Write_Id__c") != after.get("Stagecraft_Write_Id__c")
        and expected
        and before.get(schema.STAGE_FIELDS[obj.name]) != expected
    ):
        raise ApiError("FIELD_CUSTOM_VALIDATION_EXCEPTION", STAGE_CONFLICT)


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """A rule of the org's administrator: a record of the object that holds the values `when` is refused, or only while
    the field `needs` is empty."""

    object: str
    when: dict[str, Any]
    message: str
    needs: str = ""

    def check(self, obj: SObject, record: Record) -> None:
        """Raises FIELD_CUSTOM_VALIDATION_EXCEPTION."""
        if obj.name != self.object or any(record.get(name) != value for name, value in self.when.items()):
            return
        if not self.needs or record.get(self.needs) is None:
            raise ApiError("FIELD_CUSTOM_VALIDATION_EXCEPTION", self.message)


def history_row(before: Record | None, after: Record) -> Record | None:
    """The OpportunityHistory row a save leaves, without id and stamps, or None if it leaves none."""
    if before is not None and all(before.get(name) == after.get(name) for name in HISTORY_FIELDS):
        return None
    row = {name: after.get(name) for name in (*HISTORY_FIELDS, "ExpectedRevenue", "ForecastCategory")}
    if before is not None:
        row["PrevAmount"] = before.get("Amount")
        row["PrevCloseDate"] = before.get("CloseDate")
    row["OpportunityId"] = after["Id"]
    return {name: value for name, value in row.items() if value is not None}
