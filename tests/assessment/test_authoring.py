"""Writing, publishing and retiring assessments."""

import asyncio
from typing import Any

import pytest
from forms.definition import definition_hash
from forms.messages import form_from_event
from kit.contracts.events import MAX_EVENT_BYTES
from stagecraft.assessment.v1.assessment_published_pb2 import (
    ASSESSMENT_STATUS_PUBLISHED,
    ASSESSMENT_STATUS_RETIRED,
    AssessmentPublished,
)

pytestmark = pytest.mark.stack

QUESTION = {"key": "q", "text": "Q?", "type": "boolean", "required": True}
OVERLAPPING = {
    "key": "hours",
    "text": "Hours?",
    "type": "single_choice",
    "choices": [{"key": "a", "text": "1-2"}, {"key": "b", "text": "2-4"}, {"key": "c", "text": "> 5"}],
}


async def create(world: Any, key: str = "fit", questions: Any = (QUESTION,), **options: Any) -> Any:
    body = {"key": key, "title": "Fit", "questions": list(questions)}
    return await world.call("POST", "/assessments", body, **{"role": "admin", **options})


class TestDrafts:
    async def test_create_read_change(self, world: Any) -> None:
        created = await create(world)
        assert (created.status_code, created.headers["ETag"]) == (201, '"1"')
        assert created.headers["Location"] == "/v1/assessments/fit"
        assert created.json()["latest_version"] == 0
        draft = {"title": "Better fit", "description": "d", "questions": [QUESTION, OVERLAPPING]}
        changed = await world.call("PUT", "/assessments/fit/draft", draft, role="admin", if_match='"1"')
        assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
        read = await world.call("GET", "/assessments/fit")
        assert read.json() == changed.json()
        assert read.headers["ETag"] == '"2"'
        assert {f["code"] for f in read.json()["findings"]} >= {"range_overlap", "range_hole"}

    async def test_preconditions(self, world: Any) -> None:
        await create(world)
        draft = {"title": "T", "questions": [QUESTION]}
        path = "/assessments/fit/draft"
        assert (await world.call("PUT", path, draft, role="admin")).status_code == 428
        assert (await world.call("PUT", path, draft, role="admin", if_match='"7"')).status_code == 412
        answers = await asyncio.gather(
            *(world.call("PUT", path, draft, role="admin", if_match='"1"') for _ in range(6))
        )
        assert sorted(a.status_code for a in answers) == [200] + [412] * 5

    async def test_key_is_taken_once(self, world: Any) -> None:
        answers = await asyncio.gather(*(create(world) for _ in range(4)))
        assert sorted(a.status_code for a in answers) == [201, 409, 409, 409]
        assert {a.json()["code"] for a in answers if a.status_code == 409} == {"assessment_key_taken"}

    async def test_list_pages_by_key(self, world: Any) -> None:
        for key in ("b", "c", "a"):
            await create(world, key)
        first = (await world.call("GET", "/assessments?limit=2")).json()
        second = (await world.call("GET", f"/assessments?limit=2&cursor={first['next_cursor']}")).json()
        assert [i["key"] for i in first["items"] + second["items"]] == ["a", "b", "c"]
        assert second["next_cursor"] is None

    @pytest.mark.capability(10)
    async def test_only_admins_write(self, world: Any) -> None:
        for role in ("rep", "manager"):
            refused = await create(world, role=role)
            assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")

    @pytest.mark.parametrize(
        "change",
        [
            {"key": "has.dot"},
            {"title": ""},
            {"questions": [{**QUESTION, "points": 5}]},
            {"questions": [{**QUESTION, "type": "matrix"}]},
            {"questions": [{**QUESTION, "minimum": "NaN"}]},
        ],
    )
    async def test_rejects_malformed_drafts(self, world: Any, change: dict[str, Any]) -> None:
        body = {"key": "fit", "title": "Fit", "questions": [QUESTION], **change}
        answer = await world.call("POST", "/assessments", body, role="admin")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"].startswith("/")


class TestRoundTrip:
    @pytest.mark.parametrize("key", ["prospecting", "discovery", "demo", "sales_feedback"])
    async def test_what_was_read_can_be_written_back(self, world: Any, key: str) -> None:
        template = (await world.call("GET", f"/assessment-templates/{key}")).json()
        await world.call("POST", "/assessments", template, role="admin")
        read = await world.call("GET", f"/assessments/{key}")
        written = await world.call("PUT", f"/assessments/{key}/draft", read.json(), role="admin", if_match='"1"')
        assert written.status_code == 200, written.text
        changing = {"draft_revision", "updated_at", "updated_by"}
        before, after = read.json(), written.json()
        assert {name: before[name] for name in before.keys() - changing} == {
            name: after[name] for name in after.keys() - changing
        }

    async def test_what_no_assessment_has_is_still_refused(self, world: Any) -> None:
        await create(world)
        body = {"title": "Fit", "questions": [QUESTION], "colour": "red"}
        refused = await world.call("PUT", "/assessments/fit/draft", body, role="admin", if_match='"1"')
        assert [error["pointer"] for error in refused.json()["errors"]] == ["/colour"]

    async def test_one_error_is_one(self, world: Any) -> None:
        await create(world, questions=[{**QUESTION, "visible_if": "{nothing} = 1"}])
        refused = await world.call("POST", "/assessments/fit/publish", role="admin")
        assert refused.json()["detail"] == "The draft has an error and cannot be published."


