"""Business: what moves, why, and how far claims run ahead of evidence."""

from tools.dashboards.panels import Board, Kind, Limits, Panel, Query, Row, Unit
from tools.dashboards.promql import EVERYTHING, fraction, share

BY_HAND = 'cause=~"person|crm"'
ENGINE = 'service="stage-engine"'

MOVES = Panel(
    title="Stage changes by kind",
    unit=Unit.EVENTS,
    means="How stages change: `advance` is one step on, `skip` passes a stage, `regress` goes back. A jump of one kind "
    "means that a rule, an import or a bulk edit went wrong.",
    do="Look at the causes beside this. If it is a rule, publish the pipeline version from before.",
    runbook="TransitionsAbnormal",
    queries=(Query(EVERYTHING.rate("stage_transitions_total", "kind"), "{{kind}}"),),
    stacked=True,
)
CAUSES = Panel(
    title="Stage changes by cause",
    unit=Unit.EVENTS,
    means="What changed the stage: `rule` is evidence, `person` and `crm` are people, `import` is the first reading "
    "of the org.",
    do="A rise of `crm` is an edit in Salesforce; a rise of `rule` without more submissions is a changed rule.",
    runbook="TransitionsAbnormal",
    queries=(Query(EVERYTHING.rate("stage_transitions_total", "cause"), "{{cause}}"),),
    stacked=True,
)
MOVES_TABLE = Panel(
    title="Stage changes in this period",
    unit=Unit.COUNT,
    means="How many stages changed, by kind and cause. A jump of one line is where to look first.",
    do="Compare with the same period of last week before you act.",
    runbook="TransitionsAbnormal",
    queries=(Query(EVERYTHING.increase("stage_transitions_total", "kind, cause")),),
    kind=Kind.TABLE,
)

GAP_NOW = Panel(
    title="Optimism gap",
    unit=Unit.SHARE,
    means="The share of open opportunities whose claimed stage is ahead of what their evidence earns. A rise means "
    "that the forecast rests on claims.",
    do="The API of the stage engine names the reps and the value: `GET /v1/optimism-gap`.",
    runbook="TransitionsAbnormal",
    queries=(
        Query(
            fraction(EVERYTHING.wide("stage_open_opportunities_ahead"), EVERYTHING.wide("stage_open_opportunities")),
            "ahead of evidence",
        ),
    ),
    kind=Kind.NUMBER,
    width=4,
    limits=Limits(0.3, 0.6),
)
GAP = Panel(
    title="Open opportunities",
    unit=Unit.COUNT,
    means="All open opportunities, and those that are claimed further than earned. The distance between both lines is "
    "what is proven.",
    do="A step in both lines is an import. A rise of the second alone is a change of habits or of rules.",
    runbook="TransitionsAbnormal",
    queries=(
        Query(EVERYTHING.wide("stage_open_opportunities"), "open"),
        Query(EVERYTHING.wide("stage_open_opportunities_ahead"), "claimed further than earned"),
    ),
    width=10,
)
OVERRIDES = Panel(
    title="Stage changes by hand",
    unit=Unit.SHARE,
    means="The share of stage changes that people made against or past the rules. A rise means that people do not "
    "trust the rules; a fall to zero may mean that they gave up.",
    do="Read the reasons of the overrides with sales operations and adapt the rule that is overridden most.",
    runbook="CrmConflicts",
    queries=(
        Query(
            share(
                EVERYTHING.rate("stage_transitions_total", where=BY_HAND),
                EVERYTHING.rate("stage_transitions_total", where='cause!="import"'),
            ),
            "by hand",
        ),
    ),
    width=10,
    limits=Limits(0.2, 0.5),
)

DECISIONS = Panel(
    title="Decisions by outcome",
    unit=Unit.EVENTS,
    means="What the engine decides on submissions. A rise of `rejected` means harder rules or weaker answers; "
    "`proposed` leaves the move to a person.",
    do="If it began with a new pipeline or profile, compare it with the version from before.",
    runbook="TransitionsAbnormal",
    queries=(Query(EVERYTHING.rate("stage_decisions_total", "outcome", 'input="submission"'), "{{outcome}}"),),
    stacked=True,
)
DECISIONS_BY_INPUT = Panel(
    title="Decisions by what asked for them",
    unit=Unit.EVENTS,
    means="Whether evidence (`submission`), the CRM (`observation`) or a person (`command`) asked for a decision.",
    do="Many observations with few submissions mean that reps work in Salesforce only.",
    runbook="TransitionsAbnormal",
    queries=(Query(EVERYTHING.rate("stage_decisions_total", "input, outcome"), "{{input}}: {{outcome}}"),),
)
RECOMMENDATIONS = Panel(
    title="Recommendations by outcome",
    unit=Unit.EVENTS,
    means="Whether the recommender answers or abstains, because it has seen too few cases. A rise of `abstained` after "
    "a time of answers means that it lost its model.",
    do="Ask `GET /v1/model` of the recommender what it has learned from.",
    runbook="WorkWaiting",
    queries=(Query(EVERYTHING.rate("recommendations_total", "outcome"), "{{outcome}}"),),
    stacked=True,
)

PEOPLE = Panel(
    title="What waits for sales operations",
    unit=Unit.COUNT,
    means="Quarantined opportunities are in a CRM stage that nothing maps; parked events wait for what another topic "
    "brings.",
    do="Map the stage at `PUT /v1/stage-mappings/{pipeline_key}`; what is parked leaves by itself.",
    runbook="OpportunitiesQuarantined",
    queries=(Query(EVERYTHING.wide("waiting_items", "what", ENGINE), "{{what}}"),),
    width=12,
)
QUARANTINED = Panel(
    title="Opportunities put into quarantine",
    unit=Unit.EVENTS,
    means="How often an opportunity was seen in a stage that no pipeline knows. A rise means that the org got a new "
    "stage.",
    do="Add the stage to the mapping; the opportunities leave the quarantine by themselves.",
    runbook="OpportunitiesQuarantined",
    queries=(Query(EVERYTHING.rate("stage_quarantined_total"), "quarantined"),),
    width=12,
)

BUSINESS = Board(
    name="business",
    title="Stagecraft: business",
    description="What moves, why, and how far claims run ahead of evidence.",
    rows=(
        Row("Stage changes", (MOVES, CAUSES, MOVES_TABLE)),
        Row("Claims and evidence", (GAP_NOW, GAP, OVERRIDES)),
        Row("Decisions and advice", (DECISIONS, DECISIONS_BY_INPUT, RECOMMENDATIONS)),
        Row("What waits for people", (PEOPLE, QUARANTINED)),
    ),
)
