"""Events on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.contracts.events import Event, Record, decode, registry
from kit.errors import InvalidEvent
from stagecraft.stage.v1.stage_changed_pb2 import StageChanged

storable = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=90)


@given(storable, storable, st.integers(0, 2**60))
def test_an_event_survives_the_wire(tenant, opportunity, sequence):
    event = Event(tenant, StageChanged(opportunity_id=opportunity, revision=3), sequence, traceparent="00-a-b-01")
    received = decode(event.record("stage-engine"), 0, 0)
    assert (received.id, received.tenant_id, received.message, received.sequence, received.time) == (
        event.id,
        tenant,
        event.message,
        sequence,
        event.time,
    )
    assert received.traceparent == "00-a-b-01"


def test_a_future_schema_with_more_fields_passes():
    record = Event("t", StageChanged(opportunity_id="o"), 1).record("x")
    extended = Record(record.topic, record.key, record.value + bytes([0xFA, 0x3F, 2, 65, 66]), record.headers)
    assert decode(extended, 0, 0).message.opportunity_id == "o"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ce_id": ""}, "missing_header"),
        ({"ce_id": "7"}, "bad_header"),
        ({"ce_type": "a.B"}, "unknown_type"),
        ({"ce_sequence": "x"}, "bad_header"),
        ({"ce_tenantid": "other"}, "key_mismatch"),
    ],
)
def test_a_broken_event_is_refused_with_its_code(change, code):
    record = Event("t", StageChanged(opportunity_id="o"), 1).record("x")
    with pytest.raises(InvalidEvent) as caught:
        decode(Record(record.topic, record.key, record.value, {**record.headers, **change}), 0, 0)
    assert caught.value.code == code


def test_every_event_has_a_topic_of_its_own_and_an_aggregate():
    topics = [kind.topic for kind in registry().values()]
    assert len(topics) == len(set(topics)) >= 10
    for kind in registry().values():
        assert kind.aggregate_field in kind.message.DESCRIPTOR.fields_by_name
