"""Subjects go to another pipeline once it applies to what was heard of them."""

from collections.abc import Sequence

from kit.ids import utc_now

from stage_engine.domain.choosing import reassignment
from stage_engine.domain.inputs import FactChange, Observation, Reassignment
from stage_engine.domain.opportunity import Opportunity
from stage_engine.service.deciding import Arrival, Deciding
from stage_engine.service.rulesets import Rulesets


class Reassigning:
    """Looks, after what was observed or reported was decided on, whether another pipeline applies."""

    def __init__(self, rulesets: Rulesets, deciding: Deciding) -> None:
        self._rulesets = rulesets
        self._deciding = deciding

    async def after(self, heard: Sequence[Arrival]) -> None:
        """Take subjects to the pipeline that applies to what was last heard of each. They are locked."""
        newest = await self._rulesets.newest() if heard else {}
        if len(newest) < 2:
            return
        pipelines, now = {key: ruleset.pipeline for key, ruleset in newest.items()}, utc_now()
        subjects = await self._deciding.load([])
        found: list[tuple[Arrival, Reassignment]] = []
        for arrival in {a.given.opportunity_id: a for a in heard}.values():
            given, subject = arrival.given, subjects[arrival.given.opportunity_id]
            assert isinstance(given, Observation | FactChange)
            if subject.deleted or _is_stale(subject, given):
                continue
            version = subject.pipeline_key, subject.pipeline_version
            own = (await self._rulesets.of([version]))[version].pipeline
            if subject.stage_key and not own.is_open(subject.stage_key):
                continue
            change = reassignment(subject, given, own, pipelines, now)
            if change is not None:
                found.append((Arrival(change, cause=arrival.cause), change))
        if found:
            targets = {change.opportunity_id: newest[change.to_pipeline] for _, change in found if change.to_stage}
            await self._deciding.decide([arrival for arrival, _ in found], targets)


def _is_stale(subject: Opportunity, given: Observation | FactChange) -> bool:
    """Something newer was observed of it already."""
    last = subject.last_observation
    return isinstance(given, Observation) and last is not None and 0 < given.number < last.number
