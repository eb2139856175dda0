"""Events no sender should send, to every handler of every service. Whatever comes is handled or put aside with a
reason; what is good and comes after is handled."""

import pytest
from kit.contracts.events import Event, event_type, registry
from sqlalchemy import text
from testing.service import eventually

from tests.builders import sample
from tests.security.attacks.belongings import belongings
from tests.security.attacks.mutants import mutants

pytestmark = pytest.mark.stack


def kinds(service):
    """Names of the messages the service handles."""
    topics = {topic.removeprefix(service.settings.topic_prefix) for topic in service.runtime.consumer.topics}
    return [kind.message.DESCRIPTOR.name for kind in registry().values() if kind.topic in topics]


async def letters(service, tenant):
    async with service.database.unit_of_work(tenant) as uow:
        found = await uow.session.execute(text("SELECT code, detail, headers, attempts FROM dead_letter"))
        return [row._mapping for row in found]


async def send_all(service, events):
    """Put records on their topics without waiting for each."""
    import asyncio

    futures = [
        await service.producer.send(
            record.topic,
            record.value,
            key=record.key.encode(),
            headers=[(name, value.encode()) for name, value in record.headers.items()],
        )
        for record in events
    ]
    await asyncio.gather(*futures)


async def caught_up(service, tenant, ids):
    """Wait until every event is in the inbox or among the dead letters."""

    async def settled():
        async with service.database.unit_of_work(tenant) as uow:
            inbox = {str(i) for (i,) in await uow.session.execute(text("SELECT event_id FROM inbox"))}
        aside = {letter["headers"].get("ce_id") for letter in await letters(service, tenant)}
        missing = set(ids) - inbox - aside
        assert not missing, f"{len(missing)} of {len(ids)}"

    await eventually(settled, 180)


def _under_its_own_key(message, name, suffix):
    """What comes after a bad event of its own key would wait behind it."""
    field = event_type(type(message)).aggregate_field
    if getattr(message, field) == getattr(sample(name), field):
        setattr(message, field, f"{getattr(message, field)}-{suffix}")
    return message


async def test_no_value_of_any_field_breaks_a_handler(service, tenant, owned):
    what, records = {}, []
    for name in kinds(service):
        for sequence, (change, message) in enumerate(mutants(lambda name=name: sample(name)), start=1):
            good = [(sample(name), name)] if sequence % 20 == 0 else []
            for number, (each, told) in enumerate(((message, f"{name}.{change}"), *good)):
                event = Event(tenant, _under_its_own_key(each, name, f"{sequence}-{number}"), sequence)
                what[str(event.id)] = told
                records.append(event.record("test", service.settings.topic_prefix))
    await send_all(service, records)
    await caught_up(service, tenant, what)
    unexpected = [
        f"{what[letter['headers']['ce_id']]}: {letter['detail'][:200]}"
        for letter in await letters(service, tenant)
        if letter["code"] == "handler_failed" or "." not in what[letter["headers"]["ce_id"]]
    ]
    assert unexpected == [], "\n".join(unexpected)
    assert len(records) > 100
    assert (await service.client.get("/livez")).status_code == 200
    # It does all of its work for another tenant, unless a test before this one had it do that.
    if service.settings.package not in owned:
        owned[service.settings.package] = await belongings(service)
