"""New subjects get an owner by themselves, in turn and with the reason; a person's choice stays."""

from datetime import timedelta
from typing import Any

import pytest
from kit.ids import utc_now
from stage_engine.domain.assigned import MOST_ROLES
from stagecraft.common.v1.fact_pb2 import Fact
from stagecraft.crm.v1 import record_observed_pb2 as crm
from stagecraft.crm.v1.action_settled_pb2 import SETTLEMENT_REFUSED
from stagecraft.stage.v1 import stage_decided_pb2 as decided
from stagecraft.stage.v1.action_requested_pb2 import ActionRequested
from testing.service import eventually

from tests.builders import action_settled, person_observed
from tests.stage_engine import Client, Tenant, draft

pytestmark = pytest.mark.stack

PATH = "/v1/assignment-rules/opportunity"
LOG = "SELECT opportunity_id, person_id, rule_id, by_person FROM assignment ORDER BY assigned_at, opportunity_id"


def rules(**changes: Any) -> dict[str, Any]:
    return {
        "rules": [
            {"rule_id": "web", "conditions": [{"fact": "opportunity.lead_source", "cell": "'Web'"}],
             "to": {"pool": "inside"}},
            {"rule_id": "large", "conditions": [{"fact": "opportunity.amount", "cell": "> 50000"}],
             "to": {"person": "mona"}},
        ],
        "pools": [{"key": "inside", "people": ["rita", "ron"], "turn": "round_robin"}],
        "fallback": {"owner": {"person": "desk"}},
        **changes,
    }  # fmt: skip


async def people(world_of: Tenant, *names: str) -> None:
    for each in names:
        observed = person_observed(each, world_of.tenant, manager_id="")
        await world_of.service.publish(observed, tenant=world_of.tenant)

    async def known() -> None:
        assert await world_of.rows("SELECT count(*) FROM person") == [(len(names),)]

    await eventually(known)


async def created(world_of: Tenant, id_: str, source: str = "Web", **given: Any) -> None:
    facts = [Fact(name="opportunity.lead_source", text=source)]
    fields = {"kind": crm.OBSERVATION_KIND_CREATED, "facts": facts, "owner_id": "integration", **given}
    await world_of.observe(id_, "prospecting", **fields)


def assign(key: str, to: str, **given: Any) -> dict[str, Any]:
    return {"key": key, "kind": "assign", "to": to, **given}


async def settled_actions(admin: Client, opportunity_id: str) -> dict[str, Any]:
    items = (await admin.get(f"/v1/opportunities/{opportunity_id}/actions"))["items"]
    return {each["action_key"]: each for each in items}


