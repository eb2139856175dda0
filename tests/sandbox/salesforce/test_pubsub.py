"""Change events and their delivery: content, replay, flow control, keepalives, refusals."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import fastavro
import grpc
import httpx
import pytest
from pubsub_api import pubsub_api_pb2 as pb
from pubsub_api import pubsub_api_pb2_grpc as stubs
from sandbox.salesforce.testing import RunningOrg, running_org

New = Callable[..., Coroutine[Any, Any, str]]
Key = Callable[[], str]

TOPIC = "/data/OpportunityChangeEvent"
CODE = "sfdc.platform.eventbus.grpc."
WAIT_SECONDS = 60


@dataclass
class Subscriber:
    """A client of one org's Pub/Sub API."""

    stub: Any
    metadata: tuple[tuple[str, str], ...]
    schemas: dict[str, Any] = field(default_factory=dict)

    async def decode(self, event: pb.ConsumerEvent) -> dict[str, Any]:
        schema_id = event.event.schema_id
        if schema_id not in self.schemas:
            info = await self.stub.GetSchema(pb.SchemaRequest(schema_id=schema_id), metadata=self.metadata)
            self.schemas[schema_id] = fastavro.parse_schema(json.loads(info.schema_json))
        decoded = fastavro.schemaless_reader(io.BytesIO(event.event.payload), self.schemas[schema_id], None)
        assert isinstance(decoded, dict)
        return decoded

    def changed(self, event: dict[str, Any]) -> set[str]:
        """Resolves the bitmap of an event through the schema it came with."""
        (form,) = self.schemas.values()
        value = sum(int(text, 16) for text in event["ChangeEventHeader"]["changedFields"])
        return {f["name"] for bit, f in enumerate(form["fields"]) if value >> bit & 1}


async def _subscriber(org: RunningOrg) -> AsyncIterator[Subscriber]:
    metadata = (
        ("accesstoken", org.token()),
        ("instanceurl", org.url),
        ("tenantid", org.client["org_id"]),
    )
    async with grpc.aio.insecure_channel(org.pubsub_target) as channel:
        yield Subscriber(stubs.PubSubStub(channel), metadata)


@pytest.fixture
async def pubsub(org: RunningOrg) -> AsyncIterator[Subscriber]:
    async for subscriber in _subscriber(org):
        yield subscriber


@pytest.fixture
async def own_pubsub(own_org: RunningOrg) -> AsyncIterator[Subscriber]:
    async for subscriber in _subscriber(own_org):
        yield subscriber


async def begin(subscriber: Subscriber, number: int = 100, **first: Any) -> Any:
    call = subscriber.stub.Subscribe(metadata=subscriber.metadata)
    request: dict[str, Any] = {"topic_name": TOPIC, "num_requested": number, "replay_preset": pb.LATEST}
    await call.write(pb.FetchRequest(**(request | first)))
    return call


async def begin_live(subscriber: Subscriber, number: int = 100) -> Any:
    """Subscribes to what is new and waits for a keepalive, so that nothing later is missed."""
    call = await begin(subscriber, number)
    reply = await call.read()
    assert not reply.events
    return call


async def take(call: Any, number: int) -> list[pb.ConsumerEvent]:
    """Reads until `number` events came; keepalives are passed over."""
    events: list[pb.ConsumerEvent] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while len(events) < number:
            events.extend((await call.read()).events)
    return events


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(WAIT_SECONDS):
            while isinstance(await call.read(), pb.FetchResponse):
                pass
            raise AssertionError(f"the stream ended well: {await call.code()}")
    trailers = dict(caught.value.trailing_metadata() or ())
    assert "error-code" in trailers, caught.value.details()
    return caught.value.code(), str(trailers["error-code"])


