"""What each service has that the others do not."""

from collections.abc import Callable, Mapping

from tools.dashboards.panels import Colour, Kind, Limits, Panel, Query, Unit
from tools.dashboards.promql import Scope, or_none

HANDED_IN = 'operation=~"put_submission|submit_batch"'


def _waiting(of: Scope, what: str, do: str) -> tuple[Panel, Panel]:
    count = Panel(
        title="Set aside",
        unit=Unit.COUNT,
        means=f"{what} A level that stays means that what they wait for does not come.",
        do=do,
        runbook="WorkWaiting",
        queries=(Query(of.wide("waiting_items", "what"), "{{what}}"),),
    )
    age = Panel(
        title="Oldest of what is set aside",
        unit=Unit.SECONDS,
        means="How long the oldest waits. A line that climbs without a break is an item that nothing releases.",
        do=do,
        runbook="WorkWaiting",
        queries=(Query(of.wide("waiting_oldest_age_seconds", "what"), "{{what}}"),),
    )
    return count, age


def _assessment(of: Scope) -> tuple[Panel, ...]:
    accepted = Panel(
        title="Submissions accepted",
        unit=Unit.EVENTS,
        means="Submissions that were checked and kept. A fall during working hours means that devices do not reach us.",
        do="Compare with the requests: if they fall too, look at the ingress; if not, look at what is refused.",
        runbook="AvailabilityBurn",
        queries=(
            Query(
                of.rate("events_published_total", where='topic="stagecraft.assessment.submitted.v1"'),
                "accepted",
            ),
        ),
    )
    refused = Panel(
        title="Submissions refused, by code",
        unit=Unit.REQUESTS,
        means="Submissions that a rep has to correct. A jump of one code after a publication means that it "
        "asks for what devices do not send.",
        do="Compare the code with the definition that was published last.",
        runbook="HttpErrors",
        queries=(
            Query(
                or_none(
                    of.rate("http_requests_total", "code", f'{HANDED_IN}, status=~"4.."'),
                    of.rate("http_requests_total", where=HANDED_IN),
                    "code",
                ),
                "{{code}}",
            ),
        ),
    )
    speed = Panel(
        title="Time to hand in",
        unit=Unit.SECONDS,
        means="How long a rep's device waits for the receipt. A rise is felt at once.",
        do="Compare with connections in use and event loop delay below.",
        runbook="AvailabilityBurn",
        queries=tuple(
            Query(of.quantile(q, "http_request_seconds", where=HANDED_IN), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)
        ),
        limits=Limits(0.5, 2.5),
    )
    return (accepted, refused, speed)


def _scoring(of: Scope) -> tuple[Panel, ...]:
    scored = Panel(
        title="Submissions scored",
        unit=Unit.EVENTS,
        means="Scores made. It follows the accepted submissions; less for long means that scoring falls behind.",
        do="Compare with the lag on `stagecraft.assessment.submitted.v1`.",
        runbook="ConsumerBehind",
        queries=(Query(of.rate("events_published_total", where='topic="stagecraft.scoring.scored.v1"'), "scored"),),
    )
    waiting = _waiting(
        of,
        "Submissions whose scoring profile is not published yet.",
        "Publish the profile of the assessment's version: `GET /v1/scoring-profiles` shows which exist.",
    )
    return (scored, *waiting)


