"""Values as the org keeps them."""

import pytest
from sandbox.salesforce import schema
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.rules import ValidationRule, coerce


def test_numbers_are_rounded_half_up_to_their_scale() -> None:
    score = schema.OPPORTUNITY.find("Stagecraft_Score__c")
    assert score is not None
    assert coerce(score, 82.125) == 82.13
    assert coerce(score, "7") == 7.0
    with pytest.raises(ApiError, match="NUMBER_OUTSIDE_VALID_RANGE"):
        coerce(score, 10_000_000)


@pytest.mark.parametrize("text", ["2026-01-02T00:00:00Z", "2026-01-02T00:00:00.000+0000", "2026-01-02T01:00:00+01:00"])
def test_datetimes_are_kept_in_one_form(text: str) -> None:
    field = schema.OPPORTUNITY.find("Stagecraft_Last_Assessed__c")
    assert field is not None
    assert coerce(field, text) == "2026-01-02T00:00:00.000+0000"


def test_texts_are_as_long_as_utf_16_has_them() -> None:
    health = schema.OPPORTUNITY.find("Stagecraft_Health__c")
    assert health is not None
    assert coerce(health, "\U0001f600" * 20)
    with pytest.raises(ApiError, match="STRING_TOO_LONG"):
        coerce(health, "\U0001f600" * 21)


def test_a_validation_rule_refuses_what_it_names_until_the_field_it_needs_is_given() -> None:
    rule = ValidationRule("Opportunity", {"StageName": "Closed Lost"}, "Say why", needs="Stagecraft_Reason__c")
    rule.check(schema.OPPORTUNITY, {"StageName": "Demo"})
    rule.check(schema.ACCOUNT, {"StageName": "Closed Lost"})
    rule.check(schema.OPPORTUNITY, {"StageName": "Closed Lost", "Stagecraft_Reason__c": "PRICE"})
    with pytest.raises(ApiError, match="FIELD_CUSTOM_VALIDATION_EXCEPTION"):
        rule.check(schema.OPPORTUNITY, {"StageName": "Closed Lost"})
