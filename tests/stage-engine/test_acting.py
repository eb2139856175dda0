"""Actions: what a decision asks for with its move, and what becomes of it."""

from contextlib import nullcontext
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from stage_engine.domain.acting import settled
from stage_engine.domain.actions import Action, ActionKind, TextError, parse_text, rendered
from stage_engine.domain.assigned import Assigned
from stage_engine.domain.decision import Decision, TransitionKind
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Assignment, Migration, Occasion, Reassignment
from stage_engine.domain.lint import lint
from stage_engine.domain.modes import Modes
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.replay import StoredDecision, encode_decision, encode_input, encode_opportunity, run_again
from stage_engine.domain.requests import HoldRequest, ResumeRequest
from stage_engine.domain.timers import first_due
from stage_engine.engine import compiled
from stage_engine.schemas.pipelines import DraftBody

DAY = timedelta(days=1)
FACTS = [{"name": "account.city", "type": "text"}]


def task(key: str, **given: Any) -> dict[str, Any]:
    return {"key": key, "kind": "task", "text": key, **given}


def acting(world: Any, **changes: Any) -> Ruleset:
    """The field example where every stage and every rule asks for something; `of_<stage>` changes a stage."""
    document = world.document()
    for stage in document["stages"]:
        key = stage["key"]
        stage["on_entry"] = [task(f"enter_{key}"), task(f"once_{key}", once_per_cycle=True)]
        if stage["category"] == "open":
            stage["on_exit"], stage["on_close"] = [task(f"leave_{key}")], [task(f"dispose_{key}")]
        stage.update(changes.pop(f"of_{key}", {}))
    rules = [{**rule, "actions": [task(f"by_{rule['rule_id']}")]} for rule in document["rules"]]
    given = {"stages": document["stages"], "rules": rules, "on_first_sight": [task("greet")], "facts": FACTS}
    return world.ruleset(**{**given, **changes})


def keys(decision: Decision) -> list[str]:
    return [asked.key for asked in decision.actions]


def seen(world: Any, rules: Ruleset, stage: str = "prospecting", **given: Any) -> Decision:
    return world.decide(None, world.observation(stage, occasion=Occasion.CREATED, **given), rules)


def there(world: Any, rules: Ruleset, stage: str = "prospecting") -> Opportunity:
    return world.opportunity(stage, rules)


