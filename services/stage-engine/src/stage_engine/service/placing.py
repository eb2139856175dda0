"""Finding a pipeline for records that have none, and listing those that get none."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now

from stage_engine.domain.choosing import Choice, choose_for
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.inputs import Observation, Occasion
from stage_engine.domain.on_first_sight import as_creation
from stage_engine.domain.replay import decode_input, encode_input
from stage_engine.records.opportunities import UnplacedRecord
from stage_engine.repository.unplaced import UnplacedRepository
from stage_engine.service.deciding import Arrival
from stage_engine.service.rulesets import Rulesets


class PipelinePublication:
    """Wakes the task that looks at unplaced records again."""

    def __init__(self) -> None:
        self.signal = asyncio.Event()


@dataclass(slots=True)
class Placed:
    """The rulesets that records are pinned to, by id, and what is to be decided on of these, in order."""

    rulesets: dict[str, Ruleset] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)


class Placing:
    """Records without a pipeline, locked by the caller."""

    def __init__(self, uow: UnitOfWork, rulesets: Rulesets) -> None:
        self._rulesets = rulesets
        self._unplaced = UnplacedRepository(uow.session, uow.tenant_id)

    async def place(self, new: Mapping[str, Sequence[Arrival]]) -> Placed:
        """Choose by what was observed of each record before and is now, the earliest first. An observation is complete,
        so one that places a record makes those before it needless; of a record that stays unplaced the last is kept."""
        before = await self._unplaced.take(new.keys())
        newest = await self._rulesets.newest()
        found, kept, now = Placed(), list[UnplacedRecord](), utc_now()
        for record_id, arrivals in new.items():
            was = before.get(record_id)
            seen = ([_as_arrival(was)] if was is not None else []) + list(arrivals)
            stays = self._first_placed(record_id, seen, newest, found, now)
            if stays is not None:
                kept.append(_unplaced(*stays, now if was is None else was.since))
        self._unplaced.keep(kept)
        return found

    def _first_placed(
        self, record_id: str, seen: Sequence[Arrival], newest: Mapping[str, Ruleset], found: Placed, now: datetime
    ) -> tuple[Observation, Choice] | None:
        last, choice, made_here = None, Choice(None), False
        for i, arrival in enumerate(seen):
            given = arrival.given
            assert isinstance(given, Observation)
            if last is not None and 0 < given.number < last.number:
                continue
            made_here |= given.occasion is Occasion.CREATED
            last = given = as_creation(given, waits=made_here)
            if given.occasion is Occasion.DELETED:
                continue
            choice = choose_for((ruleset.pipeline for ruleset in newest.values()), given, now)
            if choice.pipeline is not None:
                found.rulesets[record_id] = newest[choice.pipeline.key]
                found.arrivals += [replace(arrival, given=given), *seen[i + 1 :]]
                return None
        return None if last is None else (last, choice)


def _as_arrival(was: UnplacedRecord) -> Arrival:
    given = decode_input(was.observation)
    assert isinstance(given, Observation)
    return Arrival(given)


def _unplaced(given: Observation, choice: Choice, since: datetime) -> UnplacedRecord:
    return UnplacedRecord(
        record_id=given.opportunity_id,
        object_type=given.object_type,
        owner_id=given.owner_id,
        code=choice.code or "",
        reason=choice.reason,
        deleted=given.occasion is Occasion.DELETED,
        number=given.number,
        observation=encode_input(given),
        since=since,
    )
