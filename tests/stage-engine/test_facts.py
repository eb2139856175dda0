"""Facts that programs report over HTTP."""

from typing import Any

import pytest

from tests.stage_engine import Client, Tenant

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="session")]

DECISION_MAKERS = {"fact": "contacts.decision_makers", "cell": ">= 2"}


def item(key: str, value: Any, **given: Any) -> dict[str, Any]:
    fields = {
        "idempotency_key": key,
        "subject_id": "o1",
        "name": "contacts.decision_makers",
        "value": value,
        "observed_at": "2026-03-02T09:30:00Z",
        "source": "dialler",
    }
    return {**fields, **given}


class TestReport:
    async def test_each_item_is_judged_by_itself(self, admin: Client, world_of: Tenant) -> None:
        await world_of.publish_pipeline(rules=[{
            "rule_id": "r", "from_stage": "prospecting", "to_stage": "discovery", "mode": "auto",
            "conditions": [DECISION_MAKERS],
        }])  # fmt: skip
        await world_of.observe("o1", "prospecting")
        await world_of.decisions(1)
        items = [
            item("1", "x"),
            item("2", "1", source="crm"),
            item("3", "1", subject_id="nowhere"),
            item("4", "Retail", name="account.industry"),
            item("5", "1", observed_at="2999-01-01T00:00:00Z"),
            item("6", "2"),
        ]
        answers = (await admin.post("/v1/facts", {"items": items}, 200))["items"]
        assert [(a["outcome"], a["code"]) for a in answers] == [
            ("refused", "FACT_TYPE"),
            ("refused", "FACT_SOURCE"),
            ("refused", "subject_not_found"),
            ("not_read", ""),
            ("refused", "FACT_FUTURE"),
            ("decided", ""),
        ]
        assert (await admin.get("/v1/opportunities/o1"))["claimed_stage"] == "discovery"
        again = (await admin.post("/v1/facts", {"items": [items[5]]}, 200))["items"]
        assert [a["outcome"] for a in again] == ["duplicate"]
