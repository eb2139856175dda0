"""The rules of delivery, each on a real database and broker."""

import time
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st
from kit.contracts.events import Event, Record
from kit.delivery.batch import Batches, in_turn
from kit.ids import uuid7
from kit.relay import outbox
from kit.settings import ServiceSettings
from sqlalchemy import text
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

pytestmark = pytest.mark.stack


def _raw(tenant: str, topic: str, offset: int) -> ConsumerRecord[bytes, bytes]:
    headers = (("ce_tenantid", tenant.encode()),)
    return ConsumerRecord(topic, 0, offset, 0, 0, b"key", b"", None, 3, 0, headers)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=30))
def test_the_tenant_with_the_fewest_events_comes_first_and_each_keeps_its_order(sent: list[tuple[str, str]]) -> None:
    records = [_raw(tenant, topic, offset) for offset, (tenant, topic) in enumerate(sent)]
    turns = in_turn(records)
    assert [len(read) for _, read in turns] == sorted(len(read) for _, read in turns)
    assert sorted(each.raw.offset for _, read in turns for each in read) == list(range(len(sent)))
    for tenant, read in turns:
        assert {each.record.headers["ce_tenantid"] for each in read} == {tenant}
        places = [(each.raw.topic, each.raw.offset) for each in read]
        assert places == sorted(places)


class Settings(ServiceSettings):
    service = "sample"


async def test_what_each_tenant_took_of_the_event_loop_is_told() -> None:
    class Busy(Batches):
        async def _handle(self, tenant_id: str, read: Sequence[Any]) -> Sequence[Any]:
            until = time.perf_counter() + 0.01 * len(read)
            while time.perf_counter() < until:
                pass
            return ()

    took: dict[str, float] = {}
    batches = Busy(Settings(environment="test"), None, {})  # pyright: ignore[reportArgumentType]
    batches.took = took.__setitem__
    await batches.apply([_raw(tenant, "topic", offset) for offset, tenant in enumerate("aaab")])
    assert list(took) == ["b", "a"]
    assert took["a"] >= 0.03
    assert took["b"] >= 0.01


def submission(opportunity: str = "o1", key: str = "fine") -> AssessmentSubmitted:
    return AssessmentSubmitted(submission_id=str(uuid7()), opportunity_id=opportunity, assessment_key=key)


async def scalar(service, tenant, statement):
    async with service.database.unit_of_work(tenant) as uow:
        return (await uow.session.execute(text(statement))).scalar()


async def test_an_event_goes_from_topic_through_handler_and_outbox_to_the_next_topic(service, tenant, eventually):
    event_id = await service.publish(submission(), tenant=tenant, sequence=7)
    (scored,) = await service.events(SubmissionScored, tenant=tenant, count=1)
    assert scored.sequence == 7
    assert scored.id != event_id

    async def deleted():
        assert await scalar(service, tenant, "SELECT count(*) FROM outbox") == 0

    # The relay deletes it once the broker has it.
    await eventually(deleted)


async def test_the_same_event_twenty_times_is_handled_once(service, tenant):
    message, event_id = submission(), uuid7()
    for _ in range(20):
        await service.publish(message, tenant=tenant, event_id=event_id)
    await service.publish(submission("o1", "last"), tenant=tenant)
    scored = await service.events(SubmissionScored, tenant=tenant, count=2)
    assert len(scored) == 2
    assert await scalar(service, tenant, "SELECT max(seen) FROM note") == 1


async def test_order_per_aggregate_is_kept(service, tenant):
    for sequence in range(200):
        await service.publish(submission(f"o{sequence % 3}"), tenant=tenant, sequence=sequence)
    scored = await service.events(SubmissionScored, tenant=tenant, count=200)
    for opportunity in ("o0", "o1", "o2"):
        sequences = [e.sequence for e in scored if e.message.opportunity_id == opportunity]
        assert sequences == sorted(sequences)
        assert len(set(sequences)) == len(sequences)


