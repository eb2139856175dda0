"""Salesforce's own shapes: bitmaps, change events, errors, graphs, tokens."""

import asyncio
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fastavro
import httpx
import pytest
from crm_connector.domain.intents import Verdict
from crm_connector.domain.observation import ChangeKind
from crm_connector.domain.writes import CrmWrite, StageWrite
from crm_connector.messages import question_texts, read_evidence
from crm_connector.salesforce import graph
from crm_connector.salesforce.auth import ClientCredentials, Sessions
from crm_connector.salesforce.changes import EventSchema, changes_of
from crm_connector.salesforce.errors import (
    ApiRefusal,
    AuthRefused,
    LimitExceeded,
    NotReached,
    OutcomeUnknown,
    Remedy,
    error_items,
    remedy,
    reply_of,
)
from crm_connector.salesforce.rest import Rest
from hypothesis import given
from hypothesis import strategies as st
from kit.errors import InvalidEvent
from prometheus_client import REGISTRY

BASE = "/services/data/v67.0"


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


HEADER = {"type": "record", "name": "Header", "fields": [
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
FIELDS = ["StageName", "Amount", "CloseDate", "OwnerId", "Probability", "Stagecraft_Write_Id__c", "NextStep"]
KINDS = {"Amount": "double", "CloseDate": "long", "Probability": "double"}
DOCUMENT = {"type": "record", "name": "OpportunityChangeEvent", "fields": [
    {"name": "ChangeEventHeader", "type": HEADER},
    *({"name": n, "type": ["null", KINDS.get(n, "string")], "default": None} for n in FIELDS),
]}  # fmt: skip


def event(
    kind: str, changed: list[str], *, ids: tuple[str, ...] = ("006A",), nulled: tuple[str, ...] = (), **body: Any
) -> Any:
    def bitmap(names: Any) -> list[str]:
        return [f"0x{sum(1 << FIELDS.index(name) + 1 for name in names):04X}"] if names else []

    header = {
        "recordIds": list(ids), "changeType": kind, "transactionKey": "tx", "sequenceNumber": 3,
        "commitTimestamp": 1714170102000, "commitUser": "005A", "nulledFields": bitmap(nulled),
        "changedFields": bitmap(changed),
    }  # fmt: skip
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(DOCUMENT), {"ChangeEventHeader": header, **body})
    return changes_of(EventSchema(json.dumps(DOCUMENT)), out.getvalue())


class TestChangeEvent:
    def test_only_what_the_bitmap_names_has_changed(self) -> None:
        (found,) = event("UPDATE", ["StageName", "Probability"], StageName="Demo", Probability=50.0)
        assert found.fields == {"StageName": "Demo"}
        assert found.facts == {"stage": "Demo"}
        assert found.change_id == "tx:3:006A"
        assert found.committed_at == datetime(2024, 4, 26, 22, 21, 42, tzinfo=UTC)

    def test_values_get_our_types(self) -> None:
        (found,) = event("UPDATE", ["Amount", "CloseDate"], Amount=1234.1, CloseDate=1653955200000)
        assert found.facts == {"amount": Decimal("1234.1"), "close_date": date(2022, 5, 31)}

    def test_a_nulled_field_is_null(self) -> None:
        (found,) = event("UPDATE", [], nulled=("Amount",))
        assert found.facts == {"amount": None}

    def test_our_own_fields_are_nobodys_change(self) -> None:
        (found,) = event("UPDATE", ["Stagecraft_Write_Id__c"], Stagecraft_Write_Id__c="w1")
        assert (found.write_id, found.fields) == ("w1", {})

    def test_merged_changes_of_many_records(self) -> None:
        found = event("UPDATE", ["NextStep"], ids=("006A", "006B"), NextStep="x")
        assert [c.change_id for c in found] == ["tx:3:006A", "tx:3:006B"]

    def test_a_creation_tells_everything_without_a_bitmap(self) -> None:
        (found,) = event("CREATE", [], StageName="Demo", OwnerId="005B")
        assert found.kind is ChangeKind.CREATED
        assert found.facts == {"stage": "Demo", "amount": None, "close_date": None, "owner_id": "005B"}

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


def write(make: Any, write_id: str = "w1", **submission: Any) -> CrmWrite:
    evidence = read_evidence(make.scored("006A", "s1", **submission))
    texts = question_texts(make.assessment())
    return CrmWrite(write_id, "006A", StageWrite("Discovery", "Prospecting"), evidence, texts)


class TestGraph:
    def test_one_graph_holds_opportunity_assessment_and_answers(self, make: Any) -> None:
        (found,) = graph.payload([write(make)], BASE)["graphs"]
        nodes = found["compositeRequest"]
        assert [node["url"].removeprefix(BASE + "/sobjects/") for node in nodes] == [
            "Opportunity/006A",
            "Stagecraft_Assessment__c/External_Id__c/s1",
            *(
                f"Stagecraft_Answer__c/External_Id__c/s1%3A{key}"
                for key in ("hours", "tools", "budget", "note", "signed")
            ),
        ]
        assert nodes[0]["body"] == {
            "StageName": "Discovery",
            "Stagecraft_Expected_Stage__c": "Prospecting",
            "Stagecraft_Write_Id__c": "w1",
            "Stagecraft_Score__c": 70,
            "Stagecraft_Last_Assessed__c": "2026-11-22T09:30:00.000+0000",
        }
        assert len({node["referenceId"] for node in nodes}) == len(nodes)
        assert nodes[2]["body"]["Assessment__r"] == {"External_Id__c": "s1"}

    def test_answers_alone_disarm_the_stage_rule(self, make: Any) -> None:
        found = write(make)
        fields = graph.opportunity_fields(CrmWrite("w", "006A", None, found.evidence, {}))
        assert fields["Stagecraft_Expected_Stage__c"] is None
        assert "StageName" not in fields

    def test_what_people_type_refers_to_nothing(self, make: Any) -> None:
        text = json.dumps(graph.payload([write(make, note="@{opp.id}")], BASE))
        assert "@{" not in text

    def test_a_graph_has_at_most_five_hundred_nodes(self, make: Any) -> None:
        scored = make.scored("006A", "s1")
        part = scored.contributions[0]
        for number in range(600):
            copy = scored.contributions.add()
            copy.CopyFrom(part)
            copy.question_key = copy.answer.question_key = f"q{number}"
        found = CrmWrite("w", "006A", None, read_evidence(scored), {})
        assert graph.node_count(found) == 500
        assert len(graph.payload([found], BASE)["graphs"][0]["compositeRequest"]) == 500

    @given(st.lists(st.booleans(), max_size=200))
    def test_portions_keep_order_and_limits(self, with_evidence: list[bool]) -> None:
        evidence = SimpleNamespace(answers=(1,) * 30)
        writes: Any = [
            CrmWrite(str(n), "006A", None, evidence if has else None, {})  # pyright: ignore[reportArgumentType]
            for n, has in enumerate(with_evidence)
        ]
        portions = list(graph.calls(writes))
        assert [w for portion in portions for w in portion] == writes
        for portion in portions:
            assert 0 < len(portion) <= graph.MAX_GRAPHS
            assert sum(map(graph.node_count, portion)) <= graph.NODES_PER_CALL

    def test_each_graph_gets_its_own_result(self, make: Any) -> None:
        writes = [write(make, f"w{n}") for n in range(5)]

        def failed(number: int, *codes: str) -> dict[str, Any]:
            nodes = [{"body": [{"errorCode": code, "message": f"m {code}"}], "httpStatusCode": 400} for code in codes]
            return {"graphId": f"g{number}", "isSuccessful": False, "graphResponse": {"compositeResponse": nodes}}

        body = {"graphs": [
            {"graphId": "g0", "isSuccessful": True},
            failed(1, "PROCESSING_HALTED", "STRING_TOO_LONG", "PROCESSING_HALTED"),
            failed(2, "PROCESSING_HALTED"),
            failed(3, "UNABLE_TO_LOCK_ROW"),
        ]}  # fmt: skip
        results = graph.replies(writes, body)
        assert [r.write_id for r in results] == ["w0", "w1", "w2", "w3", "w4"]
        assert [r.verdict for r in results] == [
            Verdict.CONFIRMED, Verdict.REFUSED, Verdict.AGAIN, Verdict.AGAIN, Verdict.UNKNOWN,
        ]  # fmt: skip
        assert results[1].code == "STRING_TOO_LONG"


class Org:
    """An org behind a transport: counts what it is asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self.minted = 0
        self.calls: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/oauth2/token"):
            self.minted += 1
            body = {"access_token": f"t{self.minted}", "instance_url": "http://org", "id": "http://org/id/00D/005"}
            return httpx.Response(200, json=body)
        self.calls.append(request.headers["authorization"])
        return self.answer(request)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    return path


def _sessions(
    transport: Any, secret: Path, clock: Callable[[], float] = lambda: 0.0
) -> tuple[httpx.AsyncClient, Sessions]:
    http = httpx.AsyncClient(transport=httpx.MockTransport(transport))
    return http, Sessions(http, "http://org", ClientCredentials("key", secret), clock)


class TestSessions:
    async def test_many_callers_make_one_request(self, secret: Path) -> None:
        org = Org(lambda _: httpx.Response(200))
        http, sessions = _sessions(org, secret)
        async with http:
            found = await asyncio.gather(*(sessions.current() for _ in range(20)))
            assert {s.token for s in found} == {"t1"}
            replaced = await asyncio.gather(*(sessions.replace(found[0]) for _ in range(20)))
            assert {s.token for s in replaced} == {"t2"}
            assert org.minted == 2

    async def test_a_session_is_replaced_at_four_fifths_of_its_life(self, secret: Path) -> None:
        now = [0.0]
        org = Org(lambda _: httpx.Response(200))
        http, sessions = _sessions(org, secret, lambda: now[0])
        async with http:
            for now[0], token in ((0.0, "t1"), (5760.0, "t1"), (5761.0, "t2")):
                assert (await sessions.current()).token == token

    async def test_refused_credentials_are_offered_again_only_when_changed(self, secret: Path) -> None:
        asked = 0

        def refuse(_: httpx.Request) -> httpx.Response:
            nonlocal asked
            asked += 1
            return httpx.Response(400, json={"error": "invalid_client", "error_description": "no"})

        http, sessions = _sessions(refuse, secret)
        async with http:
            for _ in range(3):
                with pytest.raises(AuthRefused, match="invalid_client: no"):
                    await sessions.current()
            assert asked == 1
            await asyncio.to_thread(secret.write_text, "another")
            with pytest.raises(AuthRefused):
                await sessions.current()
            assert asked == 2


class TestRest:
    async def _get(self, answer: Callable[[httpx.Request], httpx.Response], secret: Path) -> tuple[Any, Org]:
        org = Org(answer)
        http, sessions = _sessions(org, secret)
        async with http:
            try:
                return await Rest(http, sessions, "67.0").get("/x"), org
            except Exception as error:
                return error, org

    async def test_a_rejected_token_is_replaced_once(self, secret: Path) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.headers["authorization"] == "Bearer t1":
                return httpx.Response(401, json=[{"errorCode": "INVALID_SESSION_ID", "message": "expired"}])
            return httpx.Response(200, json={"amount": 1.10})

        found, org = await self._get(answer, secret)
        assert found == {"amount": Decimal("1.1")}
        assert org.calls == ["Bearer t1", "Bearer t2"]

    async def test_a_second_rejection_is_not_answered_with_a_third_call(self, secret: Path) -> None:
        expired = httpx.Response(401, json=[{"errorCode": "INVALID_SESSION_ID", "message": "expired"}])
        found, org = await self._get(lambda _: expired, secret)
        assert isinstance(found, NotReached)
        assert len(org.calls) == 2

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            (httpx.Response(503, text="<html>down</html>"), OutcomeUnknown),
            (httpx.Response(200, text="<html>"), OutcomeUnknown),
            (httpx.Response(403, json=[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": ""}]), LimitExceeded),
            (httpx.Response(400, json=[{"errorCode": "INVALID_FIELD", "message": ""}]), ApiRefusal),
        ],
        ids=["html", "no json", "limit", "refusal"],
    )
    async def test_every_bad_answer_has_its_class(
        self, reply: httpx.Response, expected: type[Exception], secret: Path
    ) -> None:
        found, _ = await self._get(lambda _: reply, secret)
        assert type(found) is expected

    @pytest.mark.parametrize(
        ("error", "expected"),
        [(httpx.ConnectError, NotReached), (httpx.ReadTimeout, OutcomeUnknown), (httpx.ReadError, OutcomeUnknown)],
    )
    async def test_whether_the_request_left_makes_the_difference(
        self, error: type[Exception], expected: type[Exception], secret: Path
    ) -> None:
        def answer(_: httpx.Request) -> httpx.Response:
            raise error("broken")

        found, _ = await self._get(answer, secret)
        assert type(found) is expected

    async def test_the_usage_is_read_from_every_reply(self, secret: Path) -> None:
        org = Org(lambda _: httpx.Response(200, json={}, headers={"Sforce-Limit-Info": "api-usage=18/5000"}))
        http, sessions = _sessions(org, secret)
        async with http:
            rest = Rest(http, sessions, "67.0")
            await rest.get("/x")
        assert REGISTRY.get_sample_value("crm_api_calls_used") == 18
        assert REGISTRY.get_sample_value("crm_api_calls_allowed") == 5000


@pytest.mark.parametrize("score", ["seventy", "NaN", "Infinity", "1e"])
def test_numbers_that_are_none_are_refused(make: Any, score: str) -> None:
    with pytest.raises(InvalidEvent, match="bad_decimal: score"):
        read_evidence(make.scored("006A", score=score))


def test_a_limit_leaves_the_org_alone_for_a_while() -> None:
    result = reply_of("w", ApiRefusal(403, "REQUEST_LIMIT_EXCEEDED", ""))
    assert result.not_before == timedelta(seconds=30)