class TestPublish:
    @pytest.mark.capability(11)
    async def test_makes_immutable_versions_and_events(self, world: Any) -> None:
        await create(world, questions=[OVERLAPPING])
        first = (await world.call("POST", "/assessments/fit/publish", role="admin")).json()
        assert (first["version"], first["status"]) == (1, "published")
        assert {w["severity"] for w in first["warnings"]} == {"warning"}
        assert "range_overlap" in {w["code"] for w in first["warnings"]}
        draft = {"title": "Other", "questions": [QUESTION]}
        await world.call("PUT", "/assessments/fit/draft", draft, role="admin", if_match='"1"')
        second = (await world.call("POST", "/assessments/fit/publish", role="admin")).json()
        assert (second["version"], second["title"], second["warnings"]) == (2, "Other", [])
        kept = (await world.call("GET", "/assessments/fit/versions/1")).json()
        assert (kept["title"], kept["definition_hash"]) == ("Fit", first["definition_hash"])
        events = await world.service.events(AssessmentPublished, tenant=world.tenant, count=2)
        assert [e.sequence for e in events] == [1, 2]
        assert [e.message.version for e in events] == [1, 2]
        for event, version in zip(events, (first, second), strict=True):
            assert event.message.status == ASSESSMENT_STATUS_PUBLISHED
            assert event.message.definition_hash == version["definition_hash"]
            assert definition_hash(form_from_event(event.message)) == version["definition_hash"]

    async def test_refuses_a_draft_with_errors(self, world: Any) -> None:
        await create(world, questions=[{**QUESTION, "visible_if": "{nothing} = 1"}, QUESTION])
        refused = await world.call("POST", "/assessments/fit/publish", role="admin")
        assert (refused.status_code, refused.json()["code"]) == (422, "definition_invalid")
        found = {(e["pointer"], e["code"]) for e in refused.json()["errors"]}
        assert found == {
            ("/questions/0/visible_if", "unknown_reference"),
            ("/questions/1/key", "duplicate_key"),
        }
        assert (await world.call("GET", "/assessments/fit/versions")).json()["items"] == []

    async def test_publishes_the_longest_form(self, world: Any) -> None:
        """Larger than what fits a record of another kind; more characters are refused before."""
        large = [{"key": f"q{n}", "text": "\U0001f600" * 1900, "type": "boolean"} for n in range(100)]
        assert (await create(world, "large", large)).status_code == 201
        assert (await world.call("POST", "/assessments/large/publish", role="admin")).status_code == 201
        [event] = await world.service.events(AssessmentPublished, tenant=world.tenant, count=1)
        assert 4 * 190_000 < len(event.record.value) < MAX_EVENT_BYTES

    async def test_parallel_publications_take_turns(self, world: Any) -> None:
        await create(world)
        answers = await asyncio.gather(
            *(world.call("POST", "/assessments/fit/publish", role="admin") for _ in range(5))
        )
        assert sorted(a.json()["version"] for a in answers) == [1, 2, 3, 4, 5]
        events = await world.service.events(AssessmentPublished, tenant=world.tenant, count=5)
        assert [e.sequence for e in events] == [1, 2, 3, 4, 5]

    async def test_retire(self, world: Any) -> None:
        await create(world)
        await world.call("POST", "/assessments/fit/publish", role="admin")
        path = "/assessments/fit/versions/1"
        retired = await world.call("POST", f"{path}/retire", role="admin")
        assert (retired.status_code, retired.json()["status"]) == (200, "retired")
        assert (await world.call("GET", path)).json() == retired.json()
        again = await world.call("POST", f"{path}/retire", role="admin")
        assert (again.status_code, again.json()["code"]) == (409, "version_already_retired")
        missing = await world.call("POST", "/assessments/fit/versions/9/retire", role="admin")
        assert (missing.status_code, missing.json()["code"]) == (404, "version_not_found")
        events = await world.service.events(AssessmentPublished, tenant=world.tenant, count=2)
        assert [(e.sequence, e.message.status) for e in events] == [
            (1, ASSESSMENT_STATUS_PUBLISHED),
            (2, ASSESSMENT_STATUS_RETIRED),
        ]

    async def test_unknown_and_foreign_assessments(self, world: Any) -> None:
        await create(world)
        stranger = type(world)(world.service, f"{world.tenant}-b", world.eventually)
        for path in ("/assessments/fit", "/assessments/fit/versions", "/assessments/fit/versions/1"):
            assert (await stranger.call("GET", path)).status_code == 404
        assert (await stranger.call("POST", "/assessments/fit/publish", role="admin")).status_code == 404

    async def test_leaves_audit_entries(self, world: Any) -> None:
        await create(world)
        await world.call("POST", "/assessments/fit/publish", role="admin")
        entries = (await world.call("GET", "/audit-entries", role="admin")).json()["items"]
        assert [e["action"] for e in entries] == ["assessment.created", "assessment.published"]
        assert {e["actor"] for e in entries} == {"admin"}


class TestTemplates:
    async def test_every_template_can_be_published(self, world: Any) -> None:
        listed = (await world.call("GET", "/assessment-templates")).json()["items"]
        assert {"prospecting", "discovery", "demo"} <= {t["key"] for t in listed}
        for summary in listed:
            whole = (await world.call("GET", f"/assessment-templates/{summary['key']}")).json()
            assert len(whole["questions"]) == summary["question_count"]
            created = await world.call("POST", "/assessments", whole, role="admin")
            assert created.status_code == 201, created.text
            published = await world.call("POST", f"/assessments/{summary['key']}/publish", role="admin")
            assert published.status_code == 201, published.text
        assert (await world.call("GET", "/assessment-templates/none")).json()["code"] == "template_not_found"
