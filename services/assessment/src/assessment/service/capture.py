"""Taking captures in: the same few statements for one submission and for a hundred."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kit.database.unit_of_work import UnitOfWork
from kit.ids import utc_now

from assessment.domain.admission import Admitted, CaptureRefused, Published, Receipt, Stored, admit, not_found, replay
from assessment.domain.capture import Capture
from assessment.messages import assessment_submitted
from assessment.repository.capture import CaptureRepository

_CACHED_VERSIONS = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Taken:
    """A capture that is stored; replayed when it was before this call, or earlier in the same batch."""

    receipt: Receipt
    replayed: bool


class PublishedVersions:
    """Published versions of all tenants in memory. They never change, so an entry is never stale."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str, int], Published] = {}

    async def load(
        self, repository: CaptureRepository, tenant_id: str, captures: Sequence[Capture]
    ) -> Mapping[tuple[str, int], Published]:
        """The versions these captures answered; one that does not exist is asked for again next time."""
        wanted = {(capture.assessment_key, capture.assessment_version) for capture in captures}
        found = {pair: held for pair in wanted if (held := self._held.get((tenant_id, *pair)))}
        if len(found) < len(wanted):
            loaded = await repository.published(wanted - found.keys())
            if len(self._held) + len(loaded) > _CACHED_VERSIONS:
                self._held.clear()
            self._held.update({(tenant_id, *pair): version for pair, version in loaded.items()})
            found |= loaded
        return found


@dataclass(frozen=True, slots=True)
class HandedIn:
    """A capture, by whom, and in which trace."""

    capture: Capture
    submitted_by: str
    traceparent: str = ""


async def take_captures(uow: UnitOfWork, handed_in: Sequence[HandedIn]) -> list[Taken | CaptureRefused]:
    """Store and publish what is new, replay what is not, and say why not for the rest: one outcome per capture, in
    their order. They count as received a microsecond apart, so that their order is kept downstream."""
    repository = CaptureRepository(uow.session, uow.tenant_id)
    received_at = utc_now()
    captures = [each.capture for each in handed_in]
    versions = await uow.resources.get(PublishedVersions).load(repository, uow.tenant_id, captures)
    contexts = await repository.contexts(captures)
    admitted: dict[int, Admitted] = {}
    refused: dict[int, CaptureRefused] = {}
    ids: set[UUID] = set()
    for place, (given, context) in enumerate(zip(handed_in, contexts, strict=True)):
        capture = given.capture
        if capture.submission_id in ids:
            continue
        version = versions.get((capture.assessment_key, capture.assessment_version))
        moment = received_at + timedelta(microseconds=place)
        try:
            admitted[place] = admit(capture, version, context, given.submitted_by, moment)
            ids.add(capture.submission_id)
        except CaptureRefused as refusal:
            refused[place] = refusal
    new = await repository.insert(list(admitted.values()))
    outcomes: dict[int, Taken | CaptureRefused] = {}
    for place, item in admitted.items():
        if item.capture.submission_id in new:
            outcomes[place] = Taken(item.receipt, replayed=False)
            sequence = _microseconds(item.receipt.received_at)
            uow.publish(assessment_submitted(item), sequence=sequence, traceparent=handed_in[place].traceparent)
    # Statements see what others committed meanwhile, so what the insert waited for is visible now. What was stored once
    # is replayed even where it would be refused today.
    rest = [place for place in range(len(handed_in)) if place not in outcomes]
    stored = await repository.stored({captures[place].submission_id for place in rest})
    for place in rest:
        found = stored.get(captures[place].submission_id)
        outcomes[place] = _replay(handed_in[place], found, refused.get(place))
    return [outcomes[place] for place in range(len(captures))]


def _replay(given: HandedIn, stored: Stored | None, refusal: CaptureRefused | None) -> Taken | CaptureRefused:
    if stored is None:
        # Without a refusal, another tenant has taken the id, and its row cannot be seen here.
        return refusal or not_found(given.capture.submission_id)
    try:
        return Taken(replay(given.capture, stored, given.submitted_by), replayed=True)
    except CaptureRefused as mismatch:
        return mismatch


def _microseconds(moment: datetime) -> int:
    """The sequence of a submission: the stream has no version of its own to count, so it counts by receipt."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
