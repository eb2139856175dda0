"""What happens on a good day: a team hands in assessments, online and offline, and everything reaches the CRM."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from kit.ids import utc_now, uuid7
from sandbox.story.behaviour import plan_story
from sandbox.story.generator import invent_world
from sandbox.story.journal import Journal
from sandbox.story.org_load import OrgConsole
from sandbox.story.play import Play
from sandbox.story.setup import Published, import_opportunities, publish_field_example

from tests.observability.live import SCRAPE_SECONDS, Observed, eventually

SEED = 7
STORY_OPPORTUNITIES = 150
SPARE_OPPORTUNITIES = 148
ROUNDS = 4
PASS = {"hours": "over_5", "compliance": "yes"}


@dataclass
class Team:
    """Who works in the system. `spare` are opportunities in the first stage that the faults use up."""

    observed: Observed
    console: OrgConsole
    published: Published
    spare: list[str]
    user: str
    colleague: str

    def take(self, count: int) -> list[str]:
        """Opportunities that nothing else uses."""
        taken, self.spare = self.spare[:count], self.spare[count:]
        assert len(taken) == count, "not enough spare opportunities"
        return taken

    async def hand_in(self, opportunity_id: str) -> UUID:
        """Answers that pass the first stage; the submission's id."""
        definition = self.published.definitions["prospecting"]
        submission_id = uuid7()
        now = utc_now().isoformat()
        body = {
            "opportunity_id": opportunity_id,
            "assessment_key": definition.key,
            "assessment_version": definition.version,
            "answers": PASS,
            "captured_at": now,
            "sent_at": now,
        }
        await self.observed.admin.send("PUT", "assessment", f"/v1/submissions/{submission_id}", body)
        return submission_id


async def work(observed: Observed) -> Team:
    """Publish the field example, import an org, and let its team work until all they did has arrived in the org."""
    story = plan_story(invent_world(SEED, STORY_OPPORTUNITIES, utc_now().date()), SEED)
    console = OrgConsole(observed.http, observed.org_url)
    ids = await console.fill(story.world)
    user, *_, colleague = ids.users.values()
    spare = await load_opportunities(observed, user, SPARE_OPPORTUNITIES)
    published = await publish_field_example(observed.admin)
    await import_opportunities(observed.admin)
    team = Team(observed, console, published, spare, user, colleague)
    await _all_placed(observed, len(story.world.opportunities) + len(spare))
    observed.note("imported")

    journal = Journal()
    play = Play(
        story,
        ids,
        published,
        console,
        lambda rep: observed.caller("rep", ids.users[rep.key]),
        journal,
        SEED,
    )
    await play.perform()
    assert journal.mistaken == [], journal.mistaken

    async def arrived() -> bool:
        return set(journal.accepted) <= set(await console.assessments(0))

    await eventually("every submission is in the org", arrived)
    await _ask_and_be_refused(team)
    observed.note(f"{len(journal.accepted)} submissions arrived")
    return team


async def load_opportunities(observed: Observed, user: str, count: int) -> list[str]:
    """Opportunities in the first stage, which the org got without an event of change; their ids."""
    row = {"Name": "Spare", "StageName": "Prospecting", "Amount": 1000, "CloseDate": "2027-06-30", "OwnerId": user}
    body = {"opportunities": [row] * count}
    loaded = await observed.http.post(f"{observed.org_url}/_sim/load", json=body)
    return loaded.raise_for_status().json()["opportunities"]


async def _all_placed(observed: Observed, count: int) -> None:
    async def placed() -> bool:
        seen = 0
        async for page in observed.admin.pages("stage-engine", "/v1/opportunities"):
            seen += len(page)
        return seen >= count

    await eventually(f"the engine knows {count} opportunities", placed)


async def _ask_and_be_refused(team: Team) -> None:
    """What people ask for, and requests that a service must refuse: unknown, malformed, without a valid token."""
    observed = team.observed
    (opportunity,) = team.take(1)
    await observed.admin.get("assessment", f"/v1/opportunities/{opportunity}/next-assessment")
    await observed.admin.get("stage-engine", "/v1/funnel", pipeline="field_example")
    # Spread over some seconds: a rate is the difference of two scrapes.
    for _ in range(ROUNDS):
        await _put_off(team)
        await _give_away(team)
        for url in observed.stack.urls.values():
            await _expect(observed, f"{url}/v1/audit-entries", 200)
            await _expect(observed, f"{url}/v1/audit-entries?limit=0", 422)
            await _expect(observed, f"{url}/v1/nothing-here", 404)
            await asyncio.gather(*(_expect(observed, f"{url}/v1/audit-entries", 401, "forged") for _ in range(3)))
        await asyncio.sleep(SCRAPE_SECONDS)


async def _put_off(team: Team) -> None:
    """An opportunity is put off for a moment; a timer ends that."""
    (opportunity,) = team.take(1)
    path = f"/v1/opportunities/{opportunity}"
    found = await team.observed.admin.send("GET", "stage-engine", path)
    until = (utc_now() + timedelta(seconds=1)).isoformat()
    hold = {"reason": "The buyer is on the telephone.", "until": until}
    await team.observed.admin.post("stage-engine", f"{path}/hold", hold, if_match=found.headers["ETag"])


async def _give_away(team: Team) -> None:
    """An opportunity gets another owner by hand; the CRM is asked to show it."""
    (opportunity,) = team.take(1)
    body = {"person_id": team.colleague, "reason": "She knows the customer."}
    await team.observed.admin.post("stage-engine", f"/v1/opportunities/{opportunity}/assign", body)


async def _expect(observed: Observed, url: str, status: int, token: str = "") -> None:
    headers = {"Authorization": f"Bearer {token or observed.environment['TOKEN']}"}
    answer = await observed.http.get(url, headers=headers)
    assert answer.status_code == status, (url, answer.status_code, answer.text)
