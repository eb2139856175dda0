"""Compiled pipeline versions, kept: they never change."""

from stage_engine.domain.evaluate import Ruleset

_LIMIT = 500


class RulesetCache:
    """Rulesets by tenant, pipeline and version. Only committed versions may be put here."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, int], Ruleset] = {}

    def get(self, tenant_id: str, pipeline_key: str, version: int) -> Ruleset | None:
        """The ruleset, None when it has to be compiled."""
        return self._found.get((tenant_id, pipeline_key, version))

    def put(self, tenant_id: str, rules: Ruleset) -> None:
        """Keep it. When full, the oldest goes."""
        if len(self._found) >= _LIMIT:
            self._found.pop(next(iter(self._found)))
        self._found[tenant_id, rules.pipeline.key, rules.pipeline.version] = rules
