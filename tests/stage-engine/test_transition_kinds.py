"""The kinds of transition, one row each: what triggers it, what guards it, and what follows for visit, actions, timers
and figures. Every row goes through the public API or an event."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest
from kit.contracts.facts import fact_of
from kit.ids import utc_now
from stagecraft.crm.v1 import record_observed_pb2 as crm
from stagecraft.stage.v1.action_requested_pb2 import ActionRequested
from stagecraft.stage.v1.pipeline_published_pb2 import CATEGORY_ABANDONED
from testing.service import ServiceUnderTest, eventually

from tests.stage_engine import Client, Tenant, draft

pytestmark = pytest.mark.stack

OPEN = ("prospecting", "discovery", "demo", "negotiation")
QUALIFIED = [{"fact": "opportunity.record_type", "cell": "'Qualified'"}]
SIGNED = {"to_stage": "closed_won", "override": True, "reason_code": "SIGNED", "text": "On paper."}


def task(key: str) -> dict[str, Any]:
    return {"key": key, "kind": "task", "text": key}


def content(**changes: Any) -> dict[str, Any]:
    """The field example with a walk-away, where every stage asks for something and has a timer; with a rule that leads
    back, and one that skips."""
    document = draft()
    stages = [dict(stage) for stage in document["stages"]]
    stages.append({"key": "walked_away", "name": "Walked away", "category": "abandoned"})
    for stage in stages:
        stage["on_entry"] = [task(f"enter_{stage['key']}")]
        if stage["category"] == "open":
            stage |= {"on_exit": [task(f"leave_{stage['key']}")], "on_close": [task(f"dispose_{stage['key']}")]}
            stage["timers"] = [{"key": f"in_{stage['key']}", "after": "5d"}]
    rules = [
        *document["rules"],
        {"rule_id": "ill", "from_stage": "demo", "to_stage": "discovery", "mode": "auto", "back": True,
         "lasting": "3d", "reason_code": "ILL", "conditions": [{"fact": "account.health", "cell": "< 3"}]},
        {"rule_id": "large", "from_stage": "prospecting", "to_stage": "demo", "mode": "auto", "priority": 1,
         "conditions": [{"fact": "account.size", "cell": "> 10"}]},
        {"rule_id": "larger", "from_stage": "discovery", "to_stage": "demo", "mode": "auto", "priority": 2,
         "conditions": [{"fact": "account.size", "cell": "> 20"}, {"fact": "account.health", "cell": "unknown"}]},
    ]  # fmt: skip
    facts = [{"name": "account.health", "type": "decimal"}, {"name": "account.size", "type": "decimal"}]
    return {
        "stages": stages, "rules": rules, "facts": facts, "skip_policy": "if_guards_hold",
        "on_hold": [task("put_off")], "on_resume": [task("go_on")], **changes,
    }  # fmt: skip


@dataclass
class Journey:
    """One opportunity, seen through the API, and what people and the CRM do to it."""

    world: Tenant
    admin: Client
    rep: Client
    path: str = "/v1/opportunities/o1"
    numbers: int = 0

    async def seen(self, stage: str, kind: Any = crm.OBSERVATION_KIND_IMPORTED, **given: Any) -> None:
        known = len(await self.decisions()) if self.numbers else 0
        self.numbers += 1
        await self.world.observe("o1", stage, kind=kind, **given)
        await self.decided(known + 1)

    async def edited(self, stage: str, **given: Any) -> None:
        await self.seen(stage, crm.OBSERVATION_KIND_UPDATED, **given)

    async def decided(self, count: int) -> None:
        async def there() -> None:
            assert len(await self.decisions()) >= count

        await eventually(there)

    async def decisions(self) -> list[dict[str, Any]]:
        return (await self.admin.get(f"{self.path}/decisions?limit=200"))["items"]

    async def now(self) -> dict[str, Any]:
        return await self.admin.get(self.path)

    async def post(self, what: str, body: Any, by: Client | None = None, expect: int = 201) -> dict[str, Any]:
        revision = (await self.now())["revision"]
        return await (by or self.admin).post(f"{self.path}/{what}", body, match=revision, expect=expect)

    async def moves(self, **body: Any) -> dict[str, Any]:
        return await self.post("transitions", body)

    async def refused(self, fact: str = "", code: str = "", **body: Any) -> None:
        found = await self.moves(**body)
        reasons = found["reasons"]
        assert (found["outcome"], found["transition"]) == ("rejected", None)
        assert fact in [r["fact"] for r in reasons] or code in [r["code"] for r in reasons], reasons

    async def scored(self, assessment: str, score: str, **given: Any) -> str:
        known, now = len(await self.decisions()), await self.now()
        visit = now["claimed_stage"], now["visit_no"]
        message = await self.world.score("o1", assessment, score, visit, **given)
        await self.decided(known + 1)
        return message.submission_id

    async def reports(self, name: str, value: str) -> dict[str, Any]:
        self.numbers += 1
        item = {"idempotency_key": f"k{self.numbers}", "subject_id": "o1", "name": name, "value": value,
                "source": "erp", "observed_at": utc_now().isoformat()}  # fmt: skip
        (answer,) = (await self.admin.post("/v1/facts", {"items": [item]}, 200))["items"]
        return await self.admin.get(f"/v1/decisions/{answer['decision_id']}")

    async def turn(self, timer: str) -> None:
        """The clock: this timer was due an hour ago."""
        known = len(await self.decisions())
        at = utc_now() - timedelta(hours=1)
        connection = await asyncpg.connect(self.world.service.owner_url)
        try:
            await connection.execute("SELECT set_config('app.tenant_id', $1, false)", self.world.tenant)
            await connection.execute(
                "UPDATE opportunity SET due_at = $1, state = jsonb_set(state::jsonb, ARRAY['timers', $2, 'due'],"
                " to_jsonb(to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')))::text",
                at, timer,
            )  # fmt: skip
        finally:
            await connection.close()
        await self.decided(known + 1)

    async def entered(self, stage: str) -> int:
        """How often figures count that it came into the stage."""
        stages = {s["key"]: s for s in (await self.admin.get("/v1/funnel"))["stages"]}
        return stages[stage]["entered"]


Doing = Callable[[Journey], Awaitable[Any]]


async def nothing(journey: Journey) -> None:
    """No guard: whatever triggers it may."""


@dataclass(frozen=True)
class Row:
    """A row of the table: where it starts, the guard that is tried first, what triggers it, and what follows."""

    name: str
    kind: str
    cause: str
    act: Doing
    to: str
    at: str = "prospecting"
    guard: Doing = nothing
    actions: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    reason: str = ""
    cycle: int = 1
    visits: int = 1
    # What it is before: closed, say.
    first: Doing = nothing
    # Times that the stage it goes to counts as entered.
    entered: int = 1
    taken_back: str = ""
    pipeline: dict[str, Any] = field(default_factory=dict)


def on(source: str, target: str) -> tuple[str, ...]:
    """What leaving one stage and coming to the other asks for."""
    return f"leave_{source}", f"enter_{target}"


async def _void(journey: Journey) -> None:
    scores = (await journey.now())["scores"]
    submission_id = scores["prospecting"]["submission_id"]
    path = f"{journey.path}/evidence/{submission_id}/void"
    await journey.rep.post(path, {"reason": "Wrong."}, expect=403)
    await journey.admin.post(path, {"reason": ""}, expect=422)
    made = await journey.admin.post(path, {"reason": "The wrong buyer."})
    assert "VOIDED" in [r["code"] for r in made["reasons"]]


async def _ill(journey: Journey) -> None:
    waiting = await journey.reports("account.health", "2")
    assert [r["code"] for r in waiting["reasons"]] == ["NOT_LASTING"]
    await journey.turn("@lasting/ill")


async def _other_pipeline(journey: Journey) -> None:
    mapping = {"field_example": {"discovery": "demo"}}
    await journey.world.publish_pipeline(key="qualified", is_default=False, applies_when=QUALIFIED, reassign=mapping)
    known = len(await journey.decisions())
    await journey.edited("discovery", facts=[fact_of("opportunity.record_type", "Qualified")])
    await journey.decided(known + 2)


async def _migrate(journey: Journey) -> None:
    path, stages = "/v1/pipelines/field_example", [dict(stage) for stage in content()["stages"]]
    stages[1] |= {"key": "talk", "timers": [{"key": "in_discovery", "after": "5d"}]}
    rules = [r for r in content()["rules"] if "discovery" not in (r["from_stage"], r["to_stage"])]
    body = {k: v for k, v in {**draft(), **content(), "stages": stages, "rules": rules}.items() if k != "key"}
    found = await journey.admin.get(path)
    await journey.admin.call("PUT", f"{path}/draft", 200, body, match=found["revision"])
    refused = await journey.admin.post(f"{path}/publish", {"migrate": {"stages": {}}}, expect=409)
    assert refused["code"] == "plan_incomplete"
    known = len(await journey.decisions())
    await journey.admin.post(f"{path}/publish", {"migrate": {"stages": {"discovery": "talk"}}})
    await journey.decided(known + 1)


WON: Doing = lambda journey: journey.moves(**SIGNED)  # noqa: E731
ROWS = [
    Row("advance by a score", "advance", "rule", lambda d: d.scored("prospecting", "70"), "discovery",
        guard=lambda d: d.scored("prospecting", "50"), actions=on("prospecting", "discovery")),
    Row("advance by a fact", "advance", "rule", lambda d: d.reports("account.size", "21"), "demo", at="discovery",
        guard=lambda d: d.reports("account.size", "20"), actions=on("discovery", "demo")),
    Row("advance by a person", "advance", "person",
        lambda d: d.moves(to_stage="discovery", override=True, reason_code="X", text="They called."), "discovery",
        guard=lambda d: d.refused("prospecting.score", to_stage="discovery"), actions=on("prospecting", "discovery"),
        reason="X"),
    Row("advance by an edit in the CRM", "advance", "crm", lambda d: d.edited("discovery"), "discovery",
        actions=on("prospecting", "discovery"), reason="CRM_EDIT"),
    Row("skip by a person", "skip", "person",
        lambda d: d.moves(to_stage="demo", override=True, skip=True, reason_code="X", text="They know us."), "demo",
        guard=lambda d: d.refused(code="SKIP_FORBIDDEN", to_stage="demo", override=True, reason_code="X", text="Y"),
        actions=on("prospecting", "demo"), skipped=("discovery",), reason="X"),
    Row("skip by a rule where guards between hold", "skip", "rule", lambda d: d.reports("account.size", "21"), "demo",
        guard=lambda d: d.reports("account.size", "15"), actions=on("prospecting", "demo"), skipped=("discovery",)),
    Row("regress by a person", "regress", "person", lambda d: d.moves(to_stage="discovery", reason_code="X"),
        "discovery", at="demo", guard=lambda d: d.refused("command.reason_code", to_stage="discovery"),
        actions=on("demo", "discovery"), reason="X"),
    Row("regress by an edit in the CRM", "regress", "crm", lambda d: d.edited("discovery"), "discovery", at="demo",
        actions=on("demo", "discovery"), reason="CRM_EDIT"),
    Row("regress by a rule that has held for long enough", "regress", "rule", _ill, "discovery", at="demo",
        guard=lambda d: d.reports("account.health", "3"), actions=on("demo", "discovery"), reason="ILL"),
    Row("regress by voided evidence", "regress", "person", _void, "prospecting",
        first=lambda d: d.scored("prospecting", "70"), actions=on("discovery", "prospecting"),
        reason="EVIDENCE_VOIDED", pipeline={"voided_evidence": "regress"}),
    Row("close as won by a person", "close_won", "person", WON, "closed_won", at="negotiation",
        guard=lambda d: d.refused("feedback.score", code="MISSING", to_stage="closed_won"), reason="SIGNED",
        actions=(*on("negotiation", "closed_won"), "dispose_negotiation")),
    Row("close as won by an edit in the CRM", "close_won", "crm", lambda d: d.edited("closed_won"), "closed_won",
        at="negotiation", reason="CRM_EDIT", actions=(*on("negotiation", "closed_won"), "dispose_negotiation")),
    Row("close as lost by a person", "close_lost", "person",
        lambda d: d.moves(to_stage="closed_lost", reason_code="PRICE"), "closed_lost", reason="PRICE",
        guard=lambda d: d.refused("command.reason_code", to_stage="closed_lost"),
        actions=(*on("prospecting", "closed_lost"), "dispose_prospecting")),
    Row("walk away by a person", "walk_away", "person",
        lambda d: d.moves(to_stage="walked_away", reason_code="NO_FIT"), "walked_away", reason="NO_FIT",
        guard=lambda d: d.refused("command.reason_code", to_stage="walked_away"),
        actions=(*on("prospecting", "walked_away"), "dispose_prospecting")),
    Row("reopen by a person", "reopen", "person", lambda d: d.post("reopen", {"reason_code": "BOUNCED"}),
        "negotiation", at="negotiation", first=WON, cycle=2, reason="BOUNCED", actions=("enter_negotiation",),
        guard=lambda d: d.post("reopen", {"reason_code": "X"}, d.rep, 403), taken_back="won"),
    Row("reopen by an edit in the CRM", "reopen", "crm", lambda d: d.edited("demo"), "demo", at="closed_lost",
        cycle=2, reason="CRM_EDIT", actions=("enter_demo",), taken_back="lost"),
    Row("reassign to another pipeline", "reassign", "crm", _other_pipeline, "demo", at="discovery",
        guard=lambda d: d.edited("discovery", facts=[fact_of("opportunity.record_type", "Other")]),
        reason="OTHER_PIPELINE", entered=0, actions=("leave_discovery",)),
    Row("migrate to another version", "migrate", "person", _migrate, "talk", at="discovery", reason="MIGRATION",
        visits=0, entered=0),
]  # fmt: skip


@pytest.fixture
def journey(world_of: Tenant, admin: Client, engine: ServiceUnderTest, tenant: str) -> Journey:
    return Journey(world_of, admin, Client(engine, tenant, "rep", "rita"))


@pytest.mark.capability(36)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_each_kind_of_transition(journey: Journey, row: Row) -> None:
    await journey.world.publish_pipeline(**content(**row.pipeline))
    await journey.seen(row.at)
    await row.first(journey)
    before = await journey.now()
    await row.guard(journey)
    guarded = await journey.now()
    assert (guarded["claimed_stage"], guarded["revision"]) == (before["claimed_stage"], before["revision"])

    await row.act(journey)
    decision = next(d for d in reversed(await journey.decisions()) if d["transition"])
    move, now = decision["transition"], await journey.now()
    assert (move["kind"], move["cause"], move["to_stage"]) == (row.kind, row.cause, row.to)
    assert (move["from_stage"], move["reason_code"]) == (before["claimed_stage"], row.reason)
    assert tuple(move["skipped"]) == row.skipped
    assert (now["claimed_stage"], now["revision"]) == (row.to, before["revision"] + 1)
    assert (now["visit_no"], now["cycle_no"]) == (before["visit_no"] + row.visits, row.cycle)
    assert (move["taken_back"] or {}).get("category", "") == row.taken_back
    # What it writes back is what the CRM did not do itself.
    assert bool(decision["crm_target_stage"]) is (row.cause != "crm" or row.kind == "reassign")
    assert tuple(decision["actions"]) == row.actions
    timers = {t["key"]: t["due"] for t in now["timers"] if t["key"].startswith("in_") and t["due"]}
    if row.kind == "migrate":
        was = {t["key"]: t["due"] for t in before["timers"]}
        assert timers == {"in_discovery": was["in_discovery"]}
    elif row.kind != "reassign":
        assert timers.keys() == ({f"in_{row.to}"} if row.to in OPEN else set())
        assert all(_left(due) > timedelta(days=4) for due in timers.values())
    if row.kind == "reassign":
        funnel = await journey.admin.get("/v1/funnel?pipeline=qualified")
        assert (funnel["reassigned"], [s["entered"] for s in funnel["stages"]]) == (1, [0] * len(funnel["stages"]))
    else:
        # A stage that it comes back to was entered before: figures count an opportunity once.
        assert await journey.entered(row.to) == row.entered
    replay = await journey.admin.post(f"/v1/decisions/{decision['decision_id']}/replay", expect=200)
    assert replay["identical"] is True


def _left(due: str) -> timedelta:
    return datetime.fromisoformat(due) - utc_now()


@pytest.mark.parametrize(
    ("kind", "cause", "actions"),
    [
        (crm.OBSERVATION_KIND_IMPORTED, "import", []),
        (crm.OBSERVATION_KIND_CREATED, "crm", ["enter_demo"]),
    ],
)
async def test_adopting_what_is_seen_first(journey: Journey, kind: Any, cause: str, actions: list[str]) -> None:
    await journey.world.publish_pipeline(**content())
    await journey.seen("demo", kind)
    (decision,), now = await journey.decisions(), await journey.now()
    move = decision["transition"]
    assert (move["kind"], move["cause"], move["visit_no"], decision["actions"]) == ("adopt", cause, 1, actions)
    assert (now["claimed_stage"], now["earned_stage"], decision["crm_target_stage"]) == ("demo", "prospecting", "")
    assert [t["key"] for t in now["timers"] if t["key"].startswith("in_")] == ["in_demo"]
    assert await journey.entered("demo") == 1


async def test_a_rule_closes_as_won_by_a_proposal_only(journey: Journey) -> None:
    """Unless its mode says otherwise."""
    rules = [{name: each for name, each in rule.items() if name != "mode"} for rule in content()["rules"]]
    await journey.world.publish_pipeline(**content(rules=rules))
    await journey.seen("negotiation")
    keys = draft()["stages"][3]["assessment_keys"]
    await journey.scored(keys[0], "100")
    decision = (await journey.decisions())[-1]
    assert (decision["outcome"], decision["proposed_stage"], decision["transition"]) == ("proposed", "closed_won", None)
    assert (await journey.now())["claimed_stage"] == "negotiation"


async def test_a_hold_pauses_and_going_on_continues(journey: Journey) -> None:
    await journey.world.publish_pipeline(**content())
    await journey.seen("demo")
    revision = (await journey.now())["revision"]
    await journey.post("hold", {"reason": ""}, expect=422)
    held = await journey.post("hold", {"reason": "Next year."})
    assert (held["outcome"], held["transition"], held["actions"]) == ("accepted", None, ["put_off"])
    now = await journey.now()
    (timer,) = [t for t in now["timers"] if t["key"] == "in_demo"]
    assert (timer["due"], timer["paused"], now["on_hold"], now["revision"]) == (None, True, True, revision)
    await journey.reports("account.health", "2")
    assert (await journey.now())["claimed_stage"] == "demo"
    resumed = await journey.post("resume", {})
    assert resumed["actions"] == ["go_on"]
    now = await journey.now()
    (timer,) = [t for t in now["timers"] if t["key"] == "in_demo"]
    assert timedelta(days=4) < _left(timer["due"]) < timedelta(days=6)
    assert (now["claimed_stage"], now["on_hold"], await journey.entered("demo")) == ("demo", False, 1)


@pytest.mark.capability(70)
async def test_walking_away_is_no_loss_and_is_written_to_a_field(journey: Journey) -> None:
    """From unwanted business: its own outcome, with the reason in a field of the record."""
    stages = content()["stages"]
    field = {"name": "Disqualified_Reason__c", "value": "{move.reason}"}
    stages[-1]["on_entry"] = [{"key": "classify", "kind": "field_update", "fields": [field]}]
    await journey.world.publish_pipeline(**content(stages=stages))
    await journey.seen("prospecting")
    await journey.refused("command.reason_code", to_stage="walked_away")
    made = await journey.moves(to_stage="walked_away", reason_code="NO_FIT")
    assert (made["transition"]["kind"], made["transition"]["reason_code"]) == ("walk_away", "NO_FIT")
    change = (await journey.world.changes(2))[-1]
    assert (change.to_category, change.reason_code) == (CATEGORY_ABANDONED, "NO_FIT")
    (asked,) = await journey.world.service.events(
        ActionRequested, tenant=journey.world.tenant, count=1, where=lambda each: each.action_key == "classify"
    )
    assert [(each.name, each.value) for each in asked.message.fields] == [("Disqualified_Reason__c", "NO_FIT")]
    stages = {s["key"]: s["claimed"]["opportunities"] for s in (await journey.admin.get("/v1/funnel"))["stages"]}
    assert (stages["walked_away"], stages["closed_lost"]) == (1, 0)
    reopened = await journey.post("reopen", {"reason_code": "CHANGED"})
    assert reopened["transition"]["taken_back"]["category"] == "abandoned"
