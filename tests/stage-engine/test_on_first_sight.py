"""Where a new record begins: in the CRM's stage, by the policy for edits; further on, by entry criteria."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.contracts.facts import fact_of
from stage_engine.domain.decision import Cause, Code, Decision, Outcome, TransitionKind
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Occasion
from stage_engine.domain.modes import Modes
from stage_engine.domain.parsed import Tables
from stage_engine.domain.pending import ApprovalState
from stage_engine.domain.sync import ParkedWrite, write_confirmed, write_parked
from stage_engine.engine import compiled
from stagecraft.crm.v1 import record_observed_pb2 as crm

from tests.approvals import TWO_MANAGERS, answer
from tests.decisions import after, codes, kind
from tests.stage_engine import Client, Tenant

POLICIES = ["adopt_as_override", "validate_then_adopt", "propose_back", "revert"]
OPEN = ["prospecting", "discovery", "demo", "negotiation"]
BUDGET, SPONSOR = "account.budget", "account.sponsor"
FACTS = [{"name": BUDGET, "type": "decimal"}, {"name": SPONSOR, "type": "boolean"}]


def criterion(key: str, fact: str, cell: str) -> dict[str, Any]:
    return {"key": key, "name": key.title(), "conditions": [{"fact": fact, "cell": cell}]}


def document(world: Any, **changes: Any) -> dict[str, Any]:
    """The field example: discovery asks for a budget, demo for a sponsor."""
    stages = world.document()["stages"]
    stages[1]["entry"] = [criterion("budget", BUDGET, "> 100")]
    stages[2]["entry"] = [criterion("sponsor", SPONSOR, "true")]
    return {**world.document(), "stages": stages, "facts": FACTS, **changes}


def rules_of(world: Any, **changes: Any) -> Ruleset:
    return world.ruleset(**document(world, **changes))


def created(world: Any, stage: str, rules: Ruleset, facts: dict[str, Any] | None = None, **more: Any) -> Decision:
    said = tuple(world.fact(name, literal) for name, literal in (facts or {}).items())
    fields = {"occasion": Occasion.CREATED, "facts": said, **more}
    return world.decide(None, world.observation(stage, **fields), rules)


class TestByThePolicyForEdits:
    def test_it_is_adopted_and_the_criteria_that_it_passed_over_are_named(self, world: Any) -> None:
        decision = created(world, "demo", rules_of(world), {BUDGET: 50})
        assert (decision.outcome, kind(decision)) == (Outcome.ACCEPTED, TransitionKind.ADOPT)
        assert [(r.criterion, r.code) for r in decision.reasons] == [
            ("budget", Code.FAILED), ("sponsor", Code.MISSING),
        ]  # fmt: skip
        opportunity = after(decision)
        assert (opportunity.stage_key, opportunity.earned_stage, decision.crm_target_stage) == (
            "demo", "prospecting", "",
        )  # fmt: skip

    def test_what_lacks_nothing_is_adopted_without_a_word(self, world: Any) -> None:
        decision = created(world, "demo", rules_of(world), {BUDGET: 200, SPONSOR: True})
        assert (decision.to_stage, decision.reasons) == ("demo", ())

    @pytest.mark.parametrize("policy", ["validate_then_adopt", "revert"])
    def test_what_may_not_be_there_begins_in_the_first_stage_and_the_crm_follows(self, world: Any, policy: str) -> None:
        decision = created(world, "discovery", rules_of(world, crm_edit_policy=policy))
        assert (decision.outcome, kind(decision), codes(decision)[0]) == (
            Outcome.ACCEPTED, TransitionKind.ADOPT, Code.EDIT_REVERTED,
        )  # fmt: skip
        assert (decision.crm_expected_stage, decision.crm_target_stage) == ("discovery", "prospecting")
        began = after(decision)
        assert (began.stage_key, began.base_stage, began.in_flight) == (
            "prospecting", "discovery", ((1, "prospecting"),),
        )  # fmt: skip
        confirmed = write_confirmed(began, world.confirmed(1, "prospecting", number=2))
        assert (confirmed.base_stage, confirmed.in_flight) == ("prospecting", ())
        refused = write_parked(began, ParkedWrite("o1", 1, "prospecting", "LOCKED", "", world.start))
        assert refused.sync_error is not None

    def test_a_proposal_names_the_way_back(self, world: Any) -> None:
        decision = created(world, "discovery", rules_of(world, crm_edit_policy="propose_back"))
        assert (decision.to_stage, decision.proposed_stage) == ("discovery", "prospecting")
        assert [r.criterion for r in decision.reasons] == ["budget"]

    @pytest.mark.parametrize("policy", POLICIES)
    def test_what_is_imported_is_taken_as_it_is_and_so_are_the_exempt(self, world: Any, policy: str) -> None:
        rules = rules_of(world, crm_edit_policy=policy, exempt_people=["mona"])
        for more in ({"occasion": Occasion.IMPORTED}, {"changed_by": "mona"}):
            decision = created(world, "demo", rules, **more)
            assert (decision.to_stage, decision.reasons, decision.crm_target_stage) == ("demo", (), "")

    @pytest.mark.parametrize("occasion", [Occasion.CREATED, Occasion.IMPORTED])
    def test_a_stage_that_means_nothing_is_no_way_past(self, world: Any, occasion: Occasion) -> None:
        rules = rules_of(world, crm_edit_policy="revert")
        waits = after(created(world, "", rules, crm_stage="Legacy", occasion=occasion))
        again = after(world.decide(waits, world.observation("", crm_stage="Legacy 2"), rules))
        decision = world.decide(again, world.observation("discovery"), rules)
        back = "prospecting" if occasion is Occasion.CREATED else ""
        assert decision.crm_target_stage == back

    @pytest.mark.parametrize("policy", POLICIES)
    @pytest.mark.parametrize("stage", ["prospecting", "closed_won", "closed_lost"])
    def test_the_first_stage_and_an_end_are_taken_as_they_are(self, world: Any, policy: str, stage: str) -> None:
        decision = created(world, stage, rules_of(world, crm_edit_policy=policy))
        assert (decision.to_stage, decision.reasons, decision.crm_target_stage) == (stage, (), "")

    @pytest.mark.parametrize("policy", ["adopt_as_override", "propose_back"])
    def test_what_has_to_be_approved_begins_before_that_and_waits(self, world: Any, policy: str) -> None:
        stages = document(world)["stages"]
        stages[2]["approval"] = TWO_MANAGERS
        rules = rules_of(world, stages=stages, crm_edit_policy=policy)
        decision = created(world, "demo", rules)
        assert (decision.outcome, decision.to_stage, decision.proposed_stage) == (
            Outcome.ACCEPTED, "prospecting", "demo",
        )  # fmt: skip
        assert codes(decision)[0] is Code.APPROVAL_PENDING
        assert (decision.crm_target_stage, decision.ended_requests) == ("prospecting", ())
        one = world.decide(after(decision), answer(after(decision), "mona"), rules)
        two = world.decide(after(one), answer(after(one), "max"), rules)
        assert (two.to_stage, [each.state for each in two.ended_requests]) == ("demo", [ApprovalState.APPROVED])

    @pytest.mark.parametrize("policy", ["adopt_as_override", "propose_back"])
    def test_an_end_that_has_to_be_approved_waits_as_well(self, world: Any, policy: str) -> None:
        stages = document(world)["stages"]
        won = next(each for each in stages if each["key"] == "closed_won")
        won["approval"] = TWO_MANAGERS
        rules = rules_of(world, stages=stages, crm_edit_policy=policy)
        decision = created(world, "closed_won", rules)
        assert (decision.to_stage, decision.proposed_stage, decision.crm_target_stage) == (
            "prospecting", "closed_won", "prospecting",
        )  # fmt: skip
        assert created(world, "closed_won", rules, occasion=Occasion.IMPORTED).to_stage == "closed_won"
        assert created(world, "closed_lost", rules).to_stage == "closed_lost"

    def test_what_has_to_be_approved_waits_while_the_engine_cannot_be_believed(self, world: Any) -> None:
        stages = document(world)["stages"]
        stages[2]["approval"] = TWO_MANAGERS
        rules = rules_of(world, stages=stages, start_by_criteria=True)
        decision = created(world, "demo", Ruleset(Tables.of(rules.pipeline), lambda *_: ["nonsense"]))
        assert (decision.to_stage, decision.proposed_stage) == ("prospecting", "demo")

    @pytest.mark.parametrize("occasion", [Occasion.UPDATED, Occasion.UNDELETED, Occasion.IMPORTED])
    def test_whatever_shows_the_first_stage_of_a_new_record_is_judged(self, world: Any, occasion: Occasion) -> None:
        rules = rules_of(world, crm_edit_policy="revert")
        waits = after(created(world, "", rules, crm_stage="Legacy"))
        gone = after(world.decide(waits, world.observation("", occasion=Occasion.DELETED), rules))
        for before in (waits, gone):
            decision = world.decide(before, world.observation("discovery", occasion=occasion), rules)
            assert (decision.to_stage, decision.crm_target_stage) == ("prospecting", "prospecting")

    def test_nothing_is_undone_on_a_guess(self, world: Any) -> None:
        rules = rules_of(world, crm_edit_policy="validate_then_adopt")
        decision = created(world, "discovery", Ruleset(Tables.of(rules.pipeline), lambda *_: ["nonsense"]))
        assert (decision.to_stage, codes(decision)[0]) == ("discovery", Code.ENGINE_DISAGREEMENT)

    @settings(max_examples=60)
    @given(
        policy=st.sampled_from(POLICIES),
        stage=st.sampled_from(OPEN),
        facts=st.fixed_dictionaries({}, optional={BUDGET: st.sampled_from([50, 200]), SPONSOR: st.booleans()}),
        skip=st.sampled_from(["forbid", "if_guards_hold"]),
    )
    def test_creating_it_there_comes_to_the_same_as_an_edit_to_there(
        self, world: Any, policy: str, stage: str, facts: dict[str, Any], skip: str
    ) -> None:
        rules = rules_of(world, crm_edit_policy=policy, skip_policy=skip)
        at_once = created(world, stage, rules, facts)
        begun = created(world, "prospecting", rules, facts)
        edited = world.decide(after(begun), world.observation(stage), rules)
        assert at_once.to_stage == edited.to_stage
        assert (at_once.crm_target_stage == "prospecting") is (edited.crm_target_stage == "prospecting")
        if policy != "adopt_as_override":
            assert at_once.proposed_stage == edited.proposed_stage
            # Of an edit that skips it is said besides that it counts.
            assert all(reason in edited.reasons for reason in at_once.reasons)
            assert bool(at_once.reasons) is bool(edited.reasons)


class TestByCriteria:
    @pytest.mark.parametrize(
        ("facts", "stage"),
        [
            ({}, "prospecting"),
            ({BUDGET: 50, SPONSOR: True}, "prospecting"),
            ({BUDGET: 200}, "discovery"),
            ({BUDGET: 200, SPONSOR: True}, "demo"),
        ],
    )
    @pytest.mark.parametrize("policy", POLICIES)
    def test_it_begins_as_far_on_as_its_facts_say_by_one_move(
        self, world: Any, facts: dict[str, Any], stage: str, policy: str
    ) -> None:
        rules = rules_of(world, start_by_criteria=True, crm_edit_policy=policy)
        decision = created(world, "prospecting", rules, facts)
        began = after(decision)
        assert (began.stage_key, began.visit_no, began.revision) == (stage, 1, 1)
        assert began.earned_stage == stage
        assert decision.crm_target_stage == ("" if stage == "prospecting" else stage)
        assert decision.transition is not None and decision.transition.cause is Cause.CRM
        # Where the CRM shows more than that, the policy has its say of the rest.
        shown = created(world, "negotiation", rules, facts)
        assert shown.to_stage == ("negotiation" if policy in ("adopt_as_override", "propose_back") else stage)
        assert created(world, stage, rules, facts).crm_target_stage == ""

    def test_only_where_the_pipeline_lets_it_and_while_rules_move(self, world: Any) -> None:
        facts = {BUDGET: 200, SPONSOR: True}
        assert created(world, "prospecting", rules_of(world), facts).to_stage == "prospecting"
        rules = rules_of(world, start_by_criteria=True)
        for modes in (Modes(1, automation=False), Modes(1, breaker_open=True)):
            assert created(world, "prospecting", compiled(rules.pipeline, modes), facts).to_stage == "prospecting"
        imported = created(world, "prospecting", rules, facts, occasion=Occasion.IMPORTED)
        assert imported.to_stage == "prospecting"

    def test_never_past_people_who_have_to_approve(self, world: Any) -> None:
        stages = document(world)["stages"]
        stages[1]["approval"] = TWO_MANAGERS
        rules = rules_of(world, stages=stages, start_by_criteria=True)
        assert created(world, "prospecting", rules, {BUDGET: 200, SPONSOR: True}).to_stage == "prospecting"

    def test_advice_is_no_reason_to_begin_further_on(self, world: Any) -> None:
        stages = document(world)["stages"]
        stages[1]["entry"][0]["need"] = stages[2]["entry"][0]["need"] = "advisory"
        rules = rules_of(world, stages=stages, start_by_criteria=True)
        assert created(world, "prospecting", rules, {BUDGET: 200, SPONSOR: True}).to_stage == "prospecting"

    def test_what_it_has_earned_falls_with_its_facts(self, world: Any) -> None:
        rules = rules_of(world, start_by_criteria=True)
        began = after(created(world, "prospecting", rules, {BUDGET: 200, SPONSOR: True}))
        less = world.decide(began, world.facts(world.fact(SPONSOR, False)), rules)
        assert (after(less).stage_key, after(less).earned_stage) == ("demo", "discovery")
        assert Code.NO_LONGER_SUPPORTED in codes(less)


@pytest.mark.stack
class TestThroughEvents:
    @pytest.mark.capability(37)
    async def test_a_buyer_who_is_nearly_decided_begins_in_a_later_stage(
        self, world: Any, world_of: Tenant, admin: Client
    ) -> None:
        """Created at the start with facts that meet the entry criteria of later stages; created further on than its
        facts say."""
        content = document(world, start_by_criteria=True, crm_edit_policy="validate_then_adopt")
        await world_of.publish_pipeline(**content)
        new = {"kind": crm.OBSERVATION_KIND_CREATED}
        facts = [fact_of(BUDGET, Decimal(200)), fact_of(SPONSOR, True)]
        await world_of.observe("o1", "prospecting", facts=facts, **new)
        await world_of.observe("o2", "demo", facts=facts[:1], **new)
        await world_of.observe("o3", "demo", facts=facts, **new)
        found = {each.opportunity_id: each for each in await world_of.decisions(3)}
        assert {key: (each.to_stage, each.crm_target_stage) for key, each in found.items()} == {
            "o1": ("demo", "demo"), "o2": ("discovery", "discovery"), "o3": ("demo", ""),
        }  # fmt: skip
        assert found["o2"].reasons[0].code == "EDIT_REVERTED"
        shown = await admin.call("GET", "/v1/opportunities/o1", 200)
        assert (shown["claimed_stage"], shown["earned_stage"]) == ("demo", "demo")
        history = (await admin.call("GET", "/v1/changes?opportunity_id=o1", 200))["items"]
        assert [(each["from_stage"], each["to_stage"]) for each in history] == [("", "demo")]

    async def test_what_has_to_be_approved_waits_also_when_it_is_created_there(
        self, world: Any, world_of: Tenant, admin: Client
    ) -> None:
        content = document(world)
        content["stages"][1]["approval"] = TWO_MANAGERS
        await world_of.publish_pipeline(**content)
        await world_of.observe("o1", "discovery", kind=crm.OBSERVATION_KIND_CREATED)
        (decision,) = await world_of.decisions(1)
        assert (decision.to_stage, decision.crm_target_stage) == ("prospecting", "prospecting")
        (waiting,) = (await admin.call("GET", "/v1/approvals?state=pending", 200))["items"]
        assert (waiting["opportunity_id"], waiting["to_stage"]) == ("o1", "discovery")
