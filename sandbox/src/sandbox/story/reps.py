"""The simulated reps: online ones hand in one assessment after the other, offline ones all at once, late and twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any
from uuid import uuid4

from kit.ids import utc_now, uuid7

from sandbox.story.api import Caller
from sandbox.story.journal import HandIn, Journal
from sandbox.story.org_load import OrgIds
from sandbox.story.setup import Definition
from sandbox.story.world import Attempt, Opportunity, Rep

ASK_EVERY = 4
BATCH_ITEMS = 100
POLL_SECONDS = 0.3
PATIENCE_SECONDS = 30.0
# What next-assessment answers while a decision is still on its way to it.
NOT_YET = ("waiting_for_decision", "all_passed", "stage_unknown", "pipeline_unknown")
# The import gives every opportunity its first visit.
FIRST_VISIT = 1


@dataclass(frozen=True)
class Desk:
    """What a rep works with: the API under the rep's own token, the ids of the org, what is published."""

    caller: Caller
    ids: OrgIds
    definitions: Mapping[str, Definition]
    journal: Journal


async def work_online(desk: Desk, opportunities: Sequence[Opportunity], day_seconds: float, chance: Random) -> None:
    """Work through one's opportunities, then again through those that moved on, until nothing is left to hand in. The
    work is spread over a day of that length."""
    clock = _Clock(day_seconds / max(submission_count(opportunities), 1), chance)
    for opportunity in opportunities:
        for review in opportunity.reviews:
            await _hand_in(desk, opportunity, review, None)
            await clock.pause()
    going = [opportunity for opportunity in opportunities if opportunity.attempts]
    place = 0
    while going:
        still: list[Opportunity] = []
        for number, opportunity in enumerate(going):
            due = None
            if place or number % ASK_EVERY == 0:
                due = await _next_due(desk, opportunity, opportunity.attempts[place])
                if due is None:
                    # A person moved the opportunity in Salesforce, so these answers are no longer asked for.
                    desk.journal.abandoned += len(opportunity.attempts) - place
                    continue
            await _hand_in(desk, opportunity, opportunity.attempts[place], due)
            if place + 1 < len(opportunity.attempts):
                still.append(opportunity)
            await clock.pause()
        going, place = still, place + 1


class _Clock:
    """Keeps a rep's pace: a rep who waited for a slow reply catches up."""

    def __init__(self, pause_seconds: float, chance: Random) -> None:
        self._pause_seconds = pause_seconds
        self._chance = chance
        self._next_at = time.perf_counter()

    async def pause(self) -> None:
        self._next_at += self._chance.uniform(0.5, 1.5) * self._pause_seconds
        await asyncio.sleep(max(self._next_at - time.perf_counter(), 0))


async def hand_in_offline(desk: Desk, opportunities: Sequence[Opportunity]) -> None:
    """Send what was answered without a network, then all of it again, like a device that missed the reply."""
    items = [item for opportunity in opportunities for item in _offline_items(desk, opportunity)]
    for start in range(0, len(items), BATCH_ITEMS):
        batch = items[start : start + BATCH_ITEMS]
        for again in (False, True):
            sent_at = time.perf_counter()
            body = {"items": [item for _, item in batch]}
            answer = await desk.caller.post("assessment", "/v1/submission-batches", body)
            for (opportunity, item), result in zip(batch, answer["items"], strict=True):
                _take_result(desk, opportunity, item, result, again, sent_at)


def _take_result(
    desk: Desk,
    opportunity: Opportunity,
    item: Mapping[str, Any],
    result: Mapping[str, Any],
    again: bool,
    sent_at: float,
) -> None:
    expected = "duplicate" if again else "accepted"
    if result["status"] != expected:
        desk.journal.mistaken.append(
            f"offline item of {opportunity.key} was {result['status']}: {result.get('detail')}"
        )
    elif again:
        desk.journal.duplicates += 1
    else:
        desk.journal.accept(
            HandIn(
                item["submission_id"],
                opportunity.key,
                item["opportunity_id"],
                item["assessment_key"],
                online=False,
                sent_at=sent_at,
                trace_id="",
            )
        )


