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
from sandbox.story.world import Attempt, Deal, Rep

ASK_EVERY = 4
BATCH_ITEMS = 100
POLL_SECONDS = 0.3
PATIENCE_SECONDS = 30.0
# What next-assessment says while a decision is still on its way to it.
NOT_YET = ("waiting_for_decision", "all_passed", "stage_unknown", "pipeline_unknown")
# The import gives every deal its first visit.
FIRST_VISIT = 1


@dataclass(frozen=True)
class Desk:
    """What a rep works with: the API under the rep's own token, the ids of the org, what is published."""

    caller: Caller
    ids: OrgIds
    definitions: Mapping[str, Definition]
    journal: Journal


async def work_online(desk: Desk, deals: Sequence[Deal], day_seconds: float, chance: Random) -> None:
    """Go through one's deals, then again through those that got on, until nothing is left to hand in: all of it
    spread over a day of that length."""
    clock = _Clock(day_seconds / max(submission_count(deals), 1), chance)
    for deal in deals:
        for review in deal.reviews:
            await _hand_in(desk, deal, review, None)
            await clock.pause()
    going = [deal for deal in deals if deal.attempts]
    place = 0
    while going:
        still: list[Deal] = []
        for number, deal in enumerate(going):
            due = None
            if place or number % ASK_EVERY == 0:
                due = await _next_due(desk, deal, deal.attempts[place])
                if due is None:
                    # Somebody moved the deal in Salesforce, so these answers are not asked for any more.
                    desk.journal.abandoned += len(deal.attempts) - place
                    continue
            await _hand_in(desk, deal, deal.attempts[place], due)
            if place + 1 < len(deal.attempts):
                still.append(deal)
            await clock.pause()
        going, place = still, place + 1


class _Clock:
    """Keeps a rep's pace: whoever was held up by a slow answer makes up for it."""

    def __init__(self, pause_seconds: float, chance: Random) -> None:
        self._pause_seconds = pause_seconds
        self._chance = chance
        self._next_at = time.perf_counter()

    async def pause(self) -> None:
        self._next_at += self._chance.uniform(0.5, 1.5) * self._pause_seconds
        await asyncio.sleep(max(self._next_at - time.perf_counter(), 0))


async def hand_in_offline(desk: Desk, deals: Sequence[Deal]) -> None:
    """Send what was answered without a network, then all of it again, as a device does that missed the reply."""
    items = [item for deal in deals for item in _offline_items(desk, deal)]
    for start in range(0, len(items), BATCH_ITEMS):
        batch = items[start : start + BATCH_ITEMS]
        for again in (False, True):
            sent_at = time.perf_counter()
            body = {"items": [item for _, item in batch]}
            answer = await desk.caller.post("assessment", "/v1/submission-batches", body)
            for (deal, item), result in zip(batch, answer["items"], strict=True):
                _take_result(desk, deal, item, result, again, sent_at)


def _take_result(
    desk: Desk, deal: Deal, item: Mapping[str, Any], result: Mapping[str, Any], again: bool, sent_at: float
) -> None:
    expected = "duplicate" if again else "accepted"
    if result["status"] != expected:
        desk.journal.mistaken.append(f"offline item of {deal.key} was {result['status']}: {result.get('detail')}")
    elif again:
        desk.journal.duplicates += 1
    else:
        desk.journal.accept(
            HandIn(
                item["submission_id"],
                deal.key,
                item["opportunity_id"],
                item["assessment_key"],
                online=False,
                sent_at=sent_at,
                trace_id="",
            )
        )


def _offline_items(desk: Desk, deal: Deal) -> list[tuple[Deal, dict[str, Any]]]:
    chance = Random(f"offline:{deal.key}")
    captured = utc_now() - timedelta(hours=chance.uniform(6, 30))
    visit = {"stage_key": deal.claimed, "visit_no": FIRST_VISIT}
    items: list[tuple[Deal, dict[str, Any]]] = []
    counts: dict[str, int] = {}
    for attempt in (*deal.reviews, *deal.attempts):
        key = attempt.assessment_key
        counts[key] = counts.get(key, 0) + 1
        captured += timedelta(minutes=chance.uniform(3, 20))
        body = submission(desk, deal, attempt.assessment_key, attempt.answers)
        body |= {
            "submission_id": str(uuid7()),
            "visit": visit,
            "attempt_no": counts[key],
            "captured_at": captured.isoformat(),
            "channel": "offline",
        }
        items.append((deal, body))
    return items


def submission(desk: Desk, deal: Deal, assessment_key: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """A body as a device sends it that answers now, in the visit that is current."""
    definition = desk.definitions[assessment_key]
    now = utc_now().isoformat()
    return {
        "opportunity_id": desk.ids.opportunities[deal.key],
        "assessment_key": assessment_key,
        "assessment_version": definition.version,
        "definition_hash": definition.definition_hash,
        "answers": dict(answers),
        "captured_at": now,
        "sent_at": now,
    }


async def _hand_in(desk: Desk, deal: Deal, attempt: Attempt, due: Mapping[str, Any] | None) -> None:
    body = submission(desk, deal, attempt.assessment_key, attempt.answers)
    if due is not None:
        body |= {"visit": due["visit"], "attempt_no": due["attempt_no"]}
    await put(desk, deal, str(uuid7()), body)


async def put(desk: Desk, deal: Deal, submission_id: str, body: Mapping[str, Any]) -> None:
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
    done = HandIn(submission_id, deal.key, body["opportunity_id"], body["assessment_key"], True, sent_at, trace_id)
    desk.journal.accept(done)


async def _next_due(desk: Desk, deal: Deal, attempt: Attempt) -> Mapping[str, Any] | None:
    """What is due on the deal, once earlier answers are decided; None when it is not what the rep has answers to."""
    path = f"/v1/opportunities/{desk.ids.opportunities[deal.key]}/next-assessment"
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while True:
        answer = await desk.caller.get("assessment", path)
        desk.journal.next_asked += 1
        if answer["reason"] not in NOT_YET or time.perf_counter() > deadline:
            due = answer["due"]
            return due if due is not None and due["assessment_key"] == attempt.assessment_key else None
        await asyncio.sleep(POLL_SECONDS)


def deals_of(rep: Rep, deals: Sequence[Deal]) -> list[Deal]:
    """The deals a rep has something to hand in for."""
    return [deal for deal in deals if deal.rep_key == rep.key and (deal.reviews or deal.attempts)]


def submission_count(deals: Sequence[Deal]) -> int:
    """How many assessments will be handed in for these deals."""
    return sum(len(deal.reviews) + len(deal.attempts) for deal in deals)
