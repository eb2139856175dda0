"""The results of a finished run as values: `closing` shows them, `demo.json` keeps the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stagecraft.stage.v1.stage_decided_pb2 import OUTCOME_ACCEPTED, StageDecided

from sandbox.story.journal import Journal
from sandbox.story.life import Life
from sandbox.story.measure import Latency, latency_of
from sandbox.story.setup import Published
from sandbox.story.sides import Sides
from sandbox.story.told import Told
from sandbox.story.verify import EngineOpportunity, Verdict
from sandbox.story.witness import Witness
from sandbox.story.world import CRM_STAGE, OPEN_STAGES, STAGES, Opportunity, Story, rank

# What the first reason of a decision on a submission means to the rep.
MEANING: Mapping[str, str] = {
    "ACCEPTED": "moved an opportunity",
    "FAILED": "got a list of what is missing",
    "NOT_CURRENT_STAGE": "were evidence for an earlier stage",
    "OVERRIDE_ACTIVE": "were older than a person's edit",
    "TERMINAL": "came after the opportunity was closed",
    "SUPERSEDED": "were overtaken by newer answers",
}
MOST_MISSING = 5
MOST_REPS = 3


@dataclass(frozen=True, slots=True)
class StageLine:
    """A stage before and after: what was claimed, what is claimed, what is earned; values in the org's currency."""

    name: str
    before: int
    before_value: float
    after: int
    after_value: float
    earned: int


@dataclass(frozen=True, slots=True)
class Gap:
    """The optimism gap: the value of open opportunities whose claim is ahead of what their evidence earned.

    `unproven` is all of it, of which `disproved` has been asked for evidence and could not give it.
    """

    open_value: float
    unproven_before: float
    unproven: float
    disproved: float
    reps: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """What kept opportunities from moving: an assessment's score, how often, the median of the points short, and the
    question that lost most."""

    title: str
    count: int
    points_short: float
    question: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something refused, with its stable code and the service's words."""

    what: str
    code: str
    count: int
    words: str


@dataclass(frozen=True)
class Report:
    """Everything that the last screen shows."""

    title: str
    opportunities: int
    submissions: int
    offline: int
    duplicates: int
    stage_changes: int
    edits: int
    stages: tuple[StageLine, ...]
    gap: Gap
    refusals: tuple[Refusal, ...]
    decided: tuple[tuple[str, int], ...]
    missing: tuple[Missing, ...]
    life: Life | None
    verdict: Verdict
    to_partner: Latency
    to_salesforce: Latency
    events_per_s: float
    submissions_per_s: float
    repeated_deliveries: int
    mistaken: tuple[str, ...]
    notes: tuple[str, ...]
    processes: tuple[Told, ...]
    duration_s: float

    @property
    def passed(self) -> bool:
        return self.verdict.passed and not self.mistaken and all(each.came_out for each in self.processes)

    @property
    def figures(self) -> dict[str, Any]:
        """What `demo.json` holds."""
        return {
            "opportunities": self.opportunities,
            "submissions": self.submissions,
            "stage_changes": self.stage_changes,
            "lost": self.verdict.lost,
            "doubled": self.verdict.doubled,
            "out_of_order": self.verdict.out_of_order,
            "salesforce_equal": self.verdict.salesforce_equal,
            "partner_exactly_once": self.verdict.partner_exactly_once,
            "latency_ms": self.to_partner.as_figures,
            "latency_to_salesforce_ms": self.to_salesforce.as_figures,
            "events_per_s": self.events_per_s,
            "submissions_per_s": self.submissions_per_s,
            "processes": {each.key: each.as_figures for each in self.processes},
            "duration_s": round(self.duration_s, 1),
            "passed": self.passed,
        }


@dataclass(frozen=True)
class Run:
    """What a report is made from. `engine` is the engine's view after the run, by opportunity id."""

    title: str
    story: Story
    published: Published
    opportunity_ids: Mapping[str, str]
    sides: Sides
    engine: Mapping[str, EngineOpportunity]
    verdict: Verdict
    life: Life | None
    processes: tuple[Told, ...]
    events: int
    playing_s: float
    duration_s: float