def _stage_engine(of: Scope) -> tuple[Panel, ...]:
    decisions = of.rate("stage_decisions_total")
    outcomes = Panel(
        title="Decisions by input and outcome",
        unit=Unit.EVENTS,
        means="What was decided and what asked for it. `no_op` means that nothing had to change.",
        do="If `rejected` jumps, compare the pipeline and the profiles with their versions from before.",
        runbook="TransitionsAbnormal",
        queries=(Query(of.rate("stage_decisions_total", "input, outcome"), "{{input}}: {{outcome}}"),),
    )
    latency = Panel(
        title="From receipt to decision",
        unit=Unit.SECONDS,
        means="How long submissions wait for their decision. A rise without lag here means that scoring is behind.",
        do="Compare the age of events of the topic `scored` on this page and on that of scoring.",
        runbook="DecisionLatencyBurn",
        queries=tuple(
            Query(of.quantile(q, "stage_decision_latency_seconds"), f"p{q * 100:g}") for q in (0.5, 0.95, 0.99)
        ),
        limits=Limits(2.5, 10),
    )
    faults = Panel(
        title="Engine faults by code",
        unit=Unit.EVENTS,
        means="Decisions that the service refused to believe. Any rise stops decisions for what it concerns.",
        do="Stop releases, keep the decision's inputs, and follow the runbook.",
        runbook="EngineFault",
        queries=(Query(or_none(of.rate("stage_engine_faults_total", "code"), decisions, "code"), "{{code}}"),),
        limits=Limits(0.000001, 0.01),
    )
    replays = Panel(
        title="Stored decisions checked by replay",
        unit=Unit.EVENTS,
        means="A sample of decisions is decided again and compared. `different` must never appear; `failed` "
        "could not be decided again; no line means that the check does not run.",
        do="On `different`, treat it as a wrong stage in the CRM until it is explained.",
        runbook="DecisionNotReproducible",
        queries=(Query(of.rate("stage_replays_total", "outcome"), "{{outcome}}"),),
    )
    waiting = _waiting(
        of,
        "Events that wait for another topic, and opportunities in a stage that nothing maps.",
        "Parked events leave when the missing part arrives; quarantined opportunities need a stage mapping.",
    )
    parked = Panel(
        title="Events parked by reason",
        unit=Unit.EVENTS,
        means="Events that came before what they refer to. Some while topics overtake each other are normal.",
        do="If they do not leave again, the topic that brings the missing part has stopped.",
        runbook="WorkWaiting",
        queries=(Query(or_none(of.rate("stage_events_parked_total", "reason"), decisions, "reason"), "{{reason}}"),),
    )
    quarantined = Panel(
        title="Observations in an unknown stage",
        unit=Unit.EVENTS,
        means="How often the CRM showed a stage that no pipeline knows. A rise means that the org has a new stage.",
        do="Add the stage to the mapping of the connector.",
        runbook="OpportunitiesQuarantined",
        queries=(Query(of.rate("stage_quarantined_total"), "quarantined"),),
    )
    moves = Panel(
        title="Stage changes by cause",
        unit=Unit.EVENTS,
        means="What changed stages. A jump means that a rule, an import or a bulk edit went wrong.",
        do="Open the Business dashboard for kinds and causes together.",
        runbook="TransitionsAbnormal",
        queries=(Query(of.rate("stage_transitions_total", "cause"), "{{cause}}"),),
        stacked=True,
    )
    breakers = Panel(
        title="Breakers that opened",
        unit=Unit.EVENTS,
        means="Rules moved unusually many opportunities of a pipeline. They only propose until a person has looked.",
        do="`GET /v1/pipelines/{key}/modes` says which and why. Close its breaker once its rules are right.",
        runbook="TransitionsAbnormal",
        queries=(Query(of.rate("stage_breakers_opened_total"), "opened"),),
    )
    timers = Panel(
        title="Lateness of timers",
        unit=Unit.SECONDS,
        means="For how long the timer that waits longest has been due. After a downtime it falls as timers are fired.",
        do="If it climbs, read the log: timers do not fire, or more come due than `TIMERS_PER_SECOND` allows.",
        runbook="WorkWaiting",
        queries=(
            Query(of.wide("stage_timers_behind_seconds"), "most overdue"),
            Query(of.quantile(0.99, "stage_timer_lateness_seconds"), "p99 when fired"),
        ),
        limits=Limits(300, 3600),
    )
    return (outcomes, latency, faults, replays, *waiting, parked, quarantined, moves, breakers, timers, *_work(of))


