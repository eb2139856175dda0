"""What goes wrong on a bad day, one after the other. Each fault names the alerts that must notice it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from sandbox.story.api import Refused
from sandbox.story.setup import import_opportunities

from tests.observability.breaking import (
    alive,
    closed_database,
    fault,
    held_down,
    kill,
    locked_table,
    publish_again,
    publish_invalid,
    ready_again,
)
from tests.observability.live import TENANT, Observed, eventually
from tests.observability.traffic import Team, load_opportunities

WRITE = "composite/graph"
# The stream of records; that of users is another.
SUBSCRIBE = "PubSub/Subscribe/data/(Opportunity)?Change"
BROKER = "kafka"
ORG = "salesforce-org"
# Each service reads at least one of these.
EVERY_SERVICE_READS = (
    "stagecraft.assessment.submitted.v1",
    "stagecraft.scoring.scored.v1",
    "stagecraft.stage.decided.v1",
)
LIVE = 'max(crm_connection_state{state="LIVE"}) == 1'
# More than DeadLettersMany takes for single ones.
FLOOD = 120
# DATABASE_POOL_SIZE, which the stack leaves at its default.
POOL_SIZE = 12
# The alerts whose causes are provoked below.
PROVOKED = frozenset(
    {
        *("ServiceDown", "ServiceNotReady", "ServiceRestarting", "HttpErrors", "DatabasePoolExhausted"),
        *("OutboxStuck", "RelayFailing", "DeadLettersMany", "ConsumerBehind", "DeadLettersWaiting"),
        *("OpportunitiesQuarantined", "CrmDisconnected", "CrmWritesParked", "CrmBudgetLow", "CrmPositionLost"),
        *("CrmConflicts", "AvailabilityBurn", "DecisionLatencyBurn", "FreshnessBurn", "CrmSyncBurn"),
    }
)


async def break_everything(team: Team) -> None:
    """All faults; returns when every process is ready again and has caught up."""
    observed = team.observed
    await meet_a_persons_edits(team)
    await refuse_writes(team)
    await show_an_unknown_stage(team)
    await answer_too_early(team)
    await use_up_the_budget(team)
    await lose_the_position(team)
    await send_events_again(observed)
    await send_invalid_events(observed)
    await exhaust_a_pool(observed)
    await close_a_database(team)
    await stop_the_broker(team)
    await lose_the_org(observed)
    await flood_a_topic(observed)
    await observed.until("every outbox is empty", "sum(max by (service) (outbox_events)) == 0")
    await observed.until("every service is ready", "count(service_ready == 1) == 5")
    observed.note("recovered")


async def meet_a_persons_edits(team: Team) -> None:
    """CrmConflicts: people set stages in Salesforce while the connector's writes are on their way."""
    observed, opportunities = team.observed, set(team.take(45))
    async with fault(observed, match=WRITE, latency_ms=2500, times=None):
        await asyncio.gather(*(team.hand_in(opportunity) for opportunity in opportunities))

        async def edited() -> bool:
            page = await observed.admin.get("crm-connector", "/v1/write-intents", state="SENT", limit=100)
            on_their_way = opportunities & {intent["opportunity_id"] for intent in page["items"]}
            await asyncio.gather(
                *(team.console.edit(opportunity, "Negotiation", team.user) for opportunity in on_their_way)
            )
            opportunities.difference_update(on_their_way)
            return len(opportunities) < 15

        await eventually("30 writes met an edit", edited)
    await observed.raised("CrmConflicts")
    observed.note("conflicts")


async def refuse_writes(team: Team) -> None:
    """CrmWritesParked, CrmSyncBurn: the org refuses for good."""
    observed, opportunities = team.observed, team.take(20)
    code = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
    async with fault(
        observed, match="/Opportunity/", within=True, code=code, message="Region is required.", times=None
    ):
        # A counter that begins has no rate yet, so one refusal comes before the others.
        await team.hand_in(opportunities[0])
        await observed.raised("CrmWritesParked")
        await asyncio.gather(*(team.hand_in(opportunity) for opportunity in opportunities[1:]))
        await observed.raised("CrmSyncBurn")
    observed.note("writes parked")


async def show_an_unknown_stage(team: Team) -> None:
    """OpportunitiesQuarantined: Salesforce has a stage that nothing maps."""
    (opportunity,) = team.take(1)
    await team.console.edit(opportunity, "Legal Review", team.user)
    await team.observed.raised("OpportunitiesQuarantined")
    team.observed.note("quarantine")


async def answer_too_early(team: Team) -> None:
    """No alert, as it passes: answers about an opportunity that the CRM has not shown yet wait for it."""
    observed = team.observed
    (opportunity,) = await load_opportunities(observed, team.user, 1)
    await team.hand_in(opportunity)
    await observed.until("a score waits", 'max(waiting_items{what="parked_events"}) > 0')
    await import_opportunities(observed.admin)
    await observed.until("it is decided", 'max(waiting_items{what="parked_events"}) == 0')
    observed.note("answers came too early")


async def use_up_the_budget(team: Team) -> None:
    """CrmBudgetLow: the org's calls of 24 hours are nearly used up, then a new day begins."""
    observed, opportunities = team.observed, team.take(2)
    url = f"{observed.org_url}/_sim/limits"
    for opportunity, remaining, wanted in zip(opportunities, (2_000, 99_000), ("> 0.95", "< 0.5"), strict=True):
        body = {"DailyApiRequests": {"Max": 100_000, "Remaining": remaining}}
        (await observed.http.post(url, json=body)).raise_for_status()
        await team.hand_in(opportunity)
        used = "max(crm_api_calls_used / crm_api_calls_allowed)"
        await observed.until(f"the budget used is {wanted}", f"{used} {wanted}")
        await observed.raised("CrmBudgetLow")
    observed.note("budget")


