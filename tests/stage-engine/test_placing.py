"""Records find their pipeline, or are listed with the reason why they have none."""

from copy import deepcopy
from typing import Any

import pytest
from kit.contracts.facts import fact_of
from stage_engine.domain.choosing import choose_for
from stage_engine.domain.inputs import MappedStage, Occasion
from stage_engine.service import placing
from stage_engine.service.deciding import Arrival
from stage_engine.service.intake import Intake
from stage_engine.templates import templates
from stagecraft.crm.v1 import record_observed_pb2 as crm
from stagecraft.stage.v1 import stage_changed_pb2 as changed

from tests.plans.statements import largest_statement
from tests.stage_engine import Client, Tenant

pytestmark = pytest.mark.stack

RENEWAL = [{"fact": "opportunity.type", "cell": "'Renewal'"}]
LARGE = [{"fact": "opportunity.amount", "cell": ">= 100000"}]


async def unplaced(world_of: Tenant, query: str = "") -> list[tuple[str, str]]:
    return [(each["record_id"], each["code"]) for each in (await world_of.get(f"/v1/unplaced{query}"))["items"]]


class TestChoice:
    async def test_a_record_gets_the_first_pipeline_that_applies_to_its_facts(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline()
        await world_of.publish_pipeline(key="large", is_default=False, applies_when=LARGE)
        await world_of.publish_pipeline(key="renewals", is_default=False, applies_when=RENEWAL, priority=-1)
        renewal = fact_of("opportunity.type", "Renewal")
        await world_of.observe("o1", "demo", amount="200000", facts=[renewal])
        await world_of.observe("o2", "demo", amount="200000")
        await world_of.observe("o3", "demo", amount="10")
        found = {change.opportunity_id: change.pipeline_key for change in await world_of.changes(3)}
        assert found == {"o1": "renewals", "o2": "large", "o3": "field_example"}
        assert await unplaced(world_of) == []

    async def test_its_stage_is_that_of_its_pipeline(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline()
        await world_of.publish_pipeline(key="large", is_default=False, applies_when=LARGE)
        mapped = [
            crm.MappedStage(pipeline_key="field_example", pipeline_version=1, stage_key="negotiation"),
            crm.MappedStage(pipeline_key="large", pipeline_version=1, stage_key="discovery"),
        ]
        for name, amount in (("o1", "10"), ("o2", "200000")):
            await world_of.observe(name, "", amount=amount, mapped_stages=mapped)
        found = {change.opportunity_id: change.to_stage for change in await world_of.changes(2)}
        assert found == {"o1": "negotiation", "o2": "discovery"}


class TestUnplaced:
    async def test_a_record_that_no_pipeline_takes_is_listed_until_a_fact_changes(
        self, world_of: Tenant, eventually: Any
    ) -> None:
        await world_of.publish_pipeline(applies_when=LARGE)
        await world_of.observe("o1", "demo", amount="10")
        await world_of.observe("l1", "demo", object_type="lead")

        async def listed() -> None:
            assert await unplaced(world_of) == [("l1", "NO_PIPELINE"), ("o1", "NONE_APPLIES")]

        await eventually(listed)
        assert await unplaced(world_of, "?object_type=lead") == [("l1", "NO_PIPELINE")]
        assert await unplaced(world_of, "?code=NONE_APPLIES") == [("o1", "NONE_APPLIES")]
        (shown,) = (await world_of.get("/v1/unplaced?object_type=opportunity"))["items"]
        assert shown["reason"] == "no pipeline applies: field_example (opportunity.amount has to be >= 100000)"
        await world_of.score("o1", "negotiation", "90", ("negotiation", 1))
        await world_of.observe("o1", "negotiation", amount="100000")
        (change,) = await world_of.changes(1)
        assert (change.opportunity_id, change.to_stage) == ("o1", "negotiation")
        # What waited for it is decided on as well.
        assert (await world_of.decisions(2))[1].HasField("submission")
        assert await unplaced(world_of) == [("l1", "NO_PIPELINE")]

    async def test_one_that_was_created_and_is_placed_later_passes_the_gates_of_a_new_one(
        self, world_of: Tenant
    ) -> None:
        stages = deepcopy(templates()["field_example"]["stages"])
        stages[1]["entry"] = [
            {"key": "big", "name": "Big", "conditions": [{"fact": "opportunity.amount", "cell": "> 1"}]}
        ]
        big = [{"fact": "opportunity.type", "cell": "'New'"}]
        await world_of.publish_pipeline(applies_when=big, stages=stages, crm_edit_policy="revert")
        await world_of.observe("o1", "discovery", amount="1", kind=crm.OBSERVATION_KIND_CREATED)
        await world_of.observe("o2", "discovery", amount="1", kind=crm.OBSERVATION_KIND_IMPORTED)
        for each in ("o1", "o2"):
            await world_of.observe(each, "discovery", amount="1", facts=[fact_of("opportunity.type", "New")])
        found = {change.opportunity_id: change.to_stage for change in await world_of.changes(2)}
        assert found == {"o1": "prospecting", "o2": "discovery"}

    async def test_a_publication_places_it_once_the_crm_reported_its_stage(
        self, world_of: Tenant, eventually: Any
    ) -> None:
        await world_of.observe("l1", "demo", object_type="lead", pipelines=["other"])
        await world_of.publish_pipeline(key="leads", object_type="lead", is_default=False)

        async def waits() -> None:
            assert await unplaced(world_of) == [("l1", "STAGE_NOT_REPORTED")]

        await eventually(waits)
        await world_of.observe("l1", "demo", object_type="lead")
        (change,) = await world_of.changes(1)
        assert (change.pipeline_key, change.to_stage) == ("leads", "demo")
        assert await unplaced(world_of) == []

    async def test_a_deleted_one_is_not_listed_and_an_old_report_does_not_bring_it_back(
        self, world_of: Tenant, eventually: Any
    ) -> None:
        first = await world_of.observe("o1", "demo")

        async def listed() -> None:
            assert await unplaced(world_of) == [("o1", "NO_PIPELINE")]

        await eventually(listed)
        gone = crm.RecordObserved()
        gone.CopyFrom(first)
        gone.kind, gone.change_id = crm.OBSERVATION_KIND_DELETED, "gone"
        await world_of.service.publish(gone, tenant=world_of.tenant, sequence=7)

        async def nothing() -> None:
            assert await unplaced(world_of) == []

        await eventually(nothing)
        late = crm.RecordObserved()
        late.CopyFrom(first)
        late.change_id = "late"
        await world_of.service.publish(late, tenant=world_of.tenant, sequence=6)
        await world_of.publish_pipeline()
        await world_of.observe("o2", "demo")
        assert [change.opportunity_id for change in await world_of.changes(1)] == ["o2"]

    async def test_one_that_cannot_be_placed_holds_up_no_other(
        self, world_of: Tenant, eventually: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("o1", "o2", "o3"):
            await world_of.observe(name, "demo")

        async def waiting(*names: str) -> None:
            assert [name for name, _ in await unplaced(world_of)] == list(names)

        def failing(pipelines: Any, given: Any, now: Any) -> Any:
            if given.opportunity_id == "o2":
                raise ZeroDivisionError
            return choose_for(pipelines, given, now)

        await eventually(lambda: waiting("o1", "o2", "o3"))
        monkeypatch.setattr(placing, "choose_for", failing)
        await world_of.publish_pipeline()
        assert {change.opportunity_id for change in await world_of.changes(2)} == {"o1", "o3"}
        await eventually(lambda: waiting("o2"))

    async def test_a_rep_sees_their_own(self, world_of: Tenant, eventually: Any) -> None:
        for owner in ("rita", "bob"):
            await world_of.observe(f"of-{owner}", "demo", owner_id=owner)

        async def both() -> None:
            assert len(await unplaced(world_of)) == 2

        await eventually(both)
        rep = Client(world_of.service, world_of.tenant, "rep", "rita")
        assert [each["record_id"] for each in (await rep.get("/v1/unplaced"))["items"]] == ["of-rita"]


class TestOthers:
    """Leads and accounts have the operations of opportunities."""

    @pytest.mark.capability(1)
    @pytest.mark.parametrize(("object_type", "plural"), [("lead", "leads"), ("account", "accounts")])
    async def test_a_subject_of_each_type_is_found_under_its_name_only(
        self, world_of: Tenant, admin: Client, object_type: str, plural: str
    ) -> None:
        await world_of.publish_pipeline()
        await world_of.publish_pipeline(key=plural, object_type=object_type, is_default=True)
        await world_of.observe("x1", "prospecting", object_type=object_type)
        await world_of.observe("o1", "demo")
        await world_of.changes(2)
        assert [each["opportunity_id"] for each in (await admin.get(f"/v1/{plural}"))["items"]] == ["x1"]
        assert [each["opportunity_id"] for each in (await admin.get("/v1/opportunities"))["items"]] == ["o1"]
        shown = await admin.get(f"/v1/{plural}/x1")
        assert (shown["object_type"], shown["pipeline_key"]) == (object_type, plural)
        elsewhere = await admin.get("/v1/opportunities/x1", expect=404)
        assert elsewhere["code"] == "opportunity_not_found"
        assert f"look at /v1/{plural}/x1." in elsewhere["detail"]
        move = {"to_stage": "discovery", "override": True, "reason_code": "X", "text": "known"}
        assert (await admin.post("/v1/opportunities/x1/transitions", move, expect=404, match=1))["code"]
        moved = await admin.post(f"/v1/{plural}/x1/transitions", move, match=1)
        assert (moved["outcome"], moved["to_stage"]) == ("accepted", "discovery")
        assert len((await admin.get(f"/v1/{plural}/x1/decisions"))["items"]) == 2
        funnel = await admin.get(f"/v1/funnel?object_type={object_type}")
        assert {s["key"]: s["claimed"]["opportunities"] for s in funnel["stages"] if s["claimed"]["opportunities"]} == {
            "discovery": 1
        }
        assert (await admin.get("/v1/funnel"))["pipeline_key"] == "field_example"

    async def test_an_account_and_its_opportunity_do_not_move_each_other(self, world_of: Tenant) -> None:
        await world_of.publish_pipeline()
        await world_of.publish_pipeline(key="accounts", object_type="account")
        for _ in range(3):
            await world_of.observe("a1", "prospecting", object_type="account")
            await world_of.observe("o1", "prospecting")
        assert len(await world_of.decisions(6)) == 6
        assert sorted(change.opportunity_id for change in await world_of.changes(2)) == ["a1", "o1"]


class TestReassigned:
    @pytest.mark.capability(39, 99)
    async def test_a_record_type_that_changes_takes_it_to_the_other_pipeline(
        self, world_of: Tenant, admin: Client
    ) -> None:
        qualified = [{"fact": "opportunity.record_type", "cell": "'Qualified'"}]
        mapping = {"field_example": {"discovery": "demo"}}
        await world_of.publish_pipeline()
        await world_of.publish_pipeline(key="qualified", is_default=False, applies_when=qualified, reassign=mapping)
        kind = [fact_of("opportunity.record_type", "Qualified")]
        await world_of.observe("o1", "discovery")
        await world_of.observe("o2", "negotiation")
        await world_of.observe("o1", "discovery", facts=kind)
        await world_of.observe("o2", "negotiation", facts=kind)
        (change,) = [c for c in await world_of.changes(3) if c.kind == changed.TRANSITION_KIND_REASSIGN]
        assert change.opportunity_id == "o1"
        assert (change.pipeline_key, change.from_stage, change.to_stage) == ("qualified", "discovery", "demo")
        found = await world_of.decisions(6)
        (reassigned,) = [d for d in found if d.HasField("change") and d.change.kind == change.kind]
        assert (reassigned.crm_target_stage, reassigned.crm_expected_stage) == ("demo", "discovery")
        replayed = await admin.post(f"/v1/decisions/{reassigned.decision_id}/replay", expect=200)
        assert replayed["identical"] is True
        funnel = await admin.get("/v1/funnel?pipeline=qualified")
        assert (funnel["reassigned"], [stage["entered"] for stage in funnel["stages"]]) == (1, [0] * 6)
        # The mapping says no place for the other one.
        (stays,) = (await admin.get("/v1/opportunities?elsewhere=true"))["items"]
        assert (stays["opportunity_id"], stays["other_pipeline"]) == ("o2", "qualified")


async def test_ten_thousand_new_leads_cost_the_same_statements_in_every_batch(world: Any, world_of: Tenant) -> None:
    """Of each batch half find a pipeline and half do not."""
    mine = [{"fact": "lead.owner_id", "cell": "'rita'"}]
    await world_of.publish_pipeline(key="leads", object_type="lead", is_default=False, applies_when=mine)
    mapped = (MappedStage("leads", 1, "demo"),)
    costs: list[tuple[int, int, int]] = []
    for batch in range(20):
        seen = [
            world.observation(
                "", opportunity_id=f"l{batch}-{n}", occasion=Occasion.IMPORTED,
                    change_id=f"c{batch}-{n}", object_type="lead", mapped=mapped,
                amount=None, owner_id=("rita", "bob")[n % 2], number=1,
            )
            for n in range(500)
        ]  # fmt: skip
        with largest_statement(world_of.service.database) as largest:
            async with world_of.service.database.unit_of_work(world_of.tenant) as uow:
                await Intake(uow).observations([Arrival(each) for each in seen])
        costs.append((largest.statements, largest.parameters, largest.values))
    # No batch adds one for each record.
    assert all(0 < statements < 60 for statements, _, _ in costs), costs
    assert len({parameters for _, parameters, _ in costs}) == 1
    assert max(values for _, _, values in costs) <= 500
    [(placed,)] = await world_of.rows("SELECT count(*) FROM opportunity WHERE object_type = 'lead'")
    [(aside,)] = await world_of.rows("SELECT count(*) FROM unplaced WHERE code = 'NONE_APPLIES'")
    assert (placed, aside) == (5000, 5000)
    # Each is adopted where it is.
    moves = await world_of.rows("SELECT kind, cause, to_stage, count(*) FROM transition GROUP BY 1, 2, 3")
    assert moves == [("adopt", "import", "demo", 5000)]
