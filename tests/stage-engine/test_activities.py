"""Activities become facts, whatever the order in which the CRM tells of them."""

import asyncio
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.ids import uuid7
from stage_engine.domain.activities import Activity, Change, Total, asked_of, changes_of, facts_of, latest, withdrawn_of
from stage_engine.domain.facts import ACTIVITY_KINDS, kind_by_name
from stage_engine.domain.inputs import FactChange, Occasion
from stage_engine.domain.literals import type_of
from stage_engine.service import activities
from stage_engine.tasks import begin_some
from stagecraft.crm.v1 import activity_observed_pb2 as pb
from testing.service import eventually

from tests.stage_engine import Client, Tenant, stamp

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MOMENTS = st.integers(0, 6).map(lambda hours: START + timedelta(hours=hours))
STATES = st.builds(
    Activity,
    subject_id=st.sampled_from(["o1", "o2"]),
    activity_id=st.sampled_from(["a", "b", "c"]),
    kind=st.sampled_from(["call", "email"]),
    done=st.booleans(),
    withdrawn=st.booleans(),
    inbound=st.booleans(),
    occurred_at=MOMENTS,
    committed_at=MOMENTS,
)


class Ledger:
    """What the tables hold, in memory."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], Activity] = {}
        self.sums: dict[tuple[str, str], Change] = {}

    def take(self, batch: list[Activity]) -> None:
        new = latest(self.held, batch)
        for change in changes_of(self.held, new):
            place = change.subject_id, change.kind
            was = self.sums.get(place, Change(*place, 0, change.observed_at, 0))
            at = max(was.observed_at, change.observed_at)
            self.sums[place] = Change(*place, was.count + change.count, at, was.changes + change.changes)
        self.held |= {each.key: each for each in new}

    def facts(self) -> dict[str, dict[str, Any]]:
        totals: dict[str, list[Total]] = defaultdict(list)
        for (subject, kind), each in self.sums.items():
            own = [a for a in self.held.values() if a.subject_id == subject and a.kind == kind and a.counts]
            last = max((a.occurred_at for a in own), default=None)
            inbound = max((a.occurred_at for a in own if a.inbound), default=None)
            assert each.count == len(own)
            totals[subject].append(Total(subject, kind, each.count, last, inbound, each.observed_at, each.changes))
        return {subject: {f.name: f.value for f in facts_of(found)} for subject, found in totals.items()}


def known(facts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Without what says nothing: a kind that was heard of and is none any more."""
    return {s: {n: v for n, v in found.items() if v not in (None, Decimal(0))} for s, found in facts.items()}


class TestDomain:
    @given(st.lists(STATES, max_size=12), st.randoms(use_true_random=False), st.integers(1, 4))
    def test_any_order_and_any_repetition_gives_the_same_facts(
        self, states: list[Activity], chance: Any, size: int
    ) -> None:
        once = Ledger()
        once.take(states)
        again = states + chance.choices(states, k=len(states)) if states else []
        chance.shuffle(again)
        other = Ledger()
        for start in range(0, len(again), size):
            other.take(again[start : start + size])
        assert known(other.facts()) == known(once.facts())

    @given(st.lists(STATES, max_size=12))
    def test_each_report_is_newer_than_the_one_before(self, states: list[Activity]) -> None:
        ledger, numbers = Ledger(), [0]
        for state in states:
            before = dict(ledger.held)
            ledger.take([state])
            if ledger.held != before:
                numbers.append(sum(each.changes for each in ledger.sums.values()))
        assert all(earlier < later for earlier, later in pairwise(numbers))

    def test_every_fact_has_a_known_type(self) -> None:
        totals = [Total("o1", kind, 2, START, START, START, 3) for kind in ACTIVITY_KINDS]
        for fact in facts_of(totals):
            kind = kind_by_name(fact.name)
            assert kind is not None, fact.name
            assert fact.value is not None
            assert type_of(fact.value) is kind.type


OBLIGATION = {
    "key": "call", "name": "Call", "within": "3h", "met_by": "activity.call.last_at", "starts": "on_first_sight",
}  # fmt: skip


class TestAsked:
    """What obligations are told of activities leads to one result, in whatever order these are heard of."""

    def owed(self, world: Any, batches: list[list[Activity]]) -> Any:
        rules, now = world.ruleset(obligations=[OBLIGATION]), START + timedelta(hours=9)
        held: dict[tuple[str, str], Activity] = {}
        seen = world.observation("prospecting", occasion=Occasion.CREATED)
        subject = world.decide(None, seen, rules).opportunity
        for batch in batches:
            new = latest(held, batch)
            withdrawn = withdrawn_of(held, new)
            held |= {each.key: each for each in new}
            others = [each for each in held.values() if withdrawn and each.subject_id == "o1"]
            asked = asked_of(new, withdrawn, others).get("o1")
            if asked is not None:
                change = FactChange(str(uuid7()), "o1", "crm", (), "", asked.touches, asked.withdrawn)
                subject = world.decide(subject, change, rules, now).opportunity
        met = [a.occurred_at for a in held.values() if a.counts and a.kind == "call"]
        last = world.decide(subject, FactChange("end", "o1", "crm", ()), rules, now).opportunity
        return min(met, default=None), last.owing["call"].owed[-1]

    @settings(max_examples=60)
    @given(st.lists(STATES, max_size=10), st.randoms(use_true_random=False), st.integers(1, 4))
    def test_the_first_call_that_counts_meets_it(
        self, world: Any, states: list[Activity], chance: Any, size: int
    ) -> None:
        mine = [replace(each, subject_id="o1") for each in states]
        again = mine + (chance.choices(mine, k=len(mine)) if mine else [])
        chance.shuffle(again)
        first, owed = self.owed(world, [mine])
        other, same = self.owed(world, [again[n : n + size] for n in range(0, len(again), size)])
        assert (other, same) == (first, owed)
        assert owed.met_at == first
        late = first is not None and first > START + timedelta(hours=3)
        assert owed.state == ("missed" if first is None else "late" if late else "met")


