"""Events that cannot be read, belong to somebody else, or come from a newer world: to every topic of every service."""

import asyncio

import pytest
from kit.contracts.events import Event, Record, event_type, registry
from sqlalchemy import text
from testing.service import eventually

from tests.builders import sample

pytestmark = pytest.mark.stack

# Field 1999 of every message: a text none of ours has.
FUTURE = bytes([0xFA, 0x7C, 3]) + b"new"


def kinds(service):
    """The messages that the service reads."""
    topics = {topic.removeprefix(service.settings.topic_prefix) for topic in service.runtime.consumer.topics}
    return [kind.message.DESCRIPTOR.name for kind in registry().values() if kind.topic in topics]


def record_of(service, tenant, name, sequence=1):
    event = Event(tenant, sample(name), sequence)
    return event.id, event.record("test", service.settings.topic_prefix)


async def scalars(service, tenant, query):
    async with service.database.unit_of_work(tenant) as uow:
        return list((await uow.session.execute(text(query))).scalars())


async def own_rows(service, tenant):
    """How many rows the tenant has in the tables that hold what events say."""
    kept = "'alembic_version', 'inbox', 'outbox', 'dead_letter'"
    tables = await scalars(
        service, tenant, f"SELECT relname FROM pg_class WHERE relforcerowsecurity AND relname NOT IN ({kept})"
    )
    counts = [await scalars(service, tenant, f"SELECT count(*) FROM {table}") for table in tables]
    return sum(count for (count,) in counts)


async def put_aside(service, tenant, code, count):
    async def all_aside():
        assert await scalars(service, tenant, "SELECT code FROM dead_letter") == [code] * count

    await eventually(all_aside)


async def good_ones_go_on(service, tenant, sequence=2):
    """One event of each kind and of another key, sent after the bad ones, is handled."""
    sent = []
    for name in kinds(service):
        message = sample(name)
        field = event_type(type(message)).aggregate_field
        setattr(message, field, f"{getattr(message, field)}-other")
        event = Event(tenant, message, sequence)
        sent.append((event.id, event.record("test", service.settings.topic_prefix)))
    for _, record in sent:
        await service.send(record)

    async def handled():
        assert {event_id for event_id, _ in sent} <= set(await scalars(service, tenant, "SELECT event_id FROM inbox"))

    await eventually(handled)


@pytest.mark.parametrize("code", ["bad_payload", "unknown_type", "unexpected_type", "bad_header", "bad_text"])
async def test_what_cannot_be_read_is_put_aside_and_the_rest_goes_on(service, tenant, code):
    for name in kinds(service):
        _, good = record_of(service, tenant, name)
        value, headers = good.value, dict(good.headers)
        if code == "bad_payload":
            value = b"\xff\xff\xff"
        elif code == "unknown_type":
            headers["ce_type"] = "stagecraft.unheard.of.v1.Event"
        elif code == "unexpected_type":
            other = sample("AssessmentPublished" if name != "AssessmentPublished" else "PipelinePublished")
            foreign = Event(tenant, other, 1).record("test")
            value, headers = foreign.value, dict(foreign.headers)
            good = Record(good.topic, foreign.key, value, headers)
        elif code == "bad_header":
            headers["ce_sequence"] = "many"
        else:
            value = _with_nul(name)
        await service.send(Record(good.topic, good.key, value, headers))
    await put_aside(service, tenant, code, len(kinds(service)))
    assert await own_rows(service, tenant) == 0
    await good_ones_go_on(service, tenant)
    assert (await service.client.get("/livez")).status_code == 200


def _with_nul(name):
    message = sample(name)
    first = next(f for f in message.DESCRIPTOR.fields if f.cpp_type == f.CPPTYPE_STRING and not f.is_repeated)
    kind = event_type(type(message))
    # The aggregate's id must still match the key.
    texts = [f.name for f in message.DESCRIPTOR.fields if f.cpp_type == first.cpp_type and not f.is_repeated]
    setattr(message, next(text for text in texts if text != kind.aggregate_field), "a\x00b")
    return message.SerializeToString()


async def test_an_event_under_another_tenants_name_touches_neither(service, tenant):
    """The key tells who sent it, the header who is said to have sent it."""
    victim = f"{tenant}-victim"
    for name in kinds(service):
        _, record = record_of(service, tenant, name)
        await service.send(Record(record.topic, record.key, record.value, {**record.headers, "ce_tenantid": victim}))
    await put_aside(service, victim, "key_mismatch", len(kinds(service)))
    for each in (tenant, victim):
        assert await own_rows(service, each) == 0
    assert await scalars(service, victim, "SELECT event_id FROM inbox") == []
    await good_ones_go_on(service, tenant)


async def test_an_event_of_a_newer_release_is_handled_as_far_as_it_is_known(service, tenant):
    ids = set()
    for name in kinds(service):
        event_id, record = record_of(service, tenant, name)
        ids.add(event_id)
        headers = {**record.headers, "ce_newextension": "unheard of"}
        await service.send(Record(record.topic, record.key, record.value + FUTURE, headers))

    async def handled():
        assert ids <= set(await scalars(service, tenant, "SELECT event_id FROM inbox"))

    await eventually(handled)
    assert await scalars(service, tenant, "SELECT code FROM dead_letter") == []
    assert await own_rows(service, tenant) > 0


async def test_thousands_of_invalid_events_stop_no_one_also_after_a_restart(service, start_service, tenant):
    own = await start_service(service.settings.package)
    evil = f"{tenant}-evil"
    _, good = record_of(own, evil, kinds(own)[0])
    garbage = [(name, value.encode()) for name, value in good.headers.items()]
    for _ in range(4):
        sent = [
            await own.producer.send(good.topic, b"\xff\xff\xff", key=good.key.encode(), headers=garbage)
            for _ in range(500)
        ]
        await asyncio.gather(*sent)
    await good_ones_go_on(own, tenant)
    await put_aside(own, evil, "bad_payload", 2000)
    assert (await own.client.get("/livez")).status_code == 200

    import importlib

    again = importlib.import_module(f"{own.settings.package}.main").create(own.settings)
    async with again.router.lifespan_context(again):
        await good_ones_go_on(own, tenant, sequence=3)
        assert again.state.runtime.watchdog.complaints() == []
    assert len(await scalars(own, evil, "SELECT 1 FROM dead_letter")) == 2000