class TestKindsOfTransition:
    """The table of kinds: each with the actions that it asks for, in order."""

    def test_first_sight_by_an_edit_asks_for_entry(self, world: Any) -> None:
        decision = seen(world, acting(world))
        assert decision.transition is not None
        assert decision.transition.kind is TransitionKind.ADOPT
        assert keys(decision) == ["greet", "enter_prospecting", "once_prospecting"]

    def test_an_import_asks_for_nothing(self, world: Any) -> None:
        rules = acting(world)
        decision = world.decide(None, world.observation("prospecting", occasion=Occasion.IMPORTED), rules)
        assert (keys(decision), decision.opportunity.open_actions) == ([], {})
        again = world.observation("discovery", occasion=Occasion.IMPORTED)
        assert keys(world.decide(decision.opportunity, again, rules)) == []

    def test_an_advance_leaves_moves_and_arrives(self, world: Any) -> None:
        rules = acting(world)
        before = there(world, rules)
        decision = world.decide(before, world.submission("prospecting", "70", before), rules)
        rule = decision.rule_id
        assert keys(decision) == ["leave_prospecting", f"by_{rule}", "enter_discovery", "once_discovery"]
        assert [a.phase for a in decision.actions] == ["exit", "transition", "entry", "entry"]

    def test_an_edit_in_the_crm_leaves_and_arrives(self, world: Any) -> None:
        rules = acting(world)
        decision = world.decide(there(world, rules), world.observation("discovery"), rules)
        assert keys(decision) == ["leave_prospecting", "enter_discovery", "once_discovery"]

    def test_a_skip_asks_for_nothing_of_what_it_passes_over(self, world: Any) -> None:
        rules = acting(world)
        decision = world.decide(there(world, rules), world.observation("demo"), rules)
        assert decision.transition.kind is TransitionKind.SKIP
        assert keys(decision) == ["leave_prospecting", "enter_demo", "once_demo"]

    def test_a_way_back_does_not_repeat_what_is_asked_once_in_a_cycle(self, world: Any) -> None:
        rules = acting(world)
        first = seen(world, rules)
        forth = world.decide(first.opportunity, world.observation("discovery"), rules)
        back = world.decide(forth.opportunity, world.observation("prospecting"), rules)
        assert back.transition.kind is TransitionKind.REGRESS
        assert keys(back) == ["leave_discovery", "enter_prospecting"]

    @pytest.mark.parametrize("stage", ["closed_won", "closed_lost"])
    def test_closing_leaves_arrives_and_disposes(self, world: Any, stage: str) -> None:
        rules = acting(world)
        decision = world.decide(there(world, rules, "demo"), world.observation(stage), rules)
        assert keys(decision) == ["leave_demo", f"enter_{stage}", f"once_{stage}", "dispose_demo"]

    def test_from_one_outcome_to_the_other_only_arrives(self, world: Any) -> None:
        rules = acting(world)
        decision = world.decide(there(world, rules, "closed_won"), world.observation("closed_lost"), rules)
        assert keys(decision) == ["enter_closed_lost", "once_closed_lost"]

    def test_reopening_arrives_in_a_new_cycle(self, world: Any) -> None:
        rules = acting(world)
        first = seen(world, rules, "demo")
        lost = world.decide(first.opportunity, world.observation("closed_lost"), rules)
        decision = world.decide(lost.opportunity, world.observation("demo"), rules)
        assert decision.transition.kind is TransitionKind.REOPEN
        assert keys(decision) == ["enter_demo", "once_demo"]

    def test_a_migration_asks_for_nothing(self, world: Any) -> None:
        rules = acting(world)
        before = there(world, rules).changed(pipeline_version=0)
        given = Migration("m1", "o1", 1, (("prospecting", "discovery"),), False, False, "adele")
        decision = world.decide(before, given, rules)
        assert (decision.to_stage, keys(decision)) == ("discovery", [])

    def test_a_reassignment_arrives(self, world: Any) -> None:
        rules = acting(world)
        before = there(world, rules).changed(pipeline_key="another")
        given = Reassignment("c1", "o1", rules.pipeline.key, 1, "discovery", "prospecting", (), "carl")
        assert keys(world.decide(before, given, rules)) == ["enter_discovery", "once_discovery"]

    def test_a_reassignment_leaves_the_stage_of_the_other_pipeline_too(self, world: Any) -> None:
        rules = acting(world)
        city = world.fact("account.town", "Bonn")
        before = there(world, rules).changed(pipeline_key="another", facts={"account.town": city})
        # The town is read by the other pipeline only, and both have an action of the second key.
        left = (Action("leave_there", ActionKind.TASK, "{account.town}"), Action("leave_demo", ActionKind.TASK, "a"))
        given = Reassignment("c1", "o1", rules.pipeline.key, 1, "discovery", "prospecting", (), "carl", left)
        decision = world.decide(before, given, rules)
        assert keys(decision) == ["leave_there", "another/leave_demo", "enter_discovery", "once_discovery"]
        assert [(a.phase, a.text) for a in decision.actions[:2]] == [("exit", "Bonn"), ("exit", "a")]
        again = StoredDecision(
            encode_opportunity(before), encode_input(given), encode_decision(decision),
            encode_opportunity(decision.opportunity),
        )  # fmt: skip
        assert run_again(again, rules, world.start)[1]
        stays = Reassignment("c2", "o1", "none", 1, "", "", (), "carl", left)
        assert keys(world.decide(there(world, rules), stays, rules)) == []

    def test_a_hold_and_its_end_ask_for_theirs(self, world: Any) -> None:
        away = [task("away", text="{move.reason} in {move.to}")]
        rules = acting(world, on_hold=away, on_resume=[task("back")])
        before = there(world, rules)
        until = world.start + DAY
        held = world.decide(before, HoldRequest("h1", "o1", 1, "mona", "budget", until), rules)
        assert [(a.key, a.phase, a.text) for a in held.actions] == [("away", "hold", "budget in Prospecting")]
        longer = world.decide(held.opportunity, HoldRequest("h2", "o1", 1, "mona", "more", until + DAY), rules)
        assert keys(longer) == []
        by_person = world.decide(held.opportunity, ResumeRequest("r1", "o1", 1, "mona"), rules)
        due = first_due(held.opportunity, until)
        by_timer = world.decide(held.opportunity, due, rules, until)
        assert [keys(each) for each in (by_person, by_timer)] == [["back"], ["back"]]
        lost = world.decide(held.opportunity, world.observation("closed_lost"), rules)
        assert keys(lost)[0] == "leave_prospecting"

    def test_what_moves_nothing_asks_for_nothing(self, world: Any) -> None:
        rules = acting(world)
        before = there(world, rules)
        low = world.decide(before, world.submission("prospecting", "10", before), rules)
        held = world.decide(before, HoldRequest("h1", "o1", before.revision, "mona", "budget"), rules)
        refused = world.decide(before, world.command(before, "demo"), rules)
        assert [keys(each) for each in (low, held, refused)] == [[], [], []]


