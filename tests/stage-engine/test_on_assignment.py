"""Who was chosen for a subject: logged with the reason, kept where a person chose, and given on when left alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

from stage_engine.domain.assigned import Assigned
from stage_engine.domain.decision import Code, Outcome
from stage_engine.domain.inputs import Assignment, Occasion
from stage_engine.domain.on_assignment import owner_refused
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.timers import IDLE, first_due

DAY = timedelta(days=1)


def chosen(world: Any, person_id: str, role: str = "owner", by_person: bool = False, id_: str = "a1") -> Assignment:
    choice = Assigned(role, person_id, "r1", "p1", "r1 holds", world.start, by_person)
    return Assignment(id_, "o1", 1, (choice,), "mona" if by_person else "")


def assigned(world: Any, person_id: str = "ron", **given: Any) -> Opportunity:
    return world.decide(world.opportunity(**given), chosen(world, person_id), given.get("rules")).opportunity


class TestOnAssignment:
    def test_a_choice_is_a_decision_that_moves_nothing(self, world: Any) -> None:
        before = world.opportunity()
        decision = world.decide(before, chosen(world, "ron"))
        assert (decision.outcome, decision.transition) == (Outcome.ACCEPTED, None)
        assert [(each.role, each.person_id, each.reason) for each in decision.assigned] == [
            ("owner", "ron", "r1 holds")
        ]
        after = decision.opportunity
        assert (after.owner_id, after.assignee_id, after.revision) == ("rita", "ron", before.revision)

    def test_the_same_again_changes_nothing_and_no_person_is_a_reason(self, world: Any) -> None:
        after = assigned(world)
        assert world.decide(after, chosen(world, "ron", id_="a2")).outcome is Outcome.NO_OP
        decision = world.decide(after, chosen(world, "", id_="a3"))
        assert (decision.outcome, decision.reasons[0].code) == (Outcome.NO_OP, Code.MISSING)
        assert decision.opportunity.assignee_id == "ron"

    def test_what_a_person_chose_stays(self, world: Any) -> None:
        after = world.decide(assigned(world), chosen(world, "mona", by_person=True, id_="a2")).opportunity
        decision = world.decide(after, chosen(world, "ron", id_="a3"))
        assert (decision.outcome, decision.reasons[0].code) == (Outcome.NO_OP, Code.OVERRIDE_ACTIVE)
        again = world.decide(after, chosen(world, "zoe", by_person=True, id_="a4"))
        assert again.opportunity.assignee_id == "zoe"

    def test_another_owner_in_the_crm_is_a_persons_choice_and_ours_is_none(self, world: Any) -> None:
        ours = world.decide(assigned(world), world.observation("prospecting", owner_id="ron")).opportunity
        assert ours.assigned["owner"].by_person is False
        theirs = world.decide(ours, world.observation("prospecting", owner_id="zoe")).opportunity
        assert (theirs.assignee_id, theirs.assigned["owner"].by_person) == ("zoe", True)
        assert "carl chose zoe" in theirs.assigned["owner"].reason

    def test_the_owner_of_before_that_is_seen_again_is_no_choice(self, world: Any) -> None:
        after = world.decide(assigned(world), world.observation("prospecting", owner_id="rita")).opportunity
        assert (after.assignee_id, after.assigned["owner"].by_person) == ("ron", False)

    def test_whichever_owner_we_asked_for_comes_back_is_no_persons_choice(self, world: Any) -> None:
        first = assigned(world)
        second = world.decide(first, chosen(world, "zoe", id_="a2")).opportunity
        assert second.owners_asked_for == ("ron", "zoe")
        # The echo of the first comes when the second is chosen already.
        echoed = world.decide(second, world.observation("prospecting", owner_id="ron")).opportunity
        assert (echoed.owners_asked_for, echoed.assignee_id) == (("zoe",), "zoe")
        both = world.decide(echoed, world.observation("prospecting", owner_id="zoe")).opportunity
        assert (both.owners_asked_for, both.assigned["owner"].by_person) == ((), False)
        # Nothing is on the way any more, so this is an edit.
        edited = world.decide(both, world.observation("prospecting", owner_id="ron")).opportunity
        assert (edited.assignee_id, edited.assigned["owner"].by_person) == ("ron", True)

    def test_an_owner_whom_the_crm_refused_is_not_waited_for(self, world: Any) -> None:
        after = owner_refused(assigned(world), "ron")
        assert after.owners_asked_for == ()
        assert owner_refused(after, "ron") is after

    def test_an_owner_whom_the_crm_shows_is_not_asked_for(self, world: Any) -> None:
        assert assigned(world, "rita").owners_asked_for == ()

    def test_an_action_is_over_whatever_comes_of_its_assignment(self, world: Any) -> None:
        call = {"key": "give", "kind": "assign", "to": "zoe"}
        rules = world.ruleset(on_first_sight=[call])
        seen = world.decide(None, world.observation("prospecting", occasion=Occasion.CREATED), rules)
        assert seen.opportunity.open_actions.keys() == {"give"}
        for person_id in ("zoe", ""):
            choice = Assigned("owner", person_id, "", "", "named", world.start)
            given = Assignment("action:1", "o1", 0, (choice,), action=("give", 1))
            after = world.decide(seen.opportunity, given, rules).opportunity
            assert (after.open_actions, after.assigned.keys()) == ({}, {"owner"} if person_id else set())

    def test_what_is_left_alone_asks_for_another_owner_once(self, world: Any) -> None:
        rules = world.ruleset(reassign_after="14d")
        after = assigned(world, rules=rules)
        assert after.due_at == world.start + 14 * DAY
        touched = world.facts(world.fact("activity.last_touch_at", world.start + 10 * DAY))
        after = world.decide(after, touched, rules, world.start + 10 * DAY).opportunity
        assert after.due_at == world.start + 24 * DAY
        due = first_due(after, world.start + 24 * DAY)
        assert due is not None and due.key == IDLE
        fired = world.decide(after, due, rules, world.start + 24 * DAY)
        assert (fired.outcome, fired.opportunity.due_at) == (Outcome.NO_OP, None)

    def test_a_touch_at_the_end_of_the_calendar_is_none_too_many(self, world: Any) -> None:
        rules = world.ruleset(reassign_after="14d")
        touched = world.facts(world.fact("activity.last_touch_at", datetime.max.replace(tzinfo=UTC)))
        after = world.decide(assigned(world, rules=rules), touched, rules).opportunity
        assert after.due_at == datetime(9000, 1, 15, tzinfo=UTC)

    def test_what_a_person_gave_someone_is_never_taken_away(self, world: Any) -> None:
        rules = world.ruleset(reassign_after="14d")
        by_person = chosen(world, "zoe", by_person=True, id_="a2")
        after = world.decide(assigned(world, rules=rules), by_person, rules).opportunity
        assert after.due_at is None
