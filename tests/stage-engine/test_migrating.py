"""Publishing for opportunities under way: plans, migrations, their way back, and what goes wrong meanwhile."""

import asyncio
from typing import Any

import pytest
import stage_engine.service.migrating
from stage_engine import tasks
from stagecraft.stage.v1 import stage_changed_pb2 as changed
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided
from testing.service import ServiceUnderTest

from tests.stage_engine import Client, Tenant, draft

pytestmark = pytest.mark.stack
PATH = "/v1/pipelines/field_example"


def renamed(names: dict[str, str], **changes: Any) -> dict[str, Any]:
    """The field example with stages under other keys; rules of stages without a name are left out."""

    def key_of(stage_key: str) -> str:
        return names.get(stage_key, stage_key)

    content = draft(**changes)
    content.pop("key")
    content["stages"] = [s | {"key": key_of(s["key"])} for s in content["stages"] if key_of(s["key"])]
    rules = [r | {"from_stage": key_of(r["from_stage"]), "to_stage": key_of(r["to_stage"])} for r in content["rules"]]
    content["rules"] = [r for r in rules if r["from_stage"] and r["to_stage"]]
    return content


async def drafted(admin: Client, content: dict[str, Any]) -> None:
    revision = (await admin.get(PATH))["revision"]
    await admin.call("PUT", f"{PATH}/draft", 200, content, match=revision)


async def observed(world_of: Tenant, **stages: str) -> None:
    for opportunity_id, stage in stages.items():
        await world_of.observe(opportunity_id, stage)
    await world_of.changes(len(stages))


async def finished(admin: Client, migration: Any, eventually: Any) -> Any:
    async def done() -> Any:
        found = await admin.get(f"{PATH}/migrations/{migration['migration_id']}")
        assert found["finished_at"], found
        return found

    return await eventually(done)


async def where(admin: Client) -> dict[str, tuple[int, str, str]]:
    items = (await admin.get("/v1/opportunities?limit=200"))["items"]
    return {o["opportunity_id"]: (o["pipeline_version"], o["claimed_stage"], o["earned_stage"]) for o in items}


class TestPublishing:
    async def test_for_new_ones_only_it_says_who_stays_where(self, world_of: Tenant, admin: Client) -> None:
        await world_of.publish_pipeline()
        await observed(world_of, o1="demo", o2="demo", o3="prospecting", o4="closed_won")
        await drafted(admin, renamed({"demo": ""}, skip_policy="if_guards_hold"))
        published = await admin.post(f"{PATH}/publish")
        assert (published["version"], published["migration"]) == (2, None)
        assert published["staying"] == [{"version": 1, "opportunities": 3}]
        versions = (await admin.get(f"{PATH}/versions"))["items"]
        assert [(v["version"], v["opportunities"]) for v in versions] == [(1, 3), (2, 0)]
        await world_of.score("o1", "demo", "90", ("demo", 1))
        assert (await world_of.changes(5))[-1].pipeline_version == 1
        stages = {s["key"]: s["claimed"]["opportunities"] for s in (await admin.get("/v1/funnel"))["stages"]}
        assert (stages["demo"], sum(stages.values())) == (1, 4)

    async def test_a_plan_without_a_place_for_all_is_refused_whole(self, world_of: Tenant, admin: Client) -> None:
        await world_of.publish_pipeline()
        await observed(world_of, o1="demo", o2="demo", o3="discovery")
        await drafted(admin, renamed({"demo": "show", "discovery": "talk"}))
        body = {"migrate": {"stages": {"discovery": "closed_lost"}}}
        refused = await admin.post(f"{PATH}/publish", body, expect=409)
        assert refused["code"] == "plan_incomplete"
        assert "2 of version 1 are in 'demo'" in refused["detail"]
        found = [(e["pointer"], e["code"]) for e in refused["errors"]]
        assert found == [
            ("/stages/demo", "no_target"),
            ("/stages/discovery", "target_closed"),
        ]
        assert (await admin.get(PATH))["newest_version"] == 1
        assert (await admin.get(f"{PATH}/migrations"))["items"] == []
        unknown = await admin.post(f"{PATH}/publish", {"migrate": {"stages": {"dmeo": "show"}}}, expect=422)
        assert (unknown["code"], unknown["errors"][0]["pointer"]) == ("stage_unknown", "/stages/dmeo")
        rep = Client(world_of.service, world_of.tenant, "rep", "rita")
        assert (await rep.post(f"{PATH}/versions/1/plan", {}, expect=403))["scope"] == "pipelines:write"


