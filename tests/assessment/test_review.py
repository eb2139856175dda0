"""What is held for a reviewer, and what becomes of it."""

from typing import Any

import pytest
from kit.ids import utc_now, uuid7
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted

pytestmark = pytest.mark.stack


async def held_of_eve(world: Any, **changes: Any) -> str:
    """Answers that another rep hands in for the rep's opportunity."""
    submission_id = str(uuid7())
    answer = await world.submit(submission_id, subject="eve", **changes)
    assert answer.status_code == 201, answer.text
    return submission_id


async def waiting(world: Any, query: str = "") -> list[dict[str, Any]]:
    answer = await world.call("GET", f"/held-submissions{query}", role="manager")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


class TestReview:
    async def test_what_another_hands_in_moves_nothing_and_is_listed(self, world: Any) -> None:
        await world.at_prospecting()
        submission_id = await held_of_eve(world)
        [found] = await waiting(world)
        assert (found["submission_id"], found["reason"], found["submitted_by"]) == (submission_id, "not_owner", "eve")
        assert found["outcome"] is None
        one = (await world.call("GET", f"/held-submissions/{submission_id}", role="manager")).json()
        assert one["answers"] == world.body()["answers"]
        # The owner sees nothing of it, and the next of its own is the first event.
        assert (await world.next())["reason"] == "not_started"
        timeline = (await world.call("GET", "/opportunities/006A/timeline")).json()["items"]
        assert [item["kind"] for item in timeline] == ["stage_change"]
        assert (await world.submit()).status_code == 201
        [event] = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=1)
        assert event.message.submitted_by == "rep"

    async def test_an_accepted_one_goes_on_as_if_received_then(self, world: Any) -> None:
        await world.at_prospecting()
        submission_id = await held_of_eve(world, attempt_no=7)
        assert (await world.submit()).status_code == 201
        receipt = (await world.submit(submission_id, subject="eve", attempt_no=7)).json()
        told = (await world.call("GET", f"/submissions/{submission_id}", subject="eve")).json()
        answer = await world.call("POST", f"/held-submissions/{submission_id}/accept", role="manager")
        assert (answer.status_code, answer.json()["outcome"]) == (200, "accepted"), answer.text
        own, accepted = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=2)
        assert accepted.message.submission_id == submission_id
        assert accepted.message.submitted_by == "eve"
        assert (accepted.message.attempt_no, accepted.message.entitled) == (2, True)
        assert (accepted.message.visit.stage_key, accepted.message.visit.visit_no) == ("prospecting", 1)
        assert accepted.sequence > own.sequence
        # Who handed it in is told nothing new, and the owner sees the submission now.
        assert (await world.call("GET", f"/submissions/{submission_id}", subject="eve")).json() == told
        again = await world.submit(submission_id, subject="eve", attempt_no=7)
        assert (again.status_code, again.json()) == (200, receipt)
        assert (await world.call("GET", f"/submissions/{submission_id}")).json()["submitted_by"] == "eve"
        assert await waiting(world) == []
        [settled] = await waiting(world, "?settled=true")
        assert (settled["outcome"], settled["settled_by"]) == ("accepted", "manager")

    async def test_is_decided_once(self, world: Any) -> None:
        await world.at_prospecting()
        first, second = await held_of_eve(world), await held_of_eve(world)
        discarded = await world.call(
            "POST", f"/held-submissions/{first}/discard", {"note": "not her customer"}, role="manager"
        )
        assert (discarded.json()["outcome"], discarded.json()["note"]) == ("discarded", "not her customer")
        accept = await world.call("POST", f"/held-submissions/{first}/accept", role="manager")
        assert (accept.status_code, accept.json()["code"]) == (409, "held_submission_settled")
        assert [item["submission_id"] for item in await waiting(world)] == [second]
        assert await waiting(world, "?reason=too_many_unknown") == []
        missing = await world.call("POST", f"/held-submissions/{uuid7()}/accept", role="manager")
        assert (missing.status_code, missing.json()["code"]) == (404, "held_submission_not_found")

    async def test_takes_the_scope(self, world: Any) -> None:
        for method, path in (
            ("GET", ""),
            ("GET", f"/{uuid7()}"),
            ("POST", f"/{uuid7()}/accept"),
            ("POST", f"/{uuid7()}/discard"),
        ):
            answer = await world.call(method, f"/held-submissions{path}", {"note": "x"})
            assert (answer.status_code, answer.json()["scope"]) == (403, "submissions:review")

    async def test_only_so_many_wait_for_opportunities_not_known(self, world: Any) -> None:
        await world.publish_form()
        quota = world.service.settings.unknown_opportunity_quota
        items = [{"submission_id": str(uuid7()), **world.body(f"006U{n:03}")} for n in range(quota + 2)]
        for part in (items[:60], items[60:]):
            answer = await world.call("POST", "/submission-batches", {"items": part}, subject="eve")
            assert {item["status"] for item in answer.json()["items"]} == {"accepted"}
        held = await waiting(world)
        assert [item["submission_id"] for item in held] == [item["submission_id"] for item in items[quota:]]
        assert {item["reason"] for item in held} == {"too_many_unknown"}
        # Each person has a quota of their own, and what has become known counts no longer.
        assert (await world.submit(opportunity_id="006U", subject="ann")).status_code == 201
        assert len(await waiting(world)) == 2
        await world.observe("006U000", owner_id="eve")
        await world.settled("006U000", reason="stage_unknown")
        await held_of_eve(world, opportunity_id="006V")
        assert len(await waiting(world)) == 2
        await held_of_eve(world, opportunity_id="006W")
        assert len(await waiting(world)) == 3

    async def test_only_so_many_of_one_person_are_held(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(world.service.settings, "held_submission_quota", 2)
        await world.at_prospecting()
        first = await held_of_eve(world)
        await held_of_eve(world)
        for opportunity in ("006A", "006Z"):
            refused = await world.submit(opportunity_id=opportunity, subject="eve")
            assert (refused.status_code, refused.json()["code"]) == (422, "too_many_held")
        assert (await world.submit()).status_code == 201
        await world.call("POST", f"/held-submissions/{first}/discard", {"note": "no"}, role="manager")
        await held_of_eve(world)


UNKNOWN = {"assessment_version": 7}
FORGED = {"definition_hash": "f" * 64}


async def keep(world: Any, **changes: Any) -> str:
    submission_id = str(uuid7())
    kept = await world.submit(submission_id, **changes)
    assert (kept.status_code, kept.json()["status"]) == (202, "waiting"), kept.text
    return submission_id


async def decide(world: Any, submission_id: str, decision: str, **body: Any) -> Any:
    return await world.call("POST", f"/held-submissions/{submission_id}/{decision}", body, role="manager")


class TestDefinitions:
    """What was answered by a definition that does not count."""

    @pytest.mark.parametrize(("changes", "code"), [(UNKNOWN, "version_unknown"), (FORGED, "form_hash_mismatch")])
    async def test_is_held_with_its_reason(self, world: Any, changes: dict[str, Any], code: str) -> None:
        await world.publish_form()
        submission_id = await keep(world, **changes)
        (found,) = await waiting(world, f"?reason={code}")
        assert (found["submission_id"], found["reason"], found["outcome"]) == (submission_id, code, None)
        whole = (await world.call("GET", f"/held-submissions/{submission_id}", role="manager")).json()
        assert whole["answers"] == world.body()["answers"]
        assert (await world.call("GET", f"/submissions/{submission_id}")).json()["status"] == "received"

    async def test_a_version_that_was_retired_before_is_accepted_once(self, world: Any) -> None:
        await world.at_prospecting()
        await world.call("POST", "/assessments/prospecting/versions/1/retire", role="admin")
        submission_id = await keep(world, captured_at=utc_now().isoformat())
        accepted = await decide(world, submission_id, "accept")
        assert accepted.status_code == 200, accepted.text
        assert (await world.call("GET", f"/submissions/{submission_id}")).json()["status"] == "received"
        (event,) = await world.service.events(AssessmentSubmitted, tenant=world.tenant, count=1)
        assert (event.message.submission_id, event.message.submitted_by) == (submission_id, "rep")
        assert (event.message.attempt_no, event.message.visit.stage_key) == (1, "prospecting")
        again = await decide(world, submission_id, "accept")
        assert (again.status_code, again.json()["code"]) == (409, "held_submission_settled")
        assert await waiting(world) == []

    async def test_an_exact_retry_is_the_same_and_another_body_is_not(self, world: Any) -> None:
        await world.at_prospecting()
        submission_id = await keep(world, **UNKNOWN)
        kept = (await world.submit(submission_id, **UNKNOWN)).json()
        assert (kept["status"], kept["code"]) == ("waiting", "version_unknown")
        assert kept["detail"] == "prospecting has no published version 7. Answer the one that next-assessment names."
        other = await world.submit(submission_id, **UNKNOWN, attempt_no=2)
        assert (other.status_code, other.json()["code"]) == (409, "payload_mismatch")
        foreign = await world.submit(submission_id, **UNKNOWN, subject="bob")
        assert (foreign.status_code, foreign.json()["code"]) == (404, "submission_not_found")
        assert len(await waiting(world)) == 1
        assert (await decide(world, submission_id, "accept", assessment_version=1)).status_code == 200
        retried = await world.submit(submission_id, **UNKNOWN)
        assert (retried.status_code, retried.json()["submission_id"]) == (200, submission_id)
        assert retried.json()["visit"] == {"stage_key": "prospecting", "visit_no": 1}

    async def test_answers_are_judged_by_the_version_that_the_reviewer_gives(self, world: Any) -> None:
        await world.publish_form()
        submission_id = await keep(world, **UNKNOWN, answers={**world.body()["answers"], "hours": "never"})
        unknown = await decide(world, submission_id, "accept")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "version_not_found")
        wrong = await decide(world, submission_id, "accept", assessment_version=1)
        assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "unknown_choice")
        (waits,) = await waiting(world)
        assert waits["outcome"] is None

    async def test_discarded_answers_are_kept_and_wait_no_longer(self, world: Any) -> None:
        await world.at_prospecting()
        submission_id = await keep(world, **UNKNOWN)
        assert (await decide(world, submission_id, "discard", note="a test")).json()["outcome"] == "discarded"
        assert await waiting(world) == []
        (kept,) = await waiting(world, "?settled=true")
        assert kept["settled_by"] == "manager"
        assert (await world.submit(submission_id, **UNKNOWN)).json()["status"] == "discarded"

    @pytest.mark.parametrize("decision", [("accept", {"assessment_version": 1}), ("discard", {"note": "no"})])
    async def test_what_became_of_them_tells_nothing_of_anothers_opportunity(
        self, world: Any, decision: tuple[str, dict[str, Any]]
    ) -> None:
        await world.at_prospecting()
        first = {}
        for opportunity in ("006A", "006Z"):
            submission_id = await keep(world, **UNKNOWN, opportunity_id=opportunity, subject="eve")
            retry = await world.submit(submission_id, **UNKNOWN, opportunity_id=opportunity, subject="eve")
            assert (await decide(world, submission_id, decision[0], **decision[1])).status_code == 200
            after = await world.submit(submission_id, **UNKNOWN, opportunity_id=opportunity, subject="eve")
            assert (after.status_code, after.json()) == (retry.status_code, retry.json())
            first[opportunity] = {**after.json(), "submission_id": ""}
        assert first["006A"] == first["006Z"]

    async def test_only_so_many_of_one_person_are_held(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(world.service.settings, "held_submission_quota", 2)
        await world.at_prospecting()
        items = [{"submission_id": str(uuid7()), **world.body(**changes)} for changes in (UNKNOWN, FORGED, UNKNOWN, {})]
        answer = await world.call("POST", "/submission-batches", {"items": items})
        found = [(item["status"], item["code"]) for item in answer.json()["items"]]
        assert found == [
            ("kept", "version_unknown"),
            ("kept", "form_hash_mismatch"),
            ("rejected", "version_unknown"),
            ("accepted", None),
        ]
        assert len(await waiting(world)) == 2
        assert (await world.submit(**UNKNOWN, subject="bob")).status_code == 202

    async def test_only_reviewers_of_the_tenant_see_them(self, world: Any) -> None:
        await world.publish_form()
        submission_id = await keep(world, **UNKNOWN)
        stranger = type(world)(world.service, f"{world.tenant}-b", world.eventually)
        for method, path in (("GET", ""), ("POST", "/accept"), ("POST", "/discard")):
            body = {"note": "x"} if path == "/discard" else {} if path else None
            answer = await stranger.call(method, f"/held-submissions/{submission_id}{path}", body, role="manager")
            assert (answer.status_code, answer.json()["code"]) == (404, "held_submission_not_found")
