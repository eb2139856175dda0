"""Texts of requests: of a shape that refusals describe in words, and ids of records in one form."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, LiteralString

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from kit.record_ids import full_record_id

RecordId = Annotated[str, AfterValidator(full_record_id)]
"""An id that may be a Salesforce record's: of 15 characters it is completed to 18."""

# A date, or at least its year: what begins so is never read as a number of seconds.
_BEGINS_WITH_A_DAY = re.compile(r"\d{4}-").match


def _no_number(value: Any) -> Any:
    """A number, such as a year alone, would count as seconds since 1970."""
    if not isinstance(value, datetime) and not (isinstance(value, str) and _BEGINS_WITH_A_DAY(value)):
        raise PydanticCustomError("datetime_parsing", "a time is a text")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_no_number, json_schema_input_type=AwareDatetime)]
"""A moment as a text with its offset from UTC; a number is refused."""


def refusal(code: LiteralString, words: str) -> PydanticCustomError:
    """What a validator raises: a code of our own, and words for a person."""
    # pydantic would read braces within a message.
    return PydanticCustomError(code, "{words}", {"words": words})


@dataclass(frozen=True)
class Shape:
    """An annotation: the text matches the expression as a whole. The expression is in the documentation, the words are
    what a person reads."""

    expression: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        matches = re.compile(self.expression).fullmatch

        def check(text: str) -> str:
            if matches(text) is None:
                raise refusal("bad_text", self.words)
            return text

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^{self.expression}$"}
