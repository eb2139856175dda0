"""Values as the org keeps them."""

import pytest
from sandbox.salesforce import schema
from sandbox.salesforce.errors import ApiError
from sandbox.salesforce.rules import coerce


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
