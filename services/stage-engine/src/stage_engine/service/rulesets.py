"""The published rulesets of a tenant."""

from collections import OrderedDict
from collections.abc import Collection

from kit.database.unit_of_work import UnitOfWork

from stage_engine.domain.document import from_document
from stage_engine.domain.evaluate import Ruleset
from stage_engine.engine import compiled
from stage_engine.repository.pipelines import PipelineRepository

Version = tuple[str, int]

# Rules and conditions kept, each a kilobyte or less: a usual pipeline has a few hundred, the largest 60,000.
_SIZE_LIMIT = 300_000


class Compiled:
    """Rulesets by tenant and version, kept by the application: they never change. Only committed ones belong here. The
    least recently used give way once all together are too large."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, Version], Ruleset] = OrderedDict()
        self.size = 0

    def get(self, tenant_id: str, version: Version) -> Ruleset | None:
        found = self._found.get((tenant_id, version))
        if found is not None:
            self._found.move_to_end((tenant_id, version))
        return found

    def put(self, tenant_id: str, version: Version, ruleset: Ruleset) -> None:
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
        # A version published in this transaction may yet be rolled back: only this transaction sees it.
        self._uncommitted: dict[Version, Ruleset] = {}

    def add_uncommitted(self, ruleset: Ruleset) -> None:
        """Decide with a version that this transaction publishes."""
        self._uncommitted[ruleset.pipeline.key, ruleset.pipeline.version] = ruleset

    async def of(self, versions: Collection[Version]) -> dict[Version, Ruleset]:
        """The rulesets of these versions."""
        found: dict[Version, Ruleset] = {}
        for version in set(versions):
            ruleset = self._uncommitted.get(version) or self._compiled.get(self._tenant_id, version)
            if ruleset is not None:
                found[version] = ruleset
        missing = sorted(set(versions) - found.keys())
        if missing:
            for version, document in (await self._repository.documents(missing)).items():
                found[version] = compiled(from_document(document, version[1]))
                self._compiled.put(self._tenant_id, version, found[version])
        return found

    async def for_new(self, pipeline_keys: Collection[str]) -> dict[str, Ruleset]:
        """The ruleset that a new opportunity gets in each of these pipelines: the newest version, or that of the
        default pipeline where the key is empty. Pipelines that are not published are left out."""
        newest, default = await self._repository.newest()
        chosen = {key: key or default for key in pipeline_keys}
        versions = {key: (name, newest[name]) for key, name in chosen.items() if name is not None and name in newest}
        rulesets = await self.of(set(versions.values()))
        return {key: rulesets[version] for key, version in versions.items()}
