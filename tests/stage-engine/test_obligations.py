"""Obligations: made, met, missed and cancelled, whatever order activities are heard in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.http.ownership import Owners
from kit.ids import utc_now, uuid7
from sqlalchemy.dialects import postgresql
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import FactChange, Occasion
from stage_engine.domain.lint import lint
from stage_engine.domain.obligations import next_moment, owed_since
from stage_engine.domain.on_migration import input_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.owed import Owed, OwedState, Touch
from stage_engine.domain.requests import HoldRequest, ResumeRequest
from stage_engine.domain.timers import first_due
from stage_engine.domain.versions import Plan
from stage_engine.engine import cell_fault, compiled
from stage_engine.repository.obligations import Wanted, page_of
from stagecraft.crm.v1 import activity_observed_pb2 as pb
from stagecraft.crm.v1 import record_observed_pb2 as crm

from tests.stage_engine import Client, Tenant, stamp

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
CALL = "activity.call.last_at"
FIRST_CALL = {"key": "first_call", "name": "Call the lead", "within": "2h", "met_by": CALL, "starts": "on_first_sight"}
CADENCE = {**FIRST_CALL, "key": "cadence", "name": "Call the customer", "within": "90d", "repeats": "90d"}


def owing(world: Any, obligation: dict[str, Any], **more: Any) -> Ruleset:
    return world.ruleset(obligations=[obligation], **more)


def call(world: Any, at: datetime, id_: str = "a1", withdrawn: tuple[str, ...] = (), **touch: Any) -> FactChange:
    made = Touch(**{"activity_id": id_, "kind": "call", "inbound": False, "at": at, "by": "rita", **touch})
    return replace(world.facts(world.fact(CALL, at)), touches=() if withdrawn else (made,), withdrawn=withdrawn)


def created(world: Any, rules: Ruleset, **seen: Any) -> Opportunity:
    first = world.observation("prospecting", occasion=Occasion.CREATED, **seen)
    return world.decide(None, first, rules).opportunity


def the(opportunity: Opportunity, key: str = "first_call") -> Owed:
    return opportunity.owing[key].owed[-1]


def the_owed(opportunity: Opportunity) -> tuple[Owed, ...]:
    return opportunity.owing["first_call"].owed


def at_time(world: Any, opportunity: Opportunity, rules: Ruleset, now: datetime) -> Any:
    due = first_due(opportunity, now)
    assert due is not None
    return world.decide(opportunity, due, rules, now)


class TestObligations:
    @pytest.mark.parametrize("days", [1, 30, 2_500_000])
    def test_a_moment_to_come_meets_it_when_it_is_said_and_not_then(self, world: Any, days: int) -> None:
        """What is agreed for next month is neither late today nor done before its time is said."""
        meeting = {**FIRST_CALL, "within": "3d", "met_by": "account.meeting_at", "cell": "known"}
        rules = owing(world, meeting, facts=[{"name": "account.meeting_at", "type": "instant"}])
        opportunity, now = created(world, rules), world.start + HOUR
        said = world.fact("account.meeting_at", world.start + timedelta(days=days), "dialler", observed_at=now)
        opportunity = world.decide(opportunity, world.facts(said), rules, now).opportunity
        met = the(opportunity)
        assert (met.state, met.met_at) == (OwedState.MET, now)

    def test_one_is_made_at_first_sight_and_met_by_a_call(self, world: Any) -> None:
        rules = owing(world, FIRST_CALL)
        opportunity = created(world, rules)
        made = the(opportunity)
        assert (made.made_at, made.due, made.owner_id) == (world.start, world.start + 2 * HOUR, "rita")
        assert (made.state, opportunity.due_at) == (OwedState.OPEN, made.due)
        now = world.start + HOUR
        decision = world.decide(opportunity, call(world, now, by="ron"), rules, now)
        met = the(decision.opportunity)
        assert (met.state, met.met_at, met.by, met.met_with) == (OwedState.MET, now, "ron", "a1")
        assert (decision.owed, decision.opportunity.due_at) == ((met,), None)

    def test_time_alone_misses_it_and_a_late_call_is_late(self, world: Any) -> None:
        rules = owing(world, FIRST_CALL)
        opportunity = created(world, rules)
        missed = at_time(world, opportunity, rules, world.start + 3 * HOUR)
        assert [each.state for each in missed.owed] == [OwedState.MISSED]
        assert missed.opportunity.due_at is None
        now = world.start + 5 * HOUR
        late = world.decide(missed.opportunity, call(world, now), rules, now)
        assert (the(late.opportunity).state, the(late.opportunity).met_at) == (OwedState.LATE, now)
        # A call within the time that is only heard of now puts it right.
        heard = world.decide(late.opportunity, call(world, world.start + HOUR, "a0"), rules, now)
        assert (the(heard.opportunity).state, the(heard.opportunity).met_with) == (OwedState.MET, "a0")

    def test_what_came_before_or_is_of_another_kind_does_not_meet_it(self, world: Any) -> None:
        rules = owing(world, FIRST_CALL)
        opportunity = created(world, rules)
        for change in (call(world, world.start - HOUR), call(world, world.start + HOUR, kind="email")):
            after = world.decide(opportunity, change, rules, world.start + HOUR).opportunity
            assert the(after).state is OwedState.OPEN

    def test_a_withdrawn_call_meets_nothing(self, world: Any) -> None:
        rules = owing(world, FIRST_CALL)
        now = world.start + HOUR
        met = world.decide(created(world, rules), call(world, now), rules, now).opportunity
        other = world.decide(met, call(world, now, withdrawn=("a9",)), rules, now).opportunity
        assert the(other).state is OwedState.MET
        gone = world.decide(other, call(world, now, withdrawn=("a1",)), rules, now).opportunity
        assert (the(gone).state, gone.due_at) == (OwedState.OPEN, the(gone).due)

    def test_a_created_lead_is_owed_a_call_from_its_creation(self, world: Any) -> None:
        rules = owing(world, FIRST_CALL)
        seen = world.observation("prospecting", occasion=Occasion.CREATED)
        opportunity = world.decide(None, seen, rules, world.start + 3 * HOUR).opportunity
        assert (the(opportunity).made_at, the(opportunity).state) == (world.start, OwedState.MISSED)

    def test_what_was_imported_or_was_there_before_owes_only_what_repeats(self, world: Any) -> None:
        rules = owing(world, FIRST_CALL)
        imported = world.opportunity(rules=rules)
        assert (the_owed(imported), imported.due_at) == ((), None)
        assert the_owed(world.decide(imported, world.observation("prospecting"), rules).opportunity) == ()
        there = world.decide(created(world, world.rules), world.observation("prospecting"), rules).opportunity
        assert (the_owed(there), there.due_at) == ((), None)
        customer = world.opportunity(rules=owing(world, CADENCE))
        assert the(customer, "cadence").due == world.start + 90 * DAY

    def test_a_friday_evening_lead_has_until_monday_morning(self, world: Any) -> None:
        rules = owing(world, {**FIRST_CALL, "within": "2bh"})
        friday = datetime(2026, 3, 6, 16, 55, tzinfo=UTC)
        seen = world.observation("prospecting", occasion=Occasion.CREATED, committed_at=friday)
        opportunity = world.decide(None, seen, rules, friday).opportunity
        assert the(opportunity).due == datetime(2026, 3, 9, 10, 55, tzinfo=UTC)

    def test_what_is_owed_again_has_one_for_each_time(self, world: Any) -> None:
        rules = owing(world, CADENCE)
        opportunity = created(world, rules)
        called = world.start + 10 * DAY
        opportunity = world.decide(opportunity, call(world, called), rules, called).opportunity
        assert opportunity.due_at == world.start + 90 * DAY
        after = at_time(world, opportunity, rules, world.start + 90 * DAY)
        assert [(each.made_at, each.state) for each in after.owed] == [(world.start + 90 * DAY, OwedState.OPEN)]
        # After a long downtime each time that has passed is in the ledger, once.
        late = at_time(world, after.opportunity, rules, world.start + 400 * DAY)
        states = [(each.made_at - world.start, each.state) for each in late.owed]
        assert states == [
            (90 * DAY, OwedState.MISSED), (180 * DAY, OwedState.MISSED), (270 * DAY, OwedState.MISSED),
            (360 * DAY, OwedState.OPEN),
        ]  # fmt: skip
        assert len(late.opportunity.owing["cadence"].owed) == 2

    def test_closing_cancels_what_is_open_and_a_reopened_one_owes_anew(self, world: Any) -> None:
        rules = owing(world, FIRST_CALL)
        opportunity = created(world, rules)
        lost = world.decide(opportunity, world.command(opportunity, "closed_lost", reason_code="NO"), rules)
        assert [each.state for each in lost.owed] == [OwedState.CANCELLED]
        assert lost.opportunity.due_at is None
        later = world.start + 9 * DAY
        back = world.command(lost.opportunity, "prospecting", reason_code="BACK")
        again = world.decide(lost.opportunity, back, rules, later).opportunity
        assert (the(again).made_at, the(again).state) == (later, OwedState.OPEN)

    def test_one_of_a_stage_is_owed_once_in_each_visit(self, world: Any) -> None:
        rules = owing(world, {**FIRST_CALL, "starts": "on_entry", "stage_key": "discovery"})
        opportunity = created(world, rules)
        assert opportunity.owing == {}
        now = world.start + HOUR
        moved = world.decide(opportunity, world.submission("prospecting", "70", opportunity), rules, now).opportunity
        assert (the(moved).made_at, the(moved).state) == (now, OwedState.OPEN)
        back = world.decide(moved, world.command(moved, "prospecting", reason_code="EARLY"), rules, now + HOUR)
        assert [each.state for each in back.owed] == [OwedState.CANCELLED]
        # A call within the visit that is heard of after it counts all the same.
        heard = world.decide(back.opportunity, call(world, now + HOUR / 2), rules, now + 2 * HOUR)
        assert the(heard.opportunity).state is OwedState.MET
        late = world.decide(back.opportunity, call(world, now + 2 * HOUR), rules, now + 2 * HOUR)
        assert the(late.opportunity).state is OwedState.CANCELLED

    def test_a_hold_gives_as_much_time_as_was_left(self, world: Any) -> None:
        rules = owing(world, {**FIRST_CALL, "within": "10d"})
        opportunity = created(world, rules)
        held = world.decide(
            opportunity, HoldRequest("h1", "o1", opportunity.revision, "mona", "budget"), rules, world.start + 4 * DAY
        ).opportunity
        assert (held.due_at, next_moment(held)) == (None, None)
        resume = ResumeRequest("r1", "o1", held.revision, "mona")
        after = world.decide(held, resume, rules, world.start + 100 * DAY).opportunity
        assert (the(after).due, the(after).state) == (world.start + 106 * DAY, OwedState.OPEN)

    def test_activities_count_from_the_first_that_was_made_if_one_was(self, world: Any) -> None:
        """What is imported owes nothing that is owed once: its row is empty."""
        rules = owing(world, FIRST_CALL)
        imported = world.opportunity(rules=rules)
        assert imported.owing["first_call"].owed == ()
        assert owed_since(imported) is None
        assert owed_since(created(world, rules)) == world.start

    @pytest.mark.parametrize("starts", ["on_first_sight", "on_entry"])
    def test_a_version_in_which_it_is_owed_once_ends_the_row(self, world: Any, starts: str) -> None:
        """Also where it rests on hold, and whatever it counts from there."""
        rules = owing(world, {**CADENCE, "within": "10d"})
        opportunity = created(world, rules)
        hold = HoldRequest("h1", "o1", opportunity.revision, "mona", "budget")
        held = world.decide(opportunity, hold, rules, world.start + 4 * DAY).opportunity
        once = compiled(world.pipeline(obligations=[{**CADENCE, "repeats": "", "within": "10d", "starts": starts}]))
        once = compiled(replace(once.pipeline, version=2))
        moved = world.decide(held, input_of(Plan({}), "1", "o1", 2, "olga"), once, world.start + 5 * DAY).opportunity
        resume = ResumeRequest("r1", "o1", moved.revision, "mona")
        after = world.decide(moved, resume, once, world.start + 100 * DAY).opportunity
        series = after.owing["cadence"]
        assert (series.next_at, len(series.owed)) == (None, 1)

    def test_a_clock_of_the_crm_at_the_beginning_of_the_calendar_is_none_too_early(self, world: Any) -> None:
        rules = owing(world, {**FIRST_CALL, "within": "2bh", "starts": "on_entry"})
        early = {"committed_at": datetime.min.replace(tzinfo=UTC)}
        first = created(world, rules, **early)
        moved = world.decide(first, world.observation("discovery", **early), rules).opportunity
        assert (moved.stage_key, moved.owing["first_call"].owed[-1].due.year) == ("discovery", 2006)

    def test_of_very_many_that_came_due_unseen_the_last_are_made(self, world: Any) -> None:
        rules = owing(world, {**CADENCE, "within": "1h", "repeats": "1h"})
        first = world.observation("prospecting", occasion=Occasion.CREATED, committed_at=datetime(1, 1, 1, tzinfo=UTC))
        decision = world.decide(None, first, rules)
        assert len(decision.owed) == 502
        assert [each.made_at for each in decision.owed[-2:]] == [world.start - HOUR, world.start]
        assert decision.opportunity.owing["cadence"].next_at == world.start + HOUR

    def test_the_owner_of_the_time_owes_it(self, world: Any) -> None:
        rules = owing(world, FIRST_CALL)
        opportunity = created(world, rules)
        ron = world.decide(opportunity, world.observation("prospecting", owner_id="ron"), rules).opportunity
        missed = at_time(world, ron, rules, world.start + 3 * HOUR).opportunity
        mona = world.observation("prospecting", owner_id="mona")
        after = world.decide(missed, mona, rules, world.start + 4 * HOUR).opportunity
        assert (the(missed).owner_id, the(after).owner_id) == ("ron", "ron")

    def test_a_fact_meets_it_and_what_holds_already_meets_it_at_once(self, world: Any) -> None:
        obligation = {**FIRST_CALL, "met_by": "opportunity.amount", "cell": "> 5000", "within": "7d"}
        rules = owing(world, obligation)
        opportunity = created(world, rules)
        assert the(opportunity).state is OwedState.OPEN
        now = world.start + DAY
        met = world.decide(opportunity, world.observation("prospecting", amount=Decimal(6000)), rules, now).opportunity
        assert (the(met).state, the(met).met_at, the(met).by) == (OwedState.MET, now, "carl")
        assert the(created(world, rules, amount=Decimal(9000))).state is OwedState.MET

    def test_one_that_is_dropped_by_a_new_version_is_cancelled(self, world: Any) -> None:
        opportunity = created(world, owing(world, FIRST_CALL))
        after = world.decide(opportunity, world.observation("prospecting"), world.rules)
        assert [each.state for each in after.owed] == [OwedState.CANCELLED]


MINUTES = st.integers(-60, 300)


@settings(max_examples=50)
@given(minutes=st.lists(MINUTES, max_size=5), data=st.data())
def test_order_and_repetition_do_not_matter(world: Any, minutes: Sequence[int], data: st.DataObject) -> None:
    rules = owing(world, FIRST_CALL)
    calls = [call(world, world.at(each), f"a{n}") for n, each in enumerate(minutes)]
    now = world.at(300)

    def heard(given: Sequence[FactChange], opportunity: Opportunity) -> Owed:
        for each in given:
            opportunity = world.decide(opportunity, each, rules, now).opportunity
        return the(opportunity)

    start = at_time(world, created(world, rules), rules, now).opportunity
    shuffled = data.draw(st.permutations([*calls, *calls[:2]]))
    first = heard(calls, start)
    assert heard(shuffled, start) == first
    counting = sorted(each for each in minutes if each >= 0)
    expected = OwedState.MISSED if not counting else OwedState.MET if counting[0] <= 120 else OwedState.LATE
    assert first.state is expected


STEP = st.sampled_from(["call", "hold", "resume", "time", "lost", "back"])


@settings(max_examples=50)
@given(steps=st.lists(st.tuples(st.integers(1, 60), STEP), max_size=12))
def test_each_is_settled_once(world: Any, steps: Sequence[tuple[int, str]]) -> None:
    rules = owing(world, {**CADENCE, "within": "20d", "repeats": "30d"})
    opportunity, now = created(world, rules), world.start
    ledger = {each.made_at: each for each in opportunity.owing["cadence"].owed}
    for days, what in steps:
        now += days * DAY
        change = _input(world, opportunity, what, now)
        if change is None:
            continue
        decision = world.decide(opportunity, change, rules, now)
        opportunity = decision.opportunity
        for each in decision.owed:
            before = ledger.get(each.made_at)
            # What was settled changes only by being met, or met earlier.
            if before is not None and before.state is not OwedState.OPEN and each.met_at != before.met_at:
                assert each.met_at is not None
                assert before.met_at is None or each.met_at < before.met_at
            elif before is not None and before.state is not OwedState.OPEN:
                assert each.state is before.state
            ledger[each.made_at] = each
        kept = [each for series in opportunity.owing.values() for each in series.owed]
        assert all(replace(ledger[each.made_at], until=each.until) == each for each in kept)
        assert sum(each.state is OwedState.OPEN for each in ledger.values()) <= 1
        if opportunity.hold is None:
            assert all(each.state is not OwedState.OPEN or each.due > now for each in kept)


def _input(world: Any, opportunity: Opportunity, what: str, now: datetime) -> Any:
    revision = opportunity.revision
    match what:
        case "call":
            return call(world, now, f"a{now.timestamp()}")
        case "hold":
            return HoldRequest(f"h{now.timestamp()}", "o1", revision, "mona", "later")
        case "resume":
            return ResumeRequest(f"r{now.timestamp()}", "o1", revision, "mona")
        case "time":
            return first_due(opportunity, now)
        case "lost":
            return world.command(opportunity, "closed_lost", reason_code="NO")
        case _:
            return world.command(opportunity, "prospecting", reason_code="BACK")


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"within": "soon"}, "duration_invalid", "/obligations/0/within"),
        ({"repeats": "1h"}, "obligation_overlaps", "/obligations/0/within"),
        ({"within": "1m", "repeats": "5m"}, "obligation_repeats_too_often", "/obligations/0/repeats"),
        ({"met_by": "activity.fax.last_at"}, "fact_unknown", "/obligations/0/met_by"),
        ({"cell": "> 5"}, "obligation_cell_unused", "/obligations/0/cell"),
        ({"met_by": "opportunity.amount", "cell": ">>"}, "cell_invalid", "/obligations/0/cell"),
        ({"met_by": "no.such"}, "fact_unknown", "/obligations/0/met_by"),
        ({"starts": "after_fact"}, "obligation_start_unknown", "/obligations/0/starts"),
        ({"stage_key": "discovery"}, "obligation_stage_unused", "/obligations/0/stage_key"),
        ({"starts": "on_entry", "stage_key": "nowhere"}, "stage_unknown", "/obligations/0/stage_key"),
        ({"starts": "on_entry", "stage_key": "closed_won"}, "obligation_in_closed_stage", "/obligations/0/stage_key"),
    ],
)
def test_what_cannot_be_owed_or_met_is_refused(world: Any, changes: dict[str, Any], code: str, pointer: str) -> None:
    pipeline = world.pipeline(obligations=[{**FIRST_CALL, **changes}])
    assert (code, pointer) in [(each.code, each.pointer) for each in lint(pipeline, {}, cell_fault)]


COUNTED = ("owed", "met", "late", "missed", "open")
LEDGER = "SELECT opportunity_id, state, owner_id, by, hour, wall_seconds FROM obligation ORDER BY 1"


async def called(world_of: Tenant, about: str, at: datetime, id_: str = "a1", **changed: Any) -> None:
    message = pb.ActivityObserved(
        activity_id=id_, object_type="opportunity", record_id=about, change_id=str(uuid7()),
        **{"kind": pb.ACTIVITY_KIND_CALL, "person_id": "rita", "done": True, **changed},
    )  # fmt: skip
    message.occurred_at.CopyFrom(stamp(at))
    message.committed_at.CopyFrom(stamp(utc_now()))
    await world_of.service.publish(message, tenant=world_of.tenant)


@pytest.mark.stack
class TestLedger:
    async def lead(self, world_of: Tenant, id_: str, created: datetime, **given: Any) -> None:
        kind = crm.OBSERVATION_KIND_CREATED
        await world_of.observe(id_, "prospecting", kind=kind, committed_at=stamp(created), **given)

    @pytest.mark.capability(28, 30, 31)
    async def test_who_did_not_call_and_how_fast_the_others_did(self, world_of: Tenant, admin: Client) -> None:
        await world_of.publish_pipeline(obligations=[FIRST_CALL])
        created = utc_now() - timedelta(hours=20)
        owners = {"o1": "rita", "o2": "rita", "o3": "ron", "o4": "ron"}
        for each, owner in owners.items():
            at = utc_now() if each == "o4" else created
            await self.lead(world_of, each, at, owner_id=owner)
        await world_of.decisions(4)
        await called(world_of, "o1", created + HOUR)
        await called(world_of, "o2", created + 5 * HOUR, "a2", person_id="ron")
        await world_of.decisions(6)
        rows = {row[0]: row[1:] for row in await world_of.rows(LEDGER)}
        assert rows["o1"] == ("met", "rita", "rita", created.hour, 3600)
        assert rows["o2"] == ("late", "rita", "ron", created.hour, 5 * 3600)
        assert (rows["o3"][0], rows["o4"][0]) == ("missed", "open")

        missed = await admin.get("/v1/obligations?state=missed")
        assert [(o["opportunity_id"], o["owner_id"]) for o in missed["items"]] == [("o3", "ron")]
        first = await admin.get("/v1/obligations?limit=2")
        rest = await admin.get(f"/v1/obligations?limit=2&cursor={first['next_cursor']}")
        assert [o["opportunity_id"] for o in (*first["items"], *rest["items"])] == ["o1", "o2", "o3", "o4"]
        ron = Client(world_of.service, world_of.tenant, "rep", "ron")
        assert [o["opportunity_id"] for o in (await ron.get("/v1/obligations"))["items"]] == ["o3", "o4"]

        until = (utc_now() + DAY).isoformat().replace("+", "%2B")
        report = await admin.get(f"/v1/obligations/not?period=year&until={until}")
        by_owner: dict[str, dict[str, Any]] = {}
        for each in report["totals"]:
            # Of two years at their turn.
            total = by_owner.setdefault(each["who"], dict.fromkeys(COUNTED, 0) | {"not_in_time": []})
            for name in total:
                total[name] += each[name]
        assert by_owner["rita"] == {"owed": 2, "met": 1, "late": 1, "missed": 0, "open": 0, "not_in_time": ["o2"]}
        assert (by_owner["ron"]["missed"], by_owner["ron"]["open"], by_owner["ron"]["not_in_time"]) == (1, 1, ["o3"])
        await admin.get("/v1/obligations/not?zone=Mars/Olympus", 422)
        year = await admin.get("/v1/obligations/not?since=2026", 422)
        assert year["errors"][0]["pointer"] == "/query/since"
        backwards = "since=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z"
        empty = await admin.get(f"/v1/speed-to-lead?key=first_call&{backwards}", 422)
        assert (empty["code"], empty["errors"][0]["pointer"]) == ("period_empty", "/query/until")
        slip = await admin.get("/v1/speed-to-lead?key=first_cal", 422)
        assert slip["code"] == "obligation_unknown"
        assert "first_call" in slip["detail"]
        for listed in ("obligations", "obligations/not"):
            assert (await admin.get(f"/v1/{listed}?key=first_cal", 422))["code"] == "obligation_unknown"

        speed = await admin.get(f"/v1/speed-to-lead?key=first_call&until={until}")
        overall = speed["overall"]
        assert (overall["judged"], overall["censored"], overall["met"], overall["in_time"]) == (3, 1, 2, 1)
        # One of three was never called: the median is the slower call, and the p90 is not known.
        assert (overall["wall_median"], overall["wall_p90"], overall["share_in_time"]) == (5 * 3600, None, "0.3333")
        assert [(each["group"], each["judged"]) for each in speed["by_owner"]] == [("rita", 2), ("ron", 1)]

    async def test_a_call_about_what_was_imported_may_be_withdrawn(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline(obligations=[FIRST_CALL])
        await world_of.observe("o1", "prospecting", kind=crm.OBSERVATION_KIND_IMPORTED)
        await world_of.decisions(1)
        at = utc_now() - HOUR
        await called(world_of, "o1", at)
        await world_of.decisions(2)
        await called(world_of, "o1", at, withdrawn=True)
        assert len(await world_of.decisions(3)) == 3

    @pytest.mark.capability(26)
    async def test_a_call_that_is_withdrawn_leaves_its_place_to_the_next(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline(obligations=[CADENCE])
        created = utc_now() - timedelta(days=100)
        await self.lead(world_of, "o1", created)
        await world_of.decisions(1)
        # Of what comes together it is decided on once.
        for count, days in ((2, 80), (3, 70)):
            await called(world_of, "o1", created + days * DAY, f"a{days}")
            await world_of.decisions(count)
        await called(world_of, "o1", created + 70 * DAY, "a70", withdrawn=True)
        await world_of.decisions(4)
        rows = await world_of.rows("SELECT state, wall_seconds FROM obligation ORDER BY made_at")
        assert rows == [("met", 80 * 86400), ("open", None)]

    async def test_pages_and_reports_read_an_index_of_a_large_ledger(self, world_of: Tenant) -> None:
        await world_of.rows(f"""
            INSERT INTO obligation (tenant_id, opportunity_id, key, made_at, object_type, pipeline_key, due, owner_id,
                                    state, by, source, hour)
            SELECT '{world_of.tenant}', 'o' || n, 'first_call', at, 'lead', 'leads', at + interval '2 hours',
                   'u' || n % 500, CASE WHEN n % 100 = 0 THEN 'open' ELSE 'met' END, '', 'Web', 9
            FROM generate_series(1, 200000) AS n, LATERAL (SELECT now() - n * interval '1 minute' AS at) AS made
        """)
        await world_of.rows("ANALYZE obligation")
        now = utc_now()
        recent = Wanted(due_from=now - timedelta(days=1), due_to=now)
        everybody, one = Owners(None), Owners(frozenset({"u7"}))
        pages = [
            (Wanted(), everybody, "obligation_due"),
            (recent, everybody, "obligation_"),
            (Wanted(state=OwedState.OPEN), everybody, "obligation_"),
            (Wanted(), one, "obligation_of_owner"),
            (Wanted(key="first_call", due_from=now - timedelta(days=1)), everybody, "obligation_"),
        ]
        for wanted, owners, index in pages:
            statement = page_of(wanted, owners, world_of.tenant, None, 51)
            text = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
            plan = "\n".join(row[0] for row in await world_of.rows(f"EXPLAIN {text}"))
            assert index in plan, plan
            assert "Seq Scan" not in plan, plan
