"""The last resort never fails: whatever a record holds, it can be read or set aside, and what is kept is bounded."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.aside.dead_letters import _announced, _row, bounded, tenant_of
from kit.contracts.events import Event, decode
from kit.delivery.batch import _read
from kit.errors import InvalidEvent
from kit.ids import uuid7
from sqlalchemy import text
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

NAMES = ("ce_id", "ce_type", "ce_time", "ce_sequence", "ce_tenantid", "ce_traceparent")
TOPIC = "stagecraft.assessment.submitted.v1"
# What an index of PostgreSQL takes, with room for the other columns.
MOST_IN_INDEX = 1300


def event(**changes) -> AssessmentSubmitted:
    return AssessmentSubmitted(**{"submission_id": str(uuid7()), "opportunity_id": "o", **changes})


def raw(key, value, headers):
    return SimpleNamespace(topic=TOPIC, partition=0, offset=1, key=key, value=value, headers=headers)


@given(
    st.none() | st.binary(max_size=3000),
    st.none() | st.binary(max_size=200),
    st.lists(
        st.tuples(st.sampled_from(NAMES) | st.text(max_size=400), st.none() | st.binary(max_size=3000)), max_size=120
    ),
)
def test_any_record_is_read_or_refused_and_then_fits_every_column(key, value, headers):
    read = _read(raw(key, value, headers))
    refused = read.refused(InvalidEvent("bad", "x" * 1000 + "\x00"))
    row = _row("sample", refused)
    for indexed in (row.key, tenant_of(read.record)):
        assert 4 * len(indexed) <= MOST_IN_INDEX
        indexed.encode()
    kept = [row.key, row.detail, tenant_of(read.record), *row.headers, *row.headers.values()]
    assert not any("\x00" in each for each in kept)
    assert sum(map(len, row.headers.values())) <= 200_000
    assert _announced("sample", row)["topic"] == f"{TOPIC}.dlq.sample"


@given(st.text(min_size=301), st.text(min_size=301))
def test_long_keys_stay_apart(one, other):
    assert (bounded(one) == bounded(other)) == (one.replace("\x00", "�") == other.replace("\x00", "�"))


@pytest.mark.parametrize(("tenant", "opportunity"), [("t" * 91, "o"), ("t", "o" * 201)])
def test_ids_that_do_not_fit_a_key_are_refused(tenant, opportunity):
    with pytest.raises(InvalidEvent) as refused:
        decode(Event(tenant, event(opportunity_id=opportunity), 1).record("test"), 0, 0)
    assert refused.value.code == "id_too_long"
    assert decode(Event("t" * 90, event(opportunity_id="o" * 200), 1).record("test"), 0, 0).tenant_id == "t" * 90


@pytest.mark.stack
async def test_records_beyond_every_limit_are_set_aside_and_the_next_event_is_handled(service, tenant, eventually):
    producer, topic = service.producer, service.settings.topic_prefix + TOPIC
    good = Event(tenant, event(), 1).record("test", service.settings.topic_prefix)
    headers = {name: value.encode() for name, value in good.headers.items()}
    nasty = [
        (good.key.encode(), headers | {"ce_tenantid": b"x" * 10_000}),
        (good.key.encode(), headers | {"ce_tenantid": b"\xff\x00" * 9_000}),
        (b"k" * 20_000, headers),
        (b"\x00\xff" * 9_000, headers | {"ce_tenantid": b""}),
        (good.key.encode(), {f"h{number}": b"\xff" * 3000 for number in range(150)}),
        (good.key.encode(), headers | {"ce_type": b"\x00" * 50_000, "ce_time": b"9" * 50_000}),
    ]
    for key, given_headers in nasty:
        await producer.send_and_wait(topic, good.value, key=key, headers=list(given_headers.items()))
    await service.publish(event(opportunity_id="next", assessment_key="fine"), tenant=tenant)
    assert len(await service.events(SubmissionScored, tenant=tenant, count=1)) == 1

    async def all_kept():
        found = 0
        tenants = {"x" * 10_000, "\\xff\x00" * 9_000, tenant, "-"}
        for each in tenants:
            async with service.database.unit_of_work(bounded(each)) as uow:
                found += (await uow.session.execute(text("SELECT count(*) FROM dead_letter"))).scalar()
        assert found >= len(nasty)

    await eventually(all_kept)
