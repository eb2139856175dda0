"""Opportunities that are put off, and those that nothing happens to."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from stage_engine.domain.calendar import DEFAULT, Calendar
from stage_engine.domain.decision import Code, Outcome
from stage_engine.domain.holds import age, business_age, stage_age, staleness_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.requests import HoldRequest, ResumeRequest

DAY = timedelta(days=1)
TOUCH = "activity.last_touch_at"


def hold(opportunity: Opportunity, **given: Any) -> HoldRequest:
    return HoldRequest("h1", "o1", opportunity.revision, "mona", **{"reason": "budget", **given})


def resume(opportunity: Opportunity) -> ResumeRequest:
    return ResumeRequest("r1", "o1", opportunity.revision, "mona")


class TestHold:
    def test_the_stage_stays_and_rules_do_not_move_it(self, world: Any) -> None:
        opportunity = world.opportunity()
        decision = world.decide(opportunity, hold(opportunity))
        assert (decision.outcome, decision.transition, decision.to_stage) == (Outcome.ACCEPTED, None, "prospecting")
        put_off = decision.opportunity
        assert (put_off.revision, put_off.hold.reason) == (opportunity.revision, "budget")
        scored = world.decide(put_off, world.submission("prospecting", "70", put_off))
        assert (scored.outcome, scored.reasons[0].code) == (Outcome.REJECTED, Code.ON_HOLD)
        assert (scored.opportunity.stage_key, scored.opportunity.earned_stage) == ("prospecting", "discovery")
        gone_on = world.decide(scored.opportunity, resume(put_off), now=world.start + DAY)
        assert (gone_on.outcome, gone_on.to_stage, gone_on.opportunity.hold) == (Outcome.ACCEPTED, "discovery", None)

    def test_going_on_is_accepted_where_rules_fall_short(self, world: Any) -> None:
        opportunity = world.opportunity()
        put_off = world.decide(opportunity, hold(opportunity)).opportunity
        decision = world.decide(put_off, resume(put_off))
        assert (decision.outcome, decision.opportunity.hold) == (Outcome.ACCEPTED, None)

    def test_a_person_still_moves_it_and_closing_ends_it(self, world: Any) -> None:
        opportunity = world.opportunity()
        put_off = world.decide(opportunity, hold(opportunity)).opportunity
        lost = world.decide(put_off, world.command(put_off, "closed_lost", reason_code="GONE"), now=world.start + DAY)
        assert (lost.outcome, lost.opportunity.hold) == (Outcome.ACCEPTED, None)
        assert lost.opportunity.held.ever == DAY

    def test_a_fact_ends_it_and_what_came_counts(self, world: Any) -> None:
        rules = world.ruleset(rules=[
            *world.document()["rules"],
            {"rule_id": "x", "from_stage": "demo", "to_stage": "negotiation",
             "conditions": [{"fact": "contacts.buyers", "cell": "> 3"}]},
        ])  # fmt: skip
        opportunity = world.opportunity(rules=rules)
        wanted = hold(opportunity, fact="contacts.buyers", cell="> 0")
        put_off = world.decide(opportunity, wanted, rules).opportunity
        scored = world.decide(put_off, world.submission("prospecting", "70", put_off), rules).opportunity
        assert scored.hold is not None
        decision = world.decide(scored, world.facts(world.fact("contacts.buyers", 1)), rules)
        assert (decision.to_stage, decision.opportunity.hold) == ("discovery", None)
        known = decision.opportunity
        refused = world.decide(known, hold(known, fact="contacts.buyers", cell="> 0"), rules)
        assert (refused.reasons[0].code, refused.reasons[0].message) == (
            Code.FAILED,
            "contacts.buyers meets > 0 already",
        )

    def test_holding_again_changes_until_when_and_not_since_when(self, world: Any) -> None:
        opportunity = world.opportunity()
        first = world.decide(opportunity, hold(opportunity)).opportunity
        again = world.decide(first, hold(first, until=world.start + 9 * DAY), now=world.start + DAY).opportunity
        assert (again.hold.since, again.due_at) == (world.start, world.start + 9 * DAY)

    @pytest.mark.parametrize(
        ("given", "code", "words"),
        [
            ({"until": datetime(2026, 3, 1, tzinfo=UTC)}, Code.FAILED, "has passed; hold until a later time"),
            ({"until_day": date(2026, 3, 2)}, Code.FAILED, "2026-03-02 has passed"),
            ({"reason": "  "}, Code.MISSING, "a hold needs a reason"),
            ({"fact": "account.mood", "cell": "known"}, Code.FACT_UNREAD, "hold until a time instead"),
            ({"fact": "opportunity.amount", "cell": ">> 3"}, Code.FAILED, ">"),
            ({"fact": "opportunity.amount", "cell": "'much'"}, Code.FAILED, "no value of opportunity.amount meets"),
            ({"expected_revision": 9}, Code.STALE_REVISION, "meant for 9"),
        ],
    )
    def test_what_cannot_be_is_refused_with_words(self, world: Any, given: Any, code: Code, words: str) -> None:
        opportunity = world.opportunity()
        request = HoldRequest("h1", "o1", **{"expected_revision": 1, "actor": "mona", "reason": "x", **given})
        decision = world.decide(opportunity, request)
        assert (decision.outcome, decision.reasons[0].code) == (Outcome.REJECTED, code)
        assert words in decision.reasons[0].message
        assert decision.opportunity.hold is None

    def test_what_is_closed_or_not_on_hold_is_refused(self, world: Any) -> None:
        closed = world.opportunity("closed_lost")
        assert world.decide(closed, hold(closed)).reasons[0].code is Code.TERMINAL
        opportunity = world.opportunity()
        assert "not on hold" in world.decide(opportunity, resume(opportunity)).reasons[0].message

    @pytest.mark.parametrize(
        ("zone", "day", "begins"),
        [
            ("Europe/Berlin", date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC)),
            ("Europe/Berlin", date(2026, 3, 30), datetime(2026, 3, 29, 22, tzinfo=UTC)),
            ("Africa/Cairo", date(2026, 4, 24), datetime(2026, 4, 23, 22, tzinfo=UTC)),
        ],
    )
    def test_a_date_is_the_owners_also_where_the_clocks_change(
        self, world: Any, zone: str, day: date, begins: datetime
    ) -> None:
        rules = world.rules.in_calendar(Calendar(zone, DEFAULT.hours, name="tenant@1"))
        opportunity = world.opportunity(rules=rules)
        put_off = world.decide(opportunity, hold(opportunity, until_day=day), rules).opportunity
        assert put_off.due_at == begins


class TestAge:
    def test_time_on_hold_is_left_out(self, world: Any) -> None:
        opportunity = world.opportunity()
        put_off = world.decide(opportunity, hold(opportunity), now=world.start + 3 * DAY).opportunity
        assert stage_age(put_off, world.start + 40 * DAY) == 3
        again = world.decide(put_off, resume(put_off), now=world.start + 40 * DAY).opportunity
        now = world.start + 44 * DAY
        assert (stage_age(again, now), age(again, world.start - 10 * DAY, now)) == (7, 17)
        # The time ran from Monday to Thursday, and from a Saturday to a Wednesday.
        assert business_age(again, world.rules.pipeline, now) == 5

    def test_a_new_stage_begins_anew(self, world: Any) -> None:
        opportunity = world.opportunity()
        put_off = world.decide(opportunity, hold(opportunity)).opportunity
        again = world.decide(put_off, resume(put_off), now=world.start + 40 * DAY).opportunity
        given = world.submission("prospecting", "70", again)
        moved = world.decide(again, given, now=world.start + 41 * DAY).opportunity
        assert stage_age(moved, world.start + 43 * DAY) == 2
        assert moved.held.ever == 40 * DAY


class TestStaleness:
    def limited(self, world: Any) -> Any:
        stages = world.document()["stages"]
        stages[0].update(expected_days=10, stalled_after_days=7)
        return world.ruleset(stages=stages)

    def test_a_touch_counts_or_else_the_last_evidence(self, world: Any) -> None:
        rules = self.limited(world)
        opportunity = world.opportunity(rules=rules)
        assert staleness_of(opportunity, rules.pipeline).stalled_at == world.start + 7 * DAY
        given = world.submission("prospecting", "50", opportunity, captured_at=world.start + DAY)
        scored = world.decide(opportunity, given, rules, world.start + DAY).opportunity
        assert staleness_of(scored, rules.pipeline).stalled_at == world.start + 8 * DAY
        fact = world.fact(TOUCH, world.start + 5 * DAY)
        touched = world.decide(scored, world.facts(fact), rules, world.start + 5 * DAY).opportunity
        stale = staleness_of(touched, rules.pipeline)
        assert (stale.stalled_at, stale.rotting_at) == (
            world.start + 12 * DAY,
            datetime(2026, 3, 13, 17, tzinfo=UTC),
        )

    def test_a_touch_at_the_end_of_the_calendar_is_none_too_many(self, world: Any) -> None:
        rules = self.limited(world)
        touch = world.fact(TOUCH, datetime(9999, 12, 31, tzinfo=UTC))
        touched = world.decide(world.opportunity(rules=rules), world.facts(touch), rules).opportunity
        assert staleness_of(touched, rules.pipeline).stalled_at == datetime(9000, 1, 8, tzinfo=UTC)

    def test_business_time_is_counted_since_1970_at_the_earliest(self, world: Any) -> None:
        """A CRM may name any year; months without end would hold up all others."""
        rules = self.limited(world)
        ages = [
            business_age(world.opportunity(rules=rules, committed_at=datetime(year, 1, 1, tzinfo=UTC)), rules.pipeline,
                         world.start)
            for year in (1, 1899, 1970)
        ]  # fmt: skip
        assert ages[0] == ages[1] == ages[2]

    def test_an_opportunity_on_hold_is_not_stale_and_going_on_is_a_sign_of_life(self, world: Any) -> None:
        rules = self.limited(world)
        opportunity = world.opportunity(rules=rules)
        put_off = world.decide(opportunity, hold(opportunity), rules).opportunity
        assert staleness_of(put_off, rules.pipeline).first is None
        again = world.decide(put_off, resume(put_off), rules, world.start + 70 * DAY).opportunity
        stale = staleness_of(again, rules.pipeline)
        assert (stale.stalled_at, stale.rotting_at) == (
            world.start + 77 * DAY,
            datetime(2026, 5, 22, 17, tzinfo=UTC),
        )

    def test_rules_read_it(self, world: Any) -> None:
        stages = world.document()["stages"]
        stages[0].update(expected_days=10, stalled_after_days=7)
        rule = {"rule_id": "quiet", "from_stage": "prospecting", "to_stage": "closed_lost", "mode": "auto",
                "reason_code": "QUIET", "conditions": [
                    {"fact": "stage.stalled", "cell": "true"}, {"fact": "opportunity.amount", "cell": "> 0"},
                    {"fact": "stage.age_business_days", "cell": "= 7"}]}  # fmt: skip
        rules = world.ruleset(rules=[rule], stages=stages)
        opportunity = world.opportunity(rules=rules)
        for days, stage in ((6, "prospecting"), (8.5, "closed_lost")):
            seen = world.observation("prospecting", amount=Decimal(days))
            assert world.decide(opportunity, seen, rules, world.start + days * DAY).to_stage == stage
