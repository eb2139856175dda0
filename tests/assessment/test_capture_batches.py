"""Handing in offline queues."""

import asyncio
import json
import random
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from assessment.domain.admission import Admitted, admit
from assessment.domain.capture import Capture
from assessment.service import judging
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kit.ids import uuid7
from sqlalchemy import event, text
from stagecraft.assessment.v1.assessment_submitted_pb2 import CHANNEL_OFFLINE, AssessmentSubmitted

pytestmark = pytest.mark.stack


def items_of(world: Any, count: int, **changes: Any) -> list[dict[str, Any]]:
    return [{"submission_id": str(uuid7()), **world.body(f"006{n:04}", **changes)} for n in range(count)]


async def send(world: Any, items: list[Any], **options: Any) -> list[dict[str, Any]]:
    answer = await world.call("POST", "/submission-batches", {"items": items}, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def stored(world: Any) -> list[dict[str, Any]]:
    """Every submission row of the tenant, without what depends on the moment of receipt."""
    columns = (
        "submission_id, opportunity_id, assessment_key, assessment_version, stage_key, visit_no, attempt_no, channel,"
        " submitted_by, captured_at, body, body_sha256, warnings"
    )
    async with world.service.database.unit_of_work(world.tenant) as uow:
        statement = text(f"SELECT {columns} FROM submission ORDER BY submission_id")
        return [dict(row) for row in (await uow.session.execute(statement)).mappings()]


# The relay works beside requests, and how often is a matter of timing; a new connection asks for types.
RELAY = re.compile("SET LOCAL ROLE|UPDATE lease|FROM outbox|count\\(\\*\\)|^(BEGIN|COMMIT|ROLLBACK)|typeinfo_tree|jit")


async def statements(world: Any, items: list[Any]) -> Counter[str]:
    """How often each statement is sent while a batch is handled, but for those that SQLAlchemy prepares."""
    sent: Counter[str] = Counter()

    def note(query: Any) -> None:
        if not RELAY.search(query.query):
            sent[re.sub(r"\(.*", "", query.query.strip(), flags=re.DOTALL)] += 1

    listening: list[Any] = []

    def listen(connection: Any, *_: Any) -> None:
        # Each connection once, however often it is taken out of the pool.
        driver = connection.driver_connection
        if driver not in listening:
            listening.append(driver)
            driver.add_query_logger(note)

    engine = world.service.database.engine.sync_engine
    event.listen(engine, "checkout", listen)
    try:
        await send(world, items, role="service")
    finally:
        event.remove(engine, "checkout", listen)
        for driver in listening:
            driver.remove_query_logger(note)
    return sent


class TestSubmissionBatches:
    async def test_every_kind_of_item_in_its_place(self, world: Any) -> None:
        await world.publish_form()
        good, other, early = items_of(world, 3)
        assert (await send(world, [early]))[0]["status"] == "accepted"
        invalid = {**items_of(world, 1)[0], "answers": {"hours": "never", "compliance": True}}
        unknown = {**items_of(world, 1)[0], "assessment_version": 7}
        forged = {**items_of(world, 1)[0], "definition_hash": "f" * 64}
        mismatch = {**early, "attempt_no": 2}
        answers = await send(
            world, [good, invalid, "nonsense", unknown, early, {**good, "attempt_no": 9}, mismatch, good, forged, other]
        )
        assert [(a["status"], a["code"]) for a in answers] == [
            ("accepted", None),
            ("rejected", "validation_failed"),
            ("rejected", "validation_failed"),
            ("kept", "version_unknown"),
            ("duplicate", None),
            ("rejected", "payload_mismatch"),
            ("rejected", "payload_mismatch"),
            ("duplicate", None),
            ("kept", "form_hash_mismatch"),
            ("accepted", None),
        ]
        assert [e["pointer"] for e in answers[1]["errors"]] == ["/items/1/answers/hours"]
        assert answers[5]["stored_sha256"] == answers[0]["receipt"]["body_sha256"]
        assert answers[6]["received_sha256"] not in {None, answers[6]["stored_sha256"]}
        assert answers[7]["receipt"] == answers[0]["receipt"]
        events = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=3)
        assert sorted(e.message.submission_id for e in events) == sorted(
            i["submission_id"] for i in (good, other, early)
        )
        assert {e.message.channel for e in events} == {CHANNEL_OFFLINE}

    async def test_an_item_that_raises_fails_alone(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        await world.publish_form()
        items = items_of(world, 5)

        def poisoned(capture: Capture, *rest: Any) -> Admitted:
            if str(capture.submission_id) == items[2]["submission_id"]:
                raise RuntimeError("a fault of ours")
            return admit(capture, *rest)

        monkeypatch.setattr(judging, "admit", poisoned)
        answers = await send(world, items)
        assert [answer["status"] for answer in answers] == ["accepted", "accepted", "rejected", "accepted", "accepted"]
        assert answers[2]["code"] == "internal_error"
        events = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=4)
        assert len(events) == 4
        monkeypatch.undo()
        assert [answer["status"] for answer in await send(world, items)].count("duplicate") == 4

    async def test_malformed_items_name_their_fault(self, world: Any) -> None:
        await world.publish_form()
        [good] = items_of(world, 1)
        no_id = {name: value for name, value in good.items() if name != "submission_id"}
        answers = await send(
            world,
            [None, no_id, {**good, "captured_at": "yesterday"}, {**good, "answers": {"hours": {"a": 1}}}, good],
        )
        assert [a["status"] for a in answers] == ["rejected"] * 4 + ["accepted"]
        assert answers[1]["errors"][0]["pointer"] == "/items/1/submission_id"
        assert answers[2]["errors"][0]["pointer"] == "/items/2/captured_at"
        assert answers[2]["submission_id"] == good["submission_id"]
        assert {e["pointer"] for e in answers[3]["errors"]} == {"/items/3/answers/hours"}

    @pytest.mark.parametrize("bad", [r"\u0000", r"\ud800"])
    @pytest.mark.parametrize("place", ["one_to_two", "hours", "006Bad"])
    async def test_text_that_cannot_be_stored_spoils_only_its_item(self, world: Any, bad: str, place: str) -> None:
        await world.publish_form()
        spoiled = {**items_of(world, 1)[0], "opportunity_id": "006Bad", "answers": {"hours": "one_to_two"}}
        raw = json.dumps(spoiled).replace(place, place + bad)
        content = json.dumps({"items": [items_of(world, 1)[0], "HERE"]}).replace('"HERE"', raw)
        headers = world.headers() | {"content-type": "application/json"}
        answer = await world.service.client.post("/v1/submission-batches", content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        items = answer.json()["items"]
        assert [item["status"] for item in items] == ["accepted", "rejected"], items

    async def test_order_of_items_is_the_order_of_receipt(self, world: Any) -> None:
        await world.publish_form()
        items = [{**item, "opportunity_id": "006A"} for item in items_of(world, 20)]
        random.shuffle(items)
        answers = await send(world, items)
        moments = [a["receipt"]["received_at"] for a in answers]
        assert moments == sorted(set(moments))
        events = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=20)
        assert [e.message.submission_id for e in events] == [i["submission_id"] for i in items]
        sequences = [e.sequence for e in events]
        assert sequences == sorted(set(sequences))

    async def test_limits(self, world: Any) -> None:
        await world.publish_form()
        assert (await world.call("POST", "/submission-batches", {"items": []})).status_code == 422
        too_many = await world.call("POST", "/submission-batches", {"items": items_of(world, 101)})
        assert too_many.status_code == 422
        note = "x" * (6 * 1024 * 1024)
        too_large = await world.call("POST", "/submission-batches", {"items": [note]})
        assert (too_large.status_code, too_large.json()["code"]) == (413, "body_too_large")
        assert await stored(world) == []

    async def test_ids_of_other_people_are_refused_alone(self, world: Any) -> None:
        await world.publish_form()
        taken, free = items_of(world, 2)
        stranger = type(world)(world.service, f"{world.tenant}-b", world.eventually)
        await stranger.publish_form()
        await send(stranger, [taken])
        mine = items_of(world, 1)
        await send(world, mine, subject="bob")
        answers = await send(world, [taken, *mine, free])
        assert [(a["status"], a["code"]) for a in answers] == [
            ("rejected", "submission_not_found"),
            ("rejected", "submission_not_found"),
            ("accepted", None),
        ]

    async def test_overlapping_batches_at_once(self, world: Any) -> None:
        await world.publish_form()
        items = items_of(world, 40)
        batches = [random.sample(items, 30) for _ in range(8)]
        answers = await asyncio.gather(*(send(world, batch) for batch in batches))
        statuses: dict[str, list[str]] = {}
        receipts: dict[str, set[str]] = {}
        for batch, outcomes in zip(batches, answers, strict=True):
            for item, outcome in zip(batch, outcomes, strict=True):
                statuses.setdefault(item["submission_id"], []).append(outcome["status"])
                receipts.setdefault(item["submission_id"], set()).add(str(outcome["receipt"]))
        assert all(sorted(found)[0] == "accepted" for found in statuses.values())
        assert all(found.count("accepted") == 1 for found in statuses.values())
        assert all(len(found) == 1 for found in receipts.values())
        events = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=len(statuses))
        assert sorted(e.message.submission_id for e in events) == sorted(statuses)

    async def test_a_batch_costs_as_many_statements_as_one_item(self, world: Any) -> None:
        await world.publish_form()
        await world.eventually(lambda: has_points(world))
        await send(world, items_of(world, 1), role="service")
        one = await statements(world, items_of(world, 1))
        hundred = await statements(world, items_of(world, 100))
        assert one == hundred
        # What is known, the submissions, the outbox.
        assert sum(hundred.values()) == 3

    async def test_idempotency_key_replays_the_whole_answer(self, world: Any) -> None:
        await world.publish_form()
        items = items_of(world, 2)
        body = {"items": items}
        first = await world.call("POST", "/submission-batches", body, idempotency_key="k1")
        again = await world.call("POST", "/submission-batches", body, idempotency_key="k1")
        assert again.json() == first.json()
        assert [i["status"] for i in again.json()["items"]] == ["accepted", "accepted"]
        assert again.headers["Idempotent-Replay"] == "true"


