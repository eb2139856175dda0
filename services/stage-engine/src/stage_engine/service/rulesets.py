"""The published rulesets of a tenant."""

from collections import OrderedDict
from collections.abc import Collection, Mapping

from kit.database.unit_of_work import UnitOfWork

from stage_engine.domain.document import from_document
from stage_engine.domain.evaluate import Ruleset
from stage_engine.domain.modes import AS_PUBLISHED, Modes, modes_at
from stage_engine.domain.pipeline import Pipeline
from stage_engine.engine import compiled
from stage_engine.repository.modes import ModeRepository
from stage_engine.repository.pipelines import PipelineRepository

Version = tuple[str, int]
# A version with the revision of what is switched in its pipeline.
Switched = tuple[str, int, int]

# Rules and conditions kept, each a kilobyte or less: a usual pipeline has a few hundred, the largest 60,000.
_SIZE_LIMIT = 300_000


class Compiled:
    """Rulesets by tenant, version and what was switched, kept by the application: they never change. Only committed
    ones belong here. The least recently used give way once all together are too large."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, Switched], Ruleset] = OrderedDict()
        self.size = 0

    def get(self, tenant_id: str, version: Switched) -> Ruleset | None:
        found = self._found.get((tenant_id, version))
        if found is not None:
            self._found.move_to_end((tenant_id, version))
        return found

    def put(self, tenant_id: str, version: Switched, ruleset: Ruleset) -> None:
        if (tenant_id, version) in self._found:
            return
        self._found[tenant_id, version] = ruleset
        self.size += ruleset.size
        while self.size > _SIZE_LIMIT and len(self._found) > 1:
            self.size -= self._found.popitem(last=False)[1].size


class Rulesets:
    """Published pipeline versions of the tenant, compiled."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._tenant_id = uow.tenant_id
        self._compiled = uow.resources.get(Compiled)
        self._repository = PipelineRepository(uow.session, uow.tenant_id)
        self._history = ModeRepository(uow.session, uow.tenant_id)
        # A version published in this transaction may yet be rolled back: only this transaction sees it.
        self._uncommitted: dict[Version, Ruleset] = {}
        self._modes: dict[str, int] = {}

    def note_modes(self, revisions: Mapping[str, int]) -> None:
        """The revisions of what is switched in these pipelines, as this transaction read them first."""
        self._modes = dict(revisions) | self._modes

    async def publish(self, pipeline: Pipeline) -> Modes:
        """Decide with a version that this transaction publishes; what is switched in its pipeline."""
        modes = await self._modes_at(pipeline.key, (await self._history.revisions([pipeline.key]))[pipeline.key])
        self._uncommitted[pipeline.key, pipeline.version] = compiled(pipeline, modes)
        return modes

    async def of(self, versions: Collection[Version]) -> dict[Version, Ruleset]:
        """The rulesets of these versions, with their rules as they are in force now."""
        unknown = {key for key, _ in versions} - self._modes.keys()
        if unknown:
            self.note_modes(await self._history.revisions(unknown))
        wanted = {(key, version, self._modes.get(key, 0)) for key, version in versions}
        return {(key, version): ruleset for (key, version, _), ruleset in (await self._all(wanted)).items()}

    async def at(self, version: Version, modes_revision: int) -> Ruleset:
        """The ruleset of a version as it was in force at a revision."""
        wanted = (*version, modes_revision)
        return (await self._all({wanted}))[wanted]

    async def _all(self, wanted: Collection[Switched]) -> dict[Switched, Ruleset]:
        found: dict[Switched, Ruleset] = {}
        for each in wanted:
            ruleset = self._uncommitted.get(each[:2]) or self._compiled.get(self._tenant_id, each)
            if ruleset is not None:
                found[each] = ruleset
        missing = sorted(set(wanted) - found.keys())
        if missing:
            documents = await self._repository.documents([each[:2] for each in missing])
            for each in missing:
                if each[:2] in documents:
                    pipeline = from_document(documents[each[:2]], each[1])
                    found[each] = compiled(pipeline, await self._modes_at(each[0], each[2]))
                    self._compiled.put(self._tenant_id, each, found[each])
        return found

    async def _modes_at(self, key: str, revision: int) -> Modes:
        return modes_at(revision, await self._history.history(key, revision)) if revision else AS_PUBLISHED

    async def newest(self) -> dict[str, Ruleset]:
        """The newest version of each published pipeline, by key: one of them may take a new subject."""
        newest = {(each.pipeline_key, each.version) for each in await self._repository.newest()}
        return {key: ruleset for (key, _), ruleset in (await self.of(newest)).items()}