async def test_order_is_kept_where_one_batch_does_not_hold_what_a_partition_gets(service, tenant):
    sizes = [100_000] * 6 + [400_000, 10] * 3
    async with service.database.unit_of_work(tenant) as uow:
        for sequence, size in enumerate(sizes):
            uow.publish(SubmissionScored(opportunity_id="o1", assessment_key="x" * size), sequence=sequence)
    scored = await service.events(SubmissionScored, tenant=tenant, count=len(sizes))
    assert [(e.sequence, len(e.message.assessment_key)) for e in scored] == list(enumerate(sizes))


@pytest.mark.parametrize("kind", ["poison", "bug", "broken sql"])
async def test_a_bad_event_is_put_aside_and_the_others_go_on(service, tenant, eventually, kind):
    for number, key in enumerate(("fine", kind, "fine")):
        await service.publish(submission(f"o{number}", key), tenant=tenant)
    assert len(await service.events(SubmissionScored, tenant=tenant, count=2)) == 2

    async def listed():
        answer = await service.client.get("/v1/dead-letters", headers=service.headers(tenant))
        assert len(answer.json()["items"]) == 1
        assert answer.json()["items"][0]["retry_at"] is None
        return answer.json()["items"][0]

    letter = await eventually(listed)
    assert letter["code"] == ("poisoned" if kind == "poison" else "handler_failed")
    assert letter["topic"].endswith("stagecraft.assessment.submitted.v1")


async def test_garbage_is_dead_lettered_with_its_origin_until_somebody_dismisses_it(service, tenant, eventually):
    record = Event(tenant, submission(), 1).record("test", service.settings.topic_prefix)
    await service.send(Record(record.topic, record.key, b"\xff\xff\xff", record.headers))
    await service.publish(submission("o2"), tenant=tenant)
    assert len(await service.events(SubmissionScored, tenant=tenant, count=1)) == 1

    async def listed():
        items = (await service.client.get("/v1/dead-letters", headers=service.headers(tenant))).json()["items"]
        assert [item["code"] for item in items] == ["bad_payload"]
        return items[0]["dead_letter_id"]

    letter_id = await eventually(listed)

    async def told_to(action, headers, **body):
        answer = await service.client.post(f"/v1/dead-letters/{letter_id}/{action}", headers=headers, json=body or None)
        return answer.status_code, answer.json()

    ours = service.headers(tenant)
    why = {"reason": "cut off by its maker"}
    for action in ("replay", "dismiss"):
        assert (await told_to(action, service.headers(tenant, "rep"), **why))[0] == 403
        assert (await told_to(action, service.headers("another"), **why))[0] == 404
    status, refused = await told_to("replay", ours)
    assert (status, refused["code"]) == (409, "event_invalid")
    assert "bad_payload" in refused["detail"]
    status, refused = await told_to("dismiss", ours, reason="")
    assert (status, refused["errors"][0]["pointer"]) == (422, "/reason")
    assert await listed() == letter_id

    assert await told_to("dismiss", ours, **why) == (200, {"status": "dismissed"})
    assert (await service.client.get("/v1/dead-letters", headers=ours)).json()["items"] == []
    [kept] = (await service.client.get("/v1/dead-letters?settled=true", headers=ours)).json()["items"]
    assert (kept["dead_letter_id"], kept["replayed_at"]) == (letter_id, None)
    assert kept["dismissed_at"] is not None
    [entry] = (await service.client.get("/v1/audit-entries", headers=ours)).json()["items"]
    assert (entry["action"], entry["subject"], entry["detail"]) == ("dead-letter.dismissed", letter_id, why)
    status, refused = await told_to("dismiss", ours, **why)
    assert (status, refused["code"]) == (409, "dead_letter_settled")