class TestPlan:
    @pytest.mark.capability(50)
    async def test_a_dry_run_tells_who_goes_and_who_would_advance(self, world_of: Tenant, admin: Client) -> None:
        await world_of.publish_pipeline()
        await observed(world_of, o1="prospecting", o2="prospecting", o3="demo", o4="closed_lost")
        await world_of.score("o1", "prospecting", "50", ("prospecting", 1))
        await world_of.decisions(5)
        rules = [{**draft()["rules"][0], "conditions": [{"fact": "prospecting.score", "cell": "> 40"}]}]
        await drafted(admin, renamed({"demo": "show"}) | {"rules": [*rules]})
        found = await admin.post(f"{PATH}/versions/2/plan", {"stages": {}}, expect=200)
        assert found["without_target"] == [
            {"version": 1, "stage_key": "demo", "opportunities": 1, "code": "no_target", "earned": False}
        ]
        body = {"stages": {"demo": "show"}}
        first = await admin.post(f"{PATH}/versions/2/plan?limit=2", body, expect=200)
        assert (first["without_target"], first["can_be_undone"]) == ([], True)
        assert [(f["from_stage"], f["to_stage"], f["opportunities"]) for f in first["flows"]] == [
            ("demo", "show", 1),
            ("prospecting", "prospecting", 2),
        ]
        rest = await admin.post(f"{PATH}/versions/2/plan?limit=2&cursor={first['next_cursor']}", body, expect=200)
        movers = [*first["items"], *rest["items"]]
        assert [(m["opportunity_id"], m["to_stage"], m["next_stage"], m["next_outcome"]) for m in movers] == [
            ("o1", "prospecting", "discovery", "accepted"),
            ("o2", "prospecting", "", ""),
            ("o3", "show", "", ""),
        ]
        assert set((await where(admin)).values()) >= {(1, "demo", "prospecting")}
        assert (await admin.post(f"{PATH}/versions/3/plan", body, expect=404))["code"] == "pipeline_not_found"
        together = await admin.post(
            f"{PATH}/versions/2/plan", {"stages": {"demo": "show", "prospecting": "show"}}, expect=200
        )
        assert together["can_be_undone"] is False


