"""Change events of the org: bitmaps, values, kinds, and what is damaged."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest
from crm_connector.crm import Related
from crm_connector.domain.fields import UNKNOWN
from crm_connector.domain.observation import ChangeKind
from crm_connector.salesforce.changes import EventSchema, Seen, Unreadable, changes_of
from crm_connector.salesforce.plan import DEFAULT, Plan
from hypothesis import given
from hypothesis import strategies as st


def _account_schema() -> EventSchema:
    """Positions as in the guide's Account: 4 BillingAddress, 11 Industry, 22 LastModifiedDate."""
    address = {"type": "record", "name": "Address", "fields": [
        {"name": name, "type": ["null", "string"]} for name in ("Street", "City", "State")
    ]}  # fmt: skip
    names = {4: "BillingAddress", 11: "Industry", 22: "LastModifiedDate"}
    fields = [{"name": "ChangeEventHeader", "type": "string"}]
    for bit in range(1, 28):
        kind: Any = ["null", address] if bit == 4 else ["null", "string"]
        fields.append({"name": names.get(bit, f"F{bit}"), "type": kind})
    return EventSchema(json.dumps({"type": "record", "name": "AccountChangeEvent", "fields": fields}))


class TestBitmap:
    @pytest.mark.parametrize(
        ("bitmaps", "names"),
        [
            (["0x400800"], ["Industry", "LastModifiedDate"]),
            (["0x400000", "4-0x01"], ["LastModifiedDate", "BillingAddress.Street"]),
            (
                ["0x650004E0", "4-0x06"],
                ["F5", "F6", "F7", "F10", "F24", "F26", "BillingAddress.City", "BillingAddress.State"],
            ),
            (["0x0a"], ["F1", "F3"]),
            ([], []),
        ],
    )
    def test_golden_vectors(self, bitmaps: list[str], names: list[str]) -> None:
        given_list = list(bitmaps)
        assert _account_schema().names(given_list) == names
        assert given_list == bitmaps

    @given(st.sets(st.integers(1, 27)))
    def test_every_set_of_fields_survives(self, bits: set[int]) -> None:
        schema = _account_schema()
        text = f"0x{sum(1 << bit for bit in bits):08X}"
        every = schema.names(["0xFFFFFFE"])
        assert schema.names([text]) == [every[bit - 1] for bit in sorted(bits)]


HEADER: dict[str, Any] = {"type": "record", "name": "Header", "fields": [
    {"name": "entityName", "type": "string"},
    {"name": "recordIds", "type": {"type": "array", "items": "string"}},
    {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": [
        "CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_UPDATE", "GAP_OVERFLOW"]}},
    {"name": "transactionKey", "type": "string"},
    {"name": "sequenceNumber", "type": "int"},
    {"name": "commitTimestamp", "type": "long"},
    {"name": "commitUser", "type": "string"},
    {"name": "nulledFields", "type": {"type": "array", "items": "string"}},
    {"name": "changedFields", "type": {"type": "array", "items": "string"}},
]}  # fmt: skip
PLAN = Plan(DEFAULT, DEFAULT)
FIELDS = [
    "AccountId",
    "StageName",
    "Amount",
    "CloseDate",
    "OwnerId",
    "Probability",
    "Stagecraft_Write_Id__c",
    "NextStep",
]
KINDS = {"Amount": "double", "CloseDate": "long", "Probability": "double"}
DOCUMENT = {"type": "record", "name": "OpportunityChangeEvent", "fields": [
    {"name": "ChangeEventHeader", "type": HEADER},
    *({"name": n, "type": ["null", KINDS.get(n, "string")], "default": None} for n in FIELDS),
]}  # fmt: skip


def seen(
    kind: str, changed: list[str], *, ids: tuple[str, ...] = ("006A",), nulled: tuple[str, ...] = (),
    entity: str = "Opportunity", **body: Any,
) -> Seen:  # fmt: skip
    def bitmap(names: Any) -> list[str]:
        return [f"0x{sum(1 << FIELDS.index(name) + 1 for name in names):04X}"] if names else []

    header = {
        "entityName": entity, "recordIds": list(ids),
        "changeType": kind, "transactionKey": "tx", "sequenceNumber": 3,
        "commitTimestamp": 1714170102000, "commitUser": "005A", "nulledFields": bitmap(nulled),
        "changedFields": bitmap(changed),
    }  # fmt: skip
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(DOCUMENT), {"ChangeEventHeader": header, **body})
    return changes_of(EventSchema(json.dumps(DOCUMENT)), out.getvalue(), PLAN)


def event(*given: Any, **body: Any) -> Any:
    return seen(*given, **body).changes


