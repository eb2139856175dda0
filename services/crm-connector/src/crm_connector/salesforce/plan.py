"""What is read of each object: the fields that hold mapped facts, as far as the org has them."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated

from pydantic import Field, TypeAdapter

from crm_connector.domain.fields import (
    CONTACTS,
    CURRENCY_FACT,
    UNKNOWN,
    CrmField,
    FactType,
    FieldMapping,
    MappedField,
    available,
    kept,
    not_there,
    object_of,
)
from crm_connector.salesforce.errors import ApiRefusal, LastingRefusal
from crm_connector.salesforce.objects import STANDARD, WRITE_ID, Objects
from crm_connector.salesforce.rest import Rest
from crm_connector.salesforce.values import kept_value

log = logging.getLogger(__name__)

OBJECTS = {object_type: each.name for object_type, each in STANDARD.items()}
PREFIXES = {each.prefix: object_type for object_type, each in STANDARD.items()}
# What a lead is about; the package brings the field.
LEAD_KIND = "Stagecraft_Lead_Kind__c"
RECORD_TYPE = "RecordTypeId"
NUMBER, MONEY, TEXT, DATE = FactType.NUMBER, FactType.MONEY, FactType.TEXT, FactType.DATE
_TYPES: Mapping[str, tuple[FactType, ...]] = {
    "currency": (MONEY, NUMBER),
    "boolean": (FactType.BOOLEAN,),
    "date": (DATE,),
    "datetime": (FactType.INSTANT,),
    "multipicklist": (FactType.TEXTS,),
} | dict.fromkeys(("double", "percent", "int", "long"), (NUMBER,))  # fmt: skip
_TEXTS = ("id", "string", "textarea", "picklist", "combobox", "reference", "url", "email", "phone")
CURRENCY = "CurrencyIsoCode"
# Of the defaults these are missing in an org without record types, which is nothing to report.
OPTIONAL = frozenset({"opportunity.record_type", "lead.record_type", "lead.kind"})
DEFAULT = FieldMapping(
    {
        name: MappedField(at, kind)
        for name, at, kind in (
            ("opportunity.amount", "Amount", MONEY),
            ("opportunity.close_date", "CloseDate", DATE),
            ("opportunity.record_type", RECORD_TYPE, TEXT),
            ("opportunity.lead_source", "LeadSource", TEXT),
            ("opportunity.type", "Type", TEXT),
            ("opportunity.next_step", "NextStep", TEXT),
            ("opportunity.probability", "Probability", NUMBER),
            ("opportunity.expected_revenue", "ExpectedRevenue", MONEY),
            ("opportunity.campaign", "CampaignId", TEXT),
            ("opportunity.account_id", "AccountId", TEXT),
            ("opportunity.created_at", "CreatedDate", FactType.INSTANT),
            ("opportunity.last_activity_date", "LastActivityDate", DATE),
            ("account.industry", "Industry", TEXT),
            ("account.employees", "NumberOfEmployees", NUMBER),
            ("account.type", "Type", TEXT),
            ("lead.status", "Status", TEXT),
            ("lead.company", "Company", TEXT),
            ("lead.record_type", RECORD_TYPE, TEXT),
            ("lead.source", "LeadSource", TEXT),
            ("lead.industry", "Industry", TEXT),
            ("lead.kind", LEAD_KIND, TEXT),
            ("lead.rating", "Rating", TEXT),
            ("lead.employees", "NumberOfEmployees", NUMBER),
            ("lead.converted", "IsConverted", FactType.BOOLEAN),
            ("lead.created_at", "CreatedDate", FactType.INSTANT),
            ("lead.last_activity_date", "LastActivityDate", DATE),
        )
    },
    {
        "decision_makers": ("Decision Maker", "Economic Buyer", "Economic Decision Maker", "Executive Sponsor"),
        "influencers": ("Influencer", "Evaluator", "Technical Buyer"),
    },
)
# What every org has: it is read before it is known what else there is.
EVERYWHERE = FieldMapping(
    {name: at for name, at in DEFAULT.facts.items() if name not in OPTIONAL}, DEFAULT.contact_roles
)


@dataclass(frozen=True)
class Plan:
    """What to read. `mapping` holds what the org has, `names` everything that is mapped: the rest is unknown.
    `stages` holds the field of the stage, `marked` are the types whose records keep the id of our last write."""

    mapping: FieldMapping = field(default_factory=FieldMapping)
    names: FieldMapping = field(default_factory=FieldMapping)
    object_types: tuple[str, ...] = ("opportunity",)
    record_types: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=lambda: {"opportunity": STANDARD["opportunity"].stage})
    marked: tuple[str, ...] = ("opportunity",)

    @cached_property
    def key(self) -> str:
        """Equal when the same is read, whatever the object types."""
        parts = (self.mapping, self.names, sorted(self.record_types.items()), sorted(self.stages.items()))
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def stage_field(self, object_type: str) -> str:
        """The field that holds the stage of such records; empty when none does."""
        return self.stages.get(object_type, "")

    def mark(self, object_type: str) -> str:
        """The field that holds the id of our last write; empty where the org lacks it."""
        return WRITE_ID if object_type in self.marked else ""

    def columns(self, object_type: str) -> list[str]:
        """What to select of such a record for its facts, by SOQL's names."""
        own = [mapped.field for mapped in self.mapping.of(object_type).values()]
        if object_type == "opportunity":
            own += [f"Account.{mapped.field}" for mapped in self.mapping.of("account").values()]
        return list(dict.fromkeys([*own, *filter(None, [self.stage_field(object_type), self.mark(object_type)])]))

    def facts_of(self, object_type: str, row: Mapping[str, object]) -> dict[str, str]:
        """Every mapped fact of a row that was read; contacts are counted apart."""
        found = dict.fromkeys(self.names.names(object_type), UNKNOWN)
        parent = row.get("Account")
        for name, mapped in self.mapping.of(
            object_type, *(["account"] if object_type == "opportunity" else [])
        ).items():
            source = row if object_of(name) == object_type else parent
            if isinstance(source, Mapping):
                found[name] = self.value(mapped, source.get(mapped.field))
        return found

    def changes_of(self, object_type: str, changed: Mapping[str, object], *, created: bool) -> dict[str, str]:
        """Those of the record's own facts that a change gives anew."""
        found = dict.fromkeys(self.names.names(object_type), UNKNOWN) if created else {}
        for name, mapped in self.mapping.of(object_type).items():
            if created or mapped.field in changed:
                found[name] = self.value(mapped, changed.get(mapped.field))
        if created and object_type == "opportunity":
            found |= {f"{CONTACTS}.{name}": kept_value(0, NUMBER) for name in self.names.contact_roles}
        return found

    def value(self, mapped: MappedField, value: object) -> str:
        """The value of a field, record types by their names."""
        if mapped.field == RECORD_TYPE:
            return kept(self.record_types.get(str(value)), FactType.TEXT)
        return kept_value(value, mapped.type)

    def reads_accounts(self) -> bool:
        """Whether facts of opportunities come from their accounts."""
        return bool(self.mapping.of("account"))


