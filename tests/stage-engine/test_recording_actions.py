"""What is stored and announced of the actions of a decision."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kit.ids import uuid7
from stage_engine.domain.actions import ActionKind
from stage_engine.domain.decision import Lapsed
from stage_engine.domain.inputs import Occasion
from stage_engine.messages import action_requested
from stage_engine.service.recording_actions import action_id, action_records, expired
from stagecraft.stage.v1.action_requested_pb2 import ActionKind as KindOnTheWire

_NAMES = st.text(alphabet="ab of", min_size=1, max_size=8)


def decision_of(world: Any, kind: str) -> Any:
    given = {"key": "a", "kind": kind, "text": "t", "fields": [{"name": "f", "value": "{move.to}"}], "target": "x"}
    rules = world.ruleset(on_first_sight=[given])
    return world.decide(None, world.observation("prospecting", occasion=Occasion.CREATED), rules)


def test_each_kind_is_stored_and_announced(world: Any) -> None:
    for kind in ActionKind:
        decision, decision_id = decision_of(world, kind), uuid7()
        (record,) = action_records(decision, "acme", decision_id, "opportunity")
        # Who gets a role is never guessed.
        addressee = "" if kind is ActionKind.ASSIGN else "rita"
        assert (record.state, record.kind, record.addressee) == ("open", kind, addressee)
        message = action_requested(record)
        assert KindOnTheWire.Name(message.kind) == f"ACTION_KIND_{kind.name}"
        assert [(field.name, field.value) for field in message.fields] == [("f", "Prospecting")]
        assert (message.action_id, message.decision_id) == (str(record.action_id), str(decision_id))


def test_what_is_not_waited_for_is_the_action_that_was_asked_for(world: Any) -> None:
    decision = decision_of(world, "task")
    (record,) = action_records(decision, "acme", uuid7(), "opportunity")
    lapsed = Lapsed("a", 1, decision.decided_at, "Too late.")
    over = expired(lapsed, "acme", "o1", world.at(5))
    assert (over.action_id, over.state, over.words) == (record.action_id, "expired", "Too late.")
    assert expired(replace(lapsed, revision=2), "acme", "o1", world.at(5)).action_id != record.action_id


@given(st.tuples(_NAMES, _NAMES, st.integers(1, 30), _NAMES), st.tuples(_NAMES, _NAMES, st.integers(1, 30), _NAMES))
def test_an_id_is_of_one_tenant_subject_revision_and_key(world: Any, one: Any, other: Any) -> None:
    assert (action_id(*one, world.start) == action_id(*other, world.start)) is (one == other)
