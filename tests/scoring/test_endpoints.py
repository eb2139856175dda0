"""The API of scoring profiles, over a real database and broker."""

import copy
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from scoring.templates import profile_templates
from stagecraft.scoring.v1.scoring_profile_published_pb2 import SCALE_RAW, ScoringProfilePublished
from testing.service import ServiceUnderTest

from tests.builders import shipped_form

pytestmark = pytest.mark.stack
Publish = Callable[..., Awaitable[Any]]
Draft = dict[str, Any]


@pytest.fixture
def headers(scoring: ServiceUnderTest, tenant: str) -> dict[str, str]:
    return scoring.headers(tenant)


async def created(scoring: ServiceUnderTest, draft: Draft, headers: dict[str, str]) -> Any:
    answer = await scoring.client.post("/v1/scoring-profiles", json=draft, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


class TestDraft:
    async def test_is_created_before_its_assessment_is_known(
        self, scoring: ServiceUnderTest, draft: Draft, headers: dict[str, str]
    ) -> None:
        answer = await scoring.client.post("/v1/scoring-profiles", json=draft, headers=headers)
        made = answer.json()
        assert answer.headers["location"] == f"/v1/scoring-profiles/{made['profile_id']}"
        assert answer.headers["etag"] == '"1"'
        assert (made["status"], made["version"], made["findings"], made["reachable"]) == ("draft", None, None, None)
        read = await scoring.client.get(answer.headers["location"], headers=headers)
        assert read.json() == made
        assert read.json()["profile"]["questions"][0]["choices"][2] == {"choice_key": "over_5", "points": "40"}

    async def test_shows_findings_and_reachable_totals(
        self, scoring: ServiceUnderTest, draft: Draft, headers: dict[str, str], publish_assessment: Publish
    ) -> None:
        await publish_assessment()
        made = await created(scoring, draft, headers)
        assert made["findings"] == []
        assert made["reachable"] == {
            "minimum": "10",
            "maximum": "70",
            "scores": ["10", "20", "40", "50", "70"],
            "exact": True,
        }

    async def test_is_replaced_only_as_it_was_read(
        self, scoring: ServiceUnderTest, draft: Draft, headers: dict[str, str]
    ) -> None:
        made = await created(scoring, draft, headers)
        url = f"/v1/scoring-profiles/{made['profile_id']}"
        body = {"title": "Another", "profile": draft["profile"]}
        assert (await scoring.client.put(url, json=body, headers=headers)).status_code == 428
        stale = await scoring.client.put(url, json=body, headers=headers | {"If-Match": '"7"'})
        assert (stale.status_code, stale.headers["etag"]) == (412, '"1"')
        changed = await scoring.client.put(url, json=body, headers=headers | {"If-Match": '"1"'})
        assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
        assert changed.json()["title"] == "Another"

    @pytest.mark.parametrize(
        ("path", "value", "pointer"),
        [
            (("scale",), "points", "/profile/scale"),
            (("quantum",), "0.03", "/profile/quantum"),
            (("questions", 0, "weight"), "0", "/profile/questions/0/weight"),
            (("questions", 0, "choices", 0, "points"), "NaN", "/profile/questions/0/choices/0/points"),
            (("questions", 0, "choices", 0, "points"), "1e30", "/profile/questions/0/choices/0/points"),
            (("questions", 0, "surprise"), 1, "/profile/questions/0/surprise"),
        ],
    )
    async def test_bad_points_are_refused_with_a_pointer(
        self,
        scoring: ServiceUnderTest,
        draft: Draft,
        headers: dict[str, str],
        path: tuple[str | int, ...],
        value: object,
        pointer: str,
    ) -> None:
        body = copy.deepcopy(draft)
        target: Any = body["profile"]
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value
        answer = await scoring.client.post("/v1/scoring-profiles", json=body, headers=headers)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer

    async def test_is_listed_by_assessment_in_pages(
        self, scoring: ServiceUnderTest, draft: Draft, headers: dict[str, str]
    ) -> None:
        ids = [(await created(scoring, draft, headers))["profile_id"] for _ in range(3)]
        await created(scoring, draft | {"assessment_version": 2}, headers)
        url = "/v1/scoring-profiles?assessment_key=prospecting&assessment_version=1&limit=2"
        first = (await scoring.client.get(url, headers=headers)).json()
        second = (await scoring.client.get(f"{url}&cursor={first['next_cursor']}", headers=headers)).json()
        assert [item["profile_id"] for item in first["items"] + second["items"]] == ids
        assert second["next_cursor"] is None
        foreign = f"/v1/scores?opportunity_id=opp-1&cursor={first['next_cursor']}"
        assert (await scoring.client.get(foreign, headers=headers)).json()["code"] == "invalid_cursor"

    async def test_is_written_by_admins_only_and_seen_by_its_tenant_only(
        self, scoring: ServiceUnderTest, draft: Draft, headers: dict[str, str], tenant: str
    ) -> None:
        made = await created(scoring, draft, headers)
        url = f"/v1/scoring-profiles/{made['profile_id']}"
        rep = scoring.headers(tenant, role="rep")
        assert (await scoring.client.get(url, headers=rep)).status_code == 403
        assert (await scoring.client.post("/v1/scoring-profiles", json=draft, headers=rep)).status_code == 403
        other = scoring.headers(f"{tenant}-other")
        assert (await scoring.client.get(url, headers=other)).json()["code"] == "profile_not_found"
        assert (await scoring.client.post(f"{url}/publish", headers=other)).status_code == 404
        listed = await scoring.client.get("/v1/scoring-profiles", headers=other)
        assert listed.json()["items"] == []

    async def test_changes_are_audited(self, scoring: ServiceUnderTest, draft: Draft, headers: dict[str, str]) -> None:
        made = await created(scoring, draft, headers)
        entries = (await scoring.client.get("/v1/audit-entries", headers=headers)).json()["items"]
        assert [(entry["action"], entry["subject"]) for entry in entries] == [("profile.created", made["profile_id"])]


class TestPublish:
    async def test_waits_for_the_assessment(
        self, scoring: ServiceUnderTest, draft: Draft, headers: dict[str, str], publish_assessment: Publish
    ) -> None:
        made = await created(scoring, draft, headers)
        url = f"/v1/scoring-profiles/{made['profile_id']}/publish"
        refused = await scoring.client.post(url, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "assessment_unknown")
        assert refused.headers["retry-after"] == "1"
        await publish_assessment()
        assert (await scoring.client.post(url, headers=headers)).status_code == 200

    async def test_freezes_the_profile_and_tells_what_can_be_reached(
        self,
        scoring: ServiceUnderTest,
        draft: Draft,
        headers: dict[str, str],
        tenant: str,
        publish_assessment: Publish,
        publish_profile: Publish,
    ) -> None:
        await publish_assessment()
        done = await publish_profile()
        assert (done["status"], done["version"], done["published_by"]) == ("published", 1, "admin")
        (event,) = await scoring.events(ScoringProfilePublished, tenant=tenant, count=1)
        message = event.message
        assert (message.profile_id, message.version, message.scale) == (done["profile_id"], 1, SCALE_RAW)
        assert (message.reachable_min, message.reachable_max) == ("10", "70")
        assert list(message.reachable_scores) == ["10", "20", "40", "50", "70"]
        assert {each.question_key: each.max_points for each in message.ceilings} == {"hours": "40", "compliance": "30"}
        assert event.sequence == 1

        url = f"/v1/scoring-profiles/{done['profile_id']}"
        again = await scoring.client.post(f"{url}/publish", headers=headers)
        assert (again.status_code, again.json()["code"]) == (409, "profile_already_published")
        body = {"profile": draft["profile"]}
        changed = await scoring.client.put(url, json=body, headers=headers | {"If-Match": '"2"'})
        assert changed.json()["code"] == "profile_already_published"
        assert (await publish_profile())["version"] == 2

    async def test_refuses_errors_with_pointers(
        self, scoring: ServiceUnderTest, draft: Draft, headers: dict[str, str], publish_assessment: Publish
    ) -> None:
        await publish_assessment()
        body = copy.deepcopy(draft)
        body["profile"]["questions"][0]["choices"][0]["choice_key"] = "zzz"
        made = await created(scoring, body, headers)
        assert [each["code"] for each in made["findings"]] == ["unknown_choice", "unscored_choice"]
        refused = await scoring.client.post(f"/v1/scoring-profiles/{made['profile_id']}/publish", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, "profile_invalid")
        assert [each["pointer"] for each in refused.json()["errors"]] == ["/profile/questions/0/choices/0"]


class TestPreview:
    @pytest.mark.capability(19)
    async def test_scores_without_storing(
        self, scoring: ServiceUnderTest, draft: Draft, headers: dict[str, str], publish_assessment: Publish
    ) -> None:
        await publish_assessment()
        made = await created(scoring, draft, headers)
        url = f"/v1/scoring-profiles/{made['profile_id']}/preview"
        answers = {"hours": "two_to_four", "compliance": "yes"}
        trace = (await scoring.client.post(url, json={"answers": answers}, headers=headers)).json()
        assert (trace["score"], trace["reachable_max"], trace["percent"]) == ("50", "70", "71.43")
        assert trace["sections"] == [{"section": "need", "points": "50", "max_points": "70", "percent": "71.43"}]
        assert trace["contributions"][0] == {
            "question_key": "hours",
            "answer": "two_to_four",
            "points": "20",
            "max_points": "40",
            "unanswered": False,
        }
        partial = (await scoring.client.post(url, json={"answers": {}}, headers=headers)).json()
        assert (partial["score"], partial["contributions"][0]["unanswered"]) == ("0", True)

    @pytest.mark.parametrize(
        ("answers", "code", "pointer"),
        [
            ({"hours": "zzz"}, "unknown_choice", "/answers/hours"),
            ({"hours": 5}, "wrong_type", "/answers/hours"),
            ({"hours": ["over_5"]}, "wrong_type", "/answers/hours"),
            ({"a/b": "x"}, "unknown_question", "/answers/a~1b"),
        ],
    )
    async def test_refuses_wrong_answers(
        self,
        scoring: ServiceUnderTest,
        draft: Draft,
        headers: dict[str, str],
        publish_assessment: Publish,
        answers: dict[str, Any],
        code: str,
        pointer: str,
    ) -> None:
        await publish_assessment()
        made = await created(scoring, draft, headers)
        url = f"/v1/scoring-profiles/{made['profile_id']}/preview"
        refused = await scoring.client.post(url, json={"answers": answers}, headers=headers)
        assert refused.status_code == 422
        assert [(each["code"], each["pointer"]) for each in refused.json()["errors"]] == [(code, pointer)]

    @pytest.mark.parametrize("number", [1, "1", 1.0, "1.00"])
    async def test_takes_a_number_also_as_a_string(
        self,
        scoring: ServiceUnderTest,
        headers: dict[str, str],
        publish_assessment: Publish,
        number: object,
    ) -> None:
        await publish_assessment(shipped_form("discovery"))
        points = profile_templates()["discovery"].profile
        draft = {"assessment_key": "discovery", "assessment_version": 1, "profile": points}
        made = await created(scoring, draft, headers)
        url = f"/v1/scoring-profiles/{made['profile_id']}/preview"
        body = {"answers": {"months_to_decision": number, "budget_approved": True, "pains": ["audit", "growth"]}}
        trace = (await scoring.client.post(url, json=body, headers=headers)).json()
        assert trace["score"] == "60"
        assert [each["answer"] for each in trace["contributions"]][1:4] == [["audit", "growth"], "1", True]


class TestTemplates:
    async def test_all_are_listed_and_each_can_be_sent_as_a_draft(
        self, scoring: ServiceUnderTest, headers: dict[str, str]
    ) -> None:
        listed = (await scoring.client.get("/v1/profile-templates", headers=headers)).json()
        keys = [item["key"] for item in listed["items"]]
        assert keys == ["bant", "demo", "discovery", "meddic", "prospecting", "sales_feedback"]
        for key in keys:
            template = (await scoring.client.get(f"/v1/profile-templates/{key}", headers=headers)).json()
            draft = {"assessment_key": key, "assessment_version": 1, "profile": template["profile"]}
            assert (await created(scoring, draft, headers))["profile"] == template["profile"]

    async def test_an_unknown_one_is_not_found(self, scoring: ServiceUnderTest, headers: dict[str, str]) -> None:
        answer = await scoring.client.get(f"/v1/profile-templates/{uuid4()}", headers=headers)
        assert answer.json()["code"] == "template_not_found"
