"""Which published rules are in force."""

from collections.abc import Collection

from kit.database.unit_of_work import UnitOfWork

from stage_engine.domain.document import from_document
from stage_engine.domain.evaluate import Ruleset
from stage_engine.engine import compiled
from stage_engine.repository.pipelines import PipelineRepository
from stage_engine.rulesets import RulesetCache

Version = tuple[str, int]


class Rules:
    """Published pipeline versions of the tenant, compiled."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._tenant_id = uow.tenant_id
        self._cache = uow.resources.get(RulesetCache)
        self._repository = PipelineRepository(uow.session, uow.tenant_id)
        # A version published in this transaction may yet be rolled back: it is kept here, not in the cache.
        self._uncommitted: dict[Version, Ruleset] = {}

    def add_uncommitted(self, rules: Ruleset) -> None:
        """Decide with a version that this transaction publishes."""
        self._uncommitted[rules.pipeline.key, rules.pipeline.version] = rules

    async def of(self, versions: Collection[Version]) -> dict[Version, Ruleset]:
        """The rulesets of these versions."""
        found = {version: rules for version, rules in self._uncommitted.items() if version in set(versions)}
        for key, number in set(versions) - found.keys():
            rules = self._cache.get(self._tenant_id, key, number)
            if rules is not None:
                found[key, number] = rules
        missing = sorted(set(versions) - found.keys())
        if missing:
            for (key, number), document in (await self._repository.documents(missing)).items():
                found[key, number] = compiled(from_document(document, number))
                self._cache.put(self._tenant_id, found[key, number])
        return found

    async def for_first_sight(self, pipeline_keys: Collection[str]) -> dict[str, Ruleset]:
        """The ruleset a deal gets that is first seen in each of these pipelines: the newest version, or that of the
        default pipeline where the key is empty. Pipelines that are not published are left out."""
        newest, default = await self._repository.newest()
        chosen = {key: key or default for key in pipeline_keys}
        versions = {key: (name, newest[name]) for key, name in chosen.items() if name is not None and name in newest}
        rulesets = await self.of(set(versions.values()))
        return {key: rulesets[version] for key, version in versions.items()}