async def lose_the_position(team: Team) -> None:
    """CrmPositionLost: the org no longer knows where the connector was in its stream."""
    (opportunity,) = team.take(1)
    async with fault(team.observed, match=SUBSCRIBE, code="subscription.fetch.replayid.corrupted"):
        await team.console.edit(opportunity, "Discovery", team.user)
        await team.observed.raised("CrmPositionLost")
    await team.observed.until("the connection is live", LIVE)
    team.observed.note("position lost")


async def lose_the_org(observed: Observed) -> None:
    """CrmDisconnected: the org ends and comes back."""
    await kill(observed, ORG)
    await observed.raised("CrmDisconnected")
    await ready_again(observed, ORG)
    await observed.until("the connection is live", LIVE)
    observed.note("org lost and back")


async def send_events_again(observed: Observed) -> None:
    """No alert, as it has no effect: an event that was handled before comes again, for each service."""
    for topic in EVERY_SERVICE_READS:
        await publish_again(observed, topic)
    await observed.until("every service recognised it", "count(sum by (service) (events_duplicate_total) > 0) == 5")
    observed.note("events again")


async def send_invalid_events(observed: Observed) -> None:
    """DeadLettersWaiting: an event that no service can read, for each of them."""
    for topic in EVERY_SERVICE_READS:
        await publish_invalid(observed, topic, 1)
    await observed.until("every service has a dead letter", "count(max by (service) (dead_letters_waiting) > 0) == 5")
    await observed.raised("DeadLettersWaiting")
    observed.note("dead letters")


async def flood_a_topic(observed: Observed) -> None:
    """DeadLettersMany: so many invalid events that something is wrong with their writer."""
    await publish_invalid(observed, "stagecraft.recommendation.recommended.v1", FLOOD)
    await observed.raised("DeadLettersMany")
    observed.note("a flood of invalid events")


async def exhaust_a_pool(observed: Observed) -> None:
    """DatabasePoolExhausted: requests of many tenants, of whom each gets only a share, wait for a lock in the
    recommender. One connection of the pool is left, so that the service can still measure itself within a scrape."""
    raised = asyncio.Event()

    async def ask(tenant: str) -> None:
        caller = observed.caller("admin", "maintainer", tenant)
        while not raised.is_set():
            # A request gives the lock up after a while.
            with suppress(Refused):
                await caller.get("recommender", "/v1/recommendations")

    async with asyncio.TaskGroup() as asking, locked_table(observed, "recommender", "recommendation"):
        for number in range(POOL_SIZE - 1):
            asking.create_task(ask(f"{TENANT}-{number}"))
        await observed.raised("DatabasePoolExhausted")
        raised.set()
    observed.note("pool exhausted")


async def close_a_database(team: Team) -> None:
    """HttpErrors, AvailabilityBurn: the recommender loses its database, and is restarted meanwhile."""
    observed, opportunities = team.observed, team.take(3)
    async with closed_database(observed, "recommender"):
        await asyncio.gather(*(team.hand_in(opportunity) for opportunity in opportunities))
        await _ask_in_vain(observed)
        await observed.until("batches are repeated", 'sum(consumer_retries_total{service="recommender"}) > 0')
        await kill(observed, "recommender")
        await alive(observed, "recommender")
        await _ask_in_vain(observed, code="starting")
        await observed.raised("ServiceNotReady")
        await observed.raised("HttpErrors")
        await observed.raised("AvailabilityBurn")
    await ready_again(observed, "recommender")
    observed.note("database closed and open again")


async def stop_the_broker(team: Team) -> None:
    """OutboxStuck, RelayFailing, ConsumerBehind, DecisionLatencyBurn, FreshnessBurn: submissions are accepted and wait
    for more than the 60 s from which on these alerts call them late. ServiceDown, ServiceRestarting: a service crashes
    again and again meanwhile."""
    observed, opportunities = team.observed, team.take(60)
    async with held_down(observed, BROKER):
        await asyncio.gather(*(team.hand_in(opportunity) for opportunity in opportunities))
        observed.note("broker away")
        for _ in range(2):
            await kill(observed, "recommender")
            await observed.until("its end is seen", 'up{service="recommender"} == 0')
            await observed.until("it answers again", 'up{service="recommender"} == 1')
        await observed.raised("ServiceDown")
        await observed.raised("ServiceRestarting")
        await observed.raised("RelayFailing")
        await observed.until("submissions are late", "max(outbox_oldest_age_seconds) > 62", 90)
        await observed.raised("OutboxStuck")
    await ready_again(observed, BROKER)
    await ready_again(observed, "recommender")
    observed.note("broker back")
    for alert in ("DecisionLatencyBurn", "ConsumerBehind", "FreshnessBurn"):
        await observed.raised(alert)
    observed.note("what waited was handled late")


async def _ask_in_vain(observed: Observed, code: str = "") -> None:
    """Requests to a service without its database are answered 503; spread, as a counter is read once a second."""
    url = f"{observed.stack.urls['recommender']}/v1/recommendations"
    headers = {"Authorization": f"Bearer {observed.environment['TOKEN']}"}
    for _ in range(12):
        answer = await observed.http.get(url, headers=headers)
        assert answer.status_code == 503, answer.status_code
        assert code in ("", answer.json()["code"]), answer.text
        await asyncio.sleep(0.25)