async def test_an_event_of_no_readable_tenant_waits_with_those_of_nobody(service, tenant, eventually):
    record = Event(tenant, submission(), 1).record("test", service.settings.topic_prefix)
    nameless = {name: value for name, value in record.headers.items() if name != "ce_tenantid"}
    await service.send(record._replace(headers=nameless))

    async def listed():
        async with service.database.unit_of_work("-") as uow:
            codes = (await uow.session.execute(text("SELECT code FROM dead_letter"))).scalars().all()
        assert codes == ["missing_header"]

    await eventually(listed)
    assert (await service.client.get("/v1/dead-letters", headers=service.headers(tenant))).json()["items"] == []


async def test_a_replayed_event_is_handled_once_the_cause_is_mended(service, tenant, eventually):
    from sample import consumers

    await service.publish(submission("o1", "poison"), tenant=tenant)

    async def listed():
        items = (await service.client.get("/v1/dead-letters", headers=service.headers(tenant))).json()["items"]
        assert items
        return items[0]["dead_letter_id"]

    letter_id = await eventually(listed)
    (topic,) = [name for name in service.runtime.consumer.topics if name.endswith("assessment.submitted.v1")]
    handlers = service.runtime.consumer.batches.handlers

    async def mended(uow, events):
        for event in events:
            event.message.assessment_key = "fine"
        await consumers.note_submissions(uow, events)

    handler, handlers[topic] = handlers[topic], mended
    try:
        for _ in range(2):
            answer = await service.client.post(f"/v1/dead-letters/{letter_id}/replay", headers=service.headers(tenant))
            assert (answer.status_code, answer.json()) == (200, {"status": "handled"})
        entries = (await service.client.get("/v1/audit-entries", headers=service.headers(tenant))).json()["items"]
        assert [(e["action"], e["subject"]) for e in entries] == [("dead-letter.replayed", letter_id)] * 2
        assert len(await service.events(SubmissionScored, tenant=tenant, count=1)) == 1
        assert (await service.client.get("/v1/dead-letters", headers=service.headers(tenant))).json()["items"] == []
    finally:
        handlers[topic] = handler


async def test_a_passing_fault_delays_and_keeps_the_order(service, tenant):
    from sample.consumers import Faults

    service.runtime.resources.get(Faults).retries["slow"] = 3
    for sequence, key in enumerate(("fine", "slow", "fine")):
        await service.publish(submission("o1", key), tenant=tenant, sequence=sequence)
    scored = await service.events(SubmissionScored, tenant=tenant, count=3)
    assert [e.sequence for e in scored] == [0, 1, 2]


async def test_a_failed_request_leaves_neither_row_nor_event(service, tenant):
    answer = await service.client.post("/v1/notes", json={"text": "x", "fail": True}, headers=service.headers(tenant))
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert await scalar(service, tenant, "SELECT (SELECT count(*) FROM note) + (SELECT count(*) FROM outbox)") == 0


async def test_a_crash_between_acknowledgement_and_commit_sends_again_under_the_same_id(service, tenant, monkeypatch):
    send, crashes = outbox.send, []

    async def send_then_crash(producer, rows, slow):
        outcome = await send(producer, rows, slow)
        # What other tests left on its way does not count.
        if not crashes and any(row.key.startswith(f"{tenant}:") for row in rows):
            crashes.append(True)
            raise ConnectionError("killed")
        return outcome

    monkeypatch.setattr(outbox, "send", send_then_crash)
    await service.client.post("/v1/notes", json={"text": "x"}, headers=service.headers(tenant))
    scored = await service.events(SubmissionScored, tenant=tenant, count=2)
    assert len({e.id for e in scored}) == 1
    assert len(scored) == 2


async def test_the_trace_goes_through_outbox_and_broker(service, tenant):
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = service.headers(tenant) | {"traceparent": traceparent}
    await service.client.post("/v1/notes", json={"text": "x"}, headers=headers)
    (scored,) = await service.events(SubmissionScored, tenant=tenant, count=1)
    assert scored.traceparent.split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