def _work(of: Scope) -> tuple[Panel, ...]:
    """What decisions ask for, and what owners owe."""
    actions = Panel(
        title="Oldest open action",
        unit=Unit.SECONDS,
        means="How long the action that waits longest has waited. Each expires by itself in the time that its "
        "pipeline gives it.",
        do="List what is open with `/v1/actions?state=open` and see which kind no program carries out.",
        runbook="WorkWaiting",
        queries=(Query(of.wide("stage_actions_oldest_seconds"), "oldest"),),
    )
    waiting = Panel(
        title="Open actions",
        unit=Unit.COUNT,
        means="Actions that decisions asked for and that are not settled.",
        do="If it climbs, see whether the CRM connector or the program that carries them out is away.",
        runbook="WorkWaiting",
        queries=(Query(of.wide("stage_actions_open"), "open"),),
    )
    ended = Panel(
        title="Actions and obligations by what became of them",
        unit=Unit.EVENTS,
        means="Actions that were settled, and obligations that were made or ended.",
        do="If `refused` jumps, read the words of `/v1/actions?state=refused`; if `missed` jumps for all at once, see "
        "whether activities still arrive from the CRM.",
        runbook="WorkWaiting",
        queries=(
            Query(of.rate("stage_actions_settled_total", "state"), "action {{state}}"),
            Query(of.rate("stage_obligations_total", "state"), "obligation {{state}}"),
        ),
    )
    return (actions, waiting, ended)


def _crm_connector(of: Scope) -> tuple[Panel, ...]:
    state = Panel(
        title="Connection",
        unit=Unit.COUNT,
        means="Whether one instance leads and the connection is live. The Salesforce dashboard shows the other states.",
        do="Read `GET /v1/connection`: it holds the org's own words.",
        runbook="CrmDisconnected",
        queries=(Query(of.wide("crm_connection_state", where='state="LIVE"'), "connection"),),
        kind=Kind.NUMBER,
        limits=Limits(1, 1, falling=True),
        words={0: ("not live", Colour.RED), 1: ("live", Colour.GREEN)},
    )
    outcomes = Panel(
        title="Write attempts by outcome",
        unit=Unit.EVENTS,
        means="What became of each attempt. Anything but CONFIRMED costs time or a person.",
        do="Read the reasons at `GET /v1/write-intents`.",
        runbook="CrmSyncBurn",
        queries=(Query(of.rate("crm_writes_total", "outcome"), "{{outcome}}"),),
        stacked=True,
    )
    age = Panel(
        title="Oldest unfinished write",
        unit=Unit.SECONDS,
        means="How long the oldest decided stage waits to be in the CRM. A climb means that the CRM is behind.",
        do="Check connection and budget on the Salesforce dashboard.",
        runbook="CrmBehind",
        queries=(Query(of.leading("crm_sync_age_seconds"), "oldest write"),),
        limits=Limits(900, 1800),
    )
    waiting = _waiting(
        of,
        "Writes that the CRM refused, and those on their way.",
        "Correct the reason in the org, then retry the write through the API.",
    )
    cursor = Panel(
        title="Age of the cursor",
        unit=Unit.SECONDS,
        means="Time since the CRM last sent a change or said that there is none. A climb means unseen edits.",
        do="Check the connection; a lost position is swept by itself.",
        runbook="CrmCursorOld",
        queries=(Query(of.leading("crm_cursor_age_seconds"), "cursor"),),
        limits=Limits(600, 900),
    )
    return (state, outcomes, age, *waiting, cursor)


def _recommender(of: Scope) -> tuple[Panel, ...]:
    outcomes = Panel(
        title="Recommendations by outcome",
        unit=Unit.EVENTS,
        means="Whether it answers or abstains because it has seen too few cases. Abstaining is normal in the first "
        "weeks, and a lost model later.",
        do="Ask `GET /v1/model` what it has learned from.",
        runbook="WorkWaiting",
        queries=(Query(of.rate("recommendations_total", "outcome"), "{{outcome}}"),),
        stacked=True,
    )
    waiting = _waiting(
        of,
        "Submissions that wait for their definition, score or opportunity.",
        "Look at the lag of the topic that brings the missing part.",
    )
    return (outcomes, *waiting)


PARTICULAR: Mapping[str, Callable[[Scope], tuple[Panel, ...]]] = {
    "assessment": _assessment,
    "scoring": _scoring,
    "stage-engine": _stage_engine,
    "crm-connector": _crm_connector,
    "recommender": _recommender,
}
