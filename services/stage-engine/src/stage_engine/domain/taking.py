"""Taking over what sources say of facts: who may say it, what is newer, and what is in force."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from stage_engine.domain.decision import Code, Reason
from stage_engine.domain.facts import WORKED_OUT, FactInForce, assessment_of, milestone_of, timer_of
from stage_engine.domain.literals import Literal, exact_number, type_of
from stage_engine.domain.opportunity import Opportunity
from stage_engine.domain.pipeline import Pipeline

# A clock may be ahead by so much.
AHEAD_LIMIT = timedelta(minutes=5)
# Of a fact that all may write, the latest words of so many sources are kept: as many as a pipeline may name.
SOURCES_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Taken:
    """The opportunity with new facts, the names of those whose value in force changed, and why others were refused."""

    opportunity: Opportunity
    changed: frozenset[str] = frozenset()
    reasons: tuple[Reason, ...] = ()


def taken(opportunity: Opportunity, pipeline: Pipeline, given: Iterable[FactInForce], now: datetime) -> Taken:
    """The facts that the pipeline version reads, taken over; all others are not kept. Of one source the last word
    counts; of several the first that may write, or the latest where all may."""
    held = {(fact.name, fact.source): fact for fact in (*opportunity.facts.values(), *opportunity.other_facts)}
    reasons: list[Reason] = []
    names: dict[str, None] = {}
    for fact in given:
        if fact.name not in pipeline.reads:
            continue
        reason = refusal(fact, pipeline, now) or _stale(fact, held.get((fact.name, fact.source)))
        if reason is not None:
            reasons.append(reason)
        else:
            held[fact.name, fact.source] = fact
            names[fact.name] = None
    if not names:
        return Taken(opportunity, reasons=tuple(reasons))
    facts = dict(opportunity.facts)
    gone: set[tuple[str, str]] = set()
    for name in names:
        said, sources = [fact for fact in held.values() if fact.name == name], pipeline.sources_of(name)
        in_order = _in_order(said, sources)
        facts[name] = next((fact for fact in in_order if not sources or fact.value is not None), in_order[0])
        gone |= {(name, fact.source) for fact in said} - {(name, fact.source) for fact in in_order}
    others = tuple(fact for key, fact in held.items() if facts[fact.name] is not fact and key not in gone)
    changed = frozenset(name for name in names if _differ(facts[name], opportunity.facts.get(name)))
    return Taken(opportunity.changed(facts=facts, other_facts=others), changed, tuple(reasons))


def refusal(fact: FactInForce, pipeline: Pipeline, now: datetime) -> Reason | None:
    """Why a fact cannot be taken from anyone, or from this source."""
    name, kind = fact.name, pipeline.kind_of_fact(fact.name)
    if kind is None or name in WORKED_OUT or assessment_of(name) or milestone_of(name) or timer_of(name):
        return _refused(Code.FACT_SOURCE, name, f"{name} cannot be reported: the engine works it out itself")
    sources = pipeline.sources_of(name)
    if sources and fact.source not in sources:
        return _refused(Code.FACT_SOURCE, name, f"{fact.source} may not write {name}; allowed: {', '.join(sources)}")
    if fact.observed_at > now + AHEAD_LIMIT:
        return _refused(Code.FACT_FUTURE, name, f"{name} would be observed at {fact.observed_at:%Y-%m-%dT%H:%M:%SZ}, "
                        f"more than {AHEAD_LIMIT.seconds // 60} minutes ahead")  # fmt: skip
    if fact.value is None or kind.type is None:
        return None
    if type_of(fact.value) is not kind.type:
        return _refused(Code.FACT_TYPE, name, f"{name} is of type {kind.type}, not {type_of(fact.value)}")
    fault = _fault(fact.value)
    return _refused(Code.FACT_TYPE, name, f"{name}: {fault}") if fault else None


def _refused(code: Code, name: str, text: str) -> Reason:
    return Reason(code, name, None, text)


def _fault(value: Literal) -> str:
    if isinstance(value, Decimal):
        try:
            exact_number(str(value))
        except ValueError as error:
            return str(error)
    if isinstance(value, datetime) and value.tzinfo is None:
        return "an instant needs a time zone"
    return ""


def _stale(fact: FactInForce, last: FactInForce | None) -> Reason | None:
    """A source's earlier word; the same word again is taken, and changes nothing."""
    if last is None or fact.order > last.order or (fact.order == last.order and fact.value == last.value):
        return None
    return _refused(Code.FACT_STALE, fact.name, f"{fact.source} has said something newer of {fact.name}")


def _in_order(facts: list[FactInForce], sources: tuple[str, ...]) -> list[FactInForce]:
    """What sources say of a fact, those that go first in front; not that of a source which another version of the
    pipeline let write, nor of more than are kept."""
    if not sources:
        return sorted(facts, key=lambda fact: (fact.observed_at, fact.source), reverse=True)[:SOURCES_LIMIT]
    return sorted((fact for fact in facts if fact.source in sources), key=lambda fact: sources.index(fact.source))


def _differ(new: FactInForce, old: FactInForce | None) -> bool:
    before = None if old is None else old.value
    return new.value != before or type(new.value) is not type(before)
