"""Dead letters hold their key, and are handled again in its order: by themselves, or on a person's word."""

import pytest
from kit.contracts.events import Event
from kit.http.auth import SCOPES_OF
from kit.ids import uuid7
from stagecraft.assessment.v1.assessment_submitted_pb2 import AssessmentSubmitted
from stagecraft.scoring.v1.submission_scored_pb2 import SubmissionScored

pytestmark = pytest.mark.stack


def submission(opportunity: str, key: str = "fine") -> AssessmentSubmitted:
    return AssessmentSubmitted(submission_id=str(uuid7()), opportunity_id=opportunity, assessment_key=key)


@pytest.fixture
def letters(service, tenant):
    """What the tenant's dead letters are told, and what they answer."""

    class Letters:
        headers = service.headers(tenant)

        async def listed(self):
            answer = await service.client.get("/v1/dead-letters", headers=self.headers)
            return sorted(answer.json()["items"], key=lambda letter: letter["offset"])

        async def told(self, path, **body):
            path = f"/v1/dead-letters/{path}"
            answer = await service.client.post(path, headers=self.headers, json=body or None)
            return answer.status_code, answer.json()

    return Letters()


@pytest.fixture
def poisoned(service, tenant, eventually, letters):
    """Publishes a bad event and two good ones of opportunity `bad`, and a good one of another; the letters."""

    async def publish(kind="poison", code="poisoned"):
        for sequence, key in enumerate((kind, "fine", "fine")):
            await service.publish(submission("bad", key), tenant=tenant, sequence=sequence)
        await service.publish(submission("good"), tenant=tenant, sequence=9)
        [scored] = await service.events(SubmissionScored, tenant=tenant, count=1)
        assert scored.sequence == 9

        async def three():
            found = await letters.listed()
            assert [letter["code"] for letter in found] == [code, *["behind_a_dead_letter"] * 2]
            return [letter["dead_letter_id"] for letter in found]

        return await eventually(three)

    return publish


@pytest.fixture
def mended(service, monkeypatch):
    """Removes the cause."""
    from sample import consumers

    def mend():
        async def handle(uow, events):
            for event in events:
                event.message.assessment_key = "fine"
            await consumers.note_submissions(uow, events)

        (topic,) = [name for name in service.runtime.consumer.topics if name.endswith("assessment.submitted.v1")]
        monkeypatch.setitem(service.runtime.consumer.batches.handlers, topic, handle)

    return mend


async def handled(service, tenant, count):
    return [event.sequence for event in await service.events(SubmissionScored, tenant=tenant, count=count)]


async def test_a_replay_brings_what_waits_behind_in_its_order(service, tenant, eventually, letters, poisoned, mended):
    first, second, _ = await poisoned()
    status, refused = await letters.told(f"{second}/replay")
    assert (status, refused["code"]) == (409, "dead_letter_behind")
    assert first in refused["detail"]
    mended()
    assert (await letters.told(f"{first}/replay"))[0] == 200
    assert sorted(await handled(service, tenant, 4)) == [0, 1, 2, 9]
    assert [each for each in await handled(service, tenant, 4) if each != 9] == [0, 1, 2]
    assert await letters.listed() == []
    await service.publish(submission("bad"), tenant=tenant, sequence=3)
    assert 3 in await handled(service, tenant, 5)


async def test_a_dismissal_lets_what_waits_behind_go_on(service, tenant, letters, poisoned):
    first, _, third = await poisoned()
    assert (await letters.told(f"{third}/dismiss", reason="a test"))[0] == 200
    assert (await letters.told(f"{first}/dismiss", reason="a test"))[0] == 200
    assert sorted(await handled(service, tenant, 2)) == [1, 9]
    assert await letters.listed() == []


async def test_all_are_replayed_or_dismissed_by_code(service, tenant, letters, poisoned, mended):
    await poisoned()
    assert await letters.told("replay", code="another") == (202, {"count": 0})
    mended()
    assert await letters.told("replay", code="poisoned") == (202, {"count": 1})
    assert sorted(await handled(service, tenant, 4)) == [0, 1, 2, 9]
    await service.publish(submission("x", "broken sql"), tenant=tenant)
    assert await letters.told("dismiss", reason="a test") == (200, {"count": 0})


async def test_an_unknown_fault_is_tried_again_with_pauses_before_a_person_has_to_look(
    service, tenant, letters, eventually, monkeypatch
):
    from datetime import timedelta

    from sample.consumers import Faults

    monkeypatch.setattr("kit.aside.replay.RETRY_AFTER", (timedelta(0),) * 3)
    monkeypatch.setattr("kit.aside.dead_letters.RETRY_AFTER", (timedelta(0),) * 3)
    crashes = service.runtime.resources.get(Faults).crashes
    # Once in its batch, and at the first two attempts after that.
    crashes["shaky"], crashes["broken"] = 3, 100
    await service.publish(submission("s", "shaky"), tenant=tenant, sequence=1)
    await service.publish(submission("s"), tenant=tenant, sequence=2)
    assert await handled(service, tenant, 2) == [1, 2]
    await service.publish(submission("b", "broken"), tenant=tenant, sequence=3)

    async def given_up():
        found = [(each["code"], each["attempts"], each["retry_at"]) for each in await letters.listed()]
        assert found == [("handler_failed", 4, None)]

    await eventually(given_up)


async def test_who_is_on_call_for_the_platform_sees_every_tenants_dead_letters_and_those_of_none(
    service, tenant, eventually
):
    record = Event(tenant, submission("o"), 1).record("test", service.settings.topic_prefix)
    nameless = {name: value for name, value in record.headers.items() if name != "ce_tenantid"}
    await service.send(record._replace(headers=nameless))
    await service.publish(submission("o", "poison"), tenant=tenant)
    on_call = service.headers("platform", "platform-sre")

    async def both_listed():
        answer = await service.client.get("/v1/dead-letter-tenants", headers=on_call)
        assert answer.status_code == 200, answer.text
        waiting = {each["tenant_id"]: each["waiting"] for each in answer.json()}
        assert waiting.get(tenant) == 1
        assert waiting.get("-", 0) >= 1

    await eventually(both_listed)
    for whose in (tenant, "-"):
        path = f"/v1/dead-letters?tenant_id={whose}"
        [letter, *_] = (await service.client.get(path, headers=on_call)).json()["items"]
        path = f"/v1/dead-letters/{letter['dead_letter_id']}/dismiss?tenant_id={whose}"
        assert (await service.client.post(path, json={"reason": "a test"}, headers=on_call)).status_code == 200
    [entry] = (await service.client.get("/v1/audit-entries", headers=service.headers(tenant))).json()["items"]
    assert (entry["actor"], entry["action"]) == ("platform-sre", "dead-letter.dismissed")


async def test_no_other_role_names_a_tenant(service, tenant):
    for role in set(SCOPES_OF) - {"platform-sre"}:
        headers = service.headers(f"{tenant}-other", role)
        assert (await service.client.get("/v1/dead-letter-tenants", headers=headers)).status_code == 403
        for path in ("", "/replay", "/dismiss", f"/{uuid7()}/replay", f"/{uuid7()}/dismiss"):
            method, body = ("POST", {"reason": "a test"}) if path else ("GET", None)
            answer = await service.client.request(
                method, f"/v1/dead-letters{path}?tenant_id={tenant}", headers=headers, json=body
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope"), (role, path)
