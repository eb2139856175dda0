"""Opportunities and stages by SOQL: what the records become, and which replies are refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from crm_connector.domain.fields import UNKNOWN, FieldMapping
from crm_connector.domain.observation import ClockSource, CrmRecord, Facts, StageClock
from crm_connector.domain.stages import CrmStage
from crm_connector.salesforce.errors import OutcomeUnknown
from crm_connector.salesforce.plan import DEFAULT, Plan
from crm_connector.salesforce.query import read_records, record_pages, stage_catalog, stage_clocks

Scripted = Callable[..., Any]
ID = "006Sg0000000001AAA"
AMOUNT, CLOSE_DATE = "opportunity.amount", "opportunity.close_date"
MAPPING = FieldMapping({name: DEFAULT.facts[name] for name in (AMOUNT, CLOSE_DATE)})
PLAN = Plan(MAPPING, MAPPING)
OPPORTUNITY = {
    "attributes": {"type": "Opportunity"},
    "Id": ID,
    "StageName": "Demo",
    "Amount": 1234.10,
    "CloseDate": "2027-03-31",
    "OwnerId": "005A",
    "IsDeleted": False,
    "LastModifiedDate": "2026-11-22T19:00:05.000+0000",
    "LastModifiedById": "005B",
    "Stagecraft_Write_Id__c": "w1",
    "CreatedDate": "2026-09-01T08:00:00.000+0000",
    "LastStageChangeDate": "2026-10-01T08:00:00.000+0000",
}
STAGE = {
    "ApiName": "Demo",
    "MasterLabel": "Demonstration",
    "SortOrder": 3,
    "IsActive": True,
    "IsClosed": False,
    "IsWon": False,
}
NULLABLE = {
    "StageName",
    "Amount",
    "CloseDate",
    "OwnerId",
    "LastModifiedById",
    "Stagecraft_Write_Id__c",
    "LastStageChangeDate",
}


def page(*records: object, **more: object) -> httpx.Response:
    return httpx.Response(200, json={"totalSize": len(records), "done": True, "records": records, **more})


async def test_a_record_becomes_an_opportunity(scripted: Scripted) -> None:
    (found,) = await read_records(scripted(lambda _: page(OPPORTUNITY)).rest, PLAN, [ID])
    modified_at = datetime(2026, 11, 22, 19, 0, 5, tzinfo=UTC)
    facts = Facts("Demo", "005A", {AMOUNT: "money:1234.1", CLOSE_DATE: "date:2027-03-31"})
    clock = StageClock(datetime(2026, 10, 1, 8, tzinfo=UTC), ClockSource.STAGE_STAMP)
    created_at = datetime.fromisoformat(str(OPPORTUNITY["CreatedDate"]))
    assert found == CrmRecord(ID, facts, modified_at, "005B", "w1", stage_clock=clock, created_at=created_at)


async def test_numbers_keep_all_their_digits(scripted: Scripted) -> None:
    content = page({**OPPORTUNITY, "Amount": 0}).text.replace('"Amount":0', '"Amount":12345678901234567.89')
    (found,) = await read_records(scripted(lambda _: httpx.Response(200, text=content)).rest, PLAN, [ID])
    assert found.facts.fields[AMOUNT] == "money:12345678901234567.89"


async def test_what_is_null_is_empty(scripted: Scripted) -> None:
    record = {**OPPORTUNITY, **dict.fromkeys(NULLABLE)}
    (found,) = await read_records(scripted(lambda _: page(record)).rest, PLAN, [ID])
    assert (found.facts, found.modified_by, found.write_id) == (
        Facts("", "", {AMOUNT: UNKNOWN, CLOSE_DATE: UNKNOWN}), "", "",
    )  # fmt: skip
    # Its stage never changed.
    assert found.stage_clock == StageClock(datetime(2026, 9, 1, 8, tzinfo=UTC), ClockSource.CREATION)


class TestStageClocks:
    @staticmethod
    def line(stage: str, day: int) -> dict[str, object]:
        return {"OpportunityId": ID, "StageName": stage, "CreatedDate": f"2026-10-{day:02}T00:00:00Z"}

    @pytest.mark.parametrize(
        ("stages", "day"),
        [
            (["Demo"], 1),
            (["Discovery", "Demo"], 2),
            (["Discovery", "Demo", "Demo"], 2),
            (["Demo", "Discovery", "Demo", "Demo"], 3),
        ],
    )
    async def test_the_present_stay_began_after_the_last_other_stage(
        self, scripted: Scripted, stages: list[str], day: int
    ) -> None:
        lines = [self.line(stage, number) for number, stage in enumerate(stages, start=1)]
        (record,) = await read_records(scripted(lambda _: page(OPPORTUNITY)).rest, PLAN, [ID])
        found = await stage_clocks(scripted(lambda _: page(*lines)).rest, [record])
        assert found == {ID: StageClock(datetime(2026, 10, day, tzinfo=UTC), ClockSource.HISTORY)}

    @pytest.mark.parametrize("lines", [[], ["Demo", "Discovery"]])
    async def test_without_a_history_of_the_stage_the_stamp_counts(self, scripted: Scripted, lines: list[str]) -> None:
        (record,) = await read_records(scripted(lambda _: page(OPPORTUNITY)).rest, PLAN, [ID])
        reply = page(*(self.line(stage, number) for number, stage in enumerate(lines, start=1)))
        found = await stage_clocks(scripted(lambda _: reply).rest, [record])
        assert found == {ID: StageClock(datetime(2026, 10, 1, 8, tzinfo=UTC), ClockSource.STAGE_STAMP)}

    async def test_a_history_that_may_not_be_read_is_none(self, scripted: Scripted) -> None:
        (record,) = await read_records(scripted(lambda _: page(OPPORTUNITY)).rest, PLAN, [ID])
        reply = httpx.Response(400, json=[{"errorCode": "INVALID_TYPE", "message": "no such type"}])
        found = await stage_clocks(scripted(lambda _: reply).rest, [record])
        assert found == {ID: record.stage_clock}


async def test_pages_that_never_end_are_given_up(scripted: Scripted) -> None:
    rest = scripted(lambda _: page(STAGE, done=False, nextRecordsUrl="/services/data/again")).rest
    with pytest.raises(OutcomeUnknown, match="no way to the rest"):
        await stage_catalog(rest, PLAN)


async def test_the_same_page_again_and_again_is_given_up(scripted: Scripted) -> None:
    rest = scripted(lambda _: page(*[OPPORTUNITY] * 2000)).rest
    with pytest.raises(OutcomeUnknown, match="twice"):
        [each async for each in record_pages(rest, PLAN, ["opportunity"], "", None)]


async def test_a_record_becomes_a_stage(scripted: Scripted) -> None:
    nameless = {**STAGE, "ApiName": None, "SortOrder": None}
    found = await stage_catalog(scripted(lambda _: page(STAGE, nameless)).rest, PLAN)
    assert found == [
        CrmStage("Demo", "Demonstration", 3, is_active=True, is_closed=False, is_won=False),
        CrmStage("Demonstration", "Demonstration", 0, is_active=True, is_closed=False, is_won=False),
    ]


async def test_the_org_may_give_a_page_in_parts(scripted: Scripted) -> None:
    second = {**OPPORTUNITY, "Id": "006Sg0000000002AAA"}

    def reply(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/services/data/rest-of-it":
            return page(second)
        return page(OPPORTUNITY, done=False, nextRecordsUrl="/services/data/rest-of-it")

    (found,) = [each async for each in record_pages(scripted(reply).rest, PLAN, ["opportunity"], "", None)]
    assert [record.record_id for record in found] == [ID, "006Sg0000000002AAA"]


async def both_queries(org: Any) -> None:
    with pytest.raises(OutcomeUnknown):
        await read_records(org.rest, PLAN, [ID])
    with pytest.raises(OutcomeUnknown):
        await stage_catalog(org.rest, PLAN)


@pytest.mark.parametrize(
    "content",
    [
        "<html>down</html>",
        json.dumps({"done": True, "records": [OPPORTUNITY]})[:-9],
        "null",
        "[]",
        "{}",
        '{"done": true}',
        '{"records": []}',
        '{"done": true, "records": null}',
        '{"done": true, "records": {}}',
        '{"done": true, "records": [null]}',
        '{"done": true, "records": [[]]}',
        '{"done": true, "records": [{}]}',
        '{"done": null, "records": []}',
        '{"done": {}, "records": []}',
        '{"done": false, "records": []}',
        '{"done": false, "records": [], "nextRecordsUrl": null}',
        '{"done": false, "records": [], "nextRecordsUrl": 5}',
    ],
)
async def test_a_page_of_another_shape_may_pass(scripted: Scripted, content: str) -> None:
    await both_queries(scripted(lambda _: httpx.Response(200, text=content)))


def damaged(record: dict[str, object], nullable: set[str]) -> list[Any]:
    """The record with each field of it missing, of a wrong type, or null where it may not be."""
    cases: list[Any] = []
    for name in record.keys() - {"attributes"}:
        without = {key: value for key, value in record.items() if key != name}
        cases.append(pytest.param(without, id=f"{name} missing"))
        wrong = [{}, []] if name in nullable else [{}, [], None]
        cases += [pytest.param({**record, name: value}, id=f"{name} {value!r}") for value in wrong]
    return sorted(cases, key=lambda case: case.id)


@pytest.mark.parametrize(
    "record",
    [
        *damaged({k: v for k, v in OPPORTUNITY.items() if k not in ("Amount", "CloseDate")}, NULLABLE),
        {**OPPORTUNITY, "LastModifiedDate": "2026-11-22T19:00:05"},
        {**OPPORTUNITY, "IsDeleted": "perhaps"},
    ],
)
async def test_a_damaged_opportunity_may_pass(scripted: Scripted, record: object) -> None:
    with pytest.raises(OutcomeUnknown, match=r"another shape than expected|left out|no text"):
        await read_records(scripted(lambda _: page(record)).rest, PLAN, [ID])


@pytest.mark.parametrize(
    "field", [{"Amount": "much"}, {"Amount": True}, {"CloseDate": "soon"}, {"CloseDate": []}, {"Amount": {}}], ids=str
)
async def test_a_mapped_field_of_another_type_is_unknown_and_the_rest_counts(
    scripted: Scripted, field: dict[str, object]
) -> None:
    (found,) = await read_records(scripted(lambda _: page(OPPORTUNITY | field)).rest, PLAN, [ID])
    assert sorted(found.facts.fields.values())[0] == UNKNOWN
    assert sum(value == UNKNOWN for value in found.facts.fields.values()) == 1
    assert found.facts.stage == "Demo"


@pytest.mark.parametrize("record", damaged(STAGE, {"ApiName", "SortOrder"}))
async def test_a_damaged_stage_may_pass(scripted: Scripted, record: object) -> None:
    with pytest.raises(OutcomeUnknown, match=r"another shape than expected: records\.0\."):
        await stage_catalog(scripted(lambda _: page(record)).rest, PLAN)
