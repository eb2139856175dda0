"""Plays three shipped processes on the running system, in a tenant of its own, through public APIs and events only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
from kit.ids import utc_now

from sandbox.stack import Stack
from sandbox.story import plots
from sandbox.story.api import Caller, Refused
from sandbox.story.crm_reports import USER, Called, CrmReports, Employed, Seen, crm_reports
from sandbox.story.screen import Screen
from sandbox.story.setup import SetupStuck
from sandbox.story.told import Told, id_of

# Beside the tenant of the main story, whose totals stay as they are.
TENANT = "lakeside"
ADMIN = "sales-ops"
ENGINE = "stage-engine"
PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.2
NOT_FOUND = 404


async def tell_processes(stack: Stack, http: httpx.AsyncClient, screen: Screen) -> tuple[Told, ...]:
    """Install three processes, tell the story of each, and judge it. Raises Refused, SetupStuck."""
    admin = Caller(http, stack.urls, stack.token(TENANT, "admin", ADMIN))
    stories = (
        ("A survey parts the ways", _survey),
        ("Every customer is called every 90 days", _calls),
        ("A lead is called within two hours of business", _leads),
    )
    found: list[Told] = []
    screen.say(f"Three processes more, in the tenant {TENANT}, told with moments of the last months:")
    async with crm_reports(stack.kafka(USER), TENANT) as crm:
        # Rules choose only among people that the CRM has.
        await crm.tell(*(Employed(TENANT, person, utc_now()) for person in plots.PEOPLE))
        for words, story in stories:
            with screen.phase(words) as phase:
                told = await story(admin, crm, utc_now())
                for each in told.details:
                    screen.say(each)
                phase.note = "as told" if told.came_out else "not as told"
            found.append(told)
    return tuple(found)


async def _survey(admin: Caller, crm: CrmReports, now: datetime) -> Told:
    await _install(admin, plots.SURVEY)
    for each in plots.ASKED:
        first, ago = ("surveyed", plots.ASKED_DAYS_AGO) if each.wants else ("lost", plots.LOST_DAYS_AGO)
        seen = Seen("opportunity", id_of(each.name), plots.SURVEY, first, plots.RITA, now - timedelta(days=ago))
        await crm.tell(seen)
        if not each.wants:
            # It was brought back and asked again: its time to answer counts from then.
            await crm.tell(_changed(seen, now - timedelta(days=plots.SILENT_FOR_DAYS), stage="surveyed"))
    await asyncio.gather(*(_until_seen(admin, f"/v1/opportunities/{id_of(each.name)}") for each in plots.ASKED))
    answered = (now - timedelta(days=plots.ANSWERED_DAYS_AGO)).isoformat()
    items = [
        {"idempotency_key": id_of(each.name), "subject_id": id_of(each.name), "name": "survey.wants",
         "value": each.wants, "observed_at": answered, "source": "survey"}
        for each in plots.ASKED if each.wants
    ]  # fmt: skip
    await admin.post(ENGINE, "/v1/facts", {"items": items})

    async def look() -> Told:
        ways = await asyncio.gather(*(_way(admin, id_of(each.name)) for each in plots.ASKED))
        return plots.survey_told(dict(zip((each.name for each in plots.ASKED), ways, strict=True)))

    return await _as_told(look)


async def _way(admin: Caller, record_id: str) -> plots.Way:
    path = f"/v1/opportunities/{record_id}"
    shown, actions = await asyncio.gather(admin.get(ENGINE, path), _all(admin, f"{path}/actions"))
    asked_for = [each["target"] for each in actions if each["kind"] == "email" and each["action_key"] != "survey"]
    asked_for += [value for each in actions if each["kind"] == "field_update" for value in each["fields"].values()]
    return plots.Way(shown["claimed_stage"], ", ".join(asked_for))


async def _calls(admin: Caller, crm: CrmReports, now: datetime) -> Told:
    await _install(admin, plots.CALLS)
    signed = now - timedelta(days=plots.SIGNED_DAYS_AGO)
    for each in plots.CUSTOMERS:
        record_id, facts = id_of(each.name), {"type": "Customer"}
        await crm.tell(Seen("account", record_id, plots.CALLS, "customer", each.owner, signed, facts=facts))
        if each.called_days_ago is not None:
            await crm.tell(Called("account", record_id, each.owner, now - timedelta(days=each.called_days_ago)))

    async def look() -> Told:
        report = await admin.get(ENGINE, "/v1/obligations/not", key=plots.CALLS, period="year")
        calls = {
            each["who"]: plots.Calls(
                each["owed"], each["met"], each["late"], each["missed"], frozenset(each["not_in_time"])
            )
            for each in report["totals"]
        }
        return plots.calls_told(calls)

    return await _as_told(look)


async def _leads(admin: Caller, crm: CrmReports, now: datetime) -> Told:
    await _install(admin, plots.LEADS, people=plots.POOLS)
    await asyncio.gather(*(_play_lead(admin, crm, each, now) for each in plots.FRESH))

    async def look() -> Told:
        ledger = await _all(admin, "/v1/obligations", key=plots.FIRST_CALL)
        owed = {each["opportunity_id"]: each["state"] for each in ledger}
        given = {each.name: await _given(admin, each, owed.get(id_of(each.name), "")) for each in plots.FRESH}
        overall = (await admin.get(ENGINE, "/v1/speed-to-lead", key=plots.FIRST_CALL))["overall"]
        speed = plots.Speed(overall["judged"], overall["in_time"], overall["business_median"])
        return plots.leads_told(given, speed)

    return await _as_told(look)


async def _play_lead(admin: Caller, crm: CrmReports, lead: plots.Lead, now: datetime) -> None:
    """It comes, rules choose its owner, the CRM shows that one, who calls in time, late or not."""
    record_id, facts = id_of(lead.name), {"company": lead.name, "industry": lead.industry}
    came, due = plots.came_at(now), plots.due_at(now)
    seen = Seen("lead", record_id, plots.LEADS, "new", plots.QUEUE, came, facts=facts)
    await crm.tell(seen)
    shown = await _until_seen(admin, f"/v1/leads/{record_id}", lambda shown: bool(shown["assigned"]))
    owner = shown["assigned"][0]["person_id"]
    await crm.tell(_changed(seen, came + timedelta(minutes=1), owner=owner))
    if lead.called is not None:
        await crm.tell(Called("lead", record_id, owner, due + timedelta(minutes=lead.called)))


async def _given(admin: Caller, lead: plots.Lead, state: str) -> plots.Given:
    shown = await admin.get(ENGINE, f"/v1/leads/{id_of(lead.name)}")
    chosen = shown["assigned"][0]
    return plots.Given(chosen["person_id"], chosen["rule_id"], chosen["reason"], state)


def _changed(seen: Seen, at: datetime, **changes: str) -> Seen:
    """The record as it was changed at a later moment."""
    return replace(seen, at=at, is_new=False, **changes)


async def _install(admin: Caller, key: str, **body: Any) -> None:
    """Install the process; the points of its assessments may still be on their way."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    waits = True
    while waits:
        if time.perf_counter() > deadline:
            raise SetupStuck(f"{key} was not installed: its points did not come")
        waits = (await admin.post(ENGINE, f"/v1/process-templates/{key}/install", body))["waiting_for"]


async def _until_seen(admin: Caller, path: str, is_so: Callable[[Any], bool] = bool) -> Any:
    """The subject, once it is there and that is so."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while True:
        try:
            shown = await admin.get(ENGINE, path)
            if is_so(shown):
                return shown
        except Refused as refusal:
            if refusal.status != NOT_FOUND:
                raise
        if time.perf_counter() > deadline:
            raise SetupStuck(f"{path} did not become what it had to be")
        await asyncio.sleep(POLL_SECONDS)


async def _all(admin: Caller, path: str, **params: str) -> list[dict[str, Any]]:
    return [each async for page in admin.pages(ENGINE, path, **params) for each in page]


async def _as_told(look: Callable[[], Awaitable[Told]]) -> Told:
    """What is seen once it came out as told, or after long enough."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while True:
        told = await look()
        if told.came_out or time.perf_counter() > deadline:
            return told
        await asyncio.sleep(POLL_SECONDS)