class TestTopicsAndSchemas:
    async def test_a_topic_names_the_schema_its_events_carry(self, pubsub: Subscriber) -> None:
        topic = await pubsub.stub.GetTopic(pb.TopicRequest(topic_name=TOPIC), metadata=pubsub.metadata)
        assert topic.can_subscribe
        assert not topic.can_publish
        info = await pubsub.stub.GetSchema(pb.SchemaRequest(schema_id=topic.schema_id), metadata=pubsub.metadata)
        document = json.loads(info.schema_json)
        assert document["name"] == "OpportunityChangeEvent"
        names = [f["name"] for f in document["fields"]]
        assert names[0] == "ChangeEventHeader"
        assert {"StageName", "Stagecraft_Write_Id__c", "LastModifiedDate"} <= set(names)
        assert not {"IsDeleted", "SystemModstamp", "Id"} & set(names)

    async def test_unknown_ones_are_not_found(self, pubsub: Subscriber) -> None:
        for call in (
            pubsub.stub.GetTopic(pb.TopicRequest(topic_name="/data/x"), metadata=pubsub.metadata),
            pubsub.stub.GetSchema(pb.SchemaRequest(schema_id="x"), metadata=pubsub.metadata),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    @pytest.mark.parametrize("missing", ["accesstoken", "instanceurl", "tenantid"])
    async def test_every_header_is_needed(self, pubsub: Subscriber, missing: str) -> None:
        metadata = tuple(pair for pair in pubsub.metadata if pair[0] != missing)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pubsub.stub.GetTopic(pb.TopicRequest(topic_name=TOPIC), metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert dict(caught.value.trailing_metadata() or ())["error-code"] == f"{CODE}service.auth.error"


class TestEvents:
    async def test_an_update_carries_only_what_changed(
        self, api: httpx.AsyncClient, pubsub: Subscriber, new_opportunity: New, unique: Key
    ) -> None:
        record_id = await new_opportunity(Amount=1000)
        call = await begin_live(pubsub)
        body = {"StageName": "Demo", "Stagecraft_Write_Id__c": unique(), "CloseDate": "2022-05-31"}
        headers = {"Sforce-Call-Options": "client=stagecraft-connector, defaultNamespace=x"}
        await api.patch(f"/sobjects/Opportunity/{record_id}", json=body, headers=headers)
        event = await pubsub.decode((await take(call, 1))[0])
        header = event["ChangeEventHeader"]
        assert header["entityName"] == "Opportunity"
        assert header["recordIds"] == [record_id]
        assert header["changeType"] == "UPDATE"
        assert header["changeOrigin"] == "com/salesforce/api/rest/67.0;client=stagecraft-connector"
        assert header["sequenceNumber"] == 1
        assert header["commitNumber"] > 2**53
        assert header["commitUser"].startswith("005")
        assert pubsub.changed(event) == {
            "StageName", "Stagecraft_Write_Id__c", "CloseDate", "Probability", "ExpectedRevenue",
            "ForecastCategory", "ForecastCategoryName", "LastStageChangeDate", "LastModifiedDate",
        }  # fmt: skip
        assert event["CloseDate"] == 1653955200000
        assert (event["StageName"], event["Probability"], event["ForecastCategory"]) == (
            "Demo",
            50.0,
            "BestCase",
        )
        assert event["Name"] is None
        assert event["Amount"] is None
        call.cancel()

    async def test_create_null_and_delete(
        self, api: httpx.AsyncClient, pubsub: Subscriber, new_opportunity: New
    ) -> None:
        call = await begin_live(pubsub)
        record_id = await new_opportunity(NextStep="call")
        await api.patch(f"/sobjects/Opportunity/{record_id}", json={"NextStep": None})
        await api.delete(f"/sobjects/Opportunity/{record_id}")
        made, nulled, gone = [await pubsub.decode(e) for e in await take(call, 3)]
        assert made["ChangeEventHeader"]["changeType"] == "CREATE"
        assert made["ChangeEventHeader"]["changeOrigin"] == "com/salesforce/api/rest/67.0"
        assert (made["NextStep"], made["ChangeEventHeader"]["changedFields"]) == ("call", [])
        assert nulled["NextStep"] is None
        assert "NextStep" in pubsub.changed(nulled)
        assert len(nulled["ChangeEventHeader"]["nulledFields"]) == 1
        assert gone["ChangeEventHeader"]["changeType"] == "DELETE"
        assert all(value is None for name, value in gone.items() if name != "ChangeEventHeader")
        call.cancel()

    async def test_a_transaction_gives_one_event_per_record_with_its_final_state(
        self, api: httpx.AsyncClient, pubsub: Subscriber, new_opportunity: New
    ) -> None:
        one, other = await new_opportunity(), await new_opportunity()
        call = await begin_live(pubsub)
        nodes = [
            {
                "method": "PATCH",
                "url": f"/services/data/v67.0/sobjects/Opportunity/{record_id}",
                "referenceId": f"n{at}",
                "body": {"StageName": stage},
            }
            for at, (record_id, stage) in enumerate([(one, "Demo"), (other, "Demo"), (one, "Negotiation")])
        ]
        graph = {"graphs": [{"graphId": "g", "compositeRequest": nodes}]}
        assert (await api.post("/composite/graph", json=graph)).json()["graphs"][0]["isSuccessful"]
        events = [await pubsub.decode(e) for e in await take(call, 2)]
        headers = [e["ChangeEventHeader"] for e in events]
        assert [h["recordIds"] for h in headers] == [[one], [other]]
        assert [h["sequenceNumber"] for h in headers] == [1, 2]
        assert len({(h["transactionKey"], h["commitNumber"]) for h in headers}) == 1
        assert [e["StageName"] for e in events] == ["Negotiation", "Demo"]
        call.cancel()

    async def test_a_refused_write_and_a_child_write_give_no_event(
        self, api: httpx.AsyncClient, pubsub: Subscriber, new_opportunity: New, unique: Key
    ) -> None:
        record_id = await new_opportunity()
        call = await begin_live(pubsub)
        await api.patch(f"/sobjects/Opportunity/{record_id}", json={"Nonsense": 1})
        path = f"/sobjects/Stagecraft_Assessment__c/External_Id__c/{unique()}"
        await api.patch(path, json={"Opportunity__c": record_id})
        await api.patch(f"/sobjects/Opportunity/{record_id}", json={"NextStep": "last"})
        (event,) = await take(call, 1)
        assert (await pubsub.decode(event))["NextStep"] == "last"
        call.cancel()

    async def test_a_person_has_no_client(self, org: RunningOrg, pubsub: Subscriber, new_opportunity: New) -> None:
        record_id = await new_opportunity()
        call = await begin_live(pubsub)
        org.sim("edit", {"id": record_id, "fields": {"StageName": "Demo"}})
        event = await pubsub.decode((await take(call, 1))[0])
        assert event["ChangeEventHeader"]["changeOrigin"] == ""
        assert event["StageName"] == "Demo"
        call.cancel()

    async def test_gaps_have_a_header_only(self, org: RunningOrg, pubsub: Subscriber) -> None:
        call = await begin_live(pubsub)
        org.sim("gap", {"change_type": "GAP_OVERFLOW"})
        event = await pubsub.decode((await take(call, 1))[0])
        assert event["ChangeEventHeader"]["changeType"] == "GAP_OVERFLOW"
        assert event["ChangeEventHeader"]["recordIds"] == ["000000000000000AAA"]
        call.cancel()


class TestDelivery:
    async def test_replay_starts_where_it_is_told(self, pubsub: Subscriber, new_opportunity: New) -> None:
        call = await begin_live(pubsub)
        ids = [await new_opportunity() for _ in range(4)]
        events = await take(call, 4)
        call.cancel()
        replay_ids = [e.replay_id for e in events]
        numbers = [int.from_bytes(r, "big") for r in replay_ids]
        assert all(len(r) == 8 for r in replay_ids)
        assert numbers == sorted(set(numbers))
        again = await begin(pubsub, replay_preset=pb.CUSTOM, replay_id=replay_ids[1])
        rest = await take(again, 2)
        decoded = [await pubsub.decode(e) for e in rest]
        assert [e["ChangeEventHeader"]["recordIds"] for e in decoded] == [[ids[2]], [ids[3]]]
        again.cancel()
        everything = await begin(pubsub, replay_preset=pb.EARLIEST, topic_name="/data/ChangeEvents")
        assert len(await take(everything, 4)) >= 4
        everything.cancel()

    async def test_replay_ids_have_gaps(self, pubsub: Subscriber, new_opportunity: New) -> None:
        call = await begin_live(pubsub)
        for _ in range(12):
            await new_opportunity()
        numbers = [int.from_bytes(e.replay_id, "big") for e in await take(call, 12)]
        assert numbers[-1] - numbers[0] > 11
        call.cancel()

    async def test_no_more_is_sent_than_asked_for(self, pubsub: Subscriber, new_opportunity: New) -> None:
        call = await begin_live(pubsub, 2)
        for _ in range(3):
            await new_opportunity()
        assert len(await take(call, 2)) == 2
        unasked = asyncio.create_task(call.read())
        done, _ = await asyncio.wait([unasked], timeout=0.8)
        assert not done
        await call.write(pb.FetchRequest(topic_name=TOPIC, num_requested=5))
        reply = await unasked
        assert (len(reply.events), reply.pending_num_requested) == (1, 4)
        call.cancel()

    async def test_outstanding_requests_are_capped(self, pubsub: Subscriber) -> None:
        call = await begin(pubsub, 80)
        await call.write(pb.FetchRequest(topic_name=TOPIC, num_requested=80))
        async with asyncio.timeout(WAIT_SECONDS):
            while (await call.read()).pending_num_requested != 100:
                pass
        call.cancel()

    async def test_a_keepalive_is_a_cursor(self, pubsub: Subscriber, new_opportunity: New) -> None:
        call = await begin_live(pubsub)
        await new_opportunity()
        (event,) = await take(call, 1)
        quiet = await call.read()
        assert not quiet.events
        assert quiet.latest_replay_id == event.replay_id
        call.cancel()
        resumed = await begin(pubsub, replay_preset=pb.CUSTOM, replay_id=quiet.latest_replay_id)
        assert not (await resumed.read()).events
        resumed.cancel()

    async def test_a_keepalive_passes_over_nothing(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        with running_org(tmp_path_factory.mktemp("hasty-org"), keepalive_seconds=0.005) as hasty:
            async for subscriber in _subscriber(hasty):
                call = await begin_live(subscriber)
                async with hasty.session() as client:
                    for number in range(60):
                        body = {"Name": str(number), "StageName": "Demo", "CloseDate": "2026-12-01"}
                        reply = await client.post("/services/data/v67.0/sobjects/Opportunity", json=body)
                        assert reply.status_code == 201
                assert len(await take(call, 60)) == 60
                call.cancel()

    async def test_after_a_half_close_nothing_comes(self, pubsub: Subscriber, new_opportunity: New) -> None:
        call = await begin_live(pubsub)
        await call.done_writing()
        pending = asyncio.create_task(call.read())
        async with asyncio.timeout(WAIT_SECONDS):
            # Keepalives that were on their way.
            while (await asyncio.wait([pending], timeout=1))[0]:
                assert not pending.result().events
                pending = asyncio.create_task(call.read())
        await new_opportunity()
        done, _ = await asyncio.wait([pending], timeout=1)
        assert not done
        call.cancel()
        await asyncio.gather(pending, return_exceptions=True)


class TestRefusals:
    @pytest.mark.parametrize(
        ("first", "code"),
        [
            ({"topic_name": "/data/opportunitychangeevent"}, "topic.not.found"),
            (
                {"replay_preset": pb.CUSTOM, "replay_id": b"\0" * 8},
                "subscription.fetch.replayid.corrupted",
            ),
            (
                {"replay_preset": pb.CUSTOM, "replay_id": b"\xff" * 8},
                "subscription.fetch.replayid.corrupted",
            ),
            ({"replay_preset": pb.CUSTOM, "replay_id": b"x"}, "subscription.fetch.replayid.corrupted"),
            ({"replay_preset": pb.CUSTOM}, "subscription.fetch.replayid.validation.failed"),
        ],
    )
    async def test_a_bad_first_request(self, pubsub: Subscriber, first: dict[str, Any], code: str) -> None:
        call = await begin(pubsub, **first)
        assert (await refusal(call))[1] == CODE + code

    async def test_an_expired_token_ends_the_stream(self, org: RunningOrg, pubsub: Subscriber) -> None:
        call = await begin_live(pubsub)
        org.sim("tokens/expire")
        assert await refusal(call) == (grpc.StatusCode.UNAUTHENTICATED, f"{CODE}service.auth.error")

    async def test_a_refreshed_token_keeps_it_open(
        self, org: RunningOrg, pubsub: Subscriber, api: httpx.AsyncClient, new_opportunity: New
    ) -> None:
        call = await begin_live(pubsub, 2)
        fresh = org.token()
        await call.write(pb.FetchRequest(topic_name=TOPIC, num_requested=1, auth_refresh=fresh))
        async with asyncio.timeout(WAIT_SECONDS):
            while (await call.read()).pending_num_requested != 3:
                pass
        revoked = {"token": dict(pubsub.metadata)["accesstoken"]}
        assert (await api.post(f"{org.url}/services/oauth2/revoke", data=revoked)).status_code == 200
        await new_opportunity()
        assert len(await take(call, 1)) == 1
        call.cancel()

    async def test_an_ordered_fault_ends_it(self, org: RunningOrg, pubsub: Subscriber, api: httpx.AsyncClient) -> None:
        org.sim("faults", {"match": "PubSub/Subscribe", "code": "service.unavailable"})
        call = await begin(pubsub)
        assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, f"{CODE}service.unavailable")

    async def test_the_delivery_allocation_runs_out(
        self, own_org: RunningOrg, own_pubsub: Subscriber, own_api: httpx.AsyncClient
    ) -> None:
        own_org.sim("limits", {"DailyDeliveredPlatformEvents": {"Max": 25000, "Remaining": 1}})
        call = await begin_live(own_pubsub)
        body = {"Name": "x", "StageName": "Demo", "CloseDate": "2026-12-01"}
        await own_api.post("/sobjects/Opportunity", json=body)
        assert len(await take(call, 1)) == 1
        await own_api.post("/sobjects/Opportunity", json=body)
        assert (await refusal(call))[1] == f"{CODE}subscription.limit.exceeded"

    async def test_a_cursor_past_retention_is_corrupted(
        self, own_org: RunningOrg, own_pubsub: Subscriber, own_api: httpx.AsyncClient
    ) -> None:
        call = await begin_live(own_pubsub)
        body = {"Name": "x", "StageName": "Demo", "CloseDate": "2026-12-01"}
        for _ in range(2):
            await own_api.post("/sobjects/Opportunity", json=body)
        old, newest = await take(call, 2)
        call.cancel()
        own_org.sim("clock", {"seconds": 73 * 3600})
        own_org.kill_and_restart()
        token = (("accesstoken", own_org.token()), *own_pubsub.metadata[1:])
        fresh = Subscriber(own_pubsub.stub, token)
        late = await begin(fresh, replay_preset=pb.CUSTOM, replay_id=old.replay_id)
        assert (await refusal(late))[1] == f"{CODE}subscription.fetch.replayid.corrupted"
        # The newest one forgotten is still a seam without a loss.
        seam = await begin(fresh, replay_preset=pb.CUSTOM, replay_id=newest.replay_id)
        assert not (await seam.read()).events
        seam.cancel()


async def test_events_survive_a_kill_of_the_org(
    own_org: RunningOrg, own_pubsub: Subscriber, own_api: httpx.AsyncClient
) -> None:
    call = await begin_live(own_pubsub)
    body = {"Name": "x", "StageName": "Demo", "CloseDate": "2026-12-01"}
    ids = [(await own_api.post("/sobjects/Opportunity", json=body)).json()["id"] for _ in range(3)]
    (first, *_) = await take(call, 3)
    own_org.kill_and_restart()
    again = await begin(own_pubsub, replay_preset=pb.CUSTOM, replay_id=first.replay_id)
    rest = [await own_pubsub.decode(e) for e in await take(again, 2)]
    assert [e["ChangeEventHeader"]["recordIds"] for e in rest] == [[ids[1]], [ids[2]]]
    again.cancel()
