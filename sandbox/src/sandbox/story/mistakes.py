"""The mistakes of a team: submissions that must be refused, claims without evidence, edits that bypass the platform."""

from __future__ import annotations

from uuid import UUID

import httpx
from kit.ids import uuid7

from sandbox.story.api import Refused
from sandbox.story.behaviour import spoiled
from sandbox.story.org_load import OrgConsole
from sandbox.story.reps import Desk, put, submission
from sandbox.story.world import CRM_STAGE, BadSubmission, Edit, Flaw, Move, Opportunity

UNPUBLISHED_VERSION = 99
FOREIGN_HASH = "0" * 64


async def hand_in_badly(desk: Desk, opportunity: Opportunity, bad: BadSubmission) -> None:
    """Send a submission that must be refused, and note with which code it was."""
    body = submission(desk, opportunity, bad.assessment_key, bad.answers)
    submission_id = str(uuid7())
    if bad.flaw is Flaw.VERSION_UNKNOWN:
        body |= {"assessment_version": UNPUBLISHED_VERSION, "definition_hash": None}
    elif bad.flaw is Flaw.WRONG_HASH:
        body["definition_hash"] = FOREIGN_HASH
    elif bad.flaw is Flaw.OTHER_BODY:
        await put(desk, opportunity, submission_id, body)
        body["answers"] = spoiled(bad.answers)
    await _expect_refusal(desk, opportunity, UUID(submission_id), body)


async def _expect_refusal(desk: Desk, opportunity: Opportunity, submission_id: UUID, body: dict[str, object]) -> None:
    try:
        answer = await desk.caller.send("PUT", "assessment", f"/v1/submissions/{submission_id}", body)
    except Refused as refusal:
        desk.journal.refuse(desk.journal.refusals, refusal.code, refusal.words)
        return
    if answer.status_code == httpx.codes.ACCEPTED:
        # It counts for nothing until a reviewer has looked at it.
        kept = answer.json()
        desk.journal.refuse(desk.journal.refusals, kept["code"], kept["detail"])
    else:
        desk.journal.mistaken.append(f"a bad submission for {opportunity.key} was accepted")


async def claim_without_evidence(desk: Desk, opportunity: Opportunity, move: Move) -> None:
    """Ask the engine for a stage without evidence, and note why it refused."""
    path = f"/v1/opportunities/{desk.ids.opportunities[opportunity.key]}"
    tag = (await desk.caller.send("GET", "stage-engine", path)).headers["ETag"]
    body = {"to_stage": move.to_stage}
    decision = await desk.caller.post("stage-engine", f"{path}/transitions", body, if_match=tag)
    if decision["outcome"] != "rejected":
        desk.journal.mistaken.append(f"{opportunity.key} moved to {move.to_stage} without evidence")
        return
    reason = decision["reasons"][0]
    desk.journal.refuse(desk.journal.refused_moves, reason["code"], reason["message"])


async def edit_in_org(console: OrgConsole, desk: Desk, opportunity: Opportunity, edit: Edit) -> None:
    """Set the stage in Salesforce, by hand."""
    stage_name = CRM_STAGE[edit.to_stage]
    await console.edit(desk.ids.opportunities[opportunity.key], stage_name, desk.ids.users[edit.by])
    desk.journal.edits += 1
