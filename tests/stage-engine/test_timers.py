"""Timers: set, kept, paused and ended with what happens to their opportunity."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from stage_engine.domain.calendar import DEFAULT, Calendar
from stage_engine.domain.decision import Code, Outcome
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.requests import HoldRequest, ResumeRequest
from stage_engine.domain.timers import first_due

DAY = timedelta(days=1)
TOUCH = "activity.last_touch_at"


def stages(world: Any, **of_first: Any) -> list[dict[str, Any]]:
    found = world.document()["stages"]
    found[0].update(of_first)
    return found


def timed(world: Any, timer: dict[str, Any], cell: str = "true", on: str = "stage", **changes: Any) -> Ruleset:
    """The field example where the timer `t` of its first stage, or of all, gives an opportunity up."""
    given = {"key": "t", **timer}
    rule = {"rule_id": "by_time", "from_stage": None, "to_stage": "closed_lost", "mode": "auto", "reason_code": "QUIET",
            "conditions": [{"fact": "timers.t.fired", "cell": cell}]}  # fmt: skip
    if on == "stage":
        changes["stages"] = stages(world, timers=[given])
    else:
        changes["timers"] = [given]
    return world.ruleset(rules=[*world.document()["rules"], rule], **changes)


def fired(world: Any, opportunity: Opportunity, rules: Ruleset, now: datetime) -> Any:
    due = first_due(opportunity, now)
    assert due is not None
    return world.decide(opportunity, due, rules, now)


def held(opportunity: Opportunity, **given: Any) -> HoldRequest:
    return HoldRequest("h1", "o1", opportunity.revision, "mona", **{"reason": "budget", **given})


class TestTimers:
    def test_rules_decide_what_follows_when_it_fires(self, world: Any) -> None:
        rules = timed(world, {"after": "14d"})
        opportunity = world.opportunity(rules=rules)
        assert opportunity.due_at == world.start + 14 * DAY
        assert first_due(opportunity, world.start + 13 * DAY) is None
        decision = fired(world, opportunity, rules, world.start + 15 * DAY)
        assert (decision.outcome, decision.to_stage, decision.rule_id) == (Outcome.ACCEPTED, "closed_lost", "by_time")
        assert decision.transition.reason_code == "QUIET"
        assert decision.opportunity.due_at is None

    def test_leaving_the_stage_cancels_it_and_a_late_firing_changes_nothing(self, world: Any) -> None:
        rules = timed(world, {"after": "14d"})
        opportunity = world.opportunity(rules=rules)
        due = first_due(opportunity, world.start + 15 * DAY)
        moved = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules).opportunity
        assert (moved.stage_key, moved.due_at) == ("discovery", None)
        late = world.decide(moved, due, rules, world.start + 15 * DAY)
        assert (late.outcome, late.reasons[0].code) == (Outcome.NO_OP, Code.SUPERSEDED)
        assert replace(late.opportunity, decision_no=0) == replace(moved, decision_no=0)

    def test_a_new_visit_has_a_timer_of_its_own(self, world: Any) -> None:
        rules = timed(world, {"after": "14d"})
        opportunity = world.opportunity(rules=rules)
        first = first_due(opportunity, world.start + 15 * DAY)
        there = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules).opportunity
        back = world.command(there, "prospecting", reason_code="TOO_EARLY")
        again = world.decide(there, back, rules, world.start + 10 * DAY).opportunity
        assert again.due_at == world.start + 24 * DAY
        assert world.decide(again, first, rules, world.start + 15 * DAY).outcome is Outcome.NO_OP

    def test_what_comes_meanwhile_does_not_set_it_anew(self, world: Any) -> None:
        rules = timed(world, {"after": "14d"})
        opportunity = world.opportunity(rules=rules)
        later = world.start + 3 * DAY
        after = world.decide(opportunity, world.observation("prospecting", amount=Decimal(5)), rules, later).opportunity
        assert after.timers == opportunity.timers

    def test_what_is_imported_after_long_in_its_stage_gets_the_whole_time(self, world: Any) -> None:
        opportunity = world.opportunity(rules=timed(world, {"after": "14d"}), in_stage_since=world.start - 100 * DAY)
        assert opportunity.due_at == world.start + 14 * DAY

    def test_one_of_first_sight_outlives_stages(self, world: Any) -> None:
        rules = timed(world, {"after": "14d", "starts": "on_first_sight"}, on="pipeline")
        opportunity = world.opportunity(rules=rules)
        moved = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules).opportunity
        assert (moved.stage_key, moved.due_at) == ("discovery", world.start + 14 * DAY)

    def test_one_after_a_fact_is_set_anew_with_it(self, world: Any) -> None:
        rules = timed(world, {"after": "90d", "starts": "after_fact", "fact": TOUCH}, on="pipeline")
        opportunity = world.opportunity(rules=rules)
        assert opportunity.due_at is None
        for days in (0, 30):
            touched = world.facts(world.fact(TOUCH, world.start + days * DAY))
            opportunity = world.decide(opportunity, touched, rules, world.start + days * DAY).opportunity
            assert opportunity.due_at == world.start + (days + 90) * DAY
        decision = fired(world, opportunity, rules, world.start + 121 * DAY)
        assert decision.to_stage == "closed_lost"

    @pytest.mark.parametrize(
        ("value", "anchor"),
        [(date(2026, 5, 1), datetime(2026, 5, 1, tzinfo=UTC)), ("hot", datetime(2026, 3, 2, 9, tzinfo=UTC))],
    )
    def test_a_fact_has_its_moment(self, world: Any, value: Any, anchor: datetime) -> None:
        kind = "date" if isinstance(value, date) else "text"
        facts = [{"name": "signal.news", "type": kind}]
        rules = timed(world, {"after": "2d", "starts": "after_fact", "fact": "signal.news"}, facts=facts)
        opportunity = world.opportunity(rules=rules)
        after = world.decide(opportunity, world.facts(world.fact("signal.news", value)), rules).opportunity
        assert after.due_at == anchor + 2 * DAY

    @pytest.mark.parametrize(("value", "after"), [(date(1, 1, 1), "500bd"), (date(9999, 12, 31), "3650d")])
    def test_nothing_runs_from_the_edge_of_the_calendar(self, world: Any, value: Any, after: str) -> None:
        facts = [{"name": "signal.news", "type": "date"}]
        rules = timed(world, {"after": after, "starts": "after_fact", "fact": "signal.news"}, facts=facts)
        opportunity = world.opportunity(rules=rules)
        decision = world.decide(opportunity, world.facts(world.fact("signal.news", value)), rules)
        assert (decision.reasons, decision.opportunity.due_at) == ((), None)

    @pytest.mark.parametrize("year", [1900, 8999])
    def test_one_that_is_far_away_is_paused_and_repeated_like_any_other(self, world: Any, year: int) -> None:
        timer = {"after": "5bd", "repeats": "1bd", "starts": "after_fact", "fact": "signal.news"}
        rules = timed(world, timer, cell=">= 99", facts=[{"name": "signal.news", "type": "date"}])
        said = world.facts(world.fact("signal.news", date(year, 1, 1)))
        opportunity = world.decide(world.opportunity(rules=rules), said, rules).opportunity
        if opportunity.due_at <= world.start:
            opportunity = fired(world, opportunity, rules, world.start).opportunity
        assert opportunity.due_at > world.start
        put_off = world.decide(opportunity, held(opportunity), rules).opportunity
        again = world.decide(put_off, ResumeRequest("r1", "o1", 1, "mona"), rules).opportunity
        assert world.start < again.due_at <= opportunity.due_at

    def test_a_repeating_one_fires_once_after_a_downtime_and_goes_on_in_step(self, world: Any) -> None:
        rules = timed(world, {"after": "1d", "repeats": "1d"}, cell=">= 3")
        opportunity = world.opportunity(rules=rules)
        opportunity = fired(world, opportunity, rules, world.start + 4.5 * DAY).opportunity
        assert (opportunity.timers["t"].fired, opportunity.due_at) == (1, world.start + 5 * DAY)
        opportunity = fired(world, opportunity, rules, world.start + 5 * DAY).opportunity
        assert opportunity.stage_key == "prospecting"
        assert fired(world, opportunity, rules, world.start + 6 * DAY).to_stage == "closed_lost"

    @pytest.mark.parametrize("starts", ["on_first_sight", "after_fact"])
    def test_a_repeating_one_goes_on_after_its_opportunity_was_closed(self, world: Any, starts: str) -> None:
        fact = {"fact": "opportunity.close_date"} if starts == "after_fact" else {}
        timer = {"after": "1d", "repeats": "1d", "starts": starts, **fact}
        rules = timed(world, timer, cell=">= 99", on="pipeline")
        opportunity = world.opportunity(rules=rules, close_date="2026-03-01")
        opportunity = fired(world, opportunity, rules, world.start + DAY).opportunity
        given = {"reason_code": "X", "text": "x", "override": True}
        for days, to_stage in ((2, "closed_lost"), (3, "prospecting")):
            moved = world.command(opportunity, to_stage, **given)
            opportunity = world.decide(opportunity, moved, rules, world.start + days * DAY).opportunity
        assert (opportunity.timers["t"].fired, opportunity.due_at) == (1, world.start + 4 * DAY)

    def test_business_hours_of_the_owner_count(self, world: Any) -> None:
        rules = timed(world, {"after": "2bh"}).in_calendar(Calendar("Asia/Tokyo", DEFAULT.hours, name="tenant@1"))
        friday = datetime(2026, 3, 6, 7, 55, tzinfo=UTC)
        seen = world.observation("prospecting", committed_at=friday)
        decision = world.decide(None, seen, rules, friday)
        assert decision.calendar == "tenant@1"
        assert decision.opportunity.due_at == datetime(2026, 3, 9, 1, 55, tzinfo=UTC)

    def test_that_it_fired_still_supports_what_it_led_to(self, world: Any) -> None:
        rule = {"rule_id": "by_time", "from_stage": "prospecting", "to_stage": "discovery", "mode": "auto",
                "conditions": [{"fact": "timers.t.fired", "cell": "true"}]}  # fmt: skip
        rules = world.ruleset(rules=[rule], stages=stages(world, timers=[{"key": "t", "after": "1d"}]))
        opportunity = fired(world, world.opportunity(rules=rules), rules, world.start + 2 * DAY).opportunity
        seen = world.observation("discovery", amount=Decimal(7))
        after = world.decide(opportunity, seen, rules, world.start + 3 * DAY).opportunity
        assert (after.stage_key, after.earned_stage) == ("discovery", "discovery")

    def test_none_fires_while_the_opportunity_is_out_of_reach(self, world: Any) -> None:
        rules = timed(world, {"after": "14d"})
        opportunity = world.opportunity(rules=rules)
        gone = world.decide(opportunity, world.observation("nowhere"), rules).opportunity
        assert (gone.quarantined, gone.due_at) == (True, None)
        back = world.decide(gone, world.observation("prospecting"), rules).opportunity
        assert back.due_at == world.start + 14 * DAY


class TestExpiry:
    def test_an_override_ends_at_its_time_and_what_it_held_back_counts(self, world: Any) -> None:
        opportunity = world.opportunity("discovery")
        back = world.command(
            opportunity, "prospecting", reason_code="X", text="x", override=True, expires_at=world.start + DAY
        )
        opportunity = world.decide(opportunity, back, now=world.at(30)).opportunity
        early = world.submission("prospecting", "70", opportunity, captured_at=world.start)
        blocked = world.decide(opportunity, early, now=world.at(31))
        assert blocked.reasons[0].code is Code.OVERRIDE_ACTIVE
        decision = fired(world, blocked.opportunity, world.rules, world.start + DAY)
        assert (decision.to_stage, decision.opportunity.override) == ("discovery", None)
        assert decision.opportunity.timers == {}

    def test_it_ends_even_where_this_clock_is_behind(self, world: Any) -> None:
        opportunity = world.opportunity("discovery")
        back = world.command(
            opportunity, "prospecting", reason_code="X", text="x", override=True, expires_at=world.start + DAY
        )
        opportunity = world.decide(opportunity, back).opportunity
        due = first_due(opportunity, world.start + DAY)
        assert world.decide(opportunity, due, now=world.start).opportunity.override is None

    def test_evidence_that_expires_takes_the_earned_stage_with_it(self, world: Any) -> None:
        rules = world.ruleset(evidence_max_age=10)
        opportunity = world.opportunity(rules=rules)
        given = world.submission("prospecting", "70", opportunity, captured_at=world.start)
        opportunity = world.decide(opportunity, given, rules).opportunity
        assert opportunity.earned_stage == "discovery"
        decision = fired(world, opportunity, rules, world.start + 10 * DAY + timedelta(seconds=1))
        assert decision.opportunity.earned_stage == "prospecting"
        assert Code.NO_LONGER_SUPPORTED in {r.code for r in decision.reasons}
        assert decision.opportunity.due_at is None

    def test_evidence_from_the_end_of_the_calendar_does_not_expire(self, world: Any) -> None:
        rules = world.ruleset(evidence_max_age=3650)
        opportunity = world.opportunity(rules=rules)
        given = world.submission("prospecting", "10", opportunity, captured_at=datetime.max.replace(tzinfo=UTC))
        assert world.decide(opportunity, given, rules).opportunity.due_at.year == 9009


class TestPause:
    def test_what_was_left_is_left_after_a_hold(self, world: Any) -> None:
        rules = timed(world, {"after": "14d"})
        opportunity = world.opportunity(rules=rules)
        put_off = world.decide(opportunity, held(opportunity), rules, world.start + 4 * DAY).opportunity
        assert (put_off.due_at, put_off.timers["t"].left) == (None, 10 * DAY)
        resume = ResumeRequest("r1", "o1", put_off.revision, "mona")
        again = world.decide(put_off, resume, rules, world.start + 50 * DAY).opportunity
        assert again.due_at == world.start + 60 * DAY

    def test_what_was_left_in_business_time_is_left_in_business_time(self, world: Any) -> None:
        rules = timed(world, {"after": "2bd"})
        opportunity = world.opportunity(rules=rules)
        put_off = world.decide(opportunity, held(opportunity), rules, world.at(60)).opportunity
        assert put_off.timers["t"].left == timedelta(hours=15)
        saturday = datetime(2026, 3, 14, 12, tzinfo=UTC)
        again = world.decide(put_off, ResumeRequest("r1", "o1", 1, "mona"), rules, saturday).opportunity
        assert again.due_at == datetime(2026, 3, 17, 16, tzinfo=UTC)

    def test_a_hold_that_ends_by_itself_goes_on_with_its_timers(self, world: Any) -> None:
        rules = timed(world, {"after": "14d"})
        opportunity = world.opportunity(rules=rules)
        until = world.start + 30 * DAY
        put_off = world.decide(opportunity, held(opportunity, until=until), rules).opportunity
        assert put_off.due_at == until
        again = fired(world, put_off, rules, until + DAY).opportunity
        assert (again.hold, again.due_at) == (None, until + 15 * DAY)