async def has_points(world: Any) -> None:
    """The event that says so was handled: its statements are no longer among those of requests."""
    async with world.service.database.unit_of_work(world.tenant) as uow:
        assert (await uow.session.execute(text("SELECT count(*) FROM scoring_profile"))).scalar() == 1


class TestOrderDoesNotMatter:
    """Any permutation, duplication and splitting of the same submissions ends in the same rows and events."""

    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(plan=st.data())
    async def test_same_rows_and_one_event_each(self, plan: st.DataObject, world: Any) -> None:
        count = plan.draw(st.integers(1, 6), "submissions")
        numbers = st.integers(0, count - 1)
        order = plan.draw(st.permutations(range(count)), "order")
        order += plan.draw(st.lists(numbers, max_size=6), "repeated")
        order = plan.draw(st.permutations(order), "shuffled")
        cuts = plan.draw(st.sets(st.integers(1, len(order))), "cuts")
        alone = plan.draw(st.booleans(), "one by one")
        await self._compare(world, count, order, cuts, alone)

    async def _compare(self, world: Any, count: int, order: list[int], cuts: set[int], alone: bool) -> None:
        suffix = uuid7().hex
        straight = type(world)(world.service, f"{world.tenant}-{suffix}-a", world.eventually)
        shuffled = type(world)(world.service, f"{world.tenant}-{suffix}-b", world.eventually)
        rows, published = [], []
        for place, side in enumerate((straight, shuffled)):
            await side.publish_form()
            moment = datetime(2026, 3, 2, tzinfo=UTC)
            items = [
                {
                    # Ids are the platform's, so each side needs its own; they sort alike on both.
                    "submission_id": str(UUID(int=(UUID(hex=suffix).int & ~0xFFFF) | place << 8 | n)),
                    **side.body(f"006{n % 3}", captured_at=(moment + timedelta(minutes=n)).isoformat()),
                }
                for n in range(count)
            ]
            if side is straight:
                await send(side, items)
            else:
                edges = [0, *sorted(cuts), len(order)]
                for start, end in pairwise(edges):
                    chosen = [items[n] for n in order[start:end]]
                    if alone and len(chosen) == 1:
                        body = {k: v for k, v in chosen[0].items() if k != "submission_id"}
                        path = f"/submissions/{chosen[0]['submission_id']}"
                        answer = await side.call("PUT", path, {**body, "channel": "offline"})
                        assert answer.status_code in {200, 201}
                    elif chosen:
                        answers = await send(side, chosen)
                        assert {a["status"] for a in answers} <= {"accepted", "duplicate"}
            rows.append([{k: v for k, v in row.items() if k != "submission_id"} for row in await stored(side)])
            published.append(await self._events(side, len(rows[-1])))
        assert rows[0] == rows[1]
        assert published[0] == published[1]

    async def _events(self, side: Any, count: int) -> list[tuple[str, datetime]]:
        events = await side.service.events(AssessmentSubmitted, tenant=side.tenant, count=count, settle_seconds=0.1)
        return sorted((e.message.opportunity_id, e.message.captured_at.ToDatetime()) for e in events)


async def test_an_item_that_is_too_large_is_refused_alone(world: Any) -> None:
    texts = [{"key": f"t{n}", "text": "Text?", "type": "text"} for n in range(40)]
    await world.publish_form("essay", texts)
    answers = {"assessment_key": "essay", "answers": {f"t{n}": "\U0001f600" * 10_000 for n in range(10)}}
    longest, large = items_of(world, 2, **answers)
    large["answers"] = {**answers["answers"], "t10": "."}
    accepted, rejected = await send(world, [longest, large])
    assert (accepted["status"], rejected["code"]) == ("accepted", "validation_failed")
    assert [(e["pointer"], e["code"]) for e in rejected["errors"]] == [("/items/1/answers", "answers_too_large")]
    [event] = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=1)
    assert event.message.submission_id == longest["submission_id"]
