"""What the org's fields hold. Every value that is sent goes through `fitted`, so that none is refused for its size."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from forms.widths import (
    KEY,
    MAX_POINTS,
    NUMBER_ANSWER,
    POINTS,
    QUESTION_TEXT,
    SCORE,
    TEXT_ANSWER,
    NumberWidth,
    TextWidth,
)

Width = TextWidth | NumberWidth
Fields = dict[str, Any]

STAGE = TextWidth(255)
EXTERNAL_ID = TextWidth(64)
ANSWER_ID = TextWidth(160)
JSON_COPY = TextWidth(131_072)

SUBJECT: Mapping[str, Width] = {
    "Stagecraft_Score__c": SCORE,
    "Stagecraft_Earned_Stage__c": STAGE,
    "Stagecraft_Health__c": TextWidth(40),
    "Stagecraft_Expected_Stage__c": STAGE,
    "Stagecraft_Write_Id__c": TextWidth(64),
    "Stagecraft_Sync_Error__c": TEXT_ANSWER,
    "Stagecraft_Outcome__c": TextWidth(40),
    "Stagecraft_Reason__c": TextWidth(255),
}
ASSESSMENT: Mapping[str, Width] = {
    "Template_Key__c": KEY,
    "Template_Version__c": TextWidth(20),
    "Stage__c": KEY,
    "Status__c": TextWidth(40),
    "Score__c": SCORE,
    "Max_Score__c": SCORE,
    "Result__c": TextWidth(80),
    "Answers_Json__c": JSON_COPY,
}
ANSWER: Mapping[str, Width] = {
    "Question_Key__c": KEY,
    "Question_Text__c": QUESTION_TEXT,
    "Answer_Type__c": TextWidth(40),
    "Value_Text__c": TEXT_ANSWER,
    "Value_Number__c": NUMBER_ANSWER,
    "Value_Json__c": TEXT_ANSWER,
    "Score__c": POINTS,
    "Weight__c": MAX_POINTS,
    "Sequence__c": NumberWidth(4, 0),
}


def fitted(fields: Mapping[str, Any], widths: Mapping[str, Width]) -> tuple[Fields, tuple[str, ...]]:
    """The fields as the org takes them, and what had to be changed for that: a text that is too long is shortened, a
    number that is too large is left out."""
    found: Fields = {}
    notes: list[str] = []
    for name, value in fields.items():
        found[name], note = _fit(value, widths.get(name))
        if note:
            notes.append(f"{name} {note}")
    return found, tuple(notes)


def _fit(value: Any, width: Width | None) -> tuple[Any, str]:
    if isinstance(value, str):
        # The org would read "@{...}" in what people typed as a reference to another node; it knows no escape.
        value = value.replace("@{", "@ {")
        if isinstance(width, TextWidth) and not width.holds(value):
            return width.shortened(value), f"was shortened to {width.length} characters"
    if isinstance(value, Decimal):
        number = _number(value)
        if isinstance(width, NumberWidth) and not width.holds(Decimal(str(number))):
            return None, f"cannot hold {value:f}"
        return number, ""
    return value, ""


def _number(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)
