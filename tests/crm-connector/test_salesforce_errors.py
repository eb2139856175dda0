"""What each refusal of the org is worth, and whom it is about."""

from datetime import timedelta

import pytest
from crm_connector.domain.holds import Scope
from crm_connector.domain.intents import Verdict, settle
from crm_connector.salesforce import errors
from crm_connector.salesforce.errors import ApiRefusal, Remedy, error_items, remedy, reply_of


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (401, "INVALID_SESSION_ID", "", errors.ORG_BUSY),
        (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", errors.ORG_BUSY),
        (400, "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "", errors.ORG_BUSY),
        (403, "API_CURRENTLY_DISABLED", "", errors.ORG_BUSY),
        (403, "API_DISABLED_FOR_ORG", "", errors.ORG_REFUSED),
        (403, "ORG_LOCKED", "", errors.ORG_REFUSED),
        (403, "INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "", errors.ORG_REFUSED),
        (400, "UNABLE_TO_LOCK_ROW", "", errors.AGAIN),
        (400, "CANNOT_EXECUTE_FLOW_TRIGGER", "a flow failed: UNABLE_TO_LOCK_ROW", errors.AGAIN),
        (400, "CANNOT_EXECUTE_FLOW_TRIGGER", "a flow failed", errors.A_FEW_TIMES),
        (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "STAGECRAFT_STAGE_CONFLICT", errors.CONFLICT),
        (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "No discount", errors.PARK),
        (400, "ENTITY_IS_LOCKED", "", errors.HOURLY),
        (400, "DUPLICATE_VALUE", "", errors.A_FEW_TIMES),
        (404, "ENTITY_IS_DELETED", "", errors.PARK),
        (400, "INVALID_FIELD", "No such column", errors.FIELD),
        (400, "INVALID_FIELD", "Foreign key external ID: x not found", errors.PARK),
        (400, "INVALID_FIELD_FOR_INSERT_UPDATE", "", errors.FIELD),
        (400, "INVALID_TYPE", "", errors.OBJECT),
        (400, "INSUFFICIENT_ACCESS_OR_READONLY", "", errors.OBJECT),
        (400, "NEVER_HEARD_OF_IT", "", errors.NEVER_HEARD_OF),
        (420, "EDGE", "", errors.ORG_BUSY),
        (429, "EDGE", "", errors.ORG_BUSY),
        (503, "SERVER_UNAVAILABLE", "", errors.READ_FIRST),
        (500, "NEVER_HEARD_OF_IT", "", errors.READ_FIRST),
    ],
)
def test_each_refusal_has_its_remedy(status: int, code: str, message: str, expected: Remedy) -> None:
    assert remedy(status, code, message) is expected


def test_only_the_refusal_of_a_record_parks() -> None:
    for known in (*errors.__dict__.values(),):
        if isinstance(known, Remedy) and known.verdict is Verdict.REFUSED:
            assert known.scope is Scope.RECORD


def test_what_was_never_heard_of_is_tried_a_few_times_with_pauses_and_then_parked() -> None:
    reply = reply_of("w", ApiRefusal(400, "NEVER_HEARD_OF_IT", "words"))
    outcomes = [settle(reply, attempt, 0) for attempt in range(1, 6)]
    assert [each.move.name for each in outcomes] == ["REPEAT"] * 4 + ["PARK"]
    assert all(each.wait >= timedelta(seconds=30) for each in outcomes[:4])


def test_a_refusal_of_more_than_the_record_never_parks() -> None:
    reply = reply_of("w", ApiRefusal(400, "INVALID_FIELD", "No such column", ("X__c",)), "Opportunity")
    assert reply.refusal is not None
    assert (reply.refusal.scope, reply.refusal.subject, reply.refusal.fields) == (
        Scope.FIELD,
        "Opportunity",
        ("X__c",),
    )
    assert {settle(reply, attempt, 0).move.name for attempt in range(1, 1000)} == {"REPEAT"}


def test_the_five_shapes_give_their_codes() -> None:
    item = {"message": "m", "fields": ["Amount"]}
    assert error_items([{**item, "errorCode": "A"}])[0].code == "A"
    assert error_items([{**item, "statusCode": "B"}])[0].fields == ("Amount",)
    assert error_items({"error": "invalid_grant"}) == []
    assert error_items(None) == []


def test_the_words_reach_the_result() -> None:
    result = reply_of("w", ApiRefusal(400, "REQUIRED_FIELD_MISSING", "missing: [Name]", ("Name",)))
    assert (result.verdict, result.reason) == (Verdict.REFUSED, "missing: [Name] (fields: Name)")