class TestMigration:
    @pytest.mark.capability(76, 50, 48)
    async def test_one_deployment_changes_the_process_for_all_and_can_be_undone(
        self, world_of: Tenant, admin: Client, eventually: Any
    ) -> None:
        await world_of.publish_pipeline()
        await observed(world_of, o1="prospecting", o2="demo", o3="closed_won")
        before = await where(admin)
        opened = (await admin.get("/v1/opportunities/o2"))["visit_opened_at"]
        entered = {s["key"]: s["entered"] for s in (await admin.get("/v1/funnel"))["stages"]}
        await drafted(admin, renamed({"demo": "show"}))
        published = await admin.post(f"{PATH}/publish", {"migrate": {"stages": {"demo": "show"}}})
        done = await finished(admin, published["migration"], eventually)
        assert (done["planned"], done["moved"], done["left"], done["can_be_undone"]) == (2, 2, 0, True)
        now = await where(admin)
        assert now == {
            "o1": (2, "prospecting", "prospecting"),
            "o2": (2, "show", "prospecting"),
            "o3": (1, "closed_won", "prospecting"),
        }
        one = await admin.get("/v1/opportunities/o2")
        assert (one["visit_no"], one["visit_opened_at"]) == (1, opened)

        moves = [m for m in await world_of.changes(5) if m.kind == changed.TRANSITION_KIND_MIGRATE]
        assert {(m.opportunity_id, m.from_stage, m.to_stage, m.pipeline_version, m.visit_no) for m in moves} == {
            ("o1", "prospecting", "prospecting", 2, 1),
            ("o2", "demo", "show", 2, 1),
        }
        written = {
            d.opportunity_id: d for d in await world_of.decisions(5) if d.input_kind == decided.INPUT_KIND_MIGRATION
        }
        assert written["o1"].crm_target_stage == ""
        asked = written["o2"].crm_expected_stage, written["o2"].crm_expected_version, written["o2"].crm_target_stage
        assert asked == ("demo", 1, "show")
        for opportunity_id in ("o1", "o2"):
            for item in (await admin.get(f"/v1/opportunities/{opportunity_id}/decisions"))["items"]:
                replay = await admin.post(f"/v1/decisions/{item['decision_id']}/replay", expect=200)
                assert replay["identical"] is True
        stages = {s["key"]: s["entered"] for s in (await admin.get("/v1/funnel"))["stages"]}
        assert (stages["show"], stages["prospecting"]) == (0, entered["prospecting"])

        # Captured before, under the old key.
        await world_of.score("o2", "demo", "90", ("demo", 1))
        assert [m.to_stage for m in await world_of.changes(6) if m.opportunity_id == "o2"][-1] == "negotiation"
        undone = await admin.post(f"{PATH}/migrations/{done['migration_id']}/undo")
        back = await finished(admin, undone, eventually)
        assert (back["moved"], back["left"], back["undoes"]) == (2, 0, done["migration_id"])
        assert await where(admin) == before | {"o2": (1, "negotiation", "negotiation")}
        again = await admin.post(f"{PATH}/migrations/{back['migration_id']}/undo", expect=409)
        assert again["code"] == "migration_not_invertible"
        assert [m["migration_id"] for m in (await admin.get(f"{PATH}/migrations"))["items"]] == [
            done["migration_id"],
            back["migration_id"],
        ]

    async def test_stages_brought_together_have_no_way_back(
        self, world_of: Tenant, admin: Client, eventually: Any
    ) -> None:
        await world_of.publish_pipeline()
        await observed(world_of, o1="discovery", o2="demo")
        content = renamed({"demo": ""}, skip_policy="if_guards_hold")
        await drafted(admin, content)
        published = await admin.post(f"{PATH}/publish", {"migrate": {"stages": {"demo": "discovery"}}})
        done = await finished(admin, published["migration"], eventually)
        assert {stage for _, stage, _ in (await where(admin)).values()} == {"discovery"}
        refused = await admin.post(f"{PATH}/migrations/{done['migration_id']}/undo", expect=409)
        assert refused["code"] == "migration_not_invertible"
        # A migration to the version before is a plan of its own.
        started = await admin.post(f"{PATH}/versions/1/migrations", {"stages": {}})
        await finished(admin, started, eventually)
        assert {version for version, _, _ in (await where(admin)).values()} == {1}
        missing = await admin.get(f"{PATH}/migrations/{world_of.tenant}", 422)
        assert missing["code"] == "validation_failed"

    async def test_events_in_flight_are_decided_once_by_either_version(
        self, engine: ServiceUnderTest, world_of: Tenant, admin: Client, eventually: Any
    ) -> None:
        await world_of.publish_pipeline()
        names = [f"o{number:02}" for number in range(30)]
        await observed(world_of, **dict.fromkeys(names, "prospecting"))
        await drafted(admin, renamed({"prospecting": "lead", "discovery": "talk"}))

        async def answers() -> None:
            for name in names:
                await world_of.score(name, "prospecting", "70", ("prospecting", 1))

        body = {"migrate": {"stages": {"prospecting": "lead", "discovery": "talk"}}}
        published, _ = await asyncio.gather(admin.post(f"{PATH}/publish", body), answers())
        done = await finished(admin, published["migration"], eventually)
        assert (done["moved"], done["left"]) == (30, 0)
        found = await engine.events(StageDecided, tenant=world_of.tenant, count=90)
        kinds = [(e.message.opportunity_id, e.message.input_kind) for e in found]
        assert len(kinds) == len(set(kinds)) == 90
        assert {(v, stage) for v, stage, _ in (await where(admin)).values()} == {(2, "talk")}

    async def test_a_migration_killed_in_the_middle_goes_on_where_it_was(
        self, world_of: Tenant, admin: Client, eventually: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await world_of.publish_pipeline()
        names = [f"o{number}" for number in range(7)]
        await observed(world_of, **dict.fromkeys(names, "demo"))
        await drafted(admin, renamed({"demo": "show"}))
        monkeypatch.setattr(stage_engine.service.migrating, "PAGE", 2)
        seen: list[int] = []
        carry = tasks.carry_page

        async def dies_once(*given: Any, **how: Any) -> bool:
            more = await carry(*given, **how)
            seen.append(1)
            if len(seen) == 2:
                raise ConnectionError("killed before the commit")
            return more

        monkeypatch.setattr(tasks, "carry_page", dies_once)
        published = await admin.post(f"{PATH}/publish", {"migrate": {"stages": {"demo": "show"}}})
        done = await finished(admin, published["migration"], eventually)
        assert (done["planned"], done["moved"]) == (7, 7)
        assert len(seen) == 5
        moves = [m.opportunity_id for m in await world_of.changes(14) if m.kind == changed.TRANSITION_KIND_MIGRATE]
        assert sorted(moves) == names

    async def test_one_that_cannot_be_carried_over_stays_and_holds_up_no_other(
        self, world_of: Tenant, admin: Client, eventually: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await world_of.publish_pipeline()
        names = [f"o{number}" for number in range(5)]
        await observed(world_of, **dict.fromkeys(names, "demo"))
        make = stage_engine.service.migrating.input_of

        def fails(plan: Any, number: str, opportunity_id: str, version: int, actor: str) -> Any:
            if opportunity_id == "o2":
                raise OverflowError
            return make(plan, number, opportunity_id, version, actor)

        monkeypatch.setattr(stage_engine.service.migrating, "input_of", fails)
        published = await admin.post(f"{PATH}/publish", {"migrate": {}})
        done = await finished(admin, published["migration"], eventually)
        assert (done["planned"], done["moved"], done["left"]) == (5, 4, 1)
        assert {name: version for name, (version, *_) in (await where(admin)).items() if version == 1} == {"o2": 1}

    async def test_one_at_a_time(
        self, world_of: Tenant, admin: Client, eventually: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await world_of.publish_pipeline()
        await observed(world_of, o1="demo")
        go_on = asyncio.Event()
        carry = tasks.carry_page

        async def waits(*given: Any, **how: Any) -> bool:
            await go_on.wait()
            return await carry(*given, **how)

        monkeypatch.setattr(tasks, "carry_page", waits)
        started = (await admin.post(f"{PATH}/publish", {"migrate": {}}))["migration"]
        assert (started["moved"], started["finished_at"]) == (0, None)
        assert (await admin.post(f"{PATH}/versions/1/migrations", {}, expect=409))["code"] == "migration_under_way"
        undo = f"{PATH}/migrations/{started['migration_id']}/undo"
        assert (await admin.post(undo, expect=409))["code"] == "migration_under_way"
        go_on.set()
        assert (await finished(admin, started, eventually))["moved"] == 1
