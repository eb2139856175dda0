"""Which pipeline a subject gets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from stage_engine.domain.actions import Action
from stage_engine.domain.cells import predicate
from stage_engine.domain.facts import AMOUNT, CLOSE_DATE, CURRENCY, FactInForce, Facts
from stage_engine.domain.inputs import FactChange, Observation, Reassignment
from stage_engine.domain.known_facts import date_of
from stage_engine.domain.literals import Known, known
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.parsed import read_cell
from stage_engine.domain.pipeline import Pipeline
from stage_engine.domain.taking import refusal


class NotPlaced(StrEnum):
    """Why a record gets no pipeline: there is none for its type, none applies, or the CRM's stage was not yet reported
    for the one that does. Stable API."""

    NO_PIPELINE = "NO_PIPELINE"
    NONE_APPLIES = "NONE_APPLIES"
    STAGE_NOT_REPORTED = "STAGE_NOT_REPORTED"


@dataclass(frozen=True, slots=True)
class Choice:
    """The pipeline that takes a subject; without one the reason."""

    pipeline: Pipeline | None
    code: NotPlaced | None = None
    reason: str = ""


def choose(pipelines: Iterable[Pipeline], object_type: str, facts: Facts) -> Choice:
    """The first pipeline for this type of object, by priority, whose `applies_when` holds. Of equal priority those that
    ask for something go before the default one, and that before the others."""
    found = sorted((p for p in pipelines if p.object_type == object_type), key=_order)
    if not found:
        return Choice(None, NotPlaced.NO_PIPELINE, f"no pipeline is for a record of type {object_type}")
    unmet: list[str] = []
    for pipeline in found:
        failing = _failing(pipeline, facts)
        if not failing:
            return Choice(pipeline)
        unmet.append(f"{pipeline.key} ({failing})")
    return Choice(None, NotPlaced.NONE_APPLIES, f"no pipeline applies: {', '.join(unmet)}")


def choose_for(pipelines: Iterable[Pipeline], given: Observation, now: datetime) -> Choice:
    """The pipeline for a record that is new, as it was observed."""
    choice = choose(pipelines, given.object_type, observed_facts(given, now))
    if choice.pipeline is None or given.stage_in(choice.pipeline) is not None:
        return choice
    text = f"{choice.pipeline.key} applies, and what the CRM's stage {given.crm_stage!r} is there was not yet reported"
    return Choice(None, NotPlaced.STAGE_NOT_REPORTED, text)


def observed_facts(given: Observation, now: datetime) -> Facts:
    """What an observation says of a record."""
    facts: dict[str, Known] = {fact.name: known(fact.value, now) for fact in given.facts if fact.value is not None}
    if given.amount is not None:
        facts[AMOUNT] = given.amount
    if given.currency:
        facts[CURRENCY] = given.currency
    if given.owner_id:
        facts[f"{given.object_type}.owner_id"] = given.owner_id
    closing = date_of(given.close_date)
    if closing is not None:
        facts[CLOSE_DATE] = known(closing, now)
    return facts


def _order(pipeline: Pipeline) -> tuple[int, bool, bool, str]:
    return pipeline.priority, not pipeline.applies_when, not pipeline.is_default, pipeline.key


def _failing(pipeline: Pipeline, facts: Facts) -> str:
    currency = facts.get(CURRENCY, "")
    comparable = isinstance(currency, str) and pipeline.compares(currency)
    for condition in pipeline.applies_when:
        value = facts.get(condition.fact) if comparable or condition.fact != AMOUNT else None
        if not predicate(read_cell(condition, pipeline))(value):
            return f"{condition.fact} has to be {condition.cell}"
    return ""


def reassignment(
    opportunity: Opportunity,
    given: Observation | FactChange,
    pinned: Pipeline,
    newest: Mapping[str, Pipeline],
    now: datetime,
) -> Reassignment | None:
    """What follows from an observation, or from facts, for the pipeline of an open subject, `pinned`: another applies
    now, or its own does again. None when nothing changes. Of reported facts that `pinned` reads, those in force count.
    """
    own = opportunity.pipeline_key
    facts = {name: known(f.value, now) for name, f in opportunity.facts.items() if f.value is not None}
    if isinstance(given, Observation):
        facts |= observed_facts(given, now)
    else:
        said = [f for f in given.facts if f.name not in pinned.reads and _may_be_said(f, newest.values(), now)]
        facts |= {f.name: known(f.value, now) for f in said if f.value is not None}
    chosen = choose(newest.values(), pinned.object_type, facts).pipeline
    if chosen is None or chosen.key == (opportunity.other_pipeline or own):
        return None
    to_stage = chosen.reassign.get(own, {}).get(opportunity.stage_key, "")
    shown = given.stage_in(chosen) if isinstance(given, Observation) else None
    return Reassignment(
        cause=given.identity,
        opportunity_id=opportunity.opportunity_id,
        to_pipeline=chosen.key,
        to_version=chosen.version,
        to_stage=to_stage,
        shown_stage=(shown or "") if to_stage else "",
        facts=given.facts,
        actor=given.actor,
        left=_left(opportunity, pinned) if to_stage else (),
    )


def _left(opportunity: Opportunity, pinned: Pipeline) -> tuple[Action, ...]:
    """What its stage asks for when it is left, without what was asked for once in this cycle."""
    done = {key for key, cycle in opportunity.asked_in_cycle.items() if cycle == opportunity.cycle_no}
    return tuple(a for a in pinned.stage(opportunity.stage_key).on_exit if not (a.once_per_cycle and a.key in done))


def _may_be_said(fact: FactInForce, pipelines: Iterable[Pipeline], now: datetime) -> bool:
    asking = [each for each in pipelines if fact.name in each.reads]
    return bool(asking) and all(refusal(fact, each, now) is None for each in asking)