def _offline_items(desk: Desk, opportunity: Opportunity) -> list[tuple[Opportunity, dict[str, Any]]]:
    chance = Random(f"offline:{opportunity.key}")
    captured = utc_now() - timedelta(hours=chance.uniform(6, 30))
    visit = {"stage_key": opportunity.claimed, "visit_no": FIRST_VISIT}
    items: list[tuple[Opportunity, dict[str, Any]]] = []
    counts: dict[str, int] = {}
    for attempt in (*opportunity.reviews, *opportunity.attempts):
        key = attempt.assessment_key
        counts[key] = counts.get(key, 0) + 1
        captured += timedelta(minutes=chance.uniform(3, 20))
        body = submission(desk, opportunity, attempt.assessment_key, attempt.answers)
        body |= {
            "submission_id": str(uuid7()),
            "visit": visit,
            "attempt_no": counts[key],
            "captured_at": captured.isoformat(),
            "channel": "offline",
        }
        items.append((opportunity, body))
    return items


def submission(desk: Desk, opportunity: Opportunity, assessment_key: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """A body like that of a device that answers now, in the current visit."""
    definition = desk.definitions[assessment_key]
    now = utc_now().isoformat()
    return {
        "opportunity_id": desk.ids.opportunities[opportunity.key],
        "assessment_key": assessment_key,
        "assessment_version": definition.version,
        "definition_hash": definition.definition_hash,
        "answers": dict(answers),
        "captured_at": now,
        "sent_at": now,
    }


async def _hand_in(desk: Desk, opportunity: Opportunity, attempt: Attempt, due: Mapping[str, Any] | None) -> None:
    body = submission(desk, opportunity, attempt.assessment_key, attempt.answers)
    if due is not None:
        body |= {"visit": due["visit"], "attempt_no": due["attempt_no"]}
    await put(desk, opportunity, str(uuid7()), body)


async def put(desk: Desk, opportunity: Opportunity, submission_id: str, body: Mapping[str, Any]) -> None:
    """Hand one submission in under a trace of its own. Raises Refused."""
    trace_id = uuid4().hex
    sent_at = time.perf_counter()
    await desk.caller.send(
        "PUT",
        "assessment",
        f"/v1/submissions/{submission_id}",
        body,
        headers={"traceparent": f"00-{trace_id}-{trace_id[:16]}-01"},
    )
    done = HandIn(
        submission_id, opportunity.key, body["opportunity_id"], body["assessment_key"], True, sent_at, trace_id
    )
    desk.journal.accept(done)


async def _next_due(desk: Desk, opportunity: Opportunity, attempt: Attempt) -> Mapping[str, Any] | None:
    """What is due on the opportunity once earlier answers are decided; None if the rep has no answers to it."""
    path = f"/v1/opportunities/{desk.ids.opportunities[opportunity.key]}/next-assessment"
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while True:
        answer = await desk.caller.get("assessment", path)
        desk.journal.next_asked += 1
        if answer["reason"] not in NOT_YET or time.perf_counter() > deadline:
            due = answer["due"]
            return due if due is not None and due["assessment_key"] == attempt.assessment_key else None
        await asyncio.sleep(POLL_SECONDS)


def opportunities_of(rep: Rep, opportunities: Sequence[Opportunity]) -> list[Opportunity]:
    """The opportunities a rep has something to hand in for."""
    return [
        opportunity
        for opportunity in opportunities
        if opportunity.rep_key == rep.key and (opportunity.reviews or opportunity.attempts)
    ]


def submission_count(opportunities: Sequence[Opportunity]) -> int:
    """How many assessments will be handed in for these opportunities."""
    return sum(len(opportunity.reviews) + len(opportunity.attempts) for opportunity in opportunities)
