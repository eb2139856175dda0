"""Stored decisions and their bytes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from stage_engine.domain.decision import Code, Decision
from stage_engine.domain.facts import FactInForce
from stage_engine.domain.inputs import Assignment, Command, FactChange, Hop, Input, Observation, Submission, TimerFired
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.replay import (
    StoredDecision,
    decode_decision,
    decode_input,
    decode_opportunity,
    encode_decision,
    encode_input,
    encode_opportunity,
    run_again,
)
from stage_engine.domain.requests import HoldRequest, ReleaseRequest, ResumeRequest, VoidRequest
from stage_engine.domain.score import Score

_zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
st.register_type_strategy(datetime, st.datetimes(timezones=_zones))
st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False))


class TestBytes:
    @given(
        st.builds(Submission) | st.builds(Observation) | st.builds(Command) | st.builds(FactChange)
        | st.builds(TimerFired) | st.builds(HoldRequest) | st.builds(ResumeRequest)
        | st.builds(Hop) | st.builds(VoidRequest) | st.builds(ReleaseRequest) | st.builds(Assignment)
    )  # fmt: skip
    def test_an_input_reads_as_it_was_written(self, value: Input) -> None:
        document = encode_input(value)
        again = decode_input(document)
        assert (again, type(again), encode_input(again)) == (value, type(value), document)

    def test_each_type_of_fact_keeps_its_type(self, world: Any) -> None:
        values = (Decimal("1.50"), "1.50", True, date(2026, 6, 30), world.start, frozenset({"b", "a"}), None)
        facts = tuple(FactInForce(f"x.f{i}", value, "crm", world.start) for i, value in enumerate(values))
        again = decode_input(encode_input(world.observation("demo", facts=facts)))
        assert isinstance(again, Observation)
        assert [(type(f.value), f.value) for f in again.facts] == [(type(v), v) for v in values]

    @given(st.builds(Opportunity, scores=st.dictionaries(st.text(), st.builds(Score))))
    def test_an_opportunity_reads_as_it_was_written(self, value: Opportunity) -> None:
        document = encode_opportunity(value)
        again = decode_opportunity(document)
        assert (again, encode_opportunity(again)) == (value, document)
        assert [str(s.score) for s in again.scores.values()] == [str(s.score) for s in value.scores.values()]

    @given(st.builds(Decision, opportunity=st.none()))
    def test_a_decision_reads_as_it_was_written(self, value: Decision) -> None:
        document = encode_decision(value)
        again = decode_decision(document)
        assert (again, encode_decision(again)) == (value, document)

    def test_a_field_that_was_added_later_changes_no_bytes(self, world: Any) -> None:
        opportunity = world.opportunity()
        document = encode_opportunity(opportunity)
        assert "last_observation" not in document
        assert encode_opportunity(decode_opportunity(document)) == document
        later = document.replace("{", '{"added_later":1,', 1)
        assert decode_opportunity(later) == opportunity


class TestRunAgain:
    def test_a_decision_on_other_rules_is_noticed(self, world: Any) -> None:
        opportunity = world.opportunity()
        submission = world.submission("prospecting", "65", opportunity)
        decision = world.decide(opportunity, submission)
        stored = StoredDecision(
            encode_opportunity(opportunity),
            encode_input(submission),
            encode_decision(decision),
            encode_opportunity(decision.opportunity),
        )
        assert run_again(stored, world.rules, world.start) == (stored, True)
        assert decode_decision(stored.decision) == replace(decision, opportunity=None)
        stricter = world.ruleset(rule_0={"conditions": [{"fact": "prospecting.score", "cell": "> 65"}]})
        again, identical = run_again(stored, stricter, world.start)
        assert not identical
        assert decode_decision(again.decision).reasons[0].code is Code.FAILED
