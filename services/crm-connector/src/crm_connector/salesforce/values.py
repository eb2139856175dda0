"""Values of fields as replies and change events hold them, made into values of facts. What has another type than it
should is unknown, with a warning, so that the rest of its record counts."""

import logging
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from crm_connector.domain.fields import UNKNOWN, FactType, FactValue, kept
from crm_connector.salesforce.replies import amount_of

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def kept_value(value: object, kind: FactType) -> str:
    """The text that keeps the value; empty for none, and for what is no value of this type."""
    if value is None:
        return UNKNOWN
    try:
        return kept(_value(value, kind), kind)
    except (ValueError, TypeError, OverflowError):
        log.warning("a value that is no %s is taken as unknown", kind)
        return UNKNOWN


def _value(value: object, kind: FactType) -> FactValue | None:  # noqa: PLR0911 - one for each type
    match kind:
        case FactType.NUMBER | FactType.MONEY if isinstance(value, int | float | Decimal) and not isinstance(
            value, bool
        ):
            return amount_of(value)
        case FactType.BOOLEAN if isinstance(value, bool):
            return value
        case FactType.DATE if isinstance(value, date) and not isinstance(value, datetime):
            return value
        case FactType.DATE if isinstance(value, int | str) and not isinstance(value, bool):
            return date.fromisoformat(value) if isinstance(value, str) else _moment(value).date()
        case FactType.INSTANT if isinstance(value, int | str) and not isinstance(value, bool):
            found = datetime.fromisoformat(value) if isinstance(value, str) else _moment(value)
            return found if found.tzinfo else None
        case FactType.TEXT if isinstance(value, str):
            return value.replace("\x00", "\ufffd")
        case FactType.TEXTS if isinstance(value, str):
            return frozenset(filter(None, value.replace("\x00", "\ufffd").split(";")))
        case _:
            raise TypeError(kind)


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