CALLED = {"fact": "activity.call.count", "cell": ">= 2"}


class Told:
    """What the CRM tells of activities."""

    def __init__(self, world_of: Tenant) -> None:
        self._world = world_of

    async def __call__(self, activity_id: str, about: str = "o1", minute: int = 0, **changed: Any) -> Any:
        fields: dict[str, Any] = {
            "kind": pb.ACTIVITY_KIND_CALL,
            "direction": pb.DIRECTION_OUTBOUND,
            "done": True,
        } | changed
        message = pb.ActivityObserved(
            activity_id=activity_id, object_type="opportunity", record_id=about, change_id=str(uuid7()), **fields
        )
        message.occurred_at.CopyFrom(stamp(START + timedelta(minutes=minute)))
        message.committed_at.CopyFrom(stamp(START + timedelta(minutes=minute)))
        await self._world.service.publish(message, tenant=self._world.tenant)
        return message


@pytest.mark.stack
@pytest.mark.asyncio(loop_scope="session")
class TestFacts:
    async def pipeline(self, world_of: Tenant, fact: dict[str, str] = CALLED) -> None:
        await world_of.publish_pipeline(rules=[{
            "rule_id": "r", "from_stage": "prospecting", "to_stage": "discovery", "mode": "auto", "conditions": [fact],
        }])  # fmt: skip

    async def totals(self, world_of: Tenant) -> list[Any]:
        return await world_of.rows("SELECT subject_id, kind, count FROM activity_total ORDER BY 1, 2")

    async def test_the_second_call_moves_the_opportunity(self, world_of: Tenant, admin: Client) -> None:
        await self.pipeline(world_of)
        await world_of.observe("o1", "prospecting")
        await world_of.decisions(1)
        told = Told(world_of)
        await told("a", minute=1)
        await told("a", minute=1)
        await told("mail", kind=pb.ACTIVITY_KIND_EMAIL)
        await told("planned", minute=2, done=False)
        await told("a", minute=0, done=False)
        assert len(await world_of.decisions(2)) == 2
        assert (await admin.get("/v1/opportunities/o1"))["claimed_stage"] == "prospecting"
        await told("b", minute=3)
        assert [d.to_stage for d in await world_of.decisions(3)][-1] == "discovery"
        await told("b", minute=4, withdrawn=True)
        await told("b", minute=3)
        await world_of.decisions(4)
        assert await self.totals(world_of) == [("o1", "call", 1), ("o1", "email", 1)]

    async def test_a_planned_meeting_counts_once_it_has_begun(
        self, world_of: Tenant, admin: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await self.pipeline(world_of, {"fact": "activity.meeting.count", "cell": ">= 1"})
        for name in ("o1", "o2", "o3"):
            await world_of.observe(name, "prospecting")
        await world_of.decisions(3)
        told, ahead = Told(world_of), int(timedelta(days=9999).total_seconds()) // 60
        real = activities._change

        def failing(subject: Any, pipeline: Any, totals: Any, *given: Any) -> Any:
            if subject.opportunity_id == "o2" and totals[0].count:
                raise ZeroDivisionError
            return real(subject, pipeline, totals, *given)

        monkeypatch.setattr(activities, "_change", failing)
        for about, minute in (("o3", ahead), ("o2", 0), ("o1", 1)):
            await told(f"m-{about}", about, minute, kind=pb.ACTIVITY_KIND_MEETING, done=False)

        async def kept() -> None:
            assert len(await self.totals(world_of)) == 3

        await eventually(kept)

        async def counted() -> None:
            await begin_some(world_of.service.runtime, asyncio.Event())
            assert [count for _, _, count in await self.totals(world_of)] == [1, 1, 0]

        await eventually(counted)
        stages = [(await admin.get(f"/v1/opportunities/{name}"))["claimed_stage"] for name in ("o1", "o2", "o3")]
        assert stages == ["discovery", "prospecting", "prospecting"]

    async def test_what_no_rule_reads_costs_no_decision(self, world_of: Tenant) -> None:
        await self.pipeline(world_of, {"fact": "activity.meeting.count", "cell": ">= 1"})
        await world_of.observe("o1", "prospecting")
        await world_of.decisions(1)
        told = Told(world_of)
        await told("a")

        async def counted() -> None:
            assert await self.totals(world_of) == [("o1", "call", 1)]

        await eventually(counted)
        assert len(await world_of.decisions(1)) == 1

    async def test_what_comes_before_its_subject_waits_for_it_and_no_more_than_allowed(self, world_of: Tenant) -> None:
        await self.pipeline(world_of)
        told = Told(world_of)
        for name in ("a", "b", "c", "d", "e"):
            await told(name)

        async def waits() -> None:
            assert await world_of.parked() == 3
            refused = await world_of.get("/v1/dead-letters")
            assert [each["code"] for each in refused["items"]] == ["subject_unknown"] * 2

        await eventually(waits)
        await world_of.observe("o1", "prospecting")
        assert [d.to_stage for d in await world_of.decisions(2)][-1] == "discovery"
        assert await world_of.parked() == 0
        assert await self.totals(world_of) == [("o1", "call", 3)]
