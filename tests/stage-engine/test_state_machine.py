"""Every kind of input to one opportunity, in any order: evidence, facts, observations, commands, holds, timers,
cascades, migrations, reassignment, voided evidence, reopening and release. What holds whatever comes."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from stage_engine.domain.decision import Cause, Outcome, TransitionKind
from stage_engine.domain.document import from_document
from stage_engine.domain.earning import earned_stage
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.fold import Step, fold
from stage_engine.domain.inputs import Hop, Input, Migration, Observation, Occasion, Reassignment
from stage_engine.domain.lasting import LASTING
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.replay import (
    StoredDecision,
    decode_opportunity,
    encode_decision,
    encode_input,
    encode_opportunity,
    run_again,
)
from stage_engine.domain.requests import HoldRequest, Keep, ReleaseRequest, ResumeRequest, VoidRequest
from stage_engine.domain.sync import ParkedWrite, write_confirmed, write_parked
from stage_engine.domain.timers import first_due
from stage_engine.engine import compiled

OPEN = ["prospecting", "discovery", "demo", "negotiation"]
STAGES = [*OPEN, "closed_won", "closed_lost", "walked_away"]
ASSESSMENTS = ["prospecting", "discovery", "demo"]
NAMES = {"discovery": "talk"}
MINUTE = timedelta(minutes=1)


def document_of(world: Any, policy: dict[str, Any]) -> dict[str, Any]:
    """The field example with a walk-away, a rule that leads back once it has lasted, and rules on a fact that may lead
    on one after the other."""
    document = world.document()
    stages = [*document["stages"], {"key": "walked_away", "name": "Walked away", "category": "abandoned"}]
    stages[0]["timers"] = [{"key": "slow", "after": "3h"}]
    rules = [
        *document["rules"],
        {"rule_id": "ill", "from_stage": "demo", "to_stage": "discovery", "mode": "auto", "back": True,
         "lasting": "1h", "conditions": [{"fact": "account.health", "cell": "< 3"}]},
        {"rule_id": "back", "from_stage": "discovery", "to_stage": "prospecting", "mode": "auto", "back": True,
         "conditions": [{"fact": "account.health", "cell": "< 1"}]},
        {"rule_id": "slow", "from_stage": "prospecting", "to_stage": "closed_lost", "mode": "auto",
         "reason_code": "SLOW", "conditions": [{"fact": "timers.slow.fired", "cell": "true"}]},
        *(
            {"rule_id": f"health_{source}", "from_stage": source, "to_stage": target, "mode": "auto", "priority": 1,
             "conditions": [{"fact": "account.health", "cell": f"> {level}"}]}
            for source, target, level in (("prospecting", "discovery", 5), ("discovery", "demo", 6),
                                          ("demo", "negotiation", 7))
        ),
    ]  # fmt: skip
    facts = [{"name": "account.health", "type": "decimal"}]
    return {**document, "stages": stages, "rules": rules, "facts": facts, **policy}


def renamed(document: dict[str, Any]) -> dict[str, Any]:
    """The same with a stage under another key."""

    def key(stage_key: str) -> str:
        return NAMES.get(stage_key, stage_key)

    stages = [{**stage, "key": key(stage["key"])} for stage in document["stages"]]
    rules = [{**r, "from_stage": key(r["from_stage"]), "to_stage": key(r["to_stage"])} for r in document["rules"]]
    return {**document, "stages": stages, "rules": rules}


def _rests_on(opportunity: Opportunity) -> tuple[object, ...]:
    return opportunity.scores, opportunity.facts, opportunity.revision


def machine_of(world: Any, policy: dict[str, Any]) -> type[RuleBasedStateMachine]:
    document = document_of(world, policy)
    first = compiled(from_document(document, 1))
    second = compiled(from_document(renamed(document), 2))
    other = compiled(from_document({**document, "key": "other"}, 1))
    rulesets = {(r.pipeline.key, r.pipeline.version): r for r in (first, second, other)}

    class Machine(RuleBasedStateMachine):
        opportunity: Opportunity

        def __init__(self) -> None:
            super().__init__()
            self.now = world.start
            self.decided: set[str] = set()
            self.inputs: list[Input] = []
            self.submitted: list[tuple[str, str]] = []
            self.last: Step | None = None
            # In another version or pipeline, whose word on what it has earned comes with the next change.
            self.carried = False

        @property
        def ruleset(self) -> Ruleset:
            return rulesets[self.opportunity.pipeline_key, self.opportunity.pipeline_version]

        def take(self, given: Input, rules: Ruleset | None = None) -> list[Step]:
            self.inputs.append(given)
            before = getattr(self, "opportunity", None)
            rules = rules or self.ruleset
            steps = fold(before, [given], rules, self.now, self.decided)
            assert len(steps) <= rules.pipeline.cascade_at_most
            for number, step in enumerate(steps):
                assert isinstance(step.given, Hop) is (number > 0)
                self.check(step, rules)
                assert step.decision.opportunity is not None
                self.opportunity, self.last = step.decision.opportunity, step
                if isinstance(given, Migration | Reassignment):
                    self.carried = True
                elif before is not None and _rests_on(before) != _rests_on(self.opportunity):
                    self.carried = False
            return steps

        def check(self, step: Step, rules: Ruleset) -> None:
            before, decision, after = step.before, step.decision, step.decision.opportunity
            assert after is not None
            stored = StoredDecision(
                None if before is None else encode_opportunity(before), encode_input(step.given),
                encode_decision(decision), encode_opportunity(after),
            )  # fmt: skip
            assert run_again(stored, rules, self.now) == (stored, True)
            assert decode_opportunity(stored.after or "") == after
            move = decision.transition
            assert after.revision == (before.revision if before else 0) + (move is not None)
            assert after.decision_no == (before.decision_no if before else 0) + 1
            if before is None:
                return
            if move is None:
                assert (after.stage_key, after.visit_no, after.cycle_no) == (
                    before.stage_key, before.visit_no, before.cycle_no,
                )  # fmt: skip
            else:
                self.check_move(step, rules)
            if after.contested:
                assert decision.crm_target_stage == "" and after.quarantined and after.due_at is None
            if before.contested and not isinstance(step.given, ReleaseRequest | Migration | Reassignment):
                assert move is None and after.contested

        def check_move(self, step: Step, rules: Ruleset) -> None:
            before, move, after = step.before, step.decision.transition, step.decision.opportunity
            assert before is not None and move is not None and after is not None
            assert (move.from_stage, move.to_stage) == (before.stage_key, after.stage_key)
            assert step.decision.outcome is Outcome.ACCEPTED
            assert after.visit_no == before.visit_no + (move.kind is not TransitionKind.MIGRATE)
            if move.kind is TransitionKind.MIGRATE:
                return
            was = rulesets[before.pipeline_key, before.pipeline_version].pipeline
            ended = bool(before.stage_key) and not was.is_open(before.stage_key)
            assert (move.taken_back is not None) is ended
            assert after.cycle_no == before.cycle_no + (move.kind is TransitionKind.REOPEN)
            if ended:
                assert move.cause in (Cause.PERSON, Cause.CRM, Cause.IMPORT)
                assert move.taken_back is not None and move.taken_back.cycle_no == before.cycle_no
            if move.cause is Cause.RULE:
                assert not ended
                assert (not before.contested and not before.deleted) or isinstance(step.given, Observation)
                back = rules.pipeline.rank(move.to_stage) < rules.pipeline.rank(before.stage_key)
                assert back is (move.rule_id in ("ill", "back"))
                if move.rule_id == "ill":
                    since = before.lasting["ill"]
                    assert self.now - since >= timedelta(hours=1)

        @initialize(stage=st.sampled_from(STAGES), occasion=st.sampled_from([Occasion.IMPORTED, Occasion.CREATED]))
        def first_seen(self, stage: str, occasion: Occasion) -> None:
            self.take(world.observation(stage, occasion=occasion), first)

        @rule(minutes=st.sampled_from([1, 10, 45, 200]))
        def time_passes(self, minutes: int) -> None:
            self.now += minutes * MINUTE

        @rule(assessment=st.sampled_from(ASSESSMENTS), score=st.sampled_from(["10", "70", "90", "100"]))
        def submits(self, assessment: str, score: str) -> None:
            at = self.now
            given = world.submission(assessment, score, self.opportunity, captured_at=at, received_at=at)
            self.submitted.append((given.submission_id, assessment))
            self.take(given)

        @precondition(lambda self: self.inputs)
        @rule(index=st.integers(0, 1000))
        def comes_again(self, index: int) -> None:
            assert self.take(self.inputs[index % len(self.inputs)]) == []

        @rule(health=st.sampled_from([0, 2, 4, 6, 7, 9]))
        def a_source_reports(self, health: int) -> None:
            self.take(world.facts(world.fact("account.health", health, observed_at=self.now)))

        @rule(
            stage=st.sampled_from([*STAGES, "unheard_of"]),
            occasion=st.sampled_from([Occasion.UPDATED, Occasion.UPDATED, Occasion.CONFLICT, Occasion.DELETED]),
        )
        def edited_in_the_crm(self, stage: str, occasion: Occasion) -> None:
            key = NAMES.get(stage, stage) if self.opportunity.pipeline_version == 2 else stage
            self.take(world.observation(key, occasion=occasion, committed_at=self.now))

        @rule(stage=st.sampled_from(STAGES), override=st.booleans(), reopens=st.booleans(), role=st.booleans())
        def commanded(self, stage: str, override: bool, reopens: bool, role: bool) -> None:
            key = NAMES.get(stage, stage) if self.opportunity.pipeline_version == 2 else stage
            self.take(
                world.command(
                    self.opportunity, key, override=override, skip=True, reason_code="X", text="Y", reopens=reopens,
                    role="manager" if role else "rep",
                )
            )  # fmt: skip

        @rule(minutes=st.none() | st.integers(1, 100))
        def put_off(self, minutes: int | None) -> None:
            until = None if minutes is None else self.now + minutes * MINUTE
            number = self.opportunity.decision_no
            self.take(HoldRequest(f"h{number}", "o1", self.opportunity.revision, "mona", "Later", until))

        @rule()
        def gone_on_with(self) -> None:
            self.take(ResumeRequest(f"r{self.opportunity.decision_no}", "o1", self.opportunity.revision, "mona"))

        @rule()
        def timers_fire(self) -> None:
            for _ in range(10):
                due = first_due(self.opportunity, self.now)
                if due is None:
                    return
                self.take(due)
            raise AssertionError("timers that never end")

        @rule()
        def falls_ill_for_an_hour(self) -> None:
            self.a_source_reports(9)
            self.a_source_reports(2)
            self.now += 61 * MINUTE
            self.timers_fire()

        @precondition(lambda self: self.submitted)
        @rule(index=st.integers(0, 1000), may=st.integers(0, 3).map(bool))
        def evidence_is_voided(self, index: int, may: bool) -> None:
            submission_id, assessment = self.submitted[index % len(self.submitted)]
            number = self.opportunity.decision_no
            self.take(
                VoidRequest(f"v{number}", "o1", submission_id, assessment, None, "mona", "manager", may, "Wrong.")
            )
            assert not may or submission_id in self.opportunity.voided

        @rule(keep=st.sampled_from(Keep))
        def released(self, keep: Keep) -> None:
            number = self.opportunity.decision_no
            self.take(ReleaseRequest(f"f{number}", "o1", self.opportunity.revision, "mona", True, keep, "It is off."))
            assert not self.opportunity.contested

        @precondition(lambda self: self.opportunity.pipeline_key != "other")
        @rule()
        def migrated(self) -> None:
            ahead = self.opportunity.pipeline_version == 1
            stages = NAMES if ahead else {new: old for old, new in NAMES.items()}
            target = second if ahead else first
            given = Migration(
                f"m{self.opportunity.decision_no}", "o1", target.pipeline.version, tuple(stages.items()),
                end_override=False, withdraw_proposal=False, actor="ops",
            )  # fmt: skip
            stage_key = self.opportunity.stage_key
            goes = not stage_key or self.ruleset.pipeline.is_open(stage_key)
            self.take(given, target)
            assert (self.opportunity.pipeline_version == target.pipeline.version) is goes

        @precondition(lambda self: self.ruleset.pipeline.is_open(self.opportunity.stage_key or "prospecting"))
        @rule(place=st.booleans())
        def another_pipeline_applies(self, place: bool) -> None:
            there = first if self.opportunity.pipeline_key == "other" else other
            if not self.opportunity.stage_key or self.opportunity.deleted:
                return
            given = Reassignment(
                cause=f"x{self.opportunity.decision_no}", opportunity_id="o1", to_pipeline=there.pipeline.key,
                to_version=there.pipeline.version, to_stage="demo" if place else "", shown_stage="demo", facts=(),
                actor="carl",
            )  # fmt: skip
            self.take(given, there if place else None)

        @rule(back=st.integers(0, 3))
        def crm_confirms(self, back: int) -> None:
            for revision, stage in self.opportunity.in_flight[-1 - back : len(self.opportunity.in_flight) - back]:
                self.opportunity = write_confirmed(self.opportunity, world.confirmed(revision, stage))

        @rule()
        def crm_refuses(self) -> None:
            for revision, stage in self.opportunity.in_flight[-1:]:
                parked = ParkedWrite("o1", revision, stage, "REFUSED", "no", self.now)
                self.opportunity = write_parked(self.opportunity, parked)

        @invariant()
        def timers_are_of_this_visit(self) -> None:
            opportunity = getattr(self, "opportunity", None)
            if opportunity is None:
                return
            for key, running in opportunity.timers.items():
                assert running.visit_no in (0, opportunity.visit_no) or running.due is running.left is None
                assert not key.startswith(LASTING) or key.removeprefix(LASTING) in opportunity.lasting
            for rule_id in opportunity.lasting:
                found = self.ruleset.pipeline.rule(rule_id)
                assert found is not None and found.from_stage == opportunity.stage_key

        @invariant()
        def what_is_earned_is_not_ahead_of_the_evidence(self) -> None:
            last = self.last
            if last is None or self.carried or not self.opportunity.stage_key:
                return
            earned = earned_stage(self.opportunity, self.ruleset, last.decision.decided_at)
            assert self.opportunity.earned_stage == earned
            used = {score.submission_id for score in self.opportunity.scores.values()}
            assert used.isdisjoint(self.opportunity.voided)

        @invariant()
        def what_the_crm_lacks_is_on_its_way(self) -> None:
            opportunity = getattr(self, "opportunity", None)
            if opportunity is None or not opportunity.stage_key or opportunity.quarantined:
                return
            assert opportunity.base_revision <= opportunity.revision

    return Machine


@pytest.mark.parametrize(
    "policy",
    [
        {"cascade_at_most": 3, "voided_evidence": "regress"},
        {"cascade_at_most": 1, "crm_edit_policy": "revert", "alternations_at_most": 1},
        {"cascade_at_most": 6, "crm_edit_policy": "validate_then_adopt", "skip_policy": "if_guards_hold",
         "voided_evidence": "regress", "alternations_at_most": 2, "on_other_pipeline": "quarantine"},
    ],
    ids=["cascades", "reverts", "validates"],
)  # fmt: skip
def test_any_sequence_of_any_inputs_keeps_every_promise(world: Any, policy: dict[str, Any]) -> None:
    profile = settings(max_examples=30, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(machine_of(world, policy), settings=profile)


def test_the_machine_knows_every_kind_of_input() -> None:
    """Assignment moves nothing, and has its own tests; what waits for people has a machine of its own."""
    kinds = {each.__dataclass_fields__["kind"].default for each in Input.__args__}  # pyright: ignore[reportAttributeAccessIssue]
    assert kinds == {
        "submission", "observation", "command", "facts", "migration", "reassignment", "timer", "hold", "resume", "hop",
        "void", "release", "assignment", "approval_answer", "proposal_answer",
    }  # fmt: skip