def report_of(run: Run) -> Report:
    """Sum the run up."""
    accepted = run.sides.journal.accepted
    online = {key: done for key, done in accepted.items() if done.online}
    to_partner = [
        run.sides.partner.by_submission[key].seen_at - done.sent_at
        for key, done in online.items()
        if key in run.sides.partner.by_submission
    ]
    seen = run.sides.arrivals.seen
    to_salesforce = [seen[key] - done.sent_at for key, done in online.items() if key in seen]
    adopted = len(run.story.world.opportunities)
    return Report(
        title=run.title,
        opportunities=adopted,
        submissions=len(accepted),
        offline=len(accepted) - len(online),
        duplicates=run.sides.journal.duplicates,
        # The first observation of an opportunity is no change of its stage.
        stage_changes=max(run.sides.partner.count - adopted, 0),
        edits=run.sides.journal.edits,
        stages=tuple(_stage_line(stage, run) for stage in STAGES),
        gap=_gap(run),
        refusals=_refusals(run.sides.journal),
        decided=tuple(_decided(run.sides.witness).most_common()),
        missing=_missing(run),
        life=run.life,
        verdict=run.verdict,
        to_partner=latency_of(to_partner),
        to_salesforce=latency_of(to_salesforce),
        events_per_s=round(run.events / run.playing_s, 1),
        submissions_per_s=round(len(accepted) / run.playing_s, 1),
        repeated_deliveries=run.sides.partner.repeated_deliveries,
        mistaken=tuple(run.sides.journal.mistaken),
        notes=run.story.world.notes,
        processes=run.processes,
        duration_s=run.duration_s,
    )


def _stage_line(stage: str, run: Run) -> StageLine:
    before = [opportunity for opportunity in run.story.world.opportunities if opportunity.claimed == stage]
    after = [opportunity for opportunity in run.engine.values() if opportunity.stage_key == stage]
    still_open = [opportunity for opportunity in run.engine.values() if opportunity.stage_key in OPEN_STAGES]
    return StageLine(
        name=CRM_STAGE[stage],
        before=len(before),
        before_value=float(sum(opportunity.amount for opportunity in before)),
        after=len(after),
        after_value=sum(opportunity.amount for opportunity in after),
        earned=sum(opportunity.earned_stage == stage for opportunity in still_open),
    )


def _gap(run: Run) -> Gap:
    opportunities = {run.opportunity_ids[opportunity.key]: opportunity for opportunity in run.story.world.opportunities}
    open_opportunities = {
        key: opportunity for key, opportunity in run.engine.items() if opportunity.stage_key in OPEN_STAGES
    }
    ahead = {
        key
        for key, opportunity in open_opportunities.items()
        if rank(opportunity.stage_key) > rank(opportunity.earned_stage)
    }
    disproved = {key for key in ahead if _was_asked(opportunities[key])}
    names = {rep.key: rep.name for rep in run.story.world.reps}
    asked = Counter(opportunities[key].rep_key for key in open_opportunities if _was_asked(opportunities[key]))
    found = Counter(opportunities[key].rep_key for key in disproved)
    worst = sorted(found, key=lambda rep: (-found[rep] / asked[rep], rep))
    before = [
        opportunity
        for opportunity in run.story.world.opportunities
        if opportunity.is_open and rank(opportunity.claimed) > 0
    ]
    return Gap(
        open_value=sum(opportunity.amount for opportunity in open_opportunities.values()),
        unproven_before=float(sum(opportunity.amount for opportunity in before)),
        unproven=sum(open_opportunities[key].amount for key in ahead),
        disproved=sum(open_opportunities[key].amount for key in disproved),
        reps=tuple((names[rep], found[rep], asked[rep]) for rep in worst[:MOST_REPS]),
    )


def _was_asked(opportunity: Opportunity) -> bool:
    """Whether a rep answered questions about a stage that the claim had passed already."""
    return bool(opportunity.reviews)


def _refusals(journal: Journal) -> tuple[Refusal, ...]:
    kinds = (("submission", journal.refusals), ("move without evidence", journal.refused_moves))
    return tuple(
        Refusal(what, code, count, journal.refusal_words[code])
        for what, counter in kinds
        for code, count in counter.most_common()
    )


def _decided(witness: Witness) -> Counter[str]:
    counts: Counter[str] = Counter()
    for decided in witness.decisions.values():
        for event, _ in decided:
            message: StageDecided = event.message
            code = "ACCEPTED" if message.outcome == OUTCOME_ACCEPTED else message.reasons[0].code
            counts[MEANING.get(code, code)] += 1
    return counts


def _missing(run: Run) -> tuple[Missing, ...]:
    short: dict[str, list[float]] = {}
    questions: dict[str, Counter[str]] = {}
    for decided in run.sides.witness.decisions.values():
        for event, _ in decided:
            message = event.message
            for miss in message.near_misses:
                key = message.submission.assessment_key
                short.setdefault(key, []).append(abs(float(miss.margin)))
                questions.setdefault(key, Counter()).update(miss.question_keys[:1])
    found: list[Missing] = []
    for key, margins in sorted(short.items(), key=lambda item: -len(item[1]))[:MOST_MISSING]:
        definition = run.published.definitions[key]
        worst = questions[key].most_common(1)
        words = definition.questions.get(worst[0][0], worst[0][0]) if worst else ""
        found.append(Missing(definition.title, len(margins), sorted(margins)[len(margins) // 2], words))
    return tuple(found)
