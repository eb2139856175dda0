"""Whatever happens in whatever order: no gated move without enough people, at most one move for each request, and every
decision comes out the same when it is made again."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

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
from stage_engine.domain.approving import approvals_of
from stage_engine.domain.decision import Cause, Decision, TransitionKind
from stage_engine.domain.inputs import Input, Migration
from stage_engine.domain.modes import Modes
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pending import ApprovalState, ProposalState
from stage_engine.domain.replay import StoredDecision, encode_decision, encode_input, encode_opportunity, run_again
from stage_engine.domain.requests import Answer, ApprovalAnswer, HoldRequest, ResumeRequest
from stage_engine.domain.rules import RuleMode
from stage_engine.domain.timers import first_due
from stage_engine.engine import compiled

from tests.approvals import RULE, answer, word
from tests.decisions import OVERRIDE

STAGES = ["prospecting", "discovery", "demo", "negotiation", "closed_won", "closed_lost"]
PEOPLE = st.sampled_from(["rita", "mona", "max", "olga", "pia"])
GATE = {"approvers": {"roles": ["manager"], "people": ["pia"]}, "needed": 2, "expires_after": "2d"}
MODES = [None, *RuleMode]


def rulesets(world: Any) -> dict[Any, Any]:
    """Two versions of a pipeline where three stages have to be approved, in all modes."""
    gated = ("discovery", "negotiation", "closed_lost")
    stages = [{**s, "approval": GATE} if s["key"] in gated else s for s in world.document()["stages"]]
    pipeline = world.pipeline(stages=stages, proposals_expire_after="3d", confirm_own=True)
    return {
        (version, mode, automation): compiled(
            replace(pipeline, version=version), Modes(1, {} if mode is None else {RULE: mode}, automation)
        )
        for version in (1, 2)
        for mode in MODES
        for automation in (True, False)
    }


class Pending(RuleBasedStateMachine):
    """One opportunity, and what people, rules and time do to it."""

    world: Any
    rulesets: dict[Any, Any]

    def __init__(self) -> None:
        super().__init__()
        self.mode: RuleMode | None = None
        self.automation = True
        self.version = 1
        self.now = self.world.start
        self.attempt = 0
        self.ended: Counter[tuple[str, int]] = Counter()
        self.moves: Counter[int] = Counter()
        self.subject: Opportunity = self.world.opportunity(rules=self.compiled)

    @property
    def compiled(self) -> Any:
        return self.rulesets[self.version, self.mode, self.automation]

    def tell(self, given: Input) -> Decision:
        before = self.subject
        self.now += timedelta(minutes=1)
        decision = self.world.decide(before, given, self.compiled, self.now)
        assert decision.opportunity is not None
        documents = StoredDecision(
            encode_opportunity(before),
            encode_input(given),
            encode_decision(decision),
            encode_opportunity(decision.opportunity),
        )
        assert run_again(documents, self.compiled, self.now) == (documents, True)
        self.subject = decision.opportunity
        self.check(before, decision)
        return decision

    def check(self, before: Opportunity, decision: Decision) -> None:
        pipeline, move = self.compiled.pipeline, decision.transition
        approved = [each for each in decision.ended_requests if each.state is ApprovalState.APPROVED]
        for each in decision.ended_requests:
            self.ended["request", each.request.number] += 1
        for each in decision.ended_proposals:
            self.ended[each.proposal.rule_id, each.proposal.number] += 1
        assert set(self.ended.values()) <= {1}
        for each in approved:
            self.moves[each.request.number] += 1
            assert move is not None and move.to_stage == each.request.to_stage
            people = [vote.actor for vote in each.request.votes]
            assert len(set(people)) == len(people) >= 2 and each.request.asked_by not in people
        if move is not None and move.cause is not Cause.CRM and move.kind is not TransitionKind.MIGRATE:
            assert len(approved) == bool(approvals_of(pipeline, move.from_stage, move.to_stage)), move
        accepted = [each for each in decision.ended_proposals if each.state is ProposalState.ACCEPTED]
        if move is not None and move.cause is Cause.PROPOSAL:
            assert accepted or approved
        if move is None:
            assert decision.opportunity is not None and decision.opportunity.stage_key == before.stage_key

    @initialize(mode=st.sampled_from(MODES))
    def begins(self, mode: RuleMode | None) -> None:
        self.mode = mode

    @rule(mode=st.sampled_from(MODES), automation=st.booleans())
    def switched(self, mode: RuleMode | None, automation: bool) -> None:
        self.mode, self.automation = mode, automation

    @rule(score=st.sampled_from(["50", "70", "90"]), who=PEOPLE)
    def scored(self, score: str, who: str) -> None:
        self.attempt += 1
        stage = self.compiled.pipeline.stage(self.subject.stage_key)
        key = stage.assessment_keys[0] if stage.assessment_keys else "prospecting"
        at = {"captured_at": self.now, "received_at": self.now, "attempt_no": self.attempt, "submitted_by": who}
        self.tell(self.world.submission(key, score, self.subject, **at))

    @rule(to=st.sampled_from(STAGES), who=PEOPLE, override=st.booleans())
    def commanded(self, to: str, who: str, override: bool) -> None:
        more = OVERRIDE if override else {"reason_code": "X"}
        self.tell(self.world.command(self.subject, to, actor=who, skip=True, **more))

    @precondition(lambda self: self.subject.approval_request is not None)
    @rule(who=PEOPLE, given=st.sampled_from([Answer.APPROVE] * 4 + [Answer.REJECT, Answer.WITHDRAW]), rep=st.booleans())
    def answered(self, who: str, given: Answer, rep: bool) -> None:
        self.tell(answer(self.subject, who, given, roles=("rep",) if rep else ("manager",)))

    @precondition(lambda self: self.subject.approval_request is not None)
    @rule(people=st.permutations(["rita", "mona", "max", "pia"]), score=st.sampled_from(["", "50", "90"]))
    def answered_by_all(self, people: list[str], score: str) -> None:
        if score:
            self.scored(score, people[0])
        for who in people:
            self.tell(answer(self.subject, who))

    @rule(who=PEOPLE, number=st.integers(0, 12))
    def answered_late(self, who: str, number: int) -> None:
        given = ApprovalAnswer("late", "o1", number, Answer.APPROVE, who, ("manager",), (), False)
        self.tell(given)

    @rule(who=PEOPLE)
    def passed_in_the_first_stage(self, who: str) -> None:
        if self.subject.stage_key == "prospecting":
            self.scored("70", who)

    @precondition(lambda self: RULE in self.subject.proposals)
    @rule(who=PEOPLE, accepted=st.booleans())
    def told(self, who: str, accepted: bool) -> None:
        self.tell(word(self.subject, who, accepted=accepted))

    @rule(to=st.sampled_from(STAGES))
    def edited_in_the_crm(self, to: str) -> None:
        self.tell(self.world.observation(to, committed_at=self.now))

    @rule(on=st.booleans())
    def held(self, on: bool) -> None:
        revision = self.subject.revision
        self.tell(
            HoldRequest("h", "o1", revision, "mona", "budget") if on else ResumeRequest("r", "o1", revision, "mona")
        )

    @rule(keep=st.booleans())
    def migrated(self, keep: bool) -> None:
        if self.compiled.pipeline.is_open(self.subject.stage_key):
            self.version = 3 - self.version
            self.tell(Migration("m", "o1", self.version, (), False, not keep, "olga", not keep))

    @rule(days=st.integers(1, 4))
    def waited(self, days: int) -> None:
        self.now += timedelta(days=days)
        while (fired := first_due(self.subject, self.now)) is not None:
            self.tell(fired)

    @invariant()
    def nothing_waits_where_it_cannot_be_made(self) -> None:
        subject = self.subject
        request = subject.approval_request
        waits = {"@approval"} if request is not None else set()
        waits |= {f"@proposal/{key}" for key in subject.proposals}
        assert {key for key in subject.timers if key.startswith(("@approval", "@proposal/"))} == waits
        for each in (*([request] if request else []), *subject.proposals.values()):
            assert each.from_stage == subject.stage_key
        if not self.compiled.pipeline.is_open(subject.stage_key):
            assert subject.proposals == {}
        assert set(self.moves.values()) <= {1}


def test_whatever_happens(world: Any) -> None:
    machine = type("Played", (Pending,), {"world": world, "rulesets": rulesets(world)})
    run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=25, deadline=None))