@dataclass(frozen=True, slots=True)
class _Described:
    name: str
    label: str
    type: str


@dataclass(frozen=True, slots=True)
class _Object:
    fields: list[_Described]


@dataclass(frozen=True, slots=True)
class _RecordType:
    id: Annotated[str, Field(alias="Id")]
    name: Annotated[str, Field(alias="DeveloperName")]


@dataclass(frozen=True, slots=True)
class _RecordTypes:
    records: list[_RecordType]


_OBJECT = TypeAdapter(_Object)
_RECORD_TYPES = TypeAdapter(_RecordTypes)


async def fields_of(rest: Rest, object_type: str) -> list[CrmField]:
    """The fields of an object that the integration user may read; none of an object that it may not read."""
    try:
        described = await rest.get(f"{rest.base}/sobjects/{OBJECTS[object_type]}/describe", _OBJECT)
    except LastingRefusal as refusal:
        log.warning("the fields of %s cannot be read: %s", OBJECTS[object_type], refusal)
        return []
    return [CrmField(each.name, each.label, each.type, types_of(each.type)) for each in described.fields]


def types_of(crm_type: str) -> tuple[FactType, ...]:
    """The types that the fact of such a field may have."""
    return _TYPES.get(crm_type, (FactType.TEXT,) if crm_type in _TEXTS else ())


async def made(rest: Rest, names: FieldMapping, object_types: Sequence[str], objects: Objects) -> Plan:
    """The plan for a mapping in the org as it is now."""
    needed = [each for each in OBJECTS if each in object_types or names.of(each)]
    fields = {each: await fields_of(rest, each) for each in needed}
    names = _with_currencies(names, fields)
    followed = tuple(each for each in OBJECTS if each in object_types and fields.get(each))
    plan = Plan(available(names, not_there(names, fields)), names, followed)
    has = {each: {found.name for found in fields[each]} for each in followed}
    stages = {each: objects[each].stage for each in followed if objects[each].stage in has[each]}
    plan = replace(plan, stages=stages, marked=tuple(each for each in followed if WRITE_ID in has[each]))
    if any(mapped.field == RECORD_TYPE for mapped in plan.mapping.facts.values()):
        plan = replace(plan, record_types=await _record_types(rest))
    return plan


def _with_currencies(names: FieldMapping, fields: Mapping[str, Sequence[CrmField]]) -> FieldMapping:
    """The mapping, and the currency of each type where the org has one for each record: an amount means nothing without
    it, also where the mapping leaves it out."""
    many = [each for each, found in fields.items() if any(field.name == CURRENCY for field in found)]
    currencies = {f"{each}.{CURRENCY_FACT}": MappedField(CURRENCY, TEXT) for each in many}
    return FieldMapping({**currencies, **names.facts}, names.contact_roles)


async def _record_types(rest: Rest) -> dict[str, str]:
    query = {"q": "SELECT Id, DeveloperName FROM RecordType ORDER BY Id LIMIT 2000"}
    try:
        found = await rest.get(f"{rest.base}/query", _RECORD_TYPES, query)
    except ApiRefusal as refusal:
        log.warning("the record types cannot be read: %s", refusal)
        return {}
    return {each.id: each.name for each in found.records}