class TestChangeEvent:
    def test_only_what_the_bitmap_names_has_changed(self) -> None:
        (found,) = event("UPDATE", ["StageName", "Probability"], StageName="Demo", Probability=50.0)
        assert found.fields == {"StageName": "Demo"}
        assert found.facts == {"stage": "Demo"}
        assert found.change_id == "tx:3:006A"
        assert found.committed_at == datetime(2024, 4, 26, 22, 21, 42, tzinfo=UTC)

    def test_values_get_our_types(self) -> None:
        (found,) = event("UPDATE", ["Amount", "CloseDate"], Amount=1234.1, CloseDate=1653955200000)
        assert found.mapped == {"opportunity.amount": "money:1234.1", "opportunity.close_date": "date:2022-05-31"}

    def test_a_nulled_field_is_null(self) -> None:
        (found,) = event("UPDATE", [], nulled=("Amount",))
        assert (found.facts, found.mapped) == ({}, {"opportunity.amount": UNKNOWN})

    def test_our_own_fields_are_no_change(self) -> None:
        (found,) = event("UPDATE", ["Stagecraft_Write_Id__c"], Stagecraft_Write_Id__c="w1")
        assert (found.write_id, found.fields) == ("w1", {})

    def test_merged_changes_of_many_records(self) -> None:
        found = event("UPDATE", ["NextStep"], ids=("006A", "006B"), NextStep="x")
        assert [c.change_id for c in found] == ["tx:3:006A", "tx:3:006B"]

    def test_a_creation_tells_everything_without_a_bitmap(self) -> None:
        (found,) = event("CREATE", [], StageName="Demo", OwnerId="005B")
        assert found.kind is ChangeKind.CREATED
        assert found.facts == {"stage": "Demo", "owner_id": "005B"}
        assert found.mapped.keys() == set(DEFAULT.names("opportunity"))
        assert {value for name, value in found.mapped.items() if not name.startswith("contacts.")} == {UNKNOWN}
        assert not found.incomplete

    def test_another_account_decides_further_facts(self) -> None:
        (found,) = event("UPDATE", ["AccountId"], AccountId="001A")
        assert found.incomplete
        (created,) = event("CREATE", [], StageName="Demo", AccountId="001A")
        assert created.incomplete

    def test_what_is_not_followed_is_passed_over(self) -> None:
        for entity in ("Lead", "User"):
            assert seen("UPDATE", ["StageName"], entity=entity, StageName="x") == Seen((), ())

    def test_an_activity_is_named_to_be_read(self) -> None:
        assert seen("DELETE", [], entity="Task", ids=("00TA",)) == Seen((), [Related("Task", "00TA")])

    def test_an_account_is_a_change_of_its_opportunities_where_it_has_facts(self) -> None:
        assert seen("UPDATE", ["NextStep"], entity="Account", ids=("001A",), NextStep="x").related == ()
        assert seen("DELETE", [], entity="Account", ids=("001A",)).related == [Related("Account", "001A")]

    def test_a_contact_role_is_a_change_of_its_opportunity(self) -> None:
        found = seen("UPDATE", [], entity="OpportunityContactRole", ids=("00KA",))
        assert (found.changes, found.related) == ((), [Related("OpportunityContactRole", "00KA")])

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("DELETE", ChangeKind.DELETED),
            ("UNDELETE", ChangeKind.UNDELETED),
            ("GAP_UPDATE", ChangeKind.GAP),
            ("GAP_OVERFLOW", ChangeKind.OVERFLOW),
        ],
    )
    def test_kinds_without_details(self, kind: str, expected: ChangeKind) -> None:
        (found,) = event(kind, [])
        assert (found.kind, found.fields) == (expected, {})

    def test_a_wildcard_means_every_record(self) -> None:
        (found,) = event("GAP_UPDATE", [], ids=("006*",))
        assert found.kind is ChangeKind.OVERFLOW


HEADER_VALUES = {
    "entityName": "Opportunity", "recordIds": ["006A"],
    "changeType": "UPDATE", "transactionKey": "tx", "sequenceNumber": 3,
    "commitTimestamp": 1714170102000, "commitUser": "005A", "nulledFields": [], "changedFields": ["0x02"],
}  # fmt: skip


def written_as(document: dict[str, Any], value: dict[str, Any]) -> tuple[EventSchema, bytes]:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(document), value)
    return EventSchema(json.dumps(document)), out.getvalue()


def event_document(header: list[dict[str, Any]], fields: list[dict[str, Any]]) -> dict[str, Any]:
    record = {"type": "record", "name": "Header", "fields": header}
    fields = [{"name": "ChangeEventHeader", "type": record}, *fields]
    return {"type": "record", "name": "OpportunityChangeEvent", "fields": fields}


