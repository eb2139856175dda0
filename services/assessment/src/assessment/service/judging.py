"""Judging captures that come together, by what the database holds of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from kit.contracts.events import check_size
from kit.database.unit_of_work import UnitOfWork
from kit.errors import EventTooLarge
from kit.http.ownership import Owners
from kit.ids import utc_now
from kit.offload import Turns

from assessment.domain.admission import Admitted, Context, Held, Published, Twin, admit, lack_of, number_attempts
from assessment.domain.answers import CaptureRefused, Fault
from assessment.domain.capture import Capture, content_sha256
from assessment.domain.holding import Right, Waiting
from assessment.messages import assessment_submitted
from assessment.repository.capture import CaptureRepository
from assessment.settings import Settings

_CACHED_VERSIONS = 1000
# Characters of a body: its event has at most four bytes for each, and as much again for what it adds.
_SURELY_FITS = 100_000


@dataclass(frozen=True, slots=True)
class HandedIn:
    """A capture, by whom, whose opportunities that person sees, and in which trace."""

    capture: Capture
    submitted_by: str
    owners: Owners
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of captures, by their places among those that came together: of those not received before, the item
    to store or the refusal; and the right of every one."""

    items: Mapping[int, Admitted | Held]
    refused: Mapping[int, CaptureRefused]
    rights: Sequence[Right]


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


async def judge_all(uow: UnitOfWork, handed_in: Sequence[HandedIn]) -> Judged:
    """Judge captures that come together. They count as received a microsecond apart."""
    repository = CaptureRepository(uow.session, uow.tenant_id)
    received_at = utc_now()
    moments = [received_at + timedelta(microseconds=place) for place in range(len(handed_in))]
    captures = [each.capture for each in handed_in]
    versions = await uow.resources.get(PublishedVersions).load(repository, uow.tenant_id, captures)
    published = [versions.get((each.assessment_key, each.assessment_version)) for each in captures]
    contents = [content_sha256(each.capture, each.submitted_by) for each in handed_in]
    contexts = await repository.contexts(captures, contents)
    lacks = [lack_of(*each) is not None for each in zip(captures, published, contexts, moments, strict=True)]
    rights = await _rights(uow, repository, handed_in, contexts, lacks)
    items: dict[int, Admitted | Held] = {}
    refused: dict[int, CaptureRefused] = {}
    ids: set[UUID] = set()
    twins: dict[str, Twin] = {}
    turns = Turns()
    for place, (given, context, content) in enumerate(zip(handed_in, contexts, contents, strict=True)):
        if context.received_before or given.capture.submission_id in ids:
            continue
        await turns.take()
        if context.twin is None and content in twins:
            context = replace(context, twin=twins[content])  # noqa: PLW2901 - the same, and what came before it
        right = rights[place]
        try:
            item = admit(given.capture, published[place], context, right, given.submitted_by, moments[place])
            if isinstance(item, Admitted):
                must_fit(item)
                twins.setdefault(content, Twin(given.capture.submission_id, item.receipt.visit))
            items[place] = item
            ids.add(given.capture.submission_id)
        except CaptureRefused as refusal:
            refused[place] = refusal
    admitted = {place: item for place, item in items.items() if isinstance(item, Admitted)}
    numbered = number_attempts([(item, contexts[place].last_attempt) for place, item in admitted.items()])
    return Judged(items | dict(zip(admitted, numbered, strict=True)), refused, rights)


async def _rights(
    uow: UnitOfWork,
    repository: CaptureRepository,
    handed_in: Sequence[HandedIn],
    contexts: Sequence[Context],
    lacks: Sequence[bool],
) -> list[Right]:
    """What entitles each submitter to its capture's opportunity, and whether what has to wait may."""
    rights: list[Right] = []
    for given, context in zip(handed_in, contexts, strict=True):
        owner_id = context.place.owner_id if context.place else None
        seen = given.owners.include(owner_id)
        rights.append(Right.SEEN if seen else Right.UNKNOWN if owner_id is None else Right.NONE)
    to_wait = [
        place
        for place, right in enumerate(rights)
        if (right is not Right.SEEN or lacks[place]) and not contexts[place].received_before
    ]
    if to_wait:
        settings = uow.resources.get(Settings)
        quota = Waiting(settings.unknown_opportunity_quota, settings.held_submission_quota)
        waiting = await repository.waiting({handed_in[place].submitted_by for place in to_wait}, quota)
        for place in to_wait:
            person = handed_in[place].submitted_by
            rights[place], waiting[person] = waiting[person].next(rights[place], quota, counts=not lacks[place])
    return rights


def must_fit(item: Admitted) -> None:
    """Refused as submission_too_large when the events that carry the answers on have no room for them."""
    if len(item.body) < _SURELY_FITS:
        return
    try:
        check_size(assessment_submitted(item))
    except EventTooLarge as error:
        detail = f"The answers are too long together. {error.detail}"
        fault = Fault(("answers",), "submission_too_large", detail)
        raise CaptureRefused("submission_too_large", detail, (fault,)) from error
