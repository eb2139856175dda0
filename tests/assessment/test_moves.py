"""A move that comes with answers: handed in, carried on, and what became of it."""

from typing import Any

import pytest
from assessment.domain.capture import Capture, Channel, canonical_body, capture_of, content_sha256
from assessment.domain.move import Move, SuppliedFact
from kit.ids import utc_now, uuid7
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.stage.v1.stage_decided_pb2 import OUTCOME_ACCEPTED, MoveOutcome, Reason

MOVE: dict[str, Any] = {
    "to_stage": "discovery",
    "expected_revision": 3,
    "facts": [{"name": "account.industry", "value": "Retail"}, {"name": "account.regions", "value": ["emea", "apac"]}],
}


@pytest.mark.stack
class TestHandingIn:
    async def test_the_move_goes_along_with_the_answers(self, world: Any) -> None:
        await world.at_prospecting()
        submission_id = str(uuid7())
        answer = await world.submit(submission_id, move=MOVE)
        assert answer.status_code == 201, answer.text
        [event] = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=1)
        move = event.message.move
        assert (move.to_stage, move.expected_revision, move.skip) == ("discovery", 3, False)
        assert (move.facts[0].name, move.facts[0].text) == ("account.industry", "Retail")
        assert sorted(move.facts[1].texts.values) == ["apac", "emea"]
        # Another move is another submission.
        assert (await world.submit(submission_id, move=MOVE)).status_code == 200
        other = await world.submit(submission_id, move={**MOVE, "to_stage": "demo"})
        assert (other.status_code, other.json()["code"]) == (409, "payload_mismatch")

    async def test_a_queue_carries_moves_too(self, world: Any) -> None:
        await world.at_prospecting()
        items = [
            {**world.body(), "submission_id": str(uuid7()), "move": move}
            for move in (MOVE, {"to_stage": ""}, {"to_stage": "a\u0000"}, {**MOVE, "facts": MOVE["facts"] * 2})
        ]
        answer = (await world.call("POST", "/submission-batches", {"items": items})).json()
        assert [item["status"] for item in answer["items"]] == ["accepted", *["rejected"] * 3]
        [event] = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=1)
        assert event.message.move.to_stage == "discovery"

    async def test_it_takes_the_right_to_move(self, world: Any) -> None:
        await world.at_prospecting()
        refused = await world.submit(role="service", move=MOVE)
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
        items = [{**world.body(), "submission_id": str(uuid7()), "move": move} for move in (MOVE, None)]
        answer = (await world.call("POST", "/submission-batches", {"items": items}, role="service")).json()
        assert [(item["status"], item["code"]) for item in answer["items"]] == [
            ("rejected", "missing_scope"),
            ("accepted", None),
        ]


@pytest.mark.stack
async def test_the_submission_says_what_became_of_the_move(world: Any) -> None:
    await world.at_prospecting()
    missing = Reason(code="MISSING", fact="account.industry", message="Industry: it is not known", criterion="industry")
    moved, refused, plain = (str(uuid7()) for _ in range(3))
    for number, (submission_id, outcome) in enumerate(
        [(plain, None), (refused, MoveOutcome(to_stage="discovery", refused=[missing])),
         (moved, MoveOutcome(to_stage="discovery"))],
        start=1,
    ):  # fmt: skip
        await world.submit(submission_id, attempt_no=number, move=MOVE)
        await world.scored(submission_id, "70")
        given = {"move": outcome} if outcome else {}
        await world.decided(submission_id, *([OUTCOME_ACCEPTED] if submission_id == moved else []),
                            decision_no=number, **given)  # fmt: skip

    async def decision(submission_id: str) -> Any:
        async def check() -> Any:
            found = (await world.call("GET", f"/submissions/{submission_id}")).json()
            assert found["status"] == "decided"
            return found["decision"]

        return await world.eventually(check)

    assert (await decision(moved))["move"] == {"to_stage": "discovery", "status": "moved", "missing": []}
    why = (await decision(refused))["move"]
    assert why["status"] == "refused"
    assert [(m["criterion"], m["text"]) for m in why["missing"]] == [("industry", "Industry: it is not known")]
    assert (await decision(plain))["move"] is None


def test_a_held_submission_keeps_its_move() -> None:
    move = Move("discovery", None, "R", "t", True, (SuppliedFact("a.b", ("x", "y")), SuppliedFact("a.c", None)))
    given = Capture(uuid7(), "006A", "p", 1, {}, utc_now(), Channel.ONLINE, move=move)
    again = capture_of(given.submission_id, canonical_body(given), "online", None)
    assert again.move == move
    assert content_sha256(given, "rita") == content_sha256(again, "rita")
