"""Which assessment now, the worklist, the timeline, and following a submission."""

from typing import Any

import pytest
from kit.ids import uuid7
from stagecraft.crm.v1.record_observed_pb2 import OBSERVATION_KIND_DELETED, OBSERVATION_KIND_UNDELETED
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageProbability, StageRecommended
from stagecraft.stage.v1.stage_decided_pb2 import (
    OUTCOME_ACCEPTED,
    OUTCOME_PROPOSED,
    NearMiss,
    ProposedMove,
    WaitingMove,
)

from tests.builders import MOMENT, stage_decided

pytestmark = pytest.mark.stack


async def answered(world: Any, **changes: Any) -> str:
    submission_id = str(uuid7())
    assert (await world.submit(submission_id, **changes)).status_code == 201
    return submission_id


class TestNextAssessment:
    async def test_pins_all_that_is_sent_back(self, world: Any) -> None:
        published = await world.at_prospecting()
        answer = await world.next()
        assert answer["due"] == {
            "assessment_key": "prospecting",
            "assessment_version": 1,
            "title": "Prospecting",
            "definition_hash": published["definition_hash"],
            "visit": {"stage_key": "prospecting", "visit_no": 1},
            "attempt_no": 1,
        }
        assert answer["stage"] == {"key": "prospecting", "name": "Prospecting"}
        await world.publish_form()

        async def newer() -> None:
            assert (await world.next())["due"]["assessment_version"] == 2

        await world.eventually(newer)

    @pytest.mark.parametrize("object_type", ["lead", "account"])
    async def test_a_rep_answers_about_a_lead_or_account_of_theirs(self, world: Any, object_type: str) -> None:
        await world.at_prospecting("00QA", object_type=object_type)
        assert (await world.next("00QA"))["due"]["visit"] == {"stage_key": "prospecting", "visit_no": 1}
        listed = await world.call("GET", "/worklist")
        assert [each["opportunity_id"] for each in listed.json()["items"]] == ["00QA"]

    async def test_follows_attempts(self, world: Any) -> None:
        await world.at_prospecting()
        first = await answered(world)
        waiting = await world.next()
        assert (waiting["reason"], waiting["due"]) == ("waiting_for_decision", None)
        assert waiting["standings"][0]["standing"] == "pending"
        await world.scored(first)
        near = NearMiss(
            rule_id="r1",
            to_stage="discovery",
            fact="prospecting.score",
            cell="> 60",
            actual="56",
            margin="-4",
            question_keys=["compliance", "hours"],
        )
        await world.decided(first, near_misses=[near])

        async def scored_and_decided() -> dict[str, Any]:
            answer = await world.settled(reason="retake")
            assert answer["standings"][0]["score"]
            return answer

        retake = await world.eventually(scored_and_decided)
        assert retake["due"]["attempt_no"] == 2
        [standing] = retake["standings"]
        assert (standing["standing"], standing["words"], standing["score"]) == ("failed", "4 points short", "56")
        [missing] = standing["missing"]
        assert {name: value for name, value in missing.items() if value} == (
            {
                "code": "FAILED",
                "fact": "prospecting.score",
                "short_by": "4",
                "text": "4 points short",
                "question_keys": ["compliance", "hours"],
            }
        )
        second = await answered(world, attempt_no=2)
        await world.decided(second, OUTCOME_PROPOSED, decision_no=2, proposed_stage="discovery")
        passed = await world.settled(reason="all_passed")
        assert passed["due"] is None
        assert passed["standings"][0]["attempts"] == 2

    async def test_a_new_visit_starts_anew(self, world: Any) -> None:
        await world.at_prospecting()
        first = await answered(world)
        await world.decided(first)
        await world.settled(reason="retake")
        await world.place(revision=2)
        answer = await world.settled(reason="not_started")
        assert answer["due"]["visit"] == {"stage_key": "prospecting", "visit_no": 2}
        assert answer["due"]["attempt_no"] == 2

    async def test_says_why_nothing_is_due(self, world: Any) -> None:
        await world.at_prospecting()
        await world.place(stage="discovery", revision=2)
        await world.settled(reason="not_published", due=None)
        await world.place(stage="demo", revision=3)
        await world.settled(reason="no_assessment_in_stage", due=None)
        await world.place(stage="demo", revision=4, pipeline_version=2)
        await world.settled(reason="pipeline_unknown", due=None)
        await world.place(stage="closed_won", revision=5)
        await world.settled(reason="opportunity_closed", due=None)
        await world.observe(sequence=2, kind=OBSERVATION_KIND_DELETED)
        await world.settled(reason="opportunity_deleted", due=None)
        await world.observe(sequence=3, kind=OBSERVATION_KIND_UNDELETED)
        await world.settled(reason="opportunity_closed", due=None)
        await world.observe("006B")
        await world.eventually(lambda: self._unplaced(world))

    async def _unplaced(self, world: Any) -> None:
        answer = await world.call("GET", "/opportunities/006B/next-assessment")
        assert (answer.status_code, answer.json().get("reason")) == (200, "stage_unknown")

    async def test_retired_version_is_not_offered(self, world: Any) -> None:
        await world.at_prospecting()
        await world.publish_form()
        await world.call("POST", "/assessments/prospecting/versions/2/retire", role="admin")
        assert (await world.next())["due"]["assessment_version"] == 1
        await world.call("POST", "/assessments/prospecting/versions/1/retire", role="admin")
        assert (await world.next())["reason"] == "not_published"

    async def test_migrated_opportunity_uses_its_new_pipeline(self, world: Any) -> None:
        await world.at_prospecting()
        await world.publish_form("qualification")
        await world.pipeline(version=2, prospecting=["qualification"])
        submission_id = await answered(world)
        await world.decided(submission_id, pipeline_version=2)

        async def migrated() -> None:
            due = (await world.next())["due"]
            assert due is not None
            assert due["assessment_key"] == "qualification"

        await world.eventually(migrated)

    async def test_etag(self, world: Any) -> None:
        await world.at_prospecting()
        path = "/opportunities/006A/next-assessment"
        tag = (await world.call("GET", path)).headers["ETag"]
        same = await world.call("GET", path, if_none_match=tag)
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
        await answered(world)
        changed = await world.call("GET", path, if_none_match=tag)
        assert (changed.status_code, changed.headers["ETag"] != tag) == (200, True)

    async def test_other_reps_opportunities_are_not_found(self, world: Any) -> None:
        await world.at_prospecting()
        for path in ("next-assessment", "timeline"):
            other = await world.call("GET", f"/opportunities/006A/{path}", subject="bob")
            assert (other.status_code, other.json()["code"]) == (404, "opportunity_not_found")
            assert (await world.call("GET", f"/opportunities/006A/{path}", role="manager")).status_code == 200
            stranger = type(world)(world.service, f"{world.tenant}-b", world.eventually)
            assert (await stranger.call("GET", f"/opportunities/006A/{path}", role="admin")).status_code == 404


