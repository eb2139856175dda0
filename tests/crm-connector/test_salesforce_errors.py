"""What each refusal of the org is worth."""

from datetime import timedelta

import pytest
from crm_connector.domain.intents import Verdict
from crm_connector.salesforce.errors import ApiRefusal, Remedy, error_items, remedy, reply_of


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "code", "message", "expected"),
        [
            (401, "INVALID_SESSION_ID", "", Remedy.REAUTHENTICATE),
            (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", Remedy.AWAIT_LIMIT),
            (400, "UNABLE_TO_LOCK_ROW", "", Remedy.AGAIN),
            (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "STAGECRAFT_STAGE_CONFLICT", Remedy.CONFLICT),
            (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "No discount", Remedy.PARK),
            (400, "ENTITY_IS_LOCKED", "", Remedy.AGAIN_HOURLY),
            (400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "", Remedy.AGAIN_ONCE),
            (400, "DUPLICATE_VALUE", "", Remedy.AGAIN_ONCE),
            (404, "ENTITY_IS_DELETED", "", Remedy.PARK),
            (400, "INVALID_FIELD", "", Remedy.PARK),
            (400, "NEVER_HEARD_OF_IT", "", Remedy.PARK),
            (420, "EDGE", "", Remedy.AGAIN),
            (503, "SERVER_UNAVAILABLE", "", Remedy.READ_FIRST),
            (500, "NEVER_HEARD_OF_IT", "", Remedy.READ_FIRST),
        ],
    )
    def test_each_refusal_has_its_remedy(self, status: int, code: str, message: str, expected: Remedy) -> None:
        assert remedy(status, code, message) is expected

    def test_the_five_shapes_give_their_codes(self) -> None:
        item = {"message": "m", "fields": ["Amount"]}
        assert error_items([{**item, "errorCode": "A"}])[0].code == "A"
        assert error_items([{**item, "statusCode": "B"}])[0].fields == ("Amount",)
        assert error_items({"error": "invalid_grant"}) == []
        assert error_items(None) == []

    def test_the_words_reach_the_result(self) -> None:
        result = reply_of("w", ApiRefusal(400, "REQUIRED_FIELD_MISSING", "missing: [Name]", ("Name",)))
        assert (result.verdict, result.reason) == (Verdict.REFUSED, "missing: [Name] (fields: Name)")


def test_a_limit_leaves_the_org_alone_for_a_while() -> None:
    result = reply_of("w", ApiRefusal(403, "REQUEST_LIMIT_EXCEEDED", ""))
    assert result.not_before == timedelta(seconds=30)