class TestDamage:
    """What cannot be read is set aside, and its records are read as far as it names them."""

    @pytest.mark.parametrize(
        "document",
        [
            "<html>", "null", "[]", "{}", '"string"', '{"type": "record"', '{"type": "record", "name": "E"}',
            '{"type": "record", "name": "E", "fields": null}', '{"type": "record", "name": "E", "fields": [null]}',
            '{"type": "record", "name": "E", "fields": [{"name": "F"}]}',
            '{"type": "record", "name": "E", "fields": [{"name": 5, "type": "string"}]}',
            '{"type": "record", "name": "E", "fields": [{"name": "F", "type": "nothing"}]}',
        ],
    )  # fmt: skip
    def test_a_schema(self, document: str) -> None:
        with pytest.raises(Unreadable, match="the schema of the change events cannot be read"):
            EventSchema(document)

    @pytest.mark.parametrize("length", range(0, 40, 3))
    def test_a_payload_cut_short(self, length: int) -> None:
        header = {**HEADER_VALUES, "changeType": "CREATE"}
        schema, payload = written_as(DOCUMENT, {"ChangeEventHeader": header, "StageName": "Demo"})
        with pytest.raises(Unreadable, match="a change event cannot be read"):
            changes_of(schema, payload[:length], PLAN)

    @pytest.mark.parametrize("payload", [b"<html>down</html>", b"null", b"[]", b"{}", b"\xff" * 40])
    def test_a_payload_that_is_none(self, payload: bytes) -> None:
        with pytest.raises(Unreadable, match="a change event cannot be read"):
            changes_of(EventSchema(json.dumps(DOCUMENT)), payload, PLAN)

    def test_a_header_without_a_field(self) -> None:
        header = [field for field in HEADER["fields"] if field["name"] != "changeType"]
        schema, payload = written_as(event_document(header, []), {"ChangeEventHeader": {**HEADER_VALUES}})
        with pytest.raises(Unreadable, match="changeType"):
            changes_of(schema, payload, PLAN)

    @pytest.mark.parametrize("name", HEADER_VALUES)
    def test_a_header_with_a_wrong_field(self, name: str) -> None:
        header = [field for field in HEADER["fields"] if field["name"] != name]
        header.append({"name": name, "type": {"type": "map", "values": "string"}})
        document = event_document(header, [])
        schema, payload = written_as(document, {"ChangeEventHeader": {**HEADER_VALUES, name: {"a": "b"}}})
        with pytest.raises(Unreadable, match=name):
            changes_of(schema, payload, PLAN)

    @pytest.mark.parametrize("bitmap", ["", "zz", "-", "99-0x01", "x-0x01", "0-"])
    def test_a_bitmap(self, bitmap: str) -> None:
        header = {**HEADER_VALUES, "changedFields": [bitmap]}
        schema, payload = written_as(DOCUMENT, {"ChangeEventHeader": header})
        with pytest.raises(Unreadable, match="a change event cannot be read"):
            changes_of(schema, payload, PLAN)

    @pytest.mark.parametrize("name", ["StageName", "OwnerId"])
    def test_what_every_record_has_of_a_wrong_type(self, name: str) -> None:
        field = {"name": name, "type": {"type": "map", "values": "string"}}
        schema, payload = written_as(
            event_document(HEADER["fields"], [field]), {"ChangeEventHeader": HEADER_VALUES, name: {"a": "b"}}
        )
        with pytest.raises(Unreadable, match="a change event cannot be read"):
            changes_of(schema, payload, PLAN)

    @pytest.mark.parametrize("name", ["Amount", "CloseDate"])
    def test_a_mapped_fact_of_a_wrong_type_is_unknown_and_the_rest_counts(self, name: str) -> None:
        field = {"name": name, "type": {"type": "map", "values": "string"}}
        schema, payload = written_as(
            event_document(HEADER["fields"], [field]), {"ChangeEventHeader": HEADER_VALUES, name: {"a": "b"}}
        )
        (found,) = changes_of(schema, payload, PLAN).changes
        assert list(found.mapped.values()) == [UNKNOWN]

    @pytest.mark.parametrize("bitmap", ["zz", "99-0x01"])
    def test_what_is_behind_a_good_header_is_a_gap_of_its_records(self, bitmap: str) -> None:
        header = {**HEADER_VALUES, "recordIds": ["006A", "006B"], "changedFields": [bitmap]}
        schema, payload = written_as(DOCUMENT, {"ChangeEventHeader": header})
        for damaged in (payload, payload[:-3]):
            with pytest.raises(Unreadable) as raised:
                changes_of(schema, damaged, PLAN)
            gaps = [(gap.kind, gap.record_id, gap.change_id) for gap in raised.value.gaps]
            assert gaps == [(ChangeKind.GAP, "006A", "tx:3:006A"), (ChangeKind.GAP, "006B", "tx:3:006B")]

    @pytest.mark.parametrize("record_id", ["", "006 A", "006\x00", "x" * 19, "006-1"])
    def test_a_record_that_is_none_is_not_looked_for(self, record_id: str) -> None:
        schema, payload = written_as(DOCUMENT, {"ChangeEventHeader": {**HEADER_VALUES, "recordIds": [record_id]}})
        with pytest.raises(Unreadable) as raised:
            changes_of(schema, payload, PLAN)
        assert raised.value.gaps == []

    def test_what_no_database_holds_is_replaced(self) -> None:
        (found,) = event("UPDATE", ["StageName", "Amount"], StageName="De\x00mo", Amount=float("nan"))
        assert (found.facts, found.mapped) == ({"stage": "De\ufffdmo"}, {"opportunity.amount": UNKNOWN})

    @given(st.binary(max_size=200))
    def test_any_bytes_are_changes_or_unreadable(self, payload: bytes) -> None:
        try:
            changes_of(DOCUMENTED, payload, PLAN)
        except Unreadable as damaged:
            assert str(damaged)


DOCUMENTED = EventSchema(json.dumps(DOCUMENT))