class TestWorklist:
    @pytest.mark.capability(17)
    async def test_pages_through_open_opportunities(self, world: Any) -> None:
        await world.at_prospecting()
        for name in ("006B", "006C", "006D"):
            await world.observe(name)
            await world.place(name, "discovery" if name == "006D" else "prospecting")
        await world.observe("006E")
        await world.place("006E", "closed_won")
        await world.observe("006F", owner_id="bob")
        await world.place("006F")
        await world.settled("006E", reason="opportunity_closed")
        await world.eventually(lambda: world.next("006F", subject="bob"))
        for name in ("006B", "006C"):
            await world.settled(name, role="rep", reason="not_started")
        await world.settled("006D", role="rep", reason="not_published")

        seen, cursor = [], None
        for _ in range(2):
            query = "/worklist?limit=2" + (f"&cursor={cursor}" if cursor else "")
            page = (await world.call("GET", query)).json()
            seen += [item["opportunity_id"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert seen == ["006A", "006B", "006C", "006D"]
        assert cursor is None
        others = await world.call("GET", "/worklist?owner_id=bob", role="manager")
        assert [item["opportunity_id"] for item in others.json()["items"]] == ["006F"]
        refused = await world.call("GET", "/worklist?owner_id=bob")
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")

    async def test_says_what_happened_and_what_is_missing(self, world: Any) -> None:
        await world.at_prospecting()
        submission_id = await answered(world)
        await world.scored(submission_id)
        await world.decided(submission_id)
        recommended = StageRecommended(
            recommendation_id=str(uuid7()),
            opportunity_id="006A",
            recommended_stage="discovery",
            support=40,
            probabilities=[StageProbability(stage_key="discovery", probability=0.75)],
        )
        recommended.recommended_at.GetCurrentTime()
        await world.service.publish(recommended, tenant=world.tenant)

        async def complete() -> dict[str, Any]:
            [item] = (await world.call("GET", "/worklist")).json()["items"]
            assert item["last_outcome"] is not None
            assert item["recommendation"] is not None
            assert item["last_outcome"]["words"] == "4 points short"
            assert item["last_outcome"]["score"] is not None
            return item

        item = await world.eventually(complete)
        assert item["amount"] == "1200.5"
        assert item["stage"] == {"key": "prospecting", "name": "Prospecting"}
        assert item["next_assessment"]["attempt_no"] == 2
        assert item["last_outcome"]["missing"][0]["short_by"] == "4"
        assert item["recommendation"]["recommended_stage"] == "discovery"
        assert item["recommendation"]["probability"] == 0.75

    async def test_shows_what_waits_for_people_by_the_newest_decision(self, world: Any) -> None:
        await world.at_prospecting()

        async def told(number: int, **given: Any) -> None:
            message = stage_decided(opportunity_id="006A", decision_no=number, waiting_changed=True, **given)
            await world.service.publish(message, tenant=world.tenant)

        async def shows(approval: str | None, rules: list[str]) -> None:
            [item] = (await world.call("GET", "/worklist")).json()["items"]
            waits = item["approval"] and item["approval"]["to_stage"]
            assert (waits, [each["rule_id"] for each in item["proposals"]]) == (approval, rules)

        waiting = WaitingMove(approval_id="a1", to_stage="demo", asked_by="ann", needed=2, expires_at=MOMENT)
        proposed = ProposedMove(proposal_id="p1", rule_id="on", to_stage="demo", expires_at=MOMENT)
        await told(3, waiting=waiting, proposed=[proposed])
        await world.eventually(lambda: shows("demo", ["on"]))
        submission_id = await answered(world)
        await told(5)
        await told(4, waiting=waiting)
        await world.decided(submission_id, decision_no=6)
        await world.settled(reason="retake")
        await shows(None, [])

    async def test_is_empty_for_a_new_rep(self, world: Any) -> None:
        answer = await world.call("GET", "/worklist", subject="newcomer")
        assert answer.json() == {"items": [], "next_cursor": None}
        assert (await world.call("GET", "/worklist?cursor=forged")).json()["code"] == "invalid_cursor"


class TestForeignAnswers:
    async def test_what_came_before_the_owner_was_known_counts_only_if_it_is_the_owners(self, world: Any) -> None:
        await world.publish_form()
        foreign = (await world.submit(subject="eve")).json()["submission_id"]
        await world.scored(foreign, score="1")
        own = (await world.submit(opportunity_id="006B")).json()["submission_id"]
        await world.pipeline()
        for opportunity in ("006A", "006B"):
            await world.observe(opportunity)
            await world.place(opportunity)
        await world.settled("006A", role="rep", reason="not_started")
        timeline = (await world.call("GET", "/opportunities/006A/timeline")).json()["items"]
        assert [item["kind"] for item in timeline] == ["stage_change"]
        await world.settled("006B", role="rep", reason="not_started")
        timeline = (await world.call("GET", "/opportunities/006B/timeline")).json()["items"]
        assert [item["id"] for item in timeline if item["kind"] == "submission"] == [own]


class TestFollowing:
    async def test_received_scored_decided(self, world: Any) -> None:
        await world.at_prospecting()
        submission_id = await answered(world)
        path = f"/submissions/{submission_id}"
        received = (await world.call("GET", path)).json()
        assert (received["status"], received["score"], received["decision"]) == ("received", None, None)

        async def status(expected: str) -> dict[str, Any]:
            answer = (await world.call("GET", path)).json()
            assert answer["status"] == expected
            return answer

        await world.scored(submission_id, score="70")
        scored = await world.eventually(lambda: status("scored"))
        assert (scored["score"]["score"], scored["score"]["scale"]) == ("70", "raw")
        await world.decided(submission_id, OUTCOME_ACCEPTED)
        decided = await world.eventually(lambda: status("decided"))
        assert (decided["decision"]["outcome"], decided["decision"]["words"]) == ("accepted", "moved to discovery")
        assert (await world.call("GET", path, subject="bob")).status_code == 404
        assert (await world.call("GET", path, role="manager")).status_code == 200

    async def test_timeline_pages_in_order(self, world: Any) -> None:
        await world.at_prospecting()
        submission_id = await answered(world)
        await world.scored(submission_id)
        await world.decided(submission_id)

        async def whole() -> list[dict[str, Any]]:
            page = (await world.call("GET", "/opportunities/006A/timeline")).json()
            assert len(page["items"]) == 4
            return page["items"]

        items = await world.eventually(whole)
        assert sorted(item["kind"] for item in items) == ["decision", "score", "stage_change", "submission"]
        assert [item["at"] for item in items] == sorted(item["at"] for item in items)
        paged, cursor = [], ""
        while len(paged) < 4:
            page = (await world.call("GET", f"/opportunities/006A/timeline?limit=1{cursor}")).json()
            paged += page["items"]
            cursor = f"&cursor={page['next_cursor']}"
        assert (paged, cursor) == (items, "&cursor=None")
        score = next(item for item in items if item["kind"] == "score")
        assert score["detail"]["score"] == "56"


async def test_a_version_is_offered_only_when_it_has_points(world: Any) -> None:
    await world.at_prospecting()
    await world.publish_form(points=False)
    assert (await world.next())["due"]["assessment_version"] == 1
    await world.points(version=2)

    async def offered() -> None:
        assert (await world.next())["due"]["assessment_version"] == 2

    await world.eventually(offered)


async def test_without_any_points_nothing_is_offered(world: Any) -> None:
    await world.publish_form(points=False)
    await world.pipeline()
    await world.observe()
    await world.place()
    answer = await world.settled(reason="not_published")
    assert answer["message"].endswith("has no published version with points yet.")


async def test_an_opportunity_that_is_still_on_its_way_is_told_from_one_that_is_not(world: Any) -> None:
    await world.publish_form()
    await world.submit(opportunity_id="006Late")
    path = "/opportunities/{}/next-assessment"
    waiting = await world.call("GET", path.format("006Late"))
    assert (waiting.status_code, waiting.json()["code"]) == (404, "opportunity_unknown")
    assert "retry-after" in waiting.headers
    nothing = await world.call("GET", path.format("006None"))
    assert (nothing.status_code, nothing.json()["code"]) == (404, "opportunity_not_found")
    foreign = await world.call("GET", path.format("006Late"), subject="bob")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "opportunity_not_found")


async def test_who_hands_in_for_anothers_opportunity_reads_the_same_as_for_none(world: Any) -> None:
    await world.at_prospecting()
    answers = []
    for opportunity in ("006A", "006Z"):
        for changes in ({}, {"assessment_version": 7}):
            assert (await world.submit(opportunity_id=opportunity, subject="eve", **changes)).status_code in (201, 202)
        for path in ("next-assessment", "timeline"):
            answer = await world.call("GET", f"/opportunities/{opportunity}/{path}", subject="eve")
            answers.append((answer.status_code, answer.json()["code"], answer.headers["retry-after"]))
    assert set(answers) == {(404, "opportunity_unknown", "5")}


async def test_of_many_attempts_those_count_that_a_next_step_depends_on(world: Any) -> None:
    await world.at_prospecting()
    ids = [str(uuid7()) for _ in range(5)]
    for attempt, submission_id in zip((1, 2, 3, 1, 2), ids, strict=True):
        submitted = await world.submit(submission_id, attempt_no=attempt)
        assert submitted.status_code == 201
    await world.decided(ids[2])
    answer = await world.settled(reason="retake")
    (standing,) = answer["standings"]
    assert (standing["attempts"], standing["submission_id"], answer["due"]["attempt_no"]) == (5, ids[2], 4)
    (item,) = (await world.call("GET", "/worklist")).json()["items"]
    assert item["last_outcome"]["submission_id"] == ids[4]