class TestTimers:
    """A timer asks for its actions each time it fires, whatever rules make of it."""

    def timed(self, world: Any, *, repeats: str = "", **changes: Any) -> Ruleset:
        timer = {"key": "quiet", "after": "90d", "repeats": repeats, "actions": [task("call", text="In {move.to}")]}
        return world.ruleset(timers=[timer], **changes)

    def test_one_that_moves_nothing_asks_for_its_actions(self, world: Any) -> None:
        rules = self.timed(world)
        before = there(world, rules)
        at = world.start + 90 * DAY
        assert first_due(before, at - timedelta(seconds=1)) is None
        decision = world.decide(before, first_due(before, at), rules, at)
        assert [(a.key, a.phase, a.text) for a in decision.actions] == [("call", "timer", "In Prospecting")]
        assert (decision.outcome, decision.transition, decision.opportunity.revision) == ("no_op", None, 1)
        assert first_due(decision.opportunity, at + 29 * DAY) is None

    def test_one_that_repeats_asks_again_and_each_is_settled_once(self, world: Any) -> None:
        rules = self.timed(world, repeats="1d")
        opportunity, asked, over = there(world, rules), [], []
        at = world.start + 90 * DAY
        for day in range(3):
            now = at + day * DAY
            decision = world.decide(opportunity, first_due(opportunity, now), rules, now)
            opportunity = decision.opportunity
            asked += [now for _ in decision.actions]
            over += [each.asked_at for each in decision.lapsed]
        assert (asked, over) == ([at, at + DAY, at + 2 * DAY], asked[:2])

    def test_with_a_move_the_timer_comes_first(self, world: Any) -> None:
        rule = {"rule_id": "on", "from_stage": "prospecting", "to_stage": "discovery", "mode": "auto",
                "conditions": [{"fact": "timers.quiet.fired", "cell": "true"}]}  # fmt: skip
        stages = world.document()["stages"]
        next(s for s in stages if s["key"] == "discovery")["on_entry"] = [task("enter")]
        rules = self.timed(world, rules=[rule], stages=stages)
        before, at = there(world, rules), world.start + 90 * DAY
        decision = world.decide(before, first_due(before, at), rules, at)
        assert [(a.key, a.phase) for a in decision.actions] == [("call", "timer"), ("enter", "entry")]

    @pytest.mark.parametrize("stage", ["closed_won", "closed_lost"])
    def test_a_closed_or_deleted_subject_asks_for_nothing(self, world: Any, stage: str) -> None:
        rules = self.timed(world)
        before, at = there(world, rules), world.start + 90 * DAY
        assert first_due(world.decide(before, world.observation(stage), rules).opportunity, at) is None
        gone = before.changed(deleted=True)
        assert keys(world.decide(gone, first_due(before, at), rules, at)) == []

    def test_the_kill_switch_holds_for_timers_too(self, world: Any) -> None:
        rules = self.timed(world)
        before, at = there(world, rules), world.start + 90 * DAY
        off = Modes(1, {}, automation=False)
        decision = world.decide(before, first_due(before, at), compiled(rules.pipeline, off), at)
        assert (keys(decision), [r.code for r in decision.reasons]) == ([], ["AUTOMATION_OFF"])

    def test_only_one_that_nothing_comes_of_is_warned_of(self, world: Any) -> None:
        for actions, codes in (([], ["timer_unread"]), ([task("call")], [])):
            pipeline = world.pipeline(timers=[{"key": "quiet", "after": "90d", "actions": actions}])
            found = lint(pipeline, {}, lambda _: None)
            assert [f.code for f in found if f.pointer.startswith("/timers")] == codes
        broken = world.pipeline(timers=[{"key": "quiet", "after": "90d", "actions": [task("call", text="{")]}])
        pointers = [f.pointer for f in lint(broken, {}, lambda _: None) if f.severity == "error"]
        assert pointers == ["/timers/0/actions/0/text"]


