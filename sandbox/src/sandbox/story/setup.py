"""Publishes the field example through the public APIs, as an administrator of a new tenant would, in the same order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.story.api import Caller, Refused
from sandbox.story.partner import NAME
from sandbox.story.world import ASSESSMENT_OF, PIPELINE

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.2
CONFLICT = 409
# The codes of a service that has not yet received what other services published.
IN_FLIGHT = ("assessment_unknown", "pipeline_not_found")


class SetupStuck(Exception):
    """Something that should have arrived did not."""


@dataclass(frozen=True)
class Definition:
    """A published assessment: what a device needs of it, and how people read it."""

    key: str
    title: str
    version: int
    definition_hash: str
    questions: Mapping[str, str]
    choices: Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Published:
    """Everything published. `rules` are the conditions by rule id, as text."""

    definitions: Mapping[str, Definition]
    rules: Mapping[str, str]
    warnings: tuple[str, ...]


async def publish_field_example(admin: Caller) -> Published:
    """Publish assessments, their points, the pipeline and the partner's feed; what an earlier run published stays as it
    is. Raises Refused, SetupStuck."""
    definitions: dict[str, Definition] = {}
    warnings: list[str] = []
    for key in ASSESSMENT_OF.values():
        definitions[key], found = await _publish_assessment(admin, key)
        warnings += found
    for key in ASSESSMENT_OF.values():
        await _publish_points(admin, key, definitions[key].version)
    rules = await _publish_pipeline(admin)
    await _unless_there(admin.post("stage-engine", "/v1/partner-feeds", {"partner_key": NAME}))
    return Published(definitions, rules, tuple(warnings))


async def import_opportunities(admin: Caller) -> int:
    """Have the connector read the whole org; the number of opportunities it read."""
    await _when_arrived(lambda: admin.get("crm-connector", f"/v1/stage-mappings/{PIPELINE}"))
    run = await admin.post("crm-connector", "/v1/imports")
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while run["state"] != "COMPLETED":
        if time.perf_counter() > deadline:
            raise SetupStuck(f"the import stopped after {run['read_count']} opportunities: {run['last_error']}")
        await asyncio.sleep(POLL_SECONDS)
        run = await admin.get("crm-connector", f"/v1/imports/{run['import_id']}")
    return run["read_count"]


async def _publish_assessment(admin: Caller, key: str) -> tuple[Definition, list[str]]:
    template = await admin.get("assessment", f"/v1/assessment-templates/{key}")
    path = f"/v1/assessments/{key}"
    await _unless_there(admin.post("assessment", "/v1/assessments", template))
    if version := (await admin.get("assessment", path))["latest_version"]:
        published = await admin.get("assessment", f"{path}/versions/{version}")
    else:
        published = await admin.post("assessment", f"{path}/publish")
    questions = published["questions"]
    definition = Definition(
        key=key,
        title=published["title"],
        version=published["version"],
        definition_hash=published["definition_hash"],
        questions={question["key"]: question["text"] for question in questions},
        choices={
            (question["key"], choice["key"]): choice["text"] for question in questions for choice in question["choices"]
        },
    )
    return definition, [f"{published['title']}: {warning['message']}" for warning in published.get("warnings", ())]


async def _publish_points(admin: Caller, key: str, version: int) -> None:
    template = await admin.get("scoring", f"/v1/profile-templates/{key}")
    draft = {
        "assessment_key": key,
        "assessment_version": version,
        "title": template["title"],
        "profile": template["profile"],
    }
    which = {"assessment_key": key, "assessment_version": version}
    known = (await admin.get("scoring", "/v1/scoring-profiles", **which))["items"]
    if any(profile["status"] == "published" for profile in known):
        return
    profile = known[0] if known else await admin.post("scoring", "/v1/scoring-profiles", draft)
    await _when_arrived(lambda: admin.post("scoring", f"/v1/scoring-profiles/{profile['profile_id']}/publish"))


async def _publish_pipeline(admin: Caller) -> dict[str, str]:
    template = await admin.get("stage-engine", f"/v1/pipeline-templates/{PIPELINE}")
    await _unless_there(admin.post("stage-engine", "/v1/pipelines", template))
    if not (await admin.get("stage-engine", f"/v1/pipelines/{PIPELINE}"))["newest_version"]:
        await admin.post("stage-engine", f"/v1/pipelines/{PIPELINE}/publish")
    return {
        rule["rule_id"]: " and ".join(f"{condition['fact']} {condition['cell']}" for condition in rule["conditions"])
        for rule in template["rules"]
    }


async def _unless_there(making: Awaitable[Any]) -> None:
    """Make it, unless an earlier run did."""
    try:
        await making
    except Refused as refusal:
        if refusal.status != CONFLICT:
            raise


async def _when_arrived(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Repeat the call while the service has not yet received what another one published."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while True:
        try:
            return await ask()
        except Refused as refusal:
            if refusal.code not in IN_FLIGHT or time.perf_counter() > deadline:
                raise
        await asyncio.sleep(POLL_SECONDS)
