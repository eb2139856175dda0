"""The simulated people against stand-in services: devices repeat themselves, reps wait, mistakes are noted."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import httpx
import pytest
from sandbox.story import api, reps
from sandbox.story.api import Caller, Refused
from sandbox.story.journal import Journal
from sandbox.story.mistakes import claim_without_evidence, hand_in_badly
from sandbox.story.org_load import OrgIds
from sandbox.story.reps import Desk, hand_in_offline, work_online
from sandbox.story.setup import Definition
from sandbox.story.world import Attempt, BadSubmission, Flaw, Move, Opportunity

URLS = {"assessment": "http://assessment", "stage-engine": "http://stage-engine"}
PASS = {"hours": "over_5", "compliance": "yes"}
FIRST = Attempt("prospecting", PASS, ready=True)
OPPORTUNITY = Opportunity(
    "D-1", "Cedar Foods", "A-1", "ann", Decimal(100), date(2026, 1, 1), date(2026, 6, 1), "prospecting", "discovery"
)
DISCOVERY_DUE = {"assessment_key": "discovery", "visit": {"stage_key": "discovery", "visit_no": 2}, "attempt_no": 1}

Answer = Callable[[httpx.Request], httpx.Response]


def desk_with(answer: Answer) -> Desk:
    caller = Caller(httpx.AsyncClient(transport=httpx.MockTransport(answer)), URLS, "token")
    definitions = {
        key: Definition(key, key.title(), 1, "f" * 64, {"hours": "How many?"}, {})
        for key in ("prospecting", "discovery")
    }
    return Desk(caller, OrgIds({"ann": "005A"}, {"D-1": "006A"}), definitions, Journal())


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(reps, "POLL_SECONDS", 0)


class TestCaller:
    async def test_what_could_not_be_answered_is_sent_again_unchanged(self) -> None:
        seen: list[tuple[str, bytes]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append((request.headers["Idempotency-Key"], request.content))
            return httpx.Response(503 if len(seen) < 3 else 201, json={"ok": True})

        assert await desk_with(answer).caller.post("assessment", "/v1/x", {"a": 1}) == {"ok": True}
        assert len(seen) == 3
        assert len(set(seen)) == 1

    async def test_a_refusal_is_not_repeated_and_tells_the_first_thing_wrong(self) -> None:
        calls: list[str] = []

        def answer(request: httpx.Request) -> httpx.Response:
            calls.append(request.url.path)
            problem = {"code": "validation_failed", "detail": "1 answer", "errors": [{"detail": "is required"}]}
            return httpx.Response(422, json=problem)

        with pytest.raises(Refused) as refused:
            await desk_with(answer).caller.get("assessment", "/v1/x")
        assert (refused.value.status, refused.value.code, refused.value.words) == (
            422,
            "validation_failed",
            "is required",
        )
        assert len(calls) == 1

    async def test_pages_follow_the_cursor_to_its_end(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            cursor = request.url.params.get("cursor")
            return httpx.Response(200, json={"items": [{"n": cursor}], "next_cursor": None if cursor else "more"})

        pages = [page async for page in desk_with(answer).caller.pages("stage-engine", "/v1/opportunities")]
        assert pages == [[{"n": None}], [{"n": "more"}]]


class TestOffline:
    @staticmethod
    def service(second_status: str) -> Answer:
        known: set[str] = set()

        def answer(request: httpx.Request) -> httpx.Response:
            items = []
            for item in json.loads(request.content)["items"]:
                key = item["submission_id"]
                items.append({"status": second_status if key in known else "accepted"})
                known.add(key)
            return httpx.Response(200, json={"items": items})

        return answer

    async def test_everything_is_sent_twice_and_counts_once(self) -> None:
        desk = desk_with(self.service("duplicate"))
        await hand_in_offline(desk, [replace(OPPORTUNITY, attempts=(FIRST, FIRST))])
        assert len(desk.journal.accepted) == desk.journal.duplicates == 2
        assert not any(done.online for done in desk.journal.accepted.values())
        assert desk.journal.mistaken == []

    async def test_a_second_acceptance_is_noted(self) -> None:
        desk = desk_with(self.service("accepted"))
        await hand_in_offline(desk, [replace(OPPORTUNITY, attempts=(FIRST,))])
        assert len(desk.journal.mistaken) == 1

    async def test_attempts_are_numbered_in_the_visit_the_device_knew(self) -> None:
        sent: list[dict[str, Any]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            sent.extend(json.loads(request.content)["items"])
            return httpx.Response(200, json={"items": [{"status": "accepted"}] * 2})

        await hand_in_offline(desk_with(answer), [replace(OPPORTUNITY, attempts=(FIRST, FIRST))])
        first, second = sent[:2]
        assert (first["attempt_no"], second["attempt_no"]) == (1, 2)
        assert first["visit"] == {"stage_key": "prospecting", "visit_no": 1}
        assert first["captured_at"] < second["captured_at"]


class TestOnline:
    async def test_the_next_assessment_waits_for_the_decision(self) -> None:
        told = [
            {"reason": "waiting_for_decision", "due": None},
            {"reason": "all_passed", "due": None},
            {"reason": "not_started", "due": DISCOVERY_DUE},
        ]
        puts: list[dict[str, Any]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "PUT":
                puts.append(json.loads(request.content))
                return httpx.Response(201, json={})
            if not puts:
                due = {"assessment_key": "prospecting", "visit": {"stage_key": "prospecting", "visit_no": 1}}
                return httpx.Response(200, json={"reason": "not_started", "due": {**due, "attempt_no": 1}})
            return httpx.Response(200, json=told.pop(0))

        desk = desk_with(answer)
        await work_online(
            desk, [replace(OPPORTUNITY, attempts=(FIRST, Attempt("discovery", {}, ready=False)))], 0, Random(1)
        )
        assert [put["assessment_key"] for put in puts] == ["prospecting", "discovery"]
        assert puts[1]["visit"] == DISCOVERY_DUE["visit"]
        assert told == []

    async def test_answers_nobody_asks_for_any_more_are_kept_back(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"reason": "opportunity_closed", "due": None})

        desk = desk_with(answer)
        await work_online(desk, [replace(OPPORTUNITY, attempts=(FIRST,))], 0, Random(1))
        assert desk.journal.abandoned == 1
        assert desk.journal.accepted == {}


class TestMistakes:
    async def test_an_accepted_bad_submission_is_noted(self) -> None:
        desk = desk_with(lambda _: httpx.Response(201, json={}))
        await hand_in_badly(desk, OPPORTUNITY, BadSubmission("D-1", Flaw.WRONG_HASH, "prospecting", PASS))
        assert len(desk.journal.mistaken) == 1
        assert not desk.journal.refusals

    async def test_one_that_is_kept_for_a_reviewer_is_refused(self) -> None:
        kept = {"code": "form_hash_mismatch", "detail": "Another form."}
        desk = desk_with(lambda _: httpx.Response(202, json=kept))
        await hand_in_badly(desk, OPPORTUNITY, BadSubmission("D-1", Flaw.WRONG_HASH, "prospecting", PASS))
        assert desk.journal.refusals == {"form_hash_mismatch": 1}

    async def test_another_body_follows_a_good_one_under_the_same_id(self) -> None:
        puts: list[tuple[str, Any]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            puts.append((request.url.path, json.loads(request.content)["answers"]))
            return httpx.Response(201 if len(puts) == 1 else 409, json={"code": "payload_mismatch"})

        desk = desk_with(answer)
        await hand_in_badly(desk, OPPORTUNITY, BadSubmission("D-1", Flaw.OTHER_BODY, "prospecting", PASS))
        assert puts[0][0] == puts[1][0]
        assert puts[0][1] != puts[1][1]
        assert desk.journal.refusals == {"payload_mismatch": 1}
        assert len(desk.journal.accepted) == 1

    @pytest.mark.parametrize("outcome", ["rejected", "accepted"])
    async def test_a_claim_without_evidence_has_to_be_rejected(self, outcome: str) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.method == "GET":
                return httpx.Response(200, json={}, headers={"ETag": '"3"'})
            assert request.headers["If-Match"] == '"3"'
            reasons = [{"code": "MISSING", "message": "prospecting.score is not known"}]
            return httpx.Response(201, json={"outcome": outcome, "reasons": reasons})

        desk = desk_with(answer)
        await claim_without_evidence(desk, OPPORTUNITY, Move("D-1", "discovery"))
        assert len(desk.journal.mistaken) == (outcome == "accepted")
        assert desk.journal.refused_moves == ({"MISSING": 1} if outcome == "rejected" else {})
