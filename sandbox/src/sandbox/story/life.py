"""The way of one opportunity through the platform, step by step, with the ids that connect the services' records of
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.observability.telemetry import trace_id_of
from stagecraft.recommendation.v1.stage_recommended_pb2 import StageRecommended
from stagecraft.scoring.v1.submission_scored_pb2 import Contribution, SubmissionScored
from stagecraft.stage.v1.stage_decided_pb2 import OUTCOME_ACCEPTED, StageDecided

from sandbox.story.journal import HandIn, Journal
from sandbox.story.partner import Change
from sandbox.story.setup import Definition, Published
from sandbox.story.sides import Sides
from sandbox.story.witness import Witness
from sandbox.story.world import CRM_STAGE, Opportunity, Rep, Story

MOST_CHAPTERS = 3


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """A question as people read it, its answer, and the points it gave of those it could give."""

    question: str
    answer: str
    points: str
    max_points: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """One submission and everything it led to; times in milliseconds after it was sent.

    `rule` is the condition that decided, `margin` by how much it held or failed, `needed` the reasons in words when it
    failed, `advice` what the recommender said of it. `partner_ms` is None when nothing moved.
    """

    assessment: str
    answers: tuple[AnswerLine, ...]
    score: str
    reachable: str
    accepted: bool
    rule: str
    margin: str
    needed: str
    from_stage: str
    to_stage: str
    scored_ms: float
    decided_ms: float
    partner_ms: float | None
    salesforce_ms: float
    advice: str


@dataclass(frozen=True)
class Life:
    """An opportunity with its chapters. `ids` and `trace` belong to the last one; `record` is what Salesforce holds
    now."""

    opportunity_name: str
    rep_name: str
    amount: float
    opportunity_id: str
    claimed: str
    chapters: tuple[Chapter, ...]
    ids: tuple[tuple[str, str], ...]
    trace_id: str
    traced: tuple[str, ...]
    record: Mapping[str, Any]


def choose_opportunity(sides: Sides) -> str | None:
    """The id of an opportunity that makes a good story: it failed, tried again and moved. None without any."""
    best: tuple[tuple[int, int, int], str] | None = None
    for opportunity_id, handed_in in _by_opportunity(sides.journal).items():
        moved = [done for done in handed_in if done.submission_id in sides.partner.by_submission]
        if not moved or not all(_is_complete(done, sides) for done in handed_in):
            continue
        if handed_in[-1] is not moved[-1] or handed_in[-1].submission_id not in sides.witness.confirmed:
            continue
        failed = sum(1 for done in handed_in if _decision(done, sides.witness).near_misses)
        # The story must not get too long.
        worth = (int(len(handed_in) <= MOST_CHAPTERS), min(failed, 1), len(moved)), opportunity_id
        best = max(best, worth) if best else worth
    return best[1] if best else None


def life_of(
    opportunity_id: str,
    story: Story,
    published: Published,
    sides: Sides,
    record: Mapping[str, Any],
) -> Life:
    """The life of an opportunity that `choose_opportunity` found."""
    handed_in = _by_opportunity(sides.journal)[opportunity_id]
    opportunity = next(
        opportunity for opportunity in story.world.opportunities if opportunity.key == handed_in[0].opportunity_key
    )
    last = handed_in[-1]
    witness = sides.witness
    score, _ = witness.scores[last.submission_id][0]
    decision, _ = witness.decisions[last.submission_id][0]
    write, _ = witness.confirmed[last.submission_id]
    change = sides.partner.by_submission[last.submission_id]
    hops = (
        ("submitted", last.trace_id),
        ("scored", trace_id_of(score.traceparent)),
        ("decided", trace_id_of(decision.traceparent)),
        ("partner event", trace_id_of(change.traceparent)),
        ("Salesforce write", trace_id_of(write.traceparent)),
    )
    return Life(
        opportunity_name=opportunity.name,
        rep_name=_rep_of(opportunity, story).name,
        amount=float(opportunity.amount),
        opportunity_id=opportunity_id,
        claimed=CRM_STAGE[opportunity.claimed],
        chapters=tuple(_chapter(done, published, sides) for done in handed_in),
        ids=(
            ("submission", last.submission_id),
            ("score", score.message.score_id),
            ("decision", decision.message.decision_id),
            ("transition", decision.message.change.transition_id),
            ("Salesforce write", write.message.write_id),
            ("partner event", change.event_id),
        ),
        trace_id=last.trace_id,
        traced=tuple(name for name, trace_id in hops if trace_id == last.trace_id),
        record=record,
    )


def _by_opportunity(journal: Journal) -> dict[str, list[HandIn]]:
    found: dict[str, list[HandIn]] = {}
    for done in journal.accepted.values():
        if done.online:
            found.setdefault(done.opportunity_id, []).append(done)
    return found


def _is_complete(done: HandIn, sides: Sides) -> bool:
    key = done.submission_id
    return key in sides.witness.scores and key in sides.witness.decisions and key in sides.arrivals.seen


def _decision(done: HandIn, witness: Witness) -> StageDecided:
    return witness.decisions[done.submission_id][0][0].message


def _rep_of(opportunity: Opportunity, story: Story) -> Rep:
    return next(rep for rep in story.world.reps if rep.key == opportunity.rep_key)


def _chapter(done: HandIn, published: Published, sides: Sides) -> Chapter:
    event, scored_at = sides.witness.scores[done.submission_id][0]
    scored: SubmissionScored = event.message
    decision, decided_at = sides.witness.decisions[done.submission_id][0]
    message: StageDecided = decision.message
    definition = published.definitions[done.assessment_key]
    change: Change | None = sides.partner.by_submission.get(done.submission_id)
    accepted = message.outcome == OUTCOME_ACCEPTED
    miss = message.near_misses[0] if message.near_misses else None
    return Chapter(
        assessment=definition.title,
        answers=tuple(_line(part, definition) for part in scored.contributions if part.HasField("answer")),
        score=scored.score,
        reachable=scored.reachable_max,
        accepted=accepted,
        rule=published.rules.get(message.rule_id) or (f"{miss.fact} {miss.cell}" if miss else ""),
        margin=message.margin,
        needed="; ".join(reason.message for reason in message.reasons),
        from_stage=CRM_STAGE.get(message.from_stage, message.from_stage),
        to_stage=CRM_STAGE.get(message.to_stage, message.to_stage),
        scored_ms=_after(done, scored_at),
        decided_ms=_after(done, decided_at),
        partner_ms=_after(done, change.seen_at) if change else None,
        salesforce_ms=_after(done, sides.arrivals.seen[done.submission_id]),
        advice=_advice(done, sides.witness),
    )


def _advice(done: HandIn, witness: Witness) -> str:
    if done.submission_id not in witness.recommended:
        return ""
    message: StageRecommended = witness.recommended[done.submission_id][0].message
    if message.abstained:
        return f"abstained, {message.abstention_code}: {message.support} such cases known"
    stage = CRM_STAGE.get(message.recommended_stage, message.recommended_stage)
    return f"such opportunities are in {stage}, by {message.support} cases"


def _after(done: HandIn, moment: float) -> float:
    return (moment - done.sent_at) * 1000


def _line(part: Contribution, definition: Definition) -> AnswerLine:
    question = part.question_key
    answer = part.answer
    match answer.WhichOneof("value"):
        case "choice":
            shown = definition.choices.get((question, answer.choice), answer.choice)
        case "choices":
            shown = ", ".join(definition.choices.get((question, key), key) for key in answer.choices.keys)
        case "boolean":
            shown = "yes" if answer.boolean else "no"
        case "number":
            shown = answer.number
        case _:
            shown = answer.text
    return AnswerLine(definition.questions.get(question, question), shown, part.points, part.max_points)
