"""Any sequence of inputs: what holds whatever happens to an opportunity."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from stage_engine.domain.decide import decide
from stage_engine.domain.decision import Cause, Outcome
from stage_engine.domain.earning import earned_stage
from stage_engine.domain.fold import Step, fold
from stage_engine.domain.inputs import Input, Observation, Occasion, Submission
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
from stage_engine.domain.requests import HoldRequest, ResumeRequest
from stage_engine.domain.sync import ParkedWrite, write_confirmed, write_parked
from stage_engine.domain.taking import AHEAD_LIMIT
from stage_engine.domain.timers import first_due

STAGES = ["prospecting", "discovery", "demo", "negotiation", "closed_won", "closed_lost"]

ASSESSMENTS = ["prospecting", "discovery", "demo", "sales_feedback"]


def machine_of(world: Any, policy: str, edits: str) -> type[RuleBasedStateMachine]:
    rules = [
        {**world.document()["rules"][0], "rule_id": "by_facts", "priority": 1, "conditions": [
            {"fact": "opportunity.type", "cell": "any of 'new', 'renewal'"},
            {"fact": "activity.last_touch_at", "cell": "> now - 1h"},
            {"fact": "prospecting.answers.budget", "cell": "unknown"},
        ]},
        {**world.document()["rules"][2], "rule_id": "by_date", "priority": 1, "conditions": [
            {"fact": "opportunity.close_date", "cell": "within 200d"},
            {"fact": "demo.answers.budget", "cell": "true"},
            {"fact": "visit.age_days", "cell": "< 1"},
        ]},
    ]  # fmt: skip
    stages = world.document()["stages"]
    stages[0]["milestones"] = [{"key": "touched", "name": "Touched", "repeatable": True, "conditions": [
        {"fact": "activity.last_touch_at", "cell": "> now - 1h"}]}]  # fmt: skip
    stages[1]["exit"] = [{"key": "type", "name": "Type", "conditions": [{"fact": "opportunity.type", "cell": "known"}]}]
    stages[1]["assessment_keys"] = ["discovery", "prospecting"]
    rules.append({
        "rule_id": "back", "from_stage": "discovery", "to_stage": "prospecting", "mode": "auto", "back": True,
        "conditions": [{"fact": "prospecting.score", "cell": "< 60"}],
    })  # fmt: skip
    stages[0]["timers"] = [{"key": "often", "after": "20m", "repeats": "30m"}]
    stages[0]["stalled_after_days"] = 1
    timers = [
        {"key": "entered", "after": "40m"},
        {"key": "seen", "after": "2bh", "starts": "on_first_sight"},
        {"key": "touched", "after": "30m", "starts": "after_fact", "fact": "activity.last_touch_at"},
    ]
    rules.append({
        "rule_id": "by_timer", "from_stage": "prospecting", "to_stage": "discovery", "mode": "auto",
        "conditions": [{"fact": "timers.often.fired", "cell": ">= 2"}, {"fact": "timers.seen.fired", "cell": "true"}],
    })  # fmt: skip
    rules.append({
        "rule_id": "by_touch", "from_stage": "negotiation", "to_stage": "closed_lost", "mode": "auto",
        "reason_code": "QUIET", "conditions": [{"fact": "timers.touched.fired", "cell": "true"}],
    })  # fmt: skip
    ruleset = world.ruleset(
        timers=timers,
        skip_policy=policy,
        rules=[*world.document()["rules"], *rules],
        stages=stages,
        crm_edit_policy=edits,
    )

    class Opportunity(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.now = world.start
            self.opportunity: Any = None
            self.decided: set[str] = set()
            self.inputs: list[Input] = []
            self.steps: list[Step] = []
            self.ruleset = ruleset

        def take(self, given: Input) -> None:
            self.inputs.append(given)
            before = self.opportunity
            steps = fold(before, [given], self.ruleset, self.now, self.decided)
            if not steps:
                return
            (step,) = steps
            decision = step.decision
            assert decision == decide(before, step.given, self.ruleset, self.now)
            self.check(step)
            self.steps.append(step)
            self.opportunity = decision.opportunity

        def check(self, step: Step) -> None:
            before, given, decision = step.before, step.given, step.decision
            after = decision.opportunity
            stored = StoredDecision(
                None if before is None else encode_opportunity(before),
                encode_input(given),
                encode_decision(decision),
                None if after is None else encode_opportunity(after),
            )
            assert run_again(stored, self.ruleset, self.now) == (stored, True)
            assert decode_input(stored.given) == given
            assert "passed_over" not in stored.given
            assert decode_decision(stored.decision) == replace(decision, opportunity=None)
            if after is None:
                assert before is None and not isinstance(given, Observation)
                return
            assert decode_opportunity(stored.after or "") == after
            assert after.decision_no == (before.decision_no if before else 0) + 1
            moved = decision.transition is not None
            if not isinstance(given, HoldRequest | ResumeRequest):
                assert (decision.outcome is Outcome.ACCEPTED) == moved
            assert after.revision == (before.revision if before else 0) + moved
            assert after.visit_no == (before.visit_no if before else 0) + moved
            assert bool(decision.reasons) or decision.outcome is not Outcome.REJECTED
            if not moved:
                assert before is None or after.stage_key == before.stage_key
                return
            transition = decision.transition
            assert transition is not None and transition.to_stage == after.stage_key
            assert before is None or transition.from_stage == before.stage_key
            unwritten = transition.cause in (Cause.CRM, Cause.IMPORT) or after.contested
            assert (decision.crm_target_stage == "") == unwritten
            if before is not None and before.stage_key and transition.cause is Cause.RULE:
                self.check_automation(step)

        def check_automation(self, step: Step) -> None:
            before, given, decision = step.before, step.given, step.decision
            pipeline = self.ruleset.pipeline
            assert before is not None and decision.transition is not None
            assert pipeline.is_open(before.stage_key)
            forward = pipeline.rank(decision.transition.to_stage) > pipeline.rank(before.stage_key)
            assert forward or decision.rule_id == "back"
            if isinstance(given, Submission):
                assert not before.quarantined and not before.deleted
                assert (given.stage_key, given.visit_no) == (before.stage_key, before.visit_no)
                override = before.override
                live = override and not (override.expires_at and override.expires_at <= self.now)
                assert not live or given.captured_at >= override.at  # pyright: ignore[reportOptionalMemberAccess]

        @initialize(stage=st.sampled_from(STAGES))
        def first_observation(self, stage: str) -> None:
            self.take(world.observation(stage, occasion=Occasion.IMPORTED))

        @rule(minutes=st.integers(0, 90))
        def time_passes(self, minutes: int) -> None:
            self.now += timedelta(minutes=minutes)

        @rule(
            assessment=st.sampled_from(ASSESSMENTS),
            score=st.sampled_from(["0", "60", "61", "76", "81", "99.99", "100", None]),
            current=st.integers(0, 3).map(bool),
            age=st.integers(0, 120),
            attempt=st.integers(1, 3),
        )
        def submits(self, assessment: str, score: str | None, current: bool, age: int, attempt: int) -> None:
            at = self.now - timedelta(minutes=age)
            given = world.submission(
                assessment, score, self.opportunity, attempt_no=attempt, captured_at=at, received_at=at,
                details=(("answers.budget", attempt == 1), ("answers.passed_over", "x")),
            )  # fmt: skip
            if not current:
                given = replace(given, visit_no=max(1, given.visit_no - 1))
            self.take(given)

        @rule(
            name=st.sampled_from(
                ["opportunity.type", "activity.last_touch_at", "opportunity.amount", "crm.passed_over"]
            ),
            value=st.sampled_from(["new", "lost", Decimal(7), None, frozenset({"new"}), world.start]),
            source=st.sampled_from(["crm", "dialler"]),
            age=st.integers(-10, 90),
        )
        def a_source_reports(self, name: str, value: Any, source: str, age: int) -> None:
            at = self.now - timedelta(minutes=age)
            self.take(world.facts(world.fact(name, value, source, observed_at=at)))
            facts = self.opportunity.facts
            assert facts.keys() <= {"opportunity.type", "activity.last_touch_at"}
            assert all(isinstance(f.value, str | None) for f in facts.values() if f.name == "opportunity.type")
            assert all(f.observed_at <= self.now + AHEAD_LIMIT for f in facts.values())

        @rule()
        def submits_what_passes(self) -> None:
            keys = (
                self.ruleset.pipeline.stage(self.opportunity.stage_key).assessment_keys
                if self.opportunity.stage_key
                else ()
            )
            if keys:
                self.take(
                    world.submission(
                        keys[0], "100", self.opportunity, attempt_no=9, captured_at=self.now, received_at=self.now
                    )
                )

        @rule(
            stage=st.sampled_from([*STAGES, ""]),
            occasion=st.sampled_from([Occasion.UPDATED, Occasion.CONFLICT, Occasion.DELETED, Occasion.UNDELETED]),
            amount=st.none() | st.integers(0, 3).map(Decimal),
            skew=st.integers(-60, 60),
        )
        def edited_in_the_crm(self, stage: str, occasion: Occasion, amount: Decimal | None, skew: int) -> None:
            at = self.now + timedelta(minutes=skew)
            self.take(world.observation(stage, occasion=occasion, amount=amount, committed_at=at))

        @rule(
            stage=st.sampled_from([*STAGES, "unheard_of"]),
            role=st.sampled_from(["rep", "manager", "admin"]),
            override=st.booleans(),
            skip=st.booleans(),
            reason=st.sampled_from(["", "BECAUSE"]),
            behind=st.integers(0, 3).map(lambda n: n == 0),
            expires=st.none() | st.integers(1, 100),
        )
        def commanded(
            self, stage: str, role: str, override: bool, skip: bool, reason: str, behind: bool, expires: int | None
        ) -> None:
            self.take(
                world.command(
                    self.opportunity,
                    stage,
                    role=role,
                    override=override,
                    skip=skip,
                    reason_code=reason,
                    text=reason,
                    expected_revision=self.opportunity.revision - behind,
                    expires_at=None if expires is None else self.now + timedelta(minutes=expires),
                )
            )

        @rule(index=st.integers(0, 1000))
        def delivered_again(self, index: int) -> None:
            before, length = self.opportunity, len(self.steps)
            self.take(self.inputs[index % len(self.inputs)])
            assert (self.opportunity, len(self.steps)) == (before, length)

        @rule(back=st.integers(0, 3))
        def crm_confirms(self, back: int) -> None:
            for revision, stage in self.opportunity.in_flight[-1 - back : len(self.opportunity.in_flight) - back]:
                self.opportunity = write_confirmed(self.opportunity, world.confirmed(revision, stage))
                assert self.opportunity.base_stage == stage

        @rule()
        def crm_refuses(self) -> None:
            for revision, stage in self.opportunity.in_flight[-1:]:
                self.opportunity = write_parked(
                    self.opportunity, ParkedWrite("o1", revision, stage, "REFUSED", "no", self.now)
                )

        @rule(
            until=st.none() | st.integers(-10, 100),
            fact=st.sampled_from(["", "opportunity.type", "opportunity.amount", "account.unread"]),
            behind=st.integers(0, 3).map(lambda n: n == 0),
        )
        def put_off(self, until: int | None, fact: str, behind: bool) -> None:
            at = None if until is None else self.now + timedelta(minutes=until)
            number = self.opportunity.decision_no
            revision = self.opportunity.revision - behind
            cell = "known" if fact else ""
            self.take(HoldRequest(f"h{number}", "o1", revision, "mona", "later", at, None, fact, cell))

        @rule()
        def gone_on_with(self) -> None:
            number = self.opportunity.decision_no
            self.take(ResumeRequest(f"r{number}", "o1", self.opportunity.revision, "mona"))
            assert self.opportunity.hold is None or self.opportunity.quarantined or self.opportunity.deleted

        @rule()
        def a_timer_fires(self) -> None:
            due = first_due(self.opportunity, self.now)
            if due is None:
                return
            decisions = self.opportunity.decision_no
            self.take(due)
            assert self.opportunity.decision_no == decisions + 1
            assert first_due(self.opportunity, self.now) != due

        @invariant()
        def timers_follow_the_opportunity(self) -> None:
            if self.opportunity is None or not self.opportunity.stage_key:
                return
            held, open_ = self.opportunity.hold is not None, self.ruleset.pipeline.is_open(self.opportunity.stage_key)
            assert open_ or not held
            for key, running in self.opportunity.timers.items():
                assert running.due is None or running.left is None
                own = key.startswith("@")
                assert own or running.due is None or (open_ and not held)
                assert own or running.left is None or held
                assert running.visit_no in (0, self.opportunity.visit_no) or running.due is running.left is None
            assert self.opportunity.held.visit <= self.opportunity.held.ever

        @invariant()
        def history_has_no_gaps(self) -> None:
            moves = [s.decision.transition for s in self.steps if s.decision.transition is not None]
            assert [m.revision for m in moves] == list(range(1, len(moves) + 1))
            assert all(a.to_stage == b.from_stage for a, b in pairwise(moves))
            assert all(a.changed_at <= b.changed_at for a, b in pairwise(moves))
            assert all(b.cycle_no - a.cycle_no in (0, 1) for a, b in pairwise(moves))

        @invariant()
        def what_is_earned_is_what_is_in_force(self) -> None:
            if self.steps and self.opportunity.stage_key:
                at = self.steps[-1].decision.decided_at
                assert self.opportunity.earned_stage == earned_stage(self.opportunity, self.ruleset, at)

        @invariant()
        def the_opportunity_is_consistent(self) -> None:
            if self.opportunity is None or not self.opportunity.stage_key:
                return
            assert self.opportunity.stage_key in self.ruleset.pipeline
            assert self.opportunity.base_revision <= self.opportunity.revision
            if self.opportunity.base_stage != self.opportunity.stage_key and not self.opportunity.contested:
                assert self.opportunity.in_flight or self.opportunity.sync_error

    return Opportunity


@pytest.mark.parametrize(
    ("policy", "edits"),
    [("forbid", "adopt_as_override"), ("if_guards_hold", "validate_then_adopt"), ("forbid", "revert")],
)
def test_any_sequence_of_inputs_keeps_every_promise(world: Any, policy: str, edits: str) -> None:
    profile = settings(max_examples=30, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(machine_of(world, policy, edits), settings=profile)
