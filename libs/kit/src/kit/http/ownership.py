"""Whose opportunities a caller sees: the one predicate of all services, as a check of one object and as a condition of
a query.

A caller with the scope `opportunities:read-any` sees all of the tenant. One with `opportunities:read-team` sees their
own and those of all who report to them, directly or through others. Every other caller sees their own: those whose
owner in the CRM they are. A person who has left the company owns nothing any more. An opportunity whose owner is not
known belongs to no caller. What a caller does not see is answered as if it did not exist.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, false, true

from kit.database.sets import among
from kit.http.auth import Principal
from kit.http.problems import NotFoundProblem

READ_ANY = "opportunities:read-any"
READ_TEAM = "opportunities:read-team"


@dataclass(frozen=True, slots=True)
class Owners:
    """The owners whose opportunities a caller sees: these people, or None for all."""

    person_ids: frozenset[str] | None

    @classmethod
    def seen_by(cls, caller: Principal) -> "Owners":
        """The owners whose opportunities this caller sees."""
        if caller.may(READ_ANY):
            return cls(None)
        if caller.has_left:
            return cls(frozenset())
        own = frozenset((caller.person_id,))
        return cls(own | caller.team if caller.may(READ_TEAM) else own)

    @property
    def are_all(self) -> bool:
        """Whether every opportunity of the tenant is seen."""
        return self.person_ids is None

    def include(self, owner_id: str | None) -> bool:
        """Whether an opportunity of this owner is seen; None for an owner that is not known."""
        return self.person_ids is None or (bool(owner_id) and owner_id in self.person_ids)

    def demand(self, owner_id: str | None, absent: NotFoundProblem) -> None:
        """Raise the problem that says it does not exist, unless it is seen. Only the log tells the difference."""
        if not self.include(owner_id):
            absent.refused = "not_owner"
            raise absent

    def condition(self, owner_id: ColumnElement[str] | ColumnElement[str | None]) -> ColumnElement[bool]:
        """The rows of a query that are seen, by their column of the owner."""
        if self.person_ids is None:
            return true()
        # One value is what an index of owners serves best.
        one, *others = self.person_ids or [None]
        if one is None:
            return false()
        return among(owner_id, sorted(self.person_ids)) if others else owner_id == one
