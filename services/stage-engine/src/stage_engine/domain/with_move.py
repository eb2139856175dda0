"""A person answers what was missing, adds facts and moves the opportunity, all in one decision."""

from dataclasses import replace
from datetime import datetime

from stage_engine.domain.by_rules import by_rules
from stage_engine.domain.decision import Code, MoveOutcome, Outcome, Reason, Ruling
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.facts import PERSON, FactInForce
from stage_engine.domain.inputs import Command, RequestedMove, Submission
from stage_engine.domain.literals import FactType, Literal, literal_of, type_of
from stage_engine.domain.on_command import on_command
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline


def with_move(
    opportunity: Opportunity,
    given: Submission,
    move: RequestedMove,
    rules: Ruleset,
    now: datetime,
    triggers: frozenset[str],
) -> Ruling:
    """The move as a command that is held to what every command is, on the opportunity that has the answers already. If
    it is refused, its facts are dropped and rules decide on the answers alone; so they do while it has to be
    approved."""
    facts, refused = _typed(move, rules.pipeline, given.captured_at)
    waiting: Ruling | None = None
    if not refused:
        ruling = on_command(opportunity, _command(opportunity, given, move, facts), rules, now, triggers=triggers)
        if ruling.transition is not None:
            transition = replace(ruling.transition, submission_id=given.submission_id)
            return replace(ruling, transition=transition, move=MoveOutcome(move.to_stage))
        if ruling.outcome is Outcome.NO_OP and ruling.opportunity is not None:
            # It is there already: what came along counts, and rules may lead on.
            opportunity, triggers = ruling.opportunity, triggers | {fact.name for fact in facts}
        refused = ruling.reasons
        waiting = ruling if ruling.outcome is Outcome.PROPOSED else None
    after = opportunity if waiting is None or waiting.opportunity is None else waiting.opportunity
    ruling = by_rules(after, rules, now, triggers, given)
    reasons = tuple(dict.fromkeys((*ruling.reasons, *refused)))
    ruling = replace(ruling, reasons=reasons, move=MoveOutcome(move.to_stage, refused))
    if waiting is None:
        return ruling
    ruling = replace(ruling, ended_requests=waiting.ended_requests + ruling.ended_requests)
    if ruling.outcome in (Outcome.ACCEPTED, Outcome.PROPOSED):
        return ruling
    return replace(ruling, outcome=Outcome.PROPOSED, proposed_stage=waiting.proposed_stage)


def _command(
    opportunity: Opportunity, given: Submission, move: RequestedMove, facts: tuple[FactInForce, ...]
) -> Command:
    """The same as a command, without the right to override."""
    expected = opportunity.revision if move.expected_revision is None else move.expected_revision
    return Command(
        command_id=given.submission_id,
        opportunity_id=given.opportunity_id,
        to_stage=move.to_stage,
        expected_revision=expected,
        actor=given.submitted_by,
        role="",
        may_override=False,
        reason_code=move.reason_code,
        text=move.text,
        override=False,
        skip=move.skip,
        expires_at=None,
        facts=facts,
    )


def _typed(
    move: RequestedMove, pipeline: Pipeline, observed_at: datetime
) -> tuple[tuple[FactInForce, ...], tuple[Reason, ...]]:
    """The facts by the types of the pipeline, or why they cannot be read so."""
    facts: list[FactInForce] = []
    reasons: list[Reason] = []
    for fact in move.facts:
        kind = pipeline.kind_of_fact(fact.name)
        if kind is None or kind.type is None:
            text = f"nothing in {pipeline.key} reads {fact.name}"
            reasons.append(Reason(Code.FACT_UNREAD, fact.name, None, text))
            continue
        try:
            value = None if fact.value is None else _literal(fact.value, kind.type)
        except ValueError as error:
            text = f"{fact.name} is of type {kind.type}: {error}"
            reasons.append(Reason(Code.FACT_TYPE, fact.name, None, text))
            continue
        facts.append(FactInForce(fact.name, value, PERSON, observed_at))
    return tuple(facts), tuple(reasons)


def _literal(value: Literal, kind: FactType) -> Literal:
    if type_of(value) is kind:
        return value
    if isinstance(value, str | bool):
        return literal_of(value, kind)
    raise ValueError(f"{value!r} is no {kind}")