def chosen(world: Any, *people: str, action: tuple[str, int] | None = None) -> Assignment:
    choices = tuple(Assigned("owner", each, "in_turn", "inside", "in turn", world.start) for each in people)
    return Assignment("first:o1", "o1", 1, choices, action=action)


class TestOwner:
    """What is for the owner of a new subject goes to the one whom rules choose for it."""

    def test_it_waits_for_the_choice_and_goes_to_who_was_chosen(self, world: Any) -> None:
        named = task("tell", to="mona")
        rules = acting(world, on_first_sight=[task("greet"), named])
        first = seen(world, rules, owner_id="integration", owner_to_come=True)
        assert [(each.key, each.to) for each in first.actions] == [("tell", "mona")]
        second = world.decide(first.opportunity, chosen(world, "ron"), rules)
        found = {each.key: (each.to, each.phase) for each in second.actions}
        assert found == {"greet": ("ron", "first_sight"), "enter_prospecting": ("ron", "entry"),
                         "once_prospecting": ("ron", "entry")}  # fmt: skip
        assert second.opportunity.open_actions.keys() == {"tell", *found}
        again = world.decide(second.opportunity, chosen(world, "zoe"), rules)
        assert (again.actions, again.opportunity.awaiting_owner) == ((), ())

    def test_where_no_one_is_chosen_it_goes_to_the_owner_in_the_crm(self, world: Any) -> None:
        rules = acting(world)
        first = seen(world, rules, owner_id="integration", owner_to_come=True)
        for no_one in (chosen(world), chosen(world, "")):
            assert {each.to for each in world.decide(first.opportunity, no_one, rules).actions} == {"integration"}

    def test_a_role_that_an_action_gives_is_not_the_choice(self, world: Any) -> None:
        rules = acting(world)
        first = seen(world, rules, owner_id="integration", owner_to_come=True)
        zoe = world.decide(first.opportunity, chosen(world, "zoe", action=("give", 1)), rules)
        assert zoe.actions == ()
        assert {each.to for each in world.decide(zoe.opportunity, chosen(world), rules).actions} == {"zoe"}

    def test_what_is_asked_for_meanwhile_waits_too(self, world: Any) -> None:
        rules = acting(world)
        first = seen(world, rules, owner_id="integration", owner_to_come=True)
        moved = world.decide(first.opportunity, world.submission("prospecting", 70), rules)
        assert (moved.opportunity.stage_key, moved.actions) == ("discovery", ())
        found = keys(world.decide(moved.opportunity, chosen(world, "ron"), rules))
        assert found[0] == "greet" and found[-1] == "once_discovery"

    def test_one_that_is_deleted_asks_for_nothing(self, world: Any) -> None:
        rules = acting(world)
        first = seen(world, rules, owner_id="integration", owner_to_come=True)
        gone = world.decide(first.opportunity, world.observation("prospecting", occasion=Occasion.DELETED), rules)
        assert world.decide(gone.opportunity, chosen(world, "ron"), rules).actions == ()

    def test_what_is_asked_for_before_the_crm_shows_the_choice_goes_to_who_was_chosen(self, world: Any) -> None:
        rules = acting(world)
        before = world.decide(there(world, rules), chosen(world, "ron"), rules).opportunity
        moved = world.decide(before, world.submission("prospecting", 70), rules)
        assert moved.actions and {each.to for each in moved.actions} == {"ron"}


