"""Fields of the CRM become facts: which may, how they follow the CRM, and what a change of the mapping does."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
import pytest_asyncio
from crm_connector.domain.fields import (
    CrmField,
    FactType,
    FactValue,
    FieldMapping,
    MappedField,
    available,
    currency_of,
    kept,
    named_wrongly,
    not_there,
    value_of,
)
from crm_connector.salesforce import plan
from crm_connector.salesforce.objects import STANDARD
from crm_connector.salesforce.plan import DEFAULT
from hypothesis import given
from hypothesis import strategies as st
from kit.contracts.facts import seen_facts
from stagecraft.crm.v1.record_observed_pb2 import RecordObserved
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_LOST, CATEGORY_OPEN, PipelinePublished, Stage
from testing.service import eventually

from tests.builders import mapped, stages

VALUES = st.one_of(
    st.tuples(st.decimals(allow_nan=False, allow_infinity=False, places=2), st.just(FactType.NUMBER)),
    st.tuples(st.text(), st.just(FactType.TEXT)),
    st.tuples(st.booleans(), st.just(FactType.BOOLEAN)),
    st.tuples(st.dates(), st.just(FactType.DATE)),
    st.tuples(st.datetimes(timezones=st.just(UTC)), st.just(FactType.INSTANT)),
    st.tuples(st.frozensets(st.text("ab;:", min_size=1)), st.just(FactType.TEXTS)),
)
TEXT = MappedField("LeadSource", FactType.TEXT)


class TestDomain:
    @given(VALUES)
    def test_a_value_is_kept_with_its_type(self, of: tuple[FactValue, FactType]) -> None:
        value, kind = of
        found = value_of(kept(value, kind))
        assert (found, type(found)) == (value, type(value))

    @pytest.mark.parametrize(
        "name", ["amount", "Opportunity.amount", "deal.amount", "opportunity.", "opportunity.a b", "opportunity.A"]
    )
    def test_a_name_that_is_none_is_refused_where_it_stands(self, name: str) -> None:
        (fault,) = named_wrongly(FieldMapping({name: TEXT}))
        assert (fault.place, fault.code) == (("facts", name), "fact_name_invalid")

    def test_what_is_always_read_is_not_mapped(self) -> None:
        (fault,) = named_wrongly(FieldMapping({"lead.stage": TEXT}))
        assert fault.code == "fact_reserved"

    def test_what_the_crm_does_not_give_is_left_out_and_named(self) -> None:
        fields = {"opportunity": [CrmField("LeadSource", "Lead Source", "picklist", (FactType.TEXT,))]}
        mapping = FieldMapping(
            {
                "opportunity.source": TEXT,
                "opportunity.gone": MappedField("Gone__c", FactType.TEXT),
                "opportunity.number": MappedField("LeadSource", FactType.NUMBER),
            }
        )
        faults = not_there(mapping, fields)
        assert [(fault.place, fault.code) for fault in faults] == [
            (("facts", "opportunity.gone", "field"), "field_unknown"),
            (("facts", "opportunity.number", "type"), "field_type_differs"),
        ]
        assert available(mapping, faults) == FieldMapping({"opportunity.source": TEXT})


class TestCurrencies:
    @staticmethod
    async def adopted(scripted: Any, mapping: FieldMapping, *fields: str) -> plan.Plan:
        described = [{"name": name, "label": name, "type": kind} for name, kind in (each.split(":") for each in fields)]
        org = scripted(lambda _: httpx.Response(200, json={"fields": described, "records": []}))
        return await plan.made(org.rest, mapping, ["opportunity"], STANDARD)

    async def test_an_amount_has_the_currency_of_its_record_whatever_is_mapped(self, scripted: Any) -> None:
        mapping = FieldMapping({
            "opportunity.amount": MappedField("Amount", FactType.MONEY),
            "account.revenue": MappedField("AnnualRevenue", FactType.MONEY),
        })  # fmt: skip
        fields = ("StageName:picklist", "Amount:currency", "AnnualRevenue:currency", "CurrencyIsoCode:picklist")
        found = await self.adopted(scripted, mapping, *fields)
        assert {"CurrencyIsoCode", "Account.CurrencyIsoCode"} <= set(found.columns("opportunity"))
        account = {"AnnualRevenue": Decimal(7), "CurrencyIsoCode": "EUR"}
        facts = found.facts_of("opportunity", {"Amount": Decimal(5), "CurrencyIsoCode": "SEK", "Account": account})
        assert currency_of("opportunity.amount", facts) == "SEK"
        assert currency_of("account.revenue", facts) == "EUR"
        assert currency_of("opportunity.currency", facts) == ""

    async def test_an_org_of_one_currency_has_no_such_fact(self, scripted: Any) -> None:
        mapping = FieldMapping({"opportunity.amount": MappedField("Amount", FactType.MONEY)})
        found = await self.adopted(scripted, mapping, "StageName:picklist", "Amount:currency")
        facts = found.facts_of("opportunity", {"Amount": Decimal(5)})
        assert (list(facts), currency_of("opportunity.amount", facts)) == (["opportunity.amount"], "")

    async def test_a_field_that_a_person_maps_for_it_goes_first(self, scripted: Any) -> None:
        mapping = FieldMapping({"opportunity.currency": MappedField("Own__c", FactType.TEXT)})
        found = await self.adopted(
            scripted, mapping, "StageName:picklist", "Own__c:picklist", "CurrencyIsoCode:picklist"
        )
        assert found.facts_of("opportunity", {"Own__c": "USD"}) == {"opportunity.currency": "text:USD"}


def facts_of(message: RecordObserved) -> dict[str, Any]:
    return {name: fact.value for name, fact in seen_facts(message.facts).items()}


async def last(linked: Any, record_id: str, **expected: Any) -> RecordObserved:
    """The newest observation of the record, once it has these facts; `_` stands for the point of their names."""
    wanted = {name.replace("__", "."): value for name, value in expected.items()}

    async def shown() -> RecordObserved:
        message = (await linked.observed(record_id, 1))[-1]
        assert wanted.items() <= facts_of(message).items()
        return message

    return await eventually(shown)


async def insert(linked: Any, name: str, **fields: Any) -> str:
    async with linked.org.session() as client:
        reply = await client.post(f"/services/data/v67.0/sobjects/{name}", json=fields)
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


def edit(linked: Any, record_id: str, **fields: Any) -> None:
    linked.org.sim("edit", {"id": record_id, "fields": fields})


async def put(linked: Any, facts: dict[str, Any], roles: dict[str, Any] | None = None) -> httpx.Response:
    client, path = linked.service.client, "/v1/field-mappings"
    etag = (await client.get(path, headers=linked.headers)).headers["etag"]
    body = {"facts": facts, "contact_roles": roles or {}}
    return await client.put(path, json=body, headers=linked.headers | {"If-Match": etag})


@pytest_asyncio.fixture(loop_scope="session")
async def shipped(linked: Any) -> Any:
    """The connector with the mapping that it is shipped with, whatever a test before made of it."""
    facts = {n: {"field": f.field, "type": f.type} for n, f in DEFAULT.facts.items()}
    reply = await put(linked, facts, dict(DEFAULT.contact_roles))
    assert reply.status_code == 200, reply.text
    return linked


@pytest.mark.stack
class TestFacts:
    @pytest.mark.capability(44)
    async def test_shipped_facts_follow_the_record(self, shipped: Any) -> None:
        linked = shipped
        (kind,) = linked.org.sim(
            "load", {"record_types": [{"Name": "Renewal", "DeveloperName": "Renewal", "SobjectType": "Opportunity"}]}
        )["record_types"]
        (campaign,) = linked.org.sim("load", {"campaigns": [{"Name": "Fair"}]})["campaigns"]
        opportunity = await linked.created(LeadSource="Web", Amount=12.5, CampaignId=campaign)
        edit(linked, opportunity, NextStep="Call", Type="New Business")
        message = await last(linked, opportunity, opportunity__next_step="Call")
        assert set(message.changed_facts) == {"opportunity.next_step", "opportunity.type"}
        facts = facts_of(message)
        assert facts["opportunity.amount"] == Decimal("12.5")
        assert facts["opportunity.close_date"] == date(2027, 3, 31)
        assert facts["opportunity.lead_source"] == "Web"
        assert facts["opportunity.probability"] == 10
        assert facts["opportunity.campaign"] == campaign
        assert facts["account.industry"] is None
        assert facts["contacts.decision_makers"] == 0
        assert abs((facts["opportunity.created_at"] - datetime.now(UTC)).total_seconds()) < 600
        # The record type came after the plan was made: its name is found when the CRM is looked at anew.
        edit(linked, opportunity, RecordTypeId=kind, NextStep=None)
        await last(linked, opportunity, opportunity__next_step=None)

    @pytest.mark.capability(41)
    async def test_an_account_gives_facts_to_its_opportunities(self, shipped: Any) -> None:
        linked = shipped
        account = await insert(linked, "Account", Name="Initech", Industry="Energy", NumberOfEmployees=40)
        opportunity = await linked.created()
        edit(linked, opportunity, AccountId=account)
        await last(linked, opportunity, account__industry="Energy", account__employees=Decimal(40))
        edit(linked, account, Industry="Banking")
        message = await last(linked, opportunity, account__industry="Banking")
        assert list(message.changed_facts) == ["account.industry"]
        edit(linked, opportunity, AccountId=None)
        await last(linked, opportunity, account__industry=None)

    @pytest.mark.capability(41)
    async def test_contacts_are_counted_by_their_roles(self, shipped: Any) -> None:
        linked = shipped
        opportunity = await linked.created()
        contact = await insert(linked, "Contact", LastName="Bolton")
        role = await insert(
            linked, "OpportunityContactRole", OpportunityId=opportunity, ContactId=contact, Role="Decision Maker"
        )
        await last(linked, opportunity, contacts__decision_makers=Decimal(1))
        edit(linked, role, Role="Influencer")
        await last(linked, opportunity, contacts__decision_makers=Decimal(0), contacts__influencers=Decimal(1))
        edit(linked, role, Role="Other")
        await last(linked, opportunity, contacts__decision_makers=Decimal(0))


@pytest.mark.stack
class TestLeads:
    @pytest.mark.capability(58)
    async def test_are_followed_once_they_have_a_pipeline(self, shipped: Any) -> None:
        linked = shipped
        person = {"LastName": "Lund", "Company": "Lund AB"}
        (before,) = linked.org.sim("load", {"leads": [person | {"Status": "Working - Contacted"}]})["leads"]
        lead_stages = [
            Stage(key="open", name="Open - Not Contacted", category=CATEGORY_OPEN),
            Stage(key="working", name="Working - Contacted", category=CATEGORY_OPEN),
            Stage(key="closed", name="Closed - Not Converted", category=CATEGORY_LOST),
        ]
        leads = PipelinePublished(pipeline_key="leads", version=1, name="Leads", stages=lead_stages, object_type="lead")
        await linked.service.publish(leads, tenant=linked.tenant)
        message = await last(linked, before, lead__status="Working - Contacted")
        assert (message.object_type, stages(message)) == ("lead", {"leads": "working"})

        lead = await insert(
            linked, "Lead", **person, Status="Open - Not Contacted", LeadSource="Web", Industry="Energy"
        )
        await last(linked, lead, lead__company="Lund AB", lead__source="Web", lead__industry="Energy")
        edit(linked, lead, Status="Closed - Not Converted", Rating="Hot")
        message = await last(linked, lead, lead__rating="Hot")
        assert (mapped(message), message.crm_stage) == ("closed", "Closed - Not Converted")
        assert set(message.changed_facts) == {"lead.stage", "lead.status", "lead.rating"}
        # Opportunities go on in their own pipeline.
        opportunity = await linked.created()
        assert stages((await linked.observed(opportunity, 1))[-1]).keys() == {"sales"}


@pytest.mark.stack
class TestMapping:
    async def test_a_field_that_the_crm_does_not_give_is_refused_where_it_stands(self, linked: Any) -> None:
        reply = await put(
            linked,
            {
                "opportunity.gone": {"field": "Gone__c", "type": "text"},
                "opportunity.next_step": {"field": "NextStep", "type": "number"},
                "deal.size": {"field": "Amount", "type": "money"},
            },
        )
        assert reply.status_code == 422
        assert [(e["pointer"], e["code"]) for e in reply.json()["errors"]] == [
            ("/facts/deal.size", "fact_name_invalid")
        ]
        reply = await put(
            linked,
            {
                "opportunity.gone": {"field": "Gone__c", "type": "text"},
                "opportunity.next_step": {"field": "NextStep", "type": "number"},
            },
        )
        assert reply.status_code == 422
        assert [(e["pointer"], e["code"]) for e in reply.json()["errors"]] == [
            ("/facts/opportunity.gone/field", "field_unknown"),
            ("/facts/opportunity.next_step/type", "field_type_differs"),
        ]

    @pytest.mark.capability(86)
    async def test_candidates_are_the_fields_that_may_be_read(self, linked: Any) -> None:
        linked.org.sim("permissions", {"hidden": ["Lead.Rating"]})
        path = "/v1/field-mappings/candidates?object=lead"
        found = (await linked.service.client.get(path, headers=linked.headers)).json()["fields"]
        rating = {"lead.rating": {"field": "Rating", "type": "text"}}
        refused = await put(linked, rating)
        linked.org.sim("permissions", {})
        assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [
            ("/facts/lead.rating/field", "field_unknown")
        ]
        by_name = {field["name"]: field for field in found}
        assert by_name["AnnualRevenue"]["types"] == ["money", "number"]
        assert by_name["IsConverted"]["types"] == ["boolean"]
        assert "Rating" not in by_name

    async def test_a_change_is_read_of_every_record_and_a_lost_field_is_unknown(self, linked: Any) -> None:
        opportunity = await linked.created(NextStep="Call", Description="Long story")
        mapped = {
            "opportunity.amount": {"field": "Amount", "type": "money"},
            "opportunity.step": {"field": "NextStep", "type": "text"},
            "opportunity.story": {"field": "Description", "type": "text"},
        }
        reply = await put(linked, mapped)
        assert reply.status_code == 200, reply.text
        assert reply.json()["checked"]
        message = await last(linked, opportunity, opportunity__step="Call", opportunity__story="Long story")
        assert "opportunity.lead_source" not in facts_of(message)

        linked.org.sim("permissions", {"hidden": ["Opportunity.NextStep"]})
        await put(linked, mapped | {"opportunity.step": {"field": "LeadSource", "type": "text"}})
        edit(linked, opportunity, Amount=7, LeadSource="Web")
        await last(linked, opportunity, opportunity__amount=Decimal(7), opportunity__step="Web")

        linked.org.sim("permissions", {"hidden": ["Opportunity.LeadSource"]})
        retry = await linked.service.client.post("/v1/connection/retry", headers=linked.headers)
        assert retry.status_code == 202
        await last(linked, opportunity, opportunity__step=None, opportunity__amount=Decimal(7))
        assert (await linked.get("connection"))["facts_unavailable"] == ["opportunity.step"]
        edit(linked, opportunity, Amount=8)
        await last(linked, opportunity, opportunity__amount=Decimal(8))
        linked.org.sim("permissions", {})
        await linked.service.client.post("/v1/connection/retry", headers=linked.headers)
        await last(linked, opportunity, opportunity__step="Web")

        async def live() -> None:
            assert (await linked.get("connection"))["state"] == "LIVE"

        await eventually(live)

    async def test_without_the_crm_a_mapping_is_accepted_unchecked(self, linked: Any) -> None:
        other = linked.service.headers("another-tenant")
        client, path = linked.service.client, "/v1/field-mappings"
        found = (await client.get(path, headers=other)).json()
        assert found["is_default"]
        assert found["facts"]["opportunity.lead_source"] == {"field": "LeadSource", "type": "text"}
        body = {"facts": {"opportunity.gone": {"field": "Gone__c", "type": "text"}}}
        reply = await client.put(path, json=body, headers=other | {"If-Match": '"0"'})
        assert (reply.status_code, reply.json()["checked"]) == (200, False)
        again = await client.put(path, json=body, headers=other | {"If-Match": '"0"'})
        assert again.status_code == 412
        candidates = await client.get(f"{path}/candidates", headers=other)
        assert (candidates.status_code, candidates.json()["code"]) == (409, "crm_not_reached")
