"""Judges a run from outside, by databases, topics and the org, and never by what a service reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.contracts.events import Record, decode, headers_of
from sandbox.stack.topics import load_topics
from sandbox.story.journal import Journal
from sandbox.story.org_load import OrgConsole
from sandbox.story.partner import TOPIC, Partner
from sandbox.story.verify import EngineOpportunity, Evidence, Verdict, judge
from sandbox.story.witness import Witness
from sandbox.story.world import CRM_STAGE
from stagecraft.stage.v1.stage_decided_pb2 import StageDecided

from tools.chaos.clocks import UNSETTLED, Owed, judge_clocks
from tools.chaos.databases import Databases
from tools.chaos.hostile import TENANT as HOSTILE
from tools.chaos.poison import MARK
from tools.chaos.topics import FACTS, lags, records

# Each row of these is one submission that arrived there.
SCORES = "SELECT submission_id, count(*) FROM score WHERE tenant_id = 'acme' GROUP BY 1"
DECISIONS = (
    "SELECT split_part(identity, ':', 2), count(*) FROM decision"
    " WHERE tenant_id = 'acme' AND identity LIKE 'submission:%' GROUP BY 1"
)
MOVES = "SELECT submission_id, count(*) FROM transition WHERE submission_id <> '' GROUP BY 1"
REPLICAS: Mapping[tuple[str, str], str] = {
    ("assessment", "score"): "SELECT submission_id, count(*) FROM submission_score GROUP BY 1",
    (
        "assessment",
        "decision",
    ): "SELECT submission_id, count(*) FROM stage_decision WHERE submission_id IS NOT NULL GROUP BY 1",
    ("recommender", "score"): "SELECT submission_id, count(*) FROM submission GROUP BY 1",
    ("recommender", "decision"): "SELECT submission_id, count(*) FROM decision GROUP BY 1",
    (
        "crm-connector",
        "write",
    ): "SELECT submission_id, count(*) FROM write_intent WHERE submission_id <> '' AND follows IS NULL GROUP BY 1",
}
OPEN_WRITES = "SELECT count(*) FROM write_queue WHERE state IN ('NEW', 'SENT')"
OPPORTUNITIES = (
    "SELECT opportunity_id, stage_key, earned_stage, revision, amount FROM opportunity"
    " WHERE tenant_id = 'acme' AND NOT deleted"
)


@dataclass(frozen=True)
class Findings:
    """The story's verdict, what the databases say beyond it, and how often an event was delivered again."""

    verdict: Verdict
    beyond: tuple[str, ...]
    doubled: int
    lost: int
    duplicates_seen: int
    clocks: dict[str, int]

    @property
    def passed(self) -> bool:
        return self.verdict.passed and not self.beyond

    @property
    def words(self) -> list[str]:
        return [*self.verdict.findings, *self.beyond]


class Outside:
    """Looks at one stack from outside."""

    def __init__(self, kafka: dict[str, Any], databases: Databases, console: OrgConsole) -> None:
        self._kafka = kafka
        self._databases = databases
        self._console = console

    async def unsettled(self, aside: frozenset[str]) -> dict[str, int]:
        """What is still on its way, by place; empty when nothing is. An opportunity with a dead letter may differ in
        Salesforce until the letter is replayed."""
        left = {f"outbox of {name}": count for name, count in (await self._databases.outbox_left()).items()}
        left |= await lags(self._kafka)
        if writes := await self._databases.value("crm-connector", OPEN_WRITES):
            left["writes to Salesforce"] = writes
        for place, (service, query) in UNSETTLED.items():
            if count := await self._databases.value(service, query):
                left[place] = count
        engine, org = await self._engine(), await self._console.opportunities()
        judged = ((key, opportunity) for key, opportunity in engine.items() if key not in aside)
        different = sum(1 for key, opportunity in judged if CRM_STAGE.get(opportunity.stage_key) != org[key].stage_name)
        if different:
            left["opportunities that differ in Salesforce"] = different
        return left

    async def judge(self, journal: Journal) -> Findings:
        """Compare every side with every other."""
        owed = Owed()
        witness, partner, duplicates = await self._read_topics(owed)
        scores = await self._databases.counts("scoring", SCORES)
        decisions = await self._databases.counts("stage-engine", DECISIONS)
        verdict = judge(
            Evidence(
                accepted=frozenset(journal.accepted),
                scores=_worse(scores, {key: len(seen) for key, seen in witness.scores.items()}),
                decisions=_worse(decisions, {key: len(seen) for key, seen in witness.decisions.items()}),
                engine=await self._engine(),
                org=await self._console.opportunities(),
                partner=partner,
            )
        )
        lost: list[str] = []
        doubled = [
            f"submission {key} moved its opportunity {count} times"
            for key, count in (await self._databases.counts("stage-engine", MOVES)).items()
            if count > 1
        ]
        for (service, what), query in REPLICAS.items():
            counts = await self._databases.counts(service, query)
            lost += [f"{service} has no {what} of {key}" for key in journal.accepted if not counts.get(key)]
            doubled += [f"{service} has {count} of {what} of {key}" for key, count in counts.items() if count > 1]
        clocks = await judge_clocks(self._databases, self._console, owed)
        lost += clocks.lost
        doubled += clocks.doubled
        beyond = [*lost, *doubled, *journal.mistaken]
        return Findings(verdict, tuple(beyond), len(doubled), len(lost), duplicates, clocks.figures)

    async def repeated_deliveries(self) -> int:
        """How many events are in their topic more than once."""
        return (await self._read_topics())[2]

    async def _engine(self) -> dict[str, EngineOpportunity]:
        rows = await self._databases.rows("stage-engine", OPPORTUNITIES)
        return {row[0]: EngineOpportunity(row[1], row[2], row[3], float(row[4] or 0)) for row in rows}

    async def _read_topics(self, owed: Owed | None = None) -> tuple[Witness, Partner, int]:
        """What was published, what the partner got, and how many deliveries were repetitions."""
        witness, partner = Witness(), Partner()
        readers = {**witness.readers, TOPIC: partner.read}
        seen: Counter[tuple[str, str]] = Counter()
        topics = [*FACTS, *(topic for topic in load_topics() if topic.name == TOPIC)]
        async for raw in records(self._kafka, topics):
            headers = headers_of(raw.headers)
            if MARK in headers or headers["ce_tenantid"] == HOSTILE:
                continue
            seen[raw.topic, headers["ce_id"]] += 1
            if (reader := readers.get(raw.topic)) is not None:
                key = (raw.key or b"").decode()
                record = Record(raw.topic, key, raw.value or b"", headers)
                event = decode(record, raw.partition, raw.offset)
                reader(event, 0.0)
                if owed is not None and isinstance(event.message, StageDecided):
                    owed.read(event.message)
        return witness, partner, sum(seen.values()) - len(seen)


def _worse(kept: Mapping[str, int], published: Mapping[str, int]) -> dict[str, int]:
    """Of two sets of counts by key, which should all be 1: a count that is not."""
    return {
        key: published.get(key, 0) if kept.get(key, 0) == 1 else kept.get(key, 0)
        for key in kept.keys() | published.keys()
    }