class TestTexts:
    def test_facts_and_the_move_are_filled_in(self, world: Any) -> None:
        text = "Offer {opportunity.amount} after {move.from}, {subject.id} in {account.city|no city} {{now}}"
        fields = [{"name": "NextStep", "value": "{move.to}"}, {"name": "City__c", "value": "{account.city}"}]
        entry = [
            task("offer", text=text, to="{account.city}", due_after="2d"),
            {"key": "note", "kind": "field_update", "fields": fields},
        ]
        rules = acting(world, of_discovery={"on_entry": entry})
        decision = world.decide(there(world, rules), world.observation("discovery", amount=Decimal("12.50")), rules)
        _, offer, note = decision.actions
        assert offer.text == "Offer 12.5 after Prospecting, o1 in no city {now}"
        # Whom it is for is not known: the owner.
        assert (offer.to, offer.due_at) == ("rita", world.start + 2 * DAY)
        # A field whose value is unknown is left alone.
        assert note.fields == (("NextStep", "Discovery"),)

    @pytest.mark.parametrize("text", ["{", "}", "a {} b", "{ }", "{a{b}}", "}{"])
    def test_nothing_else_is_allowed_in_braces(self, text: str) -> None:
        with pytest.raises(TextError):
            parse_text(text)

    @given(st.text(max_size=40))
    def test_any_text_can_be_written(self, text: str) -> None:
        escaped = text.replace("{", "{{").replace("}", "}}")
        assert rendered(escaped, {}).text == text

    @given(st.text(alphabet="{}|a. ", max_size=20))
    def test_a_text_is_read_or_refused(self, text: str) -> None:
        try:
            parts = parse_text(text)
        except TextError:
            return
        assert rendered(text, {}).complete is all(isinstance(p, str) or p.otherwise is not None for p in parts)


class TestSettling:
    def test_one_that_is_not_settled_in_time_expires_by_itself_and_moves_nothing(self, world: Any) -> None:
        entry = [task("call", expires_after="3d"), task("mail")]
        rules = acting(world, of_prospecting={"on_entry": entry}, on_first_sight=[])
        opportunity = seen(world, rules).opportunity
        assert opportunity.due_at == world.start + 3 * DAY
        due = first_due(opportunity, world.start + 4 * DAY)
        decision = world.decide(opportunity, due, rules, world.start + 4 * DAY)
        assert [(e.key, e.revision) for e in decision.lapsed] == [("call", 1)]
        assert (decision.transition, decision.opportunity.stage_key) == (None, "prospecting")
        assert decision.opportunity.open_actions.keys() == {"mail"}
        assert decision.opportunity.due_at == world.start + 30 * DAY

    def test_one_that_was_settled_does_not_expire(self, world: Any) -> None:
        rules = acting(world, of_prospecting={"on_entry": [task("call")]}, on_first_sight=[])
        opportunity = seen(world, rules).opportunity
        after = settled(opportunity, "call", 1)
        assert (after.open_actions, after.due_at, after.stage_key) == ({}, None, "prospecting")
        assert settled(after, "call", 1) is after
        assert settled(opportunity, "call", 2) is opportunity

    def test_one_that_is_asked_for_again_takes_the_place_of_the_first(self, world: Any) -> None:
        rules = acting(world)
        opportunity = seen(world, rules).opportunity
        for stage in ("discovery", "prospecting"):
            decision = world.decide(opportunity, world.observation(stage), rules)
            opportunity = decision.opportunity
        assert [(e.key, e.revision) for e in decision.lapsed] == [("enter_prospecting", 1)]
        assert opportunity.open_actions["enter_prospecting"].revision == 3

    def test_the_decision_is_made_again_to_the_byte(self, world: Any) -> None:
        rules = acting(world)
        before = seen(world, rules).opportunity
        given = world.observation("discovery")
        decision = world.decide(before, given, rules)
        after = encode_opportunity(decision.opportunity)
        stored = StoredDecision(encode_opportunity(before), encode_input(given), encode_decision(decision), after)
        assert run_again(stored, rules, world.start)[1]

    @given(st.lists(st.sampled_from(["prospecting", "discovery", "demo", "closed_won", "closed_lost"]), max_size=12))
    def test_whatever_happens_each_is_open_once_and_settled_once(self, world: Any, way: list[str]) -> None:
        rules = acting(world)
        opportunity = seen(world, rules).opportunity
        asked = [(key, each.revision) for key, each in opportunity.open_actions.items()]
        over: list[tuple[str, int]] = []
        now = world.start
        for stage in way:
            now += 11 * DAY
            while (due := first_due(opportunity, now)) is not None:
                decision = world.decide(opportunity, due, rules, now)
                over += [(each.key, each.revision) for each in decision.lapsed]
                opportunity = decision.opportunity
            decision = world.decide(opportunity, world.observation(stage), rules, now)
            opportunity = decision.opportunity
            asked += [(each.key, opportunity.revision) for each in decision.actions]
            over += [(each.key, each.revision) for each in decision.lapsed]
        assert len(set(asked)) == len(asked)
        still = [(key, each.revision) for key, each in opportunity.open_actions.items()]
        assert sorted(over + still) == sorted(asked)


