"""What is handed out while assessments, points and a pipeline change together."""

from itertools import permutations
from typing import Any

import pytest
from kit.ids import uuid7
from stagecraft.stage.v1.pipeline_published_pb2 import (
    CATEGORY_OPEN,
    AssessmentVersion,
    Criterion,
    PipelinePublished,
    Stage,
)
from stagecraft.stage.v1.stage_decided_pb2 import Reason

from tests.assessment.conftest import stamp

pytestmark = pytest.mark.stack

HOURS = Criterion(
    key="hours",
    name="Hours are known",
    required=True,
    help="Ask for a typical week.",
    playbook_url="https://playbook.example/hours",
    supplied_by="prospecting.answers.hours",
)


async def publish(world: Any, version: int, **pins: int) -> None:
    """A pipeline version whose first stage is called after it."""
    stages = [
        Stage(
            key="prospecting",
            name=f"Prospecting {version}",
            category=CATEGORY_OPEN,
            assessment_keys=["prospecting"],
            exit=[HOURS],
        )
    ]
    event = PipelinePublished(
        pipeline_key="sales",
        version=version,
        name="Sales",
        stages=stages,
        published_at=stamp(),
        assessment_versions=[AssessmentVersion(assessment_key=key, version=number) for key, number in pins.items()],
    )
    await world.service.publish(event, tenant=world.tenant, sequence=version)


@pytest.mark.capability(76)
@pytest.mark.parametrize("order", list(permutations(("points", "pipeline", "opportunity")))[::2], ids=str)
async def test_readers_never_see_some_of_each(world: Any, order: tuple[str, ...]) -> None:
    await world.publish_form()
    await publish(world, 1, prospecting=1)
    await world.observe()
    await world.place()
    seen: set[tuple[str | None, int | None]] = set()

    async def read(expected: tuple[str | None, int | None]) -> None:
        async def check() -> None:
            answer = await world.call("GET", "/opportunities/006A/next-assessment")
            assert answer.status_code == 200, answer.text
            found = answer.json()
            name = found["stage"] and found["stage"]["name"]
            now = name, found["due"] and found["due"]["assessment_version"]
            seen.add(now)
            assert now == expected

        await world.eventually(check)

    await read(("Prospecting 1", 1))
    seen.clear()
    await world.publish_form(points=False)
    for step in order:
        if step == "points":
            await world.points(version=2)
        elif step == "pipeline":
            await publish(world, 2, prospecting=2)
        else:
            await world.place(revision=2, pipeline_version=2)
        await world.call("GET", "/opportunities/006A/next-assessment")
    await read(("Prospecting 2", 2))
    assert seen <= {("Prospecting 1", 1), ("Prospecting 2", 2), (None, None)}


@pytest.mark.capability(104)
async def test_an_unmet_criterion_names_the_question_that_answers_it_and_the_playbook(world: Any) -> None:
    await world.publish_form()
    await publish(world, 1)
    await world.observe()
    await world.place()
    submission_id = str(uuid7())
    await world.settled(role="rep", reason="not_started")
    await world.submit(submission_id)
    await world.scored(submission_id, "70")
    reason = Reason(code="MISSING", fact="prospecting.answers.hours", message="Hours are known: x", criterion="hours")
    await world.decided(submission_id, why=reason)

    async def check() -> Any:
        [item] = (await world.call("GET", "/worklist")).json()["items"]
        assert item["last_outcome"]["missing"]
        return item["last_outcome"]["missing"]

    [missing] = await world.eventually(check)
    assert (missing["criterion"], missing["question_keys"]) == ("hours", ["hours"])
    assert missing["supplied_by"] == "prospecting.answers.hours"
    assert (missing["help"], missing["playbook_url"]) == (HOURS.help, HOURS.playbook_url)
