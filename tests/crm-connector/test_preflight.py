"""The adapter against a real org process: what an org lacks, what it says of deleted records and of stages, and how it
refuses."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from crm_connector.crm import EventsSpent, Usage
from crm_connector.domain.holds import Scope
from crm_connector.domain.intents import Verdict
from crm_connector.domain.observation import ChangeKind, ClockSource
from crm_connector.domain.writes import CrmWrite, StageWrite
from crm_connector.opening import open_crm
from crm_connector.salesforce import pubsub
from crm_connector.salesforce.actions import INTAKE_FIELDS
from crm_connector.salesforce.preflight import RULE_MISSING
from crm_connector.settings import Settings
from sandbox.salesforce.ids import make_id

from tests.streams import change_of

ROW = {"Name": "Deal", "StageName": "Demo", "CloseDate": "2027-01-31"}


@pytest.fixture
async def crm(org: Any, make: Any) -> AsyncIterator[Any]:
    found = open_crm(Settings(environment="test", **make.settings(org, "acme")))
    yield found
    await found.close()
    org.sim("faults", method="DELETE")
    org.sim("rule", {"active": True})
    org.sim("permissions", {})
    org.sim("limits", {"DailyDeliveredPlatformEvents": {"Max": 1_000_000, "Remaining": 1_000_000}})


@pytest.fixture
def loaded(org: Any) -> list[str]:
    return org.sim("load", {"opportunities": [ROW] * 4})["opportunities"]


def writes(ids: list[str], stage: str = "Negotiation", expected: str = "Demo") -> list[CrmWrite]:
    return [CrmWrite(f"w-{key}", key, StageWrite(stage, expected), None, {}) for key in ids]


def stages(org: Any, ids: list[str]) -> set[str]:
    found = org.sim(f"opportunities?id={','.join(ids)}", method="GET")["opportunities"]
    return {row["StageName"] for row in found}


class TestLacks:
    async def test_a_whole_org_lacks_nothing(self, crm: Any, loaded: list[str]) -> None:
        assert await crm.lacks() == []

    async def test_a_rule_that_is_off_is_noticed_and_nothing_is_written(
        self, crm: Any, org: Any, loaded: list[str]
    ) -> None:
        before = org.sim("opportunities?limit=5000", method="GET")
        org.sim("rule", {"active": False})
        (lack,) = await crm.lacks()
        assert (lack.subject, lack.words) == ("Opportunity", RULE_MISSING.format("Opportunity"))
        assert org.sim("opportunities?limit=5000", method="GET") == before

    async def test_an_org_that_takes_no_write_now_does_not_look_like_one_without_the_rule(
        self, crm: Any, org: Any, loaded: list[str]
    ) -> None:
        org.sim("faults", {"match": "Opportunity", "within": True, "code": "UNABLE_TO_LOCK_ROW", "times": None})
        assert await crm.lacks() == []

    @pytest.mark.parametrize(
        ("permissions", "words"),
        [
            ({"hidden": ["Opportunity.Stagecraft_Score__c"]}, "Opportunity.Stagecraft_Score__c is missing"),
            (
                {"read_only": ["Opportunity.Stagecraft_Write_Id__c"]},
                "not edit the field Opportunity.Stagecraft_Write_Id__c",
            ),
            ({"hidden": ["Stagecraft_Answer__c.Value_Json__c"]}, "Stagecraft_Answer__c.Value_Json__c is missing"),
        ],
    )
    async def test_a_missing_right_is_named(
        self, crm: Any, org: Any, loaded: list[str], permissions: dict[str, list[str]], words: str
    ) -> None:
        org.sim("permissions", permissions)
        (lack,) = await crm.lacks()
        assert words in lack.words

    @pytest.mark.parametrize("field", INTAKE_FIELDS)
    @pytest.mark.parametrize(
        ("right", "words"), [("hidden", "Lead.{} is missing"), ("read_only", "not edit the field Lead.{}")]
    )
    async def test_a_field_that_new_leads_need_is_named_and_stages_of_leads_are_written_without_it(
        self, crm: Any, org: Any, loaded: list[str], field: str, right: str, words: str
    ) -> None:
        await crm.adopt(crm.default_fields, ["opportunity", "lead"])
        assert await crm.lacks() == []
        org.sim("permissions", {right: [f"Lead.{field}"]})
        (lack,) = await crm.lacks()
        assert words.format(field) in lack.words
        assert lack.subject not in crm.subject_objects.values()

    async def test_an_org_whose_leads_are_not_followed_needs_no_fields_of_leads(
        self, crm: Any, org: Any, loaded: list[str]
    ) -> None:
        org.sim("permissions", {"hidden": [f"Lead.{field}" for field in INTAKE_FIELDS]})
        assert await crm.lacks() == []

    async def test_a_stage_field_of_accounts_that_is_not_set_or_not_there_is_named(
        self, org: Any, make: Any, loaded: list[str]
    ) -> None:
        for field in ("", "Lifecycle__c"):
            given = make.settings(org, "acme") | {"salesforce_account_stage_field": field}
            crm = open_crm(Settings(environment="test", **given))
            await crm.adopt(crm.default_fields, ["opportunity", "account"])
            (lack,) = await crm.lacks()
            await crm.close()
            assert lack.subject == "Account"
            assert "SALESFORCE_ACCOUNT_STAGE_FIELD" in lack.words or "Account.Lifecycle__c is missing" in lack.words


class TestRefusals:
    @pytest.mark.parametrize(
        ("code", "scope"),
        [
            ("API_DISABLED_FOR_ORG", Scope.ORG),
            ("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", Scope.ORG),
            ("INVALID_TYPE", Scope.OBJECT),
            ("INSUFFICIENT_ACCESS_OR_READONLY", Scope.OBJECT),
            ("INVALID_FIELD", Scope.FIELD),
        ],
    )
    async def test_a_refusal_of_every_record_is_about_more_than_records(
        self, crm: Any, org: Any, loaded: list[str], code: str, scope: Scope
    ) -> None:
        org.sim("faults", {"match": "/Opportunity/", "within": True, "code": code, "times": None})
        replies = await crm.write(writes(loaded))
        assert {(reply.verdict, reply.refusal.scope, reply.code) for reply in replies} == {(Verdict.AGAIN, scope, code)}
        assert stages(org, loaded) == {"Demo"}

    @pytest.mark.parametrize("code", ["INVALID_FIELD", "INSUFFICIENT_ACCESS_OR_READONLY"])
    async def test_the_same_refusal_of_one_among_others_is_about_that_record(
        self, crm: Any, org: Any, loaded: list[str], code: str
    ) -> None:
        org.sim("faults", {"match": f"/{loaded[1]}", "within": True, "code": code, "times": None})
        replies = await crm.write(writes(loaded))
        verdicts = [(reply.verdict.name, reply.refusal) for reply in replies]
        assert verdicts == [("CONFIRMED", None), ("REFUSED", None), ("CONFIRMED", None), ("CONFIRMED", None)]

    async def test_a_right_that_is_taken_away_names_the_field(self, crm: Any, org: Any, loaded: list[str]) -> None:
        org.sim("permissions", {"read_only": ["Opportunity.StageName"]})
        replies = await crm.write(writes(loaded))
        assert {(r.refusal.scope, r.refusal.subject, r.refusal.fields) for r in replies} == {
            (Scope.FIELD, "Opportunity", ("StageName",))
        }

    async def test_the_token_endpoint_may_refuse_for_a_while(self, crm: Any, org: Any) -> None:
        org.sim("faults", {"match": "oauth2/token", "code": "unknown_error", "message": "retry your request"})
        with pytest.raises(Exception, match="unknown_error: retry your request"):
            await crm.connect()
        crm.retry()
        assert await crm.connect() == org.client["org_id"]


class TestRecords:
    async def test_what_was_deleted_for_good_is_among_the_deleted_and_nowhere_else(
        self, crm: Any, org: Any, loaded: list[str]
    ) -> None:
        began = datetime.now(UTC) - timedelta(seconds=2)
        org.sim("purge", {"id": loaded[0]})
        assert loaded[0] in await crm.deleted(began, datetime.now(UTC) + timedelta(seconds=2))
        assert await crm.deleted(began - timedelta(days=2), began - timedelta(days=1)) == []
        assert await crm.read([loaded[0]]) == []
        assert [record.record_id for record in await crm.read(loaded)] == loaded[1:]

    async def test_the_history_says_since_when_a_record_is_in_its_stage(self, crm: Any, org: Any) -> None:
        moves = [("Prospecting", 5), ("Demo", 9), ("Discovery", 12), ("Demo", 20), ("Demo", 25)]
        ids = [make_id("006", 900_000 + number) for number in range(2)]
        history = [
            {"OpportunityId": ids[0], "StageName": stage, "CreatedDate": f"2026-01-{day:02}T08:00:00Z"}
            for stage, day in moves
        ]
        rows = [{**ROW, "Id": key, "CreatedDate": "2026-01-05T08:00:00Z"} for key in ids]
        org.sim("load", {"opportunities": rows, "history": history})
        clocks = await crm.in_stage_since(await crm.read(ids))
        assert (clocks[ids[0]].since.day, clocks[ids[0]].source) == (20, ClockSource.HISTORY)
        assert (clocks[ids[1]].since.day, clocks[ids[1]].source) == (5, ClockSource.HISTORY)


class TestEvents:
    async def test_an_allocation_that_is_used_up_has_its_own_fault(self, crm: Any, org: Any, loaded: list[str]) -> None:
        org.sim("limits", {"DailyDeliveredPlatformEvents": {"Max": 100, "Remaining": 0}})
        assert await crm.events_used() == Usage(100, 100)
        with pytest.raises(EventsSpent, match=r"subscription\.limit\.exceeded"):
            await change_of(crm, org, {"id": loaded[0], "fields": {"Amount": 5}})

    async def test_a_schema_that_is_not_there_makes_a_blind_batch(
        self, crm: Any, org: Any, loaded: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unreadable(document: str) -> Any:
            raise pubsub.Unreadable("the schema cannot be read")

        monkeypatch.setattr(pubsub, "EventSchema", unreadable)
        batch = await change_of(crm, org, {"id": loaded[0], "fields": {"Amount": 6}})
        assert (batch.changes, batch.blind) == ([], True)
        (unread,) = batch.unread
        assert unread.payload
        assert "the schema cannot be read" in unread.reason

    async def test_an_event_that_cannot_be_read_is_a_gap_of_its_records(
        self, crm: Any, org: Any, loaded: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from crm_connector.salesforce import changes

        def broken(schema: Any, event: Any, plan: Any) -> Any:
            raise KeyError("no such thing")

        monkeypatch.setattr(changes, "_seen", broken)
        batch = await change_of(crm, org, {"id": loaded[0], "fields": {"Amount": 7}})
        assert [(change.kind, change.record_id) for change in batch.changes] == [(ChangeKind.GAP, loaded[0])]
        assert (len(batch.unread), batch.blind) == (1, False)