class TestAssigning:
    @pytest.mark.capability(29, 60)
    async def test_who_gets_a_new_one_and_why(self, world_of: Tenant, admin: Client) -> None:
        await people(world_of, "rita", "ron", "mona", "desk")
        await world_of.publish_pipeline()
        assert (await admin.call("GET", PATH, 404))["code"] == "assignment_rules_not_found"
        put = await admin.call("PUT", PATH, 200, rules(), match=0)
        assert (put["version"], put["findings"]) == (1, [])
        assert (await admin.call("PUT", PATH, 200, put, match=1))["rules"] == put["rules"]
        typed = "/v1/assignment-rules/opportunty"
        found = await admin.call("PUT", typed, 200, rules(fallback={"owner": {"person": "ghost"}}), match=0)
        assert [(each["code"], each["pointer"]) for each in found["findings"]] == [
            ("object_type_unknown", ""), ("person_unknown", "/fallback/owner/person")
        ]  # fmt: skip
        await created(world_of, "o1")
        await created(world_of, "o2")
        await created(world_of, "o3", source="Fair", amount="90000")
        await created(world_of, "o4", source="Fair")
        await world_of.observe("o5", "prospecting", kind=crm.OBSERVATION_KIND_IMPORTED)
        # Two decisions of each that is new, one of what was imported.
        made = [d for d in await world_of.decisions(9) if d.input_kind == decided.INPUT_KIND_ASSIGNMENT]
        assert len(made) == 4
        log = {row[0]: row[1:] for row in await world_of.rows(LOG)}
        assert {log["o1"][0], log["o2"][0]} == {"rita", "ron"}
        assert (log["o3"], log["o4"]) == (("mona", "large", False), ("desk", "", False))
        for each in made:
            replayed = await admin.post(f"/v1/decisions/{each.decision_id}/replay", expect=200)
            assert replayed["identical"] is True

    async def test_the_crm_is_asked_for_the_owner_and_its_word_is_no_persons_choice(
        self, world_of: Tenant, admin: Client
    ) -> None:
        await people(world_of, "rita", "ron", "mona", "desk")
        owed = {"key": "call", "name": "Call", "within": "2h", "met_by": "activity.call.last_at"}
        await world_of.publish_pipeline(obligations=[{**owed, "starts": "on_first_sight"}])
        await admin.call("PUT", PATH, 200, rules(), match=0)
        await created(world_of, "o1", source="Fair")
        first, second = await world_of.decisions(2)
        assert [(each.key, each.state, each.owner_id) for each in first.owed] == [
            ("call", decided.OWED_STATE_OPEN, "integration")
        ]
        [chosen] = second.assigned
        assert (chosen.role, chosen.person_id, chosen.by_person) == ("owner", "desk", False)
        asked = (await settled_actions(admin, "o1"))["@owner"]
        assert (asked["action_id"], asked["to"], asked["state"]) == (chosen.action_id, "desk", "open")
        # A person chooses another before the CRM shows the first: each comes back, and neither is an edit.
        await admin.post("/v1/opportunities/o1/assign", {"person_id": "ron", "reason": "Ron knows them."})
        for owner in ("desk", "ron"):
            await world_of.observe("o1", "prospecting", owner_id=owner, changed_by="integration")
        await world_of.decisions(5)
        assert await world_of.rows("SELECT owner_id, assignee_id FROM opportunity") == [("ron", "ron")]
        done = action_settled(action_id=chosen.action_id, opportunity_id="o1", settlement=SETTLEMENT_REFUSED)
        await world_of.service.publish(done, tenant=world_of.tenant)

        async def told() -> None:
            states = await world_of.rows("SELECT state FROM action WHERE addressee = 'desk'")
            assert states == [("refused",)]

        await eventually(told)
        # The same owner again is shown already: nothing is asked for.
        await admin.post("/v1/opportunities/o1/assign", {"person_id": "ron", "reason": "Again."})
        assert await world_of.rows("SELECT count(*) FROM action") == [(2,)]

    async def test_what_is_asked_of_the_owner_is_asked_of_who_was_chosen(self, world_of: Tenant, admin: Client) -> None:
        await people(world_of, "rita", "ron", "mona", "desk")
        call = {"key": "call", "kind": "task", "text": "Call"}
        # Of those from the fair the pipeline's own action gives the role, so that rules have nothing left to choose.
        give = assign("give", "{opportunity.next_step}")
        step = {"name": "opportunity.next_step", "type": "text"}
        await world_of.publish_pipeline(on_first_sight=[call, give], facts=[step])
        await created(world_of, "o0")
        await world_of.decisions(1)
        await admin.call("PUT", PATH, 200, rules(), match=0)
        await created(world_of, "o1", source="Fair")
        named = Fact(name="opportunity.next_step", text="mona")
        await created(world_of, "o2", facts=[named])
        await world_of.decisions(8)
        for id_, to in (("o0", "integration"), ("o1", "desk"), ("o2", "mona")):
            assert (await settled_actions(admin, id_))["call"]["to"] == to
        for each in (await admin.get("/v1/opportunities/o1/decisions"))["items"]:
            replayed = await admin.post(f"/v1/decisions/{each['decision_id']}/replay", expect=200)
            assert replayed["identical"] is True

    @pytest.mark.capability(61)
    async def test_a_persons_choice_stays(self, world_of: Tenant, admin: Client) -> None:
        await people(world_of, "rita", "ron", "mona", "desk")
        await world_of.publish_pipeline()
        await admin.call("PUT", PATH, 200, rules(), match=0)
        await created(world_of, "o1", source="Fair")
        await world_of.decisions(2)
        path = "/v1/opportunities/o1/assign"
        unknown = await admin.post(path, {"person_id": "zoe", "reason": "x"}, expect=422)
        assert unknown["code"] == "person_unknown"
        reply = await admin.post(path, {"person_id": "ron", "reason": "Ron knows them."})
        assert reply["outcome"] == "accepted"
        assert (await world_of.rows(LOG))[-1] == ("o1", "ron", "", True)
        assert await world_of.rows("SELECT assignee_id FROM opportunity") == [("ron",)]

    async def test_a_subject_has_no_more_roles_than_can_be_kept_with_it(self, world_of: Tenant, admin: Client) -> None:
        await people(world_of, "rita", "ron", "mona", "desk")
        await world_of.publish_pipeline()
        await created(world_of, "o1", source="Fair")
        await world_of.decisions(1)
        path = "/v1/opportunities/o1/assign"
        for number in range(MOST_ROLES):
            await admin.post(path, {"person_id": "ron", "role": f"r{number}", "reason": "One more."})
        refused = await admin.post(path, {"person_id": "ron", "role": "one_more", "reason": "x"}, expect=409)
        assert refused["code"] == "too_many_roles"
        await admin.post(path, {"person_id": "mona", "role": "r0", "reason": "In the place of Ron."})

    async def test_an_action_gives_a_role_by_the_same_decision(self, world_of: Tenant, admin: Client) -> None:
        await people(world_of, "rita", "ron", "mona", "desk")
        # The CRM has no zoe, and the lead source names no person.
        entry = [
            assign("hand_on", "ron", text="Ron takes what is new."),
            assign("advise", "mona", target="adviser"),
            assign("gone", "zoe", target="backup"),
            assign("none", "{opportunity.next_owner}", target="other"),
        ]
        stages = [dict(stage) for stage in draft()["stages"]]
        stages[0]["on_entry"], stages[1]["on_entry"] = entry, [assign("again", "rita")]
        await world_of.publish_pipeline(stages=stages, facts=[{"name": "opportunity.next_owner", "type": "text"}])
        await admin.call("PUT", PATH, 200, rules(), match=0)
        await created(world_of, "o1")
        # The rules have nothing left to give.
        await world_of.decisions(5)
        assert sorted(row[1:3] for row in await world_of.rows(LOG)) == [("mona", ""), ("ron", "")]
        listed = await settled_actions(admin, "o1")
        assert listed.pop("@owner")["to"] == "ron"
        assert {key: each["state"] for key, each in listed.items()} == {
            "hand_on": "done", "advise": "done", "gone": "refused", "none": "refused",
        }  # fmt: skip
        assert (
            listed["gone"]["words"]
            == "The role is not given: there is no backup: zoe has left, or is no user of the CRM."
        )
        shown = await admin.get("/v1/opportunities/o1")
        assert [timer["key"] for timer in shown["timers"]] == []
        # A person's choice stays, and the action says so.
        await admin.post("/v1/opportunities/o1/assign", {"person_id": "desk", "reason": "The desk has time."})
        await world_of.observe("o1", "discovery", owner_id="integration")
        await world_of.decisions(8)
        again = (await settled_actions(admin, "o1"))["again"]
        assert (again["state"], again["code"]) == ("refused", "OVERRIDE_ACTIVE")
        assert again["words"] == "The role is not given: desk was chosen by a person, and stays owner."
        # No other service is asked for it.
        assert await world_of.service.events(ActionRequested, tenant=world_of.tenant, count=0) == []
        for each in (await admin.get("/v1/opportunities/o1/decisions"))["items"]:
            assert (await admin.post(f"/v1/decisions/{each['decision_id']}/replay", expect=200))["identical"] is True

    @pytest.mark.capability(106)
    async def test_what_is_left_alone_goes_to_another(self, world_of: Tenant, admin: Client) -> None:
        await people(world_of, "rita", "ron", "mona", "desk")
        await world_of.publish_pipeline(reassign_after="14d")
        await admin.call("PUT", PATH, 200, rules(), match=0)
        await created(world_of, "o1")
        await world_of.decisions(2)
        [(_, first, _, _)] = await world_of.rows(LOG)
        await world_of.rows(
            "UPDATE opportunity SET due_at = now() - interval '1 day',"
            " state = jsonb_set(state::jsonb, '{timers,@idle,due}', to_jsonb(now() - interval '1 day'))::text"
        )
        await world_of.decisions(4)
        second = (await world_of.rows(LOG))[-1][1]
        assert {first, second} == {"rita", "ron"}

    async def test_rules_are_refused_and_tried_out(self, world_of: Tenant, admin: Client) -> None:
        await people(world_of, "rita", "ron", "mona", "desk")
        source = {"fact": "opportunity.lead_source", "cell": "known"}
        await world_of.publish_pipeline(applies_when=[source])
        for number in range(4):
            await created(world_of, f"o{number}", source="Web" if number else "Fair")
        await world_of.decisions(4)
        refused = await admin.call("PUT", PATH, 422, rules(pools=[]), match=0)
        assert refused["errors"][0]["pointer"] == "/rules/0/to/pool"
        tried = await admin.call("POST", f"{PATH}/simulate", 200, rules())
        assert {each["name"]: each["subjects"] for each in tried["by_rule"]} == {"web": 3, "": 1}
        assert sorted(each["subjects"] for each in tried["by_owner"]) == [1, 1, 2]
        assert "opportunity.lead_source is 'Web'" in tried["items"][-1]["choices"][0]["reason"]
        assert await world_of.rows(LOG) == []
        since = (utc_now() + timedelta(days=1)).isoformat()
        assert (await admin.call("POST", f"{PATH}/simulate", 200, rules(since=since)))["items"] == []
        rep = Client(world_of.service, world_of.tenant, "rep", "rita")
        await rep.call("PUT", PATH, 403, rules(), match=0)
