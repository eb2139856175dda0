"""What the integration user may not see or edit: field permissions, by `Object.Field`."""

from dataclasses import dataclass

from sandbox.salesforce.schema import Field, SObject


@dataclass(frozen=True, slots=True)
class Access:
    """Everything else it may."""

    hidden: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()

    def may_see(self, obj: SObject, field: Field) -> bool:
        return f"{obj.name}.{field.name}" not in self.hidden

    def may_edit(self, obj: SObject, field: Field) -> bool:
        return self.may_see(obj, field) and f"{obj.name}.{field.name}" not in self.read_only