class TestLint:
    def found(self, world: Any, *actions: dict[str, Any], **changes: Any) -> list[tuple[str, str]]:
        rules = world.pipeline(on_first_sight=list(actions), **changes)
        findings = lint(rules, {}, lambda _: None)
        return [(f.code, f.pointer) for f in findings if f.severity == "error"]

    @pytest.mark.parametrize(
        ("action", "code", "place"),
        [
            ({"kind": "task"}, "action_incomplete", "text"),
            ({"kind": "task", "text": "a", "target": "b"}, "action_part_unused", "target"),
            ({"kind": "email"}, "action_incomplete", "target"),
            ({"kind": "field_update"}, "action_incomplete", "fields"),
            ({"kind": "webhook", "target": "crm", "due_after": "1d"}, "action_part_unused", "due_after"),
            ({"kind": "convert_lead"}, "action_not_of_type", "kind"),
            ({"kind": "assign"}, "action_incomplete", "to"),
            ({"kind": "assign", "to": "a", "target": "The Owner"}, "action_role_invalid", "target"),
            ({"kind": "task", "text": "{account.none}"}, "fact_unknown", "text"),
            ({"kind": "task", "text": "{"}, "text_invalid", "text"),
            ({"kind": "task", "text": "a", "due_after": "soon"}, "duration_invalid", "due_after"),
            ({"kind": "task", "text": "a", "expires_after": ""}, "duration_invalid", "expires_after"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_carried_out_is_refused(
        self, world: Any, action: dict[str, Any], code: str, place: str
    ) -> None:
        assert self.found(world, {"key": "a", **action}) == [(code, f"/on_first_sight/0/{place}")]

    def test_a_key_names_one_action_of_the_pipeline(self, world: Any) -> None:
        found = self.found(world, task("a"), task("a"))
        assert found == [("action_duplicate", f"/on_first_sight/{i}/key") for i in range(2)]

    def test_a_closed_stage_is_not_left(self, world: Any) -> None:
        stages = world.document()["stages"]
        index = next(i for i, each in enumerate(stages) if each["category"] == "won")
        stages[index]["on_exit"] = [task("a")]
        assert self.found(world, stages=stages) == [("action_never_asked", f"/stages/{index}/on_exit")]

    def test_facts_of_texts_are_kept(self, world: Any) -> None:
        rules = acting(world, on_first_sight=[task("a", text="{account.city}")])
        assert "account.city" in rules.pipeline.reads

    def test_a_draft_has_actions_that_can_be_checked(self, world: Any) -> None:
        document = {name: value for name, value in world.document().items() if name != "key"}
        for number, fits in ((20, True), (21, False)):
            rules = [{**document["rules"][0], "rule_id": f"r{i}", "actions": [task(f"a{i}_{j}") for j in range(10)]}
                     for i in range(number)]  # fmt: skip
            errors = pytest.raises(ValidationError) if not fits else nullcontext()
            with errors:
                DraftBody.model_validate({**document, "rules": rules})
