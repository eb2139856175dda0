"""Timers and actions among the faults: each stage sets a timer that is due at once and asks for a call, and owes one.

Whatever is killed meanwhile, each visit fires once, each action is settled once, and the org holds one task for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.story.api import Caller
from sandbox.story.org_load import OrgConsole
from sandbox.story.world import PIPELINE
from stagecraft.stage.v1.stage_decided_pb2 import OwedState, StageDecided

from tools.chaos.databases import Databases

_OPEN_STAGES = "category = 'open' AND NOT deleted AND NOT quarantined AND NOT on_hold AND stage_key <> ''"
_UNFIRED = f"""
    SELECT opportunity_id, stage_key
    FROM opportunity
    WHERE tenant_id = 'acme' AND {_OPEN_STAGES}
      AND coalesce((state::jsonb #>> ARRAY['timers', 'due_' || stage_key, 'fired'])::int, 0) = 0
"""
UNSETTLED: Mapping[str, tuple[str, str]] = {
    "timers that are due": (
        "stage-engine",
        "SELECT count(*) FROM opportunity WHERE tenant_id = 'acme' AND due_at <= now()",
    ),
    # Each fires as its stage is entered, the first ones a minute after the record was made.
    "timers that are to fire": ("stage-engine", f"SELECT count(*) FROM ({_UNFIRED}) AS waiting"),
    "actions to be settled": (
        "stage-engine",
        "SELECT count(*) FROM action WHERE tenant_id = 'acme' AND state = 'open'",
    ),
    "actions to be carried out": ("crm-connector", "SELECT count(*) FROM action_queue WHERE tenant_id = 'acme'"),
}
_FIRED = """
    SELECT opportunity_id, given::json->>'key', after::json->>'visit_no', count(*)
    FROM decision
    WHERE tenant_id = 'acme' AND given::json->>'kind' = 'timer' AND given::json->>'key' LIKE 'due_%'
      AND (decision::json->'actions') IS NOT NULL
    GROUP BY 1, 2, 3
"""
_ASKED = """
    SELECT action.action_id::text, action.state, action.action_key
    FROM action
    WHERE tenant_id = 'acme' AND kind = 'task'
"""
_DECISIONS = """
    SELECT count(*) FROM decision
    WHERE tenant_id = 'acme' AND given::json->>'kind' = 'timer' AND (decision::json->'actions') IS NOT NULL
"""
_LEDGER = "SELECT opportunity_id, key, made_at, state FROM obligation WHERE tenant_id = 'acme'"


async def publish_clocks(admin: Caller) -> None:
    """Create the field example with timers, actions and obligations; whoever publishes it finds it there."""
    document = await admin.get("stage-engine", f"/v1/pipeline-templates/{PIPELINE}")
    for stage in document["stages"]:
        if stage["category"] == "open":
            key = stage["key"]
            call = {"key": f"call_{key}", "kind": "task", "text": "Call about {move.to}"}
            since = {"starts": "after_fact", "fact": "opportunity.created_at"}
            stage["timers"] = [{"key": f"due_{key}", "after": "1m", **since, "actions": [call]}]
    # One stays open until its stage is left, the other is missed before a run is judged: neither ends meanwhile.
    document["obligations"] = [
        {"key": key, "name": "Call the customer", "within": within, "met_by": "activity.call.last_at"}
        for key, within in (("call", "30d"), ("call_at_once", "1m"))
    ]
    await admin.post("stage-engine", "/v1/pipelines", document)


class Owed:
    """The newest word of the topic on each obligation."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str, float], tuple[int, str]] = {}

    def read(self, message: StageDecided) -> None:
        """Take over what a decision says, in whatever order and however often."""
        for each in message.owed:
            key = message.opportunity_id, each.key, each.made_at.ToMicroseconds()
            state = OwedState.Name(each.state).removeprefix("OWED_STATE_").lower()
            number = self.states.get(key, (0, ""))[0]
            if message.decision_no >= number:
                self.states[key] = message.decision_no, state


@dataclass(frozen=True)
class Clocked:
    """What became of timers, actions and obligations; `figures` how many there were."""

    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    figures: dict[str, int]


async def judge_clocks(databases: Databases, console: OrgConsole, owed: Owed) -> Clocked:
    """Compare engine, org and topic."""
    fired = await databases.rows("stage-engine", _FIRED)
    unfired = await databases.rows("stage-engine", _UNFIRED)
    asked = {row[0]: row[1] for row in await databases.rows("stage-engine", _ASKED)}
    asking = await databases.value("stage-engine", _DECISIONS)
    tasks = Counter(await console.tasks())
    ledger = {
        (row[0], row[1], round(row[2].timestamp() * 1_000_000)): row[3]
        for row in await databases.rows("stage-engine", _LEDGER)
    }
    lost = [f"the timer of {row[0]} in {row[1]} never fired" for row in unfired]
    doubled = [f"the timer {row[1]} of {row[0]} fired {row[3]} times in one visit" for row in fired if row[3] > 1]
    if asking != len(asked):
        lost.append(f"{asking} timers asked for an action, and {len(asked)} are known")
    more_lost, more_doubled = _tasks(asked, tasks)
    lost += more_lost
    doubled += more_doubled
    told = {key: state for key, (_, state) in owed.states.items()}
    lost += [f"the obligation {key} is {ledger.get(key)} in the ledger, {told.get(key)} in the topic"
             for key in ledger.keys() | told.keys() if ledger.get(key) != told.get(key)]  # fmt: skip
    figures = {"timers": len(fired), "actions": len(asked), "tasks": tasks.total(), "obligations": len(ledger)}
    return Clocked(tuple(lost), tuple(doubled), figures)


def _tasks(asked: Mapping[str, str], tasks: Mapping[str, int]) -> tuple[Iterable[str], Iterable[str]]:
    """A task that is done is in the org once; of one that expired it may be."""
    lost = [f"the action {id_} is {state}" for id_, state in asked.items() if state in ("open", "refused")]
    lost += [f"the org has no task of {id_}" for id_, state in asked.items() if state == "done" and not tasks.get(id_)]
    doubled = [f"the org has {count} tasks of {id_}" for id_, count in tasks.items() if count > 1 or id_ not in asked]
    return lost, doubled


def fired_in(figures: Any) -> bool:
    """Whether a run had anything to prove."""
    return bool(figures["timers"] and figures["tasks"] and figures["obligations"])
