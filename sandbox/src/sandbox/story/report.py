"""What a finished run has to tell, as values: `screen` shows it, `demo.json` keeps its figures."""

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
from sandbox.story.verify import EngineDeal, Verdict
from sandbox.story.witness import Witness
from sandbox.story.world import CRM_STAGE, OPEN_STAGES, STAGES, Deal, Story, rank

# What the first reason of a decision on a submission means to the rep.
MEANING: Mapping[str, str] = {
    "ACCEPTED": "moved a deal",
    "FAILED": "told what was missing",
    "NOT_CURRENT_STAGE": "were evidence for an earlier stage",
    "OVERRIDE_ACTIVE": "were older than a person's edit",
    "TERMINAL": "came after the deal was closed",
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
    """The optimism gap: the value of open deals whose claim is ahead of what their evidence earned.

    `unproven` is all of it, of which `disproved` has been asked for evidence and could not give it.
    """

    open_value: float
    unproven_before: float
    unproven: float
    disproved: float
    reps: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """What kept deals where they are: an assessment's score, how often, how many points short in the middle, and the
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
    """Everything the last screen shows."""

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
    duration_s: float

    @property
    def passed(self) -> bool:
        return self.verdict.passed and not self.mistaken

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
    engine: Mapping[str, EngineDeal]
    verdict: Verdict
    life: Life | None
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
    adopted = len(run.story.world.deals)
    return Report(
        title=run.title,
        opportunities=adopted,
        submissions=len(accepted),
        offline=len(accepted) - len(online),
        duplicates=run.sides.journal.duplicates,
        # First sight of a deal is no change of its stage.
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
        duration_s=run.duration_s,
    )


def _stage_line(stage: str, run: Run) -> StageLine:
    before = [deal for deal in run.story.world.deals if deal.claimed == stage]
    after = [deal for deal in run.engine.values() if deal.stage_key == stage]
    still_open = [deal for deal in run.engine.values() if deal.stage_key in OPEN_STAGES]
    return StageLine(
        name=CRM_STAGE[stage],
        before=len(before),
        before_value=float(sum(deal.amount for deal in before)),
        after=len(after),
        after_value=sum(deal.amount for deal in after),
        earned=sum(deal.earned_stage == stage for deal in still_open),
    )


def _gap(run: Run) -> Gap:
    deals = {run.opportunity_ids[deal.key]: deal for deal in run.story.world.deals}
    open_deals = {key: deal for key, deal in run.engine.items() if deal.stage_key in OPEN_STAGES}
    ahead = {key for key, deal in open_deals.items() if rank(deal.stage_key) > rank(deal.earned_stage)}
    disproved = {key for key in ahead if _was_asked(deals[key])}
    names = {rep.key: rep.name for rep in run.story.world.reps}
    asked = Counter(deals[key].rep_key for key in open_deals if _was_asked(deals[key]))
    found = Counter(deals[key].rep_key for key in disproved)
    worst = sorted(found, key=lambda rep: (-found[rep] / asked[rep], rep))
    before = [deal for deal in run.story.world.deals if deal.is_open and rank(deal.claimed) > 0]
    return Gap(
        open_value=sum(deal.amount for deal in open_deals.values()),
        unproven_before=float(sum(deal.amount for deal in before)),
        unproven=sum(open_deals[key].amount for key in ahead),
        disproved=sum(open_deals[key].amount for key in disproved),
        reps=tuple((names[rep], found[rep], asked[rep]) for rep in worst[:MOST_REPS]),
    )


def _was_asked(deal: Deal) -> bool:
    """Whether anybody answered questions about a stage that the claim had passed already."""
    return bool(deal.reviews)


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
