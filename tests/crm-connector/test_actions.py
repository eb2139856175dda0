"""What becomes of an action by the CRM's reply."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from crm_connector.domain.actions import (
    ActionKind,
    ActionState,
    Carried,
    QueuedAction,
    Settled,
    Settlement,
    after_reply,
    expired,
    sent,
)
from crm_connector.domain.holds import Refusal, Scope
from crm_connector.domain.intents import Reply, Verdict
from crm_connector.messages import action_settled, read_action
from crm_connector.recording import RecordingCrm
from hypothesis import given
from hypothesis import strategies as st
from stagecraft.crm.v1.action_settled_pb2 import Settlement as SettlementOnTheWire
from stagecraft.stage.v1.action_requested_pb2 import ActionField
from stagecraft.stage.v1.action_requested_pb2 import ActionKind as KindOnTheWire

from tests.builders import action_requested, received

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
LEASE = timedelta(minutes=6)


def queued(**changes: Any) -> QueuedAction:
    action = read_action(received(action_requested()), NOW)
    assert action is not None
    return action.changed(**changes)


def reply(verdict: Verdict, **given: Any) -> Carried:
    return Carried(Reply(str(uuid4()), verdict, "CODE", "words", **given), "00T1")


class TestAfterReply:
    def test_done_with_the_record(self) -> None:
        action = sent(queued(), NOW, LEASE)
        assert (action.state, action.attempts, action.due_at) == (ActionState.SENT, 1, NOW + LEASE)
        after = after_reply(action, reply(Verdict.CONFIRMED), NOW, 0)
        assert isinstance(after, Settled)
        assert (after.settlement, after.record_id, after.code) == (Settlement.DONE, "00T1", "")

    @pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.CONFLICT])
    def test_refused_in_the_crms_words(self, verdict: Verdict) -> None:
        after = after_reply(sent(queued(), NOW, LEASE), reply(verdict), NOW, 0)
        assert isinstance(after, Settled)
        assert (after.settlement, after.code, after.words) == (Settlement.REFUSED, "CODE", "words")

    @pytest.mark.parametrize(("scope", "lasts"), [(Scope.ORG, False), (Scope.OBJECT, True), (Scope.FIELD, True)])
    def test_an_object_that_is_missing_is_a_refusal_and_an_org_that_refuses_all_is_waited_for(
        self, scope: Scope, lasts: bool
    ) -> None:
        refusal = Refusal(scope, "Case", (), "CODE", "words")
        after = after_reply(sent(queued(), NOW, LEASE), reply(Verdict.AGAIN, refusal=refusal), NOW, 0)
        assert isinstance(after, Settled) is lasts

    def test_what_is_unknown_is_looked_at_before_it_is_sent_again(self) -> None:
        after = after_reply(sent(queued(), NOW, LEASE), reply(Verdict.UNKNOWN), NOW, 0)
        assert isinstance(after, QueuedAction)
        assert after.state is ActionState.SENT
        assert NOW < after.due_at < NOW + LEASE
        again = after_reply(after, reply(Verdict.AGAIN), NOW, 0)
        assert isinstance(again, QueuedAction)
        assert again.state is ActionState.NEW

    @given(st.lists(st.sampled_from(list(Verdict)), max_size=20))
    def test_whatever_the_crm_says_an_action_is_sent_only_after_it_is_known_to_be_undone(
        self, verdicts: list[Verdict]
    ) -> None:
        action = queued()
        for verdict in verdicts:
            if action.state is ActionState.NEW:
                action = sent(action, NOW, LEASE)
            after = after_reply(action, reply(verdict), NOW, 0.5)
            if isinstance(after, Settled):
                assert verdict in (Verdict.CONFIRMED, Verdict.REFUSED, Verdict.CONFLICT)
                return
            assert (after.state is ActionState.NEW) is (verdict is Verdict.AGAIN)
            action = after


class TestExpired:
    def test_a_new_one_expires_with_what_the_crm_said_last(self) -> None:
        action = queued(expires_at=NOW, code="CODE", reason="words")
        over = expired(action, NOW)
        assert over is not None
        assert (over.settlement, over.code) == (Settlement.EXPIRED, "CODE")
        assert over.words.endswith("words")
        assert expired(queued(), NOW) is None

    def test_of_one_that_was_sent_it_is_found_out_for_a_day(self) -> None:
        action = queued(expires_at=NOW, state=ActionState.SENT)
        assert expired(action, NOW + timedelta(hours=23)) is None
        assert expired(action, NOW + timedelta(days=1)) is not None


class TestMessages:
    def test_the_crm_carries_out_its_kinds_and_leaves_the_others(self) -> None:
        found = {
            number: read_action(received(action_requested(kind=number)), NOW)
            for number in KindOnTheWire.values()
            if number
        }
        kinds = {action.kind for action in found.values() if action is not None}
        assert kinds == set(ActionKind) - {ActionKind.OWNER, ActionKind.LEAD}
        assert found[KindOnTheWire.Value("ACTION_KIND_EMAIL")] is None

    def test_all_that_is_asked_for_comes_along(self) -> None:
        fields = [ActionField(name="NextStep", value="Call")]
        action = read_action(received(action_requested(fields=fields, target="Case", due_at=NOW)), NOW)
        assert action is not None
        assert (action.fields, action.target, action.due_on) == ({"NextStep": "Call"}, "Case", NOW)

    def test_every_settlement_has_its_word_on_the_wire(self) -> None:
        for settlement in Settlement:
            message = action_settled(Settled(queued(), settlement, "C", "w" * 9000, "00T1"), NOW)
            assert SettlementOnTheWire.Name(message.settlement) == f"SETTLEMENT_{settlement.name}"
            assert len(message.words) < 9000


async def test_the_recording_adapter_carries_out_everything() -> None:
    crm = RecordingCrm()
    for kind in ActionKind:
        action = queued(kind=kind)
        assert (await crm.carry_out(action)).reply.verdict is Verdict.CONFIRMED
        assert (await crm.carried_out(action)).reply.verdict is Verdict.CONFIRMED
